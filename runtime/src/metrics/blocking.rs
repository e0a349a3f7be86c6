//! The pool for blocking work, in numbers.

/// What the pool behind [`spawn_blocking`](crate::task::spawn_blocking) did; see [`RuntimeMetrics::blocking`](super::RuntimeMetrics::blocking).
///
/// # Examples
///
/// ```
/// # runtime::block_on(async {
/// runtime::task::spawn_blocking(|| std::fs::read_to_string("/etc/hostname")).await.expect("no panic").ok();
/// let metrics = runtime::Handle::current().metrics();
/// assert_eq!(metrics.blocking().jobs(), 1);
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct BlockingMetrics(pub(super) executor::BlockingMetrics);

impl BlockingMetrics {
    /// Returns how many threads there were, those that wait for a job included.
    ///
    /// *At [`max_threads`](BlockingMetrics::max_threads)*: further jobs wait. If they compute, that is for the best; if
    /// they wait for something, allow more with [`max_blocking_threads`](crate::Builder::max_blocking_threads).
    pub fn threads(&self) -> usize {
        self.0.threads
    }

    /// Returns how many threads there may be at most.
    pub fn max_threads(&self) -> usize {
        self.0.max_threads
    }

    /// Returns how many threads waited for a job.
    pub fn idle_threads(&self) -> usize {
        self.0.idle
    }

    /// Returns how many jobs waited for a thread.
    ///
    /// *High*: see [`threads`](BlockingMetrics::threads).
    pub fn queue_depth(&self) -> usize {
        self.0.queued
    }

    /// Returns how many threads have begun to run, in all.
    ///
    /// *Growing fast*: threads end for want of work, and are needed again soon after. A longer
    /// [`thread_keep_alive`](crate::Builder::thread_keep_alive) helps.
    pub fn threads_started(&self) -> u64 {
        self.0.threads_started
    }

    /// Returns how many threads the system refused to start.
    ///
    /// *Above zero*: a limit of processes or of memory has been reached. The jobs wait for the threads that there are.
    pub fn threads_refused(&self) -> u64 {
        self.0.threads_refused
    }

    /// Returns how many jobs were given to the pool, in all.
    pub fn jobs(&self) -> u64 {
        self.0.jobs
    }

    /// Returns how many jobs were over: run, or cancelled before they began. One is counted shortly after its handle
    /// tells that it is ready.
    pub fn jobs_finished(&self) -> u64 {
        self.0.jobs_finished
    }
}
