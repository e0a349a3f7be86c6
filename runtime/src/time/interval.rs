//! Ticking at a fixed rate.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use timer::{Entry, Handle};

use super::Instant;
use super::sleep::require_running;

/// A tick counts as missed if it is taken later than this; the same as Tokio's. Less would make
/// [`MissedTickBehavior::Delay`] drift a little with each tick.
const MISSED_AFTER: Duration = Duration::from_millis(5);

/// Ticks every `period`, for the first time at once.
///
/// The deadlines are fixed: that a tick was taken late, or that work was done between two ticks, does
/// not move the ones that follow, as it would with [`sleep`](fn@crate::time::sleep) in a loop. What happens to
/// ticks that were not taken in time is up to the [`MissedTickBehavior`].
///
/// # Examples
///
/// ```
/// use runtime::time::{Duration, Instant, interval};
///
/// runtime::block_on(async {
///     let start = Instant::now();
///     let mut ticks = interval(Duration::from_millis(2));
///     ticks.tick().await; // at once
///     ticks.tick().await;
///     ticks.tick().await;
///     assert!(start.elapsed() >= Duration::from_millis(4));
/// });
/// ```
///
/// # Panics
///
/// Panics if `period` is zero, and outside a runtime.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks every `period`, for the first time at `start`.
///
/// # Examples
///
/// ```
/// use runtime::time::{Duration, Instant, interval_at};
///
/// runtime::block_on(async {
///     let start = Instant::now() + Duration::from_millis(4);
///     let mut ticks = interval_at(start, Duration::from_millis(2));
///     assert_eq!(ticks.tick().await, start);
///     assert_eq!(ticks.tick().await, start + Duration::from_millis(2));
/// });
/// ```
///
/// # Panics
///
/// Panics if `period` is zero, and outside a runtime.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "the period of an interval must not be zero: its ticks would never end"
    );
    Interval {
        entry: Entry::new(Handle::current(), Some(start.into_std())),
        period,
        missed_tick_behavior: MissedTickBehavior::default(),
    }
}

/// Says what an [`Interval`] does with ticks that were not taken in time.
///
/// A tick is missed if it is taken more than 5 ms late.
///
/// # Examples
///
/// ```
/// use runtime::time::{Duration, MissedTickBehavior, interval};
///
/// runtime::block_on(async {
///     let mut ticks = interval(Duration::from_millis(50));
///     ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
///     ticks.tick().await;
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Missed ticks are made up for, without pause, until the interval is back on schedule.
    ///
    /// ```text
    /// due:   |     1     |     2     |     3     |     4     |     5     |
    /// taken: | work      | work that takes long  | work| work| work      |
    /// ```
    #[default]
    Burst,
    /// The schedule is moved: the next tick comes one period after the late one was taken.
    ///
    /// ```text
    /// due:   |     1     |     2     |     3     |     4     |     5     |
    /// taken: | work      | work that takes long     | work      | work      |
    /// ```
    Delay,
    /// Missed ticks are left out: the next tick is the next on the schedule.
    ///
    /// ```text
    /// due:   |     1     |     2     |     3     |     4     |     5     |
    /// taken: | work      | work that takes long     | work   | work      |
    /// ```
    Skip,
}

impl MissedTickBehavior {
    /// Returns the deadline that follows a tick which was due at `deadline` and taken late, at `now`;
    /// `None` never comes.
    fn next(self, deadline: Instant, now: Instant, period: Duration) -> Option<Instant> {
        match self {
            MissedTickBehavior::Burst => deadline.checked_add(period),
            MissedTickBehavior::Delay => now.checked_add(period),
            MissedTickBehavior::Skip => {
                const NANOS: u128 = 1_000_000_000;
                let past = now.duration_since(deadline).as_nanos() % period.as_nanos();
                let past = Duration::new((past / NANOS) as u64, (past % NANOS) as u32);
                now.checked_add(period - past)
            }
        }
    }
}

/// Ticks at a fixed rate; made by [`interval`](fn@crate::time::interval) and [`interval_at`].
///
/// # Examples
///
/// See [`interval`](fn@crate::time::interval).
///
/// # Panics
///
/// Waiting for a tick panics if the runtime has shut down before it.
#[derive(Debug)]
pub struct Interval {
    /// The next tick.
    entry: Entry,
    /// The time between two ticks; not zero.
    period: Duration,
    /// What to do about missed ticks.
    missed_tick_behavior: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick, and returns when it was due.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::time::{Duration, interval};
    ///
    /// runtime::block_on(async {
    ///     let mut ticks = interval(Duration::from_millis(1));
    ///     for _ in 0..3 {
    ///         ticks.tick().await;
    ///     }
    /// });
    /// ```
    ///
    /// # Cancel safety
    ///
    /// No tick is lost if the future is dropped before it completes.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Waits for the next tick, and returns when it was due.
    ///
    /// If it is pending, the task is woken at the next tick; only the waker of the last call counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use runtime::time::{Duration, interval};
    ///
    /// runtime::block_on(async {
    ///     let mut ticks = interval(Duration::from_millis(1));
    ///     poll_fn(|cx| ticks.poll_tick(cx)).await;
    /// });
    /// ```
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        require_running(ready!(self.entry.poll_elapsed(cx)));
        let due = self.entry.deadline().map(Instant::from_std);
        let due = due.expect("what has elapsed had a deadline");
        let now = Instant::from_std(self.entry.handle().clock().now());
        let next = if now.duration_since(due) > MISSED_AFTER {
            self.missed_tick_behavior.next(due, now, self.period)
        } else {
            due.checked_add(self.period)
        };
        self.set_next(next);
        Poll::Ready(due)
    }

    /// Makes the next tick come one period from now.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::time::{Duration, Instant, interval};
    ///
    /// runtime::block_on(async {
    ///     let mut ticks = interval(Duration::from_millis(2));
    ///     let start = Instant::now();
    ///     ticks.reset();
    ///     ticks.tick().await;
    ///     assert!(start.elapsed() >= Duration::from_millis(2));
    /// });
    /// ```
    pub fn reset(&mut self) {
        self.set_next(Instant::now().checked_add(self.period));
    }

    /// Makes the next tick come at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::time::{Duration, interval};
    ///
    /// runtime::block_on(async {
    ///     let mut ticks = interval(Duration::from_secs(3600));
    ///     ticks.tick().await;
    ///     ticks.reset_immediately();
    ///     ticks.tick().await;
    /// });
    /// ```
    pub fn reset_immediately(&mut self) {
        self.set_next(Some(Instant::now()));
    }

    /// Makes the next tick come after `after`.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::time::{Duration, interval};
    ///
    /// runtime::block_on(async {
    ///     let mut ticks = interval(Duration::from_secs(3600));
    ///     ticks.tick().await;
    ///     ticks.reset_after(Duration::from_millis(1));
    ///     ticks.tick().await;
    /// });
    /// ```
    pub fn reset_after(&mut self, after: Duration) {
        self.set_next(Instant::now().checked_add(after));
    }

    /// Makes the next tick come at `deadline`.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::time::{Duration, Instant, interval};
    ///
    /// runtime::block_on(async {
    ///     let mut ticks = interval(Duration::from_secs(3600));
    ///     let deadline = Instant::now() + Duration::from_millis(1);
    ///     ticks.reset_at(deadline);
    ///     assert_eq!(ticks.tick().await, deadline);
    /// });
    /// ```
    pub fn reset_at(&mut self, deadline: Instant) {
        self.set_next(Some(deadline));
    }

    /// Returns what happens to ticks that are not taken in time.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed_tick_behavior
    }

    /// Sets what happens to ticks that are not taken in time.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed_tick_behavior = behavior;
    }

    /// Returns the time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    fn set_next(&mut self, deadline: Option<Instant>) {
        self.entry.reset(deadline.map(Instant::into_std));
    }
}
