//! The threads of a runtime: which are there, which stand by, and who finishes the shutdown.
//!
//! A *member* is a thread that serves a slot or may do so again: the workers, the spares that stand in for a worker inside
//! `block_in_place`, and guests. The shutdown is over when no member is left. Whoever closes
//! the runtime waits for that; if it does not (a timeout, or a thread of the runtime itself), the last member to leave
//! does the rest.
//!
//! *Active* members count towards the number of workers. A worker inside `block_in_place` is not active, and neither is one that the
//! watchman has *written off* because it is stuck in a poll (`rescue.md`). When it comes back it is active again only if there is room.

use crate::sync::{Condvar, Mutex, bug};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::thread::{self, JoinHandle};
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

struct State {
    /// Threads that serve a slot or may do so again.
    members: usize,
    /// Members that count towards the number of workers.
    active: usize,
    /// The slots whose threads were written off and have not come back.
    written_off: Box<[bool]>,
    /// How many those are.
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

/// What became of a slot that looks stuck.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenOff {
    /// Its thread no longer counts as active.
    Now,
    /// That was so before.
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
        let before = std::mem::replace(&mut self.written_off[slot], false);
        self.stuck -= usize::from(before);
        before
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
                written_off: vec![false; slots].into(),
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
        {
            let mut state = self.state.lock();
            if state.closed {
                return Err(io::Error::other("the runtime shuts down"));
            }
            state.members += 1;
        }
        let started = builder.spawn(body);
        let mut state = self.state.lock();
        match started {
            Ok(handle) => {
                state.handles.retain(|handle| !handle.is_finished());
                state.handles.push(handle);
                Ok(())
            }
            Err(error) => {
                state.members -= 1;
                Err(error)
            }
        }
    }

    /// Makes the calling thread a member.
    pub(crate) fn join(&self) {
        self.state.lock().members += 1;
    }

    /// Ends a membership; `true` asks the caller to finish the shutdown.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        state.members -= 1;
        if state.members > 0 {
            return false;
        }
        self.gone.notify_all();
        state.orphaned && !std::mem::replace(&mut state.finishing, true)
    }

    /// Hands `slot` to a spare that waits for one; `false` if none does.
    pub(crate) fn hand_to_spare(&self, slot: usize) -> bool {
        let mut state = self.state.lock();
        if state.waiting <= state.handed.len() {
            return false;
        }
        state.handed.push_back(slot);
        self.spares.notify_one();
        true
    }

    /// Waits for a slot to serve, at most for `keep_alive`.
    pub(crate) fn wait_for_slot(&self, keep_alive: Duration) -> Option<usize> {
        let until = Instant::now().checked_add(keep_alive);
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
                    if timed_out && state.handed.is_empty() {
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
        if state.written_off[slot] {
            return WrittenOff::Before;
        }
        if !still_stuck() && !bug::RESCUE_WRITE_OFF_UNCHECKED.is_on() {
            return WrittenOff::Not;
        }
        if state.stuck >= limit {
            return WrittenOff::TooMany;
        }
        state.written_off[slot] = true;
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
        state.activate(workers)
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
    until.saturating_duration_since(Instant::now())
}
