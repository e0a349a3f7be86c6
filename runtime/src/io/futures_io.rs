//! The I/O traits of the crate `futures-io` for all streams.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use ::futures_io::{AsyncRead, AsyncWrite};

use crate::net::{TcpStream, UnixStream, tcp, unix};

/// Implements `AsyncRead`.
macro_rules! reading {
    ($($Type:ty)*) => {$(
        impl AsyncRead for $Type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.socket().poll_read_slice(cx, buf)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                self.socket().poll_read_vectored(cx, bufs)
            }
        }
    )*};
}

/// Implements `AsyncWrite`.
macro_rules! writing {
    ($($Type:ty)*) => {$(
        impl AsyncWrite for $Type {
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

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
