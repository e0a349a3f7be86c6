//! Errors of the time module.

use std::error::Error;
use std::fmt;
use std::io;

/// A [`timeout`](fn@crate::time::timeout) came to its deadline before its future was ready.
///
/// # Examples
///
/// ```
/// use runtime::time::{Duration, timeout};
///
/// runtime::block_on(async {
///     let waits = timeout(Duration::from_millis(1), std::future::pending::<()>());
///     let elapsed = waits.await.unwrap_err();
///     assert_eq!(elapsed.to_string(), "deadline has elapsed");
///     assert_eq!(std::io::Error::from(elapsed).kind(), std::io::ErrorKind::TimedOut);
/// });
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(super) fn new() -> Elapsed {
        Elapsed(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
