//! Builds a runtime: what can be set, the defaults, and what is refused.

use crate::driver::Driver;
use crate::runtime::{Handle, Runtime, charge};
use executor::{Config, Flavor, Hook, NameThread};
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

    /// Sets how long an idle thread of the pool for blocking work lives; 10 s by default.
    pub fn thread_keep_alive(&mut self, duration: Duration) -> &mut Self {
        self.keep_alive = duration;
        self
    }

    /// Sets after how many polls a busy worker looks for I/O and timers, at least 1; 61 by default.
    ///
    /// It looks at most every 50 µs, whatever the number of polls.
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
    /// ten. The thread runs only tasks that its future woke and that have been polled before. If such a task blocks all the same,
    /// that future waits for it; if it blocks on what that future would do next, for ever. Where this matters, switch the guest off.
    /// (A task that has called `block_in_place` is left to the workers from then on.)
    pub fn guest(&mut self, guest: bool) -> &mut Self {
        self.guest = guest;
        self
    }

    /// Starts the clock paused; see [`time::pause`](crate::time::pause). Only for a current-thread runtime.
    pub fn start_paused(&mut self, paused: bool) -> &mut Self {
        self.start_paused = paused;
        self
    }

    /// Runs a function at the start of each thread of the runtime; a panic in it is reported and ends there.
    ///
    /// Not on threads that call `block_on`, nor on the reactor thread.
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
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a setting out of range, `RUNTIME_WORKER_THREADS` included: the
    /// message names it and the range. Otherwise what the operating system says when it refuses a descriptor or
    /// a thread; nothing is left behind then.
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
