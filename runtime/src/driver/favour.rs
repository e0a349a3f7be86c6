//! Who waits for I/O: a worker, or the guest inside `block_on`.
//!
//! The thread that waits should be the one that the event is for. For a server that is a worker, even if the future inside `block_on`
//! (the *root*) accepts the connections; for a program whose root talks to a socket itself, or through a task that has the connection, it is the guest: else each
//! answer costs two thread switches. So a guest waits only while it is *favoured*, and workers then leave the duty to it.
//!
//! A worker that has the duty learns from its dispatches for whom the events are. It favours a guest after [`FAVOUR_AFTER`] dispatches in a row
//!
//! - *for its root alone*: each woke this root and nothing else;
//! - or *for its company*: each woke at most [`COMPANY`] futures, and this root was woken, by the dispatch or by a task that ran after it, at least at every other one
//!   (where the peer is a task of the same program, every other event is that one's). Here the guest runs tasks of the company as well, one
//!   after the other, so it must have been quick each time that it was awake ([`Favour::no_company`] says if not): else two threads would have done it sooner.
//!
//! A guest that is newly favoured may be asleep on its futex, so it is unparked once: it then takes the duty.
//!
//! What ends it: an event that the guest must pass on to a worker, or to another guest; company and a long time awake; company without the root, for too long (`guest.rs` in the
//! executor says when); its leaving; and the reactor thread when nobody has waited for a period. The guest may sleep on without the duty then, so whoever ends it rouses a worker.
//!
//! *A guest that has left* must not be favoured: nobody would wait until the reactor thread finds out, up to two of its periods (8 ms) later. It is often gone before the dispatch that woke it
//! ends (threads that block on one request each). So it is woken with the number of guests that had left by then, and counts for nothing once there are more.
//!
//! Whoever does not dispatch for a root pays two reads of a thread-local and two Relaxed loads for all of this; the rest is behind a lock.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// How many dispatches in a row it takes before a guest does the waiting. A guess: a
/// handful, so that a server's accept loop is not mistaken for a client.
const FAVOUR_AFTER: u32 = 8;
/// How many futures the dispatches for a company wake at most: with more, there is something to share.
const COMPANY: usize = 2;
/// No guest.
const NOBODY: usize = usize::MAX;

thread_local! {
    /// The guest that this thread unparked last; to tell whom a dispatch was for.
    static ROUSED: Cell<Roused> = const { Cell::new(Roused::NONE) };
}

/// A guest that has been woken.
#[derive(Clone, Copy)]
struct Roused {
    /// Its driver: a thread may wake the root of another runtime.
    favour: *const Favour,
    /// Its slot, or `NOBODY`.
    guest: usize,
    /// How many guests had left by then.
    left: u32,
}

impl Roused {
    const NONE: Roused = Roused {
        favour: ptr::null(),
        guest: NOBODY,
        left: 0,
    };
}

/// The guest that is to wait for I/O, and what speaks for one.
#[derive(Debug)]
pub(super) struct Favour {
    /// The slot of that guest, or `NOBODY`. Written under the lock; a hint for who reads it.
    guest: AtomicUsize,
    /// How many guests have left their slots. Written under the lock.
    left: AtomicU32,
    /// Whether there is a candidate. Written under the lock; a hint for who reads it.
    is_learning: AtomicBool,
    /// What has been learned.
    learned: Mutex<Learned>,
}

/// Dispatches in a row that were for one guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Learned {
    /// The slot of that guest, or `NOBODY`.
    candidate: usize,
    /// How many woke its root and nothing else.
    alone: u32,
    /// How many were for the company of its root.
    company: u32,
    /// Whether the last of these woke its root.
    has_root: bool,
}

impl Learned {
    const NOTHING: Learned = Learned {
        candidate: NOBODY,
        alone: 0,
        company: 0,
        has_root: false,
    };

    /// The next dispatch: it woke so many futures; `guest` is whose root it, or a task since the last one, has woken, if any; `is_alone`: it did, and nothing else.
    fn next(self, guest: Option<usize>, is_alone: bool, woken: usize) -> Learned {
        let Some(guest) = guest else {
            let goes_on = self.has_root && woken <= COMPANY && self.company > 0;
            return if goes_on {
                Learned {
                    alone: 0,
                    has_root: false,
                    ..self
                }
            } else {
                Learned::NOTHING
            };
        };
        let before = if self.candidate == guest {
            self
        } else {
            Learned::NOTHING
        };
        let count = |before: u32, counts| if counts { before.saturating_add(1) } else { 0 };
        Learned {
            candidate: guest,
            alone: count(before.alone, is_alone),
            company: count(before.company, woken <= COMPANY),
            has_root: true,
        }
    }
}

/// What is known of a dispatch before its first wake-up.
#[must_use]
pub(super) struct Learning {
    /// The guest that this thread has woken since its last dispatch.
    before: Option<usize>,
    /// How many guests had left by then.
    left: u32,
}

impl Favour {
    pub(super) fn new() -> Favour {
        Favour {
            guest: AtomicUsize::new(NOBODY),
            left: AtomicU32::new(0),
            is_learning: AtomicBool::new(false),
            learned: Mutex::new(Learned::NOTHING),
        }
    }

    /// The guest that is to wait for I/O.
    pub(super) fn guest(&self) -> Option<usize> {
        // Relaxed, as all here that is read without the lock: a hint.
        let guest = self.guest.load(Ordering::Relaxed);
        (guest != NOBODY).then_some(guest)
    }

    /// The calling thread wakes the guest of `slot`.
    pub(super) fn note_roused(&self, slot: usize) {
        ROUSED.set(Roused {
            favour: self,
            guest: slot,
            left: self.left.load(Ordering::Relaxed),
        });
    }

    /// The guest that this thread has woken since it was last asked, if none has left since.
    #[inline]
    fn take_roused(&self) -> Option<usize> {
        let roused = ROUSED.get();
        if roused.guest == NOBODY {
            return None;
        }
        ROUSED.set(Roused::NONE);
        let counts =
            ptr::eq(roused.favour, self) && roused.left == self.left.load(Ordering::Relaxed);
        counts.then_some(roused.guest)
    }

    /// A worker or a guest begins to dispatch.
    #[inline]
    pub(super) fn begin_dispatch(&self) -> Learning {
        Learning {
            left: self.left.load(Ordering::Relaxed),
            before: self.take_roused(),
        }
    }

    /// A worker has dispatched events, which woke so many futures; returns a guest that is newly favoured.
    #[inline]
    #[must_use]
    pub(super) fn end_dispatch(&self, learning: Learning, woken: usize) -> Option<usize> {
        let during = self.take_roused();
        let is_for_tasks = learning.before.is_none() && during.is_none();
        if is_for_tasks && !self.is_learning.load(Ordering::Relaxed) {
            return None;
        }
        self.learn(learning, during, woken)
    }

    #[inline(never)]
    fn learn(&self, learning: Learning, during: Option<usize>, woken: usize) -> Option<usize> {
        let Learning { before, left } = learning;
        let guest = during.or(before);
        if woken == 0 {
            // Nothing that would say for whom: as if it had not been.
            guest.inspect(|&guest| self.note_roused(guest));
            return None;
        }
        let mut learned = self.learned.lock();
        let next = if self.left.load(Ordering::Relaxed) == left {
            learned.next(guest, during.is_some() && woken == 1, woken)
        } else {
            Learned::NOTHING
        };
        if next != *learned {
            self.set_learned(&mut learned, next);
        }
        let is_enough = next.alone >= FAVOUR_AFTER || next.company >= FAVOUR_AFTER;
        let is_new = is_enough && self.guest.load(Ordering::Relaxed) != next.candidate;
        is_new.then(|| {
            self.guest.store(next.candidate, Ordering::Relaxed);
            next.candidate
        })
    }

    fn set_learned(&self, learned: &mut Learned, next: Learned) {
        *learned = next;
        let is_learning = next.candidate != NOBODY;
        self.is_learning.store(is_learning, Ordering::Relaxed);
    }

    /// The guest of `slot` has dispatched events; returns whether it was favoured and is not any more.
    #[must_use]
    pub(super) fn end_dispatch_of_guest(&self, learning: Learning, slot: usize) -> bool {
        // Its own root is woken without a word.
        let other = self.take_roused().or(learning.before);
        other.is_some_and(|_| self.passed_on(slot))
    }

    /// The guest of `slot` was awake for long, or spawned tasks.
    pub(super) fn no_company(&self, slot: usize) {
        if self.is_learning.load(Ordering::Relaxed) {
            let mut learned = self.learned.lock();
            if learned.candidate == slot {
                learned.company = 0;
            }
        }
    }

    /// The guest of `slot` is not to wait for I/O; returns whether it was favoured and is not any more.
    #[must_use]
    pub(super) fn passed_on(&self, slot: usize) -> bool {
        let mut learned = self.learned.lock();
        let was_favoured = self.guest() == Some(slot);
        if was_favoured {
            self.guest.store(NOBODY, Ordering::Relaxed);
        }
        if was_favoured || learned.candidate == slot {
            self.set_learned(&mut learned, Learned::NOTHING);
        }
        was_favoured
    }

    /// The guest of `slot` leaves; returns whether it was favoured.
    #[must_use]
    pub(super) fn leave(&self, slot: usize) -> bool {
        {
            let _learned = self.learned.lock();
            // Relaxed: under the lock; who reads it without has woken the guest before, or looks again.
            let left = self.left.load(Ordering::Relaxed);
            self.left.store(left.wrapping_add(1), Ordering::Relaxed);
        }
        self.passed_on(slot)
    }

    /// No guest is favoured any more.
    pub(super) fn withdraw(&self) {
        let mut learned = self.learned.lock();
        self.set_learned(&mut learned, Learned::NOTHING);
        self.guest.store(NOBODY, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a worker's thread does from one dispatch to the next.
    #[derive(Clone, Copy)]
    enum Seen {
        /// An event for the root.
        Root,
        /// An event for a task that wakes the root when it runs.
        TaskThenRoot,
        /// Events for so many tasks, none of which wakes the root.
        Tasks(usize),
        /// Events that wake nobody.
        Nobody,
    }
    use Seen::{Nobody, Root, TaskThenRoot, Tasks};

    const GUEST: usize = 7;

    fn dispatch(favour: &Favour, seen: Seen) -> Option<usize> {
        let learning = favour.begin_dispatch();
        let woken = match seen {
            Root => {
                favour.note_roused(GUEST);
                1
            }
            TaskThenRoot => 1,
            Tasks(tasks) => tasks,
            Nobody => 0,
        };
        let newly = favour.end_dispatch(learning, woken);
        if let TaskThenRoot = seen {
            favour.note_roused(GUEST);
        }
        newly
    }

    /// Whether the guest is favoured after each of so many rounds of `seen`.
    fn favoured(seen: &[Seen], rounds: u32) -> Vec<bool> {
        let favour = Favour::new();
        let round = |_| {
            for &seen in seen {
                let _ = dispatch(&favour, seen);
            }
            favour.guest() == Some(GUEST)
        };
        (0..rounds).map(round).collect()
    }

    fn ends_favoured(seen: &[Seen]) -> bool {
        favoured(seen, 1000)[999]
    }

    #[test]
    fn a_guest_is_favoured_once_enough_events_were_for_its_root() {
        let rounds = favoured(&[Root], FAVOUR_AFTER);
        assert_eq!(rounds.iter().position(|&is_so| is_so), Some(7));
        assert!(ends_favoured(&[Root, Nobody]));
    }

    #[test]
    fn and_once_enough_were_for_tasks_that_woke_it() {
        let rounds = favoured(&[TaskThenRoot], FAVOUR_AFTER + 1);
        // The wake-up of a task's poll is known at the next dispatch.
        assert_eq!(rounds.iter().position(|&is_so| is_so), Some(8));
        assert!(ends_favoured(&[TaskThenRoot, Nobody, Nobody]));
    }

    #[test]
    fn or_if_every_other_one_is_for_the_peer_of_its_root() {
        assert!(ends_favoured(&[Root, Tasks(1)]));
        assert!(ends_favoured(&[Root, Tasks(COMPANY)]));
        assert!(ends_favoured(&[TaskThenRoot, Tasks(1)]));
    }

    #[test]
    fn a_server_is_left_to_the_workers() {
        assert!(!ends_favoured(&[Tasks(1)]));
        assert!(!ends_favoured(&[Nobody]));
        // The root accepts a connection now and then.
        assert!(!ends_favoured(&[Root, Tasks(1), Tasks(1)]));
        assert!(!ends_favoured(&[Root, Tasks(COMPANY + 1)]));
        assert!(!ends_favoured(&[TaskThenRoot, Tasks(1), Tasks(1)]));
    }

    #[test]
    fn a_guest_that_spawns_or_computes_gets_no_company_but_keeps_what_is_its_own() {
        for (seen, expected) in [(Root, true), (TaskThenRoot, false)] {
            let favour = Favour::new();
            for _ in 0..1000 {
                dispatch(&favour, seen);
                favour.no_company(GUEST);
            }
            assert_eq!((favour.guest() == Some(GUEST)), expected);
        }
    }

    #[test]
    fn guests_that_are_woken_by_turns_are_left_to_the_workers() {
        let favour = Favour::new();
        for turn in 0..1000 {
            let learning = favour.begin_dispatch();
            favour.note_roused(turn % 2);
            assert_eq!(favour.end_dispatch(learning, 1), None);
        }
    }

    /// A guest that is favoured.
    fn with_favour() -> Favour {
        let favour = Favour::new();
        for _ in 1..FAVOUR_AFTER {
            assert_eq!(dispatch(&favour, Root), None);
        }
        assert_eq!(dispatch(&favour, Root), Some(GUEST), "it must be unparked");
        assert_eq!(dispatch(&favour, Root), None, "but once");
        favour
    }

    #[test]
    fn a_guest_that_wakes_another_one_is_favoured_no_more() {
        let favour = with_favour();
        let learning = favour.begin_dispatch();
        assert!(!favour.end_dispatch_of_guest(learning, GUEST));
        let learning = favour.begin_dispatch();
        favour.note_roused(GUEST + 1);
        assert!(favour.end_dispatch_of_guest(learning, GUEST));
        assert_eq!(favour.guest(), None);
        // A task that it runs does so.
        let favour = with_favour();
        favour.note_roused(GUEST + 1);
        let learning = favour.begin_dispatch();
        assert!(favour.end_dispatch_of_guest(learning, GUEST));
    }

    #[test]
    fn nobody_ends_the_favour_of_another_guest() {
        let favour = with_favour();
        assert!(!favour.leave(GUEST + 1));
        assert!(!favour.passed_on(GUEST + 1));
        favour.no_company(GUEST + 1);
        assert_eq!(favour.guest(), Some(GUEST));
        assert!(favour.leave(GUEST));
        assert_eq!(favour.guest(), None);
    }

    #[test]
    fn guests_that_leave_after_each_event_are_left_to_the_workers() {
        // After the dispatch that woke it, and before its end.
        let favour = Favour::new();
        for _ in 0..1000 {
            dispatch(&favour, Root);
            assert!(!favour.leave(GUEST));
        }
        for _ in 0..1000 {
            let learning = favour.begin_dispatch();
            favour.note_roused(GUEST);
            assert!(!favour.leave(GUEST));
            assert_eq!(favour.end_dispatch(learning, 1), None);
        }
        // While a task that it woke is dispatched for.
        for _ in 0..1000 {
            dispatch(&favour, TaskThenRoot);
            let learning = favour.begin_dispatch();
            assert!(!favour.leave(GUEST));
            assert_eq!(favour.end_dispatch(learning, 1), None);
        }
    }

    #[test]
    fn the_root_of_another_runtime_speaks_for_nobody() {
        let (favour, other) = (Favour::new(), Favour::new());
        for _ in 0..1000 {
            let learning = favour.begin_dispatch();
            other.note_roused(GUEST);
            assert_eq!(favour.end_dispatch(learning, 1), None);
        }
    }

    #[test]
    fn what_was_learned_is_forgotten_when_the_favour_ends() {
        for seen in [Root, TaskThenRoot] {
            let favour = Favour::new();
            for _ in 0..=FAVOUR_AFTER {
                dispatch(&favour, seen);
            }
            assert_eq!(favour.guest(), Some(GUEST));
            favour.withdraw();
            dispatch(&favour, seen);
            assert_eq!(favour.guest(), None);
        }
    }
}
