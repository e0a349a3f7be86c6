//! What do deadlines cost, and how late are they?
//!
//! - `timer_dropped_1`, `timer_dropped_2`: one task, and two at once, make a sleep of 10 s, poll it once and drop it: what a
//!   deadline costs that never comes. No reschedule in between, but each task yields after [`IN_ONE_POLL`] sleeps: a poll that
//!   went on for ever would be a hog, and Tokio's budget would let its sleeps do nothing.
//! - `timer_pending_1`, `timer_pending_2`: the same with a timeout of 10 s around a future that is pending once: it includes a
//!   reschedule.
//! - `timer_dropped_scaling`, `timer_pending_scaling`: the figure of two tasks divided by that of one, measured in turn: two
//!   workers at once shall not get in each other's way.
//! - `timer_mass`: 100,000 tasks sleep between 0.1 and 1.1 s. CPU time of the process, how late
//!   they are, median and 99th percentile, and how many were early.
//! - `sleep_250us`, `sleep_1ms`, `sleep_5ms`: one task sleeps, nothing else runs; median overshoot and 99th percentile, and
//!   how many were early.
//!
//! Read: lower is better everywhere. The time is that of an operation and task, so that two tasks do not look twice as slow.
//! Early means before the duration has gone by on the caller's own clock since before the sleep was made, which never happens where
//! deadlines are made from a fresh clock.

use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::wake::SelfWake;
use super::{Effort, Goal, Question, metric};
use crate::process;
use crate::rt::{Rt, in_io_task};
use crate::stats::{median, nanos, quantile};

/// How many sleeps are made and dropped in one poll: less than Tokio's budget of 128.
pub const IN_ONE_POLL: usize = 100;

/// A deadline that never comes.
const NEVER: Duration = Duration::from_secs(10);

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    let sleep = |name: &'static str, micros: u64, times: usize| {
        let duration = Duration::from_micros(micros);
        Question::own(
            name,
            [
                metric(name, "µs over, p50", Goal::AtMost(60.0)),
                metric(format!("{name}_p99"), "µs over, p99", Goal::Watched),
                metric(format!("{name}_early"), "sleeps", Goal::AtMost(0.0)),
            ],
            move |rt: &R, effort| late(&mut overshoot(rt, duration, effort.pick(times, 3))),
        )
    };
    vec![
        churn_question("timer_dropped", 0.20, dropped),
        churn_question("timer_pending", 0.50, pending),
        Question::own(
            "timer_mass",
            [
                metric("timer_mass_cpu", "CPU ms", Goal::RatioAtMost(0.70)),
                metric("timer_mass_late_p50", "µs", Goal::AtMost(300.0)),
                metric("timer_mass_late_p99", "µs", Goal::Watched),
                metric("timer_mass_early", "sleeps", Goal::AtMost(0.0)),
            ],
            |rt, effort| {
                let cpu = process::cpu_time();
                let mut all = mass(rt, effort.pick(100_000, 1000));
                let cpu = (process::cpu_time() - cpu).as_secs_f64() * 1e3;
                let mut values = vec![cpu];
                values.extend(late(&mut all));
                values
            },
        ),
        sleep("sleep_250us", 250, 500),
        sleep("sleep_1ms", 1000, 200),
        sleep("sleep_5ms", 5000, 60),
    ]
}

/// One task and two, in turn.
fn churn_question<R: Rt>(
    name: &str,
    goal: f64,
    workload: fn(&R, usize, usize) -> Duration,
) -> Question<R> {
    let of = |what: &str| format!("{name}_{what}");
    Question::shared(
        name,
        [
            metric(of("1"), "ns/sleep", Goal::RatioAtMost(goal)),
            metric(of("2"), "ns/sleep", Goal::RatioAtMost(goal)),
            metric(of("scaling"), "two/one", Goal::AtMost(1.0)),
        ],
        move |rt, effort: Effort| {
            let sleeps = effort.pick(100_000, 100);
            let (mut one, mut two) = (Vec::new(), Vec::new());
            for _ in 0..effort.pick(7, 1) {
                one.push(nanos(workload(rt, 1, sleeps)) / sleeps as f64);
                two.push(nanos(workload(rt, 2, sleeps)) / sleeps as f64);
            }
            let (one, two) = (median(&mut one), median(&mut two));
            vec![one, two, two / one]
        },
    )
}

/// Tasks that make sleeps, poll them once, and drop them.
pub fn dropped<R: Rt>(rt: &R, tasks: usize, sleeps: usize) -> Duration {
    in_parallel(rt, tasks, move || async move {
        for _ in 0..sleeps / IN_ONE_POLL {
            for _ in 0..IN_ONE_POLL {
                std::future::poll_fn(|cx| {
                    let sleep = pin!(R::sleep(NEVER));
                    assert!(sleep.poll(cx).is_pending(), "the sleep ended early");
                    Poll::Ready(())
                })
                .await;
            }
            SelfWake::default().await;
        }
    })
}

/// Tasks that put a timeout around a future that is pending once.
pub fn pending<R: Rt>(rt: &R, tasks: usize, timeouts: usize) -> Duration {
    in_parallel(rt, tasks, move || async move {
        for _ in 0..timeouts {
            let output = R::timeout(NEVER, SelfWake::default()).await;
            assert_eq!(output, Some(()), "the timeout ended early");
        }
    })
}

/// Runs several tasks of one kind and waits for all.
fn in_parallel<R: Rt, F>(
    rt: &R,
    tasks: usize,
    task: impl Fn() -> F + Send + Sync + 'static,
) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    in_io_task(rt, async move {
        let start = Instant::now();
        let handles: Vec<_> = (0..tasks).map(|_| R::spawn_io(task())).collect();
        for handle in handles {
            handle.await.expect("the task does not panic");
        }
        start.elapsed()
    })
}

/// Median, 99th percentile, and how many are early, of latenesses in microseconds.
fn late(all: &mut [f64]) -> Vec<f64> {
    let early = all.iter().filter(|late| **late < 0.0).count();
    vec![median(all), quantile(all, 0.99), early as f64]
}

/// Many tasks that sleep once; returns how late each one was, in microseconds.
fn mass<R: Rt>(rt: &R, tasks: usize) -> Vec<f64> {
    in_io_task(rt, async move {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                let duration = Duration::from_nanos(100_000_000 + (seed >> 20) % 1_000_000_000);
                R::spawn_io(lateness::<R>(duration))
            })
            .collect();
        let mut late = Vec::with_capacity(tasks);
        for handle in handles {
            late.push(handle.await.expect("the task does not panic"));
        }
        late
    })
}

/// Overshoots of one sleep after the other, in microseconds.
fn overshoot<R: Rt>(rt: &R, duration: Duration, times: usize) -> Vec<f64> {
    in_io_task(rt, async move {
        let mut late = Vec::with_capacity(times);
        for _ in 0..times {
            late.push(lateness::<R>(duration).await);
        }
        late
    })
}

/// Sleeps, and returns by how much too long, in microseconds; below zero: too short.
async fn lateness<R: Rt>(duration: Duration) -> f64 {
    let start = Instant::now();
    R::sleep(duration).await;
    (nanos(start.elapsed()) - nanos(duration)) / 1e3
}
