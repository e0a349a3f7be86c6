//! Starts tasks that have a name.

use super::{JoinHandle, location, spawn::current};
use crate::runtime::Handle;
use std::future::Future;
use std::io;

/// Starts a task with a name, by which reports and task lists show it.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # runtime::block_on(async {
/// let task = runtime::task::Builder::new()
///     .name("answer")
///     .spawn(async { 6 * 7 })?;
/// assert_eq!(task.await.expect("no panic"), 42);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug, Default, Clone)]
pub struct Builder<'a> {
    /// What the user calls the task.
    name: Option<&'a str>,
}

impl<'a> Builder<'a> {
    /// Begins a task without a name.
    pub fn new() -> Builder<'a> {
        Builder::default()
    }

    /// Names the task.
    pub fn name(&self, name: &'a str) -> Builder<'a> {
        Builder { name: Some(name) }
    }

    fn owned_name(&self) -> Option<Box<str>> {
        self.name.map(Into::into)
    }

    /// Spawns the task on the current runtime; see [`spawn`](fn@crate::task::spawn).
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Ok(current().spawn(future, location(), self.owned_name()))
    }

    /// Spawns the task on the runtime of `handle`.
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Ok(handle.executor.spawn(future, location(), self.owned_name()))
    }

    /// Spawns the task on the current [`LocalSet`](super::LocalSet); see [`spawn_local`](super::spawn_local).
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    ///
    /// # Panics
    ///
    /// Outside a `LocalSet`.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(executor::task::spawn_local_at(
            future,
            location(),
            self.owned_name(),
        ))
    }

    /// Runs a closure that blocks; see [`spawn_blocking`](super::spawn_blocking).
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<F, R>(self, f: F) -> io::Result<JoinHandle<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        Ok(current().spawn_blocking(f, location(), self.owned_name()))
    }

    /// Runs a closure that blocks on the pool of the runtime of `handle`.
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    #[track_caller]
    pub fn spawn_blocking_on<F, R>(self, f: F, handle: &Handle) -> io::Result<JoinHandle<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        Ok(handle
            .executor
            .spawn_blocking(f, location(), self.owned_name()))
    }
}
