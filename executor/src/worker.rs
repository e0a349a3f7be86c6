//! The worker: a thread that serves a slot. Next task, run it, steal, park.
//!
//! One turn of the loop, in this order:
//!
//! 1. chores, when their time has come: every `event_interval` ticks, or 200 µs if polls
//!    take long, a look at the driver; every `injector_interval` ticks, one task of the
//!    injector, or one that yielded, first, so that neither starves behind a full deque; every [`SAMPLE_INTERVAL`] ticks, a poll is timed;
//! 2. the slot's signal word (shutdown, stuck) and, if it is time, the `urgent` flag: one relaxed load each;
//! 3. the LIFO slot, at most three times in a row, then the deque, then a batch of the injector, then what yielded;
//! 4. search (`worker/search.rs`): the other live slots in a random order, the injector, what yielded in other slots, at last (after some patience, if it has stolen before) the LIFO slots of those who
//!    compute for long;
//! 5. look at the driver, if that is likely to do instead of parking (`worker/look.rs`);
//! 6. park, as `idle.md` says.
//!
//! **The LIFO slot** takes a task that a running task woke or spawned: it will run next, with warm caches, and nobody is
//! notified. That is wrong when the running task computes on for long. So a worker keeps an average of how long
//! its polls last (from clock reads at every eighth parking and at looks, never one a poll), and one whose polls last
//! 20 µs on average does notify, every 50 µs at most (`worker/polls.rs`). By the same average it tells whether what its driver has woken is
//! enough work for two (`idle.md`, N6).
//!
//! **Urgent** is what others injected while nobody slept: it comes before the slot's own tasks, one of each in turn. But a batch that
//! came out of the injector itself runs first, as far as that takes less than [`URGENT_WAIT`] by the average: else the flag and the injector's head
//! travel between the threads for every task of somebody who spawns many from outside.
//!
//! **Yielded** tasks go to the end of the deque; where their polls take long enough, to a queue that comes last, after a look at the driver (`worker/yields.rs`).
//!
//! **Samples.** How long polls last and how long tasks wait to be polled is known from one turn in [`SAMPLE_INTERVAL`]: then the poll is timed, and
//! the next task that this thread schedules gets a time stamp, kept beside the queue, and a mark that the thread which polls it finds.
//!
//! **Cost of a turn** that runs a task of the LIFO slot: two stores to the epoch line (the epoch, and whom it is about), three relaxed loads, a swap; of
//! the deque: its pop. One countdown for all chores. No clock read, no lock, no allocation. Parking reads the clock twice, for the busy time; a push into the LIFO slot
//! reads it once while polls are long and a worker is parked.

use crate::budget;
use crate::context;
use crate::guest;
use crate::idle::{Left, is_for_others};
use crate::metrics::bump;
use crate::park::Gathered;
use crate::scheduler::{Flavor, Shared, call_hook};
use crate::slots::{SHUTDOWN, STUCK, Seat, Slot};
use crate::sync::deque::{Steal, Worker as Deque};
use crate::sync::{Ordering, now};
use crate::task::{Cause, Place, Polled, Runnable};
use crate::threads::Back;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

mod company;
mod leaving;
mod look;
mod polls;
mod search;
mod yields;

use look::ShortParks;
use polls::{WINDOW_EVERY, count_down};
use yields::Yields;

/// How many tasks in a row may come from the LIFO slot. Tokio's figure; a pair of tasks that wake each other must not
/// keep the rest of the deque waiting.
const LIFO_STREAK: u8 = 3;
/// So long, by the average of the polls, what is urgent waits behind the rest of a batch. Less than what waking a thread takes.
const URGENT_WAIT: u64 = 20_000;
/// One poll in so many is timed. A prime, so that it does not beat with the other intervals or with patterns of the program's own; as many as keep the
/// cost of a sample, some 700 instructions, below one in a hundred (`benches/instructions`).
pub(crate) const SAMPLE_INTERVAL: u32 = 251;

/// Set in a task's conduct once it has completed a poll.
pub(crate) const POLLED: u8 = 1;
/// Set in a task's conduct once it has called `block_in_place`.
pub(crate) const BLOCKER: u8 = 2;
/// Set in a task's conduct when it was caught in a poll that lasted too long: it belongs to the hog lane.
pub(crate) const HOG: u8 = 4;
/// Set in a task's conduct when the time of its being scheduled is known.
pub(crate) const STAMPED: u8 = 8;
/// Two bits in a task's conduct that count its short polls in the lane.
pub(crate) const SHORT_POLLS: u8 = 16 | 32;
/// One short poll.
pub(crate) const ONE_SHORT: u8 = 16;

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
    /// The slot itself.
    own: Arc<CachePadded<Slot>>,
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
    /// Whether it has stolen from a deque since it last looked around in vain.
    has_stolen: Cell<bool>,
    /// The last batch that it took from a queue of others, if it has not run it to the end.
    batch: Cell<Option<Batch>>,
    /// How many tasks the driver's wakers sent to the injector (guests only).
    sent_away: Cell<usize>,
    /// How many tasks more of this dispatch a guest may keep, to run them itself.
    places: Cell<u8>,
    /// How many it has kept, and not run yet.
    kept: Cell<u8>,
    /// Whether it has kept any since it was last asked.
    has_company: Cell<bool>,
    /// Whether a guest has left tasks to the workers.
    has_left: Cell<bool>,
    /// Whether the slot was given up inside `block_in_place`.
    retired: Cell<bool>,
    /// Turns before urgent tasks come first again.
    not_urgent: Cell<u64>,
    /// What is known of tasks that yield.
    yields: Yields,
    /// Turns until the next chore.
    chore_in: Cell<u32>,
    /// Turns until each of them, as of the last chore. Counted down: a division by a number that is not known at compile time would cost as
    /// much as a queue operation.
    chores: Cell<Chores>,
    /// The next task that is scheduled here gets a time stamp.
    stamp_next: Cell<bool>,
    /// Whether it finds events as soon as it parks.
    short_parks: ShortParks,
    /// Since when the thread has been awake.
    active_since: Cell<Instant>,
    /// State of the xorshift generator that picks the first victim.
    random: Cell<u32>,
    /// When the present window of the poll average began, and the epoch then; `None` between two windows.
    window: Cell<Option<(Instant, u64)>>,
    /// Times of parking until a window begins again.
    window_in: Cell<u32>,
    /// How long polls lasted on average in the last window; as long as can be before there was one.
    poll_nanos: Cell<u64>,
    /// When it last looked at the driver.
    looked_at: Cell<Instant>,
    /// The slot's epoch at the last look, or when the thread woke up after it.
    looked: Cell<u64>,
    /// When it last notified for its LIFO slot.
    lifo_notified: Cell<Instant>,
    /// The longest average between two looks of late, forgotten little by little: after some short polls, long ones may come again. As long as can be before there was one.
    recent_nanos: Cell<u64>,
    /// Whether that was 20 µs, or the watchman has found this thread stuck since.
    long_polls: Cell<bool>,
}

/// Tasks that were taken at once from a queue of others.
#[derive(Debug, Clone, Copy)]
struct Batch {
    /// How many.
    tasks: u64,
    /// When.
    since: Instant,
    /// The slot's epoch then.
    epoch: u64,
}

/// Turns until each chore, from the last one on.
#[derive(Debug, Clone, Copy)]
struct Chores {
    /// How many turns there were between that chore and the next one.
    span: u32,
    /// Turns until the next look at the driver.
    look: u32,
    /// Turns until the injector comes first.
    injector: u32,
    /// Turns until a poll is timed.
    sample: u32,
}

/// What the chores of a turn ask for.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Turn {
    /// Go on.
    Usual,
    /// Go on, and time the poll.
    Timed,
    /// The turn is over.
    Done,
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
    let owned = Arc::clone(shared);
    shared.start_member(Box::new(move || {
        call_hook(&owned.config.on_thread_start);
        serve_slots(&owned, slot);
        call_hook(&owned.config.on_thread_stop);
    }))
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
        let own = shared.slots.share(slot);
        // What was polled here last is no business of this thread.
        // Relaxed: as in `publish`.
        own.polling.store(Place::IDLE.0, Ordering::Relaxed);
        shared.park.adopt(slot);
        shared.slots.enliven(slot);
        shared.park.activated();
        let config = &shared.config;
        let id = (config.probe).map_or(0, |probe| context::thread_id(shared.process, probe.id));
        // Relaxed: for reports only.
        own.thread.store(id, Ordering::Relaxed);
        let now = now();
        // Relaxed: written by the thread that serves the slot.
        let epoch = own.epoch.load(Ordering::Relaxed);
        // The first sample half-way, so that it does not fall together with the rest while intervals are equal.
        let sample = SAMPLE_INTERVAL / 2;
        let chores = Chores {
            // At once: the second look learns how long the first poll took.
            span: 1,
            look: 1,
            injector: config.injector_interval,
            sample,
        };
        Rc::new(Worker {
            shared: Arc::clone(shared),
            slot,
            own,
            role,
            deque: shared.slots.take_deque(slot),
            streak: Cell::new(0),
            searching: Cell::new(false),
            dispatching: Cell::new(false),
            has_stolen: Cell::new(false),
            batch: Cell::new(None),
            sent_away: Cell::new(0),
            places: Cell::new(0),
            kept: Cell::new(0),
            has_company: Cell::new(false),
            has_left: Cell::new(false),
            retired: Cell::new(false),
            not_urgent: Cell::new(0),
            yields: Yields::default(),
            chore_in: Cell::new(chores.span),
            chores: Cell::new(chores),
            stamp_next: Cell::new(false),
            short_parks: ShortParks::default(),
            active_since: Cell::new(now),
            // Any odd number that differs between slots.
            random: Cell::new(slot as u32 * 2 + 0x9E37_79B9),
            window: Cell::new(None),
            window_in: Cell::new(1),
            poll_nanos: Cell::new(u64::MAX),
            looked_at: Cell::new(now),
            looked: Cell::new(epoch),
            lifo_notified: Cell::new(now),
            recent_nanos: Cell::new(u64::MAX),
            long_polls: Cell::new(false),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    #[inline]
    pub(crate) fn own(&self) -> &Slot {
        &self.own
    }

    // ---------------------------------------------------------------- where tasks go

    /// A task was woken on this thread. Gives it back if it belongs to the hog lane.
    #[inline]
    #[must_use]
    pub(crate) fn schedule(&self, task: Runnable, cause: Cause) -> Option<Runnable> {
        let conduct = task.conduct();
        if self.stamp_next.get() | (conduct & HOG != 0) {
            return self.schedule_marked(task, cause);
        }
        if cause == Cause::Yielded {
            self.schedule_yielded(task);
        } else if self.role == Role::Guest && (self.dispatching.get() || !guest::may_run(conduct)) {
            self.keep_or_leave(task);
        } else if self.dispatching.get() {
            self.deque.push(task);
        } else {
            self.push_lifo(task);
        }
        None
    }

    /// As `schedule`, for a task that gets a time stamp or belongs to the hog lane.
    #[cold]
    #[inline(never)]
    fn schedule_marked(&self, task: Runnable, cause: Cause) -> Option<Runnable> {
        if self.stamp_next.replace(false) {
            self.shared.stamp(&task);
        }
        if task.conduct() & HOG != 0 {
            return Some(task);
        }
        // No stamp is due any more, so this goes one step deep.
        self.schedule(task, cause)
    }

    /// A task was spawned on this thread.
    #[inline]
    pub(crate) fn spawned(&self, task: Runnable) {
        if self.stamp_next.get() {
            self.stamp_next.set(false);
            self.shared.stamp(&task);
        }
        if self.role == Role::Guest {
            self.keep_or_leave(task);
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
        } else if self.long_polls.get()
            && self.shared.idle.parked() > 0
            && self.may_notify_for_lifo(now())
        {
            self.notify();
        }
    }

    #[inline]
    fn notify(&self) {
        // On the current-thread flavor nobody else can take anything.
        if self.role != Role::CurrentThread {
            self.shared.notify();
        }
    }

    // ---------------------------------------------------------------- the loop

    fn run(&self) {
        // A slot given up inside `block_in_place` is not touched any more.
        while !self.retired.get() {
            let left = self.chore_in.get() - 1;
            self.chore_in.set(left);
            let turn = if left == 0 { self.chore() } else { Turn::Usual };
            if turn == Turn::Done {
                continue;
            }
            // Relaxed: raised with an unpark, or found a turn later.
            let signal = self.own().signal.load(Ordering::Relaxed);
            if signal != 0 && self.heed(signal) {
                break;
            }
            if let Some(task) = self.next_urgent() {
                self.run_task(task);
                continue;
            }
            if let Some(task) = self.next_local().or_else(|| self.next_batch()) {
                if turn == Turn::Timed {
                    self.run_timed(task);
                } else {
                    self.run_task(task);
                }
                continue;
            }
            if self.retired.get() {
                // As in a chore: there was a look at the driver.
                continue;
            }
            self.publish_idle();
            if let Some(task) = self.search() {
                self.run_task(task);
                continue;
            }
            if !self.look_first() {
                self.park();
            }
        }
        self.stop_searching();
    }

    /// Does what is to be done every so many turns.
    #[cold]
    fn chore(&self) -> Turn {
        let mut chores = self.chores.get();
        chores.look -= chores.span;
        chores.injector -= chores.span;
        chores.sample -= chores.span;
        let (look, inject, sample) = (chores.look == 0, chores.injector == 0, chores.sample == 0);
        if look {
            chores.look = self.look_interval();
        }
        if inject {
            chores.injector = self.injector_interval();
        }
        if sample {
            chores.sample = SAMPLE_INTERVAL;
        }
        chores.span = chores.look.min(chores.injector).min(chores.sample);
        self.chores.set(chores);
        self.chore_in.set(chores.span);
        if look {
            self.look_at_driver();
        }
        if self.retired.get() {
            // A waker has called `block_in_place`, and the slot is another's.
            return Turn::Done;
        }
        if inject && let Some(task) = self.pop_in_turn() {
            if sample {
                self.run_timed(task);
            } else {
                self.run_task(task);
            }
            return Turn::Done;
        }
        if sample { Turn::Timed } else { Turn::Usual }
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
            self.poll_nanos.set(u64::MAX);
            let shared = &self.shared;
            // R4. What lies in the slot is taken by others, or drained when the slot is left.
            return self.role == Role::Worker
                && shared.threads.report_back(self.slot, shared.config.workers) == Back::Surplus;
        }
        false
    }

    #[inline]
    pub(crate) fn run_task(&self, task: Runnable) -> Polled {
        self.stop_searching();
        let place = Place(task.word());
        if place.conduct() & STAMPED != 0 {
            self.shared.take_stamp(&task);
        }
        self.publish(place);
        budget::with(|| task.run())
    }

    /// As `run_task`, for one poll in `SAMPLE_INTERVAL`.
    #[cold]
    pub(crate) fn run_timed(&self, task: Runnable) {
        self.stamp_next.set(true);
        let word = task.word();
        let start = now();
        let polled = self.run_task(task);
        self.shared.sample(
            word,
            polled,
            now().duration_since(start),
            self.next_random(),
        );
    }

    /// Says that what is polled now is `place`.
    #[inline]
    pub(crate) fn publish(&self, place: Place) {
        let own = self.own();
        // Relaxed: the watchman and LIFO thieves compare it with an earlier value, nothing else; nobody else writes it.
        let epoch = own.epoch.load(Ordering::Relaxed);
        own.epoch.store(epoch + 1, Ordering::Relaxed);
        // Ordering: Release pairs with the Acquire in the watchman's look, which loads the place first: with a new place it sees the new
        // epoch, and does not take a thread that comes back from idleness for one that has stood still.
        own.polling.store(place.0, Ordering::Release);
    }

    /// Says that nothing is polled: a thread that is not given a core, or waits to be woken, must not seem to be in its last poll.
    pub(crate) fn publish_idle(&self) {
        // Relaxed: as in `publish`.
        self.own().polling.store(Place::IDLE.0, Ordering::Relaxed);
    }

    /// Says that something else begins that may last: wakers, a hook.
    pub(crate) fn advance_epoch(&self) {
        self.publish(Place::NONE);
    }

    /// The next task of the slot's own.
    #[inline]
    pub(crate) fn next_local(&self) -> Option<Runnable> {
        if let Some(task) = self.own().lifo.take() {
            let streak = self.streak.get();
            if streak < LIFO_STREAK {
                self.streak.set(streak + 1);
                bump(&self.own.counters.lifo_hits, 1);
                return Some(task);
            }
            self.deque.push(task);
        }
        self.streak.set(0);
        self.deque.pop()
    }

    /// Whether the slot holds a task.
    pub(crate) fn has_local(&self) -> bool {
        let own = self.own();
        !self.deque.is_empty() || !own.lifo.is_empty() || !own.yielded.is_empty()
    }

    /// A task of the next batch from the injector; the others go to the deque.
    #[inline]
    fn next_batch(&self) -> Option<Runnable> {
        self.rest();
        self.pop_injected_batch().or_else(|| self.next_yielded())
    }

    /// An urgent task, if it is time for one: then one of the slot's own comes next.
    #[inline]
    pub(crate) fn next_urgent(&self) -> Option<Runnable> {
        let turns = self.not_urgent.get();
        if turns > 0 {
            self.not_urgent.set(turns - 1);
            return None;
        }
        if !self.shared.take_urgent() {
            return None;
        }
        let task = self.shared.pop_urgent()?;
        self.not_urgent.set(1);
        self.count_injected(1);
        Some(task)
    }

    fn count_injected(&self, tasks: u64) {
        bump(&self.own.counters.injected, tasks);
    }

    pub(crate) fn pop_injected_batch(&self) -> Option<Runnable> {
        if let Some(task) = self.shared.pop_express() {
            self.count_injected(1);
            return Some(task);
        }
        let injector = self.shared.injector();
        while !injector.is_empty() {
            match injector.steal_batch_and_pop(&self.deque) {
                Steal::Success(task) => {
                    let rest = self.deque.len();
                    self.count_injected(1 + rest as u64);
                    let turns = URGENT_WAIT / self.poll_nanos.get().max(1);
                    self.not_urgent.set(turns.min(rest as u64));
                    self.note_batch();
                    return Some(task);
                }
                Steal::Empty => break,
                Steal::Retry => {}
            }
        }
        None
    }

    // ---------------------------------------------------------------- driver and parking

    /// Wakes what the driver has gathered; the thread must not be parked or searching (idle.md).
    pub(crate) fn dispatch(&self) {
        self.stop_searching();
        self.advance_epoch();
        self.shared.idle.note_gathered();
        if self.role == Role::Guest {
            return self.dispatch_as_guest();
        }
        self.dispatching.set(true);
        self.shared.park.dispatch(self.slot);
        self.dispatching.set(false);
        // N6.
        let (tasks, poll_nanos) = (self.deque.len() as u64, self.poll_nanos.get());
        if is_for_others(tasks, poll_nanos, || self.shared.cores()) {
            self.notify();
        }
    }

    /// Since when the thread has been awake.
    pub(crate) fn active_since(&self) -> Instant {
        self.active_since.get()
    }

    fn epoch(&self) -> u64 {
        // Relaxed: written by this thread.
        self.own().epoch.load(Ordering::Relaxed)
    }

    /// Adds the time since the thread woke up to what it was busy.
    pub(crate) fn count_busy(&self, now: Instant) {
        let busy = now.duration_since(self.active_since.replace(now));
        bump(&self.own.counters.busy_nanos, busy.as_nanos() as u64);
    }

    /// The thread is about to sleep.
    pub(crate) fn count_park(&self, now: Instant) {
        bump(&self.own.counters.parks, 1);
        self.count_busy(now);
    }

    /// The thread has slept, or would have.
    pub(crate) fn count_unpark(&self, now: Instant) {
        self.active_since.set(now);
        self.looked.set(self.epoch());
    }

    fn park(&self) {
        let shared = &*self.shared;
        let since = now();
        self.measure_polls(since);
        if shared.config.on_thread_park.is_some() {
            // A user's hook may wake and spawn tasks: it runs before the last look at the queues, while the thread counts as
            // active.
            self.stop_searching();
            self.advance_epoch();
            call_hook(&shared.config.on_thread_park);
            if self.has_local() {
                call_hook(&shared.config.on_thread_unpark);
                return;
            }
            self.publish_idle();
            // What the hook took counts as busy.
            self.count_busy(now());
        }
        self.count_park(since.max(self.active_since.get()));
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
        let woken = now();
        self.count_unpark(woken);
        shared.park.activated();
        if shared.config.on_thread_unpark.is_some() {
            self.stop_searching();
            self.advance_epoch();
            call_hook(&shared.config.on_thread_unpark);
        }
        if count_down(&self.window_in, WINDOW_EVERY) {
            self.begin_window(woken);
        }
        self.note_park(woken.duration_since(since), gathered);
        if gathered == Gathered::Something {
            self.dispatch();
        }
    }

    pub(crate) fn flavor(&self) -> Flavor {
        self.shared.config.flavor
    }

    /// Marks the task that this thread polls as one that blocks its thread now and then.
    pub(crate) fn mark_blocker(&self) {
        // Relaxed: written by this thread.
        let word = self.own().polling.load(Ordering::Relaxed);
        self.shared
            .owned
            .find(word, |task| task.add_conduct(BLOCKER));
    }
}
