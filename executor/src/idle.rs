//! Who searches, who sleeps, whom to wake.
//!
//! One word holds two counts, *searching* and *parked*; the list of the parked slots lies under
//! a mutex that is locked only after the word says that somebody sleeps. Everything else is in
//! the protocol text below; the numbers in this file's comments are its step numbers.
//!
//! This module is pure: it knows slots by their index, never touches a queue or a thread, and
//! says whom to unpark instead of doing so. That is what makes it small enough to model
//! (`idle/loom.rs`).
//!
//! **Cost.** `choose` with somebody searching or nobody parked: one fence and one load. Parking
//! and leaving: one uncontended lock and one read-modify-write each. A batch of events: one load, and a store if a worker has asked since the last one.
#![doc = include_str!("idle.md")]

use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering, bug, fence};
use crossbeam_utils::CachePadded;
use std::time::Duration;

/// One searching worker in the state word.
const SEARCHING: u64 = 1 << 32;
/// One parked worker in the state word.
const PARKED: u64 = 1;
/// "Not in the list" in `Idle::place`.
const NOWHERE: u32 = u32::MAX;
/// What a driver has woken is notified for if it takes so many nanoseconds to run, as far as can be told from the last polls: as much as it takes to wake
/// another thread (decision 18).
const BACKLOG: u64 = 5_000;
/// The same if the tasks take less than [`WORTH_TAKING`], or hogs have the other cores. A woken thread needs 5 to 50 µs until it runs something, and then both have less to
/// do at a time: smaller batches, more waits, more switches (`timer_mass`, `echo_hogs`).
const BACKLOG_OF_LITTLE: u64 = 200_000;
/// The same while there is no core for another worker. More than what 512 connections make at a time, less than what a person notices.
const BACKLOG_IN_A_CROWD: u64 = 5_000_000;
/// Tasks that take fewer nanoseconds than this are better left to the worker that has them (S4): to bring a task, its place in the list and its result from one
/// core to another takes 200 ns, and up to 1,000 while both do so.
const WORTH_TAKING: u64 = 1_000;

/// A snapshot of the state word: `searching` in the upper half, `parked` in the lower.
#[derive(Clone, Copy)]
struct Counts(u64);

impl Counts {
    fn searching(self) -> u64 {
        self.0 >> 32
    }

    fn parked(self) -> u64 {
        self.0 & (SEARCHING - 1)
    }
}

/// What a worker that just parked has to do next.
#[must_use]
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Parked {
    /// Nobody searches any more: look at every queue once and notify if there is work (P3).
    Recheck,
    /// Somebody else searches and will see whatever was pushed.
    Covered,
}

/// What a worker that wants to linger has to do next.
#[must_use]
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Lingers {
    /// Nothing: another lingers, and this one searches on.
    Not,
    /// Linger. It was the last to search: look at every queue once and notify if there is work (S2).
    Recheck,
    /// Linger. Somebody else searches.
    Covered,
}

/// How a worker came out of the parked state.
#[must_use]
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Left {
    /// A notifier took it off the list and counted it as searching.
    Chosen,
    /// It took itself off the list.
    ByItself,
}

/// The counts and the list of sleepers.
#[derive(Debug)]
pub(crate) struct Idle {
    /// Searching and parked, see [`Counts`]. Written by read-modify-writes only.
    counts: CachePadded<AtomicU64>,
    /// The parked slots, the one parked last at the end. Always agrees with `counts` and `place`
    /// when the lock is free.
    sleepers: Mutex<Vec<u32>>,
    /// Where each slot stands in `sleepers`, or `NOWHERE`. Written under the lock.
    place: Box<[AtomicU32]>,
    /// Whether a worker lingers (S3) or rests (S4); one at a time.
    lingers: AtomicBool,
    /// Whether a worker or a guest has gathered events or timers since a worker last asked (S3). On a line of its own: it is set for each batch of events.
    gathered: CachePadded<AtomicBool>,
}

impl Idle {
    pub(crate) fn new(slots: usize) -> Idle {
        Idle {
            counts: CachePadded::new(AtomicU64::new(0)),
            sleepers: Mutex::new(Vec::with_capacity(slots)),
            place: (0..slots).map(|_| AtomicU32::new(NOWHERE)).collect(),
            lingers: AtomicBool::new(false),
            gathered: CachePadded::default(),
        }
    }

    fn load(&self) -> Counts {
        // Ordering: SeqCst, the load half of N1/P3 (store work, load counts against store counts,
        // load work).
        Counts(self.counts.load(Ordering::SeqCst))
    }

    /// Decides whether a worker should be unparked for work that was just pushed, and which:
    /// preferably not `avoid`, which holds the polling duty. The caller unparks it.
    #[inline]
    pub(crate) fn choose(&self, avoid: impl FnOnce() -> usize) -> Option<usize> {
        // N1. Ordering: SeqCst closes the race between our push followed by this load and a
        // worker's parking followed by its look at the queues (P2, P3).
        if !bug::IDLE_NOTIFY_NO_FENCE.is_on() {
            fence(Ordering::SeqCst);
        }
        let counts = self.load();
        // N2.
        if counts.searching() != 0 || counts.parked() == 0 {
            return None;
        }
        self.choose_slow(avoid())
    }

    #[cold]
    fn choose_slow(&self, avoid: usize) -> Option<usize> {
        // N3.
        let mut sleepers = self.sleepers.lock();
        if self.load().searching() != 0 {
            return None;
        }
        let last = sleepers.len().checked_sub(1)?;
        let at = if last > 0 && sleepers[last] as usize == avoid {
            last - 1
        } else {
            last
        };
        let slot = sleepers[at] as usize;
        // N4, before N5. Ordering: SeqCst, one total order with the loads of N1 and P3.
        self.counts.fetch_add(SEARCHING - PARKED, Ordering::SeqCst);
        // N5.
        self.remove(&mut sleepers, slot);
        Some(slot)
    }

    /// Takes `slot` off the list; it must be on it.
    fn remove(&self, sleepers: &mut Vec<u32>, slot: usize) {
        // Relaxed: `place` is written under the lock that we hold.
        let at = self.place[slot].load(Ordering::Relaxed) as usize;
        sleepers.swap_remove(at);
        if let Some(&moved) = sleepers.get(at) {
            self.place[moved as usize].store(at as u32, Ordering::Relaxed);
        }
        // Ordering: Release pairs with the Acquire load in `is_parked`: who was chosen sees itself counted (N4).
        self.place[slot].store(NOWHERE, Ordering::Release);
    }

    /// Starts a search, unless half of the `awake` workers search already.
    pub(crate) fn try_search(&self, live: usize) -> bool {
        // S1. A stale count only makes the bound inexact.
        let counts = self.load();
        let awake = (live as u64).saturating_sub(counts.parked()).max(1);
        if 2 * counts.searching() >= awake {
            return false;
        }
        // Ordering: SeqCst, one total order with N1.
        self.counts.fetch_add(SEARCHING, Ordering::SeqCst);
        true
    }

    /// S3. A worker or a guest has gathered events or timers.
    #[inline]
    pub(crate) fn note_gathered(&self) {
        // Relaxed: a hint.
        if !self.gathered.load(Ordering::Relaxed) {
            self.gathered.store(true, Ordering::Relaxed);
        }
    }

    /// S3. Whether some have been gathered since the last such question.
    pub(crate) fn take_gathered(&self) -> bool {
        // Relaxed: a hint.
        self.gathered.load(Ordering::Relaxed) && self.gathered.swap(false, Ordering::Relaxed)
    }

    /// Ends the search of a worker and lets it linger, unless another does.
    pub(crate) fn begin_linger(&self) -> Lingers {
        // S3. Relaxed, here and below: it only bounds how many do, and orders nothing.
        let is_taken = if bug::IDLE_LINGER_TWICE.is_on() {
            let is_taken = self.lingers.load(Ordering::Relaxed);
            self.lingers.fetch_or(true, Ordering::Relaxed);
            is_taken
        } else {
            !self.begin_rest()
        };
        if is_taken {
            Lingers::Not
        } else if bug::IDLE_LINGER_COUNTED.is_on() {
            Lingers::Covered
        } else if self.found_work() {
            Lingers::Recheck
        } else {
            Lingers::Covered
        }
    }

    /// Lets a worker rest that does not search (S4), unless another rests or lingers.
    pub(crate) fn begin_rest(&self) -> bool {
        // Relaxed: as in `begin_linger`.
        !self.lingers.load(Ordering::Relaxed) && !self.lingers.swap(true, Ordering::Relaxed)
    }

    /// Lingers or rests no longer.
    pub(crate) fn end_linger(&self) {
        self.lingers.swap(false, Ordering::Relaxed);
    }

    /// Ends a search that found work; `true` if it was the last one, and then the caller notifies
    /// another worker if any queue is non-empty.
    pub(crate) fn found_work(&self) -> bool {
        // S2. Ordering: SeqCst; together with the fence it closes the race with a notifier that
        // saw us searching (N2) and relied on us.
        let before = Counts(self.counts.fetch_sub(SEARCHING, Ordering::SeqCst));
        let last = before.searching() == 1 && !bug::IDLE_FOUND_NO_RECHECK.is_on();
        if last {
            fence(Ordering::SeqCst);
        }
        last
    }

    /// Puts `slot` on the list, and ends its search if it was `searching`.
    pub(crate) fn park(&self, slot: usize, searching: bool) -> Parked {
        let ended = if searching { SEARCHING } else { 0 };
        // P1.
        let before = {
            let mut sleepers = self.sleepers.lock();
            // Ordering: Release pairs with the Acquire load in `is_parked`.
            self.place[slot].store(sleepers.len() as u32, Ordering::Release);
            sleepers.push(slot as u32);
            // P2. Ordering: SeqCst, see N1.
            Counts(
                self.counts
                    .fetch_add(PARKED.wrapping_sub(ended), Ordering::SeqCst),
            )
        };
        if before.searching() == u64::from(searching) && !bug::IDLE_PARK_NO_RECHECK.is_on() {
            // P3. Ordering: SeqCst, see N1.
            fence(Ordering::SeqCst);
            Parked::Recheck
        } else {
            Parked::Covered
        }
    }

    /// Whether `slot` is still on the list. If not, it was chosen.
    pub(crate) fn is_parked(&self, slot: usize) -> bool {
        // Ordering: Acquire pairs with the Release stores under the lock.
        self.place[slot].load(Ordering::Acquire) != NOWHERE
    }

    /// Takes `slot` off the list, since it has found something to do.
    pub(crate) fn leave(&self, slot: usize) -> Left {
        // L1.
        let mut sleepers = self.sleepers.lock();
        // Relaxed: written under the lock that we hold.
        if self.place[slot].load(Ordering::Relaxed) == NOWHERE {
            return Left::Chosen;
        }
        self.remove(&mut sleepers, slot);
        // Ordering: SeqCst, one total order with N1 and with the reactor thread's look at
        // `parked` before it sleeps.
        self.counts.fetch_sub(PARKED, Ordering::SeqCst);
        Left::ByItself
    }

    /// How many slots are parked.
    pub(crate) fn parked(&self) -> usize {
        self.load().parked() as usize
    }
}

/// S4: whether it was worth while to take a batch of `tasks` from others, which came to so many `polls` and `took` so long.
pub(crate) fn is_worth_taking(tasks: u64, polls: u64, took: Duration) -> bool {
    // Tasks that brought forth others, which were polled here too, were worth it. What others stole again was not run here.
    polls > 2 * tasks || took.as_nanos() as u64 >= WORTH_TAKING * tasks.min(polls)
}

/// Whether there are cores for other workers.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Cores {
    /// As far as is known.
    Free,
    /// Hogs have them (`rescue.md`).
    Hogs,
    /// Those whom the workers serve have them (`crowd.rs`).
    Crowded,
}

/// N6: whether a batch of `tasks` that a worker's own driver has woken is notified for, when its polls take `poll_nanos` on average.
///
/// It depends on the cores only if the batch is neither short nor very long.
#[inline]
pub(crate) fn is_for_others(tasks: u64, poll_nanos: u64, cores: impl FnOnce() -> Cores) -> bool {
    // One task is for the worker itself.
    if tasks < 2 || bug::IDLE_BATCH_SILENT.is_on() {
        return false;
    }
    let nanos = tasks.saturating_mul(poll_nanos);
    if nanos < BACKLOG || nanos < BACKLOG_OF_LITTLE && poll_nanos < WORTH_TAKING {
        return false;
    }
    nanos >= BACKLOG_IN_A_CROWD
        || match cores() {
            Cores::Free => true,
            Cores::Hogs => nanos >= BACKLOG_OF_LITTLE,
            Cores::Crowded => false,
        }
}

#[cfg(all(test, rt_shuttle))]
impl Idle {
    /// How many are searching, and how many are parked.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let counts = self.load();
        (counts.searching(), counts.parked())
    }
}

#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
