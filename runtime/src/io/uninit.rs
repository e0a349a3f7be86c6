//! Receives into memory that nobody has initialised: the only unsafe code of this crate.
//!
//! A buffer that is about to be overwritten need not be zeroed first. The traits for such buffers ([`ReadBuf`], [`BufMut`])
//! make their user promise which bytes have been written; that promise is given here, in one place, so that the sockets
//! above stay in safe code. Every function here reads from a socket itself: none takes a closure from outside that could
//! misstate the number of bytes.
//!
//! What must always hold:
//!
//! - **U1** The receive functions of `socket2` and `rustix` return how many bytes at the start of the slice the kernel has written, never
//!   more than its length (that would take `MSG_TRUNC`, which nothing here passes).
//! - **U2** A slice that is lent to a receive function is only ever written to, never de-initialised: both promise it.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;

use bytes::BufMut;
use socket2::{SockAddr, SockRef};
use tokio::io::ReadBuf;

use crate::net::os;

/// Receives into the unfilled part of `buf` and returns the number of bytes.
pub(crate) fn recv(socket: SockRef<'_>, buf: &mut ReadBuf<'_>) -> io::Result<usize> {
    // SAFETY: `recv` keeps U1 and U2.
    unsafe { fill(buf, |slice| os::recv(&socket, slice).map(|n| (n, n))) }
}

/// Receives one datagram and its sender.
pub(crate) fn recv_from(socket: SockRef<'_>, buf: &mut ReadBuf<'_>) -> io::Result<SockAddr> {
    // SAFETY: `recv_from` keeps U1 and U2.
    unsafe { fill(buf, |slice| socket.recv_from(slice)) }
}

/// As [`recv`], but leaves the data in the socket.
pub(crate) fn peek(socket: SockRef<'_>, buf: &mut ReadBuf<'_>) -> io::Result<usize> {
    // SAFETY: `peek` keeps U1 and U2.
    unsafe { fill(buf, |slice| socket.peek(slice).map(|n| (n, n))) }
}

/// As [`recv_from`], but leaves the datagram in the socket.
pub(crate) fn peek_from(socket: SockRef<'_>, buf: &mut ReadBuf<'_>) -> io::Result<SockAddr> {
    // SAFETY: `peek_from` keeps U1 and U2.
    unsafe { fill(buf, |slice| socket.peek_from(slice)) }
}

/// Receives into the next chunk of `buf`, as far as it has one, and returns the number of bytes.
pub(crate) fn recv_buf<B: BufMut + ?Sized>(socket: SockRef<'_>, buf: &mut B) -> io::Result<usize> {
    // SAFETY: `recv` keeps U1 and U2.
    unsafe { fill_buf(buf, |slice| os::recv(&socket, slice).map(|n| (n, n))) }.map(|(n, _)| n)
}

/// Receives one datagram into the next chunk of `buf`, and its sender.
pub(crate) fn recv_buf_from<B: BufMut + ?Sized>(
    socket: SockRef<'_>,
    buf: &mut B,
) -> io::Result<(usize, SockAddr)> {
    // SAFETY: `recv_from` keeps U1 and U2.
    unsafe { fill_buf(buf, |slice| socket.recv_from(slice)) }
}

/// Lends the unfilled part of `buf` to `receive` and marks what it has written as filled.
///
/// # Safety
///
/// `receive` must keep U1 and U2 for the slice it is given and the number it returns.
unsafe fn fill<R>(
    buf: &mut ReadBuf<'_>,
    receive: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<(usize, R)>,
) -> io::Result<R> {
    // SAFETY: nothing is de-initialised through the slice (U2, by our caller's promise).
    let slice = unsafe { buf.unfilled_mut() };
    let (n, result) = receive(slice)?;
    // SAFETY: the first `n` bytes of the unfilled part have been written (U1, by our caller's promise).
    unsafe { buf.assume_init(n) };
    buf.advance(n);
    Ok(result)
}

/// As [`fill`], for the buffers of the crate `bytes`.
///
/// # Safety
///
/// `receive` must keep U1 and U2 for the slice it is given and the number it returns.
unsafe fn fill_buf<B: BufMut + ?Sized, R>(
    buf: &mut B,
    receive: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<(usize, R)>,
) -> io::Result<(usize, R)> {
    let chunk = buf.chunk_mut();
    // SAFETY: nothing is de-initialised through the slice (U2, by our caller's promise).
    let slice = unsafe { chunk.as_uninit_slice_mut() };
    let (n, result) = receive(slice)?;
    // SAFETY: the first `n` bytes of the chunk have been written (U1, by our caller's promise).
    unsafe { buf.advance_mut(n) };
    Ok((n, result))
}

#[cfg(feature = "hyper")]
pub(crate) use cursor::recv_cursor;

#[cfg(feature = "hyper")]
mod cursor {
    //! The same for the buffers of `hyper`.

    use std::io;

    use hyper::rt::ReadBufCursor;
    use socket2::SockRef;

    use crate::net::os;

    /// Receives into what is left of `cursor` and returns the number of bytes.
    pub(crate) fn recv_cursor(
        socket: SockRef<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> io::Result<usize> {
        // SAFETY: nothing is de-initialised through the slice: `recv` keeps U2.
        let slice = unsafe { cursor.as_mut() };
        let n = os::recv(&socket, slice)?;
        // SAFETY: `recv` has written the first `n` bytes (U1).
        unsafe { cursor.advance(n) };
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use bytes::{BufMut, BytesMut};

    use super::*;

    /// A socket from which `sent` can be received.
    fn holding(sent: &[u8]) -> (UnixStream, UnixStream) {
        let (mut sender, receiver) = UnixStream::pair().unwrap();
        sender.write_all(sent).unwrap();
        (sender, receiver)
    }

    #[test]
    fn a_read_buf_is_filled_behind_what_it_holds() {
        let (_sender, receiver) = holding(b"world");
        let mut memory = [MaybeUninit::uninit(); 16];
        let mut buf = ReadBuf::uninit(&mut memory);
        buf.put_slice(b"hello ");
        assert_eq!(peek(SockRef::from(&receiver), &mut buf).unwrap(), 5);
        assert_eq!(buf.filled(), b"hello world");
        assert_eq!(recv(SockRef::from(&receiver), &mut buf).unwrap(), 5);
        assert_eq!(buf.filled(), b"hello worldworld");
        assert_eq!(buf.remaining(), 0);
    }

    #[test]
    fn a_bounded_buf_takes_no_more_than_it_has_room_for() {
        let (_sender, receiver) = holding(b"hello");
        let mut buf = BytesMut::with_capacity(8).limit(3);
        assert_eq!(recv_buf(SockRef::from(&receiver), &mut buf).unwrap(), 3);
        assert_eq!(recv_buf(SockRef::from(&receiver), &mut buf).unwrap(), 0);
        assert_eq!(&buf.into_inner()[..], b"hel");
    }

    #[test]
    fn an_error_leaves_the_buffer_as_it_was() {
        let (_sender, receiver) = UnixStream::pair().unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut memory = [MaybeUninit::uninit(); 4];
        let mut buf = ReadBuf::uninit(&mut memory);
        let error = recv(SockRef::from(&receiver), &mut buf).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(buf.filled().is_empty());
    }
}
