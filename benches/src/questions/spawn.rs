//! What does a task cost, from spawn to join?
//!
//! - `spawn_inside`, `spawn_inside_100k`: a task on a worker spawns 10,000 or 100,000 empty tasks, then joins them.
//! - `spawn_outside`, `spawn_outside_100k`: the same from the root future of `block_on`.
//! - `spawn_chain`: 1,000 tasks, each spawned by the one before it as its last act.
//! - `fork_join_tree`, `fork_join_tree_100k`: a binary tree of tasks with 10,000 or 100,000 leaves; each node joins its halves.
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

/// A workload: the runtime, how many tasks, how long it took.
pub type Workload<R> = fn(&R, usize) -> Duration;

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        question("spawn_inside", "ns/task", 0.30, inside, (10_000, 21)),
        question("spawn_inside_100k", "ns/task", 0.33, inside, (100_000, 5)),
        question("spawn_outside", "ns/task", 0.25, outside, (10_000, 21)),
        question("spawn_outside_100k", "ns/task", 0.30, outside, (100_000, 5)),
        question("spawn_chain", "ns/task", 0.24, chain, (1000, 301)),
        question("fork_join_tree", "ns/leaf", 0.35, tree, (10_000, 21)),
        question("fork_join_tree_100k", "ns/leaf", 0.50, tree, (100_000, 5)),
    ]
}

/// The time per task of `tasks`, the median of so many `times`.
fn question<R: Rt>(
    name: &str,
    unit: &'static str,
    goal: f64,
    workload: Workload<R>,
    (tasks, times): (usize, usize),
) -> Question<R> {
    Question::shared(
        name,
        [metric(name, unit, Goal::RatioAtMost(goal))],
        move |rt, effort| {
            let tasks = effort.pick(tasks, tasks / 100);
            vec![median_ns(effort.pick(times, 1), || workload(rt, tasks)) / tasks as f64]
        },
    )
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
