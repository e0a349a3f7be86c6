//! The seam to loom: the atomics and the lock that its models explore, from one place.
//!
//! Models are built with `RUSTFLAGS="--cfg rt_loom"`. The OS poller stays outside: a model injects the events. Below
//! are the planted bugs, one `--cfg rt_bug="…"` each; a model that catches none of them would prove nothing.

#[cfg(not(rt_loom))]
mod chosen {
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, fence};
}

#[cfg(rt_loom)]
mod chosen {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, fence};

    /// loom's lock with the interface of `parking_lot`.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("a model fails at the first panic")
        }
    }
}

pub(crate) use chosen::{AtomicBool, AtomicU64, Mutex, fence};

/// Faults planted on purpose, each switched on by its own cfg and caught by a model.
pub(crate) mod bug {
    /// The reactor thread falls asleep without looking once more whether it may.
    pub(crate) const THREAD_NO_RECHECK: bool = cfg!(rt_bug = "thread_no_recheck");
    /// A waiter does not look again after storing its waker: an event in between is lost.
    pub(crate) const NO_RECHECK: bool = cfg!(rt_bug = "source_no_recheck");
    /// Readiness is cleared though an event came in between.
    pub(crate) const CLEAR_IGNORES_STAMP: bool = cfg!(rt_bug = "source_clear_ignores_stamp");
    /// An event for an earlier registration marks the slot's next one.
    pub(crate) const MARK_IGNORES_GENERATION: bool =
        cfg!(rt_bug = "source_mark_ignores_generation");
    /// An event that was overtaken by reuse of the slot takes the next registration's wakers.
    pub(crate) const TAKE_IGNORES_GENERATION: bool =
        cfg!(rt_bug = "source_take_ignores_generation");
    /// An event takes the wakers before it marks the source.
    pub(crate) const TAKE_BEFORE_MARK: bool = cfg!(rt_bug = "source_take_before_mark");
    /// Closing visits the sources before it refuses new ones.
    pub(crate) const CLOSE_REFUSES_LATE: bool = cfg!(rt_bug = "slab_close_refuses_late");
    /// A waiter that is dropped stays in the list.
    pub(crate) const FORGET_NOTHING: bool = cfg!(rt_bug = "source_forget_nothing");
}
