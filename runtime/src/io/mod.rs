//! Traits and tools for asynchronous reading and writing; standard input and output; readiness of any descriptor.
//!
//! | for | take |
//! |---|---|
//! | being generic over readers and writers | [`AsyncRead`], [`AsyncWrite`], [`AsyncBufRead`], [`AsyncSeek`] |
//! | what can be done with all of them | [`AsyncReadExt`], [`AsyncWriteExt`], [`AsyncBufReadExt`], [`AsyncSeekExt`] |
//! | buffers | [`BufReader`], [`BufWriter`], [`BufStream`] |
//! | moving bytes | [`copy`], [`copy_buf`], [`copy_bidirectional`] |
//! | readers and writers in memory | [`duplex`], [`simplex`], [`empty`], [`repeat`], [`sink`] |
//! | two halves of anything | [`split`], [`join`](fn@join) |
//! | the terminal | `stdin`, `stdout`, `stderr` |
//! | a descriptor of any kind | [`unix::AsyncFd`] |
//!
//! The traits and tools are Tokio's own, re-exported: they need no particular runtime, and a type that implements them works
//! here and there. Our streams have the common operations as inherent methods too, see [`net`](crate::net).
//!
//! # Examples
//!
//! ```
//! use runtime::io::{self, AsyncBufReadExt, AsyncWriteExt, BufReader};
//!
//! # #[runtime::main(flavor = "current_thread")]
//! # async fn main() -> io::Result<()> {
//! let (mut one, other) = io::duplex(64);
//! one.write_all(b"first\nsecond\n").await?;
//! drop(one);
//!
//! let mut lines = BufReader::new(other).lines();
//! assert_eq!(lines.next_line().await?.as_deref(), Some("first"));
//! assert_eq!(lines.next_line().await?.as_deref(), Some("second"));
//! assert_eq!(lines.next_line().await?, None);
//! # Ok(())
//! # }
//! ```
//!
//! # What differs from Tokio
//!
//! Tokio's tools in memory ([`duplex`] and the like) spend Tokio's cooperative budget, which is inert here: see
//! [`sync`](crate::sync).

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "io-std")]
mod offload;
#[cfg(feature = "io-std")]
mod stdio;
#[cfg(feature = "net")]
pub(crate) mod uninit;
pub mod unix;

#[doc(no_inline)]
pub use std::io::{Error, ErrorKind, Result, SeekFrom};

pub use reactor::{Interest, Ready};
#[doc(inline)]
pub use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite,
    AsyncWriteExt, BufReader, BufStream, BufWriter, Chain, DuplexStream, Empty, Join, Lines,
    ReadBuf, ReadHalf, Repeat, SimplexStream, Sink, Split, Take, WriteHalf, copy,
    copy_bidirectional, copy_bidirectional_with_sizes, copy_buf, duplex, empty, join, repeat,
    simplex, sink, split,
};

#[cfg(feature = "io-std")]
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
