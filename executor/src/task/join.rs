//! The handles by which the outside follows a task.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::raw::RawTask;
use super::{Id, JoinError};
use crate::budget;

/// Awaits the output of a task.
///
/// Dropping the handle *detaches* the task: it runs on, and nobody can join it any more. To end it, call
/// [`abort`](JoinHandle::abort).
///
/// Awaiting gives `Ok` with the output, or a [`JoinError`] if the task panicked or was cancelled.
///
/// # Panics
///
/// Polling the handle again after it has returned the output panics.
///
/// # Cancel safety
///
/// Nothing is lost if awaiting `&mut handle` is given up: the output stays with the task.
pub struct JoinHandle<T> {
    /// The task; the handle has one reference.
    task: RawTask,
    /// The handle owns the output once there is one.
    output: PhantomData<T>,
}

// SAFETY: the handle reads or drops the output, which is `Send`, on whatever thread it is; the rest of the cell is made
// for several threads (T7).
unsafe impl<T: Send> Send for JoinHandle<T> {}

// SAFETY: a shared handle gives access to atomics only.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

/// A panic of the task is stored, and what user code can see through a handle is never half-changed.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

/// The output lies in the cell, not in the handle.
impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// Takes the join handle's reference over.
    ///
    /// # Safety
    ///
    /// The task was just made, has this output type, and no handle yet.
    #[inline]
    pub(super) unsafe fn from_raw(task: RawTask) -> JoinHandle<T> {
        JoinHandle {
            task,
            output: PhantomData,
        }
    }

    /// Asks the task to end.
    ///
    /// Its future is dropped by the runtime soon after, at the `.await` where it stands; the handle then gives a
    /// [`JoinError`] whose `is_cancelled` is true. If the task completes first, its output stands and nothing happens. A
    /// task that is being polled finishes that poll. A blocking job can be aborted only before it begins.
    pub fn abort(&self) {
        // SAFETY: the handle has a reference.
        unsafe { self.task.abort() }
    }

    /// Returns whether the task has completed, panicked or been cancelled.
    ///
    /// After `abort` it can still be false for a while.
    pub fn is_finished(&self) -> bool {
        // SAFETY: the handle has a reference.
        unsafe { self.task.header() }.state.load().is_complete()
    }

    /// Returns a handle that can abort the task but not await it.
    pub fn abort_handle(&self) -> AbortHandle {
        // SAFETY: the handle has a reference.
        unsafe { AbortHandle::of(self.task) }
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        // SAFETY: the handle has a reference.
        unsafe { self.task.header() }.id
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: this is the join handle, exclusively borrowed.
        let complete = unsafe { self.task.poll_join(cx.waker()) };
        if !complete {
            return Poll::Pending;
        }
        ready!(budget::spend(cx));
        // SAFETY: this is the join handle, the task is complete, and its output is a `T` (T6).
        Poll::Ready(unsafe { self.task.take_output() })
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle ends here.
        unsafe { self.task.drop_join() }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// Aborts a task, without awaiting it.
///
/// The task runs on if the handle is dropped.
pub struct AbortHandle {
    /// The task; the handle has one reference.
    task: RawTask,
}

// SAFETY: the handle gives access to atomics only, and freeing a cell cares for no thread (T7).
unsafe impl Send for AbortHandle {}

// SAFETY: as above.
unsafe impl Sync for AbortHandle {}

impl UnwindSafe for AbortHandle {}
impl RefUnwindSafe for AbortHandle {}

impl AbortHandle {
    /// Makes one more reference to a task.
    ///
    /// # Safety
    ///
    /// The caller has a reference.
    unsafe fn of(task: RawTask) -> AbortHandle {
        // SAFETY: the caller's reference keeps the cell (T1).
        unsafe { task.header() }.state.retain();
        AbortHandle { task }
    }

    /// Asks the task to end; see [`JoinHandle::abort`].
    pub fn abort(&self) {
        // SAFETY: the handle has a reference.
        unsafe { self.task.abort() }
    }

    /// Returns whether the task has completed, panicked or been cancelled.
    pub fn is_finished(&self) -> bool {
        // SAFETY: the handle has a reference.
        unsafe { self.task.header() }.state.load().is_complete()
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        // SAFETY: the handle has a reference.
        unsafe { self.task.header() }.id
    }
}

impl Clone for AbortHandle {
    fn clone(&self) -> AbortHandle {
        // SAFETY: this handle has a reference.
        unsafe { AbortHandle::of(self.task) }
    }
}

impl Drop for AbortHandle {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle's reference ends here.
        unsafe { self.task.release() }
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
