//! The worker: a thread that serves a slot. Next task, run it, steal, park.
//!
//! One turn of the loop, in this order:
//!
//! 1. every `event_interval` ticks, a look at the driver; every `injector_interval` ticks, one task of the
//!    injector first, so that neither starves behind a full deque;
//! 2. the slot's signal word (shutdown, stuck) and the `urgent` flag: one relaxed load each;
//! 3. the LIFO slot, at most three times in a row, then the deque, then a batch of the injector;
//! 4. search: the other live slots in a random order, the injector, at last the LIFO slots of those who compute
//!    for long;
//! 5. park, as `idle.md` says.
//!
//! **The LIFO slot** takes a task that a running task woke or spawned: it will run next, with warm caches, and nobody is
//! notified. That is wrong when the running task computes on for long. So a worker keeps an average of how long
//! its polls last (from clock reads at every eighth parking and at looks, never one a poll), and one whose polls last
//! [`LONG_POLL`] on average does notify. A searcher takes from a LIFO slot only on its last attempt, and only if
//! the owner's epoch has not moved for [`LIFO_PATIENCE`].
//!
//! **Cost of a turn** that runs a task of the LIFO slot: a store to the epoch line, two relaxed loads, a swap; of the deque:
//! its pop. No clock read, no lock, no allocation.

use crate::budget;
use crate::context;
use crate::idle::Left;
use crate::park::Gathered;
use crate::scheduler::{Flavor, Handle, Shared, call_hook};
use crate::slots::{SHUTDOWN, STUCK, Seat, Slot};
use crate::sync::Ordering;
use crate::task::{Cause, Reason, Runnable, contain};
use crossbeam_deque::{Steal, Worker as Deque};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many tasks in a row may come from the LIFO slot. Tokio's figure; a pair of tasks that wake each other must not
/// keep the rest of the deque waiting.
const LIFO_STREAK: u8 = 3;
/// A worker whose polls last this long on average notifies for its LIFO slot too. Below it, the owner itself
/// is sooner than a thread that must be woken first (5 to 50 µs).
const LONG_POLL: Duration = Duration::from_micros(20);
/// A window of the poll average begins after every so many times of parking (and at every look at the driver): the average
/// changes slowly, and a clock read costs a twentieth of a system call.
const WINDOW_EVERY: u32 = 8;
/// How long the owner's epoch must stand still before its LIFO slot is stolen from.
const LIFO_PATIENCE: Duration = Duration::from_micros(5);

/// Set in a task's conduct once it has completed a poll.
pub(crate) const POLLED: u8 = 1;
/// Set in a task's conduct once it has called `block_in_place`.
pub(crate) const BLOCKER: u8 = 2;

/// What the thread that serves the slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A worker, or a spare in its place.
    Worker,
    /// The thread inside `block_on` of a multi-thread runtime.
    Guest,
    /// The thread inside `block_on` of a current-thread runtime.
    CurrentThread,
}

/// The state of a thread that serves a slot; lives on that thread.
pub(crate) struct Worker {
    /// What all threads share.
    shared: Arc<Shared>,
    /// The index of the slot it serves.
    slot: usize,
    /// What the thread is.
    role: Role,
    /// The owner's end of the slot's deque.
    deque: Deque<Runnable>,
    /// How many tasks in a row came from the LIFO slot.
    streak: Cell<u8>,
    /// Whether it is counted as searching.
    searching: Cell<bool>,
    /// While the driver's wakers run: wake-ups go to the deque and notify nobody.
    dispatching: Cell<bool>,
    /// How many tasks the driver's wakers sent to the injector (guests only).
    sent_away: Cell<usize>,
    /// Whether the slot was given up inside `block_in_place`.
    retired: Cell<bool>,
    /// Turns until the next look at the driver, and until the injector comes first. Counted down: a division by a number that
    /// is not known at compile time would cost as much as a queue operation.
    look_in: Cell<u32>,
    injector_in: Cell<u32>,
    /// The last published epoch.
    epoch: Cell<u64>,
    /// State of the xorshift generator that picks the first victim.
    random: Cell<u32>,
    /// When the present window of the poll average began, and the epoch then; `None` between two windows.
    window: Cell<Option<(Instant, u64)>>,
    /// Times of parking until a window begins again.
    window_in: Cell<u32>,
    /// Whether polls lasted `LONG_POLL` on average in the last window.
    long_polls: Cell<bool>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("slot", &self.slot)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Starts a thread that serves `slot`, and later whatever slot it is handed.
pub(crate) fn start_thread(shared: &Arc<Shared>, slot: usize) -> io::Result<()> {
    // The user's function names it; std takes no zero byte.
    let name = contain(|| (shared.config.thread_name)().replace('\0', "")).unwrap_or_default();
    let mut builder = std::thread::Builder::new().name(name);
    if let Some(stack_size) = shared.config.stack_size {
        builder = builder.stack_size(stack_size);
    }
    let owned = Arc::clone(shared);
    shared
        .threads
        .start(builder, move || thread_main(&owned, slot))
}

fn thread_main(shared: &Arc<Shared>, slot: usize) {
    /// Ends the membership, whatever happens; the shutdown waits for it.
    struct Leave<'a>(&'a Shared);
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            if self.0.threads.leave() {
                self.0.finish_shutdown();
            }
        }
    }

    let _entered = Handle::from_shared(Arc::clone(shared)).enter();
    let _member = context::set_member(shared);
    let mut body = || {
        // Inside the context: what is dropped at the end may spawn.
        let _leave = Leave(shared);
        call_hook(&shared.config.on_thread_start);
        serve_slots(shared, slot);
        call_hook(&shared.config.on_thread_stop);
    };
    match &shared.config.around {
        Some(around) => around(&mut body),
        None => body(),
    }
}

/// Serves one slot after another until the shutdown, or until none is handed over for a while.
fn serve_slots(shared: &Arc<Shared>, first: usize) {
    let mut slot = first;
    loop {
        let worker = Worker::new(shared, slot, Role::Worker);
        {
            let _polling = context::set_polling(true);
            let before = context::set_worker(Some(Rc::clone(&worker)));
            worker.run();
            context::set_worker(before);
        }
        worker.leave_slot(Seat::Worker);
        match shared.threads.wait_for_slot(shared.config.keep_alive) {
            Some(next) => slot = next,
            None => return,
        }
    }
}

impl Worker {
    /// Takes `slot`, which must be the caller's to take.
    pub(crate) fn new(shared: &Arc<Shared>, slot: usize, role: Role) -> Rc<Worker> {
        shared.park.adopt(slot);
        shared.slots.enliven(slot);
        shared.park.activated();
        // Ordering: Relaxed, a slot's epoch is only compared with itself.
        let epoch = shared.slots.get(slot).epoch.load(Ordering::Relaxed);
        Rc::new(Worker {
            shared: Arc::clone(shared),
            slot,
            role,
            deque: shared.slots.take_deque(slot),
            streak: Cell::new(0),
            searching: Cell::new(false),
            dispatching: Cell::new(false),
            sent_away: Cell::new(0),
            retired: Cell::new(false),
            look_in: Cell::new(shared.config.event_interval),
            injector_in: Cell::new(shared.config.injector_interval),
            epoch: Cell::new(epoch),
            // Any odd number that differs between slots.
            random: Cell::new(slot as u32 * 2 + 0x9E37_79B9),
            window: Cell::new(None),
            window_in: Cell::new(1),
            long_polls: Cell::new(false),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    pub(crate) fn own(&self) -> &Slot {
        self.shared.slots.get(self.slot)
    }

    // ---------------------------------------------------------------- where tasks go

    /// A task was woken on this thread.
    #[inline]
    pub(crate) fn schedule(&self, task: Runnable, cause: Cause) {
        if cause == Cause::Yielded {
            // Behind everybody else. A task that yields alone is no news to others.
            let alone = self.deque.is_empty() && self.own().lifo.is_empty();
            self.deque.push(task);
            if !alone {
                self.notify();
            }
        } else if self.role == Role::Guest && (self.dispatching.get() || task.conduct() != POLLED) {
            // A guest is bound to its root: it takes only what the root woke and what has been polled before.
            self.send_away(task);
        } else if self.dispatching.get() {
            self.deque.push(task);
        } else {
            self.push_lifo(task);
        }
    }

    /// A task was spawned on this thread.
    #[inline]
    pub(crate) fn spawned(&self, task: Runnable) {
        if self.role == Role::Guest {
            self.send_away(task);
        } else if self.dispatching.get() {
            self.deque.push(task);
        } else {
            self.push_lifo(task);
        }
    }

    #[inline]
    fn push_lifo(&self, task: Runnable) {
        if !self.shared.config.lifo_slot {
            self.deque.push(task);
            self.notify();
        } else if let Some(displaced) = self.own().lifo.put(task) {
            self.deque.push(displaced);
            self.notify();
        } else if self.long_polls.get() {
            self.notify();
        }
    }

    fn send_away(&self, task: Runnable) {
        if self.dispatching.get() {
            self.sent_away.set(self.sent_away.get() + 1);
            self.shared.injector().push(task);
        } else {
            self.shared.inject(task);
        }
    }

    #[inline]
    fn notify(&self) {
        // On the current-thread flavor nobody else can take anything.
        if self.role != Role::CurrentThread {
            self.shared.notify();
        }
    }

    /// Moves everything that this slot holds to the injector.
    pub(crate) fn drain_to_injector(&self) {
        let mut moved = false;
        while let Some(task) = self.own().lifo.take().or_else(|| self.deque.pop()) {
            self.shared.injector().push(task);
            moved = true;
        }
        if moved {
            self.shared.injected();
        }
    }

    /// Shutdown step 3: drops everything that this slot holds.
    pub(crate) fn drop_tasks(&self) {
        while let Some(task) = self.own().lifo.take().or_else(|| self.deque.pop()) {
            task.cancel(Reason::Cancelled);
        }
    }

    // ---------------------------------------------------------------- the loop

    fn run(&self) {
        let config = &self.shared.config;
        // A local task comes between two urgent ones.
        let mut after_urgent = false;
        // A slot given up inside `block_in_place` is not touched any more.
        while !self.retired.get() {
            if count_down(&self.look_in, config.event_interval) {
                self.look_at_driver();
            }
            if count_down(&self.injector_in, config.injector_interval)
                && let Some(task) = self.shared.pop_injected(false)
            {
                self.run_task(task);
                continue;
            }
            // Relaxed: raised with an unpark, or found a turn later.
            let signal = self.own().signal.load(Ordering::Relaxed);
            if signal != 0 && self.heed(signal) {
                break;
            }
            if !after_urgent
                && self.shared.take_urgent()
                && let Some(task) = self.shared.pop_injected(true)
            {
                after_urgent = true;
                self.run_task(task);
                continue;
            }
            after_urgent = false;
            if let Some(task) = self.next_local().or_else(|| self.pop_injected_batch()) {
                self.run_task(task);
                continue;
            }
            if let Some(task) = self.search() {
                self.run_task(task);
                continue;
            }
            self.park();
        }
        self.stop_searching();
    }

    /// Deals with the signal word; `true` ends the loop.
    #[cold]
    pub(crate) fn heed(&self, signal: u32) -> bool {
        if signal & SHUTDOWN != 0 {
            self.stop_searching();
            self.drop_tasks();
            return true;
        }
        // Ordering: AcqRel pairs with `Slot::raise`.
        self.own().signal.fetch_and(SHUTDOWN, Ordering::AcqRel);
        if signal & STUCK != 0 {
            self.long_polls.set(true);
        }
        false
    }

    #[inline]
    pub(crate) fn run_task(&self, task: Runnable) {
        self.stop_searching();
        self.advance_epoch();
        // How the poll ended is the task's own business.
        let _ = budget::with(|| task.run());
    }

    #[inline]
    pub(crate) fn advance_epoch(&self) {
        let epoch = self.epoch.get() + 1;
        self.epoch.set(epoch);
        // Relaxed: the watchman and LIFO thieves compare it with an earlier value, nothing else.
        self.own().epoch.store(epoch, Ordering::Relaxed);
    }

    /// The next task of the slot's own.
    #[inline]
    pub(crate) fn next_local(&self) -> Option<Runnable> {
        if let Some(task) = self.own().lifo.take() {
            let streak = self.streak.get();
            if streak < LIFO_STREAK {
                self.streak.set(streak + 1);
                return Some(task);
            }
            self.deque.push(task);
        }
        self.streak.set(0);
        self.deque.pop()
    }

    /// Whether the slot holds a task.
    pub(crate) fn has_local(&self) -> bool {
        !self.deque.is_empty() || !self.own().lifo.is_empty()
    }

    pub(crate) fn pop_injected_batch(&self) -> Option<Runnable> {
        let injector = self.shared.injector();
        if injector.is_empty() {
            return None;
        }
        loop {
            match injector.steal_batch_and_pop(&self.deque) {
                Steal::Success(task) => return Some(task),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

    // ---------------------------------------------------------------- search

    /// Looks at everybody else's queues, if not too many others do.
    fn search(&self) -> Option<Runnable> {
        if !self.searching.get() {
            if !self.shared.idle.try_search(self.shared.slots.count_live()) {
                return None;
            }
            self.searching.set(true);
        }
        let start = self.next_random() as usize % self.shared.slots.len();
        loop {
            let mut contended = false;
            for victim in self.shared.slots.live_from(start) {
                if victim == self.slot {
                    continue;
                }
                let stealer = &self.shared.slots.get(victim).stealer;
                match stealer.steal_batch_and_pop(&self.deque) {
                    Steal::Success(task) => return Some(task),
                    Steal::Empty => {}
                    Steal::Retry => contended = true,
                }
            }
            if let Some(task) = self.pop_injected_batch() {
                return Some(task);
            }
            if !contended {
                break;
            }
        }
        self.steal_lifo(start)
    }

    /// The last attempt: the LIFO slot of somebody who computes for long.
    fn steal_lifo(&self, start: usize) -> Option<Runnable> {
        for victim in self.shared.slots.live_from(start) {
            let slot = self.shared.slots.get(victim);
            if victim == self.slot || slot.lifo.is_empty() {
                continue;
            }
            // Relaxed: compared with itself only.
            let epoch = slot.epoch.load(Ordering::Relaxed);
            let since = Instant::now();
            let moved = loop {
                if slot.epoch.load(Ordering::Relaxed) != epoch || slot.lifo.is_empty() {
                    break true;
                }
                if since.elapsed() >= LIFO_PATIENCE {
                    break false;
                }
                std::hint::spin_loop();
            };
            if !moved && let Some(task) = slot.lifo.take() {
                return Some(task);
            }
        }
        None
    }

    /// Ends the search, because work was found or the thread does something else.
    #[inline]
    pub(crate) fn stop_searching(&self) {
        if self.searching.replace(false) && self.shared.idle.found_work() && self.shared.has_work()
        {
            self.shared.notify();
        }
    }

    fn next_random(&self) -> u32 {
        // xorshift32: Marsaglia, "Xorshift RNGs", 2003.
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x
    }

    // ---------------------------------------------------------------- driver and parking

    /// A look at the driver without sleeping.
    #[cold]
    pub(crate) fn look_at_driver(&self) {
        self.measure_polls();
        self.begin_window();
        if self.shared.park.look(self.slot) == Gathered::Something {
            self.dispatch();
        }
    }

    /// Wakes what the driver has gathered; the thread must not be parked or searching (idle.md).
    pub(crate) fn dispatch(&self) {
        self.stop_searching();
        self.advance_epoch();
        self.dispatching.set(true);
        self.shared.park.dispatch(self.slot);
        self.dispatching.set(false);
        if self.sent_away.replace(0) > 0 {
            self.shared.park.passed_on();
            self.shared.injected();
        }
        // One task is for this thread; more than one is work for others too.
        if self.deque.len() > 1 {
            self.notify();
        }
    }

    /// Closes a window of the poll average.
    fn measure_polls(&self) {
        let Some((since, epoch)) = self.window.take() else {
            return;
        };
        let polls = self.epoch.get() - epoch;
        if polls == 0 {
            return;
        }
        let now = Instant::now();
        let average = now.duration_since(since) / u32::try_from(polls).unwrap_or(u32::MAX);
        self.long_polls.set(average >= LONG_POLL);
    }

    fn begin_window(&self) {
        self.window.set(Some((Instant::now(), self.epoch.get())));
    }

    fn park(&self) {
        let shared = &*self.shared;
        self.measure_polls();
        if shared.config.on_thread_park.is_some() {
            // A user's hook may wake and spawn tasks: it runs before the last look at the queues, while the thread counts as
            // active.
            self.stop_searching();
            call_hook(&shared.config.on_thread_park);
            if self.has_local() {
                call_hook(&shared.config.on_thread_unpark);
                return;
            }
        }
        let parked = shared.idle.park(self.slot, self.searching.replace(false));
        shared.after_parking(parked);
        let gathered = loop {
            let gathered = shared.park.park(self.slot);
            if !shared.idle.is_parked(self.slot) {
                self.searching.set(true);
                break gathered;
            }
            // Relaxed: the unpark that follows a signal orders it.
            let signalled = self.own().signal.load(Ordering::Relaxed) != 0;
            if gathered == Gathered::Something || signalled {
                if shared.idle.leave(self.slot) == Left::Chosen {
                    self.searching.set(true);
                }
                break gathered;
            }
        };
        shared.park.activated();
        if shared.config.on_thread_unpark.is_some() {
            self.stop_searching();
            call_hook(&shared.config.on_thread_unpark);
        }
        if count_down(&self.window_in, WINDOW_EVERY) {
            self.begin_window();
        }
        if gathered == Gathered::Something {
            self.dispatch();
        }
    }

    // ---------------------------------------------------------------- leaving the slot

    /// Stops serving the slot for a while, so that the thread may block: what it holds goes to the
    /// injector, and a spare takes its place if one can be had.
    pub(crate) fn step_aside(&self) {
        let shared = &self.shared;
        self.stop_searching();
        shared.slots.retire(self.slot);
        self.drain_to_injector();
        shared.park.retire(self.slot);
        if self.role != Role::Worker || !shared.threads.deactivate(shared.config.workers) {
            return;
        }
        let Some(stand_in) = shared.free_slot(Seat::Worker) else {
            return;
        };
        // Active from now on, not only when it has woken up.
        let active = shared.threads.activate(shared.config.workers);
        debug_assert!(active, "there is room: this thread has just made it");
        if !shared.threads.hand_to_spare(stand_in) && start_thread(shared, stand_in).is_err() {
            // No thread to be had: the others go on with one worker fewer until this one is back.
            let _ = shared.threads.deactivate(shared.config.workers);
            shared.slots.give_back(stand_in, Seat::Worker);
        }
    }

    /// Serves the slot again after [`step_aside`](Worker::step_aside), if there is room; else the
    /// thread finishes its poll without a slot and becomes a spare.
    #[must_use]
    pub(crate) fn step_back(&self) -> bool {
        let shared = &self.shared;
        if self.role == Role::Worker && !shared.threads.activate(shared.config.workers) {
            self.retired.set(true);
            return false;
        }
        shared.park.adopt(self.slot);
        shared.slots.enliven(self.slot);
        shared.park.activated();
        self.advance_epoch();
        true
    }

    /// Puts the deque back and frees the slot; the thread is no worker any more.
    pub(crate) fn leave_slot(self: Rc<Self>, seat: Seat) {
        let shared = Arc::clone(&self.shared);
        let slot = self.slot;
        if !self.retired.get() {
            shared.slots.retire(slot);
            self.drain_to_injector();
            shared.park.retire(slot);
        }
        let worker = Rc::into_inner(self).expect("nobody else holds on to a worker that has left");
        shared.slots.put_deque(slot, worker.deque);
        shared.slots.give_back(slot, seat);
    }

    pub(crate) fn flavor(&self) -> Flavor {
        self.shared.config.flavor
    }
}

/// Whether this is the last of `interval` calls; begins again then.
#[inline]
fn count_down(left: &Cell<u32>, interval: u32) -> bool {
    let now = left.get() - 1;
    left.set(if now == 0 { interval } else { now });
    now == 0
}
