//! What `hyper` 1 asks of a runtime besides streams: an [`Executor`] and a [`Timer`].
//!
//! The streams of [`net`](crate::net) implement `hyper`'s `Read` and `Write`, so no adapter crate is needed for plain
//! connections. Streams of other crates that implement Tokio's traits, such as TLS streams, need an adapter like
//! `hyper_util::rt::TokioIo`, which runs on this runtime as well.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//!
//! use hyper::rt::{Executor as _, Timer as _};
//! use runtime::hyper::{Executor, Timer};
//!
//! # #[runtime::main(flavor = "current_thread")]
//! # async fn main() {
//! Timer::new().sleep(Duration::from_millis(1)).await;
//!
//! let (sender, receiver) = runtime::sync::oneshot::channel();
//! Executor::new().execute(async move { sender.send("spawned") });
//! assert_eq!(receiver.await, Ok("spawned"));
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::hyper::rt;

/// Spawns what `hyper` wants to run in the background.
///
/// # Panics
///
/// [`execute`](rt::Executor::execute) panics outside of a runtime.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Executor {}

impl Executor {
    /// Makes one. It uses the runtime that is current at each call.
    pub fn new() -> Executor {
        Executor {}
    }
}

impl<F> rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        // Dropping the handle detaches the task.
        drop(crate::spawn(future));
    }
}

/// Gives `hyper` its timeouts.
///
/// It follows the clock of the runtime, a paused one too.
///
/// # Panics
///
/// Its methods panic outside of a runtime.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Timer {}

impl Timer {
    /// Makes one. It uses the runtime that is current at each call.
    pub fn new() -> Timer {
        Timer {}
    }
}

impl rt::Timer for Timer {
    #[track_caller]
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        let entry = timer::Entry::after(timer::Handle::current(), duration);
        Box::pin(Sleep { entry })
    }

    #[track_caller]
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        let entry = timer::Entry::new(timer::Handle::current(), Some(deadline));
        Box::pin(Sleep { entry })
    }

    #[track_caller]
    fn now(&self) -> Instant {
        timer::Handle::current().clock().now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            // Ours keeps its place and its memory.
            Some(mut sleep) => sleep.entry.reset(Some(new_deadline)),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

/// A deadline that `hyper` waits for.
#[derive(Debug)]
struct Sleep {
    /// The deadline.
    entry: timer::Entry,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // When the runtime shuts down, waiting has an end too: the I/O that follows reports it.
        self.entry.poll_elapsed(cx).map(|_elapsed| ())
    }
}

impl rt::Sleep for Sleep {}
