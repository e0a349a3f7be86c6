//! A registered source: what events have told about one descriptor, and who waits to hear more.
//!
//! # Layout
//!
//! One [`State`] word (generation, stamp, readiness) that events and operations change without a lock, and the
//! waiters under a small mutex: one waker for each direction, which the last caller of `poll_ready` owns, and a list
//! for `ready().await`, any number at a time, which is allocated for the first of them and kept while the registration lasts. All of it fits into one cache line.
//!
//! # Cost of a read
//!
//! Two Acquire loads (is there the page? see `slab.rs`; is it ready?), one `read(2)`, and at most one read-modify-write
//! (`clear`, after a short read or `WouldBlock`), with another load of the page. No lock unless the task must wait.
//!
//! # The protocol
//!
//! An operation:
//! 1. Load the word. Ready: do the system call; on `WouldBlock` clear the readiness and begin again.
//! 2. Not ready: lock, store the waker, look at the word again, unlock. Ready now: begin again. Else sleep.
//!
//! An event:
//! 1. Mark: count the stamp up and add the readiness, if the generation is the token's.
//! 2. Lock; if the generation is still the token's, take the wakers that match; unlock; wake them.
//!
//! *The race feared: a lost wake-up.* The two critical sections are ordered by the mutex. If the waiter's is first,
//! the event finds its waker. If the event's is first, its mark happened before the waiter looked again, and the
//! waiter sees it.
//!
//! *The race feared: readiness lost.* A call answers `WouldBlock`, then data arrives and its event marks the source,
//! then the operation clears. The clear compares the stamp with the one of its own step 1, sees that it has changed,
//! and does nothing. If instead the event has not been dispatched yet, it marks the source after the clear.
//!
//! *The race feared: the slot changes hands.* A late token fails in the event's step 1. If the slot is released and
//! taken between steps 1 and 2, step 2 fails: releasing changes the generation under the mutex.
//!
//! *Short transfers.* A stream that gives fewer bytes than there was room for is empty, and its readiness may go
//! without asking the kernel once more. But data and end of stream can arrive in one edge; nothing more would ever be
//! reported. So this is allowed only where the system reports the closing separately, and while it has not done so.
//!
//! *Panics.* Wakers are cloned, woken and dropped outside the mutex. If one panics there, each waker is either still
//! in its place or with the one who panicked. Two `Waker`s are compared under the mutex; that runs no code of theirs.
//!
//! The models are in `source/loom.rs`. Wake-ups: `register_against_event`, `replaced_waker_against_event`, `two_waiters_and_an_event`,
//! `cancelled_waiter_against_event`, `cancelled_waiter_leaves_no_waker`; readiness: `clear_against_event`, `two_clears_against_event`,
//! `operation_against_data_and_event`, `readiness_publishes_what_came_before`; the slot: `late_event_against_reuse`, and, for `slab.rs`, `close_against_register`, `close_against_wait_and_event`.

mod state;

#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(all(test, not(rt_loom)))]
mod tests;

use std::{num::NonZero, os::fd::RawFd, task::Waker};

pub(crate) use self::state::{Clear, Snapshot};
use self::state::{Mark, State};
use crate::{
    Direction, Interest, Ready,
    sync::{Mutex, bug},
};

/// A slot for one registered descriptor at a time. On a cache line of its own: neighbours are used by different threads.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Source {
    /// Generation, stamp and readiness. Written by events, by operations that clear, and when the slot changes hands.
    state: State,
    /// Who waits, and what for.
    waiters: Mutex<Waiters>,
}

#[cfg(all(target_pointer_width = "64", not(rt_loom)))]
const _: () = assert!(size_of::<Source>() == 64, "a source is one cache line");

/// Everything that the source's mutex protects.
#[derive(Debug)]
struct Waiters {
    /// The task that last polled for reading and found nothing.
    reader: Option<Waker>,
    /// The task that last polled for writing and found no room.
    writer: Option<Waker>,
    /// The pending `ready().await`s; made for the first of them.
    others: Option<Box<Others>>,
    /// The descriptor, until the operating system has been asked to forget it.
    fd: Option<RegisteredFd>,
    /// What to arm again after each event. Set only where the system cannot report edges.
    armed: Option<Interest>,
}

/// The number of a descriptor that has been registered.
#[derive(Debug, Clone, Copy)]
struct RegisteredFd(
    /// Its complement: descriptors are not negative, so that this is not zero.
    NonZero<RawFd>,
);

/// The waiters of a list.
#[derive(Debug, Default)]
struct Others {
    /// In no order.
    list: Vec<Waiter>,
    /// The number of the next entry.
    next_id: u64,
}

/// One pending `ready().await`.
#[derive(Debug)]
struct Waiter {
    /// By which its owner finds it again. Never used twice in a registration.
    id: u64,
    /// What ends the wait.
    mask: Ready,
    /// Whom to tell.
    waker: Waker,
}

/// The place of one waiter in a source's list, kept by the future that waits.
#[derive(Debug, Default)]
pub(crate) struct Place(
    /// The entry's number, once there has been one. The entry may have been taken by an event since.
    Option<u64>,
);

/// The waiters of a registration that has ended. Dropping it runs code of theirs.
#[derive(Debug)]
#[must_use = "drop it where a panic does no harm"]
pub(crate) struct Left {
    /// The wakers of the directions.
    _directions: [Option<Waker>; 2],
    /// The list.
    _others: Option<Box<Others>>,
}

/// How many wakers are taken out in one critical section: enough for both directions and a few more.
const BATCH: usize = 8;

impl Source {
    /// Creates a free slot.
    pub(crate) fn new() -> Self {
        Self {
            state: State::new(),
            waiters: Mutex::new(Waiters {
                reader: None,
                writer: None,
                others: None,
                fd: None,
                armed: None,
            }),
        }
    }

    /// Begins a registration of `fd` in a free slot, and returns its generation.
    pub(crate) fn open(&self, fd: RawFd, initially: Ready) -> u32 {
        self.waiters.lock().fd = RegisteredFd::new(fd);
        self.state.open(initially)
    }

    /// The descriptor, for whoever asks first: who gets it makes the operating system forget it.
    pub(crate) fn take_fd(&self) -> Option<RawFd> {
        self.waiters.lock().fd.take().map(RegisteredFd::get)
    }

    /// Ends the registration and leaves the slot free. Returns whatever still waited, to be dropped and not woken.
    pub(crate) fn retire(&self) -> Left {
        let mut waiters = self.waiters.lock();
        // Under the mutex, so that an event between its two steps takes nothing from the next registration.
        self.state.retire();
        waiters.fd = None;
        waiters.armed = None;
        Left {
            _directions: [waiters.reader.take(), waiters.writer.take()],
            _others: waiters.others.take(),
        }
    }

    /// Reads the word: step 1 of an operation.
    pub(crate) fn load(&self) -> Snapshot {
        self.state.load()
    }

    /// Leaves `waker` to be told about `direction`, in place of the previous one, and returns the word as it is
    /// afterwards: step 2 of an operation.
    pub(crate) fn watch(&self, direction: Direction, waker: &Waker) -> Snapshot {
        {
            let mut waiters = self.waiters.lock();
            let slot = waiters.slot(direction);
            if slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
                return self.look_again();
            }
        }
        let waker = waker.clone();
        let (old, now) = {
            let mut waiters = self.waiters.lock();
            let old = waiters.slot(direction).replace(waker);
            (old, self.look_again())
        };
        drop(old);
        now
    }

    /// Leaves `waker` in the list, to be told about `mask`, and returns the word as it is afterwards: step 2 of an
    /// operation. `place` must be passed to [`forget`](Self::forget) before it goes.
    pub(crate) fn enlist(&self, place: &mut Place, mask: Ready, waker: &Waker) -> Snapshot {
        {
            let waiters = self.waiters.lock();
            if waiters
                .others
                .as_ref()
                .and_then(|others| others.list.get(others.find(place)?))
                .is_some_and(|waiter| waiter.waker.will_wake(waker))
            {
                return self.look_again();
            }
        }
        let waker = waker.clone();
        let (old, now) = {
            let mut waiters = self.waiters.lock();
            let others = waiters.others.get_or_insert_default();
            let old = others.remove(place);
            let id = others.next_id;
            others.next_id += 1;
            others.list.push(Waiter { id, mask, waker });
            place.0 = Some(id);
            (old, self.look_again())
        };
        drop(old);
        now
    }

    /// Takes a waiter out of the list. There is nothing to pass on: readiness stays in the word for the others.
    pub(crate) fn forget(&self, place: &mut Place) {
        if place.0.is_some() && !bug::FORGET_NOTHING.is_on() {
            let old = {
                let mut waiters = self.waiters.lock();
                waiters
                    .others
                    .as_mut()
                    .and_then(|others| others.remove(place))
            };
            drop(old);
        }
        place.0 = None;
    }

    /// Takes readiness back, unless an event has come since `seen`.
    pub(crate) fn clear(&self, seen: Snapshot, which: Ready) -> Clear {
        self.state.clear(seen, which)
    }

    /// Records an event and hands out the wakers that waited for it.
    pub(crate) fn event(&self, generation: u32, ready: Ready, wake: &mut dyn FnMut(Waker)) {
        if bug::TAKE_BEFORE_MARK.is_on() {
            self.take(Some(generation), ready, wake);
            let _ = self.state.mark(generation, ready);
            return;
        }
        // 1.
        match self.state.mark(generation, ready) {
            // 2.
            Mark::Done => self.take(Some(generation), ready, wake),
            Mark::Stale => {}
        }
    }

    /// Ends every wait of the present registration with an error, and hands out all wakers.
    pub(crate) fn expel(&self, wake: &mut dyn FnMut(Waker)) {
        self.state.expel();
        self.take(None, Ready::ALL, wake);
    }

    /// Remembers what [`rearm`](Self::rearm) shall arm.
    pub(crate) fn set_armed(&self, interest: Interest) {
        self.waiters.lock().armed = Some(interest);
    }

    /// Where one event disarms a source: calls `arm` with what is asked for and not known to be ready.
    ///
    /// Called after each change of the word. Of several calls at once the last one sees the word as the others left
    /// it, so what is not ready is armed in the end.
    pub(crate) fn rearm(&self, generation: u32, arm: impl FnOnce(RawFd, Interest)) {
        let waiters = self.waiters.lock();
        let now = self.state.load();
        if now.generation() != generation || now.is_gone() {
            return;
        }
        let (Some(fd), Some(interest)) = (waiters.fd, waiters.armed) else {
            return;
        };
        let missing = [Interest::READABLE, Interest::WRITABLE]
            .into_iter()
            .filter(|part| now.ready().intersects(Ready::from_interest(*part)))
            .try_fold(interest, |left, part| left.remove(part));
        if let Some(missing) = missing {
            arm(fd.get(), missing);
        }
    }

    /// Looks at the word once more, after storing a waker and under the same lock.
    fn look_again(&self) -> Snapshot {
        if bug::NO_RECHECK.is_on() {
            return Snapshot::NOTHING;
        }
        self.state.load()
    }

    /// Takes the wakers that wait for any of `ready` and hands them out, a batch at a time and outside the lock. With
    /// a generation: only while it is the present one.
    fn take(&self, generation: Option<u32>, ready: Ready, wake: &mut dyn FnMut(Waker)) {
        let is_outdated = || {
            let current = self.state.load().generation();
            generation.is_some_and(|ours| ours != current) && !bug::TAKE_IGNORES_GENERATION.is_on()
        };
        // Almost always there are the wakers of the two directions, and no others.
        let (read, write, limit) = {
            let mut waiters = self.waiters.lock();
            if is_outdated() {
                return;
            }
            let mut of = |direction: Direction| {
                let is_meant = ready.intersects(direction.mask());
                is_meant.then(|| waiters.slot(direction).take()).flatten()
            };
            let read = of(Direction::Read);
            let write = of(Direction::Write);
            // Waiters that come after this look have seen the mark. Leaving them alone bounds the loop.
            let others = waiters.others.as_ref();
            let limit =
                others.and_then(|others| (!others.list.is_empty()).then_some(others.next_id));
            (read, write, limit)
        };
        read.into_iter().chain(write).for_each(&mut *wake);
        let Some(limit) = limit else {
            return;
        };
        loop {
            let mut batch = [const { None }; BATCH];
            let more = {
                let mut waiters = self.waiters.lock();
                if is_outdated() {
                    return;
                }
                let others = waiters.others.as_mut();
                others.is_some_and(|others| others.take(ready, limit, &mut batch))
            };
            batch.into_iter().flatten().for_each(&mut *wake);
            if !more {
                return;
            }
        }
    }
}

impl Waiters {
    /// The waker of a direction.
    fn slot(&mut self, direction: Direction) -> &mut Option<Waker> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }
}

impl RegisteredFd {
    /// Nothing for a negative number, which is no descriptor.
    fn new(fd: RawFd) -> Option<RegisteredFd> {
        if fd < 0 {
            return None;
        }
        NonZero::new(!fd).map(RegisteredFd)
    }

    /// The descriptor.
    fn get(self) -> RawFd {
        !self.0.get()
    }
}

impl Others {
    /// Where the entry of `place` is now, if no event has taken it.
    fn find(&self, place: &Place) -> Option<usize> {
        let id = place.0?;
        self.list.iter().position(|waiter| waiter.id == id)
    }

    /// Takes the entry of `place` out.
    fn remove(&mut self, place: &Place) -> Option<Waiter> {
        self.find(place).map(|at| self.list.swap_remove(at))
    }

    /// Moves entries of the list that wait for any of `ready` and are older than `limit` into the batch. Returns
    /// whether some are left.
    fn take(&mut self, ready: Ready, limit: u64, batch: &mut [Option<Waker>; BATCH]) -> bool {
        let mut room = batch.iter_mut();
        let mut at = 0;
        while at < self.list.len() {
            let waiter = &self.list[at];
            if !waiter.mask.intersects(ready) || waiter.id >= limit {
                at += 1;
                continue;
            }
            let Some(free) = room.next() else {
                return true;
            };
            *free = Some(self.list.swap_remove(at).waker);
        }
        false
    }
}
