//! What does a task cost, from spawn to join?
//!
//! - `spawn_inside`: a task on a worker spawns 10,000 empty tasks, then joins them.
//! - `spawn_outside`: the same from the root future of `block_on`.
//! - `spawn_chain`: 1,000 tasks, each spawned by the one before it as its last act.
//! - `fork_join_tree`: a binary tree of tasks with 10,000 leaves; each node joins its halves.
//!
//! Read: nanoseconds per task, so lower is better. Joining checks that each task ran. The tasks are
//! empty, so that a scheduler which never wakes a second worker looks good here: see
//! [`guards`](super::guards) for that.

use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Goal, Question, metric};
use crate::rt::{Rt, in_task};
use crate::stats::median_ns;

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::shared(
            "spawn_inside",
            [metric("spawn_inside", "ns/task", Goal::RatioAtMost(0.40))],
            |rt, effort| {
                let tasks = effort.pick(10_000, 100);
                vec![median_ns(effort.pick(21, 1), || inside(rt, tasks)) / tasks as f64]
            },
        ),
        Question::shared(
            "spawn_outside",
            [metric("spawn_outside", "ns/task", Goal::RatioAtMost(0.35))],
            |rt, effort| {
                let tasks = effort.pick(10_000, 100);
                vec![median_ns(effort.pick(21, 1), || outside(rt, tasks)) / tasks as f64]
            },
        ),
        Question::shared(
            "spawn_chain",
            [metric("spawn_chain", "ns/task", Goal::RatioAtMost(0.30))],
            |rt, effort| {
                let tasks = effort.pick(1000, 10);
                vec![median_ns(effort.pick(301, 1), || chain(rt, tasks)) / tasks as f64]
            },
        ),
        Question::shared(
            "fork_join_tree",
            [metric("fork_join_tree", "ns/leaf", Goal::Watched)],
            |rt, effort| {
                let leaves = effort.pick(10_000, 100);
                vec![median_ns(effort.pick(21, 1), || tree(rt, leaves)) / leaves as f64]
            },
        ),
    ]
}

/// Spawns and joins empty tasks from inside a task.
pub fn inside<R: Rt>(rt: &R, tasks: usize) -> Duration {
    in_task(rt, spawn_and_join::<R>(tasks))
}

/// Spawns and joins empty tasks from the root future.
pub fn outside<R: Rt>(rt: &R, tasks: usize) -> Duration {
    rt.block_on(spawn_and_join::<R>(tasks))
}

async fn spawn_and_join<R: Rt>(tasks: usize) -> Duration {
    let start = Instant::now();
    let handles: Vec<_> = (0..tasks)
        .map(|index| R::spawn(async move { index }))
        .collect();
    for (index, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.await.expect("the task does not panic"), index);
    }
    start.elapsed()
}

/// Spawns tasks each of which spawns the next one.
pub fn chain<R: Rt>(rt: &R, tasks: usize) -> Duration {
    in_task(rt, async move {
        let start = Instant::now();
        let (end, ended) = oneshot::channel();
        link::<R>(tasks, end);
        ended.await.expect("the last task says so");
        start.elapsed()
    })
}

/// Spawns a task with `left` more to come.
fn link<R: Rt>(left: usize, end: oneshot::Sender<()>) {
    drop(R::spawn(async move {
        match left {
            0 => end.send(()).expect("the first task waits"),
            _ => link::<R>(left - 1, end),
        }
    }));
}

/// Forks down to `leaves` leaves and joins on the way back.
pub fn tree<R: Rt>(rt: &R, leaves: usize) -> Duration {
    in_task(rt, async move {
        let start = Instant::now();
        assert_eq!(fork::<R>(leaves).await, leaves);
        start.elapsed()
    })
}

/// One half becomes a task, the other one stays in this task.
fn fork<R: Rt>(leaves: usize) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return 1;
        }
        let half = R::spawn(fork::<R>(leaves / 2));
        let rest = fork::<R>(leaves - leaves / 2).await;
        rest + half.await.expect("the task does not panic")
    })
}
