//! The functions that start a task on the current runtime.

use super::{JoinHandle, location};
use crate::runtime::NO_RUNTIME;
use std::future::Future;

/// The executor of the current runtime.
#[track_caller]
pub(super) fn current() -> executor::Handle {
    match executor::Handle::try_current() {
        Some(handle) => handle,
        None => panic!("{NO_RUNTIME}"),
    }
}

/// Spawns a future as a task of the current runtime.
///
/// The task starts at once, perhaps on another thread before this call returns. Dropping the handle detaches it.
///
/// # Examples
///
/// ```
/// runtime::block_on(async {
///     let tasks: Vec<_> = (0..3).map(|n| runtime::spawn(async move { n * n })).collect();
///     let mut sum = 0;
///     for task in tasks {
///         sum += task.await.expect("no panic");
///     }
///     assert_eq!(sum, 5);
/// });
/// ```
///
/// # Panics
///
/// Outside a runtime.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match executor::Handle::spawn_current(future, location()) {
        Some(task) => task,
        None => panic!("{NO_RUNTIME}"),
    }
}

/// Runs a closure that blocks, or computes for long, on a pool of threads made for that.
///
/// The pool grows to at most `max_blocking_threads` (512); further closures wait in a queue, first in first out. Aborting
/// the handle takes effect only before the closure has begun. When the runtime shuts down, closures that have not begun are
/// dropped, and `drop` waits for those that have.
///
/// # Examples
///
/// ```
/// runtime::block_on(async {
///     let sum = runtime::task::spawn_blocking(|| (1..=1_000_000_u64).sum::<u64>());
///     assert_eq!(sum.await.expect("no panic"), 500_000_500_000);
/// });
/// ```
///
/// # Panics
///
/// Outside a runtime.
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    current().spawn_blocking(f, location(), None)
}

/// Runs a closure that blocks, on this thread, while another thread takes over its place as a worker.
///
/// What was queued on this worker goes to the others first. The closure may call
/// [`Handle::block_on`](crate::runtime::Handle::block_on). Other branches of the same task (of a `join!`, say) wait until it returns;
/// [`spawn_blocking`] has no such limit. At most 128 workers are replaced at a time.
///
/// # Examples
///
/// ```
/// runtime::block_on(async {
///     let task = runtime::spawn(async {
///         let sum: u64 = runtime::task::block_in_place(|| (1..=1_000_u64).sum());
///         sum
///     });
///     assert_eq!(task.await.expect("no panic"), 500_500);
/// });
/// ```
///
/// # Panics
///
/// On a current-thread runtime, and inside a [`LocalSet`](super::LocalSet): no other thread could take over.
#[track_caller]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    executor::block_in_place(f)
}
