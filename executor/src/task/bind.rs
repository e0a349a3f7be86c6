//! What models and tests make tasks with.

use std::future::Future;

use super::{JoinHandle, Meta, Owned, Runnable, Schedule, Unbound};

impl<S: Schedule> Owned<S> {
    /// Makes a task and takes it into the shard that `hint` chooses; ends it if the list is closed.
    pub(super) fn bind<F>(
        &self,
        future: F,
        meta: Meta,
        hint: usize,
    ) -> (JoinHandle<F::Output>, Option<Runnable>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (handle, task) = Unbound::new(future, meta);
        (handle, self.admit(task, hint).map_err(Unbound::cancel).ok())
    }
}
