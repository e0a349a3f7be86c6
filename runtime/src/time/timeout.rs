//! Giving a future a limit in time.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use timer::{Entry, Handle};

use super::Instant;
use super::error::Elapsed;
use super::sleep::require_running;

/// Gives `future` until `duration` from now.
///
/// The future is polled first and the time looked at only if it is not ready: a future that is ready
/// at once completes even with a `duration` of zero, and costs no timer. A `duration` that an
/// [`Instant`] cannot hold, as `Duration::MAX`, is no limit.
///
/// A future that does not return from its poll cannot be interrupted.
///
/// # Examples
///
/// ```
/// use runtime::sync::oneshot;
/// use runtime::time::{Duration, timeout};
///
/// runtime::block_on(async {
///     let (_sender, receiver) = oneshot::channel::<u32>();
///     if timeout(Duration::from_millis(5), receiver).await.is_err() {
///         println!("nothing came within 5 ms");
///     }
/// });
/// ```
///
/// # Errors
///
/// The result is [`Elapsed`] if the deadline came first. The future is dropped with the [`Timeout`];
/// to go on with it, hand in a reference.
///
/// # Panics
///
/// Panics outside a runtime. Polling panics if the runtime has shut down before the deadline.
///
/// # Cancel safety
///
/// Dropping it drops `future`, and the timer is gone at once.
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        entry: Entry::after(Handle::current(), duration),
        future: future.into_future(),
    }
}

/// Gives `future` until `deadline`.
///
/// The future is polled first and the time looked at only if it is not ready: a future that is ready
/// at once completes even if the deadline has passed.
///
/// # Examples
///
/// ```
/// use runtime::time::{Duration, Instant, timeout_at};
///
/// runtime::block_on(async {
///     let deadline = Instant::now() + Duration::from_secs(5);
///     // Both together have 5 s.
///     let first = timeout_at(deadline, async { 1 }).await?;
///     let second = timeout_at(deadline, async { 2 }).await?;
///     assert_eq!(first + second, 3);
///     Ok::<(), runtime::time::error::Elapsed>(())
/// })?;
/// # Ok::<(), runtime::time::error::Elapsed>(())
/// ```
///
/// # Errors
///
/// The result is [`Elapsed`] if the deadline came first.
///
/// # Panics
///
/// Panics outside a runtime. Polling panics if the runtime has shut down before the deadline.
///
/// # Cancel safety
///
/// Dropping it drops `future`, and the timer is gone at once.
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        entry: Entry::new(Handle::current(), Some(deadline.into_std())),
        future: future.into_future(),
    }
}

pin_project! {
    /// A future with a limit in time; made by [`timeout`](fn@crate::time::timeout) and [`timeout_at`].
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::time::{Duration, sleep, timeout};
    ///
    /// runtime::block_on(async {
    ///     let mut limited = timeout(Duration::from_millis(1), sleep(Duration::from_millis(5)));
    ///     assert!((&mut limited).await.is_err());
    ///     // The future is still there.
    ///     limited.into_inner().await;
    /// });
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Timeout<F> {
        // The future that is limited.
        #[pin]
        future: F,
        // The limit.
        entry: Entry,
    }
}

impl<F> Timeout<F> {
    /// Returns a reference to the future.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// Returns a mutable reference to the future.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Gives the future back, without the limit.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let had_budget = executor::budget::has_remaining();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        // A future that spends the whole budget in each poll must not escape its limit.
        let is_spent_by_future = had_budget && !executor::budget::has_remaining();
        ready!(poll_limit(this.entry, is_spent_by_future, cx));
        Poll::Ready(Err(Elapsed::new()))
    }
}

/// The part that does not depend on the type of the future.
fn poll_limit(entry: &mut Entry, is_uncharged: bool, cx: &mut Context<'_>) -> Poll<()> {
    let outcome = if is_uncharged {
        entry.poll_elapsed_uncharged(cx)
    } else {
        entry.poll_elapsed(cx)
    };
    outcome.map(require_running)
}
