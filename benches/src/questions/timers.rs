//! What do deadlines cost, and how late are they?
//!
//! - `timer_churn_1`, `timer_churn_2`: one task, and two at once, make a sleep of 10 s, poll it
//!   once, wake themselves and drop it: what a timeout costs that never comes.
//! - `timer_mass`: 100,000 tasks sleep between 0.1 and 1.1 s. CPU time of the process, and how late
//!   they are, median and 99th percentile.
//! - `sleep_250us`, `sleep_1ms`, `sleep_5ms`: one task sleeps, nothing else runs; median overshoot.
//!
//! Read: lower is better everywhere. A sleep that ends early fails the benchmark. The churn
//! includes one yield for each sleep.

use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{Effort, Goal, Question, metric};
use crate::process;
use crate::rt::{Rt, in_task};
use crate::stats::{all_micros, median, median_ns, quantile};

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::shared(
            "timer_churn_1",
            [metric("timer_churn_1", "ns/sleep", Goal::Watched)],
            |rt, effort| churn_each(rt, effort, 1),
        ),
        Question::shared(
            "timer_churn_2",
            [metric("timer_churn_2", "ns/sleep", Goal::Watched)],
            |rt, effort| churn_each(rt, effort, 2),
        ),
        Question::own(
            "timer_mass",
            [
                metric("timer_mass_cpu", "CPU ms", Goal::Watched),
                metric("timer_mass_late_p50", "µs", Goal::Watched),
                metric("timer_mass_late_p99", "µs", Goal::Watched),
            ],
            |rt, effort| {
                let cpu = process::cpu_time();
                let mut late = mass(rt, effort.pick(100_000, 1000));
                let cpu = (process::cpu_time() - cpu).as_secs_f64() * 1e3;
                vec![cpu, median(&mut late), quantile(&mut late, 0.99)]
            },
        ),
        Question::own(
            "sleep_250us",
            [metric("sleep_250us", "µs over, p50", Goal::Watched)],
            |rt, effort| {
                vec![overshoot(
                    rt,
                    Duration::from_micros(250),
                    effort.pick(500, 3),
                )]
            },
        ),
        Question::own(
            "sleep_1ms",
            [metric("sleep_1ms", "µs over, p50", Goal::Watched)],
            |rt, effort| vec![overshoot(rt, Duration::from_millis(1), effort.pick(200, 3))],
        ),
        Question::own(
            "sleep_5ms",
            [metric("sleep_5ms", "µs over, p50", Goal::Watched)],
            |rt, effort| vec![overshoot(rt, Duration::from_millis(5), effort.pick(60, 3))],
        ),
    ]
}

/// The time per sleep and task, so that two tasks in parallel do not look twice as slow.
fn churn_each<R: Rt>(rt: &R, effort: Effort, tasks: usize) -> Vec<f64> {
    let sleeps = effort.pick(100_000, 100);
    vec![median_ns(effort.pick(5, 1), || churn(rt, tasks, sleeps)) / sleeps as f64]
}

/// Tasks that make sleeps, poll them once, and drop them.
pub fn churn<R: Rt>(rt: &R, tasks: usize, sleeps: usize) -> Duration {
    in_task(rt, async move {
        let start = Instant::now();
        let handles: Vec<_> = (0..tasks)
            .map(|_| R::spawn(poll_once::<R>(sleeps)))
            .collect();
        for handle in handles {
            handle.await.expect("the task does not panic");
        }
        start.elapsed()
    })
}

async fn poll_once<R: Rt>(sleeps: usize) {
    for _ in 0..sleeps {
        let mut sleep = pin!(R::sleep(Duration::from_secs(10)));
        let mut polled = false;
        std::future::poll_fn(|cx| {
            if polled {
                return Poll::Ready(());
            }
            polled = true;
            cx.waker().wake_by_ref();
            assert!(
                sleep.as_mut().poll(cx).is_pending(),
                "the sleep ended early"
            );
            Poll::Pending
        })
        .await;
    }
}

/// Many tasks that sleep once; returns how late each one was, in microseconds.
fn mass<R: Rt>(rt: &R, tasks: usize) -> Vec<f64> {
    in_task(rt, async move {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                let duration = Duration::from_nanos(100_000_000 + (seed >> 20) % 1_000_000_000);
                R::spawn(lateness::<R>(duration))
            })
            .collect();
        let mut late = Vec::with_capacity(tasks);
        for handle in handles {
            late.push(handle.await.expect("the sleep does not end early"));
        }
        all_micros(late)
    })
}

/// Median overshoot of one sleep after the other, in microseconds.
fn overshoot<R: Rt>(rt: &R, duration: Duration, times: usize) -> f64 {
    in_task(rt, async move {
        let mut late = Vec::with_capacity(times);
        for _ in 0..times {
            late.push(lateness::<R>(duration).await);
        }
        median(&mut all_micros(late))
    })
}

/// Sleeps, and returns by how much too long.
async fn lateness<R: Rt>(duration: Duration) -> Duration {
    let start = Instant::now();
    R::sleep(duration).await;
    start
        .elapsed()
        .checked_sub(duration)
        .expect("a sleep never ends early")
}
