//! A condition variable for parking_lot's mutex that keeps its sleepers to itself.
//!
//! parking_lot's own keeps all sleepers of the process in one table, as lists through memory of their threads. A forked child inherits the table
//! and not the threads, whose memory its own threads then get: lists run into themselves, and wake-ups are lost. A runtime of the child's must
//! work, whoever slept in its parent, and the threads that sleep for long do so here.
//!
//! 1. Who waits holds the caller's mutex, takes `state`, and only then gives the mutex up. Who notifies takes `state` too: so it comes before the wait, while
//!    the caller's mutex tells of what has changed, or finds the sleeper.
//! 2. Nobody takes the caller's mutex while it has `state`.
//! 3. Each notification counts `notified` up, and a wait lasts until that has changed: so one that is meant for another sleeper may end a wait that has just begun, or
//!    whose time is over. All callers wait in loops, and look at what they wait for.
//!
//! **Cost.** To notify: a lock, and a system call if anybody sleeps.

use parking_lot::MutexGuard;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    /// What notifications change.
    state: Mutex<State>,
    /// Where threads sleep.
    sleepers: std::sync::Condvar,
}

/// What notifications change.
#[derive(Debug, Default)]
struct State {
    /// How often there was a notification while anybody slept.
    notified: u64,
    /// How many sleep.
    asleep: usize,
}

/// Whether a wait ended because its time was over.
#[derive(Debug)]
pub(crate) struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar::default()
    }

    /// Sleeps until a notification, without the mutex of `guard`.
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_until(guard, None);
    }

    /// As [`wait`](Condvar::wait), for at most `timeout`.
    pub(crate) fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        // One beyond what the clock can tell is none.
        let until = Instant::now().checked_add(timeout);
        WaitTimeoutResult(self.wait_until(guard, until))
    }

    /// Whether the time was over.
    fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, until: Option<Instant>) -> bool {
        // Nothing panics while it has the lock: poisoned it cannot be. 1.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.notified;
        state.asleep += 1;
        MutexGuard::unlocked(guard, move || {
            let mut is_over = false;
            // 3.
            while state.notified == before && !is_over {
                state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                    None => self.sleepers.wait(state),
                    Some(Duration::ZERO) => {
                        is_over = true;
                        Ok(state)
                    }
                    Some(left) => self
                        .sleepers
                        .wait_timeout(state, left)
                        .map(|(state, _)| state)
                        .map_err(|poisoned| PoisonError::new(poisoned.into_inner().0)),
                }
                .unwrap_or_else(PoisonError::into_inner);
            }
            state.asleep -= 1;
            is_over
        })
    }

    /// Ends the wait of one sleeper.
    pub(crate) fn notify_one(&self) {
        if self.count() {
            self.sleepers.notify_one();
        }
    }

    /// Ends the waits of all sleepers.
    pub(crate) fn notify_all(&self) {
        if self.count() {
            self.sleepers.notify_all();
        }
    }

    /// Counts a notification, if anybody sleeps.
    fn count(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let has_sleepers = state.asleep > 0;
        state.notified += u64::from(has_sleepers);
        has_sleepers
    }
}

#[cfg(test)]
mod tests;
