//! The right to poll a task once, and what a scheduler is given of it.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

use super::error::Reason;
use super::raw::RawTask;
use super::{Id, Schedule};
use crate::sync::thread_local;

/// The unique right to poll a task, which exists only while the task is scheduled. One word.
///
/// Dropping it cancels the task.
pub(crate) struct Runnable(RawTask);

// SAFETY: the future is `Send`, or whoever bound the task keeps its runnable on one thread (T7); the rest of the cell
// is made for several threads.
unsafe impl Send for Runnable {}

// SAFETY: what a shared runnable gives access to never changes or is atomic.
unsafe impl Sync for Runnable {}

/// How a runnable was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// The future was ready.
    Completed,
    /// The future panicked, when polled or when dropped.
    Panicked,
    /// The task had been cancelled: the future was dropped.
    Cancelled,
    /// The task waits for a wake.
    Pending,
    /// It was woken while it was polled, and has been scheduled again.
    Yielded,
}

thread_local! {
    /// The runnables dropped on this thread while one is being dropped already; `None` if none is.
    static DROPPED: RefCell<Option<Vec<Runnable>>> = const { RefCell::new(None) };
}

impl Runnable {
    /// Takes over the right to poll.
    ///
    /// # Safety
    ///
    /// It exists (T3) and the caller has it.
    #[inline]
    pub(super) unsafe fn from_raw(task: RawTask) -> Runnable {
        Runnable(task)
    }

    /// Gives the right to poll out of hand, for [`from_raw`](Runnable::from_raw).
    #[inline]
    pub(super) fn into_raw(self) -> RawTask {
        ManuallyDrop::new(self).0
    }

    /// The task, without the right to poll it.
    #[inline]
    pub(super) fn as_raw(&self) -> RawTask {
        self.0
    }

    /// Polls the task once, or drops its future if it has been cancelled. Never panics: a panic of the future goes to
    /// the join handle. If the task wakes itself, it is scheduled again, as [`Cause::Yielded`](super::Cause::Yielded).
    #[inline]
    pub(crate) fn run(self) -> Polled {
        // SAFETY: a runnable is the right to do this, and `into_raw` gives it away.
        unsafe { self.into_raw().run() }
    }

    /// Cancels the task and drops its future, here and now.
    pub(crate) fn cancel(self, reason: Reason) -> Polled {
        let header = self.0;
        // SAFETY: the runnable keeps the cell (T1).
        let header = unsafe { header.header() };
        header.word.set_reason(reason);
        header.state.mark_cancelled();
        self.run()
    }

    /// The identity of the task.
    pub(crate) fn id(&self) -> Id {
        // SAFETY: the runnable keeps the cell (T1).
        unsafe { self.0.header() }.id
    }

    /// Who spawned the task.
    pub(crate) fn location(&self) -> &'static Location<'static> {
        // SAFETY: the runnable keeps the cell (T1).
        unsafe { self.0.header() }.origin.location()
    }

    /// What the user calls the task.
    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: the runnable keeps the cell (T1).
        unsafe { self.0.header() }.origin.name()
    }

    /// The word, by which [`Owned::find`](super::Owned::find) finds the task while it is in its list. Index and shard
    /// in it stay what they are.
    #[inline]
    pub(crate) fn word(&self) -> u64 {
        // SAFETY: the runnable keeps the cell (T1).
        unsafe { self.0.header() }.word.get()
    }

    /// Bits for the scheduler's own use, 0 at first. While the task is polled, others may change them.
    #[inline]
    pub(crate) fn conduct(&self) -> u8 {
        // SAFETY: the runnable keeps the cell (T1).
        unsafe { self.0.header() }.word.conduct()
    }

    /// Sets some of the bits for the scheduler's own use.
    #[inline]
    pub(crate) fn add_conduct(&self, bits: u8) {
        // SAFETY: the runnable keeps the cell (T1).
        unsafe { self.0.header() }.word.add_conduct(bits);
    }

    /// Unsets some of the bits for the scheduler's own use.
    #[inline]
    pub(crate) fn remove_conduct(&self, bits: u8) {
        // SAFETY: the runnable keeps the cell (T1).
        unsafe { self.0.header() }.word.remove_conduct(bits);
    }

    /// Notes that the task's life begins now: to be called once, at the end of its first poll. Reads the clock.
    #[cold]
    pub(crate) fn set_born(&self) {
        // SAFETY: the runnable keeps the cell (T1).
        unsafe { self.0.header() }.born.set();
    }

    /// Whether the task has been cancelled: [`run`](Runnable::run) then drops its future.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        // SAFETY: the runnable keeps the cell (T1).
        unsafe { self.0.header() }.state.load().is_cancelled()
    }
}

impl Drop for Runnable {
    /// Cancels the task: its future is dropped here, or, if that would nest, once the outermost drop of a runnable on
    /// this thread is done.
    fn drop(&mut self) {
        // SAFETY: this value is not used again.
        let runnable = unsafe { Runnable::from_raw(self.0) };
        let mut waiting = Some(runnable);
        // During the end of the thread, when its thread-locals are gone, nothing is deferred.
        let outermost = DROPPED.try_with(|dropped| {
            let mut dropped = dropped.borrow_mut();
            match &mut *dropped {
                Some(later) => {
                    later.extend(waiting.take());
                    false
                }
                None => {
                    *dropped = Some(Vec::new());
                    true
                }
            }
        });
        let Some(runnable) = waiting else { return };
        runnable.cancel(Reason::Cancelled);
        if let Ok(true) = outermost {
            while let Some(next) = next_dropped() {
                next.cancel(Reason::Cancelled);
            }
        }
    }
}

/// The next runnable whose drop was deferred; once there is none, this ends the outermost drop.
fn next_dropped() -> Option<Runnable> {
    DROPPED.with(|dropped| {
        let mut dropped = dropped.borrow_mut();
        let next = dropped.as_mut().and_then(Vec::pop);
        if next.is_none() {
            *dropped = None;
        }
        next
    })
}

impl fmt::Debug for Runnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runnable")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("location", &self.location())
            .finish_non_exhaustive()
    }
}

/// A runnable on its way to its scheduler, and the access to that scheduler.
#[derive(Debug)]
pub(crate) struct Scheduled<S> {
    /// The runnable, by which the scheduler is known to live (T4).
    task: Runnable,
    /// The scheduler's type.
    scheduler: PhantomData<fn(Arc<S>)>,
}

impl<S: Schedule> Scheduled<S> {
    /// Wraps a runnable.
    ///
    /// # Safety
    ///
    /// Its task is in a list of an `S` and has not left it.
    #[inline]
    pub(super) unsafe fn new(task: Runnable) -> Scheduled<S> {
        Scheduled {
            task,
            scheduler: PhantomData,
        }
    }

    /// The scheduler, for as long as the runnable stays here.
    #[inline]
    pub(crate) fn scheduler(&self) -> &S {
        // SAFETY: the runnable keeps the cell (T1).
        let header = unsafe { self.task.0.header() };
        // SAFETY: the task is in a list of this `S` and cannot leave it while we hold its runnable.
        unsafe { header.scheduler() }
    }

    /// The scheduler, for longer than the runnable stays here.
    pub(crate) fn keep(&self) -> Arc<S> {
        // SAFETY: the runnable keeps the cell (T1).
        let header = unsafe { self.task.0.header() };
        // Not from a reference: that would lead to the `S` only, not to the count beside it.
        let scheduler = header.scheduler_ptr::<S>();
        // SAFETY: the pointer came from `Arc::as_ptr` in `Owned::adopt`, and the list holds one strong count (T4).
        unsafe { Arc::increment_strong_count(scheduler) };
        // SAFETY: the count added above is ours.
        unsafe { Arc::from_raw(scheduler) }
    }

    /// Ends the access to the scheduler.
    #[inline]
    pub(crate) fn into_runnable(self) -> Runnable {
        self.task
    }
}

impl<S> Deref for Scheduled<S> {
    type Target = Runnable;

    fn deref(&self) -> &Runnable {
        &self.task
    }
}
