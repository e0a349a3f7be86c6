//! A condition variable for parking_lot's mutex that keeps its sleepers to itself.
//!
//! parking_lot's own keeps all sleepers of the process in one table, as lists through memory of their threads. A forked child inherits the table
//! and not the threads, whose memory its own threads then get: lists run into themselves, and wake-ups are lost. A runtime of the child's must
//! work, whoever slept in its parent, and the threads that sleep for long do so here.
//!
//! 1. Who waits holds the caller's mutex, locks `asleep`, counts itself, and only then gives the mutex up; std's condition variable gives `asleep` up once it
//!    has the sleeper. Who notifies locks `asleep` too: so it comes before the wait, while the caller's mutex tells of what has changed, or finds the sleeper.
//! 2. Nobody takes the caller's mutex while it has `asleep`: others have the mutex, and notify.
//! 3. A sleeper that wakes returns, whatever woke it. Std promises no order: a notification may reach one that fell asleep after it was
//!    counted in place of one that slept before, and if that slept on it would be lost. All callers wait in loops, and look at what they wait for.
//!
//! **Cost.** To notify: a lock, and a system call if anybody sleeps.
//!
//! The models are in `condvar/loom.rs`. A notification against a sleeper that is about to sleep: `notification_vs_falling_asleep`; that is about to wake:
//! `notification_under_the_mutex_vs_waking`, `notification_vs_timeout`; against several: `two_notifications_vs_two_sleepers`, `notification_vs_younger_sleeper`.

use crate::sync::{MutexGuard, WaitTimeoutResult, bug, locks};
use std::sync::PoisonError;
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    /// How many sleep.
    asleep: locks::Mutex<usize>,
    /// Where they do.
    sleepers: locks::Condvar,
}

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar::default()
    }

    /// Sleeps until a notification, without the mutex of `guard`.
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.sleep(guard, None);
    }

    /// As [`wait`](Condvar::wait), for at most `timeout`.
    pub(crate) fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        WaitTimeoutResult(self.sleep(guard, Some(timeout)))
    }

    /// Whether the time was over.
    fn sleep<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Option<Duration>) -> bool {
        // Nothing panics while it has the lock: poisoned it cannot be.
        let lock = || self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        // 1.
        let locked = (!bug::CONDVAR_SLEEP_LATE.is_on()).then(lock);
        let (asleep, timed_out) = MutexGuard::unlocked(guard, || {
            let mut asleep = locked.unwrap_or_else(lock);
            *asleep += 1;
            // 3.
            let (mut asleep, timed_out) = match timeout {
                None => {
                    let woken = self.sleepers.wait(asleep);
                    (woken.unwrap_or_else(PoisonError::into_inner), false)
                }
                Some(timeout) => {
                    let woken = self.sleepers.wait_timeout(asleep, timeout);
                    let (asleep, result) = woken.unwrap_or_else(PoisonError::into_inner);
                    (asleep, result.timed_out())
                }
            };
            *asleep -= 1;
            // 2.
            let kept = bug::CONDVAR_LOCKS_CROSSED.is_on().then_some(asleep);
            (kept, timed_out)
        });
        drop(asleep);
        timed_out
    }

    /// Ends the wait of one sleeper.
    pub(crate) fn notify_one(&self) {
        if self.has_sleepers() {
            self.sleepers.notify_one();
        }
    }

    /// Ends the waits of all sleepers.
    pub(crate) fn notify_all(&self) {
        if self.has_sleepers() {
            self.sleepers.notify_all();
        }
    }

    fn has_sleepers(&self) -> bool {
        *self.asleep.lock().unwrap_or_else(PoisonError::into_inner) > 0
    }
}

#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
