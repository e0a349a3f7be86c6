//! The macro `writing`: see the [parent module](super).

/// Methods of whatever can be written to.
macro_rules! writing {
    ($Type:ty, $setup:expr) => {
        impl $Type {
            /// Waits until the stream is probably writable.
            ///
            /// "Probably": a following [`try_write`](Self::try_write) may still return
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock), so the two belong into a loop.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// let n = loop {
            ///     stream.writable().await?;
            ///     match stream.try_write(b"hello") {
            ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            ///         result => break result?,
            ///     }
            /// };
            /// assert_eq!(n, 5);
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
            pub async fn writable(&self) -> io::Result<()> {
                self.socket().ready(Interest::WRITABLE).await.map(drop)
            }

            /// Writes as much of `buf` as the system takes, without waiting, and returns the number of bytes.
            ///
            /// See [`writable`](Self::writable) for an example.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if the system takes nothing at present, or what it reports.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.socket().try_write(buf)
            }

            /// Writes as much of several slices as the system takes, without waiting.
            ///
            /// As [`try_write`](Self::try_write) otherwise.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if the system takes nothing at present, or what it reports.
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.socket().try_write_vectored(bufs)
            }

            /// Writes as much of `buf` as the system takes, and returns the number of bytes, as soon as it takes any.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// assert_eq!(stream.write(b"hello").await?, 5);
            /// # drop(peer);
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports, such as [`BrokenPipe`](std::io::ErrorKind::BrokenPipe).
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, it has written nothing.
            pub fn write(&mut self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> {
                self.socket().write(buf)
            }

            /// Writes from several slices, one after the other, with one system call.
            ///
            /// As [`write`](Self::write) otherwise.
            ///
            /// # Errors
            ///
            /// What the system reports.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, it has written nothing.
            pub fn write_vectored(
                &mut self,
                bufs: &[IoSlice<'_>],
            ) -> impl Future<Output = io::Result<usize>> {
                self.socket().write_vectored(bufs)
            }

            /// Writes from `buf`, as far as the system takes it at once, and advances `buf` by what was written.
            ///
            /// # Errors
            ///
            /// What the system reports.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, it has written nothing and `buf` is as it was.
            pub fn write_buf<B: Buf>(
                &mut self,
                buf: &mut B,
            ) -> impl Future<Output = io::Result<usize>> {
                self.socket().write_buf(buf)
            }

            /// Writes all of `buf`.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// stream.write_all(b"hello").await?;
            /// let mut buf = [0; 5];
            /// peer.read_exact(&mut buf).await?;
            /// assert_eq!(&buf, b"hello");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports. Some of `buf` may have been written.
            ///
            /// # Cancel safety
            ///
            /// Not cancel safe: some of `buf` may have been written, and how much is not known. Use
            /// [`write_all_buf`](Self::write_all_buf), or call [`write`](Self::write) in a loop.
            pub fn write_all(&mut self, buf: &[u8]) -> impl Future<Output = io::Result<()>> {
                self.socket().write_all(buf)
            }

            /// Writes all of `buf`, and advances it by what was written.
            ///
            /// # Errors
            ///
            /// What the system reports. `buf` then holds what was not written.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: `buf` holds what was not written, and a further call goes on with that.
            pub fn write_all_buf<B: Buf>(
                &mut self,
                buf: &mut B,
            ) -> impl Future<Output = io::Result<()>> {
                self.socket().write_all_buf(buf)
            }

            /// Does nothing: whatever was written is with the operating system already.
            ///
            /// It exists so that code can be written once for all writers.
            ///
            /// # Errors
            ///
            /// None.
            ///
            /// # Cancel safety
            ///
            /// It never waits.
            pub async fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }

            /// Ends the writing direction: the peer reads what is on its way, and then the end of the stream.
            ///
            /// Reading goes on as before.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// stream.write_all(b"that was all").await?;
            /// stream.shutdown().await?;
            /// let mut all = String::new();
            /// peer.read_to_string(&mut all).await?;
            /// assert_eq!(all, "that was all");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports. A connection that is gone already is no error.
            ///
            /// # Cancel safety
            ///
            /// It never waits.
            pub async fn shutdown(&mut self) -> io::Result<()> {
                AsyncWriteExt::shutdown(self).await
            }
        }

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
    };
}

pub(in crate::net) use writing;
