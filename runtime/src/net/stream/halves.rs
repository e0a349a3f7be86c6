//! The macro `halves`: see the [parent module](super).

/// The types of the four halves of a stream, and what only halves have.
macro_rules! halves {
    ($Stream:ident, $Std:ty, $setup:expr) => {
        #[doc = concat!("The reading half of a [`", stringify!($Stream), "`], made by [`split`](", stringify!($Stream), "::split).")]
        ///
        /// Read through its own methods, or through [`AsyncRead`](crate::io::AsyncRead).
        #[derive(Debug)]
        pub struct ReadHalf<'a>(pub(super) &'a $Stream);

        #[doc = concat!("The writing half of a [`", stringify!($Stream), "`], made by [`split`](", stringify!($Stream), "::split).")]
        ///
        /// Write through its own methods, or through [`AsyncWrite`](crate::io::AsyncWrite). Dropping it does nothing.
        #[derive(Debug)]
        pub struct WriteHalf<'a>(pub(super) &'a $Stream);

        #[doc = concat!("The reading half of a [`", stringify!($Stream), "`], made by [`into_split`](", stringify!($Stream), "::into_split).")]
        ///
        /// Read through its own methods, or through [`AsyncRead`](crate::io::AsyncRead). The connection is closed when both
        /// halves have been dropped.
        #[derive(Debug)]
        pub struct OwnedReadHalf {
            /// The stream, shared with the other half.
            pub(super) stream: Arc<$Stream>,
        }

        #[doc = concat!("The writing half of a [`", stringify!($Stream), "`], made by [`into_split`](", stringify!($Stream), "::into_split).")]
        ///
        /// Write through its own methods, or through [`AsyncWrite`](crate::io::AsyncWrite). Dropping it ends the writing
        /// direction, so that the peer reads the end of the stream.
        #[derive(Debug)]
        pub struct OwnedWriteHalf {
            /// The stream, shared with the other half.
            pub(super) stream: Arc<$Stream>,
            /// What dropping this half does.
            pub(super) on_drop: OnDrop,
        }

        /// The error of putting two halves together that are not of one stream. It holds both.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        impl fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("these halves come from different streams")
            }
        }

        impl Error for ReuniteError {}

        impl ReadHalf<'_> {
            /// The socket, for the shared methods.
            pub(crate) fn socket(&self) -> &Socket<$Std> {
                self.0.socket()
            }
        }

        impl WriteHalf<'_> {
            /// The socket, for the shared methods.
            pub(crate) fn socket(&self) -> &Socket<$Std> {
                self.0.socket()
            }

            /// Ends the writing direction.
            pub(crate) fn end_writing(&self) -> Poll<io::Result<()>> {
                self.0.end_writing()
            }
        }

        impl OwnedReadHalf {
            /// The socket, for the shared methods.
            pub(crate) fn socket(&self) -> &Socket<$Std> {
                self.stream.socket()
            }

            /// Puts the two halves of a stream together again.
            ///
            /// # Examples
            ///
            /// ```
            /// # #[runtime::main(flavor = "current_thread")]
            /// # async fn main() -> std::io::Result<()> {
            #[doc = $setup]
            /// let (reader, writer) = stream.into_split();
            /// let mut stream = reader.reunite(writer).expect("they are of one stream");
            /// stream.write_all(b"hello").await?;
            /// # drop(peer);
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// The halves are of different streams. The error holds both.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$Stream, ReuniteError> {
                if !Arc::ptr_eq(&self.stream, &other.stream) {
                    return Err(ReuniteError(self, other));
                }
                other.forget();
                Ok(Arc::into_inner(self.stream).expect("the other half was the only other owner"))
            }
        }

        impl OwnedWriteHalf {
            /// The socket, for the shared methods.
            pub(crate) fn socket(&self) -> &Socket<$Std> {
                self.stream.socket()
            }

            /// Ends the writing direction, for which then nothing is left to do on drop.
            pub(crate) fn end_writing(&mut self) -> Poll<io::Result<()>> {
                let ended = self.stream.end_writing();
                if matches!(ended, Poll::Ready(Ok(()))) {
                    self.on_drop = OnDrop::Nothing;
                }
                ended
            }

            /// Puts the two halves of a stream together again.
            ///
            /// As [`OwnedReadHalf::reunite`].
            ///
            /// # Errors
            ///
            /// The halves are of different streams. The error holds both.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$Stream, ReuniteError> {
                other.reunite(self)
            }

            /// Drops this half without ending the writing direction.
            ///
            /// That lasts until the other half is dropped too, which closes the connection.
            pub fn forget(mut self) {
                self.on_drop = OnDrop::Nothing;
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.on_drop == OnDrop::EndWriting {
                    // Nobody is left to hear of an error; the connection is as good as gone in that case.
                    let _ended = self.stream.end_writing();
                }
            }
        }

        impl AsRef<$Stream> for ReadHalf<'_> {
            fn as_ref(&self) -> &$Stream {
                self.0
            }
        }

        impl AsRef<$Stream> for WriteHalf<'_> {
            fn as_ref(&self) -> &$Stream {
                self.0
            }
        }

        impl AsRef<$Stream> for OwnedReadHalf {
            fn as_ref(&self) -> &$Stream {
                &self.stream
            }
        }

        impl AsRef<$Stream> for OwnedWriteHalf {
            fn as_ref(&self) -> &$Stream {
                &self.stream
            }
        }
    };
}

pub(in crate::net) use halves;
