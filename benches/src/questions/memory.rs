//! How much memory does a waiting task take?
//!
//! - `memory_pending`: 100,000 tasks, each waiting for a message on a oneshot channel.
//! - `memory_sleeping`: 100,000 tasks, each asleep for an hour.
//!
//! Read: growth of the process's resident memory in bytes per task; lower is better. It includes
//! the join handles' 8 bytes, the channels' cells, and what the allocator rounds up.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Goal, Question, metric};
use crate::process;
use crate::rt::{Rt, in_io_task};

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::own(
            "memory_pending",
            [metric("memory_pending", "bytes/task", Goal::AtMost(140.0))],
            |rt, effort| vec![pending(rt, effort.pick(100_000, 1000))],
        ),
        Question::own(
            "memory_sleeping",
            [metric("memory_sleeping", "bytes/task", Goal::AtMost(220.0))],
            |rt, effort| vec![sleeping(rt, effort.pick(100_000, 1000))],
        ),
    ]
}

/// Bytes per task that waits for a message.
fn pending<R: Rt>(rt: &R, tasks: usize) -> f64 {
    in_io_task(rt, async move {
        let mut wakers = Vec::with_capacity(tasks);
        let growth = grow::<R, _>(tasks, || {
            let (wake, woken) = oneshot::channel::<()>();
            wakers.push(wake);
            async move { woken.await.is_ok() }
        })
        .await;
        assert!(
            wakers.iter().all(|wake| !wake.is_closed()),
            "each task still waits"
        );
        growth
    })
}

/// Bytes per task that sleeps.
fn sleeping<R: Rt>(rt: &R, tasks: usize) -> f64 {
    in_io_task(rt, async move {
        grow::<R, _>(tasks, || async {
            R::sleep(Duration::from_secs(3600)).await;
            true
        })
        .await
    })
}

/// Spawns tasks, waits until each one has begun, and returns by how much the memory has grown.
async fn grow<R: Rt, F>(tasks: usize, mut wait: impl FnMut() -> F) -> f64
where
    F: Future<Output = bool> + Send + 'static,
{
    let (begun, mut all_begun) = mpsc::unbounded_channel::<()>();
    let mut handles = Vec::with_capacity(tasks);
    let before = process::resident_bytes();
    for _ in 0..tasks {
        let begun = begun.clone();
        let wait = wait();
        handles.push(R::spawn_io(async move {
            drop(begun);
            wait.await
        }));
    }
    drop(begun);
    // Ends when the last task has dropped its sender.
    while all_begun.recv().await.is_some() {}
    // The last of them still has to poll what it waits for.
    R::sleep(Duration::from_millis(20)).await;
    let growth = process::resident_bytes().saturating_sub(before);
    drop(handles);
    growth as f64 / tasks as f64
}
