//! The I/O traits of `hyper` for all streams.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use ::hyper::rt::{Read, ReadBufCursor, Write};

use crate::net::{TcpStream, UnixStream, tcp, unix};

/// Implements `Read`.
macro_rules! reading {
    ($($Type:ty)*) => {$(
        impl Read for $Type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                self.socket().poll_read_cursor(cx, buf)
            }
        }
    )*};
}

/// Implements `Write`.
macro_rules! writing {
    ($($Type:ty)*) => {$(
        impl Write for $Type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.socket().poll_write(cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.socket().poll_write_vectored(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.get_mut().end_writing()
            }
        }
    )*};
}

reading! {
    TcpStream tcp::ReadHalf<'_> tcp::OwnedReadHalf
    UnixStream unix::ReadHalf<'_> unix::OwnedReadHalf
}

writing! {
    TcpStream tcp::WriteHalf<'_> tcp::OwnedWriteHalf
    UnixStream unix::WriteHalf<'_> unix::OwnedWriteHalf
}
