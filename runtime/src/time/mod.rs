//! Waiting for points in time: sleeps, timeouts, intervals, and a clock that tests can pause.
//!
//! - [`sleep`](fn@crate::time::sleep) and [`sleep_until`] wait.
//! - [`timeout`](fn@crate::time::timeout) and [`timeout_at`] give a future a limit.
//! - [`interval`](fn@crate::time::interval) and [`interval_at`] tick at a fixed rate.
//! - [`Instant`] is a point in time by the runtime's clock; [`pause`], [`advance`] and [`resume`] let
//!   a test decide how that clock goes.
//!
//! Names, signatures and semantics are those of `tokio::time`.
//!
//! # Precision
//!
//! Nothing here ends early. Deadlines are rounded up to 1/64 ms (15.6 µs); how late a
//! task runs depends on the kernel and on what else is ready to run. A worker that fires many timers
//! per millisecond takes them in groups, up to 500 µs late. While all workers are busy, a separate
//! thread looks after their timers about once a millisecond.
//!
//! A deadline may be arbitrarily far away. One that is more than 292 years away, as after
//! `sleep(Duration::MAX)`, never comes.
//!
//! # Where this differs from Tokio
//!
//! - The resolution is 1/64 ms instead of 1 ms. Under a clock paused from the start, deadlines in whole
//!   milliseconds are exact.
//! - [`Sleep`] is [`Unpin`]: `pin!` works, but is not needed.
//! - `sleep(Duration::MAX)` never ends instead of ending after 30 years, and interval deadlines that
//!   overflow never come instead of panicking.
//! - [`advance`] fires what is due before it yields.
//! - `error::Error`, which no function of `tokio::time` returns, is not there.
//!
//! # Examples
//!
//! ```
//! use runtime::time::{Duration, sleep, timeout};
//!
//! #[runtime::main]
//! async fn main() {
//!     sleep(Duration::from_millis(2)).await;
//!
//!     let slow = sleep(Duration::from_secs(3600));
//!     assert!(timeout(Duration::from_millis(2), slow).await.is_err());
//! }
//! ```

mod clock;
pub mod error;
mod instant;
mod interval;
mod sleep;
mod timeout;

pub use clock::{advance, pause, resume};
pub use instant::Instant;
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
#[doc(no_inline)]
pub use std::time::Duration;
pub use timeout::{Timeout, timeout, timeout_at};

#[cfg(test)]
mod tests;
