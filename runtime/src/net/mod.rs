//! Sockets: TCP, UDP and Unix domain.
//!
//! | for | take |
//! |---|---|
//! | TCP connections | [`TcpListener`] accepts them, [`TcpStream`] makes and is one, [`TcpSocket`] sets options before |
//! | UDP datagrams | [`UdpSocket`] |
//! | streams and datagrams between processes of one machine | [`UnixListener`], [`UnixStream`], [`UnixDatagram`], [`UnixSocket`] |
//! | host names | [`lookup_host`]; whatever takes an address takes a name as well, see [`ToSocketAddrs`] |
//!
//! Names and signatures are those of Tokio's module of the same name, so that a program moves over by changing `tokio::` into
//! `runtime::`.
//!
//! # How it works
//!
//! No socket here ever blocks a thread. A socket is registered with the reactor of the runtime in which it is made; an
//! operation tries its system call when the socket is known to be ready, and otherwise stores its waker and returns. The
//! readiness is remembered between operations, so that a read usually costs one atomic load and one system call.
//!
//! A socket may be used from any thread, and also from tasks of another runtime; its events come from the runtime that it
//! was made in. When that runtime has shut down, operations that would have to wait return an error.
//!
//! # Reading and writing
//!
//! The streams implement [`AsyncRead`](crate::io::AsyncRead) and [`AsyncWrite`](crate::io::AsyncWrite), which are Tokio's own
//! traits; with the features `futures-io` and `hyper` also those of these two crates. So that importing more than one of the
//! families stays unambiguous, the common operations (`read`, `read_exact`, `write_all`, `flush`, …) are also inherent methods
//! of each stream and need no import at all.
//!
//! # What differs from Tokio
//!
//! - `from_std` refuses a socket in blocking mode with [`InvalidInput`](std::io::ErrorKind::InvalidInput); Tokio panics in
//!   debug builds and blocks the thread in others.
//! - When the process has run out of descriptors, `accept` returns that error as Tokio's does, and the *next* `accept` waits
//!   10 ms, or until a socket of this process's runtimes is closed, before it tries again: a server that merely logs the error does not spin. Connections that were aborted before
//!   they were accepted are skipped.
//! - [`TcpSocket`] and [`UnixSocket`] convert to and from [`OwnedFd`](std::os::fd::OwnedFd) instead of implementing the
//!   unsafe `FromRawFd`.
//! - A new socket counts as ready until an operation finds otherwise, so the first `readable()` returns at once. (Tokio waits for an
//!   event first; either may return without need, as documented there too.)
//! - Named pipes (`net::unix::pipe`) are not offered; [`AsyncFd`](crate::io::unix::AsyncFd) serves any descriptor.
//!
//! # Panics
//!
//! Whatever makes a socket panics outside of a runtime, and in one that a forked child has from its parent: functions when called,
//! async functions when first polled.

mod addr;
mod backoff;
mod datagram;
mod listener;
pub(crate) mod os;
mod socket;
mod stream;
pub mod tcp;
mod udp;
pub mod unix;

pub use addr::{ToSocketAddrs, lookup_host};
pub use tcp::listener::TcpListener;
pub use tcp::socket::TcpSocket;
pub use tcp::stream::TcpStream;
pub use udp::UdpSocket;
pub use unix::datagram::UnixDatagram;
pub use unix::listener::UnixListener;
pub use unix::socket::UnixSocket;
pub use unix::stream::UnixStream;

pub(crate) use socket::Socket;
