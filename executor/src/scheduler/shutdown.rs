//! The shutdown, in steps.
//!
//! 1. Close the lists of live tasks: a later spawn drops its future in the spawner and yields a handle that says
//!    "cancelled".
//! 2. Mark all live tasks as cancelled, give no slot away any more, and wake the threads of all that were.
//! 3. Each thread drops what its slot holds, and ends.
//! 4. The closing thread drops the futures of the tasks that were waiting, while reactor and timers still answer, then
//!    what lies in the slots of threads that do not get there, and in the injector.
//! 5. It joins workers, spares and the blocking pool.
//! 6. The hook's `close` stops the reactor thread, and
//! 7. makes what remains of I/O and timers return errors.
//!
//! A thread inside a poll that does not return keeps its future and the shared state. If the closing thread does not wait
//! for it (a timeout, or `shutdown_background`), the last thread to end does steps 4 to 7.
//!
//! The races feared have scenarios in `schedules/shutdown.rs`: at step 1 `spawn_vs_shutdown` and `spawn_in_drop_vs_shutdown`; at steps 2 and 3
//! `join_vs_shutdown` and `block_in_place_vs_shutdown`; at step 4, with a late waker, `wake_vs_shutdown` and `waker_outlives_scheduler`; about who finishes,
//! `two_shutdowns`, `shutdown_from_inside_vs_last_member` and `shutdown_timeout_vs_last_member`.

use super::{Handle, Shared};
use crate::context;
use crate::slots::SHUTDOWN;
use crate::sync::deque::Steal;
use crate::sync::{Ordering, bug, now, os_thread};
use crate::task::{Phase, Reason};
use crate::threads::Gone;
use std::time::Duration;

impl Shared {
    pub(crate) fn is_closing(&self) -> bool {
        // Ordering: Acquire pairs with the swap in `begin_shutdown`.
        self.closing.load(Ordering::Acquire)
    }

    /// Steps 1, 2, and 4 for the tasks that wait.
    fn begin_shutdown(&self) {
        // Ordering: SeqCst, so that whoever is unparked below sees it.
        if self.closing.swap(true, Ordering::SeqCst) {
            return;
        }
        self.owned.close();
        self.wake_all();
        // Step 4, first half, here and not later, so that a task that waits for ever is dropped even if
        // some thread never returns.
        self.owned.cancel_all(|task| {
            // Cancelled: its future is dropped here and now.
            task.run();
        });
        self.drain_slots();
        self.drain_injector();
        self.close_lane();
        // After the tasks, so that none of them sees a cancelled job.
        self.blocking.begin_shutdown();
    }

    fn wake_all(&self) {
        // A slot that is taken later would miss the signal.
        for slot in 0..self.slots.close() {
            if bug::SHUTDOWN_UNPARKS_FIRST.is_on() {
                self.park.unpark(slot);
                self.slots.get(slot).raise(SHUTDOWN);
                continue;
            }
            self.slots.get(slot).raise(SHUTDOWN);
            self.park.unpark(slot);
        }
        self.threads.wake_all();
    }

    /// Drops what lies in the slots, also of threads that are inside a poll and cannot do it themselves.
    fn drain_slots(&self) {
        for slot in 0..self.slots.used() {
            let slot = self.slots.get(slot);
            if let Some(task) = slot.lifo.take() {
                task.cancel(Reason::Cancelled);
            }
            while let Some(task) = slot.yielded.pop() {
                task.cancel(Reason::Cancelled);
            }
            loop {
                match slot.stealer.steal() {
                    Steal::Success(task) => {
                        task.cancel(Reason::Cancelled);
                    }
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
        }
    }

    /// Drops what lies in the injector.
    pub(crate) fn drain_injector(&self) {
        while let Some(task) = self.pop_injected() {
            task.cancel(Reason::Cancelled);
        }
    }

    /// Steps 4 (second half), 6 and 7; called when no thread serves a slot any more.
    pub(crate) fn finish_shutdown(&self) {
        self.drain_injector();
        // What is still incomplete is in the hands of a waker that is about to push it, or of a
        // guest or a thread inside `block_in_place` that is about to drop it.
        while !self.owned.is_empty() {
            if !bug::SHUTDOWN_INJECTOR_KEPT.is_on() {
                self.drain_injector();
            }
            os_thread::yield_now();
        }
        self.reporter.close();
        self.park.close();
    }
}

impl Handle {
    /// Describes each task that is being polled and each job that runs, for a report after a shutdown that did not wait for them.
    pub fn stuck(&self) -> Vec<String> {
        let mut stuck = self.shared.blocking.stuck_jobs();
        self.shared.owned.for_each(|task| {
            if task.phase == Phase::Running {
                let name = task
                    .name
                    .map(|name| format!(" {name:?}"))
                    .unwrap_or_default();
                stuck.push(format!(
                    "task {}{name} (spawned at {})",
                    task.id, task.location
                ));
            }
        });
        stuck
    }

    /// Shuts the executor down, in the steps that the module's header numbers; waits for its threads, but at most
    /// `timeout`. Returns whether all of them have ended.
    ///
    /// On a thread of the executor itself nothing is waited for: the last thread to end finishes. In a forked child nothing is
    /// done.
    pub fn shutdown(&self, timeout: Option<Duration>) -> bool {
        let until = timeout.and_then(|timeout| now().checked_add(timeout));
        if self.shared.is_forked() {
            // The threads to wait for are in the parent, and so is everything that they would drop.
            return true;
        }
        self.shared.begin_shutdown();
        let own_thread = context::is_member(&self.shared) || context::is_polling();
        let until = if own_thread { Some(now()) } else { until };
        let gone = self.shared.threads.wait(until);
        if gone == Gone::AllMineToFinish {
            self.shared.finish_shutdown();
        }
        let left = until.map(|until| until.saturating_duration_since(now()));
        let jobs_done = self.shared.blocking.shutdown(left);
        gone != Gone::NotYet && jobs_done
    }
}
