//! Tasks, in numbers.

use super::Histogram;

/// How many tasks there were and how they ended, how long polls took and tasks waited; see [`RuntimeMetrics::tasks`](super::RuntimeMetrics::tasks).
///
/// Tasks of a [`LocalSet`](crate::task::LocalSet) and jobs of [`spawn_blocking`](crate::task::spawn_blocking) are not
/// in it.
///
/// # Examples
///
/// ```
/// # runtime::block_on(async {
/// let handle = runtime::Handle::current();
/// let task = runtime::spawn(std::future::pending::<()>());
/// task.abort();
/// assert!(task.await.is_err());
/// let metrics = handle.metrics();
/// let tasks = metrics.tasks();
/// assert_eq!((tasks.spawned(), tasks.aborted(), tasks.panicked()), (1, 1, 0));
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct TaskMetrics {
    /// See [`live`](TaskMetrics::live).
    pub(super) live: usize,
    /// See [`spawned`](TaskMetrics::spawned).
    pub(super) spawned: u64,
    /// See [`finished`](TaskMetrics::finished).
    pub(super) finished: u64,
    /// See [`panicked`](TaskMetrics::panicked).
    pub(super) panicked: u64,
    /// See [`aborted`](TaskMetrics::aborted).
    pub(super) aborted: u64,
    /// See [`sample_interval`](TaskMetrics::sample_interval).
    pub(super) sample_interval: u32,
    /// See [`poll_time`](TaskMetrics::poll_time).
    pub(super) poll_time: Histogram,
    /// See [`schedule_latency`](TaskMetrics::schedule_latency).
    pub(super) schedule_latency: Histogram,
}

impl TaskMetrics {
    /// Returns how many tasks had not ended.
    ///
    /// *Growing for ever*: something spawns and never ends, often a connection without a timeout.
    /// [`Handle::tasks`](crate::Handle::tasks) lists them with the place where each was spawned.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Returns how many tasks were spawned.
    pub fn spawned(&self) -> u64 {
        self.spawned
    }

    /// Returns how many tasks had ended, in whatever way.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// Returns how many tasks ended by a panic.
    ///
    /// *Above zero*: there is a bug. The panic was printed when it happened, and is in the result of the task's join
    /// handle.
    pub fn panicked(&self) -> u64 {
        self.panicked
    }

    /// Returns how many tasks ended without an output because they were aborted, or because the runtime shut down.
    pub fn aborted(&self) -> u64 {
        self.aborted
    }

    /// Returns of how many polls one is timed, for the two histograms below. A prime number, so that it does not beat
    /// with a pattern of the program's own.
    pub fn sample_interval(&self) -> u32 {
        self.sample_interval
    }

    /// Returns how long polls took; one in [`sample_interval`](TaskMetrics::sample_interval) is in it.
    ///
    /// *High*: tasks compute for long between two `.await`s. What waits behind them waits as long. Above 100 µs or so,
    /// call [`yield_now`](crate::task::yield_now) now and then, or move the work to
    /// [`spawn_blocking`](crate::task::spawn_blocking).
    pub fn poll_time(&self) -> &Histogram {
        &self.poll_time
    }

    /// Returns how long tasks waited from being scheduled to being polled, of a sample.
    ///
    /// *High*: the best measure of an overloaded runtime. Either polls are long (see
    /// [`poll_time`](TaskMetrics::poll_time)), or there is more to do than the workers can.
    pub fn schedule_latency(&self) -> &Histogram {
        &self.schedule_latency
    }
}
