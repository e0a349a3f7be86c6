//! What the datagram sockets have in common, written once.
//!
//! As in `stream`, the macro gives [`UdpSocket`](super::UdpSocket) and [`UnixDatagram`](super::UnixDatagram) their public
//! methods; it holds documentation and calls, and no logic. Its arguments are the type, the type of the standard library that
//! it wraps, the type of its addresses, the function that makes one of what the system returned, and the hidden lines of
//! the examples, which define `socket` and `peer`, connected to each other.

/// Methods and traits of datagram sockets.
macro_rules! datagram {
    ($Type:ident, $Std:ty, $Addr:ty, $address:path, $setup:expr) => {
        impl $Type {
            /// Takes over a socket of the standard library, which must be in non-blocking mode.
            ///
            /// # Errors
            ///
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) if the socket is in blocking mode, and what the system
            /// reports when it is registered.
            ///
            /// # Panics
            ///
            /// Panics outside of a runtime.
            #[track_caller]
            pub fn from_std(socket: $Std) -> io::Result<$Type> {
                let socket = Socket::from_std(socket)?;
                Ok($Type { socket })
            }

            /// Turns this into a socket of the standard library, which stays in non-blocking mode.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// let std = socket.into_std()?;
            /// std.set_nonblocking(false)?;
            /// # drop(peer);
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports when the socket leaves the reactor.
            pub fn into_std(self) -> io::Result<$Std> {
                self.socket.into_io()
            }

            /// Returns the address of this socket.
            ///
            /// # Errors
            ///
            /// What the system reports.
            pub fn local_addr(&self) -> io::Result<$Addr> {
                self.socket.io().local_addr().map(Into::into)
            }

            /// Returns the address that this socket is connected to.
            ///
            /// # Errors
            ///
            /// [`NotConnected`](std::io::ErrorKind::NotConnected) if it is not.
            pub fn peer_addr(&self) -> io::Result<$Addr> {
                self.socket.io().peer_addr().map(Into::into)
            }

            /// Returns the pending error of the socket and clears it.
            ///
            /// # Errors
            ///
            /// The option cannot be read.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.sock().take_error()
            }

            /// Waits for any of `interest` and returns what the socket is ready for.
            ///
            /// Readiness is probable, not certain: a following `try_` method may still return
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock).
            ///
            /// # Errors
            ///
            /// The runtime that the socket was made in has shut down.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.socket.ready(interest).await
            }

            /// Waits until a datagram can probably be received.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// peer.send(b"hello").await?;
            /// let mut buf = [0; 16];
            /// let n = loop {
            ///     socket.readable().await?;
            ///     match socket.try_recv(&mut buf) {
            ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            ///         result => break result?,
            ///     }
            /// };
            /// assert_eq!(&buf[..n], b"hello");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// The runtime that the socket was made in has shut down.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            pub async fn readable(&self) -> io::Result<()> {
                self.socket.ready(Interest::READABLE).await.map(drop)
            }

            /// Waits until a datagram can probably be sent.
            ///
            /// # Errors
            ///
            /// The runtime that the socket was made in has shut down.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            pub async fn writable(&self) -> io::Result<()> {
                self.socket.ready(Interest::WRITABLE).await.map(drop)
            }

            /// Polls for a datagram to be there, probably.
            ///
            /// Only the last task that called this, or a polling method that receives, is woken. See
            /// [`readable`](Self::readable) for any number of tasks.
            ///
            /// # Errors
            ///
            /// The runtime that the socket was made in has shut down.
            pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.socket.poll_ready(cx, Direction::Read)
            }

            /// Polls for room for a datagram, probably.
            ///
            /// Only the last task that called this, or a polling method that sends, is woken. See
            /// [`writable`](Self::writable) for any number of tasks.
            ///
            /// # Errors
            ///
            /// The runtime that the socket was made in has shut down.
            pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.socket.poll_ready(cx, Direction::Write)
            }

            /// Sends a datagram to the address that the socket is connected to, and returns its length.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// socket.send(b"hello").await?;
            /// let mut buf = [0; 16];
            /// let n = peer.recv(&mut buf).await?;
            /// assert_eq!(&buf[..n], b"hello");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports; an error may concern an earlier datagram.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, it has sent nothing.
            pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
                self.socket
                    .async_io(Interest::WRITABLE, || self.socket.io().send(buf))
                    .await
            }

            /// Polls to send a datagram to the address that the socket is connected to.
            ///
            /// Only the last task that called this, or another polling method that sends, is woken.
            ///
            /// # Errors
            ///
            /// What the system reports.
            pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.socket
                    .poll_io(cx, Direction::Write, || self.socket.io().send(buf))
            }

            /// Sends a datagram to the address that the socket is connected to, without waiting.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is no room, or what the system reports.
            pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
                self.socket
                    .try_io(Interest::WRITABLE, || self.socket.io().send(buf))
            }

            /// Receives a datagram and returns its length. What does not fit into `buf` is cut off.
            ///
            /// A connected socket receives only from the address that it is connected to. See [`send`](Self::send) for an
            /// example.
            ///
            /// # Errors
            ///
            /// What the system reports; an error may concern a datagram sent earlier.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, it has received nothing.
            pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.socket
                    .async_io(Interest::READABLE, || self.socket.io().recv(buf))
                    .await
            }

            /// Polls to receive a datagram.
            ///
            /// Only the last task that called this, or another polling method that receives, is woken.
            ///
            /// # Errors
            ///
            /// What the system reports.
            pub fn poll_recv(
                &self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.socket
                    .poll_io(cx, Direction::Read, || {
                        uninit::recv(self.socket.sock(), buf)
                    })
                    .map_ok(drop)
            }

            /// Receives a datagram, without waiting, and returns its length.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none, or what the system reports.
            pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.socket
                    .try_io(Interest::READABLE, || self.socket.io().recv(buf))
            }

            /// Receives a datagram behind the content of `buf` and returns its length.
            ///
            /// What does not fit into the room of `buf` is cut off: reserve enough. The memory need not be initialised.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// peer.send(b"hello").await?;
            /// let mut buf = Vec::with_capacity(1024);
            /// socket.recv_buf(&mut buf).await?;
            /// assert_eq!(buf, b"hello");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, it has received nothing.
            pub async fn recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                self.socket
                    .async_io(Interest::READABLE, || {
                        uninit::recv_buf(self.socket.sock(), buf)
                    })
                    .await
            }

            /// Receives a datagram behind the content of `buf`, without waiting, and returns its length.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none, or what the system reports.
            pub fn try_recv_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                self.socket.try_io(Interest::READABLE, || {
                    uninit::recv_buf(self.socket.sock(), buf)
                })
            }

            /// Receives a datagram and returns its length and its sender. What does not fit into `buf` is cut off.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// peer.send(b"hello").await?;
            /// let mut buf = [0; 16];
            /// let (n, sender) = socket.recv_from(&mut buf).await?;
            /// assert_eq!(&buf[..n], b"hello");
            /// println!("from {sender:?}");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports; an error may concern a datagram sent earlier.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, it has received nothing.
            pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, $Addr)> {
                let (n, sender) = self
                    .socket
                    .async_io(Interest::READABLE, || self.socket.io().recv_from(buf))
                    .await?;
                Ok((n, sender.into()))
            }

            /// Polls to receive a datagram and its sender.
            ///
            /// Only the last task that called this, or another polling method that receives, is woken.
            ///
            /// # Errors
            ///
            /// What the system reports.
            pub fn poll_recv_from(
                &self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<$Addr>> {
                let sender = ready!(self.socket.poll_io(cx, Direction::Read, || {
                    uninit::recv_from(self.socket.sock(), buf)
                }))?;
                Poll::Ready($address(&sender))
            }

            /// Receives a datagram and its sender, without waiting.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none, or what the system reports.
            pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, $Addr)> {
                let (n, sender) = self
                    .socket
                    .try_io(Interest::READABLE, || self.socket.io().recv_from(buf))?;
                Ok((n, sender.into()))
            }

            /// Receives a datagram behind the content of `buf`, and its sender.
            ///
            /// As [`recv_buf`](Self::recv_buf) otherwise.
            ///
            /// # Errors
            ///
            /// What the system reports.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, it has received nothing.
            pub async fn recv_buf_from<B: BufMut>(
                &self,
                buf: &mut B,
            ) -> io::Result<(usize, $Addr)> {
                let (n, sender) = self
                    .socket
                    .async_io(Interest::READABLE, || {
                        uninit::recv_buf_from(self.socket.sock(), buf)
                    })
                    .await?;
                Ok((n, $address(&sender)?))
            }

            /// Receives a datagram behind the content of `buf`, and its sender, without waiting.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none, or what the system reports.
            pub fn try_recv_buf_from<B: BufMut>(&self, buf: &mut B) -> io::Result<(usize, $Addr)> {
                let (n, sender) = self.socket.try_io(Interest::READABLE, || {
                    uninit::recv_buf_from(self.socket.sock(), buf)
                })?;
                Ok((n, $address(&sender)?))
            }

            /// Calls `f` if the socket is ready for `interest`, and learns from it when it is not.
            ///
            /// For system calls that this type does not offer. `f` must make its call on this socket and hand on
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) unchanged: it marks the socket as not ready.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if the socket is not ready, or what `f` returns.
            pub fn try_io<R>(
                &self,
                interest: Interest,
                f: impl FnOnce() -> io::Result<R>,
            ) -> io::Result<R> {
                self.socket.try_io(interest, f)
            }

            /// Waits for `interest` and calls `f`, again and again while it returns
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock).
            ///
            /// As [`try_io`](Self::try_io) otherwise.
            ///
            /// # Errors
            ///
            /// What `f` returns, or that the runtime that the socket was made in has shut down.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, no call of `f` has succeeded.
            pub async fn async_io<R>(
                &self,
                interest: Interest,
                f: impl FnMut() -> io::Result<R>,
            ) -> io::Result<R> {
                self.socket.async_io(interest, f).await
            }
        }

        impl TryFrom<$Std> for $Type {
            type Error = io::Error;

            /// As [`from_std`](Self::from_std).
            #[track_caller]
            fn try_from(socket: $Std) -> io::Result<$Type> {
                $Type::from_std(socket)
            }
        }

        impl fmt::Debug for $Type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.socket.fmt(f)
            }
        }

        impl AsFd for $Type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.io().as_fd()
            }
        }

        impl AsRawFd for $Type {
            fn as_raw_fd(&self) -> RawFd {
                self.socket.io().as_raw_fd()
            }
        }
    };
}

pub(super) use datagram;

pub(super) mod names {
    //! What the macro names.

    pub(in crate::net) use std::fmt;
    pub(in crate::net) use std::io;
    pub(in crate::net) use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
    pub(in crate::net) use std::task::{Context, Poll, ready};

    pub(in crate::net) use bytes::BufMut;
    pub(in crate::net) use reactor::{Direction, Interest, Ready};
    pub(in crate::net) use tokio::io::ReadBuf;

    pub(in crate::net) use crate::io::uninit;
    pub(in crate::net) use crate::net::Socket;
}
