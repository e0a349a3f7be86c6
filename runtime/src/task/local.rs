//! Tasks that stay on one thread.

use super::JoinHandle;
use crate::runtime::Runtime;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Spawns a future that need not be `Send` as a task of the [`LocalSet`] that this thread drives.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = runtime::Runtime::new()?;
/// let set = runtime::task::LocalSet::new();
/// set.block_on(&runtime, async {
///     let text = Rc::new("not Send");
///     let task = runtime::task::spawn_local(async move { text.len() });
///     assert_eq!(task.await.expect("no panic"), 8);
/// });
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Outside a `LocalSet`.
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    executor::task::spawn_local(future)
}

/// A set of tasks that all run on the thread that made it, so that their futures need not be `Send`.
///
/// The tasks run while the set is driven: inside [`block_on`](LocalSet::block_on), while
/// [`run_until`](LocalSet::run_until) is awaited, or while the set itself is, which completes when all tasks have. Dropping the
/// set drops its tasks.
///
/// [`block_in_place`](super::block_in_place) panics in its tasks: no other thread could take over.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = runtime::Runtime::new()?;
/// let set = runtime::task::LocalSet::new();
/// let count = Rc::new(Cell::new(0));
/// for _ in 0..10 {
///     let count = Rc::clone(&count);
///     set.spawn_local(async move { count.set(count.get() + 1) });
/// }
/// runtime.block_on(set);
/// assert_eq!(count.get(), 10);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct LocalSet {
    /// The executor's own.
    set: executor::LocalSet,
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.set.fmt(f)
    }
}

impl LocalSet {
    /// Makes an empty set, bound to the calling thread.
    pub fn new() -> LocalSet {
        LocalSet::default()
    }

    /// Makes this the set that [`spawn_local`] finds, while the guard lives.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let set = runtime::task::LocalSet::new();
    /// let task = {
    ///     let _entered = set.enter();
    ///     runtime::task::spawn_local(async { "in the set" })
    /// };
    /// let runtime = runtime::Runtime::new()?;
    /// assert_eq!(set.block_on(&runtime, task).expect("no panic"), "in the set");
    /// # Ok(())
    /// # }
    /// ```
    pub fn enter(&self) -> super::LocalEnterGuard {
        self.set.enter()
    }

    /// Spawns a task onto the set; it runs when the set is driven.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.set.spawn_local(future)
    }

    /// Drives the set on `runtime` while `future` is pending, and returns its output.
    ///
    /// # Panics
    ///
    /// As [`Runtime::block_on`].
    #[track_caller]
    pub fn block_on<F: Future>(&self, runtime: &Runtime, future: F) -> F::Output {
        runtime.block_on(self.run_until(future))
    }

    /// Drives the set while `future` is pending, and returns its output.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::rc::Rc;
    /// use runtime::task::{LocalSet, spawn_local};
    ///
    /// #[runtime::main]
    /// async fn main() {
    ///     let set = LocalSet::new();
    ///     let length = set.run_until(async {
    ///         let text = Rc::new("not Send");
    ///         spawn_local(async move { text.len() }).await
    ///     });
    ///     assert_eq!(length.await.expect("no panic"), 8);
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, `future` is; the tasks stay in the set, and go on when it is driven again.
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        self.set.run_until(future).await
    }
}

impl Future for LocalSet {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.set).poll(cx)
    }
}
