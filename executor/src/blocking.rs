//! The pool behind `spawn_blocking`: threads for closures that block.
//!
//! One queue, first in first out, behind one lock; threads start when there are more jobs than threads on their way to
//! one, up to a bound, and retire after [`Config::keep_alive`] without work. A job is a task cell like any other, so
//! its handle aborts, reports panics and can be awaited; only a job that has not begun can be aborted.
//!
//! # Protocol
//!
//! A thread is *busy*, *idle* (waits and has not been chosen), *chosen* (waits, or is about to return from waiting, and
//! will look at the queue) or *starting*. Chosen and starting threads are *on their way*.
//!
//! *Submit*: 1 lock; closed? then the job is cancelled. 2 Put the job at the end. 3 Ask for help. 4 Unlock, give help.
//!
//! *Help*: if there are no more jobs than threads on their way, none is needed. Otherwise choose an idle thread, by
//! moving one from `idle` to `chosen` and notifying one waiter, whichever that is. If there is no idle thread, start
//! one, unless the bound is reached or [`STARTING_AT_ONCE`] are starting already.
//!
//! *Serve*: 1 take the first job, ask for help for the next one, unlock, give help, run; until the queue is empty.
//! 2 Closed? then end. 3 Become idle and wait. 4 After the wait, for whatever reason it ended: if `chosen` is above
//! zero, take one off and go to 1; if closed, end; if the time is over, retire; otherwise wait on.
//!
//! *The race feared*: a thread retires while a submitter counts on it. It cannot: submitter and thread agree under the
//! lock. A thread whose time is over looks at `chosen` first (step 4), and if it takes another thread's place there,
//! that one finds zero and waits on.
//!
//! *No job is forgotten*: when a lock is released, either jobs ≤ threads on their way, or no thread is idle and every
//! busy or starting thread will take a job (step 1) before it waits or ends. The one exception is a thread that could
//! not be started: then the others take over, later submits and takes try again (after [`PATIENCE`] of them), and if
//! there are no others at all, the jobs are cancelled with an error that says so, rather than wait for ever.
//!
//! *Panics*: of jobs belong to their handles, of hooks are contained. *Shutdown*: close; cancel what is queued; wait for
//! the threads, each of which ends after its job.
//!
//! *Counted* under the lock that is held anyway, so at the cost of an addition: jobs accepted and finished, threads
//! started and refused. At every moment jobs = finished + queued + running. A job is finished shortly after its handle
//! tells so: its thread must come back to the lock first.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::BlockingMetrics;
use crate::sync::{Condvar, Mutex, MutexGuard, bug, thread};
use crate::task::{self, JoinHandle, Meta, Reason, Runnable, contain};

/// How many threads may be starting at a time. More jobs than these in one burst are taken care of by the new threads,
/// each of which starts the next: the submitter does not pay for 512 threads. A guess.
const STARTING_AT_ONCE: usize = 4;

/// After a thread could not be started: how often help is asked for in vain before the next attempt, as long as there
/// are other threads. A failed attempt costs about as much as a hundred submits.
const PATIENCE: u32 = 64;

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
        }
    }
}

/// A pool of threads for blocking closures. Dropping it begins its shutdown.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

/// What the handle and the threads share.
struct Shared {
    /// Everything that changes.
    inner: Mutex<Inner>,
    /// Idle threads wait here.
    work: Condvar,
    /// The closing thread waits here for the ends of threads.
    ended: Condvar,
    /// What does not change.
    config: Config,
}

/// The state of a pool, under its lock.
struct Inner {
    /// Jobs that have not begun, the oldest first.
    queue: VecDeque<Runnable>,
    /// Threads that will look at the queue again: all but those that retire.
    threads: usize,
    /// Threads that wait and have not been chosen.
    idle: usize,
    /// Threads that are to leave their wait.
    chosen: usize,
    /// Threads that have been started and have not looked at the queue yet.
    starting: usize,
    /// Threads whose function has not ended, retiring ones included: what a shutdown waits for.
    alive: usize,
    /// Requests for help to pass over since a thread could not be started.
    patience: u32,
    /// Jobs that were accepted.
    jobs: u64,
    /// Those of them that are over: run, or cancelled before they began.
    jobs_finished: u64,
    /// Threads that have begun to run.
    threads_started: u64,
    /// Threads that the system refused.
    threads_refused: u64,
    /// Whether jobs are refused.
    is_closed: bool,
    /// The number of the next thread.
    next_number: u64,
    /// The threads by number, to be joined. `None` is for a thread that ended before its starter came here.
    handles: BTreeMap<u64, Option<thread::JoinHandle<()>>>,
    /// The threads that are alive, to know a thread of this pool when it asks for the shutdown.
    ids: Vec<thread::ThreadId>,
}

/// What a caller has to do once it has unlocked.
#[must_use]
enum Help {
    /// Nothing.
    Enough,
    /// Notify one waiter.
    Notify,
    /// Start a thread, of this number.
    Start(u64),
}

impl Pool {
    /// A pool without threads: they start with the jobs.
    pub(crate) fn new(mut config: Config) -> Pool {
        config.max_threads = config.max_threads.max(1);
        let inner = Inner {
            queue: VecDeque::new(),
            threads: 0,
            idle: 0,
            chosen: 0,
            starting: 0,
            alive: 0,
            patience: 0,
            jobs: 0,
            jobs_finished: 0,
            threads_started: 0,
            threads_refused: 0,
            is_closed: false,
            next_number: 0,
            handles: BTreeMap::new(),
            ids: Vec::new(),
        };
        Pool {
            shared: Arc::new(Shared {
                inner: Mutex::new(inner),
                work: Condvar::new(),
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
        if self.shared.inner.lock().ids.contains(&caller) {
            return false;
        }
        // A deadline beyond what the clock can tell is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut inner = self.shared.inner.lock();
        while inner.alive > 0 {
            match deadline {
                None => self.shared.ended.wait(&mut inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.shared.ended.wait_for(&mut inner, left);
                }
            }
        }
        let handles = mem::take(&mut inner.handles);
        drop(inner);
        for handle in handles.into_values().flatten() {
            // The thread's function has ended, and it contains all panics.
            let _ = handle.join();
        }
        true
    }

    /// What is there now, and what has been counted.
    pub(crate) fn stats(&self) -> BlockingMetrics {
        let inner = self.shared.inner.lock();
        BlockingMetrics {
            max_threads: self.shared.config.max_threads,
            threads: inner.threads,
            idle: inner.idle,
            queued: inner.queue.len(),
            threads_started: inner.threads_started,
            threads_refused: inner.threads_refused,
            jobs: inner.jobs,
            jobs_finished: inner.jobs_finished,
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
        let mut inner = self.inner.lock();
        if inner.is_closed && !bug::POOL_SUBMIT_CLOSED.is_on() {
            drop(inner);
            job.cancel(Reason::Cancelled);
            return;
        }
        inner.queue.push_back(job);
        inner.jobs += 1;
        let help = inner.help(self.config.max_threads);
        drop(inner);
        self.give(help);
    }

    /// Does what `help` asks for; not under the lock.
    fn give(self: &Arc<Shared>, help: Help) {
        match help {
            Help::Enough => {}
            Help::Notify => {
                self.work.notify_one();
            }
            Help::Start(number) => self.start(number),
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
        let Ok(handle) = builder.spawn(move || shared.run(number)) else {
            self.could_not_start();
            return;
        };
        let mut inner = self.inner.lock();
        // If the thread has retired already, nobody is going to join it.
        if inner.handles.remove(&number).is_none() {
            inner.handles.insert(number, Some(handle));
        }
    }

    /// Takes back the count of a thread that could not be started, and sees to the jobs.
    fn could_not_start(self: &Arc<Shared>) {
        let mut inner = self.inner.lock();
        inner.starting -= 1;
        inner.threads -= 1;
        inner.alive -= 1;
        inner.patience = PATIENCE;
        inner.threads_refused += 1;
        let (orphans, help) = if inner.threads == 0 {
            (inner.give_up_queue(), Help::Enough)
        } else {
            let help = inner.help(self.config.max_threads);
            (VecDeque::new(), help)
        };
        drop(inner);
        self.ended.notify_all();
        for job in orphans {
            job.cancel(Reason::NoThread);
        }
        self.give(help);
    }

    /// The function of a thread.
    fn run(self: Arc<Shared>, number: u64) {
        {
            let mut inner = self.inner.lock();
            inner.ids.push(thread::current().id());
            inner.threads_started += 1;
        }
        let mut has_served = false;
        let mut serve = || {
            if !mem::replace(&mut has_served, true) {
                self.config.on_start.iter().for_each(call);
                self.serve();
                self.config.on_stop.iter().for_each(call);
            }
        };
        let _ = contain(|| (self.config.around)(&mut serve));
        // The thread has been counted, so it serves even if its context could not be entered.
        serve();
        self.end(number);
    }

    /// *Serve* in the protocol.
    fn serve(self: &Arc<Shared>) {
        let mut inner = self.inner.lock();
        inner.starting -= 1;
        loop {
            while let Some(job) = inner.queue.pop_front() {
                let help = inner.help(self.config.max_threads);
                drop(inner);
                self.give(help);
                job.run();
                inner = self.inner.lock();
                inner.jobs_finished += 1;
            }
            if inner.is_closed || !self.wait(&mut inner) {
                break;
            }
        }
        inner.threads -= 1;
    }

    /// Steps 3 and 4 of *serve*: waits for work; whether to go on.
    fn wait(&self, inner: &mut MutexGuard<'_, Inner>) -> bool {
        inner.idle += 1;
        loop {
            let is_over = self
                .work
                .wait_for(inner, self.config.keep_alive)
                .timed_out();
            if inner.chosen > 0 && !(bug::POOL_RETIRE_CHOSEN.is_on() && is_over) {
                inner.chosen -= 1;
                return true;
            }
            if is_over || inner.is_closed {
                inner.idle -= 1;
                return false;
            }
        }
    }

    /// The last thing that a thread does here.
    fn end(&self, number: u64) {
        let mut inner = self.inner.lock();
        inner.alive -= 1;
        let id = thread::current().id();
        inner.ids.retain(|other| *other != id);
        if inner.is_closed {
            // The closing thread joins us.
            drop(inner);
            self.ended.notify_all();
            return;
        }
        let own = inner.handles.remove(&number);
        if own.is_none() {
            inner.handles.insert(number, None);
        }
        drop(inner);
        drop(own);
    }

    /// Refuses jobs, cancels the queued ones and lets all threads end.
    fn close(&self) {
        let mut inner = self.inner.lock();
        inner.is_closed = true;
        let jobs = inner.give_up_queue();
        drop(inner);
        self.work.notify_all();
        for job in jobs {
            job.cancel(Reason::Cancelled);
        }
    }
}

/// Calls a hook of the user's.
fn call(hook: &Hook) {
    let _ = contain(|| hook());
}

impl Inner {
    /// Takes the jobs that have not begun, for the caller to cancel.
    fn give_up_queue(&mut self) -> VecDeque<Runnable> {
        self.jobs_finished += self.queue.len() as u64;
        mem::take(&mut self.queue)
    }

    /// *Help* in the protocol.
    fn help(&mut self, max_threads: usize) -> Help {
        if self.queue.len() <= self.chosen + self.starting {
            return Help::Enough;
        }
        if self.idle > 0 {
            self.idle -= 1;
            self.chosen += 1;
            return Help::Notify;
        }
        if self.threads >= max_threads || self.starting >= STARTING_AT_ONCE {
            return Help::Enough;
        }
        if self.patience > 0 && self.threads > 0 {
            self.patience -= 1;
            return Help::Enough;
        }
        self.threads += 1;
        self.starting += 1;
        self.alive += 1;
        self.next_number += 1;
        Help::Start(self.next_number)
    }
}

#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(all(test, not(rt_loom)))]
mod tests;
