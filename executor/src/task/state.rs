//! The state word of a task: flags and the count of references, and one method per transition.
//!
//! Phases, and the flags that make them (the module header of [`task`](super) tells who may do what in each):
//!
//! | phase | `SCHEDULED` | `RUNNING` | `COMPLETE` | the right to poll lies with |
//! |---|---|---|---|---|
//! | scheduled | 1 | 0 | 0 | the one runnable |
//! | running | 0 | 1 | 0 | the polling thread |
//! | running, woken | 1 | 1 | 0 | the polling thread, which schedules again |
//! | idle | 0 | 0 | 0 | whoever sets `SCHEDULED` first |
//! | complete | any | 0 | 1 | nobody any more |
//!
//! ```text
//!   new ──▶ scheduled ──start_poll──▶ running ──complete──▶ complete, or freed at once if nobody else has a reference
//!               ▲                      │   ▲
//!               │               end_poll   └─ wake, abort: running, woken ──end_poll──▶ scheduled
//!               └── wake, abort ◀─ idle
//! ```
//!
//! Every transition is a read-modify-write, so that all of them form one release sequence: a poll sees what any waker
//! wrote before it woke, whether or not that wake was the one that scheduled the task.
//!
//! A transition acquires only if what follows reads what others wrote and no later transition acquires it first. Who makes a runnable does not: it hands
//! the task to its scheduler, whose pointer it has known since before it had its reference, and reads relaxed atomics; the poll begins with `start_poll`.

use std::fmt;

use crate::sync::{AtomicUsize, Ordering, bug};

use Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A runnable exists, or a wake came during the poll that goes on.
const SCHEDULED: usize = 1;
/// A thread polls the future or drops it.
const RUNNING: usize = 1 << 1;
/// The stage holds the output, or what is left when it has been taken. Final.
const COMPLETE: usize = 1 << 2;
/// The future is to be dropped instead of polled. Never unset.
const CANCELLED: usize = 1 << 3;
/// A join handle exists: it owns the output once the task is complete.
const JOIN_INTEREST: usize = 1 << 4;
/// The join waker is set and belongs to whoever completes the task.
const JOIN_WAKER: usize = 1 << 5;
/// One reference, counted in the bits above the flags.
const REFERENCE: usize = 1 << 6;

/// More references than this can only come from leaking wakers in a loop; the process ends rather than overflow.
const MAX_REFERENCES: usize = usize::MAX / REFERENCE / 2;

/// The state word.
///
/// ```text
///  63 ........... 6   5          4             3         2        1       0
///  references         JOIN_WAKER JOIN_INTEREST CANCELLED COMPLETE RUNNING SCHEDULED
/// ```
pub(super) struct State(AtomicUsize);

/// What [`State::start_poll`] asks for.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Poll the future.
    Poll,
    /// Drop the future and complete the task as cancelled.
    Cancel,
}

/// What [`State::end_poll`] found.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The task is idle. It may be polled elsewhere, completed and freed at any moment: do not touch it.
    Idle,
    /// It was woken during the poll: the caller holds the runnable again and schedules it.
    Woken,
    /// It was cancelled during the poll: the caller holds the runnable and starts it at once, to drop the future.
    Cancelled,
}

/// Who cares for a completed task.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joiner {
    /// Nobody else has a reference: the caller drops the output and frees the cell. The state has not changed, since
    /// nobody could see it.
    Alone,
    /// No join handle: the caller drops the output, and then the executor's reference.
    Gone,
    /// The join handle will ask or drop. The executor's reference is given up: do not touch the task.
    Quiet,
    /// The join handle waits: the caller owns the join waker, wakes it, and then drops the executor's reference.
    Waiting,
}

/// What a wake or an abort asks for.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wakeup {
    /// The caller holds the new runnable and schedules it.
    Submit,
    /// Somebody else will poll, or nobody needs to.
    Nothing,
    /// As `Nothing`, and the reference given up was the last: free the cell.
    Free,
}

/// Whether a change to the join waker came in time.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JoinWaker {
    /// It did.
    Changed,
    /// The task is complete: the change was not made.
    Complete,
}

/// What a join handle has to clear when it goes.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leftover {
    /// Nothing, and its reference is given up.
    Nothing,
    /// The join waker, and then its reference.
    Waker,
    /// The output, and then its reference.
    Output,
}

/// Whether a reference was the last.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Released {
    /// It was: the caller frees the cell.
    Last,
    /// Others remain.
    Shared,
}

/// The state at one moment.
#[derive(Clone, Copy)]
pub(super) struct Snapshot(usize);

impl Snapshot {
    #[inline]
    pub(super) fn is_complete(self) -> bool {
        self.0 & COMPLETE != 0
    }

    #[inline]
    pub(super) fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }

    #[inline]
    pub(super) fn is_scheduled(self) -> bool {
        self.0 & SCHEDULED != 0
    }

    #[inline]
    pub(super) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }

    #[inline]
    pub(super) fn has_join_waker(self) -> bool {
        self.0 & JOIN_WAKER != 0
    }

    /// Neither scheduled, nor running, nor complete: whoever schedules it holds the runnable.
    #[inline]
    fn is_idle(self) -> bool {
        self.0 & (SCHEDULED | RUNNING | COMPLETE) == 0
    }

    #[inline]
    pub(super) fn has_join_interest(self) -> bool {
        self.0 & JOIN_INTEREST != 0
    }

    #[inline]
    pub(super) fn references(self) -> usize {
        self.0 / REFERENCE
    }
}

impl State {
    /// A task that is scheduled, with the references of the executor and of the join handle.
    #[inline]
    pub(super) fn new() -> State {
        State(AtomicUsize::new(
            SCHEDULED | JOIN_INTEREST | (2 * REFERENCE),
        ))
    }

    /// The state now.
    #[inline]
    pub(super) fn load(&self) -> Snapshot {
        // Ordering: Acquire pairs with the Release in `complete`: who sees COMPLETE sees the output.
        Snapshot(self.0.load(Acquire))
    }

    /// scheduled → running, by the holder of the runnable.
    #[inline]
    pub(super) fn start_poll(&self) -> Start {
        // SCHEDULED is set and RUNNING is not, and only the holder of the runnable changes that; so adding their
        // difference moves the one bit to the other, in one instruction that never retries.
        //
        // Ordering: Acquire pairs with the Release of every `wake`, of `abort`, and of the last `end_poll`: the poll
        // sees the future as the last one left it, and all that was written before any of the wakes.
        let before = Snapshot(self.0.fetch_add(RUNNING - SCHEDULED, Acquire));
        debug_assert!(before.is_scheduled() && !before.is_running() && !before.is_complete());
        if before.is_cancelled() {
            Start::Cancel
        } else {
            Start::Poll
        }
    }

    /// running → idle, or → scheduled if a wake or an abort came during the poll.
    #[inline]
    pub(super) fn end_poll(&self) -> End {
        // Ordering: Release publishes the future to the next `start_poll`, which acquires for this thread too, if it goes on.
        let order = if bug::CELL_END_POLL_RELAXED.is_on() {
            Relaxed
        } else {
            Release
        };
        let before = Snapshot(self.0.fetch_sub(RUNNING, order));
        debug_assert!(before.is_running() && !before.is_complete());
        if !before.is_scheduled() || bug::CELL_END_POLL_DEAF.is_on() {
            End::Idle
        } else if before.is_cancelled() {
            End::Cancelled
        } else {
            End::Woken
        }
    }

    /// running → complete. The executor's reference goes with it only if the answer says so.
    #[inline]
    pub(super) fn complete(&self) -> Joiner {
        // Ordering: Release publishes the stage to the join handle (`load`, and the failures of the join waker's
        // changes); Acquire pairs with `set_join_waker`, whose waker the caller takes.
        let order = if bug::CELL_COMPLETE_RELAXED.is_on() {
            Relaxed
        } else {
            AcqRel
        };
        // Ordering: Acquire for the first case below, as in `release`; otherwise the compare-exchange orders.
        let look = if bug::CELL_ALONE_RELAXED.is_on() {
            Relaxed
        } else {
            Acquire
        };
        let mut seen = self.0.load(look);
        // Who has the only reference is alone with the task, which has left its list: nobody can see its state any more.
        // There is no join handle then, since that has a reference.
        let last = if bug::CELL_ALONE_UNCHECKED.is_on() {
            2
        } else {
            1
        };
        if Snapshot(seen).references() <= last {
            return Joiner::Alone;
        }
        loop {
            let before = Snapshot(seen);
            debug_assert!(before.is_running() && !before.is_complete());
            let complete = seen - RUNNING + COMPLETE;
            let (next, joiner) = if !before.has_join_interest() {
                (complete, Joiner::Gone)
            } else if before.has_join_waker() {
                (complete, Joiner::Waiting)
            } else {
                // The handle's reference remains, so this one is not the last.
                (complete - REFERENCE, Joiner::Quiet)
            };
            match self.0.compare_exchange_weak(seen, next, order, Relaxed) {
                Ok(_) => return joiner,
                Err(now) => seen = now,
            }
        }
    }

    /// idle → scheduled, through a waker that stays.
    #[inline]
    pub(super) fn wake(&self) -> Wakeup {
        // Relaxed: only with the planted bug.
        if bug::CELL_WAKE_LOAD_ONLY.is_on() && Snapshot(self.0.load(Relaxed)).is_scheduled() {
            return Wakeup::Nothing;
        }
        // A read-modify-write even if the task is scheduled already: without it the poll to come would not be ordered
        // after what this thread wrote before it woke.
        //
        // Ordering: Release pairs with `start_poll`.
        let before = Snapshot(self.0.fetch_or(SCHEDULED, Release));
        if before.is_idle() {
            Wakeup::Submit
        } else {
            Wakeup::Nothing
        }
    }

    /// idle → scheduled, through a waker that ends with it.
    #[inline]
    pub(super) fn wake_and_release(&self) -> Wakeup {
        // Relaxed: the compare-exchange below checks the value and orders.
        let mut seen = self.0.load(Relaxed);
        loop {
            let next = (seen | SCHEDULED) - REFERENCE;
            // Ordering: as in `wake`, and as in `release` for the last reference.
            match self.0.compare_exchange_weak(seen, next, AcqRel, Relaxed) {
                Ok(_) if Snapshot(seen).is_idle() => return Wakeup::Submit,
                Ok(_) if Snapshot(next).references() == 0 => return Wakeup::Free,
                Ok(_) => return Wakeup::Nothing,
                Err(now) => seen = now,
            }
        }
    }

    /// Asks for the end of the task: idle → scheduled, and whoever starts it next drops the future. A poll that goes on
    /// finishes first; if it is ready, it wins.
    pub(super) fn abort(&self) -> Wakeup {
        // Relaxed: the compare-exchange below checks the value and orders.
        let mut seen = self.0.load(Relaxed);
        loop {
            let before = Snapshot(seen);
            if before.is_complete() || before.is_cancelled() {
                return Wakeup::Nothing;
            }
            // Ordering: as in `wake`: who drops the future sees what came before the abort.
            let order = if bug::CELL_ABORT_RELAXED.is_on() {
                Relaxed
            } else {
                Release
            };
            match self
                .0
                .compare_exchange_weak(seen, seen | CANCELLED | SCHEDULED, order, Relaxed)
            {
                Ok(_) if before.is_idle() => return Wakeup::Submit,
                Ok(_) if bug::CELL_ABORT_TWICE.is_on() && before.is_running() => {
                    return Wakeup::Submit;
                }
                Ok(_) => return Wakeup::Nothing,
                Err(now) => seen = now,
            }
        }
    }

    /// Marks the task cancelled, by the holder of its runnable, who is about to start it.
    pub(super) fn mark_cancelled(&self) {
        // Relaxed: read by the caller's own `start_poll`.
        self.0.fetch_or(CANCELLED, Relaxed);
    }

    /// Gives the join waker, just written, to whoever completes the task.
    #[inline]
    pub(super) fn set_join_waker(&self) -> JoinWaker {
        self.change_join_waker(JOIN_WAKER, 0)
    }

    /// Takes the join waker back, to replace it.
    #[inline]
    pub(super) fn unset_join_waker(&self) -> JoinWaker {
        self.change_join_waker(0, JOIN_WAKER)
    }

    #[inline]
    fn change_join_waker(&self, set: usize, unset: usize) -> JoinWaker {
        // Ordering: Acquire pairs with `complete`: the caller goes on to read the output.
        let mut seen = self.0.load(Acquire);
        loop {
            let check = !(bug::CELL_JOIN_WAKER_UNCHECKED.is_on() && set != 0);
            if Snapshot(seen).is_complete() && check {
                return JoinWaker::Complete;
            }
            // Ordering: Release publishes the waker to `complete`. If it succeeds, all there is to read is the handle's own; else Acquire as above.
            match self
                .0
                .compare_exchange_weak(seen, (seen | set) & !unset, Release, Acquire)
            {
                Ok(_) => return JoinWaker::Changed,
                Err(now) => seen = now,
            }
        }
    }

    /// The join handle goes. Unless the task is complete, the output will be dropped by whoever completes it.
    #[inline]
    pub(super) fn drop_join(&self) -> Leftover {
        // Ordering: Acquire pairs with `complete`: the caller drops the output.
        let mut seen = self.0.load(Acquire);
        loop {
            let before = Snapshot(seen);
            if before.is_complete() {
                return Leftover::Output;
            }
            // Before completion the executor's reference exists, so the handle's is never the last.
            let (next, leftover) = if before.has_join_waker() {
                (seen & !(JOIN_INTEREST | JOIN_WAKER), Leftover::Waker)
            } else {
                ((seen & !JOIN_INTEREST) - REFERENCE, Leftover::Nothing)
            };
            // Ordering: Release, so that all the handle did comes before the free. If it succeeds, the waker is the handle's own; else Acquire as above.
            match self.0.compare_exchange_weak(seen, next, Release, Acquire) {
                Ok(_) => return leftover,
                Err(now) => seen = now,
            }
        }
    }

    /// Adds a reference, by the holder of another.
    #[inline]
    pub(super) fn retain(&self) {
        // Relaxed: the caller's own reference keeps the task; a new one publishes nothing.
        let before = Snapshot(self.0.fetch_add(REFERENCE, Relaxed));
        if before.references() > MAX_REFERENCES {
            std::process::abort();
        }
    }

    /// Gives a reference up.
    #[inline]
    pub(super) fn release(&self) -> Released {
        // Who has the only reference is alone with the task: nobody can make another. A look instead of a
        // read-modify-write.
        //
        // Ordering: Acquire, so that the one who frees the task comes after all the others, who released as below.
        let look = if bug::CELL_RELEASE_RELAXED.is_on() {
            Relaxed
        } else {
            Acquire
        };
        if Snapshot(self.0.load(look)).references() == 1 {
            return Released::Last;
        }
        // Ordering: Release, so that all the caller did with the task comes before the free; Acquire, so that the one
        // who frees it comes after all the others.
        let order = if bug::CELL_RELEASE_RELAXED.is_on() {
            Relaxed
        } else {
            AcqRel
        };
        let before = Snapshot(self.0.fetch_sub(REFERENCE, order));
        debug_assert!(before.references() > 0);
        if before.references() == 1 {
            Released::Last
        } else {
            Released::Shared
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("scheduled", &self.is_scheduled())
            .field("running", &self.is_running())
            .field("complete", &self.is_complete())
            .field("cancelled", &self.is_cancelled())
            .field("join_interest", &self.has_join_interest())
            .field("join_waker", &self.has_join_waker())
            .field("references", &self.references())
            .finish()
    }
}

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
