//! A registered socket: what all types of [`net`](super) are built on.
//!
//! A [`Socket`] is a descriptor and its registration with the reactor. Each operation has the same shape: ask the cached
//! readiness (one load), make the system call, and on `WouldBlock` clear the readiness that it was based on and wait for the
//! next event. Nothing here allocates.
//!
//! Streams add one rule. When the kernel moved fewer bytes than it was asked to, it had no more: the readiness is cleared at
//! once, which saves the system call that would only have said `WouldBlock`. That rule holds for stream sockets alone (a
//! datagram is usually shorter than the buffer), so it lives in [`Socket::poll_transfer`] and nowhere else. When it must not
//! be applied (the peer has closed) is known to the registration.
//!
//! What must always hold: the registration is dropped before the descriptor is closed. Rust drops fields in the order of
//! their declaration, so the registration stands first.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut};
use reactor::{Direction, Handle, Interest, Ready, Registration};
use rustix::io::Errno;
use socket2::SockRef;
use tokio::io::ReadBuf;

use super::backoff::Closing;
use super::os;
use crate::io::uninit;

/// Readiness to begin with for a socket of which nothing is known: try, and learn from `WouldBlock`.
pub(crate) fn unknown() -> Ready {
    Ready::READABLE | Ready::WRITABLE
}

/// A socket and its registration.
pub struct Socket<E> {
    /// Leaves the reactor before `io` is closed.
    registration: Registration,
    /// The descriptor, as a type of the standard library.
    io: E,
    /// Dropped when `io` has been closed.
    _closing: Closing,
}

impl<E: AsFd> Socket<E> {
    /// Registers `io`, which must not block, with the current runtime.
    #[track_caller]
    pub(crate) fn new(io: E, initially: Ready) -> io::Result<Socket<E>> {
        let handle = Handle::current();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registration = Registration::new(io.as_fd(), interest, initially, &handle)?;
        Ok(Socket {
            registration,
            io,
            _closing: Closing,
        })
    }

    /// Registers `io`, which comes from the user, after making sure that it does not block.
    #[track_caller]
    pub(crate) fn from_std(io: E) -> io::Result<Socket<E>> {
        // The handle comes first: outside a runtime this is to panic whatever `io` is like.
        let handle = Handle::current();
        if !SockRef::from(&io).nonblocking()? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the socket is in blocking mode: call `set_nonblocking(true)` before handing it to the runtime",
            ));
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registration = Registration::new(io.as_fd(), interest, unknown(), &handle)?;
        Ok(Socket {
            registration,
            io,
            _closing: Closing,
        })
    }

    /// Leaves the reactor and hands the descriptor back.
    pub(crate) fn into_io(mut self) -> io::Result<E> {
        self.registration.deregister()?;
        Ok(self.io)
    }

    /// The descriptor.
    pub(crate) fn io(&self) -> &E {
        &self.io
    }

    /// The descriptor with all of `socket2`'s methods.
    pub(crate) fn sock(&self) -> SockRef<'_> {
        SockRef::from(&self.io)
    }

    /// Waits for any of `interest`.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        Ok(self.registration.ready(interest).await?.ready)
    }

    /// Polls for readiness in one direction.
    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<()>> {
        self.registration
            .poll_ready(cx, direction)
            .map_ok(|_ready| ())
    }

    /// Calls `f` once if the socket is ready for `interest`.
    pub(crate) fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.registration.try_io(interest, f)
    }

    /// Calls `f` until it does something else than `WouldBlock`. Wakes the last caller of its direction.
    pub(crate) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        f: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.registration.poll_io(cx, direction, f)
    }

    /// As [`Socket::poll_io`], for any number of concurrent callers.
    pub(crate) async fn async_io<R>(
        &self,
        interest: Interest,
        f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        self.registration.async_io(interest, f).await
    }
}

/// Stream sockets only.
impl<E: AsFd> Socket<E> {
    /// Moves up to `len` bytes with `f`, which returns how many it moved, and applies the rule of short transfers.
    fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        len: usize,
        mut f: impl FnMut(SockRef<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let event = ready!(self.registration.poll_ready(cx, direction))?;
            match f(self.sock()) {
                Ok(n) => {
                    if 0 < n && n < len {
                        self.registration
                            .clear_after_short_transfer(event, direction);
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.clear(event, readiness(direction));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Reads into initialised memory.
    pub(crate) fn poll_read_slice(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = buf.len();
        self.poll_transfer(cx, Direction::Read, len, |sock| os::recv_slice(&sock, buf))
    }

    /// Reads into a [`ReadBuf`].
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = buf.remaining();
        self.poll_transfer(cx, Direction::Read, len, |sock| uninit::recv(sock, buf))
            .map_ok(|_n| ())
    }

    /// Reads into several slices.
    #[cfg(feature = "futures-io")]
    pub(crate) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = bufs.len().min(os::MAX_SLICES);
        let bufs = &mut bufs[..count];
        let len = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_transfer(cx, Direction::Read, len, |sock| {
            (&*sock).read_vectored(bufs)
        })
    }

    /// Reads into the buffer of `hyper`.
    #[cfg(feature = "hyper")]
    pub(crate) fn poll_read_cursor(
        &self,
        cx: &mut Context<'_>,
        mut cursor: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let len = cursor.remaining();
        self.poll_transfer(cx, Direction::Read, len, |sock| {
            uninit::recv_cursor(sock, &mut cursor)
        })
        .map_ok(|_n| ())
    }

    /// Writes one slice.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_transfer(cx, Direction::Write, buf.len(), |sock| os::send(&sock, buf))
    }

    /// Writes several slices.
    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bufs = &bufs[..bufs.len().min(os::MAX_SLICES)];
        let len = bufs.iter().map(|buf| buf.len()).sum();
        self.poll_transfer(cx, Direction::Write, len, |sock| {
            sock.send_vectored_with_flags(bufs, os::NO_SIGPIPE)
        })
    }

    /// Ends the writing direction. A connection that is gone already counts as ended.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self.sock().shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Reads once, if ready.
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_io(Interest::READABLE, || os::recv_slice(&self.sock(), buf))
    }

    /// Reads into several slices once, if ready.
    pub(crate) fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let count = bufs.len().min(os::MAX_SLICES);
        let bufs = &mut bufs[..count];
        self.try_io(Interest::READABLE, || (&*self.sock()).read_vectored(bufs))
    }

    /// Reads into a growing buffer once, if ready.
    pub(crate) fn try_read_buf<B: BufMut + ?Sized>(&self, buf: &mut B) -> io::Result<usize> {
        self.try_io(Interest::READABLE, || uninit::recv_buf(self.sock(), buf))
    }

    /// Writes once, if ready.
    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, || os::send(&self.sock(), buf))
    }

    /// Writes several slices once, if ready.
    pub(crate) fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let bufs = &bufs[..bufs.len().min(os::MAX_SLICES)];
        self.try_io(Interest::WRITABLE, || {
            self.sock().send_vectored_with_flags(bufs, os::NO_SIGPIPE)
        })
    }

    // What follows is polled by hand: an async function keeps its arguments twice, and each connection that waits keeps such a future.

    /// Reads into initialised memory.
    pub(crate) fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |cx| self.poll_read_slice(cx, buf))
    }

    /// Reads into a growing buffer.
    pub(crate) fn read_buf<B: BufMut + ?Sized>(
        &self,
        buf: &mut B,
    ) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |cx| {
            // A buffer without room asks for nothing, and gets nothing, without waiting.
            if !buf.has_remaining_mut() {
                return Poll::Ready(Ok(0));
            }
            let len = buf.chunk_mut().len();
            self.poll_transfer(cx, Direction::Read, len, |sock| uninit::recv_buf(sock, buf))
        })
    }

    /// Fills `buf`.
    pub(crate) fn read_exact(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        let mut filled = 0;
        poll_fn(move |cx| {
            while filled < buf.len() {
                match ready!(self.poll_read_slice(cx, &mut buf[filled..]))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    n => filled += n,
                }
            }
            Poll::Ready(Ok(filled))
        })
    }

    /// Writes one slice.
    pub(crate) fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |cx| self.poll_write(cx, buf))
    }

    /// Writes several slices.
    pub(crate) fn write_vectored(
        &self,
        bufs: &[IoSlice<'_>],
    ) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |cx| self.poll_write_vectored(cx, bufs))
    }

    /// Writes the first chunk of `buf` and takes from it what was written.
    pub(crate) fn write_buf<B: Buf + ?Sized>(
        &self,
        buf: &mut B,
    ) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |cx| self.poll_write_buf(cx, buf))
    }

    fn poll_write_buf<B: Buf + ?Sized>(
        &self,
        cx: &mut Context<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<usize>> {
        if !buf.has_remaining() {
            return Poll::Ready(Ok(0));
        }
        let n = ready!(self.poll_write(cx, buf.chunk()))?;
        buf.advance(n);
        Poll::Ready(Ok(n))
    }

    /// Writes all of `buf`.
    pub(crate) fn write_all(&self, mut buf: &[u8]) -> impl Future<Output = io::Result<()>> {
        poll_fn(move |cx| self.poll_write_all(cx, &mut buf))
    }

    /// Writes all of `buf`, and takes from it what was written, also when cancelled.
    pub(crate) fn write_all_buf<B: Buf + ?Sized>(
        &self,
        buf: &mut B,
    ) -> impl Future<Output = io::Result<()>> {
        poll_fn(move |cx| self.poll_write_all(cx, buf))
    }

    fn poll_write_all<B: Buf + ?Sized>(
        &self,
        cx: &mut Context<'_>,
        buf: &mut B,
    ) -> Poll<io::Result<()>> {
        while buf.has_remaining() {
            if ready!(self.poll_write_buf(cx, buf))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The readiness that an operation in `direction` relies on.
fn readiness(direction: Direction) -> Ready {
    match direction {
        Direction::Read => Ready::READABLE,
        Direction::Write => Ready::WRITABLE,
    }
}

impl<E: fmt::Debug> fmt::Debug for Socket<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

/// Connects `socket`, which must not block, and registers it.
pub(crate) async fn connect<E>(
    socket: socket2::Socket,
    addr: &socket2::SockAddr,
) -> io::Result<Socket<E>>
where
    E: AsFd + From<socket2::Socket>,
{
    // First the attempt, then the registration: a stream socket that is neither connecting nor connected reports itself as
    // closed, and that would stick.
    let begun = match socket.connect(addr) {
        Ok(()) => return Socket::new(socket.into(), unknown()),
        Err(error) if is_under_way(&error) => Socket::<E>::new(socket.into(), Ready::EMPTY)?,
        Err(error) => return Err(error),
    };
    begun.ready(Interest::WRITABLE).await?;
    match begun.sock().take_error()? {
        None => Ok(begun),
        Some(error) => Err(error),
    }
}

/// Whether `error` of `connect` means that the attempt goes on by itself.
fn is_under_way(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|code| matches!(code, Errno::INPROGRESS | Errno::INTR))
}

/// The IPv4 or IPv6 address in `address`.
pub(super) fn internet(address: &socket2::SockAddr) -> io::Result<std::net::SocketAddr> {
    address.as_socket().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the address is neither IPv4 nor IPv6",
        )
    })
}
