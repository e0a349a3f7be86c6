//! Looks after slots whose thread is inside one poll for too long.
//!
//! The watchman is called once a period by a thread that runs no tasks (the reactor thread). A live slot that is not parked
//! and whose epoch has not moved for the threshold (2 ms) is *stuck*. Then, in the order of `rescue.md`:
//!
//! 1. its LIFO task, which only its own thread would run, goes to the injector, and a worker is notified for it and for what lies
//!    in the deque;
//! 2. its task is marked, so that from now on it is polled in the hog lane;
//! 3. its thread no longer counts as active, and a spare takes its place, unless some worker is parked;
//! 4. when the poll has lasted for the (longer) threshold of reports, it is reported.
//!
//! Where threads wait for cores, a thread that may do so is given more time first (R0).
//!
//! A parked worker's epoch stands still too; it holds nothing in its LIFO slot, so looking at it does no harm. The threads of the lane are
//! watched in the same way, for reports, and to find those that block.
//!
//! It also asks the system now and then whether there is a core for one more worker (`crowd.rs`).
//!
//! **Cost.** A few loads a live slot and look; some small files, 5 to 40 µs each, for a poll that lasts; `crowd.rs` has its own. Nothing on the hot path but two stores a poll.

use crate::crowd::Meter;
use crate::idle::Idle;
use crate::lane::Seat;
use crate::report::{Polled, Probe, SlowPoll, Spot, Still};
use crate::scheduler::Shared;
use crate::slots::{STUCK, Slots, Stillness};
use crate::sync::deque::Steal;
use crate::sync::{AtomicU64, Ordering, bug, now};
use crate::task::{Place, Runnable, TaskRef};
use crate::threads::{Threads, WrittenOff};
use crate::worker::HOG;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The threshold where there is no rescue: the LIFO task is moved all the same.
const STUCK_AFTER: Duration = Duration::from_millis(2);
/// After what time the tasks of a lane all of whose threads block go to the workers. A guess: long enough that a burst of slow system calls is over, short
/// enough for a person to wait.
const STRANDED: Duration = Duration::from_secs(5);
/// How many tasks are moved out of a stuck worker's deque at one look: a look must be short.
const MOVE: usize = 256;
/// As long before a measure is due the watchman looks at its shortest period: twice the longest one.
const NEAR: Duration = Duration::from_millis(8);
/// How many threads of the lane are asked for their state at one look: each costs a small file, 7.5 µs and more.
const ASK: usize = 4;
/// How many workers are asked at one look whether they wait for a core: two such files each.
const ASK_WORKERS: usize = 8;
/// When they are asked again, after others: the system knows more about a thread that computes once a tick.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// How old the CPU time may be that the system tells: a tick of a kernel with 250 of them a second.
const GRAIN: Duration = Duration::from_millis(4);
/// When the system is asked first what the thread has used: a question takes longer than a look.
const ASK_AFTER: Duration = Duration::from_millis(2);
/// Who has used so much within a poll has had a core, and does not only wait for it: what else takes microseconds.
const COMPUTED: Duration = Duration::from_millis(1);

/// What the watchman remembers of one slot or seat.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The epoch at the last look.
    epoch: u64,
    /// Since when it has had that value.
    since: Instant,
    /// What the thread had used when the system was first asked.
    used: Option<Used>,
    /// How long the poll must have lasted before it is asked again whether the thread waits for a core.
    wait_until: Duration,
    /// How long the poll must have lasted before the system is asked again.
    ask_at: Duration,
    /// Whether it was seen to stand still.
    still: bool,
    /// Whether it counts as stuck; in the lane, as blocked.
    marked: bool,
    /// Whether its task is marked.
    caught: bool,
    /// Whether it has been reported.
    reported: bool,
    /// Whether no spare may take its place, because too many have been called up.
    unreplaced: bool,
}

/// What a thread has used.
#[derive(Debug, Clone, Copy)]
struct Used {
    /// How long the poll had lasted then.
    standing: Duration,
    /// The thread's CPU time.
    ran: Duration,
}

impl Seen {
    fn new(epoch: u64, since: Instant) -> Seen {
        Seen {
            epoch,
            since,
            used: None,
            wait_until: Duration::ZERO,
            ask_at: Duration::ZERO,
            still: false,
            marked: false,
            caught: false,
            reported: false,
            unreplaced: false,
        }
    }
}

/// The watchman's memory; one for each runtime.
#[derive(Debug)]
pub struct Watchman {
    /// Weak: the thread that watches must not keep what it watches.
    shared: Weak<Shared>,
    /// One entry a slot.
    slots: Box<[Seen]>,
    /// One entry a seat of the lane.
    seats: Box<[Seen]>,
    /// Since when tasks have waited in a lane all of whose threads block.
    stranded: Option<Instant>,
    /// The seat of the lane to ask first.
    ask_from: usize,
    /// Whether there is a core for one more worker.
    crowd: Meter,
}

/// What the watchman saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Every live slot moved on or is parked.
    Calm,
    /// Some slot's epoch stands still while its thread is awake, and no worker's moves on: look again soon, and for I/O in their stead.
    Standing,
    /// Some worker stands still, or a thread of the hog lane is in a long poll, or tasks wait for one: look again soon, but others get on.
    Soon,
}

impl Watchman {
    pub(crate) fn new(shared: &Arc<Shared>) -> Watchman {
        let seen = Seen::new(0, now());
        Watchman {
            slots: vec![seen; shared.slots.len()].into(),
            seats: vec![seen; shared.lane.seats().len()].into(),
            stranded: None,
            ask_from: 0,
            crowd: Meter::new(now()),
            shared: Arc::downgrade(shared),
        }
    }

    /// Looks at every live slot, and rescues what stuck ones hold back; calls `stuck` for each of these.
    pub fn look(&mut self, now: Instant, mut stuck: impl FnMut(usize)) -> Watched {
        let Some(shared) = self.shared.upgrade() else {
            return Watched::Calm;
        };
        let rescue = shared.config.rescue;
        let threshold = rescue.map_or(STUCK_AFTER, |rescue| rescue.threshold);
        let guests = shared.config.guest_slots();
        // Where tasks are known to hold their threads, that is why the others wait.
        let mut live = shared.slots.live_from(0);
        let is_held = shared.lane.is_busy() || live.any(|slot| self.slots[slot].marked);
        let patience = if is_held {
            Duration::ZERO
        } else {
            self.crowd.wait()
        };
        let mut watched = Watched::Calm;
        let mut rescued = false;
        // Whether some worker has polled something else since the last look.
        let mut gets_on = false;
        let mut asked = 0;
        for index in shared.slots.live_from(0) {
            let slot = shared.slots.get(index);
            let seen = &mut self.slots[index];
            // Ordering: Acquire pairs with the Release in `Worker::publish`; before the epoch.
            let is_idle = Place(slot.polling.load(Ordering::Acquire)) == Place::IDLE;
            // Relaxed: compared with its own earlier value only.
            let epoch = slot.epoch.load(Ordering::Relaxed);
            if epoch != seen.epoch || is_idle || shared.idle.is_parked(index) {
                gets_on |= epoch != seen.epoch && !guests.contains(&index);
                if seen.still {
                    slot.stillness.end();
                }
                *seen = Seen::new(epoch, now);
                continue;
            }
            let standing = now.duration_since(seen.since);
            let report_at = shared.reporter.threshold();
            if is_near(standing, threshold, threshold + patience)
                || (!seen.reported && is_near(standing, report_at, report_at.max(seen.ask_at)))
            {
                watched = Watched::Standing;
            }
            let polled = At {
                spot: Spot::Slot(index),
                epoch: &slot.epoch,
                polling: &slot.polling,
                thread: &slot.thread,
            };
            polled.notice(&shared, seen, standing, &slot.stillness);
            let mut is_stuck = standing >= threshold;
            if is_stuck && !seen.marked && standing < threshold + patience {
                // R0. Who is not asked waits, too.
                is_stuck = false;
                if standing >= seen.wait_until && asked < ASK_WORKERS {
                    asked += 1;
                    seen.wait_until = standing + ASK_AGAIN;
                    is_stuck = !polled.may_wait(&shared, seen, standing);
                }
            }
            if !is_stuck {
                polled.report(&shared, seen, now);
                continue;
            }
            stuck(index);
            // Its polls are long: from now on it notifies for its LIFO slot too.
            slot.raise(STUCK);
            // R1, at every look: the task may go on to wake others.
            if let Some(task) = slot.lifo.take() {
                shared.inject_first(task);
                rescued = true;
            }
            // So does its deque, as far as one look goes: nobody steals from it as long as others have work of their own. Not before the injected
            // tasks: there may be more hogs in it. What yielded comes after it, as ever.
            for _ in 0..MOVE {
                match slot.stealer.steal() {
                    Steal::Success(task) => shared.injector().push(task),
                    Steal::Empty => break,
                    Steal::Retry => continue,
                }
            }
            for _ in 0..MOVE {
                match slot.yielded.pop() {
                    Some(task) => shared.injector().push(task),
                    None => break,
                }
            }
            rescued |= shared.has_injected();
            if !seen.marked {
                seen.marked = true;
                // Relaxed: a counter.
                shared.counters.rescues.fetch_add(1, Ordering::Relaxed);
                seen.caught = bug::RESCUE_MARK_ONCE.is_on();
                if seen.caught && shared.lane.is_open() {
                    polled.mark(&shared, epoch);
                }
            }
            // At the next look again if there is no running task: the thread may have lost its core before it began the poll.
            if !seen.caught && shared.lane.is_open() {
                seen.caught = polled.mark(&shared, epoch);
            }
            if let Some(rescue) = rescue
                && !guests.contains(&index)
            {
                let Shared {
                    threads,
                    slots,
                    idle,
                    ..
                } = &*shared;
                let unpark = || shared.park.unpark(index);
                let written_off =
                    write_off((index, epoch), rescue.spares, threads, slots, idle, unpark);
                seen.unreplaced = written_off == WrittenOff::TooMany;
            }
            polled.report(&shared, seen, now);
        }
        if watched == Watched::Standing && gets_on {
            watched = Watched::Soon;
        }
        if rescued {
            shared.injected();
        }
        if rescue.is_some() && shared.idle.parked() == 0 {
            // R3. One at a look.
            shared.add_spare();
        }
        if shared.lane.is_busy() {
            let lane = self.look_at_lane(&shared, now, threshold);
            if watched == Watched::Calm {
                watched = lane;
            }
        }
        self.crowd.look(&shared, now);
        watched
    }

    /// Looks at the threads of the lane: for those that block, others go on with the queue.
    fn look_at_lane(&mut self, shared: &Arc<Shared>, now: Instant, threshold: Duration) -> Watched {
        let mut watched = Watched::Calm;
        let mut asked = 0;
        let is_short = shared.lane.is_short();
        if is_short {
            for task in shared.lane.take_cancelled(Runnable::is_cancelled) {
                shared.inject(task);
            }
        }
        let seats = shared.lane.seats();
        let first = self.ask_from;
        for index in (0..seats.len()).map(|step| (first + step) % seats.len()) {
            let seat: &Seat = &seats[index];
            let seen = &mut self.seats[index];
            // Relaxed: compared with its own earlier value only.
            let epoch = seat.epoch.load(Ordering::Relaxed);
            if epoch != seen.epoch || epoch.is_multiple_of(2) {
                if seen.still {
                    seat.stillness.end();
                }
                *seen = Seen::new(epoch, now);
                continue;
            }
            let standing = now.duration_since(seen.since);
            let report_at = shared.reporter.threshold();
            if is_short
                || is_near(standing, threshold, threshold)
                || (!seen.reported && is_near(standing, report_at, report_at.max(seen.ask_at)))
            {
                watched = Watched::Soon;
            }
            let polled = At {
                spot: Spot::Lane(index),
                epoch: &seat.epoch,
                polling: &seat.polling,
                thread: &seat.thread,
            };
            polled.notice(shared, seen, standing, &seat.stillness);
            polled.report(shared, seen, now);
            if standing < threshold {
                continue;
            }
            if is_short && asked < ASK && !seen.marked {
                asked += 1;
                // Round about, so that seats which compute keep none that blocks from being asked.
                self.ask_from = index + 1;
                // Where the system does not tell, it may be blocked: more threads than cores do less harm than none that goes on.
                if polled.is_blocked(shared) != Some(false) {
                    seen.marked = true;
                    let help = shared.lane.blocked(index, epoch);
                    shared.help_lane(help);
                }
            }
        }
        if !shared.lane.is_stranded() {
            self.stranded = None;
        } else if now.duration_since(*self.stranded.get_or_insert(now)) >= STRANDED && is_short {
            for task in shared.lane.take_stranded() {
                shared.inject(task);
            }
        }
        watched
    }
}

/// Whether a poll that has stood still for so long comes to what is done `from` then on soon, or has come `to` the end of it just now.
fn is_near(standing: Duration, from: Duration, to: Duration) -> bool {
    standing.saturating_add(NEAR) >= from && standing <= to.saturating_add(NEAR)
}

/// R2: the thread of a slot that is stuck in an epoch no longer counts as active; at most `limit` such threads at a time.
pub(crate) fn write_off(
    (index, epoch): (usize, u64),
    limit: usize,
    threads: &Threads,
    slots: &Slots,
    idle: &Idle,
    unpark: impl FnOnce(),
) -> WrittenOff {
    let slot = slots.get(index);
    let still_stuck = || {
        // Relaxed: the owner takes the lock that we hold before it goes on from a poll in which it was written off. If this is an
        // old value, the slot is written off for nothing, which its next turn sets right.
        slot.epoch.load(Ordering::Relaxed) == epoch
            && slots.is_live(index)
            && !idle.is_parked(index)
    };
    let written_off = threads.write_off(index, limit, still_stuck);
    if written_off == WrittenOff::Now {
        slot.raise(STUCK);
        // It may be about to park, and would not look at its signal before it is woken.
        if !bug::RESCUE_WRITE_OFF_ASLEEP.is_on() {
            unpark();
        }
    }
    written_off
}

/// A poll that stands still.
struct At<'a> {
    /// On which thread.
    spot: Spot,
    /// Counts its polls.
    epoch: &'a AtomicU64,
    /// The word of what is polled.
    polling: &'a AtomicU64,
    /// The system's identity of the thread.
    thread: &'a AtomicU64,
}

impl At<'_> {
    /// Notes that it stands still, at the first look that finds it so, and what its thread has used, at the first one after `ASK_AFTER`.
    fn notice(&self, shared: &Shared, seen: &mut Seen, standing: Duration, stillness: &Stillness) {
        if !seen.still {
            seen.still = true;
            stillness.begin(seen.since);
        }
        let report_at = shared.reporter.threshold();
        let is_unknown = seen.used.is_none() && !seen.reported && report_at < Duration::MAX;
        if is_unknown && standing >= ASK_AFTER.min(report_at / 2) {
            seen.used = self.used(shared, standing);
        }
    }

    /// R0. Whether the thread may be without a core, since it neither sleeps nor has computed within the poll.
    fn may_wait(&self, shared: &Shared, seen: &mut Seen, standing: Duration) -> bool {
        if self.is_blocked(shared) != Some(false) {
            return false;
        }
        if seen.used.is_some_and(|used| used.standing == standing) {
            // Just asked for the first time.
            return true;
        }
        let Some(now) = self.used(shared, standing) else {
            return true;
        };
        let first = *seen.used.get_or_insert(now);
        now.ran.saturating_sub(first.ran) < COMPUTED
    }

    fn is_still(&self, epoch: u64) -> bool {
        // Relaxed: compared with its own earlier value only.
        self.epoch.load(Ordering::Relaxed) == epoch
    }

    fn place(&self) -> Place {
        // Relaxed: it has stood still for a millisecond at least.
        Place(self.polling.load(Ordering::Relaxed))
    }

    /// Whether the thread sleeps, or else computes or waits for a core, if the system tells.
    fn is_blocked(&self, shared: &Shared) -> Option<bool> {
        let Probe { blocked, .. } = shared.config.probe?;
        // Relaxed: written when the thread took the slot.
        blocked(self.thread.load(Ordering::Relaxed))
    }

    fn used(&self, shared: &Shared, standing: Duration) -> Option<Used> {
        let Probe { core_time, .. } = shared.config.probe?;
        // Relaxed: written when the thread took the slot.
        let ran = core_time(self.thread.load(Ordering::Relaxed))?.ran;
        Some(Used { standing, ran })
    }

    /// The task, if the poll of `epoch` goes on and it is one.
    fn find<R>(
        &self,
        shared: &Shared,
        epoch: u64,
        look: impl FnOnce(&TaskRef<'_>) -> R,
    ) -> Option<R> {
        let found = |task: &TaskRef<'_>| self.is_still(epoch).then(|| look(task));
        shared.owned.find(self.place().0, found)?
    }

    /// From now on the task is polled in the lane. `false` if it is none, or does not run yet.
    fn mark(&self, shared: &Shared, epoch: u64) -> bool {
        let marked = self.find(shared, epoch, |task| task.add_conduct(HOG));
        if marked.is_some() {
            // Relaxed: a counter.
            shared.counters.hog_marks.fetch_add(1, Ordering::Relaxed);
        }
        marked.is_some()
    }

    /// Reports the poll, once it has lasted for long enough and was not reported before.
    fn report(&self, shared: &Arc<Shared>, seen: &mut Seen, now: Instant) {
        let so_far = now.duration_since(seen.since);
        let threshold = shared.reporter.threshold();
        if seen.reported || so_far < threshold.max(seen.ask_at) {
            return;
        }
        if self.place() == Place::ROOT && !shared.reporter.has_roots() {
            seen.reported = true;
            return;
        }
        let blocked = self.is_blocked(shared);
        let used = self.used(shared, so_far);
        let cpu = (used.zip(seen.used)).map(|(now, then)| now.ran.saturating_sub(then.ran));
        let missing = (cpu.zip(seen.used)).map(|(cpu, then)| {
            // What it did at first, before it was asked about, counts as computing, and what the system may not know yet.
            threshold.saturating_sub(then.standing.min(GRAIN) + cpu + GRAIN)
        });
        if let (Some(false), Some(missing)) = (blocked, missing)
            && missing > Duration::ZERO
        {
            // It waits for a core, since others use the machine: the poll is not to blame. Soon it may have computed for long enough, or sleep.
            seen.ask_at = so_far + missing.min(GRAIN);
            return;
        }
        seen.reported = true;
        let mut poll = SlowPoll {
            id: None,
            name: None,
            location: None,
            place: shared.name_of(self.spot),
            so_far,
            before: 0,
            cpu,
            blocked,
            suppressed: 0,
            stack: None,
            polled: match self.place() {
                Place::ROOT => Polled::Root,
                _ => Polled::Other,
            },
            ended: false,
            unreplaced: seen.unreplaced,
        };
        self.find(shared, seen.epoch, |task| {
            poll.id = Some(task.id());
            poll.name = task.name().map(Into::into);
            poll.location = Some(task.location());
            poll.polled = Polled::Task;
        });
        let still = Still {
            // Relaxed: written when the thread took the slot.
            thread: self.thread.load(Ordering::Relaxed),
            at: self.spot,
            epoch: seen.epoch,
        };
        // Relaxed: counters.
        shared.counters.slow_polls.fetch_add(1, Ordering::Relaxed);
        if !shared.reporter.report(poll, Some(still), now, shared) {
            shared
                .counters
                .reports_suppressed
                .fetch_add(1, Ordering::Relaxed);
        }
    }
}
