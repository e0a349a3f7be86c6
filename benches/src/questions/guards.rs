//! Do cheap spawns and wakes cost parallelism?
//!
//! A scheduler that leaves everything to the worker which has it wins every benchmark of empty
//! tasks. These figures say what that would cost, so that the others count only beside them.
//!
//! - `fork_join_speed_up`: a task spawns 2,000 leaves of 10 µs of CPU work and joins them; the time
//!   on one worker divided by the time on two. The thread that waits is outside the runtime, so
//!   that a guest worker does not count as a third.
//! - `io_speed_up`: sixteen connections, both ends tasks of the runtime, each with 2,000 round trips of 64 bytes; the time on one
//!   worker divided by the time on two. A batch of events is work for less than 100 µs, so that a runtime which shares
//!   longer batches only stays on one core. `spawn_io` may bind tasks to workers.
//! - `imbalance`: a task spawns 10,000 tasks of 20 µs of CPU work and joins them; the wall time over the ideal, which is the
//!   time of all that work done by one thread, divided by the number of workers. That is measured right before and right after,
//!   so that the machine's clock rate does not count. The thread that waits is outside, too.
//! - `start_latency`: a task spawns another one and computes on for 1 ms; how long until the new
//!   one runs. Nothing else runs.
//! - `lifo_latency`: a task wakes another one and computes on for 1 ms; how long until that one
//!   runs. Two tasks that sleep 100 µs at a time keep the other worker coming and going.
//! - `lifo_latency_quiet`: the same with nothing else running: here a runtime that does not notify
//!   for the LIFO slot alone has nobody awake to steal from it.
//!
//! Read: speed-up, at most 2, higher is better; microseconds, median, lower is better.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as thread_channel;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::tcp::round_trips;
use super::wake::SelfWake;
use super::{Goal, Question, metric};
use crate::rt::{Rt, in_io_task};
use crate::stats::{all_micros, median};
use crate::table::WORKERS;
use crate::work;

/// How long a task computes on after it has spawned or woken another one.
const COMPUTE_ON: Duration = Duration::from_millis(1);

/// What else runs while a latency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// Two tasks that work for 20 µs and sleep for 100 µs.
    Tickers,
}

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::own(
            "fork_join_speed_up",
            [metric("fork_join_speed_up", "×", Goal::AtLeast(1.9))],
            |two, effort| {
                work::calibrate();
                let one = R::start(1);
                let (leaves, times) = effort.pick((2000, 9), (20, 1));
                // Alternating, so that a disturbance meets both.
                let mut speed_ups: Vec<f64> = (0..times)
                    .map(|_| {
                        let alone = fork_join(&one, leaves).as_secs_f64();
                        alone / fork_join(two, leaves).as_secs_f64()
                    })
                    .collect();
                vec![median(&mut speed_ups)]
            },
        ),
        Question::own(
            "io_speed_up",
            [metric("io_speed_up", "×", Goal::AtLeast(1.3))],
            |two, effort| {
                let one = R::start(1);
                let (trips, times) = effort.pick((2000, 5), (5, 1));
                let mut speed_ups: Vec<f64> = (0..times)
                    .map(|_| {
                        let alone = connections(&one, 16, trips).as_secs_f64();
                        alone / connections(two, 16, trips).as_secs_f64()
                    })
                    .collect();
                vec![median(&mut speed_ups)]
            },
        ),
        Question::own(
            "imbalance",
            [metric("imbalance", "wall/ideal", Goal::AtMost(1.02))],
            |rt, effort| {
                work::calibrate();
                let (chunks, times) = effort.pick((10_000, 5), (20, 1));
                let mut over: Vec<f64> = (0..times).map(|_| imbalance(rt, chunks)).collect();
                vec![median(&mut over)]
            },
        ),
        Question::own(
            "start_latency",
            [metric("start_latency", "µs p50", Goal::AtMost(100.0))],
            |rt, effort| {
                work::calibrate();
                vec![median(&mut start_latency(rt, effort.pick(300, 5)))]
            },
        ),
        Question::own(
            "lifo_latency",
            [metric("lifo_latency", "µs p50", Goal::AtMost(300.0))],
            |rt, effort| {
                work::calibrate();
                vec![median(&mut lifo_latency(
                    rt,
                    effort.pick(300, 5),
                    Beside::Tickers,
                ))]
            },
        ),
        Question::own(
            "lifo_latency_quiet",
            [metric("lifo_latency_quiet", "µs p50", Goal::Watched)],
            |rt, effort| {
                work::calibrate();
                vec![median(&mut lifo_latency(
                    rt,
                    effort.pick(300, 5),
                    Beside::Nothing,
                ))]
            },
        ),
    ]
}

/// Leaves of 10 µs of CPU work each, spawned and joined by one task.
pub fn fork_join<R: Rt>(rt: &R, leaves: usize) -> Duration {
    chunks(rt, leaves, Duration::from_micros(10))
}

/// So many connections at once, both ends tasks, with so many round trips each.
pub fn connections<R: Rt>(rt: &R, count: usize, trips: usize) -> Duration {
    let (tell, told) = thread_channel::channel();
    drop(rt.spawn_io_on(async move {
        let start = Instant::now();
        let ends: Vec<_> = (0..count)
            .map(|_| R::spawn_io(round_trips::<R>(trips)))
            .collect();
        for end in ends {
            end.await.expect("the task does not panic");
        }
        tell.send(start.elapsed()).expect("the thread waits");
    }));
    told.recv().expect("the task tells its time")
}

/// The wall time of chunks of 20 µs, spawned by one task, over the ideal.
pub fn imbalance<R: Rt>(rt: &R, count: usize) -> f64 {
    const CHUNK: Duration = Duration::from_micros(20);
    let half_alone = || {
        let start = Instant::now();
        for _ in 0..count / 2 {
            work::compute(CHUNK);
        }
        start.elapsed()
    };
    let before = half_alone();
    let wall = chunks(rt, count, CHUNK);
    let alone = before + half_alone();
    wall.as_secs_f64() / (alone.as_secs_f64() / WORKERS as f64)
}

/// Tasks of so much CPU work each, spawned and joined by one task.
fn chunks<R: Rt>(rt: &R, count: usize, work: Duration) -> Duration {
    let (tell, told) = thread_channel::channel();
    drop(rt.spawn_on(async move {
        let start = Instant::now();
        let handles: Vec<_> = (0..count)
            .map(|index| {
                R::spawn(async move {
                    work::compute(work);
                    index
                })
            })
            .collect();
        for (index, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.await.expect("the task does not panic"), index);
        }
        tell.send(start.elapsed()).expect("the thread waits");
    }));
    told.recv().expect("the task tells its time")
}

/// How long a task waits whose spawner computes on, in microseconds.
fn start_latency<R: Rt>(rt: &R, times: usize) -> Vec<f64> {
    in_io_task(rt, async move {
        let mut latencies = Vec::with_capacity(times);
        for _ in 0..times {
            let spawned = Instant::now();
            let started = R::spawn(async move { spawned.elapsed() });
            work::compute(COMPUTE_ON);
            latencies.push(started.await.expect("the task does not panic"));
            // Long enough for the other worker to find nothing and park.
            R::sleep(Duration::from_micros(500)).await;
        }
        all_micros(latencies)
    })
}

/// How long a task waits whose waker computes on, in microseconds.
fn lifo_latency<R: Rt>(rt: &R, times: usize, beside: Beside) -> Vec<f64> {
    in_io_task(rt, async move {
        let stop = Arc::new(AtomicBool::new(false));
        let tickers: Vec<_> = (0..if beside == Beside::Tickers { 2 } else { 0 })
            .map(|_| R::spawn_io(tick::<R>(stop.clone())))
            .collect();
        let (wake, mut woken) = mpsc::channel::<Instant>(1);
        let waiter = R::spawn(async move {
            let mut latencies = Vec::new();
            while let Some(sent) = woken.recv().await {
                latencies.push(sent.elapsed());
            }
            latencies
        });
        // Lets the waiter wait.
        R::sleep(Duration::from_millis(5)).await;
        for _ in 0..times {
            wake.send(Instant::now())
                .await
                .expect("the waiter receives");
            work::compute(COMPUTE_ON);
            SelfWake::default().await;
        }
        drop(wake);
        // Ordering: Relaxed, it only has to be seen some time.
        stop.store(true, Ordering::Relaxed);
        for ticker in tickers {
            ticker.await.expect("the ticker does not panic");
        }
        let latencies = waiter.await.expect("the waiter does not panic");
        assert_eq!(latencies.len(), times);
        all_micros(latencies)
    })
}

async fn tick<R: Rt>(stop: Arc<AtomicBool>) {
    // Ordering: Relaxed, it only has to be seen some time.
    while !stop.load(Ordering::Relaxed) {
        work::compute(Duration::from_micros(20));
        R::sleep(Duration::from_micros(100)).await;
    }
}
