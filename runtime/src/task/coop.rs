//! The cooperative budget: how tasks that always find work make room for others.
//!
//! Each poll of a task may complete 128 operations on the runtime's own resources (I/O, timers, join handles). The next one
//! reports "not ready" and the task goes to the end of the queue. The types in [`sync`](crate::sync) do not take part:
//! a task that only ever receives from a channel that is never empty should await [`cooperative`] futures of them, or call
//! [`consume_budget`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use executor::budget;
use pin_project_lite::pin_project;

pub use executor::budget::{
    Unconstrained, consume as consume_budget, has_remaining as has_budget_remaining, unconstrained,
};

/// Makes a future take part that does not by itself: it spends one unit of its task's budget when it completes, and is not
/// polled while none is left.
///
/// # Examples
///
/// ```
/// use runtime::sync::mpsc;
/// use runtime::task::coop::cooperative;
///
/// # runtime::block_on(async {
/// let (sender, mut receiver) = mpsc::channel(1000);
/// for number in 0..1000 {
///     sender.try_send(number).expect("there is room");
/// }
/// drop(sender);
/// let sum = runtime::spawn(async move {
///     let mut sum = 0;
///     // Other tasks get their turns in between.
///     while let Some(number) = cooperative(receiver.recv()).await {
///         sum += number;
///     }
///     sum
/// });
/// assert_eq!(sum.await.expect("no panic"), 499_500);
/// # });
/// ```
///
/// # Cancel safety
///
/// As that of `future`.
pub fn cooperative<F: Future>(future: F) -> Coop<F> {
    Coop { future }
}

pin_project! {
    /// A future that spends its task's budget; made by [`cooperative`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Coop<F> {
        // The future itself.
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Coop<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !budget::has_remaining() {
            // Wakes the task.
            ready!(budget::spend(cx));
        }
        let output = ready!(self.project().future.poll(cx));
        // The future itself may have spent the last unit; its output is out already.
        if budget::has_remaining() {
            ready!(budget::spend(cx));
        }
        Poll::Ready(output)
    }
}
