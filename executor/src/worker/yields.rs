//! Yields: what becomes of a task that gives way to others.
//!
//! It goes to the end of the deque. Who waits for a socket then waits for all that are there, and before that for a look at the driver, which comes after 61 turns. That is soon
//! if polls are short. Where they are not, tasks that yield *come last*: in a queue of their own, which the worker serves when it has nothing else; and before it does, it looks
//! at the driver, if the last look is [`LOOK_AT_MOST_EVERY`] old. So what sockets and timers wake runs first. (In Tokio it is so whatever the polls take; there a task that only
//! yields makes a system call each time.)
//!
//! - They come last once the polls between two looks took [`GIVES_WAY`] on average while some task yielded, twice in a row: one long poll may be the last.
//! - From then on each of their polls is timed, and when these take less than [`STILL_GIVES_WAY`], or no task yields any more, they go to the end of the deque again.
//! - One turn in [`IN_TURN`] they come first all the same, or what was injected does, in turn.
//! - Others steal them in batches, as they steal from the deque, after everything else.
//!
//! A task that somebody wakes while it is polled counts as one that yields: the cell does not tell who it was.
//!
//! **Cost.** In the deque: a store more for each yield. Else: push and pop of a queue that others may use at the same time (with an allocation for some 60 pushes), two clock reads for each poll of such a task, and the looks.

use super::polls::LONG_POLL;
use super::{Role, Worker};
use crate::sync::now;
use crate::task::Runnable;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Tasks that yield come last if polls take so long, by the average between two looks: the next look may be 61 of them away.
const GIVES_WAY: u64 = 5_000;
/// And as long as theirs take so long.
const STILL_GIVES_WAY: u64 = GIVES_WAY / 2;
/// Before one of them there is a look at the driver, but not sooner than so long after the last one: as many events as possible shall be found at once.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_micros(150);
/// While they come last, one turn in so many is for one of them, or for an injected task: beside sockets that are always ready, tasks that compute for
/// 200 µs a poll keep nine tenths of their time. With 16, the sockets have twice as many requests, and these tasks keep three quarters.
const IN_TURN: u32 = 8;

/// What a worker knows of tasks that yield.
#[derive(Debug, Default)]
pub(super) struct Yields {
    /// Whether a task has yielded since the last look at the driver.
    seen: Cell<bool>,
    /// Whether it was so at the look before, and polls took long enough.
    gave_way: Cell<bool>,
    /// Whether tasks that yield come last.
    last: Cell<bool>,
    /// How long their polls take then, by an average.
    nanos: Cell<u64>,
    /// When the last of them began to be polled, and the epoch then.
    begun: Cell<Option<(Instant, u64)>>,
    /// Whether it is their turn, not that of what was injected.
    next: Cell<bool>,
}

impl Worker {
    /// A task has yielded on this thread: it goes behind everybody else.
    #[inline]
    pub(super) fn schedule_yielded(&self, task: Runnable) {
        let own = self.own();
        let mut alone = self.deque.is_empty() && own.lifo.is_empty();
        self.yields.seen.set(true);
        if self.yields.last.get() && self.still_last() {
            alone &= own.yielded.is_empty();
            own.yielded.push(task);
        } else {
            self.deque.push(task);
        }
        // A task that yields alone is no news to others.
        if !alone {
            self.notify();
        }
    }

    /// Polls took so long on average since the last look.
    pub(super) fn learn_of_yields(&self, nanos: u64) {
        let yields = &self.yields;
        let seen = yields.seen.replace(false);
        let give_way = seen && nanos >= GIVES_WAY;
        let again = yields.gave_way.replace(give_way) && give_way;
        if yields.last.get() {
            if !seen && self.own().yielded.is_empty() {
                yields.last.set(false);
            }
        } else if again && self.may_come_last() {
            yields.last.set(true);
            yields.nanos.set(LONG_POLL);
        }
    }

    fn may_come_last(&self) -> bool {
        // A guest has few tasks of its own, and looks at the driver for its root. And injected tasks have every other of the turns, as often as they were promised.
        self.role != Role::Guest && self.shared.config.injector_interval >= 2 * IN_TURN
    }

    /// The next task that yielded; or what is found at the driver, if it is time for a look.
    pub(crate) fn next_yielded(&self) -> Option<Runnable> {
        let own = self.own();
        if own.yielded.is_empty() {
            return None;
        }
        let mut begun = now();
        if begun.duration_since(self.looked_at.get()) >= LOOK_AT_MOST_EVERY {
            self.look_at_driver();
            if self.retired.get() {
                return None;
            }
            let found = self.next_local();
            if found.is_some() {
                // They are overtaken, and others may be asleep.
                self.notify();
                return found;
            }
            begun = now();
        }
        self.pop_yielded(begun)
    }

    /// One of them, whose poll begins now.
    fn pop_yielded(&self, now: Instant) -> Option<Runnable> {
        let task = self.own().yielded.pop()?;
        self.yields.begun.set(Some((now, self.epoch())));
        Some(task)
    }

    /// Learns how long polls of tasks that yield take, at the end of one; whether these still come last.
    fn still_last(&self) -> bool {
        let yields = &self.yields;
        if let Some((begun, epoch)) = yields.begun.take()
            && self.epoch() == epoch + 1
        {
            let nanos = now().duration_since(begun).as_nanos() as u64;
            let average = yields.nanos.get();
            let average = average - average / 8 + nanos / 8;
            yields.nanos.set(average);
            if average < STILL_GIVES_WAY {
                self.take_back();
            }
        }
        yields.last.get()
    }

    /// What yielded before must not wait behind what yields from now on.
    #[cold]
    fn take_back(&self) {
        self.yields.last.set(false);
        while let Some(task) = self.own().yielded.pop() {
            self.deque.push(task);
        }
    }

    /// Turns until a task that was injected, or has yielded, comes first.
    #[inline]
    pub(crate) fn injector_interval(&self) -> u32 {
        let usual = self.shared.config.injector_interval;
        if self.yields.last.get() {
            usual.min(IN_TURN)
        } else {
            usual
        }
    }

    /// One of these, in turn.
    pub(crate) fn pop_in_turn(&self) -> Option<Runnable> {
        let injected = || {
            let task = self.shared.pop_injected()?;
            self.count_injected(1);
            Some(task)
        };
        let yielded = || self.pop_yielded(now());
        let Yields { last, next, .. } = &self.yields;
        if last.get() && next.replace(!next.get()) {
            yielded().or_else(injected)
        } else {
            injected().or_else(yielded)
        }
    }
}
