//! The one place that chooses between the real primitives, those of loom, and those of shuttle.
//!
//! Code whose interleavings are explored (task cell, blocking pool, idle protocol, parkers, rescue and hog lane) takes its atomics, cells,
//! locks, threads, thread-locals and clock from here. Usually the names are std's and parking_lot's, at no cost. With `--cfg rt_loom` they are loom's, with the
//! same signatures, for models of single protocols; with `--cfg rt_shuttle` those of `sync/shuttle.rs`, for scenarios of the whole executor. [`bug`] holds the
//! planted bugs: each weakens one ordering or drops one check, and names the model that must fail when it is switched on with `RT_BUG=name` (`.ci/models` sees
//! to it). A model that cannot fail proves nothing.

#[cfg(rt_shuttle)]
mod shuttle;

#[cfg(any(rt_loom, rt_shuttle))]
use std::sync::LazyLock;

#[cfg(rt_shuttle)]
pub(crate) use self::shuttle::*;
#[cfg(rt_loom)]
pub(crate) use modelled::*;
#[cfg(not(rt_loom))]
pub(crate) use plain::*;
#[cfg(not(any(rt_loom, rt_shuttle)))]
pub(crate) use real::*;

/// Planted bugs, all off unless one is chosen by `RT_BUG=name` while models or scenarios run.
pub(crate) mod bug {
    use super::Bug;

    /// A wake that finds the task scheduled returns without a read-modify-write: its Release edge is lost.
    pub(crate) const CELL_WAKE_LOAD_ONLY: Bug = Bug::named(
        "cell_wake_load_only",
        "the_wake_that_schedules_nothing_still_publishes",
    );
    /// The end of a poll overlooks a wake that came during the poll.
    pub(crate) const CELL_END_POLL_DEAF: Bug = Bug::named("cell_end_poll_deaf", "wake_vs_poll_end");
    /// The end of a poll does not publish what the poll did to the future.
    pub(crate) const CELL_END_POLL_RELAXED: Bug =
        Bug::named("cell_end_poll_relaxed", "poll_vs_next_poll");
    /// An abort orders nothing before the drop of the future.
    pub(crate) const CELL_ABORT_RELAXED: Bug =
        Bug::named("cell_abort_relaxed", "abort_vs_drop_of_the_future");
    /// Giving up a reference orders nothing before the free.
    pub(crate) const CELL_RELEASE_RELAXED: Bug =
        Bug::named("cell_release_relaxed", "last_waker_drop_vs_completion");
    /// Completion does not publish the output.
    pub(crate) const CELL_COMPLETE_RELAXED: Bug =
        Bug::named("cell_complete_relaxed", "join_poll_vs_completion");
    /// Who completes a task takes itself for the only one who has a reference, although another has one.
    pub(crate) const CELL_ALONE_UNCHECKED: Bug =
        Bug::named("cell_alone_unchecked", "wake_vs_completion");
    /// Who is alone with a task that it completes frees it without coming after those who gave up their references.
    pub(crate) const CELL_ALONE_RELAXED: Bug =
        Bug::named("cell_alone_relaxed", "wake_vs_completion");
    /// The join handle installs its waker without looking whether the task has completed meanwhile.
    pub(crate) const CELL_JOIN_WAKER_UNCHECKED: Bug =
        Bug::named("cell_join_waker_unchecked", "join_poll_vs_completion");
    /// An abort takes a running task for an idle one and makes a second runnable.
    pub(crate) const CELL_ABORT_TWICE: Bug = Bug::named("cell_abort_twice", "abort_vs_run");
    /// The LIFO slot hands a runnable over without ordering.
    pub(crate) const CELL_SLOT_RELAXED: Bug = Bug::named("cell_slot_relaxed", "slot_steal_vs_put");
    /// A task stays in the list of its scheduler although the list has been closed.
    pub(crate) const CELL_BIND_CLOSED: Bug =
        Bug::named("cell_bind_closed", "spawn_after_close_is_refused");
    /// A task is looked at after the lock of its shard has been released.
    pub(crate) const CELL_FIND_UNLOCKED: Bug =
        Bug::named("cell_find_unlocked", "find_vs_completion_and_reuse");
    /// A task's conduct changes by a load and a store.
    pub(crate) const CELL_CONDUCT_STORED: Bug =
        Bug::named("cell_conduct_stored", "mark_vs_the_end_of_the_first_poll");
    /// A notifier looks at the counts without a fence after its push.
    pub(crate) const IDLE_NOTIFY_NO_FENCE: Bug =
        Bug::named("idle_notify_no_fence", "push_against_park");
    /// A worker that parks does not look at the queues once more.
    pub(crate) const IDLE_PARK_NO_RECHECK: Bug =
        Bug::named("idle_park_no_recheck", "push_against_park");
    /// The last searcher that finds work does not look at the queues for more.
    pub(crate) const IDLE_FOUND_NO_RECHECK: Bug =
        Bug::named("idle_found_no_recheck", "push_against_last_searcher");
    /// A worker goes on counting as searching while it lingers.
    pub(crate) const IDLE_LINGER_COUNTED: Bug =
        Bug::named("idle_linger_counted", "push_against_linger");
    /// A worker looks whether another lingers, and says that it does, in two steps.
    pub(crate) const IDLE_LINGER_TWICE: Bug =
        Bug::named("idle_linger_twice", "linger_against_linger");
    /// What a driver has woken at once is never notified for.
    pub(crate) const IDLE_BATCH_SILENT: Bug = Bug::named("idle_batch_silent", "batch_against_park");
    /// An unpark of an awake thread leaves no token.
    pub(crate) const PARKER_UNPARK_LOST: Bug =
        Bug::named("parker_unpark_lost", "token_against_sleep");
    /// Who waits for a condition gives its mutex up before notifiers can find it.
    pub(crate) const CONDVAR_SLEEP_LATE: Bug =
        Bug::named("condvar_sleep_late", "notification_vs_falling_asleep");
    /// Who wakes takes the caller's mutex while notifiers, who may have it, wait for the other.
    pub(crate) const CONDVAR_LOCKS_CROSSED: Bug = Bug::named(
        "condvar_locks_crossed",
        "notification_under_the_mutex_vs_waking",
    );
    /// The watchman writes a slot off without looking again whether it is still stuck.
    pub(crate) const RESCUE_WRITE_OFF_UNCHECKED: Bug =
        Bug::named("rescue_write_off_unchecked", "write_off_against_step_out");
    /// A thread that comes back counts as active once more although it was not written off.
    pub(crate) const RESCUE_COUNT_TWICE: Bug =
        Bug::named("rescue_count_twice", "write_off_against_step_out");
    /// A thread that was written off and then calls `block_in_place` is taken off the active ones twice.
    pub(crate) const RESCUE_STEP_OUT_TWICE: Bug =
        Bug::named("rescue_step_out_twice", "write_off_against_step_out");
    /// A stuck slot that is about to park is written off without an unpark.
    pub(crate) const RESCUE_WRITE_OFF_ASLEEP: Bug =
        Bug::named("rescue_write_off_asleep", "written_off_and_parked");
    /// A thread that has come back and found its place taken may be written off while it leaves its slot.
    pub(crate) const RESCUE_SURPLUS_COUNTED: Bug =
        Bug::named("rescue_surplus_counted", "leaving_against_write_off");
    /// A spare whose wait ran out leaves although it has been handed a slot.
    pub(crate) const RESCUE_HAND_LOST: Bug =
        Bug::named("rescue_hand_lost", "hand_to_spare_against_timeout");
    /// Two slots are handed to one waiting spare.
    pub(crate) const RESCUE_HAND_TWICE: Bug =
        Bug::named("rescue_hand_twice", "two_hands_against_one_spare");
    /// A thread is started although the shutdown has begun.
    pub(crate) const RESCUE_START_CLOSED: Bug =
        Bug::named("rescue_start_closed", "spare_against_shutdown");
    /// Who waits for the members is not told that one could not be started.
    pub(crate) const RESCUE_LOST_SILENT: Bug =
        Bug::named("rescue_lost_silent", "failed_start_against_shutdown");
    /// A thread of the lane whose wait ran out ends although it was chosen for a task.
    pub(crate) const LANE_RETIRE_CHOSEN: Bug =
        Bug::named("lane_retire_chosen", "push_against_timeout");
    /// A thread of the lane unlocks between its look at the queue and becoming idle.
    pub(crate) const LANE_IDLE_LATE: Bug = Bug::named("lane_idle_late", "push_against_going_idle");
    /// A thread of the lane that could not be started leaves those alone that became idle on its account.
    pub(crate) const LANE_NOT_STARTED_DEAF: Bug =
        Bug::named("lane_not_started_deaf", "return_against_failed_start");
    /// A thread counts as blocked although the poll in which it was seen to block is over.
    pub(crate) const LANE_BLOCKED_UNCHECKED: Bug =
        Bug::named("lane_blocked_unchecked", "blocked_against_end_of_poll");
    /// A thread of the lane looks whether it counts as blocked before it counts on its epoch.
    pub(crate) const LANE_END_LATE: Bug =
        Bug::named("lane_end_late", "blocked_against_end_of_poll");
    /// The number of threads of the lane within a poll changes by a load and a store.
    pub(crate) const LANE_BUSY_STORED: Bug = Bug::named("lane_busy_stored", "two_begin_and_end");
    /// The lane takes a task after it has been closed.
    pub(crate) const LANE_PUSH_CLOSED: Bug = Bug::named("lane_push_closed", "close_against_push");
    /// The watchman looks only once for the task that holds a thread.
    pub(crate) const RESCUE_MARK_ONCE: Bug =
        Bug::composed("rescue_mark_once", "hog_scheduled_vs_lane_retires");
    /// Workers are notified for an injected task before it is there.
    pub(crate) const INJECT_LATE: Bug =
        Bug::composed("inject_late", "spawn_from_outside_vs_last_park");
    /// A worker that finds events before it parks ends its search without a look at the queues.
    pub(crate) const LOOK_ENDS_SEARCH_SILENTLY: Bug =
        Bug::composed("look_ends_search_silently", "look_first_vs_push");
    /// A worker that parks does not look for tasks that yielded.
    pub(crate) const YIELDED_UNSEEN: Bug = Bug::composed("yielded_unseen", "yield_vs_last_park");
    /// A root's waker looks where the thread sleeps before it says that the root is woken.
    pub(crate) const ROOT_PLACE_FIRST: Bug =
        Bug::composed("root_place_first", "root_wake_vs_slot_left");
    /// A thread that wants the only slot does not look for it again once it is among the seekers.
    pub(crate) const ROOT_SEEK_ONCE: Bug =
        Bug::composed("root_seek_once", "seat_passed_vs_seeker_parks");
    /// Who leaves the only slot tells nobody.
    pub(crate) const ROOT_SEAT_KEPT: Bug =
        Bug::composed("root_seat_kept", "seat_passed_vs_seeker_parks");
    /// What a thread leaves in its slot lies there.
    pub(crate) const SLOT_LEFT_FULL: Bug =
        Bug::composed("slot_left_full", "block_in_place_vs_spare");
    /// What a thread leaves in its slot goes to the injector, and nobody is notified.
    pub(crate) const SLOT_LEFT_SILENT: Bug =
        Bug::composed("slot_left_silent", "step_aside_vs_other_parks");
    /// What a root has spawned goes from its deque to the injector, and nobody is notified.
    pub(crate) const GUEST_MOVES_SILENTLY: Bug =
        Bug::composed("guest_moves_silently", "root_spawns_vs_last_park");
    /// A guest that an event has woken sleeps again before it has run what it keeps.
    pub(crate) const GUEST_SLEEPS_ON: Bug =
        Bug::composed("guest_sleeps_on", "guest_keeps_task_vs_thief");
    /// A worker is unparked for the shutdown before it is told of it.
    pub(crate) const SHUTDOWN_UNPARKS_FIRST: Bug =
        Bug::composed("shutdown_unparks_first", "join_vs_shutdown");
    /// Slots are given away after those that had been taken were told of the shutdown.
    pub(crate) const SHUTDOWN_FRESH_SLOT_MISSED: Bug =
        Bug::composed("shutdown_fresh_slot_missed", "root_leaves_slot_vs_shutdown");
    /// The last thread does not look into the injector for what late wakers have pushed.
    pub(crate) const SHUTDOWN_INJECTOR_KEPT: Bug =
        Bug::composed("shutdown_injector_kept", "wake_vs_shutdown");
    /// The last member to leave leaves the end of the shutdown to those who do not wait for it any more.
    pub(crate) const SHUTDOWN_ORPHANED: Bug =
        Bug::composed("shutdown_orphaned", "shutdown_timeout_vs_last_member");
    /// A blocking thread whose wait ran out retires although it was chosen for a job.
    pub(crate) const POOL_RETIRE_CHOSEN: Bug = Bug::named("pool_retire_chosen", "submit_vs_retire");
    /// A blocking job is accepted after the pool has been closed.
    pub(crate) const POOL_SUBMIT_CLOSED: Bug =
        Bug::named("pool_submit_closed", "shutdown_vs_submit");
    /// A blocking thread that takes the last job unlocks between its look at the intake and its request to be called.
    pub(crate) const POOL_CALLS_LATE: Bug = Bug::named("pool_calls_late", "submit_vs_last_take");
    /// A blocking thread sleeps after its spin without a look whether it has been chosen.
    pub(crate) const POOL_SPIN_DEAF: Bug = Bug::named("pool_spin_deaf", "submit_vs_spin");
    /// A lookout of the blocking pool is counted on although there is nothing left to look after.
    pub(crate) const POOL_LOOKOUT_KEPT: Bug =
        Bug::named("pool_lookout_kept", "lookout_vs_last_take");
    /// A blocking thread that could not be started leaves those jobs alone that counted on it.
    pub(crate) const POOL_NOT_STARTED_DEAF: Bug =
        Bug::named("pool_not_started_deaf", "start_that_fails_vs_becoming_idle");
    /// A submitter that comes late with its request for help starts a thread in a closed pool.
    pub(crate) const POOL_HELP_CLOSED: Bug = Bug::named("pool_help_closed", "shutdown_vs_submit");
}

/// Whether a wait ended because its time was over.
#[derive(Debug)]
pub(crate) struct WaitTimeoutResult(pub(crate) bool);

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

/// A planted bug: there if the environment says `RT_BUG=name`.
#[cfg(any(rt_loom, rt_shuttle))]
#[derive(Clone, Copy)]
pub(crate) struct Bug(&'static str);

#[cfg(any(rt_loom, rt_shuttle))]
impl Bug {
    /// A bug that `RT_BUG` knows by `name`, and which the model `caught_by` must find.
    pub(crate) const fn named(name: &'static str, _caught_by: &str) -> Bug {
        Bug(name)
    }

    /// A bug that only the composed executor shows, and which the scenario `caught_by` must find.
    pub(crate) const fn composed(name: &'static str, _caught_by: &str) -> Bug {
        Bug(name)
    }

    /// Whether the code is to be wrong in this way.
    pub(crate) fn is_on(self) -> bool {
        static CHOSEN: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("RT_BUG").ok());
        CHOSEN.as_deref() == Some(self.0)
    }
}

/// The real primitives.
#[cfg(not(any(rt_loom, rt_shuttle)))]
mod real {
    pub(crate) use crate::condvar::Condvar;
    pub(crate) use crossbeam_deque as deque;
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    use std::time::{Duration, Instant};
    pub(crate) use std::{thread, thread as os_thread, thread_local};

    /// Std's locks, of which the condition variable is made.
    pub(crate) mod locks {
        pub(crate) use std::sync::{Condvar, Mutex};
    }

    /// What is smaller in scenarios than in earnest.
    pub(crate) const fn scaled(real: usize, _small: usize) -> usize {
        real
    }

    /// How many cores there are for this process.
    pub(crate) fn cores() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// A planted bug: never there outside of models.
    #[derive(Clone, Copy)]
    pub(crate) struct Bug;

    impl Bug {
        /// A bug that models know by `name`, and which the model `caught_by` must find.
        pub(crate) const fn named(_name: &str, _caught_by: &str) -> Bug {
            Bug
        }

        /// A bug that only the composed executor shows, and which the scenario `caught_by` must find.
        pub(crate) const fn composed(_name: &str, _caught_by: &str) -> Bug {
            Bug
        }

        /// Whether the code is to be wrong in this way.
        #[inline(always)]
        pub(crate) const fn is_on(self) -> bool {
            false
        }
    }

    /// What the clock says.
    #[inline(always)]
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    /// Spins until `is_done`, at most for `limit`. Does not yield: another process might keep the core for milliseconds.
    pub(crate) fn spin_until(limit: Duration, is_done: impl Fn() -> bool) {
        /// So many looks between two at the clock, which is about as dear.
        const LOOKS: u32 = 16;
        let start = Instant::now();
        while !(0..LOOKS).any(|_| {
            std::hint::spin_loop();
            is_done()
        }) {
            if start.elapsed() >= limit {
                return;
            }
        }
    }

    /// Stands for "this allocation lives" in models; nothing here.
    #[derive(Debug, Default)]
    pub(crate) struct Alive;

    impl Alive {
        /// Marks the birth of an allocation.
        pub(crate) const fn new() -> Alive {
            Alive
        }

        /// Says that the allocation is used.
        #[inline(always)]
        pub(crate) fn touch(&self) {}

        /// Says that the allocation ends.
        #[inline(always)]
        pub(crate) fn end(&self) {}
    }
}

/// What is the same for shuttle, which sees one thread of the system only.
#[cfg(not(rt_loom))]
mod plain {
    /// A cell whose content is reached through raw pointers, so that loom can follow each access.
    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// Puts `value` into a cell.
        pub(crate) const fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        /// Reads through a pointer; the caller answers for the absence of a writer.
        #[inline(always)]
        pub(crate) fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
            access(self.0.get())
        }

        /// Writes through a pointer; the caller answers for the absence of any other access.
        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
            access(self.0.get())
        }
    }
}

/// Loom's primitives with the signatures of the real ones.
#[cfg(rt_loom)]
mod modelled {
    use super::WaitTimeoutResult;
    use std::ops::{Deref, DerefMut};
    use std::time::{Duration, Instant};

    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    /// Models that need a queue have one of their own.
    pub(crate) use crossbeam_deque as deque;
    /// Threads that models leave out.
    pub(crate) use std::thread as os_thread;
    pub(crate) use std::thread_local;

    pub(crate) const fn scaled(real: usize, _small: usize) -> usize {
        real
    }

    pub(crate) fn cores() -> usize {
        2
    }

    pub(crate) fn spin_loop() {
        thread::yield_now();
    }

    /// Explores every interleaving of a model, however many preemptions it takes: for models of two threads.
    #[cfg(test)]
    pub(crate) fn model(test: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = None;
        builder.check(test);
    }

    /// Explores the interleavings of a larger model with as many preemptions as `LOOM_MAX_PREEMPTIONS` allows.
    #[cfg(test)]
    pub(crate) fn bounded_model(test: impl Fn() + Send + Sync + 'static) {
        loom::model(test);
    }

    /// Loom has no time: it is always the same moment.
    pub(crate) fn now() -> Instant {
        static NOW: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *NOW
    }

    /// Loom has no time: others may run meanwhile, and then the spin is over.
    pub(crate) fn spin_until(_: Duration, is_done: impl Fn() -> bool) {
        if !is_done() {
            thread::yield_now();
        }
    }

    /// Threads of the model.
    pub(crate) mod thread {
        pub(crate) use loom::thread::*;
        use std::time::Duration;

        /// Loom has no time: others may run meanwhile, and then the sleep is over.
        pub(crate) fn park_timeout(_: Duration) {
            yield_now();
        }
    }

    /// Says that an allocation lives: a use after the end is a race that loom sees, a missing end is a leak.
    #[derive(Debug)]
    pub(crate) struct Alive {
        cell: UnsafeCell<()>,
        _leak: loom::alloc::Track<()>,
    }

    impl Alive {
        pub(crate) fn new() -> Alive {
            Alive {
                cell: UnsafeCell::new(()),
                _leak: loom::alloc::Track::new(()),
            }
        }

        pub(crate) fn touch(&self) {
            self.cell.with(|_| ());
        }

        pub(crate) fn end(&self) {
            self.cell.with_mut(|_| ());
        }
    }

    /// A mutex with parking_lot's signatures.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard {
                inner: Some(lock(&self.0)),
                mutex: &self.0,
            }
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            Some(MutexGuard {
                inner: Some(self.0.try_lock().ok()?),
                mutex: &self.0,
            })
        }

        pub(crate) fn into_inner(self) -> T {
            self.0.into_inner().expect("no model panics under a lock")
        }
    }

    fn lock<T>(mutex: &loom::sync::Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
        mutex.lock().expect("no model panics under a lock")
    }

    /// Unlocks on drop.
    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T> {
        /// Empty only while unlocked.
        inner: Option<loom::sync::MutexGuard<'a, T>>,
        /// To lock again.
        mutex: &'a loom::sync::Mutex<T>,
    }

    impl<T> MutexGuard<'_, T> {
        /// Calls `f` without the lock.
        pub(crate) fn unlocked<R>(guard: &mut Self, f: impl FnOnce() -> R) -> R {
            drop(guard.inner.take());
            let result = f();
            guard.inner = Some(lock(guard.mutex));
            result
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.inner.as_ref().expect("locked outside of a wait")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.inner.as_mut().expect("locked outside of a wait")
        }
    }

    /// A condition variable with parking_lot's signatures.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar(loom::sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let inner = guard.inner.take().expect("locked before the wait");
            guard.inner = Some(self.0.wait(inner).expect("no model panics under a lock"));
        }

        /// Loom has no time: a wait of zero length runs out at once (others may take the lock in between), any other
        /// lasts until a notification.
        pub(crate) fn wait_for<'a, T>(
            &self,
            guard: &mut MutexGuard<'a, T>,
            timeout: Duration,
        ) -> WaitTimeoutResult {
            if !timeout.is_zero() {
                self.wait(guard);
                return WaitTimeoutResult(false);
            }
            MutexGuard::unlocked(guard, || ());
            WaitTimeoutResult(true)
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    /// Locks with std's signatures.
    pub(crate) mod locks {
        use super::{MutexGuard, WaitTimeoutResult, thread};
        use std::sync::LockResult;
        use std::time::Duration;

        /// A mutex that nobody poisons.
        #[derive(Debug, Default)]
        pub(crate) struct Mutex<T>(super::Mutex<T>);

        impl<T> Mutex<T> {
            pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
                Ok(self.0.lock())
            }
        }

        /// A condition variable. Std promises no order: whoever fell asleep last is notified first.
        #[derive(Debug, Default)]
        pub(crate) struct Condvar(super::Mutex<Vec<thread::Thread>>);

        impl Condvar {
            /// Sleeps without the mutex; whether there was no notification. What an earlier notification has left may end the wait.
            fn sleep<T>(&self, guard: &mut MutexGuard<'_, T>, sleep: impl FnOnce()) -> bool {
                let me = thread::current();
                let id = me.id();
                self.0.lock().push(me);
                MutexGuard::unlocked(guard, sleep);
                let mut sleepers = self.0.lock();
                let before = sleepers.len();
                sleepers.retain(|sleeper| sleeper.id() != id);
                sleepers.len() < before
            }

            pub(crate) fn wait<'a, T>(
                &self,
                mut guard: MutexGuard<'a, T>,
            ) -> LockResult<MutexGuard<'a, T>> {
                self.sleep(&mut guard, thread::park);
                Ok(guard)
            }

            /// Loom has no time: a wait of zero length runs out at once (others may notify it in between), any other lasts until a notification.
            pub(crate) fn wait_timeout<'a, T>(
                &self,
                mut guard: MutexGuard<'a, T>,
                timeout: Duration,
            ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
                let sleep = || {
                    if !timeout.is_zero() {
                        thread::park();
                    }
                };
                let timed_out = self.sleep(&mut guard, sleep) && timeout.is_zero();
                Ok((guard, WaitTimeoutResult(timed_out)))
            }

            pub(crate) fn notify_one(&self) {
                let sleeper = self.0.lock().pop();
                sleeper.iter().for_each(thread::Thread::unpark);
            }

            pub(crate) fn notify_all(&self) {
                let sleepers = std::mem::take(&mut *self.0.lock());
                sleepers.iter().for_each(thread::Thread::unpark);
            }
        }
    }
}
