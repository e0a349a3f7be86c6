//! Searching: how a worker that has run out of work finds some (`idle.md`, Search), if anybody else is awake who may have any.
//!
//! First everybody else's deques, from a random one on, the injector, and what yielded elsewhere; then, if it has stolen before, a while of lingering, with the core given up
//! between two looks; at last the LIFO slots of those who compute for long. A searcher takes from a LIFO slot only on this last attempt, and only if
//! the owner's epoch has not moved for [`LIFO_PATIENCE`].
//!
//! **Cost.** Beginning and ending a search: one read-modify-write of the counts each. A look at a slot: what `crossbeam_deque`'s steal takes, two
//! loads and a fence if the deque is empty. Lingering: a `sched_yield` and a few loads a look. A batch of some tasks: a clock read when it is taken, and one when it
//! has been run; resting: a `sched_yield`, a clock read and four loads for each slot a turn. No lock; no other clock read but for LIFO slots and lingering.

use super::{Batch, POLLED, Role, Worker};
use crate::idle::{Lingers, is_worth_taking};
use crate::metrics::bump;
use crate::sync::deque::Steal;
use crate::sync::{Ordering, now, os_thread, scaled, spin_loop};
use crate::task::Runnable;
use std::time::Duration;

/// How long the owner's epoch must stand still before its LIFO slot is stolen from.
const LIFO_PATIENCE: Duration = Duration::from_micros(5);

/// How often a searcher that has stolen before looks once more, giving up its core in between, before it parks (`idle.md`, Search). About 10 µs,
/// what it takes to sleep and to be woken again; rayon's searchers yield 32 times.
const LINGER: usize = scaled(16, 2);

/// How long a worker rests between two batches that were not worth taking (`idle.md`, S4): less than what a task may wait that is spawned by one who
/// computes on. With 30 µs it helps `remote_wake` and not `spawn_inside`.
const REST: Duration = Duration::from_micros(50);

/// When no task has been pushed or taken for so long, whoever has them computes, and a rest is over.
const STILL: Duration = Duration::from_micros(10);

/// Ends a rest where the clock stands still, as in scenarios. A turn takes 0.3 µs on a core that nobody else wants.
const REST_TURNS: usize = scaled(1000, 2);

/// Smaller batches say nothing about the next.
const LEAST_BATCH: usize = scaled(4, 1);

impl Worker {
    /// S4. Remembers that a batch has been taken, which is in the deque but for one task.
    #[inline]
    pub(super) fn note_batch(&self) {
        let rest = self.deque.len();
        if rest >= LEAST_BATCH && self.role == Role::Worker {
            self.batch.set(Some(Batch {
                tasks: 1 + rest as u64,
                since: now(),
                epoch: self.epoch(),
            }));
        }
    }

    /// S4. Rests for a while before the next batch, if the last one was not worth taking.
    #[inline]
    pub(super) fn rest(&self) {
        if let Some(batch) = self.batch.take() {
            self.rest_after(batch);
        }
    }

    #[cold]
    fn rest_after(&self, batch: Batch) {
        let start = now();
        let took = start.duration_since(batch.since);
        if is_worth_taking(batch.tasks, self.epoch() - batch.epoch, took)
            || self.has_local()
            || !self.may_rest()
            || !self.shared.idle.begin_rest()
        {
            return;
        }
        // Who has the core instead may keep it: the task of the last poll must not be taken for one that holds the worker.
        self.publish_idle();
        // And a rest is no poll.
        self.measure_polls(start);
        let (mut queued, mut moved) = (self.shared.queued(), start);
        for _ in 0..REST_TURNS {
            os_thread::yield_now();
            let (time, before) = (now(), queued);
            queued = self.shared.queued();
            if queued != before {
                moved = time;
            }
            let is_over = time.duration_since(start) >= REST;
            let is_still = time.duration_since(moved) >= STILL;
            if is_over || is_still || !self.may_rest() {
                break;
            }
        }
        self.shared.idle.end_linger();
    }

    /// Looks at everybody else's queues, if not too many others do; lingers if that is in vain, and takes from a LIFO slot at last.
    pub(super) fn search(&self) -> Option<Runnable> {
        let has_stolen = self.has_stolen.replace(false);
        if !self.others_are_awake() || !self.start_searching() {
            return None;
        }
        if let Some(task) = self.look_around() {
            return Some(task);
        }
        if has_stolen && let Some(task) = self.linger() {
            return Some(task);
        }
        // Whoever has the core instead of us is not taken for somebody who computes for long before that.
        if self.start_searching() {
            self.steal_lifo()
        } else {
            None
        }
    }

    /// S1. Counts as searching, unless too many do.
    fn start_searching(&self) -> bool {
        if !self.searching.get() {
            if !self.shared.idle.try_search(self.shared.slots.count_live()) {
                return false;
            }
            self.searching.set(true);
        }
        true
    }

    /// Looks at everybody else's deques and at the injector.
    fn look_around(&self) -> Option<Runnable> {
        let start = self.random_slot();
        loop {
            let mut contended = false;
            for victim in self.shared.slots.live_from(start) {
                if victim == self.slot {
                    continue;
                }
                let stealer = &self.shared.slots.get(victim).stealer;
                match stealer.steal_batch_and_pop(&self.deque) {
                    Steal::Success(task) => {
                        bump(&self.own.counters.steals, 1);
                        bump(&self.own.counters.stolen, 1 + self.deque.len() as u64);
                        self.has_stolen.set(!self.is_fresh_of_root(victim, &task));
                        self.note_batch();
                        return Some(task);
                    }
                    Steal::Empty => {}
                    Steal::Retry => contended = true,
                }
            }
            if let Some(task) = self.pop_injected_batch() {
                return Some(task);
            }
            for victim in self.shared.slots.live_from(start) {
                let yielded = &self.shared.slots.get(victim).yielded;
                if let Some(task) = yielded.pop_batch(&self.deque) {
                    bump(&self.own.counters.steals, 1);
                    bump(&self.own.counters.stolen, 1 + self.deque.len() as u64);
                    return Some(task);
                }
            }
            if !contended {
                return None;
            }
        }
    }

    /// S3. Whether `task` is one that a root has spawned, which often pushes no more until it has run (`root_spawn`).
    fn is_fresh_of_root(&self, victim: usize, task: &Runnable) -> bool {
        task.conduct() & POLLED == 0 && self.shared.config.guest_slots().contains(&victim)
    }

    /// S3. Looks again a few times, giving up the core in between, while others are awake who may push something.
    fn linger(&self) -> Option<Runnable> {
        // Where events come, the next ones are waited for: the lingerer would not see them.
        if !self.may_linger() || self.shared.idle.take_gathered() {
            return None;
        }
        // Not counted as searching meanwhile: without its core it finds nothing.
        match self.shared.idle.begin_linger() {
            Lingers::Not => return None,
            Lingers::Recheck if self.shared.has_work() => self.shared.notify(),
            Lingers::Recheck | Lingers::Covered => {}
        }
        self.searching.set(false);
        // Looking around is no poll.
        self.measure_polls(now());
        let mut found = None;
        for _ in 0..LINGER {
            os_thread::yield_now();
            if !self.may_linger() {
                break;
            }
            if self.shared.has_work() && self.start_searching() {
                found = self.look_around();
                if found.is_some() {
                    break;
                }
                self.stop_searching();
            }
        }
        self.shared.idle.end_linger();
        found
    }

    /// Whether another worker is awake who may take what lies in the queues, nothing is there that comes first, and nobody wants this thread to do
    /// something else. (A guest takes nothing from others.)
    fn may_rest(&self) -> bool {
        let shared = &self.shared;
        let guests = shared.config.guest_slots();
        let workers = shared
            .slots
            .live_from(0)
            .filter(|slot| !guests.contains(slot))
            .count();
        // Relaxed: as in `may_linger`.
        workers > 1 + shared.idle.parked()
            && !shared.has_express()
            && self.own().signal.load(Ordering::Relaxed) == 0
    }

    /// Whether somebody else is awake who may push something, and nobody wants this thread to do something else.
    fn may_linger(&self) -> bool {
        // Relaxed: raised with an unpark, or found a little later.
        self.others_are_awake() && self.own().signal.load(Ordering::Relaxed) == 0
    }

    /// Whether any other slot may hold tasks: those of workers that sleep are empty, and a guest that sleeps is not live. Out of date when it is returned; whoever
    /// relies on it looks at everything before it parks (`idle.md`, P3).
    fn others_are_awake(&self) -> bool {
        let shared = &self.shared;
        shared.slots.count_live() > 1 + shared.idle.parked()
    }

    /// The last attempt: the LIFO slot of somebody who computes for long.
    fn steal_lifo(&self) -> Option<Runnable> {
        let start = self.random_slot();
        for victim in self.shared.slots.live_from(start) {
            let slot = self.shared.slots.get(victim);
            if victim == self.slot || slot.lifo.is_empty() {
                continue;
            }
            // Relaxed: compared with itself only.
            let epoch = slot.epoch.load(Ordering::Relaxed);
            let since = now();
            let moved = loop {
                if slot.epoch.load(Ordering::Relaxed) != epoch || slot.lifo.is_empty() {
                    break true;
                }
                if now().duration_since(since) >= LIFO_PATIENCE {
                    break false;
                }
                spin_loop();
            };
            if !moved && let Some(task) = slot.lifo.take() {
                bump(&self.own.counters.lifo_steals, 1);
                return Some(task);
            }
        }
        None
    }

    /// Ends the search, because work was found or the thread does something else.
    #[inline]
    pub(crate) fn stop_searching(&self) {
        if self.searching.replace(false) && self.shared.idle.found_work() && self.shared.has_work()
        {
            self.shared.notify();
        }
    }

    /// Some slot, to begin a walk at.
    fn random_slot(&self) -> usize {
        // As in D. Lemire, "Fast Random Integer Generation in an Interval", 2019: a division would cost as much as a steal.
        ((u64::from(self.next_random()) * self.shared.slots.len() as u64) >> 32) as usize
    }

    pub(super) fn next_random(&self) -> u32 {
        // xorshift32: Marsaglia, "Xorshift RNGs", 2003.
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x
    }
}
