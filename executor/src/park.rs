//! How a thread sleeps: the hook `Park`, and the `Parker` that implementations are made of.
//!
//! The executor decides *when* a worker sleeps; the hook decides *on what*: the facade's driver
//! waits for sockets and timers, [`ThreadPark`] for nothing but being unparked.
//!
//! A [`Parker`] belongs to one slot and holds at most one token:
//!
//! ```text
//!            begin(how)                unpark
//!   EMPTY ───────────────► FUTEX │ DRIVER ──────► NOTIFIED + wake the sleeper
//!     ▲  ◄──────────────── finish (timeout, event)    │
//!     └──────────────── begin or finish takes the token
//! ```
//!
//! `unpark` swaps in NOTIFIED and wakes by the old value: a futex wake, an interrupt of the
//! driver, or nothing. A token is never lost: `begin` refuses to sleep while one is there.
//!
//! **Cost.** Parking: two read-modify-writes besides the system call. Unparking an awake
//! thread: one.

use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicU8, Mutex, Ordering, bug, now};
use crossbeam_utils::CachePadded;
use std::fmt;
use std::time::Duration;

/// Whether a sleep, or a look at the driver, has left something to [`Park::dispatch`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathered {
    /// Nothing happened that wakes a task.
    Nothing,
    /// Events or due timers wait for [`Park::dispatch`].
    Something,
}

/// What the threads of an executor sleep on.
///
/// Slots are known by their index; a slot is served by one thread at a time, and only that thread calls
/// `adopt`, `park`, `look`, `look_first`, `dispatch` and `retire` for it. `unpark` may come from anywhere.
pub trait Park: Send + Sync + fmt::Debug + 'static {
    /// Makes the calling thread the one that sleeps for `slot`.
    fn adopt(&self, slot: usize);

    /// Sleeps until [`unpark`](Park::unpark), an event, or a deadline of the slot's own.
    ///
    /// May return early. Returns at once if the slot was unparked before.
    fn park(&self, slot: usize) -> Gathered;

    /// Looks for events and due timers without sleeping; called by a busy worker now and then.
    fn look(&self, slot: usize) -> Gathered;

    /// Looks for events without sleeping, for a thread that would park next, unless others are to wait for events. However short the time since the last look.
    fn look_first(&self, _slot: usize) -> Gathered {
        Gathered::Nothing
    }

    /// Wakes the tasks behind what `park`, `look` and `look_first` have gathered, and returns how many.
    fn dispatch(&self, slot: usize) -> usize;

    /// Ends the current sleep of `slot`, or the next one.
    fn unpark(&self, slot: usize);

    /// The slot whose thread sleeps inside the driver, or `usize::MAX`.
    fn in_driver(&self) -> usize {
        usize::MAX
    }

    /// Says that a slot became active after sleeping: whoever watches over stuck slots must be awake.
    fn activated(&self) {}

    /// Says that the calling thread serves this slot no longer. What the driver has gathered for it, and the slot's dispatch has not woken yet, is woken now: a
    /// waker may block its thread in place.
    fn retire(&self, _slot: usize) {}

    /// Says that the guest of a slot should not be the one who waits for events: others have to run what these wake, or would have run it as soon.
    fn passed_on(&self, _slot: usize) {}

    /// Says that the guest of a slot was awake for long or spawned tasks, so that it should not wait for other events than its root's.
    fn no_company(&self, _slot: usize) {}

    /// Whether the guest of `slot` is to run some of what its dispatches wake: it waits for events on behalf of tasks that its root needs.
    fn keeps_company(&self, _slot: usize) -> bool {
        false
    }

    /// Called once, when the last thread has ended during shutdown.
    fn close(&self) {}
}

const EMPTY: u8 = 0;
const NOTIFIED: u8 = 1;
const FUTEX: u8 = 2;
const DRIVER: u8 = 3;

/// On what a thread is about to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// On its own futex, through [`Parker::sleep`].
    Futex,
    /// Inside the driver; an unpark must interrupt it.
    Driver,
}

/// What remains to be done after [`Parker::unpark`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unparked {
    /// Nothing: the thread is awake, or has been woken.
    Done,
    /// The thread sleeps inside the driver: interrupt it.
    InterruptDriver,
}

/// The place where the thread of one slot sleeps; holds at most one token.
pub struct Parker {
    /// EMPTY, NOTIFIED, FUTEX or DRIVER. Written by read-modify-writes only.
    state: CachePadded<AtomicU8>,
    /// The thread that sleeps here; written by [`adopt`](Parker::adopt).
    thread: Mutex<Option<Thread>>,
}

impl Default for Parker {
    fn default() -> Parker {
        Parker::new()
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state.load(Ordering::Relaxed) {
            EMPTY => "awake",
            NOTIFIED => "notified",
            FUTEX => "asleep",
            _ => "asleep in the driver",
        };
        f.debug_tuple("Parker").field(&state).finish()
    }
}

impl Parker {
    /// Creates a parker without a token and without a thread.
    pub fn new() -> Parker {
        Parker {
            state: CachePadded::new(AtomicU8::new(EMPTY)),
            thread: Mutex::new(None),
        }
    }

    /// Makes the calling thread the one that [`unpark`](Parker::unpark) wakes.
    pub fn adopt(&self) {
        *self.thread.lock() = Some(thread::current());
    }

    /// Announces a sleep; `false` means that a token was there and has been taken: do not sleep.
    #[must_use]
    pub fn begin(&self, how: Sleep) -> bool {
        let asleep = match how {
            Sleep::Futex => FUTEX,
            Sleep::Driver => DRIVER,
        };
        // Ordering: AcqRel pairs with the swap in `unpark`: what was pushed before an unpark
        // is visible to the thread that takes the token.
        let begun = self
            .state
            .compare_exchange(EMPTY, asleep, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if !begun {
            self.finish();
        }
        begun
    }

    /// Ends a sleep and takes the token; whether there was one.
    pub fn finish(&self) -> bool {
        // Ordering: AcqRel, see `begin`.
        self.state.swap(EMPTY, Ordering::AcqRel) == NOTIFIED
    }

    /// Sleeps on the futex until unparked or until `timeout` has passed; takes the token, and returns whether there was one.
    pub fn sleep(&self, timeout: Option<Duration>) -> bool {
        if !self.begin(Sleep::Futex) {
            return true;
        }
        let until = timeout.and_then(|timeout| now().checked_add(timeout));
        // Ordering: Acquire pairs with the swap in `unpark`.
        while self.state.load(Ordering::Acquire) == FUTEX {
            match until {
                // A timeout too long for the clock is no timeout.
                None => thread::park(),
                Some(until) => {
                    let left = until.saturating_duration_since(now());
                    if left.is_zero() {
                        break;
                    }
                    thread::park_timeout(left);
                }
            }
        }
        self.finish()
    }

    /// Whether a thread sleeps here at this moment.
    pub fn is_asleep(&self) -> bool {
        // Relaxed: a hint, out of date when it is returned.
        matches!(self.state.load(Ordering::Relaxed), FUTEX | DRIVER)
    }

    /// Leaves a token, and wakes the thread if it sleeps on its futex.
    pub fn unpark(&self) -> Unparked {
        // Ordering: AcqRel pairs with `begin` and `finish`.
        let before =
            if bug::PARKER_UNPARK_LOST.is_on() && self.state.load(Ordering::Acquire) == EMPTY {
                EMPTY
            } else {
                self.state.swap(NOTIFIED, Ordering::AcqRel)
            };
        match before {
            FUTEX => {
                // Outside of the lock: the thread that wakes up may adopt this parker again while the system call lasts.
                let thread = self.thread.lock().clone();
                if let Some(thread) = thread {
                    thread.unpark();
                }
                Unparked::Done
            }
            DRIVER => Unparked::InterruptDriver,
            _ => Unparked::Done,
        }
    }
}

/// A [`Park`] without I/O and timers: threads sleep until they are unparked.
#[derive(Debug)]
pub struct ThreadPark {
    /// One parker a slot.
    parkers: Box<[Parker]>,
}

impl ThreadPark {
    /// Creates parkers for `slots` slots.
    pub fn new(slots: usize) -> ThreadPark {
        ThreadPark {
            parkers: (0..slots).map(|_| Parker::new()).collect(),
        }
    }
}

impl Park for ThreadPark {
    fn adopt(&self, slot: usize) {
        self.parkers[slot].adopt();
    }

    fn park(&self, slot: usize) -> Gathered {
        self.parkers[slot].sleep(None);
        Gathered::Nothing
    }

    fn look(&self, _slot: usize) -> Gathered {
        Gathered::Nothing
    }

    fn dispatch(&self, _slot: usize) -> usize {
        0
    }

    fn unpark(&self, slot: usize) {
        // Nobody sleeps in a driver here, so there is none to interrupt.
        let _ = self.parkers[slot].unpark();
    }
}

#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
