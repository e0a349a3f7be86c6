//! The macros `either` and `whole`: see the [parent module](super).

/// Methods of whole streams and halves alike.
macro_rules! either {
    ($Type:ty, $Addr:ty, $setup:expr) => {
        impl $Type {
            /// Waits for any of `interest` and returns what the stream is ready for.
            ///
            /// Readiness is probable, not certain: a following `try_` method may still return
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock).
            ///
            /// # Examples
            ///
            /// ```
            /// use runtime::io::Interest;
            ///
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
            /// assert!(ready.is_readable() || ready.is_writable());
            /// # drop(peer);
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// The runtime that the stream was made in has shut down.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.socket().ready(interest).await
            }

            /// Returns the address of this end.
            ///
            /// # Errors
            ///
            /// What the system reports.
            pub fn local_addr(&self) -> io::Result<$Addr> {
                self.socket().io().local_addr().map(Into::into)
            }

            /// Returns the address of the other end.
            ///
            /// # Errors
            ///
            /// What the system reports, such as [`NotConnected`](std::io::ErrorKind::NotConnected) once the connection is gone.
            pub fn peer_addr(&self) -> io::Result<$Addr> {
                self.socket().io().peer_addr().map(Into::into)
            }
        }
    };
}

/// Methods and traits of whole streams.
macro_rules! whole {
    ($Type:ident, $Std:ty, $setup:expr) => {
        impl $Type {
            /// The socket, for the shared methods.
            pub(crate) fn socket(&self) -> &Socket<$Std> {
                &self.socket
            }

            /// Ends the writing direction.
            pub(crate) fn end_writing(&self) -> Poll<io::Result<()>> {
                Poll::Ready(self.socket.shutdown_write())
            }

            /// Takes over a stream of the standard library, which must be in non-blocking mode.
            ///
            /// # Errors
            ///
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) if the stream is in blocking mode, and what the system
            /// reports when it is registered.
            ///
            /// # Panics
            ///
            /// Panics outside of a runtime.
            #[track_caller]
            pub fn from_std(stream: $Std) -> io::Result<$Type> {
                let socket = Socket::from_std(stream)?;
                Ok($Type { socket })
            }

            /// Turns this into a stream of the standard library, which stays in non-blocking mode.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// let std = stream.into_std()?;
            /// std.set_nonblocking(false)?;
            /// # drop(peer);
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports when the stream leaves the reactor.
            pub fn into_std(self) -> io::Result<$Std> {
                self.socket.into_io()
            }

            /// Returns the pending error of the socket and clears it.
            ///
            /// # Errors
            ///
            /// The option cannot be read.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.sock().take_error()
            }

            /// Polls for the stream to become probably readable.
            ///
            /// Only the last task that called this, or a polling method that reads, is woken. See
            /// [`readable`](Self::readable) for any number of tasks.
            ///
            /// # Errors
            ///
            /// The runtime that the stream was made in has shut down.
            pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.socket.poll_ready(cx, Direction::Read)
            }

            /// Polls for the stream to become probably writable.
            ///
            /// Only the last task that called this, or a polling method that writes, is woken. See
            /// [`writable`](Self::writable) for any number of tasks.
            ///
            /// # Errors
            ///
            /// The runtime that the stream was made in has shut down.
            pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.socket.poll_ready(cx, Direction::Write)
            }

            /// Calls `f` if the stream is ready for `interest`, and learns from it when it is not.
            ///
            /// For system calls that this type does not offer. `f` must make its call on this socket and hand on
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) unchanged: it marks the stream as not ready.
            ///
            /// # Examples
            ///
            /// ```
            /// use runtime::io::Interest;
            /// use std::io::ErrorKind;
            ///
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// let result = stream.try_io(Interest::READABLE, || {
            ///     // A system call would stand here.
            ///     Err::<(), _>(ErrorKind::WouldBlock.into())
            /// });
            /// assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
            /// # drop(peer);
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if the stream is not ready, or what `f` returns.
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
            /// What `f` returns, or that the runtime that the stream was made in has shut down.
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

            /// Splits the stream by reference into a half that reads and a half that writes.
            ///
            /// Costs nothing, but the halves cannot outlive the stream or move to different tasks;
            /// [`into_split`](Self::into_split) makes halves that can.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// let (mut reader, mut writer) = stream.split();
            /// peer.write_all(b"ping").await?;
            /// let mut buf = [0; 4];
            /// let (read, written) = runtime::join!(reader.read(&mut buf), writer.write(b"pong"));
            /// assert_eq!((read?, written?), (4, 4));
            /// # Ok(())
            /// # }
            /// ```
            pub fn split<'a>(&'a mut self) -> (ReadHalf<'a>, WriteHalf<'a>) {
                (ReadHalf(self), WriteHalf(self))
            }

            /// Splits the stream into two halves that can move to different tasks.
            ///
            /// Dropping the writing half ends the writing direction, as `shutdown` does; see
            /// [`forget`](OwnedWriteHalf::forget). [`reunite`](OwnedReadHalf::reunite) puts the halves together again.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// let (mut reader, mut writer) = stream.into_split();
            /// let echo = runtime::spawn(async move {
            ///     let mut buf = [0; 5];
            ///     reader.read_exact(&mut buf).await?;
            ///     writer.write_all(&buf).await
            /// });
            /// peer.write_all(b"hello").await?;
            /// echo.await.expect("the task does not panic")?;
            /// # Ok(())
            /// # }
            /// ```
            pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
                let stream = Arc::new(self);
                let reader = OwnedReadHalf {
                    stream: Arc::clone(&stream),
                };
                let writer = OwnedWriteHalf {
                    stream,
                    on_drop: OnDrop::EndWriting,
                };
                (reader, writer)
            }
        }

        impl TryFrom<$Std> for $Type {
            type Error = io::Error;

            /// As [`from_std`](Self::from_std).
            #[track_caller]
            fn try_from(stream: $Std) -> io::Result<$Type> {
                $Type::from_std(stream)
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

        impl AsRef<$Type> for $Type {
            fn as_ref(&self) -> &$Type {
                self
            }
        }
    };
}

pub(in crate::net) use {either, whole};
