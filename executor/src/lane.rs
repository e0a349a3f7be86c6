//! The hog lane: threads of their own for tasks whose polls last too long.
//!
//! A task that was caught holding a worker carries a mark, and wherever it is scheduled, it goes to this queue instead of a
//! worker's. Plain threads serve it: they have no slot, no deque, no shard, so nothing waits behind them but other hogs. The
//! system shares the cores between them and the workers.
//!
//! **Order.** First woken, first polled, one poll at a time: a hog goes to the end of the queue when it yields. With n hogs that compute for d
//! on a lane of width w, a hog is polled again after about n/w × d.
//!
//! **Width.** At most `width` threads compute: more would only take turns on the cores. A thread that *blocks* (sleeps in the
//! kernel within a poll) does not count; the watchman tells the lane, and a further thread goes on with the queue, up to `limit` in all. At the limit
//! hogs wait for a thread to come back, unless all of them block for 5 s: then workers poll them.
//!
//! **Return.** A poll shorter than [`SHORT`] counts in the task's favour, one longer than that starts the count again. After [`SHORT_POLLS`] short
//! ones in a row the mark is taken off, and the task runs on workers again.
//!
//! # Protocol
//!
//! Everything is counted under one lock: `threads` (that are there or start), of them `idle` (wait, and have not been chosen) and `blocked`
//! (in a poll, told by the watchman). The others are *at work*, or on their way to it.
//!
//! - *Push*: lock, closed? then the task goes back to the caller. Put it at the end, *help*.
//! - *Help*: if tasks are queued and fewer than `width` are at work: choose an idle thread (`idle` to `chosen`, notify one), else start one,
//!   up to `limit`. One at a time: the next is helped by the thread that comes, or by the next push.
//! - *Serve*: closed? end. A task is queued and at most `width` are at work, this one included: take it, *help* for the next, unlock, poll.
//!   Otherwise become idle and wait, without unlocking in between; after the wait, `chosen` above zero: take one off and begin again, even if
//!   the time is over; time over: end.
//! - *Blocked* (watchman): lock; is that thread still in the same poll? count it as blocked, *help*.
//! - *Aborted* (watchman, while tasks wait): those that were cancelled in the queue are taken out and go to a worker.
//! - *Stranded* (watchman): `limit` threads are there and all of them have blocked for seconds, so nobody will come for the queue: it goes to the
//!   workers. What is in it may be what the others wait for.
//! - After a poll: count the epoch on, and then lock; if this seat was counted as blocked, take that back.
//! - *Not started*: lock; that thread is no longer at work. Somebody may have become idle because it was: choose an idle thread if *help* would.
//!   If all that are left block, the tasks go to the injector.
//!
//! *No task is forgotten*: whenever the lock is released, either nothing is queued, or `width` threads are at work, or nobody is idle and either
//! `limit` is reached or a thread could not be started. A thread at work looks at the queue again before it becomes idle. It leaves a queued task
//! there only if, without it, `width` are at work still. One that blocks looks when it comes back.
//!
//! *Each thread counts once*: `blocked` is told under the lock, and only of a poll whose epoch has not been counted on. So either the
//! thread, which counts on before it locks, finds itself counted and takes that back, or the watchman finds that the poll is over.
//!
//! The models are in `lane/loom.rs`, named after the races.
//!
//! **Cost.** Nothing for tasks without the mark but the test of one bit, in a word that is loaded anyway. With it: a lock, a
//! condition variable, two clock reads a poll.

use crate::slots::Stillness;
use crate::sync::{AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, bug};
use crate::task::{Place, Runnable};
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// A poll shorter than this speaks for the task. Half of what a hog's neighbours would notice, far above what a well-behaved
/// poll takes.
pub(crate) const SHORT: Duration = Duration::from_micros(500);
/// After how many short polls in a row a task leaves the lane.
pub(crate) const SHORT_POLLS: u8 = 4;

/// How many queued tasks are looked at for aborted ones at a time: a look under the lock must be short.
const LOOKS: usize = 256;

/// What the watchman sees of a thread of the lane.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Counted up at the start and at the end of each poll: odd within one. Written by the thread only.
    pub(crate) epoch: AtomicU64,
    /// The word of the task that is polled.
    pub(crate) polling: AtomicU64,
    /// The system's identity of the thread.
    pub(crate) thread: AtomicU64,
    /// How long the epoch has stood still within a poll.
    pub(crate) stillness: Stillness,
}

impl Seat {
    /// Counts the epoch on, at the start or at the end of a poll.
    fn count_on(&self) -> u64 {
        // Relaxed: written by this thread only; the watchman compares it with an earlier value.
        let epoch = self.epoch.load(Ordering::Relaxed) + 1;
        self.epoch.store(epoch, Ordering::Relaxed);
        epoch
    }
}

/// The queue and its threads. The protocol does not care what a task is, so models and tests may queue numbers.
pub(crate) struct Lane<T = Runnable> {
    /// See the protocol above.
    state: Mutex<State<T>>,
    /// Idle threads wait here.
    work: Condvar,
    /// How many threads are within a poll: then the watchman must not sleep.
    busy: AtomicUsize,
    /// One for each thread that there may be.
    seats: Box<[CachePadded<Seat>]>,
    /// How many may be at work.
    width: usize,
}

/// What changes, under the lock.
struct State<T> {
    /// Tasks that wait, the oldest first.
    queue: VecDeque<T>,
    /// Threads that are there or start.
    threads: usize,
    /// Threads that wait and have not been chosen.
    idle: usize,
    /// Threads that are to leave their wait.
    chosen: usize,
    /// Threads that block in a poll.
    blocked: usize,
    /// Which seats count as blocked.
    is_blocked: Box<[bool]>,
    /// Seats without a thread.
    free: Vec<usize>,
    /// How far the queue was looked through for aborted tasks.
    looked: usize,
    /// Tasks are refused.
    closed: bool,
}

/// What a caller has to do once it has unlocked.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Help {
    /// Nothing.
    Enough,
    /// Notify one waiter.
    Notify,
    /// Start a thread on this seat.
    Start(usize),
}

/// What a thread of the lane is to do.
#[derive(Debug)]
pub(crate) enum Next<T = Runnable> {
    /// Poll this task.
    Poll(T, Help),
    /// End; the seat has been given up.
    End,
}

impl<T> fmt::Debug for Lane<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Lane")
            .field("width", &self.width)
            .field("queued", &state.queue.len())
            .field("threads", &state.threads)
            .finish_non_exhaustive()
    }
}

impl<T> State<T> {
    /// Whether there are as many threads as may be, and all of them block.
    fn is_stranded(&self) -> bool {
        self.free.is_empty() && self.threads > 0 && self.threads == self.blocked
    }

    fn at_work(&self) -> usize {
        self.threads - self.idle - self.blocked
    }

    fn needs_help(&self, width: usize) -> bool {
        !self.queue.is_empty() && self.at_work() < width
    }

    /// Chooses an idle thread, if there is one; it must be notified.
    fn choose(&mut self) -> bool {
        if self.idle == 0 {
            return false;
        }
        self.idle -= 1;
        self.chosen += 1;
        true
    }

    /// Decides on help, and counts it as given.
    fn help(&mut self, width: usize) -> Help {
        if !self.needs_help(width) {
            return Help::Enough;
        }
        if self.choose() {
            return Help::Notify;
        }
        match self.free.pop() {
            Some(seat) => {
                self.threads += 1;
                Help::Start(seat)
            }
            None => Help::Enough,
        }
    }

    /// A thread ends.
    fn leave(&mut self, seat: usize) {
        self.threads -= 1;
        self.free.push(seat);
    }
}

impl<T> Lane<T> {
    /// A lane in which `width` threads may compute, and `limit` may be in all.
    pub(crate) fn new(width: usize, limit: usize) -> Lane<T> {
        let seat = || {
            CachePadded::new(Seat {
                epoch: AtomicU64::new(0),
                polling: AtomicU64::new(Place::IDLE.0),
                thread: AtomicU64::new(0),
                stillness: Stillness::default(),
            })
        };
        Lane {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                threads: 0,
                idle: 0,
                chosen: 0,
                blocked: 0,
                is_blocked: vec![false; limit].into(),
                free: (0..limit).rev().collect(),
                looked: 0,
                closed: false,
            }),
            work: Condvar::new(),
            busy: AtomicUsize::new(0),
            seats: (0..limit).map(|_| seat()).collect(),
            width,
        }
    }

    /// Whether there is a lane at all.
    pub(crate) fn is_open(&self) -> bool {
        self.width > 0
    }

    pub(crate) fn seats(&self) -> &[CachePadded<Seat>] {
        &self.seats
    }

    /// How many threads there are, and how many tasks wait.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.threads, state.queue.len())
    }

    /// Whether any thread is within a poll.
    pub(crate) fn is_busy(&self) -> bool {
        // Ordering: SeqCst, one total order with the reactor thread's announcement that it sleeps (duty.md).
        self.busy.load(Ordering::SeqCst) > 0
    }

    /// *Push*. Gives the task back if the lane is closed.
    pub(crate) fn push(&self, task: T) -> Result<Help, T> {
        let mut state = self.state.lock();
        if state.closed && !bug::LANE_PUSH_CLOSED.is_on() {
            return Err(task);
        }
        state.queue.push_back(task);
        Ok(state.help(self.width))
    }

    /// Wakes a waiter, once the lock is free.
    pub(crate) fn notify(&self) {
        self.work.notify_one();
    }

    /// *Not started*: there is no thread for `seat`; returns the tasks that nobody will take.
    pub(crate) fn not_started(&self, seat: usize) -> VecDeque<T> {
        let mut state = self.state.lock();
        state.leave(seat);
        if state.threads == state.blocked {
            return std::mem::take(&mut state.queue);
        }
        // No thread is started in its stead: that would most likely fail as well, again and again.
        if state.needs_help(self.width) && !bug::LANE_NOT_STARTED_DEAF.is_on() && state.choose() {
            drop(state);
            self.notify();
        }
        VecDeque::new()
    }

    /// *Serve*: the next task for the thread on `seat`, which waits at most `keep_alive` for it.
    pub(crate) fn next(&self, seat: usize, keep_alive: Duration) -> Next<T> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                state.leave(seat);
                return Next::End;
            }
            if state.at_work() <= self.width
                && let Some(task) = state.queue.pop_front()
            {
                let help = state.help(self.width);
                return Next::Poll(task, help);
            }
            if bug::LANE_IDLE_LATE.is_on() {
                drop(state);
                state = self.state.lock();
            }
            state.idle += 1;
            match self.wait(state, keep_alive) {
                Ok(chosen) => state = chosen,
                Err(mut alone) => {
                    alone.leave(seat);
                    return Next::End;
                }
            }
        }
    }

    /// Waits until this thread, or one like it, is chosen; `Err` if it is to end.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
        keep_alive: Duration,
    ) -> Result<MutexGuard<'a, State<T>>, MutexGuard<'a, State<T>>> {
        loop {
            let timed_out = self.work.wait_for(&mut state, keep_alive).timed_out();
            if state.chosen > 0 && !(bug::LANE_RETIRE_CHOSEN.is_on() && timed_out) {
                state.chosen -= 1;
                return Ok(state);
            }
            if state.closed || timed_out {
                state.idle -= 1;
                return if state.closed { Ok(state) } else { Err(state) };
            }
        }
    }

    /// The thread on `seat` begins a poll.
    pub(crate) fn begin(&self, seat: usize, word: u64) -> u64 {
        let seat = &self.seats[seat];
        // Relaxed: whoever reads it acts only on a poll that has lasted for a millisecond.
        seat.polling.store(word, Ordering::Relaxed);
        let epoch = seat.count_on();
        if bug::LANE_BUSY_STORED.is_on() {
            let busy = self.busy.load(Ordering::SeqCst);
            self.busy.store(busy + 1, Ordering::SeqCst);
            return epoch;
        }
        // Ordering: SeqCst, see `is_busy`.
        self.busy.fetch_add(1, Ordering::SeqCst);
        epoch
    }

    /// The thread on `seat` has ended a poll.
    pub(crate) fn end(&self, seat: usize) {
        // Ordering: SeqCst, as in `begin`.
        self.busy.fetch_sub(1, Ordering::SeqCst);
        let line = &self.seats[seat];
        // Relaxed: for the list of tasks.
        line.polling.store(Place::IDLE.0, Ordering::Relaxed);
        if !bug::LANE_END_LATE.is_on() {
            // Before the lock, which orders it for `blocked`.
            line.count_on();
        }
        let mut state = self.state.lock();
        if std::mem::take(&mut state.is_blocked[seat]) {
            state.blocked -= 1;
        }
        drop(state);
        if bug::LANE_END_LATE.is_on() {
            line.count_on();
        }
    }

    /// Whether tasks wait, so that a further thread would have something to do if one of the others blocks.
    pub(crate) fn is_short(&self) -> bool {
        let state = self.state.lock();
        !state.queue.is_empty() && !state.closed
    }

    /// Whether no thread will come for the queue.
    pub(crate) fn is_stranded(&self) -> bool {
        self.state.lock().is_stranded()
    }

    /// *Stranded*: takes the tasks that no thread will come for.
    pub(crate) fn take_stranded(&self) -> VecDeque<T> {
        let mut state = self.state.lock();
        if state.is_stranded() {
            std::mem::take(&mut state.queue)
        } else {
            VecDeque::new()
        }
    }

    /// *Aborted*: takes out tasks that `is_cancelled` says so of; to drop a future is no poll. Looks at [`LOOKS`] of them, and at the next ones next time.
    pub(crate) fn take_cancelled(&self, is_cancelled: impl Fn(&T) -> bool) -> Vec<T> {
        let mut state = self.state.lock();
        let from = if state.looked < state.queue.len() {
            state.looked
        } else {
            0
        };
        let mut to = state.queue.len().min(from + LOOKS);
        let mut at = from;
        let mut cancelled = Vec::new();
        while at < to {
            if is_cancelled(&state.queue[at]) {
                cancelled.extend(state.queue.remove(at));
                to -= 1;
            } else {
                at += 1;
            }
        }
        state.looked = to;
        cancelled
    }

    /// *Blocked*: the watchman has seen that the poll which began with `epoch` on `seat` sleeps in the kernel.
    pub(crate) fn blocked(&self, seat: usize, epoch: u64) -> Help {
        let mut state = self.state.lock();
        // Relaxed: the thread counts on before it locks. If it has done so and unlocked, we see that; if not, it will find itself counted.
        let current = self.seats[seat].epoch.load(Ordering::Relaxed);
        let still_there = current == epoch || bug::LANE_BLOCKED_UNCHECKED.is_on();
        if still_there && !state.is_blocked[seat] {
            state.is_blocked[seat] = true;
            state.blocked += 1;
        }
        state.help(self.width)
    }

    /// Refuses tasks from now on, lets the threads go, and returns the tasks that wait.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut state = self.state.lock();
        state.closed = true;
        self.work.notify_all();
        std::mem::take(&mut state.queue)
    }
}

#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
