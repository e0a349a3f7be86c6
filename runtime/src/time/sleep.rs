//! Waiting for a point in time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use timer::{Entry, Handle, Shutdown};

use super::Instant;

/// Waits until `duration` from now.
///
/// The deadline is set now, not when the future is polled first. A `duration` of zero is over at the
/// first poll; one that an [`Instant`] cannot hold, as `Duration::MAX`, never ends.
///
/// # Examples
///
/// ```
/// use runtime::time::{Duration, sleep};
///
/// runtime::block_on(async {
///     sleep(Duration::from_millis(3)).await;
///     println!("3 ms have passed");
/// });
/// ```
///
/// # Panics
///
/// Panics outside a runtime; [`Sleep`] says how polling may panic.
///
/// # Cancel safety
///
/// Nothing is lost if the future is dropped, and its timer is gone at once.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        entry: Entry::after(Handle::current(), duration),
    }
}

/// Waits until `deadline`.
///
/// A deadline in the past is over at the first poll.
///
/// # Examples
///
/// ```
/// use runtime::time::{Duration, Instant, sleep_until};
///
/// runtime::block_on(async {
///     let deadline = Instant::now() + Duration::from_millis(3);
///     sleep_until(deadline).await;
///     assert!(Instant::now() >= deadline);
/// });
/// ```
///
/// # Panics
///
/// Panics outside a runtime; [`Sleep`] says how polling may panic.
///
/// # Cancel safety
///
/// Nothing is lost if the future is dropped, and its timer is gone at once.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        entry: Entry::new(Handle::current(), Some(deadline.into_std())),
    }
}

/// A future that waits for a point in time; made by [`sleep`](fn@crate::time::sleep) and [`sleep_until`].
///
/// It registers nothing before its first poll. It may be polled again after it was ready, and is
/// ready then too, and it may be [`reset`](Sleep::reset) as often as one likes.
///
/// It is [`Unpin`]; code that pins it, as code for Tokio must, works the same.
///
/// # Examples
///
/// One timer for a loop that ends after a while without news:
///
/// ```
/// use runtime::sync::mpsc;
/// use runtime::time::{Duration, Instant, sleep};
///
/// # runtime::block_on(async {
/// let (sender, mut receiver) = mpsc::channel(8);
/// sender.send("news").await?;
/// let quiet = Duration::from_millis(5);
/// let idle = sleep(quiet);
/// runtime::pin!(idle);
/// loop {
///     runtime::select! {
///         Some(news) = receiver.recv() => {
///             println!("{news}");
///             idle.as_mut().reset(Instant::now() + quiet);
///         }
///         () = &mut idle => break,
///     }
/// }
/// # Ok::<(), mpsc::error::SendError<&str>>(())
/// # })?;
/// # Ok::<(), mpsc::error::SendError<&str>>(())
/// ```
///
/// # Panics
///
/// Polling panics if the runtime has shut down before the deadline.
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Sleep {
    /// The deadline and where it is registered.
    entry: Entry,
}

impl Sleep {
    /// Returns the deadline; of a sleep that never ends, an instant 30 years from now.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::time::{Duration, Instant, sleep_until};
    ///
    /// runtime::block_on(async {
    ///     let deadline = Instant::now() + Duration::from_secs(1);
    ///     assert_eq!(sleep_until(deadline).deadline(), deadline);
    /// });
    /// ```
    pub fn deadline(&self) -> Instant {
        self.entry
            .deadline()
            .map_or_else(Instant::far_future, Instant::from_std)
    }

    /// Returns whether the deadline has passed.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::time::{Duration, sleep};
    ///
    /// runtime::block_on(async {
    ///     let mut sleep = sleep(Duration::from_millis(1));
    ///     (&mut sleep).await;
    ///     assert!(sleep.is_elapsed());
    /// });
    /// ```
    pub fn is_elapsed(&self) -> bool {
        self.entry.is_elapsed()
    }

    /// Waits for another deadline from now on, whether or not the earlier one has passed.
    ///
    /// A task that waits for this sleep is woken at the new deadline; it need not poll in between.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::time::{Duration, Instant, sleep};
    ///
    /// runtime::block_on(async {
    ///     let sleep = sleep(Duration::from_secs(3600));
    ///     runtime::pin!(sleep);
    ///     sleep.as_mut().reset(Instant::now() + Duration::from_millis(1));
    ///     sleep.await;
    /// });
    /// ```
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.get_mut().entry.reset(Some(deadline.into_std()));
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let outcome = self.get_mut().entry.poll_elapsed(cx);
        outcome.map(require_running)
    }
}

/// Goes on unless the runtime has shut down: a sleep that ended early would break what the program
/// relies on, and one that never ends would hang it.
pub(super) fn require_running(outcome: Result<(), Shutdown>) {
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
