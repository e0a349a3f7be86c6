//! What the listeners have in common: accepting.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use reactor::{Direction, Interest};
use socket2::SockAddr;

use super::backoff::{Backoff, is_aborted};
use super::{Socket, os};

/// A listening socket.
pub(super) struct Listener<E> {
    /// The socket.
    pub(super) socket: Socket<E>,
    /// The pause after descriptors have run out.
    backoff: Backoff,
}

impl<E: AsFd> Listener<E> {
    /// Wraps a registered socket that listens.
    pub(super) fn new(socket: Socket<E>) -> Listener<E> {
        Listener {
            socket,
            backoff: Backoff::default(),
        }
    }

    /// Accepts a connection, for any number of concurrent callers.
    pub(super) async fn accept(&self) -> io::Result<(socket2::Socket, SockAddr)> {
        self.backoff.wait().await;
        let accepted = self
            .socket
            .async_io(Interest::READABLE, || self.accept_now())
            .await;
        self.backoff.note(&accepted);
        accepted
    }

    /// Accepts a connection; wakes the last caller.
    pub(super) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(socket2::Socket, SockAddr)>> {
        ready!(self.backoff.poll_wait(cx));
        let accepted = ready!(
            self.socket
                .poll_io(cx, Direction::Read, || self.accept_now())
        );
        self.backoff.note(&accepted);
        Poll::Ready(accepted)
    }

    /// Takes the first connection from the queue that is still one. Ends: each that is not leaves the queue.
    fn accept_now(&self) -> io::Result<(socket2::Socket, SockAddr)> {
        loop {
            match os::accept(self.socket.io()) {
                Err(error) if is_aborted(&error) => {}
                accepted => return accepted,
            }
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for Listener<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}
