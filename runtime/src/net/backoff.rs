//! A pause after `accept` has failed for lack of resources.
//!
//! When no descriptor is left, the connection stays in the listener's queue and the listener stays readable: a server that
//! logs the error and accepts again would spin, at the very moment when the machine is short of everything. So the failed
//! `accept` starts a pause, and the next one waits for its end: 10 ms, or until one of our sockets is closed, which
//! makes room for another.
//!
//! 1. An `accept` that waits looks whether a socket has been closed since its pause began, and enters the list of those
//!    who wait, under one lock.
//! 2. A socket that has been closed takes the list under that lock, and wakes all.
//!
//! *The race feared*: the socket is closed just before 1, finds nobody, and the `accept` waits. It does so for 10 ms, as if none had
//! been closed.
//!
//! Before the first such failure all of this costs one relaxed load an `accept`, and one a socket that is closed.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;

/// How long the next `accept` waits: a guess. Long enough to cost nothing, short enough not to be felt by a human.
const PAUSE: Duration = Duration::from_millis(10);

/// Those who wait for the end of a pause. Descriptors are the process's, and so is this.
static WAITING: Mutex<Waiting> = Mutex::new(Waiting {
    closings: 0,
    wakers: Vec::new(),
});
/// Whether anybody waits.
// Relaxed everywhere: who misses it leaves others waiting for 10 ms.
static ANYBODY_WAITS: AtomicBool = AtomicBool::new(false);

/// See [`WAITING`].
struct Waiting {
    /// How many sockets have been closed while somebody waited.
    closings: u64,
    /// How to wake those who wait. One whose future was dropped is among them until the next closing.
    wakers: Vec<Waker>,
}

/// The last part of a socket, dropped when its descriptor has been closed: ends the pauses.
#[derive(Debug)]
pub(super) struct Closing;

impl Drop for Closing {
    #[inline]
    fn drop(&mut self) {
        if ANYBODY_WAITS.load(Relaxed) {
            end_pauses();
        }
    }
}

#[cold]
fn end_pauses() {
    let wakers = {
        let mut waiting = WAITING.lock();
        waiting.closings += 1;
        ANYBODY_WAITS.store(false, Relaxed);
        mem::take(&mut waiting.wakers)
    };
    for waker in wakers {
        // Who closes a socket has nothing to do with a waker that panics; the panic's hook has reported it.
        if let Err(thrown) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            // To drop it would be user code once more.
            mem::forget(thrown);
        }
    }
}

/// A pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pause {
    /// Its end.
    until: Instant,
    /// How many sockets had been closed when it began.
    closings: u64,
}

/// A pause, if one is due.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Whether there may be a `pause`.
    // Relaxed everywhere: only a hint that spares the lock. Who misses it makes one attempt too many.
    due: AtomicBool,
    /// The pause.
    pause: Mutex<Option<Pause>>,
    /// The wait of `poll_accept`, which has one waiter: the last caller.
    polled: Mutex<Option<Wait>>,
}

/// The wait for the end of a pause.
#[derive(Debug)]
struct Wait {
    /// The pause.
    pause: Pause,
    /// Its end by time.
    entry: timer::Entry,
}

impl Backoff {
    /// Starts a pause if `result` says that resources have run out.
    pub(super) fn note<R>(&self, result: &io::Result<R>) {
        if result.as_ref().is_err_and(is_exhausted)
            && let Some(timers) = timer::Handle::try_current()
        {
            *self.pause.lock() = Some(Pause {
                until: timers.clock().now() + PAUSE,
                closings: WAITING.lock().closings,
            });
            self.due.store(true, Relaxed);
        }
    }

    /// Waits for the end of the pause.
    pub(super) async fn wait(&self) {
        if self.due.load(Relaxed) {
            let mut wait = None;
            poll_fn(|cx| self.poll_end(cx, &mut wait)).await;
        }
    }

    /// Waits for the end of the pause; wakes the last caller.
    pub(super) fn poll_wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.due.load(Relaxed) {
            return Poll::Ready(());
        }
        self.poll_end(cx, &mut self.polled.lock())
    }

    /// Waits with `wait`, which is made when needed and gone at the end.
    fn poll_end(&self, cx: &mut Context<'_>, wait: &mut Option<Wait>) -> Poll<()> {
        if wait.is_none() {
            let pause = *self.pause.lock();
            let (Some(pause), Some(timers)) = (pause, timer::Handle::try_current()) else {
                return Poll::Ready(());
            };
            let entry = timer::Entry::new(timers, Some(pause.until));
            *wait = Some(Wait { pause, entry });
        }
        let Wait { pause, entry } = wait.as_mut().expect("it was made above");
        // A runtime that shuts down ends the pause too: what comes after it returns the error.
        if !is_over_by_closing(*pause, cx.waker()) && entry.poll_elapsed(cx).is_pending() {
            return Poll::Pending;
        }
        let ended = *pause;
        *wait = None;
        drop(leave(cx.waker()));
        let mut pause = self.pause.lock();
        // Another accept may have failed meanwhile: its pause is not ours to end.
        if *pause == Some(ended) {
            *pause = None;
            self.due.store(false, Relaxed);
        }
        Poll::Ready(())
    }
}

/// Whether a socket has been closed since the pause began; otherwise, `waker` is woken when one is.
fn is_over_by_closing(pause: Pause, waker: &Waker) -> bool {
    // A clone is user code, so it is made outside of the lock.
    let ours = waker.clone();
    let mut waiting = WAITING.lock();
    if waiting.closings != pause.closings {
        return true;
    }
    if !waiting.wakers.iter().any(|other| other.will_wake(&ours)) {
        waiting.wakers.push(ours);
    }
    ANYBODY_WAITS.store(true, Relaxed);
    false
}

/// Takes a waker off the list; to be dropped, which is user code, outside of the lock.
fn leave(waker: &Waker) -> Option<Waker> {
    let mut waiting = WAITING.lock();
    let at = waiting
        .wakers
        .iter()
        .position(|other| other.will_wake(waker))?;
    Some(waiting.wakers.swap_remove(at))
}

/// Whether `error` of `accept` means that the process or the machine has run out of something.
fn is_exhausted(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|code| {
        matches!(
            code,
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM
        )
    })
}

/// Whether `error` of `accept` concerns only the connection that was to be accepted, which is gone.
pub(super) fn is_aborted(error: &io::Error) -> bool {
    Errno::from_io_error(error)
        .is_some_and(|code| matches!(code, Errno::CONNABORTED | Errno::PROTO | Errno::INTR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart() {
        for (code, exhausted, aborted) in [
            (Errno::MFILE, true, false),
            (Errno::NFILE, true, false),
            (Errno::NOMEM, true, false),
            (Errno::CONNABORTED, false, true),
            (Errno::BADF, false, false),
            (Errno::AGAIN, false, false),
        ] {
            let error = io::Error::from(code);
            assert_eq!(is_exhausted(&error), exhausted, "{error}");
            assert_eq!(is_aborted(&error), aborted, "{error}");
        }
        assert!(!is_exhausted(&io::Error::other("no code at all")));
    }

    #[test]
    fn without_a_failure_nothing_waits() {
        let backoff = Backoff::default();
        backoff.note(&Ok(()));
        backoff.note::<()>(&Err(Errno::AGAIN.into()));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(backoff.poll_wait(&mut cx).is_ready());
    }
}
