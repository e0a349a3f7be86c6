//! The cooperative budget: how often a task may find its operations ready before it must let others run.
//!
//! A future that awaits sources which are always ready (a busy socket, a full channel) would never return to the
//! worker. So every poll of a task starts with [`LIMIT`] units; our own leaf futures (I/O, timers, join handles) take
//! one with [`spend`] whenever they are about to return `Ready`. Once nothing is left, `spend` wakes the task and
//! answers `Pending`: the leaf reports `Pending` although it is ready, the task returns and queues behind the others.
//!
//! What always holds: outside of a task there is no limit; a leaf asks only *after* it has found itself ready, so that
//! nothing needs to be given back; entering a poll saves what the thread had before, and leaving it, also by a panic,
//! restores it.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::task::{Context, Poll};

use crate::sync::thread_local;
pub use crate::task::{Unconstrained, unconstrained};

/// Units for one poll of a task. The same number as Tokio's, so that programs behave alike.
const LIMIT: u8 = 128;

/// Means "no limit" in [`REMAINING`].
const UNLIMITED: u8 = u8::MAX;

thread_local! {
    /// Units left in the poll that this thread is doing, or [`UNLIMITED`]. Has no destructor, so it can always be read.
    static REMAINING: Cell<u8> = const { Cell::new(UNLIMITED) };
}

/// Takes one unit from the budget of the running task.
///
/// To be called by a leaf future that is about to return `Ready`. `Ready(())` means: go on. `Pending` means that the
/// budget is used up; the task has been woken already, and the leaf must return `Pending` without having taken its
/// result. Outside of a task, and inside of [`unconstrained`], the answer is always `Ready`.
///
/// # Examples
///
/// ```
/// use std::task::{Context, Poll, Waker};
///
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(executor::budget::spend(&mut cx), Poll::Ready(())); // no task here, so no limit
/// ```
#[inline]
pub fn spend(cx: &mut Context<'_>) -> Poll<()> {
    match REMAINING.get() {
        UNLIMITED => Poll::Ready(()),
        0 => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        left => {
            REMAINING.set(left - 1);
            Poll::Ready(())
        }
    }
}

/// Tells whether the running task may still spend; always true outside of a task.
#[inline]
pub fn has_remaining() -> bool {
    REMAINING.get() != 0
}

/// Takes one unit and lets the other tasks run if none is left.
///
/// For long loops whose steps never wait: call it once a step.
///
/// # Cancel safety
///
/// Nothing is lost if the future is dropped.
pub async fn consume() {
    std::future::poll_fn(spend).await;
}

/// Runs `poll` with a fresh budget and restores what the thread had before: the frame of each poll of a task.
#[inline]
pub(crate) fn with<R>(poll: impl FnOnce() -> R) -> R {
    let _restore = Restore::replace(LIMIT);
    poll()
}

/// Runs `work` without a limit, for code that blocks its thread inside of a poll (`block_in_place`).
#[inline]
pub(crate) fn without<R>(work: impl FnOnce() -> R) -> R {
    let _restore = Restore::replace(UNLIMITED);
    work()
}

/// Puts a saved value back, also when a poll panics.
struct Restore(u8);

impl Restore {
    fn replace(units: u8) -> Restore {
        Restore(REMAINING.replace(units))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        REMAINING.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    /// Counts wakes.
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        (count.clone(), Waker::from(count))
    }

    #[test]
    fn outside_of_a_task_there_is_no_limit() {
        let (count, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..10_000 {
            assert!(spend(&mut cx).is_ready());
        }
        assert!(has_remaining());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_poll_has_its_limit_and_wakes_the_task_once_it_is_used_up() {
        let (count, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..2 {
            with(|| {
                for _ in 0..LIMIT {
                    assert!(has_remaining());
                    assert!(spend(&mut cx).is_ready());
                }
                assert!(!has_remaining());
                assert!(spend(&mut cx).is_pending());
            });
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn nested_frames_and_panics_restore() {
        let (_, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        with(|| {
            assert!(spend(&mut cx).is_ready());
            without(|| (0..1000).for_each(|_| assert!(spend(&mut cx).is_ready())));
            let thrown = std::panic::catch_unwind(|| with(|| panic!("boom")));
            assert!(thrown.is_err());
            assert_eq!(REMAINING.get(), LIMIT - 1);
        });
        assert_eq!(REMAINING.get(), UNLIMITED);
    }

    #[test]
    fn unconstrained_futures_neither_spend_nor_wait() {
        let (_, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        with(|| {
            let mut many = pin!(unconstrained(async {
                for _ in 0..1000 {
                    consume().await;
                }
            }));
            assert!(many.as_mut().poll(&mut cx).is_ready());
            assert_eq!(REMAINING.get(), LIMIT);
        });
    }
}
