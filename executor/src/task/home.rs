//! How a cell reaches its scheduler: as a task in a list, or, as a job, not at all.

use std::mem;
use std::sync::Arc;

use super::owned::Owned;
use super::raw::RawTask;
use super::runnable::{Polled, Runnable, Scheduled};
use super::{Cause, Listed, Schedule, word};

/// How a cell reaches its scheduler: through a list, or not at all.
pub(super) trait Home: 'static {
    /// What must stay alive until the task is complete although it has left the list.
    type Keep;

    /// Takes a runnable to the scheduler.
    ///
    /// # Safety
    ///
    /// The task has not left its list.
    unsafe fn schedule(runnable: Runnable, cause: Cause);

    /// Shows the scheduler a task after a poll.
    ///
    /// # Safety
    ///
    /// The caller polls the task.
    unsafe fn polled(task: RawTask);

    /// Tells the scheduler that the task ends without an output.
    ///
    /// # Safety
    ///
    /// The caller polls the task, which has not left its list.
    unsafe fn failed(task: RawTask, polled: Polled);

    /// Takes the task out of the list.
    ///
    /// # Safety
    ///
    /// The caller polls the task, is about to complete it and calls this once.
    unsafe fn leave(task: RawTask) -> Self::Keep;
}

impl<S: Schedule> Home for Listed<S> {
    type Keep = Option<Arc<S>>;

    #[inline]
    unsafe fn schedule(runnable: Runnable, cause: Cause) {
        // SAFETY: the cell was made for a list of an `S` (T6), and the caller answers for the rest.
        S::schedule(unsafe { Scheduled::new(runnable) }, cause);
    }

    #[inline]
    unsafe fn polled(task: RawTask) {
        // SAFETY: the caller polls the task, so the right is here; we do not let the value end.
        let runnable = mem::ManuallyDrop::new(unsafe { Runnable::from_raw(task) });
        // SAFETY: the caller's right to poll keeps the cell (T1).
        let header = unsafe { task.header() };
        // SAFETY: the caller polls the task, which has not left its list.
        unsafe { header.scheduler::<S>() }.polled(&runnable);
    }

    #[cold]
    unsafe fn failed(task: RawTask, polled: Polled) {
        // SAFETY: the caller's right to poll keeps the cell (T1).
        let header = unsafe { task.header() };
        if word::index(header.word.get()) == word::NOWHERE {
            return;
        }
        // SAFETY: the caller polls the task, which is in its list.
        unsafe { header.scheduler::<S>() }.failed(polled);
    }

    #[inline]
    unsafe fn leave(task: RawTask) -> Option<Arc<S>> {
        // SAFETY: the caller's right to poll keeps the cell (T1).
        let header = unsafe { task.header() };
        // Index and shard were written when the task was bound, before its first runnable went anywhere.
        let word = header.word.get();
        let index = word::index(word);
        if index == word::NOWHERE {
            return None;
        }
        // SAFETY: the caller polls the task, which is still in its list.
        let list: *const Owned<S> = unsafe { header.scheduler::<S>() }.owned();
        // SAFETY: the task is in that list, at this place, and leaves it here.
        unsafe { Owned::leave(list, word::shard(word), index) }
    }
}

/// The home of jobs, which are in no list and never wait: their one runnable is made with them.
pub(super) struct Unlisted;

impl Home for Unlisted {
    type Keep = ();

    #[inline]
    unsafe fn schedule(runnable: Runnable, _: Cause) {
        // A job never waits, so nobody wakes it; if it ever came here, to cancel it would be the right end.
        debug_assert!(false, "a job is polled once");
        drop(runnable);
    }

    #[inline]
    unsafe fn polled(_: RawTask) {}

    #[inline]
    unsafe fn failed(_: RawTask, _: Polled) {}

    #[inline]
    unsafe fn leave(_: RawTask) {}
}
