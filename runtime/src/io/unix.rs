//! Readiness of descriptors that no other type of this crate wraps: pipes, terminals, eventfds, sockets of other families.
//!
//! # Examples
//!
//! A socket, by hand:
//!
//! ```
//! use runtime::io::unix::AsyncFd;
//! use std::io::{Read, Write};
//!
//! # #[runtime::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (one, mut other) = std::os::unix::net::UnixStream::pair()?;
//! one.set_nonblocking(true)?;
//! let one = AsyncFd::new(one)?;
//! other.write_all(b"hello")?;
//!
//! let mut buf = [0; 16];
//! let n = loop {
//!     let mut guard = one.readable().await?;
//!     match guard.try_io(|one| one.get_ref().read(&mut buf)) {
//!         Ok(result) => break result?,
//!         Err(_would_block) => {}
//!     }
//! };
//! assert_eq!(&buf[..n], b"hello");
//! # Ok(())
//! # }
//! ```

pub use reactor::{
    AsyncFd, AsyncFdReadyGuard, AsyncFdReadyMutGuard, AsyncFdTryNewError, TryIoError,
};
