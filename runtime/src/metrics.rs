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

mod histogram;
mod prometheus;
mod table;

pub use histogram::Histogram;

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
        reactor: reactor::Metrics,
        mut timer: timer::Metrics,
    ) -> RuntimeMetrics {
        let histogram = |of: executor::HistogramSnapshot| Histogram::new(of.buckets, of.sum);
        RuntimeMetrics {
            num_workers: executor.workers,
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

    /// Returns the number of tasks that had been spawned and had not ended; the same as [`TaskMetrics::live`].
    pub fn num_alive_tasks(&self) -> usize {
        self.tasks.live
    }

    /// Returns the number of tasks in the injector, the queue for tasks that were not woken by a worker.
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

/// What a thread that runs tasks has done, and what it was doing; see [`RuntimeMetrics::workers`].
#[derive(Debug, Clone)]
pub struct WorkerMetrics(executor::WorkerMetrics);

/// What a thread that runs tasks was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerState {
    /// There was none at that moment; or it was a guest's, and asleep.
    Absent,
    /// It slept for want of work.
    Parked,
    /// It ran tasks, or looked for some.
    Awake,
    /// It had been inside one poll for longer than [`rescue_threshold`](crate::Builder::rescue_threshold).
    Stuck,
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            WorkerState::Absent => "absent",
            WorkerState::Parked => "parked",
            WorkerState::Awake => "awake",
            WorkerState::Stuck => "stuck",
        })
    }
}

impl WorkerMetrics {
    /// Returns what it is called: "worker 0", "guest 0", "spare 3", "current thread". Reports of slow polls and the
    /// list of tasks use the same names.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns what it was doing.
    pub fn state(&self) -> WorkerState {
        match self.0.state {
            executor::WorkerState::Absent => WorkerState::Absent,
            executor::WorkerState::Parked => WorkerState::Parked,
            executor::WorkerState::Awake => WorkerState::Awake,
            executor::WorkerState::Stuck => WorkerState::Stuck,
        }
    }

    /// Returns how many polls it has begun. Looks at the root of a `block_on`, and times of waking tasks for I/O and
    /// timers, count too.
    ///
    /// *Much higher than the work that is done*: tasks are woken for nothing, or do too little in a poll.
    pub fn polls(&self) -> u64 {
        self.0.polls
    }

    /// Returns how long it was awake, in all: from the end of one sleep to the beginning of the next. What has not
    /// ended yet counts up to the worker's last look for I/O, so a poll that lasts is not in it.
    ///
    /// *Near to the time that has passed*: the worker is at its limit. On all workers, the runtime is.
    pub fn busy(&self) -> Duration {
        self.0.busy
    }

    /// Returns how often it went to sleep.
    ///
    /// *High beside the polls*: work comes in drops, each of which pays for a sleep and a wake-up (5 to 50 µs). That is
    /// no harm but to latency and to the CPU's time; fewer workers, or larger batches, would help.
    pub fn parks(&self) -> u64 {
        self.0.parks
    }

    /// Returns how often it took tasks from another's queue.
    ///
    /// *High*: work begins on few workers and is spread by stealing. That is its purpose; if it costs too much, spawn
    /// where the work is.
    pub fn steals(&self) -> u64 {
        self.0.steals
    }

    /// Returns how many tasks it took from others' queues.
    pub fn stolen_tasks(&self) -> u64 {
        self.0.stolen
    }

    /// Returns how many tasks it ran from its LIFO slot: those that the task before had woken.
    ///
    /// *High*: tasks wake each other in chains; the data is still in the cache. Nothing is wrong.
    pub fn lifo_hits(&self) -> u64 {
        self.0.lifo_hits
    }

    /// Returns how many tasks it took out of others' LIFO slots.
    ///
    /// *High*: tasks go on computing after they have woken others, who would otherwise wait for them.
    pub fn lifo_steals(&self) -> u64 {
        self.0.lifo_steals
    }

    /// Returns how many tasks it took from the injector: those that other threads spawned or woke.
    ///
    /// *High beside the polls*: most wake-ups come from outside the workers, each through a queue that all share. If
    /// the other threads are yours, let them send in batches.
    pub fn injected_tasks(&self) -> u64 {
        self.0.injected
    }

    /// Returns how often it looked for I/O and timers because it had been busy for long, every 61 polls or so.
    pub fn driver_looks(&self) -> u64 {
        self.0.looks
    }

    /// Returns how many tasks waited in its queue.
    ///
    /// *High*: there is more to do than the workers can, or they are stuck. On one worker only, and for longer: the
    /// others should have stolen; look at its state.
    pub fn queue_depth(&self) -> usize {
        self.0.depth
    }
}

/// How many tasks there were and how they ended, how long polls took and tasks waited; see [`RuntimeMetrics::tasks`].
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
    live: usize,
    /// See [`spawned`](TaskMetrics::spawned).
    spawned: u64,
    /// See [`finished`](TaskMetrics::finished).
    finished: u64,
    /// See [`panicked`](TaskMetrics::panicked).
    panicked: u64,
    /// See [`aborted`](TaskMetrics::aborted).
    aborted: u64,
    /// See [`sample_interval`](TaskMetrics::sample_interval).
    sample_interval: u32,
    /// See [`poll_time`](TaskMetrics::poll_time).
    poll_time: Histogram,
    /// See [`schedule_latency`](TaskMetrics::schedule_latency).
    schedule_latency: Histogram,
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

/// What was noticed of tasks that do not give way, and what was done about it; see [`RuntimeMetrics::rescue`].
///
/// See [`Builder::rescue`](crate::Builder::rescue) for what a rescue is.
///
/// # Examples
///
/// ```
/// # runtime::block_on(async {
/// let metrics = runtime::Handle::current().metrics();
/// if metrics.rescue().rescues() > 0 {
///     println!("some task computes or blocks for milliseconds: {:?}", metrics.rescue());
/// }
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct RescueMetrics {
    /// See [`slow_polls`](RescueMetrics::slow_polls).
    slow_polls: u64,
    /// See [`unreported`](RescueMetrics::unreported).
    unreported: u64,
    /// See [`rescues`](RescueMetrics::rescues).
    rescues: u64,
    /// See [`stuck_workers`](RescueMetrics::stuck_workers).
    stuck: usize,
    /// See [`spares_started`](RescueMetrics::spares_started).
    spares_started: u64,
    /// See [`active_spares`](RescueMetrics::active_spares).
    spares_active: usize,
    /// See [`lane_marks`](RescueMetrics::lane_marks).
    lane_marks: u64,
    /// See [`lane_returns`](RescueMetrics::lane_returns).
    lane_returns: u64,
    /// See [`lane_polls`](RescueMetrics::lane_polls).
    lane_polls: u64,
    /// See [`lane_threads`](RescueMetrics::lane_threads).
    lane_threads: usize,
    /// See [`lane_depth`](RescueMetrics::lane_depth).
    lane_depth: usize,
}

impl RescueMetrics {
    /// Returns how many polls lasted for [`slow_poll_threshold`](crate::Builder::slow_poll_threshold) or longer.
    ///
    /// *Above zero*: the reports on standard error, or to [`on_slow_poll`](crate::Builder::on_slow_poll), name the
    /// tasks.
    pub fn slow_polls(&self) -> u64 {
        self.slow_polls
    }

    /// Returns how many of the slow polls were not reported, because there were too many at a time.
    pub fn unreported(&self) -> u64 {
        self.unreported
    }

    /// Returns how often a worker was found stuck, that is inside one poll for
    /// [`rescue_threshold`](crate::Builder::rescue_threshold) or longer.
    ///
    /// *Growing*: new tasks block or compute all the time. Each is caught once and then polled in the hog lane; what
    /// the catching costs (some ms of one worker) is saved by [`spawn_blocking`](crate::task::spawn_blocking) in the
    /// first place. On a machine with less CPU time than threads that want it, a worker may look stuck because another
    /// process has its core.
    pub fn rescues(&self) -> u64 {
        self.rescues
    }

    /// Returns how many workers were stuck and did not count as workers any more.
    ///
    /// *At [`rescue_spares`](crate::Builder::rescue_spares)*: no more of them are replaced. Find out what they wait
    /// for: [`Handle::tasks`](crate::Handle::tasks) says which tasks run, and for how long.
    pub fn stuck_workers(&self) -> usize {
        self.stuck
    }

    /// Returns how many threads were started to stand in for a worker that was stuck or called
    /// [`block_in_place`](crate::task::block_in_place). They wait for the next such case for as long as a thread of the
    /// blocking pool does.
    pub fn spares_started(&self) -> u64 {
        self.spares_started
    }

    /// Returns how many spare threads stood in for a worker.
    pub fn active_spares(&self) -> usize {
        self.spares_active
    }

    /// Returns how often a task was sent to the hog lane.
    pub fn lane_marks(&self) -> u64 {
        self.lane_marks
    }

    /// Returns how often a task came back from the hog lane, after some short polls in a row.
    ///
    /// *As high as [`lane_marks`](RescueMetrics::lane_marks), and growing*: tasks are now short, now long. Let the long
    /// part run on [`spawn_blocking`](crate::task::spawn_blocking).
    pub fn lane_returns(&self) -> u64 {
        self.lane_returns
    }

    /// Returns how many polls there were in the hog lane.
    pub fn lane_polls(&self) -> u64 {
        self.lane_polls
    }

    /// Returns how many threads the hog lane had.
    ///
    /// *Above [`hog_lane`](crate::Builder::hog_lane)*: so many of its tasks block, rather than compute.
    pub fn lane_threads(&self) -> usize {
        self.lane_threads
    }

    /// Returns how many tasks waited in the hog lane.
    ///
    /// *High*: the hogs want more CPU time than there is. They wait for each other, nobody else does.
    pub fn lane_depth(&self) -> usize {
        self.lane_depth
    }
}

/// What I/O there was; see [`RuntimeMetrics::reactor`].
///
/// # Examples
///
/// ```
/// # runtime::block_on(async {
/// let metrics = runtime::Handle::current().metrics();
/// let reactor = metrics.reactor();
/// assert!(reactor.sources() as u64 <= reactor.registrations());
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct ReactorMetrics(reactor::Metrics);

impl ReactorMetrics {
    /// Returns how often anybody asked the system for events, whether it had to wait for them or only looked. Each is a
    /// system call.
    ///
    /// *High beside the events*: waits are cut short, by other threads that have work (see
    /// [`interrupts`](ReactorMetrics::interrupts)), or by timers.
    pub fn turns(&self) -> u64 {
        self.turns_by_workers() + self.turns_by_reactor_thread()
    }

    /// Returns how many of the turns were those of workers, guests and spares.
    pub fn turns_by_workers(&self) -> u64 {
        self.0.slot_turns
    }

    /// Returns how many of the turns were those of the reactor thread.
    ///
    /// *High*: it steps in when every worker is busy or stuck. Each such event pays for a change of threads; look at
    /// [`WorkerMetrics::busy`] and [`TaskMetrics::poll_time`].
    pub fn turns_by_reactor_thread(&self) -> u64 {
        self.0.thread_turns
    }

    /// Returns how many events the system has reported.
    ///
    /// *Events divided by turns* is how many come at a time: the more, the cheaper each is, and the busier the runtime.
    pub fn events(&self) -> u64 {
        self.0.events
    }

    /// Returns how often a wait for events was cut short because the thread was needed for something else. Each is a
    /// system call.
    ///
    /// *High*: threads outside the runtime, or the pool for blocking work, wake tasks one by one while the workers
    /// sleep.
    pub fn interrupts(&self) -> u64 {
        self.0.interrupts
    }

    /// Returns how many descriptors were registered, in all: sockets, pipes, signals.
    ///
    /// *Growing fast*: connections are short. Keep them alive, if you can: each costs several system calls.
    pub fn registrations(&self) -> u64 {
        self.0.registered
    }

    /// Returns how many descriptors were registered at that moment.
    ///
    /// *Growing for ever*: sockets are not closed. Compare it with the limit of open files (`ulimit -n`).
    pub fn sources(&self) -> usize {
        self.0.sources
    }
}

/// How many timers there were, and how late they fired; see [`RuntimeMetrics::timers`].
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
    counts: timer::Metrics,
    /// See [`lateness`](TimerMetrics::lateness).
    lateness: Histogram,
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
    /// *Growing for ever*: so do the tasks that wait, see [`TaskMetrics::live`].
    pub fn pending(&self) -> usize {
        self.counts.pending
    }

    /// Returns how long after their deadlines timers fired, exact to 16 µs either way. That a task then waits for a
    /// thread is told by [`TaskMetrics::schedule_latency`].
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

/// What the pool behind [`spawn_blocking`](crate::task::spawn_blocking) did; see [`RuntimeMetrics::blocking`].
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
pub struct BlockingMetrics(executor::BlockingMetrics);

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
