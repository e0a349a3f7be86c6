//! One atomic place for a runnable: the LIFO slot of a worker, from which others may steal.

use std::fmt;
use std::ptr::{self, NonNull};

use super::raw::{Header, RawTask};
use super::runnable::Runnable;
use crate::sync::{AtomicPtr, Ordering, bug};

use Ordering::{Acquire, Relaxed, Release};

/// A place that holds one runnable or none. Any thread may put and take; what is put is taken once.
pub(crate) struct AtomicRunnable(
    /// The task whose runnable is here, or null.
    AtomicPtr<Header>,
);

impl AtomicRunnable {
    /// An empty place.
    pub(crate) fn new() -> AtomicRunnable {
        AtomicRunnable(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts `runnable` here and returns the one that it displaces. Only the owner of the slot puts.
    #[inline]
    pub(crate) fn put(&self, runnable: Runnable) -> Option<Runnable> {
        // Ordering: Release pairs with the Acquire of whoever takes it: that thread sees the runnable as we do. The one that is
        // displaced was put by the owner too.
        let order = if bug::CELL_SLOT_RELAXED.is_on() {
            Relaxed
        } else {
            Release
        };
        let displaced = self.0.swap(runnable.into_raw().as_ptr(), order);
        // SAFETY: the swap took the pointer out.
        unsafe { from_ptr(displaced) }
    }

    /// Takes the runnable out.
    #[inline]
    pub(crate) fn take(&self) -> Option<Runnable> {
        if self.is_empty() {
            return None;
        }
        // Ordering: Acquire pairs with the Release in `put`.
        let taken = self.0.swap(ptr::null_mut(), Acquire);
        // SAFETY: the swap took the pointer out.
        unsafe { from_ptr(taken) }
    }

    /// Whether nothing is here at this moment.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: a look that saves the swap; who must not miss a runnable has a fence of its own around it.
        self.0.load(Relaxed).is_null()
    }
}

/// The runnable behind a pointer that came out of a place.
///
/// # Safety
///
/// `task` was put by [`AtomicRunnable::put`] and taken by a swap, or is null.
#[inline]
unsafe fn from_ptr(task: *mut Header) -> Option<Runnable> {
    let task = RawTask::from(NonNull::new(task)?);
    // SAFETY: `put` gave the right to poll away, and only one swap takes the pointer out.
    Some(unsafe { Runnable::from_raw(task) })
}

impl Drop for AtomicRunnable {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl fmt::Debug for AtomicRunnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicRunnable")
            .field("is_empty", &self.is_empty())
            .finish()
    }
}
