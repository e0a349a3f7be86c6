//! Load: whether the workers have had more to do of late than one of them could (`idle.md`, N6).
//!
//! The threads of the executor count how long they are awake, for the metrics (at each look and each time of parking). The sum of that over a window of at least [`WINDOW`] tells how many threads the work keeps
//! busy. While that is less than [`FULL`] of one, small batches stay with the worker whose driver woke them; once it is more, one worker alone would
//! be late, and others get their share.
//!
//! One that waits now and then does not show that it could do everything alone: as soon as another one helps, both wait. So it is the sum that counts.
//! Time without a core counts as well: where other processes take the cores, the load seems higher than it is; `crowd.rs` finds that out.
//! While hogs are polled (`rescue.md`) small batches stay where they are: the hogs have the other cores, and what another worker takes would wait for one, some milliseconds (`echo_hogs`).
//!
//! **Cost.** A comparison for each batch that is neither short nor long; once a window, a load for each slot that has ever been served.

use super::{Role, Worker};
use crate::idle::Load;
use crate::scheduler::Shared;
use crate::sync::Ordering;
use std::time::{Duration, Instant};

/// How long the load is measured: some ten batches. A measurement says what holds until the next one.
const WINDOW: Duration = Duration::from_millis(1);

/// So many per cent of one thread are as much as it can do: less than all, since it must wait to be known to have waited.
const FULL: u128 = 90;

/// The last measurement of a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// When it ended.
    at: Instant,
    /// For how many nanoseconds all threads had been awake by then.
    busy: u64,
    /// Whether that was more than one of them can do.
    is_high: bool,
}

impl Measured {
    /// Nothing has been measured before `now`.
    pub(super) fn new(now: Instant) -> Measured {
        Measured {
            at: now,
            busy: 0,
            is_high: false,
        }
    }

    /// What holds at `now`: the same, or a new measurement if it is time for one.
    fn at(self, now: Instant, busy: impl FnOnce() -> u64) -> Measured {
        let window = now.saturating_duration_since(self.at);
        if window < WINDOW {
            return self;
        }
        let busy = busy();
        let of_one = u128::from(busy.saturating_sub(self.busy)) * 100;
        Measured {
            at: now,
            busy,
            is_high: of_one >= window.as_nanos() * FULL,
        }
    }
}

impl Worker {
    /// N6. What there is to do, beside the cores that there are for it.
    #[inline]
    pub(super) fn current_load(&self) -> Load {
        if self.role != Role::Worker {
            return Load::Low;
        }
        if self.shared.crowd.is_crowded() {
            return Load::Crowded;
        }
        // The thread has woken up then, or looked at the clock: some turns ago at most.
        let load = (self.load.get()).at(self.active_since.get(), || self.shared.busy_nanos());
        self.load.set(load);
        // Hogs have the other cores.
        if load.is_high && !self.shared.lane.is_busy() {
            Load::High
        } else {
            Load::Low
        }
    }
}

impl Shared {
    /// For how long the workers and spares have been awake, all together.
    #[cold]
    fn busy_nanos(&self) -> u64 {
        let guests = self.config.guest_slots();
        (0..self.slots.used())
            .filter(|slot| !guests.contains(slot))
            // Relaxed: counters.
            .map(|slot| {
                let counters = &self.slots.get(slot).counters;
                counters.busy_nanos.load(Ordering::Relaxed)
            })
            .sum()
    }
}

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_high_if_all_together_were_busy_for_nine_tenths_of_a_window() {
        let start = Instant::now();
        let first = Measured::new(start);
        for (micros, busy_micros, expected) in [
            (1_000, 899, false),
            (1_000, 900, true),
            (1_000, 1_800, true),
            (20_000, 17_999, false),
            (20_000, 18_000, true),
        ] {
            let now = start + Duration::from_micros(micros);
            let load = first.at(now, || busy_micros * 1_000);
            assert_eq!(load.is_high, expected, "{busy_micros} of {micros} µs");
        }
    }

    #[test]
    fn a_measurement_holds_for_a_window() {
        let start = Instant::now();
        let high = Measured::new(start).at(start + WINDOW, || 2_000_000);
        let soon = start + 2 * WINDOW - Duration::from_nanos(1);
        assert!(high.at(soon, || unreachable!("not yet")).is_high);
        // Nobody has been busy since.
        let low = high.at(start + 2 * WINDOW, || 2_000_000);
        assert!(!low.is_high);
        // A slot's count may be read a little late, and a clock of another core may be behind.
        assert!(!low.at(start + 3 * WINDOW, || 1_999_999).is_high);
        assert!(!low.at(start, || unreachable!("not yet")).is_high);
    }
}
