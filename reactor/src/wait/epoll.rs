//! Waits on the poller's epoll descriptor directly: one system call a turn, timeouts in nanoseconds.
//!
//! `Poller::notify` must not be used with this: its flag is reset by `Poller::wait` alone. A wait is interrupted by
//! an eventfd of our own instead. It is edge-triggered and never read, so that an interruption costs one write; its
//! counter would overflow after 2⁶⁴ of them. The same property forbids two waits at once: the other one could swallow
//! the edge.
//!
//! `epoll_pwait2` came with Linux 5.11, and some sandboxes refuse calls that they do not know. After the first
//! refusal the older call is used, with timeouts rounded up to milliseconds; for looks it is used at all times.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use polling::Poller;
use rustix::{
    event::{
        EventfdFlags, Timespec,
        epoll::{self, EventData, EventFlags},
        eventfd,
    },
    io::Errno,
};

use super::{Buffer, CAPACITY};
use crate::{Interest, Ready, raw, token::Token};

/// The key of the eventfd. No token has it, nor does `polling` use it.
const INTERRUPT: u64 = u64::MAX - 1;

/// The poller, and the means to interrupt it.
#[derive(Debug)]
pub(crate) struct Wait {
    /// Owns the epoll descriptor.
    poller: Poller,
    /// Written to in order to interrupt a wait; never read.
    interrupt: OwnedFd,
    /// Whether `epoll_pwait2` has been refused.
    is_coarse: AtomicBool,
}

impl Wait {
    /// `RDHUP` is asked for.
    pub(crate) const REPORTS_CLOSING: bool = true;

    /// Creates a poller.
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Poller::new()?;
        let interrupt = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(
            &poller,
            &interrupt,
            EventData::new_u64(INTERRUPT),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(Self {
            poller,
            interrupt,
            is_coarse: AtomicBool::new(false),
        })
    }

    /// Edges are always reported.
    pub(crate) fn is_oneshot(&self) -> bool {
        false
    }

    /// Registers a descriptor.
    pub(crate) fn add(
        &self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        epoll::add(
            &self.poller,
            fd,
            EventData::new_u64(token.to_key()),
            flags(interest),
        )?;
        Ok(())
    }

    /// Changes what is asked for.
    pub(crate) fn modify(
        &self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        epoll::modify(
            &self.poller,
            fd,
            EventData::new_u64(token.to_key()),
            flags(interest),
        )?;
        Ok(())
    }

    /// Forgets a descriptor.
    pub(crate) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        epoll::delete(&self.poller, fd)?;
        Ok(())
    }

    /// Waits for events, and returns how many there are.
    pub(crate) fn wait(&self, buffer: &mut Buffer, timeout: Option<Duration>) -> io::Result<usize> {
        // A look costs less without a timeout to read. Relaxed: the flag only saves a refused call.
        if timeout != Some(Duration::ZERO) && !self.is_coarse.load(Relaxed) {
            match self.wait_nanoseconds(buffer, timeout) {
                Err(Errno::NOSYS | Errno::PERM) => self.is_coarse.store(true, Relaxed),
                waited => return Ok(waited?),
            }
        }
        let milliseconds = milliseconds(timeout);
        raw::epoll::wait_milliseconds::<CAPACITY>(self.poller.as_fd(), milliseconds, |events| {
            let flags = |bits| EventFlags::from_bits_retain(bits);
            buffer.refill(decode(
                events.iter().map(|event| (event.u64, flags(event.events))),
            ));
        })?;
        Ok(buffer.len())
    }

    /// Cuts a wait short.
    pub(crate) fn interrupt(&self) {
        // The write fails only when the counter is full; then the edge of the write before has not gone anywhere.
        let _ = rustix::io::write(&self.interrupt, &1_u64.to_ne_bytes());
    }

    /// Waits with `epoll_pwait2`.
    fn wait_nanoseconds(
        &self,
        buffer: &mut Buffer,
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        // A timeout beyond the range of `Timespec`, is none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // On the stack, and left uninitialised: the kernel's form of events has a pointer in it and cannot be sent.
        let mut room = [const { MaybeUninit::uninit() }; CAPACITY];
        let (events, _) = epoll::wait(&self.poller, &mut room, timeout.as_ref())?;
        let events = events.iter().map(|event| (event.data.u64(), event.flags));
        buffer.refill(decode(events));
        Ok(buffer.len())
    }
}

/// Translates what the kernel reports, without interruptions.
fn decode(events: impl Iterator<Item = (u64, EventFlags)>) -> impl Iterator<Item = (Token, Ready)> {
    events
        .filter(|(key, _)| *key != INTERRUPT)
        .map(|(key, flags)| (Token::from_key(key), readiness(flags)))
}

/// What to ask epoll for. Errors and hang-ups come unasked.
fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::ET;
    if interest.is_readable() {
        flags |= EventFlags::IN | EventFlags::RDHUP;
    }
    if interest.is_writable() {
        flags |= EventFlags::OUT;
    }
    if interest.has_priority() {
        flags |= EventFlags::PRI;
    }
    flags
}

/// What an event means.
///
/// An error also makes both directions ready, but not for good: whoever tries first gets the error, and a socket for
/// datagrams goes on afterwards.
fn readiness(flags: EventFlags) -> Ready {
    let meanings = [
        (EventFlags::IN, Ready::READABLE),
        (EventFlags::OUT, Ready::WRITABLE),
        (EventFlags::PRI, Ready::URGENT),
        (EventFlags::RDHUP, Ready::READ_CLOSED),
        (EventFlags::HUP, Ready::READ_CLOSED | Ready::WRITE_CLOSED),
        (
            EventFlags::ERR,
            Ready::ERROR | Ready::READABLE | Ready::WRITABLE,
        ),
    ];
    meanings
        .into_iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .fold(Ready::EMPTY, |ready, (_, meaning)| ready | meaning)
}

/// A timeout in milliseconds, rounded up so as not to be early; -1 is none.
fn milliseconds(timeout: Option<Duration>) -> i32 {
    match timeout {
        None => -1,
        Some(timeout) => {
            let rounded = timeout.as_nanos().div_ceil(1_000_000);
            i32::try_from(rounded).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(all(test, not(rt_loom)))]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn milliseconds_are_rounded_up() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_nanos(1))), 1);
        assert_eq!(milliseconds(Some(Duration::from_micros(1001))), 2);
        assert_eq!(milliseconds(Some(Duration::MAX)), i32::MAX);
    }

    #[test]
    fn the_older_call_does_the_same() {
        let wait = Wait::new().expect("epoll is there");
        wait.is_coarse.store(true, Relaxed);
        let mut buffer = Buffer::new();
        let start = Instant::now();
        let timeout = Duration::from_micros(1500);
        assert_eq!(wait.wait(&mut buffer, Some(timeout)).expect("waits"), 0);
        assert!(start.elapsed() >= timeout);

        let (reader, writer) = rustix::pipe::pipe().expect("pipe");
        let token = Token {
            generation: 3,
            index: 5,
        };
        wait.add(reader.as_fd(), token, Interest::READABLE)
            .expect("adds");
        rustix::io::write(&writer, b"x").expect("room");
        wait.interrupt();
        assert_eq!(wait.wait(&mut buffer, None).expect("waits"), 1);
        assert_eq!(buffer.take(), Some((token, Ready::READABLE)));
        assert_eq!(buffer.take(), None);
        wait.interrupt();
        assert_eq!(wait.wait(&mut buffer, None).expect("waits"), 0);
    }
}
