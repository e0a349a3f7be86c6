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
//! What ends it: an event that the guest must pass on to a worker; another root that it, or a task that it runs, wakes; company and a long time awake; company without the root, for too long (`guest.rs` in the
//! executor says when); its leaving, also for `block_in_place`; the watchman when the guest stands still; the reactor thread when nobody has waited for a period; and another guest in its place. The guest may sleep on without the duty then, so
//! whoever ends it rouses a worker, or the other guest.
//!
//! *A guest that has left* must not be favoured: nobody would wait until the reactor thread finds out, up to two of its periods (8 ms) later. It is often gone before the dispatch that woke it
//! ends (threads that block on one request each). So it is woken with the number of guests that had left by then, and counts for nothing once there are more. (While other threads leave
//! `block_on` all the time, no guest is favoured.)
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
    /// Its driver, only compared: a thread may wake the root of another runtime.
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

    /// After the next dispatch.
    fn next(self, dispatch: Dispatch) -> Learned {
        let Some(guest) = dispatch.guest() else {
            let goes_on = self.has_root && dispatch.woken <= COMPANY && self.company > 0;
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
        let mut next = Learned {
            candidate: guest,
            has_root: true,
            ..Learned::NOTHING
        };
        if dispatch.during.is_some() && dispatch.woken == 1 {
            next.alone = before.alone.saturating_add(1);
        }
        if dispatch.woken <= COMPANY {
            next.company = before.company.saturating_add(1);
        }
        next
    }
}

/// What a dispatch has done.
#[derive(Clone, Copy)]
struct Dispatch {
    /// The guest that the thread has woken since its last dispatch, by a task that ran there.
    before: Option<usize>,
    /// The guest that it has woken.
    during: Option<usize>,
    /// How many futures it has woken.
    woken: usize,
}

impl Dispatch {
    /// The guest whose root has been woken.
    fn guest(self) -> Option<usize> {
        self.during.or(self.before)
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
        let dispatch = Dispatch {
            before: learning.before,
            during: self.take_roused(),
            woken,
        };
        if dispatch.guest().is_none() && !self.is_learning.load(Ordering::Relaxed) {
            return None;
        }
        self.learn(dispatch, learning.left)
    }

    #[inline(never)]
    fn learn(&self, dispatch: Dispatch, left: u32) -> Option<usize> {
        if dispatch.woken == 0 {
            // Nothing that would say for whom: as if it had not been.
            if let Some(guest) = dispatch.guest() {
                ROUSED.set(Roused {
                    favour: self,
                    guest,
                    left,
                });
            }
            return None;
        }
        let mut learned = self.learned.lock();
        let next = if self.left.load(Ordering::Relaxed) == left {
            learned.next(dispatch)
        } else {
            Learned::NOTHING
        };
        if next != *learned {
            self.set_learned(&mut learned, next);
        }
        let is_enough = next.alone >= FAVOUR_AFTER || next.company >= FAVOUR_AFTER;
        let is_new = is_enough && self.guest() != Some(next.candidate);
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
        let roused = self.take_roused().or(learning.before);
        roused.is_some_and(|guest| guest != slot) && self.passed_on(slot)
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
        self.pass_on(&mut self.learned.lock(), slot)
    }

    fn pass_on(&self, learned: &mut Learned, slot: usize) -> bool {
        let was_favoured = self.guest() == Some(slot);
        if was_favoured {
            self.guest.store(NOBODY, Ordering::Relaxed);
        }
        if was_favoured || learned.candidate == slot {
            self.set_learned(learned, Learned::NOTHING);
        }
        was_favoured
    }

    /// The guest of `slot` leaves; returns whether it was favoured.
    #[must_use]
    pub(super) fn leave(&self, slot: usize) -> bool {
        let mut learned = self.learned.lock();
        // Relaxed: under the lock; who reads it without has woken the guest before, or looks again.
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.wrapping_add(1), Ordering::Relaxed);
        self.pass_on(&mut learned, slot)
    }

    /// No guest is favoured any more.
    pub(super) fn withdraw(&self) {
        let mut learned = self.learned.lock();
        self.set_learned(&mut learned, Learned::NOTHING);
        self.guest.store(NOBODY, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
