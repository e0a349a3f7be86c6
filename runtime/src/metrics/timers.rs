//! Timers, in numbers.

use super::Histogram;
use std::time::Duration;

/// How many timers there were, and how late they fired; see [`RuntimeMetrics::timers`](super::RuntimeMetrics::timers).
///
/// Every `sleep`, `timeout` and `interval` that had to wait is a timer; one that is set anew is another. A timeout
/// whose future is ready at the first poll is none. At every moment registered = fired + cancelled + pending, until the
/// runtime shuts down, which takes out what is pending.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// # runtime::block_on(async {
/// runtime::time::sleep(Duration::from_millis(1)).await;
/// let metrics = runtime::Handle::current().metrics();
/// assert_eq!(metrics.timers().fired(), 1);
/// assert!(metrics.timers().lateness().count() == 1);
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct TimerMetrics {
    /// All but the histogram.
    pub(super) counts: timer::Metrics,
    /// See [`lateness`](TimerMetrics::lateness).
    pub(super) lateness: Histogram,
}

impl TimerMetrics {
    /// Returns how many timers were registered, in all.
    pub fn registered(&self) -> u64 {
        self.counts.registered
    }

    /// Returns how many of them have fired.
    pub fn fired(&self) -> u64 {
        self.counts.fired
    }

    /// Returns how many of them were taken back: the future was dropped, or set to another time.
    ///
    /// *High beside those that fired*: that is usual, most timeouts never come.
    pub fn cancelled(&self) -> u64 {
        self.counts.cancelled
    }

    /// Returns how many were waiting.
    ///
    /// *Growing for ever*: so do the tasks that wait, see [`TaskMetrics::live`](super::TaskMetrics::live).
    pub fn pending(&self) -> usize {
        self.counts.pending
    }

    /// Returns how long after their deadlines timers fired, exact to 16 µs either way. That a task then waits for a
    /// thread is told by [`TaskMetrics::schedule_latency`](super::TaskMetrics::schedule_latency).
    ///
    /// *High*: the thread that was to fire them was inside a poll. Above a few ms: all of them were, and the machine
    /// was short of CPU time too. With thousands of timers a second, up to 0.5 ms is by intent: one wake-up serves
    /// many.
    pub fn lateness(&self) -> &Histogram {
        &self.lateness
    }

    /// Returns the greatest lateness there was, `Duration::ZERO` if there was none.
    pub fn max_lateness(&self) -> Duration {
        self.counts.lateness_max
    }
}
