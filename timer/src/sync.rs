//! The loom seam: the primitives that timer registration is built on, real or modelled.

#[cfg(not(rt_loom))]
mod primitives {
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, fence};

    /// A planted bug: never there outside of models.
    #[derive(Clone, Copy)]
    pub(crate) struct Bug;

    impl Bug {
        /// A bug that models know by `name`, and which the model `caught_by` must find.
        pub(crate) const fn named(_name: &str, _caught_by: &str) -> Bug {
            Bug
        }

        /// Whether the code is to be wrong in this way.
        #[inline(always)]
        pub(crate) const fn is_on(self) -> bool {
            false
        }
    }
}

#[cfg(rt_loom)]
mod primitives {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, fence};

    /// A planted bug: there if the environment says `RT_BUG=name`.
    #[derive(Clone, Copy)]
    pub(crate) struct Bug(&'static str);

    impl Bug {
        /// A bug that `RT_BUG` knows by `name`, and which the model `caught_by` must find.
        pub(crate) const fn named(name: &'static str, _caught_by: &str) -> Bug {
            Bug(name)
        }

        /// Whether the code is to be wrong in this way.
        pub(crate) fn is_on(self) -> bool {
            static CHOSEN: std::sync::LazyLock<Option<String>> =
                std::sync::LazyLock::new(|| std::env::var("RT_BUG").ok());
            CHOSEN.as_deref() == Some(self.0)
        }
    }

    /// Explores every interleaving of a model, however many preemptions it takes.
    #[cfg(test)]
    pub(crate) fn model(test: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = None;
        builder.check(test);
    }

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

#[cfg(all(test, rt_loom))]
pub(crate) use primitives::model;
pub(crate) use primitives::{AtomicBool, AtomicU64, Bug, Mutex, fence};

/// Bugs to be planted, each by `RT_BUG=name`, to see that the model named beside it catches it.
pub(crate) mod bugs {
    use super::Bug;

    /// Registering skips the fence between storing `next` and looking for a parked thread.
    pub(crate) const NO_REGISTERING_FENCE: Bug = Bug::named(
        "timer_registering_fence",
        "registering_from_outside_against_parking",
    );
    /// Registering does not look whether the shard is closed.
    pub(crate) const NO_CLOSED_CHECK: Bug =
        Bug::named("timer_closed_check", "registering_against_closing");
    /// `next` is brought up to date after the lock was given up.
    pub(crate) const REFRESH_UNLOCKED: Bug =
        Bug::named("timer_refresh_unlocked", "registering_against_refreshing");
}
