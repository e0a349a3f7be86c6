//! What the listeners have in common: accepting.
//!
//! Accepting takes connections until the queue is empty, since the poller reports a change and not a state. On Linux an `accept4` that finds nothing takes
//! as long as ten reads that find nothing, for it makes the new socket before it looks into the queue (3.4 µs on the machine of the benchmarks; `poll` 0.3 µs). So after a connection
//! the queue is asked whether there is another. (For bursts of ten and more that costs more than it saves, about a hundredth of what they take.)
//!
//! *The race feared*: a connection comes after the question was answered, and nobody is told. *Why it cannot happen*: "empty" is treated like an `accept4` that found nothing.
//! The readiness that was seen before the question is taken back, and an event since then prevents that (the reactor's `source.rs`).

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Whether the last attempt has brought a connection: there may be no other.
    has_accepted: AtomicBool,
}

impl<E: AsFd> Listener<E> {
    /// Wraps a registered socket that listens.
    pub(super) fn new(socket: Socket<E>) -> Listener<E> {
        Listener {
            socket,
            backoff: Backoff::default(),
            has_accepted: AtomicBool::new(false),
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
        // Relaxed, here and below: it only tells which of two system calls is likely to be the better one.
        let accepted =
            if self.has_accepted.load(Ordering::Relaxed) && !os::may_accept(self.socket.io()) {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                loop {
                    match os::accept(self.socket.io()) {
                        Err(error) if is_aborted(&error) => {}
                        accepted => break accepted,
                    }
                }
            };
        if self.has_accepted.load(Ordering::Relaxed) != accepted.is_ok() {
            self.has_accepted.store(accepted.is_ok(), Ordering::Relaxed);
        }
        accepted
    }
}

impl<E: fmt::Debug> fmt::Debug for Listener<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn after_a_connection_the_queue_is_asked_for_the_next_one() {
        let runtime = crate::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("there are descriptors left");
        let _entered = runtime.enter();
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports left");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a socket");
        let listener = Listener::new(Socket::from_std(listener).expect("it can be waited for"));
        let has_accepted = || listener.has_accepted.load(Ordering::Relaxed);
        let is_blocked = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let is_empty = || listener.accept_now().is_err_and(|error| is_blocked(&error));
        let connect = || TcpStream::connect(address).expect("it listens");
        // A connection may be there somewhat later than `connect` says.
        let accept = || {
            loop {
                match listener.accept_now() {
                    Err(error) if is_blocked(&error) => std::thread::yield_now(),
                    accepted => break accepted.expect("a connection"),
                }
            }
        };
        assert!(is_empty() && !has_accepted());
        let _clients = [(); 2].map(|()| connect());
        for _ in 0..2 {
            accept();
            assert!(has_accepted());
        }
        assert!(is_empty() && !has_accepted());
        let _client = connect();
        accept();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_answer_says_whether_a_connection_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports left");
        assert!(!os::may_accept(&listener));
        let address = listener.local_addr().expect("it is bound");
        let _client = TcpStream::connect(address).expect("it listens");
        while !os::may_accept(&listener) {
            std::thread::yield_now();
        }
        let _accepted = listener.accept().expect("a connection");
        assert!(!os::may_accept(&listener));
    }
}
