//! How long polls last, by the average: so that a clock is read now and then and not for each of them.
//!
//! Two averages, since one is for habits and one for what may come next:
//!
//! - over a *window*, which begins at every eighth time of parking, or at a look, and ends at the next time of parking or once it has as many polls as
//!   `event_interval`: it says whether the LIFO slot is notified for ([`LONG_POLL`]), what a batch of events is worth (`idle.md`, N6), and how long what is
//!   urgent may wait;
//! - from one look at the driver to the next, the longest of late: it says when the next look is due ([`LOOK_EVERY`]).
//!
//! **Cost.** A few additions and one or two divisions for each look and for some times of parking, with a clock that has been read there anyway. A notification for the LIFO slot reads it once.

use super::Worker;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// A worker whose polls last this long on average notifies for its LIFO slot too. Below it, the owner itself
/// is sooner than a thread that must be woken first (5 to 50 µs).
pub(super) const LONG_POLL: u64 = 20_000;
/// A worker whose polls are long notifies for its LIFO slot at most so often (if anybody is parked), as long as it may take to wake a thread: a poll that goes through many messages wakes the same
/// task for each of them, and would make a system call each time for a thread that takes one step and sleeps again.
const LIFO_NOTIFY_EVERY: Duration = Duration::from_micros(50);
/// A window of the poll average begins after every so many times of parking (and at a look, once the last one has `event_interval` polls): one long poll should not
/// be taken for a habit too often.
pub(super) const WINDOW_EVERY: u32 = 8;
/// So much time, by the average of the polls, is between two looks at the driver at most, if these take [`LONG_POLL`] and there is more than one in it.
const LOOK_EVERY: u64 = 200_000;

impl Worker {
    /// Whether polls took so long of late that looks at the driver go by time.
    #[inline]
    pub(super) fn looks_by_time(&self) -> bool {
        (LONG_POLL..u64::MAX).contains(&self.recent_nanos.get())
    }

    /// Whether a look at the driver at `now` is not too soon; if not, it is the last one.
    pub(super) fn may_look(&self, now: Instant) -> bool {
        // By the average there is as much time between two, but for the half of it that rounding takes.
        let is_soon =
            now.duration_since(self.looked_at.get()).as_nanos() < u128::from(LOOK_EVERY / 2);
        if is_soon && self.looks_by_time() {
            return false;
        }
        self.looked_at.set(now);
        true
    }

    /// Turns until the next look at the driver: `event_interval`, or fewer if polls take long.
    #[inline]
    pub(crate) fn look_interval(&self) -> u32 {
        let most = self.shared.config.event_interval;
        match self.recent_nanos.get() {
            // More looks would make batches of events smaller.
            ..LONG_POLL => most,
            nanos => (LOOK_EVERY / nanos).clamp(1, u64::from(most)) as u32,
        }
    }

    /// Closes a window of the poll average.
    pub(super) fn measure_polls(&self, now: Instant) {
        let Some((since, epoch)) = self.window.take() else {
            return;
        };
        let polls = self.epoch() - epoch;
        if polls == 0 {
            return;
        }
        let average = now.duration_since(since).as_nanos() as u64 / polls;
        self.poll_nanos.set(average);
        self.long_polls.set(average >= LONG_POLL);
    }

    /// Learns how long polls take from those since the last look, or since the thread woke up after it.
    pub(super) fn measure_look(&self, now: Instant) {
        let polls = self.epoch() - self.looked.replace(self.epoch());
        let nanos = now.duration_since(self.active_since.get()).as_nanos() as u64;
        if let Some(average) = nanos.checked_div(polls) {
            let faded = match self.recent_nanos.get() {
                u64::MAX => 0,
                recent => recent - recent / 8,
            };
            self.recent_nanos.set(average.max(faded));
            self.learn_of_yields(average);
        }
    }

    /// Whether a worker may be notified for the LIFO slot, after the last time.
    #[inline(never)]
    pub(crate) fn may_notify_for_lifo(&self, now: Instant) -> bool {
        let is_time = now.duration_since(self.lifo_notified.get()) >= LIFO_NOTIFY_EVERY;
        if is_time {
            self.lifo_notified.set(now);
        }
        is_time
    }

    pub(super) fn begin_window(&self, now: Instant) {
        self.window.set(Some((now, self.epoch())));
    }
}

/// Whether this is the last of `interval` calls; begins again then.
#[inline]
pub(super) fn count_down(left: &Cell<u32>, interval: u32) -> bool {
    let now = left.get() - 1;
    left.set(if now == 0 { interval } else { now });
    now == 0
}
