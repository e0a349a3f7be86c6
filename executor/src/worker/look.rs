//! Looking at the driver without sleeping: now and then while there are tasks to run, and before parking where events come at once.
//!
//! **Before parking.** Where sockets are busy, the next events are there before a worker has run what the last ones woke. It would tell everybody that it parks, look at
//! all queues once more, and take that back again: ten read-modify-writes, a fence and two clock reads, with the system call between them (`idle.md`, Park). A look
//! takes the same system call and the duty, and what it finds is dispatched by a thread that was active all the time. A look in vain is a system call that
//! parking needs not. So a worker looks first once [`SHORT_PARKS`] times of parking in a row were over within [`SHORT_PARK`], with events or due timers, and until a look is in vain.
//! (Decision 17: a round trip between two tasks over TCP takes 0.95 of the time.)
//!
//! Whether it may (no other thread has the duty, no guest is favoured) is for the driver to know; if not, the look is in vain. Due timers are fired with what it finds, and else looked for when the worker parks.
//!
//! Polls are measured as between times of parking: a window begins after every eighth look, and ends before the next one (`worker/polls.rs`).
//!
//! **Cost.** A look before parking: two swaps for the duty, a lock of the slot's own, one system call; of eight looks two read the clock.

use super::Worker;
use super::polls::{WINDOW_EVERY, count_down};
use crate::metrics::bump;
use crate::park::Gathered;
use crate::sync::{bug, now, scaled};
use std::cell::Cell;
use std::time::Duration;

/// Parking that was over so soon was none: the events were there, or came before the thread was asleep. Falling asleep and waking up takes 5 µs and more.
const SHORT_PARK: Duration = Duration::from_micros(scaled(2, 1_000_000) as u64);
/// So many in a row are no chance: a look in vain costs two or three times what one saves that finds something.
const SHORT_PARKS: u8 = scaled(4, 1) as u8;

/// How many times in a row a worker has found events as soon as it parked.
#[derive(Debug, Default)]
pub(super) struct ShortParks(Cell<u8>);

impl ShortParks {
    /// Learns how a time of parking ended, and after how long.
    #[inline]
    fn note(&self, took: Duration, gathered: Gathered) {
        let is_short = gathered == Gathered::Something && took < SHORT_PARK;
        let in_a_row = if is_short {
            self.0.get().saturating_add(1)
        } else {
            0
        };
        self.0.set(in_a_row);
    }

    /// Whether the next one is likely to be as short.
    #[inline]
    fn are_habit(&self) -> bool {
        self.0.get() >= SHORT_PARKS
    }

    /// There was nothing.
    fn end(&self) {
        self.0.set(0);
    }
}

impl Worker {
    /// A look at the driver without sleeping.
    #[cold]
    pub(crate) fn look_at_driver(&self) {
        let start = now();
        self.measure_look(start);
        let interval = u64::from(self.shared.config.event_interval);
        // A window is not over before that: the average of one poll is no habit.
        if (self.window.get()).is_none_or(|(_, begun)| self.epoch() - begun >= interval) {
            self.measure_polls(start);
            self.begin_window(start);
        }
        self.count_busy(start);
        if !self.may_look(start) {
            return;
        }
        bump(&self.own.counters.looks, 1);
        if self.shared.park.look(self.slot) == Gathered::Something {
            self.dispatch();
            // However long the wakers took: there is a turn before the next look.
            self.looked_at.set(now());
        }
    }

    /// Looks for events before parking, if there are likely to be some; whether there were any, which it has dispatched.
    #[inline]
    pub(crate) fn look_first(&self) -> bool {
        if !self.short_parks.are_habit() {
            return false;
        }
        if self.window.get().is_some() {
            let start = now();
            self.measure_polls(start);
            self.count_busy(start);
            self.count_unpark(start);
        }
        if self.shared.park.look_first(self.slot) == Gathered::Nothing {
            // It is part of parking, and not counted.
            self.short_parks.end();
            return false;
        }
        bump(&self.own.counters.looks, 1);
        if count_down(&self.window_in, WINDOW_EVERY) {
            self.begin_window(now());
        }
        if bug::LOOK_ENDS_SEARCH_SILENTLY.is_on() && self.searching.replace(false) {
            let _ = self.shared.idle.found_work();
        }
        // It may count as searching, and whoever has pushed something meanwhile relies on that: S2 comes first.
        self.dispatch();
        true
    }

    /// Learns how parking ended, and after how long.
    #[inline]
    pub(crate) fn note_park(&self, took: Duration, gathered: Gathered) {
        self.short_parks.note(took, gathered);
    }
}

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests {
    use super::*;
    use Gathered::{Nothing, Something};

    #[test]
    fn a_worker_looks_first_after_some_short_parks_in_a_row() {
        let (short, long) = (SHORT_PARK - Duration::from_nanos(1), SHORT_PARK);
        for (took, gathered) in [(long, Something), (short, Nothing)] {
            let parks = ShortParks::default();
            for _ in 1..SHORT_PARKS {
                parks.note(short, Something);
            }
            assert!(!parks.are_habit());
            parks.note(took, gathered);
            for _ in 1..SHORT_PARKS {
                parks.note(short, Something);
                assert!(!parks.are_habit(), "after {took:?}, {gathered:?}");
            }
            for _ in 0..1000 {
                parks.note(short, Something);
                assert!(parks.are_habit());
            }
            parks.end();
            assert!(!parks.are_habit());
        }
    }
}
