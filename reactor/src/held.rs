//! Whether some thread has the duty: a flag that is taken with a swap.
//!
//! **Cost.** To take the duty: a load and, if nobody has it, a swap. To give it up: a swap.

use std::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};

use crate::sync::{AtomicBool, bug};

/// Set while a thread has the duty.
#[derive(Debug, Default)]
pub(crate) struct Held(AtomicBool);

impl Held {
    /// Takes the duty, unless another thread has it.
    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        // Relaxed: the load only saves the swap when it would fail.
        if self.0.load(Relaxed) {
            return false;
        }
        if bug::DUTY_TAKEN_TWICE.is_on() {
            self.0.swap(true, AcqRel);
            return true;
        }
        // Ordering: Acquire pairs with the Release in `give_up`: what the holder before did to the poller and the counters comes first.
        // SeqCst, here and below, for the reactor thread: who takes the duty or gives it up and then looks whether that thread
        // is asleep, and that thread, which falls asleep and then looks here, cannot both miss the other.
        !self.0.swap(true, SeqCst)
    }

    /// Gives the duty up; only for who has it.
    #[inline]
    pub(crate) fn give_up(&self) {
        let order = if bug::DUTY_GIVEN_UP_RELAXED.is_on() {
            Relaxed
        } else {
            // Ordering: Release and SeqCst, see `try_take`.
            SeqCst
        };
        self.0.swap(false, order);
    }

    /// Whether some thread has it.
    pub(crate) fn is_taken(&self) -> bool {
        // Ordering: SeqCst, see `try_take`.
        self.0.load(SeqCst)
    }
}

#[cfg(all(test, rt_loom))]
mod loom;
