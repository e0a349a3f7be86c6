//! Waits with `Poller::wait`: everywhere but on Linux, and there for tests.
//!
//! Where the poller supports it, sources are edge-triggered and armed once. Elsewhere they are one-shot: after each
//! event, and after each clear, the source is armed for what is not known to be ready.
//!
//! The closing of a stream is not reported apart from data, so every read goes on to `WouldBlock`. kqueue takes a
//! second registration of a descriptor for a change of the first; only epoll and the event ports report it.

use std::{io, os::fd::BorrowedFd, time::Duration};

use parking_lot::Mutex;
use polling::{Event, Events, PollMode, Poller};

use super::{Buffer, CAPACITY};
use crate::{Interest, Ready, raw, token::Token};

// A token must fit into the poller's key.
const _: () = assert!(usize::BITS >= 64, "the portable wait needs keys of 64 bits");

/// The poller.
#[derive(Debug)]
pub(crate) struct Wait {
    /// Waits, and interrupts itself.
    poller: Poller,
    /// Edge-triggered if possible.
    mode: PollMode,
    /// As `polling` gives them. Used by one thread at a time, the one that waits.
    events: Mutex<Events>,
}

impl Wait {
    /// `polling` does not ask for it.
    pub(crate) const REPORTS_CLOSING: bool = false;

    /// Creates a poller.
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Poller::new()?;
        let has_edges = poller.supports_edge() && !cfg!(rt_oneshot);
        let mode = if has_edges {
            PollMode::Edge
        } else {
            PollMode::Oneshot
        };
        let capacity = CAPACITY.try_into().expect("the capacity is not zero");
        let events = Mutex::new(Events::with_capacity(capacity));
        Ok(Self {
            poller,
            mode,
            events,
        })
    }

    /// Whether a source falls silent after each event.
    pub(crate) fn is_oneshot(&self) -> bool {
        self.mode == PollMode::Oneshot
    }

    /// Registers a descriptor.
    pub(crate) fn add(
        &self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        raw::portable::add(&self.poller, fd, event(token, interest), self.mode)
    }

    /// Changes what is asked for.
    pub(crate) fn modify(
        &self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.poller
            .modify_with_mode(fd, event(token, interest), self.mode)
    }

    /// Forgets a descriptor.
    pub(crate) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(fd)
    }

    /// Waits for events, and returns how many there are.
    pub(crate) fn wait(&self, buffer: &mut Buffer, timeout: Option<Duration>) -> io::Result<usize> {
        let mut events = self.events.lock();
        events.clear();
        self.poller.wait(&mut events, timeout)?;
        buffer.refill(events.iter().map(|event| {
            let token = Token::from_key(event.key as u64);
            (token, readiness(&event))
        }));
        Ok(buffer.len())
    }

    /// Cuts a wait short.
    pub(crate) fn interrupt(&self) {
        // It fails only if the poller itself is broken, which the next wait reports.
        let _ = self.poller.notify();
    }
}

/// What to ask the poller for.
fn event(token: Token, interest: Interest) -> Event {
    let key = token.to_key() as usize;
    let mut event = Event::new(key, interest.is_readable(), interest.is_writable());
    event.set_priority(interest.has_priority());
    event
}

/// What an event means. An error makes both directions ready once, so that whoever tries first gets it.
fn readiness(event: &Event) -> Ready {
    let error = event.is_err().unwrap_or(false);
    let meanings = [
        (event.readable, Ready::READABLE),
        (event.writable, Ready::WRITABLE),
        (event.is_priority(), Ready::URGENT),
        (
            event.is_interrupt(),
            Ready::READ_CLOSED | Ready::WRITE_CLOSED,
        ),
        (error, Ready::ERROR | Ready::READABLE | Ready::WRITABLE),
    ];
    meanings
        .into_iter()
        .filter(|(holds, _)| *holds)
        .fold(Ready::EMPTY, |ready, (_, meaning)| ready | meaning)
}
