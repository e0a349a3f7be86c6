//! The seam to loom: the atomics and the lock that its models explore, from one place.
//!
//! Models are built with `RUSTFLAGS="--cfg rt_loom"`. The OS poller stays outside: a model injects the events. Below
//! are the planted bugs, each switched on by `RT_BUG=name`; a model that catches none of them would prove nothing.

#[cfg(not(rt_loom))]
mod chosen {
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
mod chosen {
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

#[cfg(all(test, rt_loom))]
pub(crate) use chosen::model;
pub(crate) use chosen::{AtomicBool, AtomicU64, Bug, Mutex, fence};

/// Faults planted on purpose, each switched on by its name in `RT_BUG`, and caught by the model named beside it.
pub(crate) mod bug {
    use super::Bug;

    /// The reactor thread falls asleep without looking once more whether it may.
    pub(crate) const THREAD_NO_RECHECK: Bug =
        Bug::named("thread_no_recheck", "leave_against_falling_asleep");
    /// The reactor thread falls asleep without a fence between saying so and its last look.
    pub(crate) const THREAD_NO_FENCE: Bug =
        Bug::named("thread_no_fence", "leave_against_falling_asleep");
    /// The duty is taken by who finds it free, and by whoever came in between too.
    pub(crate) const DUTY_TAKEN_TWICE: Bug = Bug::named("duty_taken_twice", "duty_against_duty");
    /// The next holder of the duty does not come after the last one.
    pub(crate) const DUTY_GIVEN_UP_RELAXED: Bug =
        Bug::named("duty_given_up_relaxed", "duty_handed_from_thread_to_thread");
    /// A waiter does not look again after storing its waker: an event in between is lost.
    pub(crate) const NO_RECHECK: Bug = Bug::named("source_no_recheck", "register_against_event");
    /// Readiness is cleared though an event came in between.
    pub(crate) const CLEAR_IGNORES_STAMP: Bug =
        Bug::named("source_clear_ignores_stamp", "clear_against_event");
    /// An event for an earlier registration marks the slot's next one.
    pub(crate) const MARK_IGNORES_GENERATION: Bug =
        Bug::named("source_mark_ignores_generation", "late_event_against_reuse");
    /// An event that was overtaken by reuse of the slot takes the next registration's wakers.
    pub(crate) const TAKE_IGNORES_GENERATION: Bug =
        Bug::named("source_take_ignores_generation", "late_event_against_reuse");
    /// Readiness is marked without publishing what came before it.
    pub(crate) const MARKED_RELAXED: Bug = Bug::named(
        "source_marked_relaxed",
        "readiness_publishes_what_came_before",
    );
    /// Readiness is read without acquiring what came before it.
    pub(crate) const READ_RELAXED: Bug = Bug::named(
        "source_read_relaxed",
        "readiness_publishes_what_came_before",
    );
    /// An event takes the wakers before it marks the source.
    pub(crate) const TAKE_BEFORE_MARK: Bug =
        Bug::named("source_take_before_mark", "register_against_event");
    /// Closing visits the sources before it refuses new ones.
    pub(crate) const CLOSE_REFUSES_LATE: Bug =
        Bug::named("slab_close_refuses_late", "close_against_register");
    /// A waiter that is dropped stays in the list.
    pub(crate) const FORGET_NOTHING: Bug =
        Bug::named("source_forget_nothing", "cancelled_waiter_leaves_no_waker");
}
