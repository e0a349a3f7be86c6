//! Lets other tasks run.

use std::future::poll_fn;
use std::task::Poll;

/// Goes to the end of the queue of this worker, once.
///
/// Tasks that are ready run before this one continues, but there is no promise about which, or how many. Where tasks compute for 5 µs or more between two
/// yields, the worker looks for I/O and timers first, if the last look is 150 µs old, and what these wake runs before the task continues, too; else it looks every 61 polls.
///
/// # Examples
///
/// ```
/// runtime::block_on(async {
///     let task = runtime::spawn(async { println!("runs in between") });
///     runtime::task::yield_now().await;
///     task.await.expect("no panic");
/// });
/// ```
///
/// # Cancel safety
///
/// Nothing is lost if the future is dropped.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
