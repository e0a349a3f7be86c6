//! What does it cost to make a task run again?
//!
//! - `ping_pairs`: 1,000 pairs of tasks at once; a oneshot there, a oneshot back.
//! - `ping_pair`: one pair alone, 2,000 messages there and back over a channel.
//! - `ping_100_pairs`: a hundred such pairs at once, 100 messages each.
//! - `yield_storm`: 1,000 tasks, each of which wakes itself 200 times.
//! - `remote_wake`: a thread outside the runtime wakes 10,000 waiting tasks.
//!
//! Read: nanoseconds per round trip, per yield or per woken task; lower is better. `ping_pair` is
//! the latency of one hand-over when nothing else runs; `yield_storm` is the worker's loop itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as thread_channel;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::{Goal, Question, metric};
use crate::rt::{Rt, in_task};
use crate::stats::median_ns;

/// How often each task of the storm wakes itself.
pub const YIELDS: usize = 200;

/// How many pairs send each other messages at once.
pub const PAIRS: usize = 100;

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::shared(
            "ping_pairs",
            [metric("ping_pairs", "ns/pair", Goal::RatioAtMost(0.70))],
            |rt, effort| {
                let pairs = effort.pick(1000, 10);
                vec![median_ns(effort.pick(51, 1), || ping_pairs(rt, pairs)) / pairs as f64]
            },
        ),
        Question::shared(
            "ping_pair",
            [metric(
                "ping_pair",
                "ns/round trip",
                Goal::RatioAtMost(0.60),
            )],
            |rt, effort| {
                let trips = effort.pick(2000, 20);
                vec![median_ns(effort.pick(21, 1), || ping_pair(rt, trips)) / trips as f64]
            },
        ),
        Question::shared(
            "ping_100_pairs",
            [metric(
                "ping_100_pairs",
                "ns/round trip",
                Goal::RatioAtMost(0.85),
            )],
            |rt, effort| {
                let trips = effort.pick(100, 2);
                let time = median_ns(effort.pick(21, 1), || ping_100_pairs(rt, trips));
                vec![time / (PAIRS * trips) as f64]
            },
        ),
        Question::shared(
            "yield_storm",
            [metric("yield_storm", "ns/yield", Goal::RatioAtMost(0.60))],
            |rt, effort| {
                let tasks = effort.pick(1000, 10);
                let time = median_ns(effort.pick(11, 1), || yield_storm(rt, tasks));
                vec![time / (tasks * YIELDS) as f64]
            },
        ),
        Question::shared(
            "remote_wake",
            [metric("remote_wake", "ns/task", Goal::RatioAtMost(0.80))],
            |rt, effort| {
                let tasks = effort.pick(10_000, 100);
                vec![median_ns(effort.pick(11, 1), || remote_wake(rt, tasks)) / tasks as f64]
            },
        ),
    ]
}

/// Wakes the task that polls it, once.
#[derive(Debug, Default)]
pub struct SelfWake {
    /// Set by the first poll.
    woken: bool,
}

impl Future for SelfWake {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.woken {
            return Poll::Ready(());
        }
        self.woken = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Pairs of tasks, all at once: a oneshot there and a oneshot back.
pub fn ping_pairs<R: Rt>(rt: &R, pairs: usize) -> Duration {
    in_task(rt, async move {
        let start = Instant::now();
        let handles: Vec<_> = (0..pairs)
            .map(|index| R::spawn(ping_once::<R>(index)))
            .collect();
        for (index, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.await.expect("the task does not panic"), index);
        }
        start.elapsed()
    })
}

async fn ping_once<R: Rt>(value: usize) -> usize {
    let (ping, pinged) = oneshot::channel();
    let (pong, ponged) = oneshot::channel();
    drop(R::spawn(async move {
        let value = pinged.await.expect("the other task sends");
        pong.send(value).expect("the other task waits");
    }));
    ping.send(value).expect("the new task waits");
    ponged.await.expect("the new task sends")
}

/// One pair of tasks, messages there and back.
pub fn ping_pair<R: Rt>(rt: &R, trips: usize) -> Duration {
    in_task(rt, round_trips::<R>(trips))
}

/// [`PAIRS`] pairs of tasks at once, each as in [`ping_pair`].
pub fn ping_100_pairs<R: Rt>(rt: &R, trips: usize) -> Duration {
    in_task(rt, async move {
        let start = Instant::now();
        let pairs: Vec<_> = (0..PAIRS)
            .map(|_| R::spawn(round_trips::<R>(trips)))
            .collect();
        for pair in pairs {
            pair.await.expect("the task does not panic");
        }
        start.elapsed()
    })
}

/// Sends numbers to a new task, which sends each one back.
pub async fn round_trips<R: Rt>(trips: usize) -> Duration {
    let (ping, mut pinged) = mpsc::channel(1);
    let (pong, mut ponged) = mpsc::channel(1);
    let echo = R::spawn(async move {
        while let Some(value) = pinged.recv().await {
            pong.send(value).await.expect("the other task receives");
        }
    });
    let start = Instant::now();
    for value in 0..trips {
        ping.send(value).await.expect("the new task receives");
        assert_eq!(ponged.recv().await, Some(value));
    }
    let time = start.elapsed();
    drop(ping);
    echo.await.expect("the task does not panic");
    time
}

/// Tasks that wake themselves [`YIELDS`] times each.
pub fn yield_storm<R: Rt>(rt: &R, tasks: usize) -> Duration {
    yields(rt, tasks, YIELDS)
}

/// Tasks that wake themselves `each` times.
pub fn yields<R: Rt>(rt: &R, tasks: usize, each: usize) -> Duration {
    in_task(rt, async move {
        let start = Instant::now();
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                R::spawn(async move {
                    for _ in 0..each {
                        SelfWake::default().await;
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.await.expect("the task does not panic");
        }
        start.elapsed()
    })
}

/// A thread without a runtime wakes waiting tasks; ends when the last one has run.
pub fn remote_wake<R: Rt>(rt: &R, tasks: usize) -> Duration {
    let left = Arc::new(AtomicUsize::new(tasks));
    let (last, ended) = thread_channel::channel();
    let wakers: Vec<_> = in_task(rt, async move {
        let (waiting, mut all_wait) = mpsc::channel(tasks);
        let wakers = (0..tasks)
            .map(|_| {
                let (wake, woken) = oneshot::channel::<()>();
                let (left, last, waiting) = (left.clone(), last.clone(), waiting.clone());
                drop(R::spawn(async move {
                    waiting.try_send(()).expect("there is room for each task");
                    drop(waiting);
                    woken.await.expect("the thread sends");
                    // Ordering: Relaxed, a counter; the channel publishes the end.
                    if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                        last.send(()).expect("the thread waits");
                    }
                }));
                wake
            })
            .collect();
        drop(waiting);
        while all_wait.recv().await.is_some() {}
        wakers
    });
    let start = Instant::now();
    for wake in wakers {
        wake.send(()).expect("each task waits");
    }
    ended.recv().expect("the last task says so");
    start.elapsed()
}
