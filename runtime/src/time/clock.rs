//! The clock that tests can pause, advance and resume.
//!
//! The clock itself is the `timer` crate's; here are the functions that reach the one of the current
//! runtime and say why they cannot.

use std::time::Duration;

use crate::task::yield_now;

/// Stops the clock of this runtime.
///
/// [`Instant::now`](super::Instant::now) then stands still, and deadlines come only by
/// [`advance`] or by themselves, as told next. Only the clock of this module stops: I/O and
/// `std::time` go on.
///
/// # Auto-advance
///
/// While the clock stands still, no task can run, and no blocking job runs, the clock jumps to the
/// next deadline. So a test that sleeps for an hour takes no time, and timers fire in order. A test
/// that waits for real I/O beside a timeout may see the timeout first.
///
/// # Examples
///
/// ```
/// use runtime::runtime::Builder;
/// use runtime::time::{self, Duration, Instant};
///
/// let runtime = Builder::new_current_thread().enable_all().build()?;
/// runtime.block_on(async {
///     time::pause();
///     let start = Instant::now();
///     time::sleep(Duration::from_secs(3600)).await;
///     assert!(start.elapsed() >= Duration::from_secs(3600));
///     time::resume();
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// Panics outside a runtime, if the clock is paused already, and in a multi-thread runtime.
#[track_caller]
pub fn pause() {
    let timers = require_pausable();
    assert!(timers.clock().pause(), "the clock is paused already");
}

/// Lets a paused clock run on from where it stands.
///
/// # Examples
///
/// See [`pause`].
///
/// # Panics
///
/// Panics outside a runtime, if the clock is not paused, and in a multi-thread runtime.
#[track_caller]
pub fn resume() {
    let timers = require_pausable();
    assert!(timers.clock().resume(), "{NOT_PAUSED}");
}

/// Moves a paused clock on by `duration`, and lets other tasks run.
///
/// All timers that are due by then fire at once, in the order of their deadlines; then this task
/// yields, so that those who waited for them run. There is no promise that everything that follows
/// from it has been done when this returns, and timers that are set meanwhile count from the new
/// time; to let time pass as if it were real, [`sleep`](fn@crate::time::sleep) instead and have the clock
/// advance by itself (see [`pause`]).
///
/// # Examples
///
/// ```
/// use runtime::runtime::Builder;
/// use runtime::time::{self, Duration, Instant};
///
/// let runtime = Builder::new_current_thread().start_paused(true).build()?;
/// runtime.block_on(async {
///     let start = Instant::now();
///     let sleeper = runtime::spawn(time::sleep(Duration::from_secs(10)));
///     time::advance(Duration::from_secs(11)).await;
///     sleeper.await.expect("it does not panic");
///     assert_eq!(start.elapsed(), Duration::from_secs(11));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// Panics outside a runtime, if the clock is not paused, in a multi-thread runtime, and if an
/// [`Instant`](super::Instant) cannot hold the new time.
///
/// # Cancel safety
///
/// The clock is moved by the first poll. Nothing is lost if the future is dropped.
pub async fn advance(duration: Duration) {
    let timers = require_pausable();
    assert!(timers.clock().advance(duration), "{NOT_PAUSED}");
    let now = timers.clock().now();
    let mut fired = 0;
    for shard in 0..timers.shards() {
        // One call fires a bounded number of timers.
        while timers.is_due(shard, now) {
            fired += timers.fire(shard, now, &mut |waker| waker.wake());
        }
    }
    // Between two polls of a root future, one task may be all that runs.
    for _ in 0..=fired {
        yield_now().await;
    }
}

const NOT_PAUSED: &str = "the clock is not paused: call `time::pause` first, or start the runtime \
    with `start_paused`";

/// Returns the timers of this runtime, whose clock may be paused.
#[track_caller]
fn require_pausable() -> timer::Handle {
    let timers = timer::Handle::current();
    assert!(
        timers.clock().may_pause(),
        "the clock can be paused in a current-thread runtime only: build the runtime with \
         `Builder::new_current_thread`, or use `#[runtime::test]`, whose default that is"
    );
    timers
}
