//! What a runtime has done and is doing, in numbers.
//!
//! They are always counted, and there is nothing to switch on: plain counters beside what they count, which cost a poll
//! next to nothing. [`Handle::metrics`] copies them all, in a few µs, into a [`RuntimeMetrics`], which does not
//! change any more. To see how fast something goes, take two and subtract. What grows never goes backwards while the
//! runtime lives.
//!
//! A person reads them by printing them, a monitoring system by [`RuntimeMetrics::prometheus`], a program by the
//! methods here. Each says what to do when its number is high; `docs/metrics.md` has it all on one page.
//!
//! | group | tells of |
//! |---|---|
//! | [`workers`](RuntimeMetrics::workers) | each thread that runs tasks |
//! | [`tasks`](RuntimeMetrics::tasks) | how many there are, how they ended, how long polls take |
//! | [`rescue`](RuntimeMetrics::rescue) | tasks that do not give way |
//! | [`reactor`](RuntimeMetrics::reactor) | I/O |
//! | [`timers`](RuntimeMetrics::timers) | deadlines |
//! | [`blocking`](RuntimeMetrics::blocking) | the pool behind [`spawn_blocking`](crate::task::spawn_blocking) |
//!
//! **Samples.** How long a poll takes, and how long a task waits to be polled, is measured of one poll in
//! [so many](TaskMetrics::sample_interval): reading the clock costs as much as a short poll. So the counts in these two
//! histograms are those of samples.
//!
//! **Tokio** has a type of this name that reads the present at each call; this one is a copy. Code that keeps one and
//! asks again and again must ask the [`Handle`] instead.
//!
//! [`Handle`]: crate::Handle
//! [`Handle::metrics`]: crate::Handle::metrics

mod blocking;
mod histogram;
mod prometheus;
mod reactor;
mod rescue;
mod table;
mod tasks;
mod timers;
mod worker;

pub use self::reactor::ReactorMetrics;
pub use blocking::BlockingMetrics;
pub use histogram::Histogram;
pub use rescue::RescueMetrics;
pub use tasks::TaskMetrics;
pub use timers::TimerMetrics;
pub use worker::{WorkerMetrics, WorkerState};

use std::fmt;
use std::time::Duration;

use table::short;

/// What a runtime had done and was doing when it was asked, by [`Handle::metrics`](crate::Handle::metrics).
///
/// Printed, it is a table for people.
///
/// # Examples
///
/// ```
/// # runtime::block_on(async {
/// let handle = runtime::Handle::current();
/// let before = handle.metrics();
/// for n in 0..10 {
///     runtime::spawn(async move { n * n }).await.expect("no panic");
/// }
/// let after = handle.metrics();
/// assert_eq!(after.tasks().spawned() - before.tasks().spawned(), 10);
/// println!("{after}");
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct RuntimeMetrics {
    /// How many workers it was made with.
    num_workers: usize,
    /// Whether there is no core for a second worker.
    is_crowded: bool,
    /// How many tasks are in the injector.
    injector_depth: usize,
    /// See [`workers`](RuntimeMetrics::workers).
    workers: Box<[WorkerMetrics]>,
    /// See [`tasks`](RuntimeMetrics::tasks).
    tasks: TaskMetrics,
    /// See [`rescue`](RuntimeMetrics::rescue).
    rescue: RescueMetrics,
    /// See [`reactor`](RuntimeMetrics::reactor).
    reactor: ReactorMetrics,
    /// See [`timers`](RuntimeMetrics::timers).
    timers: TimerMetrics,
    /// See [`blocking`](RuntimeMetrics::blocking).
    blocking: BlockingMetrics,
}

impl RuntimeMetrics {
    #[inline]
    pub(crate) fn new(
        executor: executor::Metrics,
        reactor: ::reactor::Metrics,
        mut timer: timer::Metrics,
    ) -> RuntimeMetrics {
        let histogram = |of: executor::HistogramSnapshot| Histogram::new(of.buckets, of.sum);
        RuntimeMetrics {
            num_workers: executor.workers,
            is_crowded: executor.is_crowded,
            injector_depth: executor.injector_depth,
            workers: executor.slots.into_iter().map(WorkerMetrics).collect(),
            tasks: TaskMetrics {
                live: executor.live,
                spawned: executor.spawned,
                finished: executor.finished,
                panicked: executor.panicked,
                aborted: executor.aborted,
                sample_interval: executor.sample_interval,
                poll_time: histogram(executor.poll_time),
                schedule_latency: histogram(executor.schedule_latency),
            },
            rescue: RescueMetrics {
                slow_polls: executor.slow_polls,
                unreported: executor.reports_suppressed,
                rescues: executor.rescues,
                stuck: executor.stuck,
                spares_started: executor.spares_started,
                spares_active: executor.spares_active,
                lane_marks: executor.hog_marks,
                lane_returns: executor.hog_returns,
                lane_polls: executor.lane_polls,
                lane_threads: executor.lane_threads,
                lane_depth: executor.lane_depth,
            },
            reactor: ReactorMetrics(reactor),
            timers: TimerMetrics {
                lateness: Histogram::new(std::mem::take(&mut timer.lateness), timer.lateness_sum),
                counts: timer,
            },
            blocking: BlockingMetrics(executor.blocking),
        }
    }

    /// Returns the number of workers that the runtime was made with.
    pub fn num_workers(&self) -> usize {
        self.num_workers
    }

    /// Returns whether hardly a core is unused and the workers wait for them, so that what sockets and timers wake at the same time is left to one worker.
    ///
    /// Where clients of the program, or a service that it asks, run on the same machine, a second worker would take the core from them: both sides would have
    /// smaller batches and wait longer. This is found out by measuring, on Linux, twenty times a second while there is something to do. It ends within 50 ms when more than two thirds of a core are unused, and if less gets done
    /// than before; after 5 s it is tried anew. What is spawned, and what tasks wake, is shared as ever, and so is what takes longer than 5 ms at a time. While everything sleeps the value is what was found last. Always `false` on a
    /// current-thread runtime, with one worker, where the workers get more than one core and a half, and where the system does not tell.
    ///
    /// *High*: the program shares its cores, with its own clients, with threads of its own, or with strangers.
    pub fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// Returns the number of tasks that had been spawned and had not ended; the same as [`TaskMetrics::live`].
    pub fn num_alive_tasks(&self) -> usize {
        self.tasks.live
    }

    /// Returns the number of tasks in the injector, the queue for tasks that were not woken by a worker. (What the future of a `block_on` has just spawned is in
    /// the queue of its thread, a guest: [`WorkerMetrics::queue_depth`].)
    ///
    /// *High*: the workers do not keep up. If they are busy, there is more to do than they can; if they are stuck, see
    /// [`RescueMetrics`].
    pub fn global_queue_depth(&self) -> usize {
        self.injector_depth
    }

    /// Returns how long a worker was awake, in all; the same as [`WorkerMetrics::busy`].
    ///
    /// # Panics
    ///
    /// If there is no worker of that number.
    #[track_caller]
    pub fn worker_total_busy_duration(&self, worker: usize) -> Duration {
        self.worker(worker).busy()
    }

    /// Returns how often a worker went to sleep; the same as [`WorkerMetrics::parks`].
    ///
    /// # Panics
    ///
    /// If there is no worker of that number.
    #[track_caller]
    pub fn worker_park_count(&self, worker: usize) -> u64 {
        self.worker(worker).parks()
    }

    #[track_caller]
    fn worker(&self, worker: usize) -> &WorkerMetrics {
        assert!(worker < self.num_workers, "there is no worker {worker}");
        &self.workers[worker]
    }

    /// Returns what is known of each thread that runs tasks: first the workers, then guests (threads inside `block_on`)
    /// and spares (threads that stood in for a worker) that there have been. On a current-thread runtime there is only
    /// one.
    ///
    /// # Examples
    ///
    /// ```
    /// # runtime::block_on(async {
    /// for worker in runtime::Handle::current().metrics().workers() {
    ///     println!("{}: {} polls in {:?}", worker.name(), worker.polls(), worker.busy());
    /// }
    /// # });
    /// ```
    pub fn workers(&self) -> &[WorkerMetrics] {
        &self.workers
    }

    /// Returns how many tasks there were and how they ended, how long polls took and tasks waited.
    pub fn tasks(&self) -> &TaskMetrics {
        &self.tasks
    }

    /// Returns what was noticed of tasks that do not give way, and what was done about it.
    pub fn rescue(&self) -> &RescueMetrics {
        &self.rescue
    }

    /// Returns what I/O there was.
    pub fn reactor(&self) -> &ReactorMetrics {
        &self.reactor
    }

    /// Returns how many timers there were, and how late they fired.
    pub fn timers(&self) -> &TimerMetrics {
        &self.timers
    }

    /// Returns what the pool behind [`spawn_blocking`](crate::task::spawn_blocking) did.
    pub fn blocking(&self) -> &BlockingMetrics {
        &self.blocking
    }

    /// Returns all of it as text that Prometheus reads (exposition format 0.0.4).
    ///
    /// Serve it with the content type `text/plain; version=0.0.4`. The names begin with `runtime_` and are told in
    /// `docs/metrics.md`. Durations are in seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// # runtime::block_on(async {
    /// let text = runtime::Handle::current().metrics().prometheus().to_string();
    /// assert!(text.contains("\n# TYPE runtime_tasks_live gauge\nruntime_tasks_live 0\n"));
    /// # });
    /// ```
    pub fn prometheus(&self) -> impl fmt::Display + '_ {
        prometheus::Text(self)
    }
}
