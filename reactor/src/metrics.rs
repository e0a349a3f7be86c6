//! What has been counted, as a snapshot. Who counts, and what that costs, is said in `reactor.rs`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A reactor at one moment. Counts are since it was created; the rest is present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// How many waits of threads that serve a slot have ended: for an event, a deadline, an interruption or just to look.
    pub slot_turns: u64,
    /// How many waits of the reactor thread have ended, made because every other thread was busy.
    pub thread_turns: u64,
    /// How many events these waits have returned.
    pub events: u64,
    /// How often a wait was to be cut short, so that its thread does something else. Each is a system call.
    pub interrupts: u64,
    /// How many descriptors were registered.
    pub registered: u64,
    /// How many of them still are.
    pub sources: usize,
    /// Whether some thread has the duty to wait.
    pub is_held: bool,
}

/// Adds to a counter that only the holder of the duty writes.
#[inline]
pub(crate) fn bump(counter: &AtomicU64, n: u64) {
    // Relaxed: a counter. Its writers follow each other in the order in which they have the duty.
    counter.store(counter.load(Relaxed) + n, Relaxed);
}
