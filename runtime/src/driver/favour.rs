//! Who waits for I/O: a worker, or the guest inside `block_on`.
//!
//! The thread that waits should be the one that the event is for. For a server that is a worker, even if the future inside `block_on`
//! (the *root*) accepts the connections; for a program whose root talks to a socket itself, or through a task that has the connection, it is the guest: else each
//! answer costs two thread switches. So a guest waits only while it is *favoured*, and workers then leave the duty to it.
//!
//! A worker that has the duty learns from its dispatches for whom the events are. It favours a guest after [`FAVOUR_AFTER`] dispatches in a row
//!
//! - *for the root alone*: each woke one root and nothing else;
//! - or *for its company*: each woke at most [`COMPANY`] futures, and a root was woken, by the dispatch or by the task that ran after it, at least at every other one
//!   (where the peer is a task of the same program, every other event is that one's). Here the guest runs the tasks of the company as well, one
//!   after the other, so it must have been quick each time that it was awake ([`Favour::no_company`] says if not): else two threads would have done it sooner.
//!
//! What ends it ([`Favour::withdraw`]): an event that the guest must pass on to a worker; company and a long time awake; company without the root, for too long (`guest.rs` in the
//! executor says when); its leaving; and the reactor thread when nobody has waited for a period.
//!
//! All of this is a hint, and Relaxed: a stale value costs a hand-over, or a wait of one period.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// How many dispatches in a row it takes before a guest does the waiting. A guess: a
/// handful, so that a server's accept loop is not mistaken for a client.
const FAVOUR_AFTER: u32 = 8;
/// How many futures the dispatches for a company wake at most: with more, there is something to share. As many tasks as a guest keeps (`guest.rs`).
const COMPANY: usize = 2;
/// In [`Favour::company`]: the last dispatch woke no root.
const MISSED: u32 = 1;
/// In [`Favour::company`]: a dispatch that counts.
const ONE: u32 = 2;
/// No guest.
const NOBODY: usize = usize::MAX;

thread_local! {
    /// The guest that this thread unparked last; to tell whom a dispatch was for.
    static ROUSED: Cell<usize> = const { Cell::new(NOBODY) };
}

/// The guest that is to wait for I/O, and what speaks for one.
#[derive(Debug)]
pub(super) struct Favour {
    /// The slot of that guest, or `NOBODY`.
    guest: AtomicUsize,
    /// How many dispatches in a row woke one root and nothing else.
    alone: AtomicU32,
    /// How many in a row were for the company of a root, times `ONE`, and `MISSED`.
    company: AtomicU32,
}

/// Notes for whom a dispatch of a worker is, from before its first wake-up on.
#[must_use]
pub(super) struct Learning {
    /// The guest that this thread has woken since its last dispatch.
    before: usize,
}

impl Favour {
    pub(super) fn new() -> Favour {
        Favour {
            guest: AtomicUsize::new(NOBODY),
            alone: AtomicU32::new(0),
            company: AtomicU32::new(0),
        }
    }

    /// The calling thread wakes the guest of `slot`.
    pub(super) fn note_roused(slot: usize) {
        ROUSED.set(slot);
    }

    /// Whether the guest of `slot` is to wait for I/O.
    pub(super) fn is_for(&self, slot: usize) -> bool {
        self.guest.load(Ordering::Relaxed) == slot
    }

    /// Whether the workers are to wait for I/O.
    pub(super) fn is_for_workers(&self) -> bool {
        self.is_for(NOBODY)
    }

    fn set(&self, guest: usize) {
        if !self.is_for(guest) {
            self.guest.store(guest, Ordering::Relaxed);
        }
    }

    /// A worker begins to dispatch.
    #[inline]
    pub(super) fn begin_dispatch() -> Learning {
        let before = ROUSED.get();
        if before != NOBODY {
            ROUSED.set(NOBODY);
        }
        Learning { before }
    }

    /// A worker has dispatched events, which woke so many futures.
    #[inline]
    pub(super) fn end_dispatch(&self, learning: Learning, woken: usize) {
        let Learning { before } = learning;
        let during = ROUSED.get();
        let is_server = before == NOBODY && during == NOBODY;
        if is_server
            && self.alone.load(Ordering::Relaxed) == 0
            && self.company.load(Ordering::Relaxed) == 0
        {
            return;
        }
        self.learn(before, during, woken);
    }

    #[inline(never)]
    fn learn(&self, before: usize, during: usize, woken: usize) {
        let guest = if during == NOBODY { before } else { during };
        if woken == 0 {
            // Nothing that would say for whom: as if it had not been.
            ROUSED.set(guest);
            return;
        }
        ROUSED.set(NOBODY);
        let alone = if woken == 1 && during != NOBODY {
            self.alone.load(Ordering::Relaxed).saturating_add(1)
        } else {
            0
        };
        self.alone.store(alone, Ordering::Relaxed);
        let company = self.company.load(Ordering::Relaxed);
        let company = next_company(company, woken, guest != NOBODY);
        self.company.store(company, Ordering::Relaxed);
        if guest != NOBODY && (alone >= FAVOUR_AFTER || company >= FAVOUR_AFTER * ONE) {
            self.set(guest);
        }
    }

    /// A guest was awake for long, or spawned tasks.
    pub(super) fn no_company(&self) {
        if self.company.load(Ordering::Relaxed) != 0 {
            self.company.store(0, Ordering::Relaxed);
        }
    }

    /// No guest is favoured any more.
    pub(super) fn withdraw(&self) {
        self.alone.store(0, Ordering::Relaxed);
        self.company.store(0, Ordering::Relaxed);
        self.set(NOBODY);
    }
}

fn next_company(company: u32, woken: usize, is_root_woken: bool) -> u32 {
    if woken > COMPANY {
        0
    } else if is_root_woken {
        (company & !MISSED).saturating_add(ONE)
    } else if company & MISSED != 0 {
        0
    } else {
        company | MISSED
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

    fn dispatch(favour: &Favour, seen: Seen) {
        let learning = Favour::begin_dispatch();
        let woken = match seen {
            Root => {
                Favour::note_roused(GUEST);
                1
            }
            TaskThenRoot => 1,
            Tasks(tasks) => tasks,
            Nobody => 0,
        };
        favour.end_dispatch(learning, woken);
        if let TaskThenRoot = seen {
            Favour::note_roused(GUEST);
        }
    }

    /// Whether the guest is favoured after each of so many rounds of `seen`.
    fn favoured(seen: &[Seen], rounds: u32) -> Vec<bool> {
        ROUSED.set(NOBODY);
        let favour = Favour::new();
        let round = |_| {
            seen.iter().for_each(|&seen| dispatch(&favour, seen));
            favour.is_for(GUEST)
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
        ROUSED.set(NOBODY);
        for (seen, expected) in [(Root, true), (TaskThenRoot, false)] {
            let favour = Favour::new();
            for _ in 0..1000 {
                dispatch(&favour, seen);
                favour.no_company();
            }
            assert_eq!(favour.is_for(GUEST), expected);
        }
    }

    #[test]
    fn what_was_learned_is_forgotten_when_the_favour_ends() {
        ROUSED.set(NOBODY);
        for seen in [Root, TaskThenRoot] {
            let favour = Favour::new();
            for _ in 0..=FAVOUR_AFTER {
                dispatch(&favour, seen);
            }
            assert!(favour.is_for(GUEST) && !favour.is_for_workers());
            favour.withdraw();
            dispatch(&favour, seen);
            assert!(favour.is_for_workers());
        }
    }
}
