//! What a cell holds besides its header: the future, and later how it ended.
//!
//! Nothing in the stage says which of the two it is; the phase of the task does (T2). A discriminant would be a word
//! more in most cells.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;

use super::error::Payload;

/// The future, or how it ended. Dropping it drops neither.
#[repr(C)]
pub(super) union Stage<F: Future> {
    /// The future, pinned here until it is dropped.
    future: ManuallyDrop<F>,
    /// What has become of it.
    outcome: ManuallyDrop<Outcome<F::Output>>,
}

/// What has become of a future.
pub(super) enum Outcome<T> {
    /// It was ready.
    Output(T),
    /// It was dropped before that.
    Cancelled,
    /// It panicked. Boxed twice for one word instead of two: panics are rare, and cells should be small.
    Panicked(Box<Payload>),
    /// Who was to have one of those has taken it.
    Taken,
}

impl<F: Future> Stage<F> {
    /// Holds the future.
    #[inline]
    pub(super) fn new(future: F) -> Stage<F> {
        Stage {
            future: ManuallyDrop::new(future),
        }
    }

    /// The future.
    ///
    /// # Safety
    ///
    /// It is here, and nobody else uses the stage as long as the answer is used. The stage does not move until the
    /// future has been dropped.
    #[inline]
    pub(super) unsafe fn future<'a>(stage: *mut Stage<F>) -> Pin<&'a mut F> {
        // SAFETY: the caller says that the stage holds a future, and is its only user. A union begins with its field.
        let future = unsafe { &mut *stage.cast::<F>() };
        // SAFETY: the stage does not move, and the future leaves it only by being dropped in place.
        unsafe { Pin::new_unchecked(future) }
    }

    /// Drops the future. Should that panic, it counts as dropped.
    ///
    /// # Safety
    ///
    /// It is here, and nobody else uses the stage. Afterwards only [`finish`](Stage::finish) may be called.
    #[inline]
    pub(super) unsafe fn drop_future(stage: *mut Stage<F>) {
        // SAFETY: the caller says that it is here and will not be used again.
        unsafe { stage.cast::<F>().drop_in_place() }
    }

    /// Puts the outcome in the place of the future, which has been dropped.
    ///
    /// # Safety
    ///
    /// Nobody else uses the stage.
    #[inline]
    pub(super) unsafe fn finish(stage: *mut Stage<F>, outcome: Outcome<F::Output>) {
        // SAFETY: the stage is the caller's, and what is overwritten needs no drop.
        unsafe { stage.cast::<Outcome<F::Output>>().write(outcome) }
    }

    /// Takes the outcome out.
    ///
    /// # Safety
    ///
    /// The stage holds one, and nobody else uses the stage.
    #[inline]
    pub(super) unsafe fn take(stage: *mut Stage<F>) -> Outcome<F::Output> {
        // SAFETY: as the caller says.
        unsafe { stage.cast::<Outcome<F::Output>>().replace(Outcome::Taken) }
    }

    /// Whether the outcome has been taken out.
    ///
    /// # Safety
    ///
    /// As for [`take`](Stage::take).
    pub(super) unsafe fn is_taken(stage: *const Stage<F>) -> bool {
        // SAFETY: as the caller says.
        let outcome = unsafe { &*stage.cast::<Outcome<F::Output>>() };
        matches!(outcome, Outcome::Taken)
    }
}
