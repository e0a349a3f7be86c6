//! The macro `reading`: see the [parent module](super).

/// Methods of whatever can be read from.
macro_rules! reading {
    ($Type:ty, $setup:expr) => {
        impl $Type {
            /// Waits until the stream is probably readable.
            ///
            /// "Probably": a following [`try_read`](Self::try_read) may still return
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock), so the two belong into a loop. The stream is readable, too, when
            /// the peer has closed its side or when there is an error.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// peer.write_all(b"hello").await?;
            /// let mut buf = [0; 16];
            /// let n = loop {
            ///     stream.readable().await?;
            ///     match stream.try_read(&mut buf) {
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
            /// The runtime that the stream was made in has shut down.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            pub async fn readable(&self) -> io::Result<()> {
                self.socket().ready(Interest::READABLE).await.map(drop)
            }

            /// Reads what is there, without waiting, and returns the number of bytes.
            ///
            /// Zero means that the peer has closed its side, or that `buf` is empty. See [`readable`](Self::readable) for an
            /// example.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if nothing is there, or what the system reports.
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.socket().try_read(buf)
            }

            /// Reads what is there into several slices, one after the other, without waiting.
            ///
            /// As [`try_read`](Self::try_read) otherwise.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if nothing is there, or what the system reports.
            pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.socket().try_read_vectored(bufs)
            }

            /// Reads what is there behind the content of `buf`, without waiting.
            ///
            /// As [`try_read`](Self::try_read) otherwise. The memory of `buf` need not be initialised: a
            /// `Vec::with_capacity(4096)` does.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if nothing is there, or what the system reports.
            pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                self.socket().try_read_buf(buf)
            }

            /// Reads into `buf` and returns the number of bytes, as soon as there are any.
            ///
            /// Zero means that the peer has closed its side, or that `buf` is empty.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// peer.write_all(b"hello").await?;
            /// let mut buf = [0; 16];
            /// let n = stream.read(&mut buf).await?;
            /// assert_eq!(&buf[..n], b"hello");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports, such as [`ConnectionReset`](std::io::ErrorKind::ConnectionReset).
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: dropped before it is ready, it has read nothing.
            pub fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
                self.socket().read(buf)
            }

            /// Reads behind the content of `buf` and returns the number of bytes, as soon as there are any.
            ///
            /// Zero means that the peer has closed its side, or that `buf` has no room. The memory of `buf` need not be
            /// initialised.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// peer.write_all(b"hello").await?;
            /// let mut buf = Vec::with_capacity(1024);
            /// stream.read_buf(&mut buf).await?;
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
            /// Nothing is lost: dropped before it is ready, it has read nothing.
            pub fn read_buf<B: BufMut + ?Sized>(
                &mut self,
                buf: &mut B,
            ) -> impl Future<Output = io::Result<usize>> {
                self.socket().read_buf(buf)
            }

            /// Reads until `buf` is full, and returns its length.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// peer.write_all(b"hello world").await?;
            /// let mut word = [0; 5];
            /// stream.read_exact(&mut word).await?;
            /// assert_eq!(&word, b"hello");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the peer closes its side before, or what the system
            /// reports. `buf` then holds some of the data.
            ///
            /// # Cancel safety
            ///
            /// Not cancel safe: some bytes may be in `buf` already, and how many is not known.
            pub fn read_exact(
                &mut self,
                buf: &mut [u8],
            ) -> impl Future<Output = io::Result<usize>> {
                self.socket().read_exact(buf)
            }

            /// Reads until the peer has closed its side, appends to `buf`, and returns the number of bytes.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// peer.write_all(b"all of it").await?;
            /// drop(peer);
            /// let mut all = Vec::new();
            /// stream.read_to_end(&mut all).await?;
            /// assert_eq!(all, b"all of it");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// What the system reports. What was read before stays in `buf`.
            ///
            /// # Cancel safety
            ///
            /// What has been read is in `buf`.
            pub async fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
                AsyncReadExt::read_to_end(self, buf).await
            }

            /// Reads until the peer has closed its side, appends to `buf`, and returns the number of bytes.
            ///
            /// # Errors
            ///
            /// [`InvalidData`](std::io::ErrorKind::InvalidData) if the bytes are not UTF-8, or what the system reports. `buf`
            /// is then as it was.
            ///
            /// # Cancel safety
            ///
            /// Not cancel safe: what has been read is lost.
            pub async fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
                AsyncReadExt::read_to_string(self, buf).await
            }
        }

        impl AsyncRead for $Type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.socket().poll_read(cx, buf)
            }
        }
    };
}

pub(in crate::net) use reading;
