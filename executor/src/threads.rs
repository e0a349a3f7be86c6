//! The threads of a runtime: which are there, which stand by, and who finishes the shutdown.
//!
//! A *member* is a thread that serves a slot or may do so again: the workers, the spares that stand in for a worker which is stuck or inside
//! `block_in_place`, and guests; and each thread of the hog lane. The shutdown is over when no member is left. Whoever closes
//! the runtime waits for that; if it does not (a timeout, or a thread of the runtime itself), the last member to leave
//! does the rest.
//!
//! *Active* members count towards the number of workers. A worker inside `block_in_place` is not active, and neither is one that the
//! watchman has *written off* because it is stuck in a poll (`rescue.md`). When it comes back it is active again only if there is room;
//! if there is none it is *leaving*, and its slot, live as it may still be, has nobody to be written off.
//!
//! The models are in `threads/loom.rs`, named after the races.

use crate::sync::os_thread::{self as thread, JoinHandle};
use crate::sync::{Condvar, Mutex, bug, now};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// The threads of one runtime.
pub(crate) struct Threads {
    /// Everything below is counted under this lock; none of it is on a hot path.
    state: Mutex<State>,
    /// Signalled when a slot is handed to a waiting spare, and at shutdown.
    spares: Condvar,
    /// Signalled when the last member leaves.
    gone: Condvar,
}

/// What a thread runs. It is one type for all, so that std's code to start a thread is compiled once.
pub(crate) type ThreadMain = Box<dyn FnOnce() + Send>;

struct State {
    /// Threads that serve a slot or may do so again, and those of the hog lane; those that are being started, too.
    members: usize,
    /// Members that count towards the number of workers.
    active: usize,
    /// How the thread of each slot counts.
    standing: Box<[Standing]>,
    /// How many are written off.
    stuck: usize,
    /// Spares that wait for a slot.
    waiting: usize,
    /// Slots handed to waiting spares that have not woken up yet.
    handed: VecDeque<usize>,
    /// Nobody waits for a slot any more.
    closed: bool,
    /// Nobody waits for the members to leave: the last one finishes the shutdown.
    orphaned: bool,
    /// Somebody has taken it upon itself to finish the shutdown.
    finishing: bool,
    /// To join at the end, so that no thread outlives its runtime.
    handles: Vec<JoinHandle<()>>,
}

/// How the thread of a slot counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// As active while the slot is live.
    Usual,
    /// Not as active: the watchman has written it off, and it has not come back.
    WrittenOff,
    /// Not as active: it has come back, is surplus, and will leave the slot.
    Leaving,
}

/// What became of a slot that looks stuck.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenOff {
    /// Its thread no longer counts as active.
    Now,
    /// It did not count before.
    Before,
    /// It is not stuck any more.
    Not,
    /// As many as may be are written off already.
    TooMany,
}

/// What a thread finds that may have been written off.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// It counts as active.
    Active,
    /// Another has taken its place.
    Surplus,
}

/// How far the members have left.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// No member is left, and the caller is to finish the shutdown.
    AllMineToFinish,
    /// No member is left, and somebody else finishes.
    All,
    /// Some member is left; the last one finishes.
    NotYet,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Threads")
            .field("members", &state.members)
            .field("active", &state.active)
            .field("waiting", &state.waiting)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Whether `slot` was written off; it is not any more.
    fn forget(&mut self, slot: usize) -> bool {
        let written_off = self.standing[slot] == Standing::WrittenOff;
        if written_off {
            self.standing[slot] = Standing::Usual;
            self.stuck -= 1;
        }
        written_off
    }

    /// A member less.
    fn leave(&mut self, gone: &Condvar) {
        self.members -= 1;
        if self.members == 0 {
            gone.notify_all();
        }
    }

    fn activate(&mut self, workers: usize) -> Back {
        if self.active >= workers {
            return Back::Surplus;
        }
        self.active += 1;
        Back::Active
    }
}

impl Threads {
    /// `workers` is how many are meant to be active; none may have a slot of `slots` or above.
    pub(crate) fn new(workers: usize, slots: usize) -> Threads {
        Threads {
            state: Mutex::new(State {
                members: 0,
                active: workers,
                standing: vec![Standing::Usual; slots].into(),
                stuck: 0,
                waiting: 0,
                handed: VecDeque::new(),
                closed: false,
                orphaned: false,
                finishing: false,
                handles: Vec::new(),
            }),
            spares: Condvar::new(),
            gone: Condvar::new(),
        }
    }

    /// Starts a thread that is a member from now on, and must [`leave`](Threads::leave).
    ///
    /// # Errors
    ///
    /// When the system refuses, and once the shutdown has begun: who waits for the members must know all of them.
    pub(crate) fn start(
        &self,
        builder: thread::Builder,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        if !self.admit() {
            return Err(io::Error::other("the runtime shuts down"));
        }
        match builder.spawn(body) {
            Ok(handle) => {
                let mut state = self.state.lock();
                state.handles.retain(|handle| !handle.is_finished());
                state.handles.push(handle);
                Ok(())
            }
            Err(error) => {
                self.not_started();
                Err(error)
            }
        }
    }

    /// Counts a thread that is about to start; `false` once the shutdown has begun.
    fn admit(&self) -> bool {
        let mut state = self.state.lock();
        if state.closed && !bug::RESCUE_START_CLOSED.is_on() {
            return false;
        }
        state.members += 1;
        true
    }

    /// A thread that was admitted could not be started. The shutdown may have begun meanwhile, and wait for it.
    fn not_started(&self) {
        let mut state = self.state.lock();
        if bug::RESCUE_LOST_SILENT.is_on() {
            state.members -= 1;
            return;
        }
        state.leave(&self.gone);
    }

    /// Makes the calling thread a member.
    pub(crate) fn join(&self) {
        self.state.lock().members += 1;
    }

    /// Ends a membership; `true` asks the caller to finish the shutdown.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        state.leave(&self.gone);
        let is_last = state.members == 0 && !bug::SHUTDOWN_ORPHANED.is_on();
        is_last && state.orphaned && !std::mem::replace(&mut state.finishing, true)
    }

    /// Hands `slot`, which nobody has, to a spare that waits for one. If none does the answer is `false`, and the caller starts a thread
    /// for it: in both cases one that was [called up](Threads::call_up).
    pub(crate) fn hand_to_spare(&self, slot: usize) -> bool {
        let mut state = self.state.lock();
        // Who had the slot last may have been surplus; who gets it counts.
        state.standing[slot] = Standing::Usual;
        let promised = if bug::RESCUE_HAND_TWICE.is_on() {
            0
        } else {
            state.handed.len()
        };
        if state.waiting <= promised {
            return false;
        }
        state.handed.push_back(slot);
        self.spares.notify_one();
        true
    }

    /// Waits for a slot to serve, at most for `keep_alive`.
    pub(crate) fn wait_for_slot(&self, keep_alive: Duration) -> Option<usize> {
        let until = now().checked_add(keep_alive);
        let mut state = self.state.lock();
        state.waiting += 1;
        let slot = loop {
            if let Some(slot) = state.handed.pop_front() {
                break Some(slot);
            }
            if state.closed {
                break None;
            }
            match until {
                None => self.spares.wait(&mut state),
                Some(until) => {
                    let timed_out = self.spares.wait_for(&mut state, left(until)).timed_out();
                    if timed_out && (state.handed.is_empty() || bug::RESCUE_HAND_LOST.is_on()) {
                        break None;
                    }
                }
            }
        };
        state.waiting -= 1;
        slot
    }

    /// R2: the watchman takes the thread of `slot` off the active ones, if it is `still_stuck` and fewer than `limit` are written off.
    pub(crate) fn write_off(
        &self,
        slot: usize,
        limit: usize,
        still_stuck: impl FnOnce() -> bool,
    ) -> WrittenOff {
        let mut state = self.state.lock();
        if state.standing[slot] != Standing::Usual {
            return WrittenOff::Before;
        }
        if !still_stuck() && !bug::RESCUE_WRITE_OFF_UNCHECKED.is_on() {
            return WrittenOff::Not;
        }
        if state.stuck >= limit {
            return WrittenOff::TooMany;
        }
        state.standing[slot] = Standing::WrittenOff;
        state.stuck += 1;
        state.active -= 1;
        WrittenOff::Now
    }

    /// R4: the thread of `slot` is back from the poll in which it may have been written off.
    pub(crate) fn report_back(&self, slot: usize, workers: usize) -> Back {
        let mut state = self.state.lock();
        if !state.forget(slot) && !bug::RESCUE_COUNT_TWICE.is_on() {
            return Back::Active;
        }
        let back = state.activate(workers);
        if back == Back::Surplus && !bug::RESCUE_SURPLUS_COUNTED.is_on() {
            // Until it has left the slot, that looks as stuck as before.
            state.standing[slot] = Standing::Leaving;
        }
        back
    }

    /// The thread of `slot` is about to block, and says so; whether a spare should take its place.
    pub(crate) fn step_out(&self, slot: usize, workers: usize) -> bool {
        let mut state = self.state.lock();
        // The watchman may have been first.
        if !state.forget(slot) || bug::RESCUE_STEP_OUT_TWICE.is_on() {
            state.active -= 1;
        }
        !state.closed && state.active < workers
    }

    /// One worker more is active, if there is room.
    pub(crate) fn activate(&self, workers: usize) -> bool {
        let mut state = self.state.lock();
        state.activate(workers) == Back::Active
    }

    /// One more is active, a spare that is about to start, if there is room and no shutdown.
    pub(crate) fn call_up(&self, workers: usize) -> bool {
        let mut state = self.state.lock();
        !state.closed && state.activate(workers) == Back::Active
    }

    /// A spare that was called up did not come.
    pub(crate) fn call_off(&self) {
        self.state.lock().active -= 1;
    }

    /// How many members are active, and how many are written off.
    pub(crate) fn count(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.active, state.stuck)
    }

    /// Lets the waiting spares go; for the shutdown.
    pub(crate) fn wake_all(&self) {
        self.state.lock().closed = true;
        self.spares.notify_all();
    }

    /// Waits until no member is left, or until `until`.
    pub(crate) fn wait(&self, until: Option<Instant>) -> Gone {
        let mut state = self.state.lock();
        while state.members > 0 {
            match until {
                None => self.gone.wait(&mut state),
                Some(until) => {
                    let timed_out = self.gone.wait_for(&mut state, left(until)).timed_out();
                    if timed_out && state.members > 0 {
                        state.orphaned = true;
                        return Gone::NotYet;
                    }
                }
            }
        }
        let handles = std::mem::take(&mut state.handles);
        let finishing = std::mem::replace(&mut state.finishing, true);
        drop(state);
        let me = thread::current().id();
        for handle in handles {
            // A thread has nothing left to do but to end: this does not block for long.
            if handle.thread().id() != me {
                let _ = handle.join();
            }
        }
        if finishing {
            Gone::All
        } else {
            Gone::AllMineToFinish
        }
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(now())
}

#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
