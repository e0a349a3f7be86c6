//! The loom seam: the primitives that timer registration is built on, real or modelled.

#[cfg(not(rt_loom))]
mod primitives {
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::sync::atomic::{AtomicU64, fence};
}

#[cfg(rt_loom)]
mod primitives {
    pub(crate) use loom::sync::atomic::{AtomicU64, fence};

    /// loom's mutex behind parking_lot's signature.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("a model ends at its first panic")
        }
    }
}

pub(crate) use primitives::{AtomicU64, Mutex, fence};

/// Bugs to be planted, to see that the models catch them; each by `--cfg rt_bug="…"`.
pub(crate) mod bugs {
    /// Registering skips the fence between storing `next` and looking for a parked thread.
    pub(crate) const NO_REGISTERING_FENCE: bool = cfg!(rt_bug = "timer_registering_fence");
    /// Registering does not look whether the shard is closed.
    pub(crate) const NO_CLOSED_CHECK: bool = cfg!(rt_bug = "timer_closed_check");
}
