//! Waiting for the operating system: what the rest of the crate relies on, and which implementation is chosen.
//!
//! A `Wait` owns the poller. Its contract:
//!
//! - `add` registers a descriptor for good: [`AlreadyExists`](std::io::ErrorKind::AlreadyExists) if it is registered,
//!   an error if it cannot be waited for. If something is ready at that moment, an event follows.
//! - Where `IS_EDGE` or `is_oneshot` says nothing else, every change is reported once and nothing is armed again. A
//!   one-shot source falls silent after each event until `modify`.
//! - `delete` forgets a descriptor.
//! - `wait` fills a `Buffer` with at least one event, or returns at the timeout, never earlier than that, or sooner
//!   if interrupted. Only one thread may be in it. Interruptions are not counted and not in the buffer.
//! - `interrupt` cuts the present wait short; with nobody in it, the next one.
//! - `REPORTS_CLOSING`: the end of the stream is reported as such, apart from data.
//!
//! [`polling`] creates the poller everywhere. On Linux, sources are added to its epoll descriptor directly, because
//! `polling` does not ask for `RDHUP`, and the wait is one system call where [`polling::Poller::wait`] takes five.
//! `polling` keeps no list of sources there, so it need not know. `--cfg rt_portable_wait` chooses the portable wait
//! on Linux as well, `--cfg rt_oneshot` the portable wait without edges, for tests.

use crate::{Ready, token::Token};

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(rt_portable_wait, rt_oneshot))
))]
#[path = "epoll.rs"]
mod chosen;
#[cfg(any(
    rt_portable_wait,
    rt_oneshot,
    not(any(target_os = "linux", target_os = "android"))
))]
#[path = "portable.rs"]
mod chosen;

pub(crate) use chosen::Wait;

/// The most events that one wait returns. A guess: more are a sign of load, where another turn is cheap beside the
/// work that they bring.
const CAPACITY: usize = 512;

/// The events of one wait, in the order in which the system reported them.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// What has happened to whom.
    events: Vec<(Token, Ready)>,
    /// The first one that has not been taken.
    next: usize,
}

impl Buffer {
    /// Creates an empty buffer.
    pub(crate) fn new() -> Self {
        Self {
            // Grows with what a wait brings: most slots of a runtime never wait.
            events: Vec::new(),
            next: 0,
        }
    }

    /// The number of events left.
    pub(crate) fn len(&self) -> usize {
        self.events.len() - self.next
    }

    /// Takes the next event.
    pub(crate) fn take(&mut self) -> Option<(Token, Ready)> {
        let event = *self.events.get(self.next)?;
        self.next += 1;
        Some(event)
    }

    /// Forgets what has been taken and fills the buffer anew.
    pub(crate) fn refill(&mut self, events: impl Iterator<Item = (Token, Ready)>) {
        debug_assert_eq!(self.len(), 0, "an edge would be lost");
        self.next = 0;
        self.events.clear();
        self.events.extend(events);
    }
}
