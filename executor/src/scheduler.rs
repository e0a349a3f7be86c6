//! The state that all threads of a runtime share: where tasks go, whom to notify, how it ends.
//!
//! ```text
//!   wake, spawn ──► on a worker?  ── yes ─► LIFO slot; the displaced task ─► its deque ─► notify
//!                        │ no                (woke itself: its deque, or `yielded`)
//!                        ▼                   (caught as a hog: the hog lane, `rescue.md`)
//!                    injector ─► notify; `urgent` if nobody is parked
//! ```
//!
//! **Cost.** Wake on a worker into the LIFO slot: one read-modify-write of the task's state and one swap
//! of the slot, no notification (where polls are long, one in 50 µs at most). Into the deque: a push (no read-modify-write) and, for the notification, a fence and a
//! load. Off a worker: one more count of the shared `Arc` and one less, a push to the injector, the fence and the load. A futex wake only if a
//! worker is parked and none searches. Spawn: a piece of memory, mostly one that this thread has freed (`task/pool.rs`), one lock of a sharded list, then as a wake.
//!
//! What it is made with: `scheduler/config.rs`. How it ends: `scheduler/shutdown.rs`.

use crate::block_on::Root;
use crate::blocking::Pool;
use crate::context::{self, EnterGuard};
use crate::crowd::Crowd;
use crate::idle::{Idle, Parked};
use crate::lane::Lane;
use crate::metrics::Counters;
use crate::park::Park;
use crate::report::Reporter;
use crate::rescue::Stamp;
use crate::slots::Slots;
use crate::sync::deque::{Injector, Steal};
use crate::sync::{AtomicBool, Mutex, Ordering, bug, scaled, thread_local};
use crate::task::{
    Cause, JoinHandle, Meta, Owned, Polled, Runnable, Schedule, Scheduled, Unbound, contain,
};
use crate::threads::Threads;
use crate::worker::{self, HOG, POLLED};
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::{Arc, Weak};

mod config;
mod shutdown;

pub use config::{Around, Config, Flavor, Hook, NameThread};

pub(crate) use config::call_hook;

/// How many shards the list of live tasks has for each worker. Who spawns moves on from shard to shard, those who complete the tasks follow; the more
/// shards, the seldomer they meet (`spawn_outside`).
const SHARDS_A_WORKER: usize = 16;

/// What all threads and handles share.
pub(crate) struct Shared {
    /// As given to [`Handle::start`].
    pub(crate) config: Config,
    /// What threads work with.
    pub(crate) slots: Slots,
    /// Who searches, who sleeps.
    pub(crate) idle: Idle,
    /// Whether there is a core for one more of them.
    pub(crate) crowd: Crowd,
    /// Tasks from outside the workers.
    injector: Injector<Runnable>,
    /// Tasks that come before those: the reactor thread woke them in the workers' stead, or they were found behind a stuck one. Fresh hogs
    /// may lie in the injector, and a spare would catch one after the other first.
    express: Injector<Runnable>,
    /// "Run an injected task first": set when tasks were injected while nobody was parked.
    urgent: CachePadded<AtomicBool>,
    /// The live tasks.
    pub(crate) owned: Owned<Shared>,
    /// What threads sleep on.
    pub(crate) park: Arc<dyn Park>,
    /// The threads that serve slots, or wait for one.
    pub(crate) threads: Threads,
    /// The threads that run blocking closures.
    pub(crate) blocking: Pool,
    /// The threads for tasks whose polls last too long.
    pub(crate) lane: Lane,
    /// Reports slow polls.
    pub(crate) reporter: Reporter,
    /// What happened outside of hot paths.
    pub(crate) counters: Counters,
    /// The name of threads that are started in an emergency; `None` until all workers have been started.
    pub(crate) spare_name: Mutex<Option<String>>,
    /// When the tasks that carry a time stamp were scheduled.
    pub(crate) stamps: Mutex<Vec<Stamp>>,
    /// Threads inside `block_on` of a current-thread runtime that wait for its slot.
    pub(crate) seekers: Mutex<Vec<Arc<Root>>>,
    /// The process that the threads belong to: a forked child has none of them.
    pub(crate) process: u32,
    /// Set at step 1 of the shutdown.
    closing: AtomicBool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("slots", &self.slots)
            .field("idle", &self.idle)
            .field("closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}

/// What is left to do for a task that was woken, once its worker is no longer looked at.
enum Rest {
    /// Nothing.
    Nothing,
    /// It belongs to the hog lane.
    Hog(Runnable, Arc<Shared>),
    /// The thread is no worker of its runtime.
    Outside(Scheduled<Shared>),
}

impl Schedule for Shared {
    #[inline]
    fn schedule(task: Scheduled<Self>, cause: Cause) {
        let rest = context::with_worker(|worker| match worker {
            Some(worker) if std::ptr::eq(&**worker.shared(), task.scheduler()) => {
                match worker.schedule(task.into_runnable(), cause) {
                    None => Rest::Nothing,
                    Some(hog) => Rest::Hog(hog, Arc::clone(worker.shared())),
                }
            }
            _ => Rest::Outside(task),
        });
        // Not inside: a thread may have to be started for it, and the user's function names that.
        match rest {
            Rest::Nothing => {}
            Rest::Hog(hog, shared) => shared.push_hog(hog),
            Rest::Outside(task) => Shared::schedule_from_outside(task),
        }
    }

    fn owned(&self) -> &Owned<Self> {
        &self.owned
    }

    #[inline]
    fn polled(&self, task: &Runnable) {
        if task.conduct() & (POLLED | HOG) != POLLED {
            self.judge(task);
        }
    }

    fn failed(&self, polled: Polled) {
        let counter = if polled == Polled::Panicked {
            &self.counters.panicked
        } else {
            &self.counters.aborted
        };
        // Relaxed: a counter.
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Schedules a task on a thread that is no worker of its runtime.
    // Out of line, so that the way of a worker is short enough to be inlined.
    #[inline(never)]
    fn schedule_from_outside(task: Scheduled<Shared>) {
        // After the push the task may complete and the runtime end: hold on to it.
        let shared = task.keep();
        let task = task.into_runnable();
        if context::stamps_injected() {
            shared.stamp(&task);
        }
        if task.conduct() & HOG != 0 {
            shared.push_hog(task);
        } else {
            shared.inject(task);
        }
    }

    /// Pushes a task where any worker can take it, and notifies one. The caller holds an `Arc`.
    pub(crate) fn inject(&self, task: Runnable) {
        if context::counted_in_batch(self) {
            self.express.push(task);
        } else if bug::INJECT_LATE.is_on() {
            self.injected();
            self.injector.push(task);
        } else {
            self.injector.push(task);
            self.injected();
        }
    }

    /// Pushes a task where the next worker takes it; the caller calls [`injected`](Shared::injected) afterwards.
    pub(crate) fn inject_first(&self, task: Runnable) {
        self.express.push(task);
    }

    /// Notifies for tasks that were just injected.
    #[inline]
    pub(crate) fn injected(&self) {
        // Relaxed: a hint; N1's fence in `notify` orders what must be ordered.
        if self.idle.parked() == 0 && !self.urgent.load(Ordering::Relaxed) {
            // Ordering: Release pairs with the AcqRel swap in `take_urgent`.
            self.urgent.swap(true, Ordering::Release);
        }
        self.notify();
    }

    /// Unparks a worker for work that was just pushed, if one should be.
    #[inline]
    pub(crate) fn notify(&self) {
        if let Some(slot) = self.idle.choose(|| self.park.in_driver()) {
            self.park.unpark(slot);
        }
    }

    /// Whether an injected task should be run first; asking clears the flag.
    #[inline]
    pub(crate) fn take_urgent(&self) -> bool {
        // Relaxed: missing the flag for a turn does no harm.
        self.urgent.load(Ordering::Relaxed) && self.urgent.swap(false, Ordering::AcqRel)
    }

    /// Takes one injected task, of those that come first; then sets `urgent` again if more are there.
    pub(crate) fn pop_urgent(&self) -> Option<Runnable> {
        let task = pop(&self.express).or_else(|| pop(&self.injector))?;
        if self.has_injected() {
            // Ordering: as in `injected`.
            self.urgent.swap(true, Ordering::Release);
        }
        Some(task)
    }

    /// Takes one injected task, whichever.
    pub(crate) fn pop_injected(&self) -> Option<Runnable> {
        pop(&self.injector).or_else(|| pop(&self.express))
    }

    /// Whether there is a task that comes before those in the injector.
    #[inline]
    pub(crate) fn has_express(&self) -> bool {
        !self.express.is_empty()
    }

    /// Takes a task that comes before those in the injector.
    #[inline]
    pub(crate) fn pop_express(&self) -> Option<Runnable> {
        if self.has_express() {
            pop(&self.express)
        } else {
            None
        }
    }

    /// Whether any task has been injected and not been taken.
    pub(crate) fn has_injected(&self) -> bool {
        !self.injector.is_empty() || !self.express.is_empty()
    }

    pub(crate) fn injector(&self) -> &Injector<Runnable> {
        &self.injector
    }

    /// How many tasks lie where others may take them, more or less: they come and go meanwhile (idle.md, S4).
    pub(crate) fn queued(&self) -> usize {
        let in_slots = self
            .slots
            .live_from(0)
            .map(|slot| self.slots.get(slot).queued());
        self.injector.len() + self.express.len() + in_slots.sum::<usize>()
    }

    /// Whether any queue that others may take from has a task (idle.md, P3 and S2).
    pub(crate) fn has_work(&self) -> bool {
        self.has_injected()
            || self.slots.live_from(0).any(|slot| {
                let slot = self.slots.get(slot);
                let yielded = !slot.yielded.is_empty() && !bug::YIELDED_UNSEEN.is_on();
                !slot.stealer.is_empty() || yielded
            })
    }

    /// The second look at the queues that a thread owes which has just parked (idle.md, P3).
    pub(crate) fn after_parking(&self, parked: Parked) {
        if parked == Parked::Recheck && self.has_work() {
            self.notify();
        }
    }

    /// Whether this is a forked child of the process that started the runtime.
    pub(crate) fn is_forked(&self) -> bool {
        self.process != (self.config.process_id)()
    }
}

/// A reference to an executor, through which tasks are spawned and futures driven.
#[derive(Clone)]
pub struct Handle {
    /// The executor.
    shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("flavor", &self.shared.config.flavor)
            .field("workers", &self.shared.config.workers)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Starts an executor whose threads sleep on `park`.
    ///
    /// # Errors
    ///
    /// When a worker thread cannot be started; those that were started end again.
    pub fn start(config: Config, park: Arc<dyn Park>) -> io::Result<Handle> {
        let (workers, spares, guests) = config.layout();
        let shared = Arc::new_cyclic(|me| Shared {
            slots: Slots::new(workers, spares, guests),
            idle: Idle::new(config.slots()),
            crowd: Crowd::new(),
            injector: Injector::new(),
            express: Injector::new(),
            urgent: CachePadded::new(AtomicBool::new(false)),
            owned: Owned::new(scaled(SHARDS_A_WORKER * config.workers, 1)),
            park,
            threads: Threads::new(workers, config.slots()),
            blocking: Pool::new(config.blocking(me)),
            lane: match config.rescue {
                Some(rescue) if rescue.lane > 0 => {
                    Lane::new(rescue.lane, rescue.lane + rescue.spares)
                }
                _ => Lane::new(0, 0),
            },
            reporter: Reporter::new(config.slow_polls.clone()),
            counters: Counters::default(),
            spare_name: Mutex::new(None),
            stamps: Mutex::new(Vec::new()),
            seekers: Mutex::new(Vec::new()),
            process: (config.process_id)(),
            closing: AtomicBool::new(false),
            config,
        });
        shared.owned.adopt(Arc::clone(&shared));
        let handle = Handle { shared };
        for slot in 0..workers {
            handle.shared.slots.enliven(slot);
        }
        for slot in 0..workers {
            if let Err(error) = worker::start_thread(&handle.shared, slot) {
                handle.shutdown(None);
                return Err(error);
            }
        }
        handle.shared.keep_name();
        Ok(handle)
    }

    /// The handle of the runtime that this thread is in, if any.
    pub fn try_current() -> Option<Handle> {
        context::handle().map(|handle| Handle::clone(&handle))
    }

    /// Spawns a task on the runtime that this thread is in; outside of one, drops the future and returns `None`.
    #[inline]
    pub fn spawn_current<F>(
        future: F,
        location: &'static Location<'static>,
    ) -> Option<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // Into its cell first: so it is moved once.
        let (handle, task) = Unbound::new(future, Meta::new(location));
        let refused = context::with_handle(|current| match current {
            Some(current) => Ok(current.spawn_task(task)),
            None => Err(task),
        });
        match refused {
            Ok(None) => Some(handle),
            // Foreign code: outside of all borrows.
            Ok(Some(task)) => {
                task.cancel();
                Some(handle)
            }
            Err(task) => {
                task.cancel();
                None
            }
        }
    }

    /// Makes this handle the current one of this thread while the guard lives.
    pub fn enter(&self) -> EnterGuard {
        context::enter(self.clone())
    }

    /// Spawns a task.
    ///
    /// While the executor shuts down, or after, the future is dropped at once and the handle says
    /// "cancelled".
    #[inline]
    pub fn spawn<F>(
        &self,
        future: F,
        location: &'static Location<'static>,
        name: Option<Box<str>>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (handle, task) = Unbound::new(future, meta(location, name));
        if let Some(task) = self.spawn_task(task) {
            task.cancel();
        }
        handle
    }

    /// Takes a new task in and schedules it; gives it back if the executor is closed. Runs no foreign code.
    #[inline]
    fn spawn_task(&self, task: Unbound<Shared>) -> Option<Unbound<Shared>> {
        let shared = &self.shared;
        let task = match shared.owned.admit(task, shard_hint()) {
            Ok(task) => task,
            Err(task) => return Some(task),
        };
        let outside = context::with_worker(|worker| match worker {
            Some(worker) if Arc::ptr_eq(worker.shared(), shared) => {
                worker.spawned(task);
                None
            }
            _ => Some(task),
        });
        if let Some(task) = outside {
            if context::stamps_injected() {
                shared.stamp(&task);
            }
            shared.inject(task);
        }
        None
    }

    /// Runs a closure on the pool for blocking work.
    pub fn spawn_blocking<F, R>(
        &self,
        f: F,
        location: &'static Location<'static>,
        name: Option<Box<str>>,
    ) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.shared.blocking.spawn(f, meta(location, name))
    }

    /// Runs foreign code, and ends a panic of it there; returns whether it came through.
    pub fn contain(f: impl FnOnce()) -> bool {
        contain(f).is_ok()
    }

    /// Notifies for the tasks that were woken inside [`batch`](crate::batch).
    #[inline]
    pub fn injected(&self) {
        self.shared.injected();
    }

    /// Drives `future` on the calling thread, see the `guest` and `current_thread` modules.
    ///
    /// # Panics
    ///
    /// On a thread that polls a task or a root already.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        crate::block_on::block_on(&self.shared, future)
    }

    /// Which threads run the tasks.
    pub fn flavor(&self) -> Flavor {
        self.shared.config.flavor
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.shared.config.workers
    }

    /// The number of tasks that have not completed.
    pub fn live_tasks(&self) -> usize {
        self.shared.owned.len()
    }

    /// The number of tasks in the injector.
    pub fn injector_depth(&self) -> usize {
        self.shared.injector.len() + self.shared.express.len()
    }

    /// Whether jobs of the blocking pool are queued or running.
    pub fn is_blocking_pool_busy(&self) -> bool {
        let stats = self.shared.blocking.stats();
        stats.queued > 0 || stats.threads > stats.idle
    }

    /// A weak reference, for those whom the executor itself keeps.
    pub fn downgrade(&self) -> WeakHandle {
        WeakHandle(Arc::downgrade(&self.shared))
    }

    /// A slot that some thread serves.
    pub fn serving_slot(&self) -> usize {
        self.shared.slots.live_from(0).next().unwrap_or(0)
    }

    /// How many slots, from the first, have ever been served.
    pub fn used_slots(&self) -> usize {
        self.shared.slots.used()
    }

    /// Whether a thread serves `slot`, asleep or awake.
    pub fn is_live(&self, slot: usize) -> bool {
        self.shared.slots.is_live(slot)
    }

    /// Whether every live slot is parked and no hog is polled, so that nothing can become stuck or late.
    pub fn is_idle(&self) -> bool {
        if self.shared.lane.is_busy() {
            return false;
        }
        // In this order: a slot that becomes live and parks in between must not make up for one that is awake.
        let parked = self.shared.idle.parked();
        self.shared.slots.count_live() <= parked
    }

    /// Whether some worker is parked.
    pub fn has_parked(&self) -> bool {
        self.shared.idle.parked() > 0
    }

    /// Unparks one parked worker if there is one, so that it takes over the polling duty.
    pub fn rouse_one(&self) {
        self.shared.notify();
    }

    /// Makes a watchman over this executor's slots.
    pub fn watchman(&self) -> crate::Watchman {
        crate::Watchman::new(&self.shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn from_shared(shared: Arc<Shared>) -> Handle {
        Handle { shared }
    }
}

/// A reference to an executor that does not keep it.
#[derive(Debug, Clone)]
pub struct WeakHandle(Weak<Shared>);

impl WeakHandle {
    /// The handle, unless the executor is gone.
    pub fn upgrade(&self) -> Option<Handle> {
        self.0.upgrade().map(Handle::from_shared)
    }
}

/// Takes the first task of a queue.
pub(crate) fn pop(queue: &Injector<Runnable>) -> Option<Runnable> {
    loop {
        match queue.steal() {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            Steal::Retry => {}
        }
    }
}

#[inline]
fn meta(location: &'static Location<'static>, name: Option<Box<str>>) -> Meta {
    let meta = Meta::new(location);
    match name {
        Some(name) => meta.name(name),
        None => meta,
    }
}

/// Chooses the shard of the list of live tasks for the next task of this thread.
///
/// Threads start at different shards, and move on after every 64 tasks: those who steal a batch of tasks and complete them then do
/// not contend with the spawner for one lock.
#[inline]
fn shard_hint() -> usize {
    thread_local!(static SPAWNED: Cell<usize> = const { Cell::new(0) });
    SPAWNED
        .try_with(|spawned| {
            let count = spawned.get();
            spawned.set(count.wrapping_add(1));
            // Thread-locals of different threads lie pages apart.
            (std::ptr::from_ref(spawned).addr() >> 12).wrapping_add(count >> 6)
        })
        .unwrap_or(0)
}
