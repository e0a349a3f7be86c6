//! A future that is polled outside of the cooperative budget. Here and not beside the budget, because reaching a
//! pinned field takes an unsafe line.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::budget;

/// Lets `future` run without a limit.
///
/// The budget of the task is neither checked nor spent while `future` is polled. A task that does nothing else can keep
/// its worker to itself.
///
/// # Cancel safety
///
/// As that of `future`.
pub fn unconstrained<F>(future: F) -> Unconstrained<F> {
    Unconstrained { future }
}

/// A future that is not subject to the budget; made by [`unconstrained`].
#[must_use = "futures do nothing unless polled"]
pub struct Unconstrained<F> {
    /// The future that runs without a limit; pinned whenever the whole is.
    future: F,
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the field is pinned whenever the whole is: nothing moves out of it, there is no `Drop` impl, and
        // `Unpin` is derived from `F` alone.
        let future = unsafe { self.map_unchecked_mut(|this| &mut this.future) };
        budget::without(|| future.poll(cx))
    }
}

impl<F> fmt::Debug for Unconstrained<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unconstrained").finish_non_exhaustive()
    }
}
