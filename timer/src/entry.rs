//! One deadline awaited by one future.
//!
//! An entry takes no lock before it is polled and its deadline lies ahead: a timeout whose future is
//! ready at once costs a clock read. The first such poll registers the entry in the shard of the
//! polling thread; the entry remembers where, so it may move to other threads, and a later poll,
//! reset or drop goes to that shard. What the entry believes may be out of date (the timer may have
//! fired); the key's generation makes that harmless.

use std::fmt;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use crate::clock::Deadline;
use crate::slab::Key;
use crate::timer::{Handle, Look};

/// Waits for one deadline.
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use std::task::{Context, Poll, Waker};
/// use std::time::Instant;
/// use timer::{Clock, Entry, Handle, Pausable};
///
/// let timers = Handle::new(1, Clock::new(Pausable::No), |_| Poll::Ready(()));
/// let mut entry = Entry::new(timers, Some(Instant::now()));
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(entry.poll_elapsed(&mut cx), Poll::Ready(Ok(())));
/// ```
pub struct Entry {
    /// The timers that it belongs to, for ever: also when it is polled inside another runtime.
    handle: Handle,
    /// What it waits for.
    deadline: Deadline,
    /// Where it stands.
    state: State,
}

// What a sleep costs in the task that waits for it.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Entry>() == 32);

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Not registered; the clock was before the deadline when that was computed. Polled soon after,
    /// as most are, it need not read the clock again; polled late, it fires at once when registered.
    Ahead,
    /// Not registered; the deadline may have passed.
    Unknown,
    /// Registered, and perhaps fired since.
    Registered { shard: u16, key: Key },
    /// The deadline has passed.
    Elapsed,
}

/// The runtime that served a timer has shut down before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown(());

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime that served this timer has shut down")
    }
}

impl std::error::Error for Shutdown {}

impl Entry {
    /// Creates an entry that waits for `deadline`; `None` never comes, nor does what is more than 292 years away.
    pub fn new(handle: Handle, deadline: Option<Instant>) -> Entry {
        Entry {
            deadline: known(&handle, deadline),
            handle,
            state: State::Unknown,
        }
    }

    /// Creates an entry that waits until `duration` from now, or for ever if that is more than 292 years.
    #[inline]
    pub fn after(handle: Handle, duration: Duration) -> Entry {
        let state = if duration.is_zero() {
            State::Unknown
        } else {
            State::Ahead
        };
        Entry {
            deadline: handle.clock().deadline_after(duration),
            handle,
            state,
        }
    }

    /// Returns the timers that this entry belongs to.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Returns what the entry waits for; `None` never comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.handle.clock().instant_of(self.deadline)
    }

    /// Returns whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        matches!(self.state, State::Elapsed) || self.has_passed()
    }

    fn has_passed(&self) -> bool {
        self.handle.clock().has_come(self.deadline)
    }

    /// Makes the entry wait for another deadline, whether or not the earlier one has passed.
    ///
    /// A registered entry is registered anew, in the shard of this thread: the task that polled it
    /// last is woken at the new deadline without another poll.
    pub fn reset(&mut self, deadline: Option<Instant>) {
        let deadline = known(&self.handle, deadline);
        let before = std::mem::replace(&mut self.deadline, deadline);
        let Some(waker) = self.cancel() else {
            return;
        };
        // One that moves back cannot have passed unless the earlier one has, and then the wheel is about to say so: most
        // resets need no clock.
        if deadline < before && self.has_passed() {
            waker.wake();
            return;
        }
        match self.handle.timers().insert(self.deadline.ticks(), waker) {
            Ok((shard, key)) => self.state = State::Registered { shard, key },
            // Closed: let the task find out.
            Err(waker) => waker.wake(),
        }
    }

    /// Takes the entry out of its shard; returns the waker that waited there.
    fn cancel(&mut self) -> Option<Waker> {
        let before = std::mem::replace(&mut self.state, State::Unknown);
        let State::Registered { shard, key } = before else {
            return None;
        };
        self.handle.timers().remove(shard, key)
    }

    /// Waits for the deadline. Once it has passed, stays ready until reset.
    ///
    /// The waker of the last call is woken, at the deadline and not before. Charges the budget when
    /// the wait is over, and so may be pending once more if that is spent.
    ///
    /// # Errors
    ///
    /// Fails if the timers were closed before the deadline.
    pub fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Shutdown>> {
        let outcome = ready!(self.poll_elapsed_uncharged(cx));
        ready!((self.handle.timers().charge())(cx));
        Poll::Ready(outcome)
    }

    /// Waits like [`poll_elapsed`](Entry::poll_elapsed) and charges nothing: for a timeout whose
    /// future has spent the budget.
    ///
    /// # Errors
    ///
    /// Fails if the timers were closed before the deadline.
    #[inline]
    pub fn poll_elapsed_uncharged(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Shutdown>> {
        match self.state {
            State::Elapsed => return Poll::Ready(Ok(())),
            State::Unknown if self.has_passed() => {
                self.state = State::Elapsed;
                return Poll::Ready(Ok(()));
            }
            // A clock that stands still would have to move on for a timer that fires at once.
            State::Ahead if self.handle.clock().is_paused() && self.has_passed() => {
                self.state = State::Elapsed;
                return Poll::Ready(Ok(()));
            }
            State::Unknown | State::Ahead => {
                // Cloned before the lock is taken: a waker is user code.
                let waker = cx.waker().clone();
                match self.handle.timers().insert(self.deadline.ticks(), waker) {
                    Ok((shard, key)) => {
                        self.state = State::Registered { shard, key };
                        return Poll::Pending;
                    }
                    Err(waker) => drop(waker),
                }
            }
            State::Registered { shard, key } => {
                let timers = self.handle.timers();
                let mut look = timers.look(shard, key, cx.waker());
                if look == Look::OtherWaker {
                    let (left, after) = timers.set_waker(shard, key, cx.waker().clone());
                    drop(left);
                    look = after;
                }
                match look {
                    Look::Waiting | Look::OtherWaker => return Poll::Pending,
                    Look::Gone { is_closed: false } => {
                        self.state = State::Elapsed;
                        return Poll::Ready(Ok(()));
                    }
                    Look::Gone { is_closed: true } => {}
                }
            }
        }
        // Closed: before or after the timer fired?
        if self.has_passed() {
            self.state = State::Elapsed;
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(Shutdown(())))
    }
}

/// Returns the deadline for what callers name by an instant.
fn known(handle: &Handle, deadline: Option<Instant>) -> Deadline {
    deadline.map_or(Deadline::NEVER, |at| handle.clock().deadline_at(at))
}

impl Drop for Entry {
    #[inline]
    fn drop(&mut self) {
        drop(self.cancel());
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("deadline", &self.deadline())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(any(fuzzing, all(test, not(rt_loom))))]
pub mod model;
#[cfg(all(test, not(rt_loom)))]
mod tests;
