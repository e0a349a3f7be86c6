//! The pool behind `spawn_blocking`: threads for closures that block.
//!
#![doc = include_str!("blocking.md")]
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::metrics::BlockingMetrics;
use crate::sync::{
    AtomicU64, Condvar, Mutex, MutexGuard, Ordering, bug, cores, now, spin_until, thread,
};
use crate::task::{self, JoinHandle, Meta, Reason, Runnable, contain};
use crate::threads::ThreadMain;
use crew::{Crew, Help, SHORT, Seat};

mod crew;

/// How many threads may be on their way at a time. Each that arrives brings up to two further ones, so that a crowd of jobs
/// that block is served fast and the submitter does not pay for 512 threads. A guess; it was 4 for starting threads before.
const ON_THE_WAY: usize = 4;

/// How often the lookout looks. The kernel adds a slack of 50 µs and the way to a core.
const LOOK: Duration = Duration::from_micros(50);

/// How long an idle thread may spin before it sleeps: about as long as the task that awaits a job takes to be woken and to
/// submit the next one.
const SPIN: Duration = Duration::from_micros(20);

/// A lookout that sees so many jobs a core taken within [`SHORT`] need not come: they take a microsecond or so each, and to
/// share them with one more thread saves nothing.
const PLENTY: u64 = 8;

/// How many cores there are for this process.
static CORES: LazyLock<usize> = LazyLock::new(cores);

/// A function of the user's that runs on each thread.
pub(crate) type Hook = Arc<dyn Fn() + Send + Sync>;

/// A function that is given the body of a thread, to run it in some context.
pub(crate) type Around = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// What a pool is made of.
#[derive(Clone)]
pub(crate) struct Config {
    /// The most threads, at least one.
    pub(crate) max_threads: usize,
    /// How long a thread waits for work before it retires.
    pub(crate) keep_alive: Duration,
    /// The stack of each thread in bytes; std's default if `None`.
    pub(crate) stack_size: Option<usize>,
    /// Names the next thread.
    pub(crate) name: Arc<dyn Fn() -> String + Send + Sync>,
    /// Runs the body of a thread, to which it is given, in the context that jobs expect.
    pub(crate) around: Around,
    /// Runs on each thread before its first job.
    pub(crate) on_start: Option<Hook>,
    /// Runs on each thread after its last job.
    pub(crate) on_stop: Option<Hook>,
    /// The most threads that are on their way at a time.
    pub(crate) max_on_the_way: usize,
    /// How often a lookout looks.
    pub(crate) look: Duration,
    /// How many threads are enough for short jobs.
    pub(crate) hands: usize,
    /// A lookout that sees so many jobs taken within [`SHORT`] sleeps on.
    pub(crate) plenty: u64,
    /// How long an idle thread may spin, if that is of any use.
    pub(crate) spin: Duration,
}

impl Default for Config {
    /// Tokio's bound and keep-alive time, so that programs behave alike.
    fn default() -> Config {
        Config {
            max_threads: 512,
            keep_alive: Duration::from_secs(10),
            stack_size: None,
            name: Arc::new(|| "runtime-blocking".to_owned()),
            around: Arc::new(|body| body()),
            on_start: None,
            on_stop: None,
            max_on_the_way: ON_THE_WAY,
            look: LOOK,
            hands: *CORES,
            plenty: PLENTY * *CORES as u64,
            // The one whom a spinner waits for would wait for its core.
            spin: if *CORES > 1 { SPIN } else { Duration::ZERO },
        }
    }
}

/// A pool of threads for blocking closures. Dropping it begins its shutdown.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

/// What the handle and the threads share. Whoever needs both locks takes the crew's first.
struct Shared {
    /// Where jobs come in.
    intake: CachePadded<Mutex<Intake>>,
    /// Who serves them.
    crew: CachePadded<Mutex<Crew>>,
    /// How many jobs were taken out of the queue. Written under the crew's lock, read by the lookout.
    served: CachePadded<AtomicU64>,
    /// The closing thread waits here, with the crew's lock, for the ends of threads.
    ended: Condvar,
    /// What does not change.
    config: Config,
}

/// What submitters touch.
struct Intake {
    /// Jobs that have not been let in, the oldest first. All of them are younger than those in [`Crew::queue`].
    jobs: VecDeque<Runnable>,
    /// Jobs that were accepted.
    accepted: u64,
    /// Whether jobs are refused.
    is_closed: bool,
    /// How many of the next submitters have to ask for help. Above zero whenever nobody else may be about to look at the
    /// queue.
    calls: usize,
}

/// Why a wait has ended.
enum Waited {
    /// The thread is to look at the queue.
    Come,
    /// There was nothing to do for too long.
    Retire,
}

impl Pool {
    /// A pool without threads: they start with the jobs.
    pub(crate) fn new(mut config: Config) -> Pool {
        config.max_threads = config.max_threads.max(1);
        let crew = Crew::new(&config);
        let intake = Intake {
            jobs: VecDeque::new(),
            accepted: 0,
            is_closed: false,
            calls: config.max_on_the_way,
        };
        Pool {
            shared: Arc::new(Shared {
                intake: CachePadded::new(Mutex::new(intake)),
                crew: CachePadded::new(Mutex::new(crew)),
                served: CachePadded::new(AtomicU64::new(0)),
                ended: Condvar::new(),
                config,
            }),
        }
    }

    /// Queues `closure` for a thread of the pool.
    ///
    /// The handle tells of a cancelled task if the pool is closed before the job begins, or if there is no thread at
    /// all and none can be started.
    pub(crate) fn spawn<F, T>(&self, closure: F, meta: Meta) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (handle, job) = task::job(closure, meta);
        self.shared.submit(job);
        handle
    }

    /// Refuses jobs from now on and cancels those that have not begun. Their closures are dropped here.
    pub(crate) fn begin_shutdown(&self) {
        self.shared.close();
    }

    /// Shuts the pool down and waits until its threads have ended, at most for `timeout`.
    ///
    /// Returns whether they have. On a thread of this pool, which cannot wait for itself, only begins the shutdown and
    /// returns false.
    pub(crate) fn shutdown(&self, timeout: Option<Duration>) -> bool {
        self.shared.close();
        let caller = thread::current().id();
        if self.shared.crew.lock().ids.contains(&caller) {
            return false;
        }
        // A deadline beyond what the clock can tell is none.
        let deadline = timeout.and_then(|timeout| now().checked_add(timeout));
        let mut crew = self.shared.crew.lock();
        while crew.alive > 0 {
            match deadline {
                None => self.shared.ended.wait(&mut crew),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(now());
                    if left.is_zero() {
                        return false;
                    }
                    self.shared.ended.wait_for(&mut crew, left);
                }
            }
        }
        let handles = mem::take(&mut crew.handles);
        drop(crew);
        for handle in handles.into_iter().filter_map(|(_, handle)| handle) {
            // The thread's function has ended, and it contains all panics.
            let _ = handle.join();
        }
        true
    }

    /// Describes each job that runs, for a report after a shutdown that did not wait for it.
    pub(crate) fn stuck_jobs(&self) -> Vec<String> {
        self.shared
            .crew
            .lock()
            .begun()
            .map(ToString::to_string)
            .collect()
    }

    /// What is there now, and what has been counted.
    pub(crate) fn stats(&self) -> BlockingMetrics {
        let crew = self.shared.crew.lock();
        let intake = self.shared.intake.lock();
        BlockingMetrics {
            max_threads: self.shared.config.max_threads,
            threads: crew.threads,
            idle: crew.idle(),
            queued: crew.queue.len() + intake.jobs.len(),
            threads_started: crew.threads_started,
            threads_refused: crew.threads_refused,
            jobs: intake.accepted,
            jobs_finished: crew.jobs_finished,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

impl Shared {
    /// *Submit* in the protocol.
    fn submit(self: &Arc<Shared>, job: Runnable) {
        let mut intake = self.intake.lock();
        if intake.is_closed && !bug::POOL_SUBMIT_CLOSED.is_on() {
            drop(intake);
            job.cancel(Reason::Cancelled);
            return;
        }
        intake.jobs.push_back(job);
        intake.accepted += 1;
        if intake.calls > 0 {
            intake.calls -= 1;
            let waiting = intake.jobs.len();
            drop(intake);
            self.call_for_help(waiting);
        }
    }

    /// Asks for help for at least `waiting` jobs.
    #[cold]
    #[inline(never)]
    fn call_for_help(self: &Arc<Shared>, waiting: usize) {
        let help = self.crew.lock().help(waiting);
        self.give(help);
    }

    /// Does what `help` asks for; not under the lock.
    fn give(self: &Arc<Shared>, help: Help) {
        match help {
            Help::Enough => {}
            Help::Notify(seat) => {
                seat.bed.notify_one();
            }
            Help::Start(number) => self.start(number),
            Help::AskAgain => self.intake.lock().calls = self.config.max_on_the_way,
        }
    }

    /// Starts a thread that has been counted already.
    fn start(self: &Arc<Shared>, number: u64) {
        // The user's function names it; std takes no zero byte.
        let name = contain(|| (self.config.name)().replace('\0', "")).unwrap_or_default();
        let mut builder = thread::Builder::new().name(name);
        if let Some(size) = self.config.stack_size {
            builder = builder.stack_size(size);
        }
        let shared = self.clone();
        let main: ThreadMain = Box::new(move || shared.run(number));
        let Ok(handle) = builder.spawn(main) else {
            self.could_not_start();
            return;
        };
        let mut crew = self.crew.lock();
        // If the thread has retired already, nobody is going to join it.
        if crew.take_handle(number).is_none() {
            crew.handles.push((number, Some(handle)));
        }
    }

    /// Takes back the count of a thread that could not be started, and sees to the jobs.
    fn could_not_start(self: &Arc<Shared>) {
        let mut crew = self.crew.lock();
        crew.not_started();
        let (orphans, help) = if crew.threads == 0 {
            (self.give_up_jobs(&mut crew), Help::Enough)
        } else if bug::POOL_NOT_STARTED_DEAF.is_on() {
            ([VecDeque::new(), VecDeque::new()], Help::Enough)
        } else {
            let help = crew.help(1);
            ([VecDeque::new(), VecDeque::new()], help)
        };
        drop(crew);
        self.ended.notify_all();
        for job in orphans.into_iter().flatten() {
            job.cancel(Reason::NoThread);
        }
        self.give(help);
    }

    /// The function of a thread.
    fn run(self: Arc<Shared>, number: u64) {
        {
            let mut crew = self.crew.lock();
            crew.ids.push(thread::current().id());
            crew.threads_started += 1;
        }
        let mut has_served = false;
        let mut serve = || {
            if !mem::replace(&mut has_served, true) {
                self.config.on_start.iter().for_each(call);
                self.serve(&Seat::new(number));
                self.config.on_stop.iter().for_each(call);
            }
        };
        let _ = contain(|| (self.config.around)(&mut serve));
        // The thread has been counted, so it serves even if its context could not be entered.
        serve();
        self.end(number);
    }

    /// *Serve* in the protocol.
    fn serve(self: &Arc<Shared>, seat: &Arc<Seat>) {
        let mut window = 0;
        let mut crew = self.crew.lock();
        crew.on_the_way -= 1;
        let place = crew.take_place();
        let mut has_arrived = true;
        while !crew.is_closed {
            if let Some(job) = self.take(&mut crew, seat, &mut window) {
                let waiting = crew.queue.len();
                let help = crew.help(waiting);
                let more = match mem::take(&mut has_arrived) {
                    true => crew.help(waiting),
                    false => Help::Enough,
                };
                crew.begins(place, &job);
                drop(crew);
                self.give(help);
                self.give(more);
                job.run();
                crew = self.crew.lock();
                crew.has_finished(place);
                continue;
            }
            let (guard, waited) = self.wait(crew, seat, &mut window);
            crew = guard;
            match waited {
                Waited::Come => has_arrived = true,
                Waited::Retire => break,
            }
        }
        crew.leave_place(place);
        crew.threads -= 1;
    }

    /// Step 1 of *serve*: the first job, if there is one and this thread is of use.
    fn take(&self, crew: &mut Crew, seat: &Seat, window: &mut u64) -> Option<Runnable> {
        let was_empty = crew.queue.is_empty();
        if was_empty {
            self.let_in(crew, 1);
        }
        if !crew.queue.is_empty() && !crew.pace.admits(window, now) {
            crew.lookout.get_or_insert(seat.number);
            return None;
        }
        let job = crew.queue.pop_front();
        if crew.queue.is_empty() {
            if !was_empty {
                self.let_in(crew, 0);
            }
            if crew.queue.is_empty() {
                if !bug::POOL_LOOKOUT_KEPT.is_on() {
                    crew.lookout = None;
                }
                crew.pace.rest();
            }
        }
        if job.is_some() {
            // Relaxed: see `served`; written under the lock.
            self.served.store(self.served() + 1, Ordering::Relaxed);
        }
        job
    }

    /// Lets all jobs in. If there are at most `own`, which the caller will take, nobody may look at the queue until the
    /// next one comes.
    fn let_in(&self, crew: &mut Crew, own: usize) {
        let mut intake = self.intake.lock();
        mem::swap(&mut intake.jobs, &mut crew.queue);
        if crew.queue.len() <= own {
            if bug::POOL_CALLS_LATE.is_on() {
                drop(intake);
                intake = self.intake.lock();
            }
            intake.calls = self.config.max_on_the_way;
        }
    }

    /// Steps 2 to 4 of *serve*: waits for work.
    fn wait<'a>(
        &'a self,
        mut crew: MutexGuard<'a, Crew>,
        seat: &Arc<Seat>,
        window: &mut u64,
    ) -> (MutexGuard<'a, Crew>, Waited) {
        crew.becomes_idle(seat);
        if crew.lookout == Some(seat.number) {
            crew = self.look_out(crew, seat, window);
        } else if crew.nobody_works() && crew.spinning.begins(seat.number) {
            drop(crew);
            spin_until(self.config.spin, || seat.is_chosen());
            crew = self.crew.lock();
            crew.spinning.ended(seat.is_chosen());
            if bug::POOL_SPIN_DEAF.is_on() {
                seat.lies_down();
            }
        }
        let mut is_over = false;
        loop {
            if !(bug::POOL_RETIRE_CHOSEN.is_on() && is_over) && crew.arrives(seat) {
                return (crew, Waited::Come);
            }
            if is_over {
                crew.leaves_idle(seat);
                return (crew, Waited::Retire);
            }
            is_over = self.sleep(&mut crew, seat, self.config.keep_alive);
        }
    }

    /// *Look out* in the protocol. Afterwards the thread is chosen, or idle like any other.
    #[cold]
    fn look_out<'a>(
        &'a self,
        mut crew: MutexGuard<'a, Crew>,
        seat: &Seat,
        window: &mut u64,
    ) -> MutexGuard<'a, Crew> {
        // On a single core nobody moves while we look: we look at what has been done while we slept.
        let can_watch = !self.config.spin.is_zero();
        let mut before = self.served();
        let mut has_slept = false;
        loop {
            if can_watch {
                drop(crew);
                before = self.served();
                let moved = || self.served() - before;
                spin_until(SHORT, || moved() >= self.config.plenty);
                crew = self.crew.lock();
            }
            if crew.lookout != Some(seat.number) {
                return crew;
            }
            let moved = self.served() - before;
            if moved < self.config.plenty && (can_watch || has_slept) {
                crew.lookout = None;
                crew.pace.joins(window, moved, now());
                crew.comes(seat);
                return crew;
            }
            before = self.served();
            self.sleep(&mut crew, seat, self.config.look);
            has_slept = true;
        }
    }

    /// Sleeps. Whether the time is over.
    fn sleep(&self, crew: &mut MutexGuard<'_, Crew>, seat: &Seat, timeout: Duration) -> bool {
        seat.falls_asleep();
        seat.bed.wait_for(crew, timeout).timed_out()
    }

    /// How many jobs have been taken out of the queue.
    fn served(&self) -> u64 {
        // Relaxed: a hint. If it is old, the lookout comes without need.
        self.served.load(Ordering::Relaxed)
    }

    /// The last thing that a thread does here.
    fn end(&self, number: u64) {
        let mut crew = self.crew.lock();
        crew.alive -= 1;
        let id = thread::current().id();
        crew.ids.retain(|other| *other != id);
        if crew.is_closed {
            // The closing thread joins us.
            drop(crew);
            self.ended.notify_all();
            return;
        }
        let own = crew.take_handle(number);
        if own.is_none() {
            crew.handles.push((number, None));
        }
        drop(crew);
        drop(own);
    }

    /// Refuses jobs, cancels the queued ones and lets all threads end.
    fn close(self: &Arc<Shared>) {
        let mut crew = self.crew.lock();
        let helps = crew.close();
        let jobs = self.give_up_jobs(&mut crew);
        drop(crew);
        helps.into_iter().for_each(|help| self.give(help));
        for job in jobs.into_iter().flatten() {
            job.cancel(Reason::Cancelled);
        }
    }

    /// Takes the jobs that have not begun, for the caller to cancel. No more are accepted once the crew is closed.
    fn give_up_jobs(&self, crew: &mut Crew) -> [VecDeque<Runnable>; 2] {
        let mut intake = self.intake.lock();
        intake.is_closed = crew.is_closed;
        intake.calls = self.config.max_on_the_way;
        crew.jobs_finished += (crew.queue.len() + intake.jobs.len()) as u64;
        [mem::take(&mut crew.queue), mem::take(&mut intake.jobs)]
    }
}

/// Calls a hook of the user's.
fn call(hook: &Hook) {
    let _ = contain(|| hook());
}

#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
