//! A pause after `accept` has failed for lack of resources.
//!
//! When no descriptor is left, the connection stays in the listener's queue and the listener stays readable: a server that
//! logs the error and accepts again would spin, at the very moment when the machine is short of everything. So the failed
//! `accept` starts a pause, and the next one waits for its end.
//!
//! Before the first such failure all of this costs one relaxed load.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;

/// How long the next `accept` waits: a guess. Long enough to cost nothing, short enough not to be felt by a human.
const PAUSE: Duration = Duration::from_millis(10);

/// A pause, if one is due.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Whether `until` may be set.
    // Relaxed everywhere: only a hint that spares the lock. Who misses it makes one attempt too many.
    due: AtomicBool,
    /// The end of the pause.
    until: Mutex<Option<Instant>>,
    /// The wait of `poll_accept`, which has one waiter: the last caller.
    polled: Mutex<Option<timer::Entry>>,
}

impl Backoff {
    /// Starts a pause if `result` says that resources have run out.
    pub(super) fn note<R>(&self, result: &io::Result<R>) {
        if result.as_ref().is_err_and(is_exhausted)
            && let Some(timers) = timer::Handle::try_current()
        {
            *self.until.lock() = Some(timers.clock().now() + PAUSE);
            self.due.store(true, Relaxed);
        }
    }

    /// Waits for the end of the pause.
    pub(super) async fn wait(&self) {
        if self.due.load(Relaxed) {
            let mut entry = None;
            poll_fn(|cx| self.poll_entry(cx, &mut entry)).await;
        }
    }

    /// Waits for the end of the pause; wakes the last caller.
    pub(super) fn poll_wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.due.load(Relaxed) {
            return Poll::Ready(());
        }
        self.poll_entry(cx, &mut self.polled.lock())
    }

    /// Waits with `entry`, which is made when needed and gone at the end.
    fn poll_entry(&self, cx: &mut Context<'_>, entry: &mut Option<timer::Entry>) -> Poll<()> {
        if entry.is_none() {
            let until = *self.until.lock();
            let (Some(_), Some(timers)) = (until, timer::Handle::try_current()) else {
                return Poll::Ready(());
            };
            *entry = Some(timer::Entry::new(timers, until));
        }
        let waiting = entry.as_mut().expect("it was made above");
        // A runtime that shuts down ends the pause too: what comes after it returns the error.
        let _elapsed = ready!(waiting.poll_elapsed(cx));
        let ended = waiting.deadline();
        *entry = None;
        let mut until = self.until.lock();
        // Another accept may have failed meanwhile: its pause is not ours to end.
        if *until == ended {
            *until = None;
            self.due.store(false, Relaxed);
        }
        Poll::Ready(())
    }
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
