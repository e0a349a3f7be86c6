//! Builds a runtime: what can be set, the defaults, and what is refused.

use crate::driver::Driver;
use crate::probe;
use crate::runtime::{Handle, Runtime, charge};
use executor::{
    Config, CoreTime, Flavor, Hook, NameThread, OnSlowPoll, Probe, Rescue, SlowPoll, SlowPolls,
};
use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use timer::{Clock, Pausable};

/// The environment variable that sets the number of workers where the program does not.
const WORKERS_VARIABLE: &str = "RUNTIME_WORKER_THREADS";
/// The most workers; far above any machine's cores, low enough that a slip of the finger is noticed.
const MAX_WORKERS: usize = 1024;
/// Tokio's figure: a prime, so that it does not beat with patterns of the program's own.
const INTERVAL: u32 = 61;
/// Tokio's figure.
const MAX_BLOCKING: usize = 512;
/// Tokio's figure.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The shortest rescue threshold: the watchman looks once a millisecond at most.
const MIN_RESCUE: Duration = Duration::from_millis(1);
/// The longest; nobody would call it a rescue any more.
const MAX_RESCUE: Duration = Duration::from_secs(60);
/// The most threads of the hog lane that compute; as for workers.
const MAX_LANE: usize = MAX_WORKERS;
/// Linux adds up to this much to a timed wait, 50 µs by default; `prctl(2)`, `PR_SET_TIMERSLACK`.
const TIMER_SLACK_NANOS: u64 = 1_000;

/// Builds a [`Runtime`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = runtime::runtime::Builder::new_multi_thread()
///     .worker_threads(2)
///     .thread_name("my-server")
///     .build()?;
/// runtime.block_on(async { println!("running on {} workers", runtime.metrics().num_workers()) });
/// # Ok(())
/// # }
/// ```
pub struct Builder {
    /// Which threads run the tasks.
    flavor: Flavor,
    /// The number of workers; `None`: the environment variable, else one a core.
    workers: Option<usize>,
    /// The most threads of the blocking pool.
    max_blocking: usize,
    /// Names each thread as it starts.
    thread_name: NameThread,
    /// The name, if it is the same for all.
    fixed_name: Option<String>,
    /// The stack of each thread in bytes.
    stack_size: Option<usize>,
    /// How long an idle thread of the blocking pool lives.
    keep_alive: Duration,
    /// Ticks between two looks at the driver.
    event_interval: u32,
    /// Ticks between two looks at the injector.
    injector_interval: u32,
    /// Whether a woken task may run next.
    lifo_slot: bool,
    /// Whether the thread inside `block_on` runs tasks.
    guest: bool,
    /// Whether the clock starts paused.
    start_paused: bool,
    /// Whether others take over from a worker that is stuck in a poll.
    rescue: bool,
    /// How long a poll lasts before they do.
    rescue_threshold: Duration,
    /// How many workers are replaced at a time.
    rescue_spares: usize,
    /// How many threads of the hog lane compute; `None`: as many as there are workers.
    hog_lane: Option<usize>,
    /// How long a poll lasts before it is reported.
    slow_poll_threshold: Duration,
    /// What is told of slow polls; `None`: a line on standard error.
    on_slow_poll: Option<OnSlowPoll>,
    /// Hooks of the user's.
    on_start: Option<Hook>,
    on_stop: Option<Hook>,
    on_park: Option<Hook>,
    on_unpark: Option<Hook>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("flavor", &self.flavor)
            .field("worker_threads", &self.workers)
            .field("max_blocking_threads", &self.max_blocking)
            .field("thread_stack_size", &self.stack_size)
            .field("thread_keep_alive", &self.keep_alive)
            .field("event_interval", &self.event_interval)
            .field("global_queue_interval", &self.injector_interval)
            .field("start_paused", &self.start_paused)
            .field("rescue", &self.rescue)
            .field("rescue_threshold", &self.rescue_threshold)
            .field("rescue_spares", &self.rescue_spares)
            .field("hog_lane", &self.hog_lane)
            .field("slow_poll_threshold", &self.slow_poll_threshold)
            .finish_non_exhaustive()
    }
}

impl Builder {
    fn new(flavor: Flavor) -> Builder {
        Builder {
            flavor,
            workers: None,
            max_blocking: MAX_BLOCKING,
            thread_name: Arc::new(|| "runtime-worker".into()),
            fixed_name: None,
            stack_size: None,
            keep_alive: KEEP_ALIVE,
            event_interval: INTERVAL,
            injector_interval: INTERVAL,
            lifo_slot: true,
            guest: true,
            start_paused: false,
            rescue: true,
            rescue_threshold: Rescue::THRESHOLD,
            rescue_spares: Rescue::SPARES,
            hog_lane: None,
            slow_poll_threshold: SlowPolls::THRESHOLD,
            on_slow_poll: None,
            on_start: None,
            on_stop: None,
            on_park: None,
            on_unpark: None,
        }
    }

    /// Begins a runtime with worker threads of its own, by default one a core.
    pub fn new_multi_thread() -> Builder {
        Builder::new(Flavor::MultiThread)
    }

    /// Begins a runtime that runs its tasks on the thread inside `block_on`, and has no other threads (but those of the
    /// blocking pool, when it is used).
    pub fn new_current_thread() -> Builder {
        Builder::new(Flavor::CurrentThread)
    }

    /// Enables I/O, timers and everything else. They are always enabled; the call is there for programs that come from Tokio.
    pub fn enable_all(&mut self) -> &mut Self {
        self
    }

    /// Enables I/O. It is always enabled; see [`enable_all`](Builder::enable_all).
    pub fn enable_io(&mut self) -> &mut Self {
        self
    }

    /// Enables timers. They are always enabled; see [`enable_all`](Builder::enable_all).
    pub fn enable_time(&mut self) -> &mut Self {
        self
    }

    /// Sets the number of workers of a multi-thread runtime, 1 to 1024.
    ///
    /// The default is the value of the environment variable `RUNTIME_WORKER_THREADS`, else one worker a core that the
    /// process may use (cgroup quotas and affinity count). A current-thread runtime ignores it.
    pub fn worker_threads(&mut self, threads: usize) -> &mut Self {
        self.workers = Some(threads);
        self
    }

    /// Sets the most threads that the pool for blocking work may have, at least 1; 512 by default.
    pub fn max_blocking_threads(&mut self, threads: usize) -> &mut Self {
        self.max_blocking = threads;
        self
    }

    /// Names the threads that run tasks and blocking closures; "runtime-worker" by default. Linux shows the first 15 bytes. The
    /// reactor thread is always called "runtime-reactor".
    pub fn thread_name(&mut self, name: impl Into<String>) -> &mut Self {
        let name = name.into();
        self.fixed_name = Some(name.clone());
        self.thread_name = Arc::new(move || name.clone());
        self
    }

    /// Calls a function for the name of each thread.
    ///
    /// Threads that are started in an emergency, to take the place of a stuck worker, share one name, which is asked for when the runtime starts: the
    /// function might wait for what the worker holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// # fn main() -> std::io::Result<()> {
    /// let next = AtomicUsize::new(1);
    /// let runtime = runtime::runtime::Builder::new_multi_thread()
    ///     .thread_name_fn(move || format!("worker-{}", next.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn thread_name_fn<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() -> String + Send + Sync + 'static,
    {
        self.fixed_name = None;
        self.thread_name = Arc::new(f);
        self
    }

    /// Sets the stack size of all threads of the runtime in bytes; std's default (2 MiB) if not called.
    pub fn thread_stack_size(&mut self, bytes: usize) -> &mut Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Sets how long an idle thread lives that is no worker, of the pool for blocking work, say, or a spare; 10 s by default.
    pub fn thread_keep_alive(&mut self, duration: Duration) -> &mut Self {
        self.keep_alive = duration;
        self
    }

    /// Sets after how many polls a busy worker looks for I/O and timers, at least 1; 61 by default.
    ///
    /// If polls take longer than 20 µs on average, it looks after fewer, so that some 200 µs pass between two looks, or one poll if that takes
    /// longer; and at most every 50 µs, or 100 µs if polls take that long, whatever the number of polls.
    pub fn event_interval(&mut self, polls: u32) -> &mut Self {
        self.event_interval = polls;
        self
    }

    /// Sets after how many polls a busy worker takes a task from the injector first, at least 1; 61 by default.
    pub fn global_queue_interval(&mut self, polls: u32) -> &mut Self {
        self.injector_interval = polls;
        self
    }

    /// Runs woken tasks in the order of their wake-ups, instead of the last one first; a current-thread runtime always does.
    pub fn disable_lifo_slot(&mut self) -> &mut Self {
        self.lifo_slot = false;
        self
    }

    /// Sets whether the thread inside [`Runtime::block_on`] of a multi-thread runtime runs tasks too; it does by default.
    ///
    /// A message from the future inside `block_on` to a task and back then costs a fifth of a microsecond instead of some
    /// ten, and a request through a task that has the connection half of the CPU time. The thread runs only tasks that its future woke, or an event
    /// that this thread has waited for or a timer of its own (where events make that future go on), and that have been polled before. If such a task blocks all the same,
    /// that future waits for it; if it blocks on what that future would do next, for ever. Where this matters, switch the guest off.
    /// (A task that has called `block_in_place` is left to the workers from then on.)
    pub fn guest(&mut self, guest: bool) -> &mut Self {
        self.guest = guest;
        self
    }

    /// Starts the clock paused; see [`time::pause`](crate::time::pause). Only for a current-thread runtime: for another,
    /// [`build`](Builder::build) fails.
    pub fn start_paused(&mut self, paused: bool) -> &mut Self {
        self.start_paused = paused;
        self
    }

    /// Sets whether other threads take over when a task computes or blocks for too long in one poll; they do by default.
    ///
    /// When a poll has lasted [`rescue_threshold`](Builder::rescue_threshold), the tasks that wait behind it move to other
    /// threads, a spare thread takes the worker's place, and from then on the task is polled on threads of its own, the
    /// *hog lane*, until four polls in a row were short (less than 500 µs). So sockets, timers and all other tasks go on. Switched off, the
    /// tasks behind it still move to workers that are free, and slow polls are still reported; but if every worker is stuck, no task runs.
    ///
    /// A current-thread runtime has only one thread, and ignores this.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = runtime::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    /// runtime.block_on(async {
    ///     // Should be in `spawn_blocking`, but does no harm.
    ///     let bad = runtime::spawn(async { std::thread::sleep(Duration::from_millis(100)) });
    ///     let good = runtime::spawn(async { 6 * 7 });
    ///     assert_eq!(good.await.expect("no panic"), 42);
    ///     assert!(!bad.is_finished());
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn rescue(&mut self, rescue: bool) -> &mut Self {
        self.rescue = rescue;
        self
    }

    /// Sets how long a poll lasts before others take over, 1 ms to 60 s; 2 ms by default.
    ///
    /// The watchman looks every 1 to 4 ms, so it takes up to 5 ms longer the first time. Where hardly a core is unused and the workers' threads wait for one, a thread that neither
    /// sleeps nor is seen to compute is given 4 ms more for each that it takes turns with, at most 32: it may have lost its core. See [`rescue`](Builder::rescue).
    pub fn rescue_threshold(&mut self, threshold: Duration) -> &mut Self {
        self.rescue_threshold = threshold;
        self
    }

    /// Sets how many workers may be replaced at a time because they are stuck, 0 to 128; 64 by default.
    ///
    /// It is also how many threads the hog lane may have on top of its width, for tasks that block. A spare that nobody needs
    /// ends after [`thread_keep_alive`](Builder::thread_keep_alive). See [`rescue`](Builder::rescue).
    pub fn rescue_spares(&mut self, spares: usize) -> &mut Self {
        self.rescue_spares = spares;
        self
    }

    /// Sets how many threads of the hog lane may compute at the same time, 0 to 1024; as many as there are workers by default.
    ///
    /// 0 means no lane: a task that was slow once is polled by workers again. See [`rescue`](Builder::rescue).
    pub fn hog_lane(&mut self, threads: usize) -> &mut Self {
        self.hog_lane = Some(threads);
        self
    }

    /// Sets how long a poll lasts before it is reported; 10 ms by default, [`Duration::MAX`] for never.
    ///
    /// The report comes while the poll lasts, up to 4 ms late; on a current-thread runtime when it has ended, and not for every slow poll, see
    /// [`on_slow_poll`](Builder::on_slow_poll).
    pub fn slow_poll_threshold(&mut self, threshold: Duration) -> &mut Self {
        self.slow_poll_threshold = threshold;
        self
    }

    /// Calls a function for each report of a slow poll, instead of writing a line to standard error.
    ///
    /// Each slow poll is reported once, but at most five in a burst and one a second after that; how many were left out is told by the next
    /// report. The function runs on a thread of its own, where it may block, and perhaps after the runtime has ended: nobody waits for it. Its panic ends with the report. On a
    /// current-thread runtime it runs on the thread inside `block_on`, after the poll; there polls are timed only now and then, so that it
    /// may take a repeated slow poll some rounds to be found.
    ///
    /// With the feature `tracing` the default is an event of the level `WARN` instead. The default leaves out the future inside `block_on` of a multi-thread
    /// runtime ([`SlowPoll::is_guest_root`]): while that blocks or computes, nobody waits but what it has spawned, for some milliseconds if all workers are busy.
    ///
    /// The function lives as long as the last [`Handle`] of the runtime; if it owns one itself, the memory of the runtime that has ended is
    /// never freed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let (sender, reports) = mpsc::channel();
    /// let runtime = runtime::runtime::Builder::new_multi_thread()
    ///     .on_slow_poll(move |poll| drop(sender.send(poll.location())))
    ///     .build()?;
    /// let line = line!() + 1;
    /// runtime.spawn(async { std::thread::sleep(Duration::from_millis(50)) });
    /// let culprit = reports.recv().expect("the poll is slow").expect("it is a task");
    /// assert_eq!(culprit.line(), line);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_slow_poll<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&SlowPoll) + Send + Sync + 'static,
    {
        self.on_slow_poll = Some(Arc::new(f));
        self
    }

    /// Runs a function at the start of each thread of the runtime; a panic in it is reported and ends there.
    ///
    /// Not on threads that call `block_on`, nor on the reactor thread and the one that makes reports.
    pub fn on_thread_start<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.on_start = Some(Arc::new(f));
        self
    }

    /// Runs a function at the end of each thread of the runtime.
    pub fn on_thread_stop<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.on_stop = Some(Arc::new(f));
        self
    }

    /// Runs a function each time before a worker sleeps.
    pub fn on_thread_park<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.on_park = Some(Arc::new(f));
        self
    }

    /// Runs a function each time after a worker slept.
    pub fn on_thread_unpark<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.on_unpark = Some(Arc::new(f));
        self
    }

    /// Starts the runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = runtime::runtime::Builder::new_multi_thread()
    ///     .worker_threads(0)
    ///     .build()
    ///     .expect_err("a runtime without workers would run nothing");
    /// assert_eq!(error.to_string(), "worker_threads is 0, but must be from 1 to 1024");
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a setting out of range, `RUNTIME_WORKER_THREADS` included: the
    /// message names it and the range. Otherwise what the operating system says when it refuses a descriptor or
    /// a thread; nothing is left behind then.
    pub fn build(&mut self) -> io::Result<Runtime> {
        let workers = self.valid_workers()?;
        in_range(
            "max_blocking_threads",
            self.max_blocking,
            1,
            usize::MAX >> 1,
        )?;
        in_range(
            "event_interval",
            self.event_interval as usize,
            1,
            u32::MAX as usize,
        )?;
        in_range(
            "global_queue_interval",
            self.injector_interval as usize,
            1,
            u32::MAX as usize,
        )?;
        if !(MIN_RESCUE..=MAX_RESCUE).contains(&self.rescue_threshold) {
            return Err(invalid(format!(
                "rescue_threshold is {:?}, but must be from {MIN_RESCUE:?} to {MAX_RESCUE:?}",
                self.rescue_threshold
            )));
        }
        in_range("rescue_spares", self.rescue_spares, 0, Rescue::MAX_SPARES)?;
        in_range("hog_lane", self.hog_lane.unwrap_or(0), 0, MAX_LANE)?;
        if self.slow_poll_threshold < MIN_RESCUE {
            return Err(invalid(format!(
                "slow_poll_threshold is {:?}, but must be at least {MIN_RESCUE:?}",
                self.slow_poll_threshold
            )));
        }
        if let Some(name) = self.fixed_name.as_ref().filter(|name| name.contains('\0')) {
            return Err(invalid(format!(
                "thread_name is {name:?}, but must not contain a zero byte"
            )));
        }
        if self.start_paused && self.flavor == Flavor::MultiThread {
            return Err(invalid(
                "start_paused needs a current-thread runtime: the clocks of several threads cannot be paused".into(),
            ));
        }
        self.start(workers)
    }

    fn start(&self, workers: usize) -> io::Result<Runtime> {
        let reactor = reactor::Handle::new(charge)?;
        let pausable = match self.flavor {
            Flavor::MultiThread => Pausable::No,
            Flavor::CurrentThread => Pausable::Yes,
        };
        let clock = Clock::new(pausable);
        if self.start_paused {
            clock.pause();
        }
        let mut config = Config {
            flavor: self.flavor,
            workers,
            guest: self.guest,
            event_interval: self.event_interval,
            injector_interval: self.injector_interval,
            // One thread gains little from the slot, and programs expect the order of Tokio: first in, first out.
            lifo_slot: self.lifo_slot && self.flavor == Flavor::MultiThread,
            thread_name: Arc::clone(&self.thread_name),
            stack_size: self.stack_size,
            keep_alive: self.keep_alive,
            max_blocking: self.max_blocking,
            rescue: (self.rescue && self.flavor == Flavor::MultiThread).then(|| Rescue {
                threshold: self.rescue_threshold,
                spares: self.rescue_spares,
                lane: self.hog_lane.unwrap_or(workers),
            }),
            slow_polls: SlowPolls {
                threshold: self.slow_poll_threshold,
                // A `main` that blocks or computes holds nobody up, and may be meant to.
                roots: self.on_slow_poll.is_some(),
                report: self.on_slow_poll.clone().unwrap_or_else(default_report),
                stack: STACK,
            },
            process_id: reactor::process_id,
            probe: Some(Probe {
                id: probe::id,
                blocked: probe::is_blocked,
                core_time: |id| {
                    let (ran, waited) = probe::core_time(id)?;
                    Some(CoreTime { ran, waited })
                },
                unused: probe::unused,
            }),
            on_thread_start: self.on_start.clone(),
            on_thread_stop: self.on_stop.clone(),
            on_thread_park: self.on_park.clone(),
            on_thread_unpark: self.on_unpark.clone(),
            around: None,
        };
        let slots = config.slots();
        let guests = config.guest_slots();
        let timer = timer::Handle::new(slots, clock, charge);
        let driver = Driver::new(reactor.clone(), timer.clone(), slots, guests);
        config.around = Some(Arc::new(move |body: &mut dyn FnMut()| {
            let _entered = (reactor.enter(), timer.enter());
            sharpen_timers();
            body();
        }));
        let executor = executor::Handle::start(config, Arc::clone(&driver) as _)?;
        driver.serve(&executor);
        if self.flavor == Flavor::MultiThread {
            let mut builder = thread::Builder::new().name("runtime-reactor".into());
            if let Some(stack_size) = self.stack_size {
                builder = builder.stack_size(stack_size);
            }
            if let Err(error) = driver.start_guarantor(&executor, builder) {
                executor.shutdown(None);
                return Err(error);
            }
        }
        Ok(Runtime::from_handle(Handle::new(executor, &driver)))
    }

    fn valid_workers(&self) -> io::Result<usize> {
        if self.flavor == Flavor::CurrentThread {
            return Ok(1);
        }
        if let Some(workers) = self.workers {
            return in_range("worker_threads", workers, 1, MAX_WORKERS);
        }
        match std::env::var(WORKERS_VARIABLE) {
            Ok(value) => match value.trim().parse() {
                Ok(workers) => in_range(WORKERS_VARIABLE, workers, 1, MAX_WORKERS),
                Err(_) => Err(invalid(format!(
                    "{WORKERS_VARIABLE} is {value:?}, but must be a number from 1 to {MAX_WORKERS}"
                ))),
            },
            Err(std::env::VarError::NotUnicode(_)) => Err(invalid(format!(
                "{WORKERS_VARIABLE} is not text, but must be a number from 1 to {MAX_WORKERS}"
            ))),
            // Where the system does not tell its cores, one worker still runs everything.
            Err(std::env::VarError::NotPresent) => {
                Ok(thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_WORKERS)))
            }
        }
    }
}

/// How the stack of another thread is found out, if at all.
#[cfg(not(all(
    feature = "stack-traces",
    target_os = "linux",
    target_arch = "x86_64",
    target_env = "gnu"
)))]
const STACK: Option<executor::DescribeStack> = None;
/// How the stack of another thread is found out, if at all.
#[cfg(all(
    feature = "stack-traces",
    target_os = "linux",
    target_arch = "x86_64",
    target_env = "gnu"
))]
const STACK: Option<executor::DescribeStack> =
    Some(|id, lasts| crate::stack::capture(id, Duration::from_millis(100), lasts));

/// A line on standard error; that it cannot be written is nobody's business.
#[cfg(not(feature = "tracing"))]
fn default_report() -> OnSlowPoll {
    use std::io::Write;
    Arc::new(|poll| drop(writeln!(io::stderr(), "runtime: {poll}")))
}

/// An event of the level `WARN`.
#[cfg(feature = "tracing")]
fn default_report() -> OnSlowPoll {
    Arc::new(|poll| {
        let id = poll.id().map(|id| id.to_string());
        let location = poll.location().map(ToString::to_string);
        tracing::warn!(
            target: "runtime::slow_poll",
            task_id = id,
            task_name = poll.name(),
            spawn_location = location,
            place = poll.place(),
            so_far_ms = u64::try_from(poll.so_far().as_millis()).unwrap_or(u64::MAX),
            blocked = poll.is_blocked(),
            before = poll.before(),
            suppressed = poll.suppressed(),
            "{poll}"
        );
    })
}

/// Lets timed waits of this thread end on time; where the system refuses, they end a little later.
fn sharpen_timers() {
    #[cfg(target_os = "linux")]
    if let Some(nanos) = NonZeroU64::new(TIMER_SLACK_NANOS) {
        let _ = rustix::thread::set_current_timer_slack(Some(nanos));
    }
}

fn in_range(name: &str, value: usize, least: usize, most: usize) -> io::Result<usize> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let range = if most >= u32::MAX as usize {
        format!("at least {least}")
    } else {
        format!("from {least} to {most}")
    };
    Err(invalid(format!("{name} is {value}, but must be {range}")))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
