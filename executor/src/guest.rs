//! The thread inside `block_on` of a multi-thread runtime, as a guest among the workers.
//!
//! While its root is pending, the thread would only sleep; a message from the root to a task and back would cost two
//! thread switches. So it takes a slot and runs tasks of that slot: a round trip then costs as little as between
//! two tasks (0.2 µs instead of 12 to 17).
//!
//! A root is bound to its thread: while the guest runs a task, the root waits. So the guest is choosy. It runs only tasks
//! that its root (or a task running on it) woke, or an event that it has seen itself (below), *and* that have been polled before.
//! A task that has called `block_in_place` is not run by a guest again. Another may still block it, if it used to be short and now is not; then the root waits for it. `Config::guest` switches all of this off.
//!
//! **Company.** A guest that is *favoured* takes the polling duty while it sleeps: the events of late were for its root (the driver decides, by what the workers have seen). Many a root talks to its
//! socket through a task: a client of a database or of HTTP has one for the connection. So of the tasks that an event, or a timer of its own shard, wakes a favoured guest keeps two, and runs them before its root: to
//! wake a worker, and be woken by it in turn, would take longer than they do (a request through such a task 0.79 of the time and half of the CPU time; a root and a task that talk over TCP 0.2 of the time).
//! They lie in its deque as what its root wakes lies in its LIFO slot: nobody is notified, it looks there before it sleeps, and it empties both when it leaves.
//! That holds while such tasks are quick and the root needs them. So once a guest with company was awake for 100 µs, or left tasks to the workers meanwhile, or was awake for its
//! company eight times without its root, it passes the duty on. So does an event that wakes more than two tasks, or one that it may not run.
//!
//! What it does not run is for the workers. Further ones that the driver or a timer woke go to the injector, with one notification. Freshly spawned ones go to
//! its deque, with a notification each: the push needs no read-modify-write, and workers take them in batches from there (`spawn_outside`: 0.72 of the time).
//! Those that lie before one that it may run go to the injector, and all that are left before it sleeps: there a worker finds them that has much to do of its own. While the
//! root computes for long, or a task that it woke, the watchman moves them (`rescue.md`, R1).
//!
//! The guest is never on the list of sleepers: nobody wakes it for work, only its root does. Parked, its slot is not live.
//! It serves its own timer shard. Scenarios: `root_wake_vs_guest_parks`, `guest_runs_task_vs_worker`, `root_spawns_vs_last_park`, `guest_keeps_task_vs_thief`, `root_leaves_slot_vs_shutdown`.
//!
//! If no slot is free (more than eight threads are inside `block_on`), the thread just sleeps between polls of its root.

use crate::block_on::{Driven, Seated};
use crate::park::Gathered;
use crate::scheduler::Shared;
use crate::sync::{Ordering, bug, now, scaled};
use crate::task::{Place, Runnable};
use crate::worker::{POLLED, Role, SAMPLE_INTERVAL, STAMPED, Worker};
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How many tasks are moved to the injector in one turn: the root may be woken meanwhile.
const MOVE: usize = scaled(256, 1);
/// Turns after a sleep before a guest looks at the driver: not in the very first, since many a root is done in it.
const FIRST_LOOK: u32 = 2;
/// How many tasks that an event has woken a guest keeps: what one or two do, it has done before another thread is awake.
pub(crate) const KEPT: u8 = 2;
/// A guest that has company is passed over once it was awake for so long: some times what it takes to wake another thread (10 to 50 µs).
const LONG: Duration = Duration::from_micros(100);
/// As many times may it be awake in a row for its company, and not for its root: a server's tasks are for the workers.
const ROOTLESS: u32 = 8;

/// Drives the root; `None` when the thread must go on without a slot.
pub(crate) fn drive<F: Future>(
    shared: &Arc<Shared>,
    driven: &mut Driven<'_, F>,
) -> Option<F::Output> {
    let root = Arc::clone(&driven.root);
    let seated = Seated::take(shared, Role::Guest, &root)?;
    let worker = seated.worker();
    let mut awake = Awake::new(worker.active_since());
    let mut tick: u32 = 0;
    let mut look_in = worker.look_interval().max(FIRST_LOOK);
    loop {
        worker.publish(Place::ROOT);
        if let Poll::Ready(output) = driven.poll_if_woken() {
            return Some(output);
        }
        // Relaxed: raised with an unpark, or found a turn later.
        let signal = worker.own().signal.load(Ordering::Relaxed);
        if signal != 0 && worker.heed(signal) {
            return None;
        }
        look_in -= 1;
        if look_in == 0 {
            worker.look_at_driver();
            look_in = worker.look_interval();
            run_kept(shared, worker, &mut tick);
        }
        if let Some(task) = next_task(shared, worker) {
            run(worker, task, &mut tick);
        } else if !root.is_woken() && !worker.has_local() {
            park(shared, worker, &mut awake, driven.polls());
            if bug::GUEST_SLEEPS_ON.is_on() && !root.is_woken() {
                park(shared, worker, &mut awake, driven.polls());
            }
            look_in = look_in.max(FIRST_LOOK);
            run_kept(shared, worker, &mut tick);
        }
    }
}

/// What an event has woken comes before the root: it is known to be quick.
fn run_kept(shared: &Shared, worker: &Worker, tick: &mut u32) {
    while worker.take_kept() {
        match worker.pop_deque() {
            Some(task) if may_run(task.conduct()) => run(worker, task, tick),
            // Somebody has taken what was kept, and one of the others has spawned this one.
            Some(task) => {
                shared.injector().push(task);
                shared.injected();
            }
            None => {}
        }
    }
}

fn run(worker: &Worker, task: Runnable, tick: &mut u32) {
    *tick = tick.wrapping_add(1);
    if tick.is_multiple_of(SAMPLE_INTERVAL) {
        worker.run_timed(task);
    } else {
        worker.run_task(task);
    }
}

/// Whether a guest may run a task that has this conduct.
#[inline]
pub(crate) fn may_run(conduct: u8) -> bool {
    conduct & !STAMPED == POLLED
}

/// The next task of the slot's own that the guest may run. Those before it go to the injector, some in each turn: a worker that has much to do looks there now
/// and then, but not into other slots. After `None` there may be more.
fn next_task(shared: &Shared, worker: &Worker) -> Option<Runnable> {
    let (mut next, mut moved) = (None, false);
    for _ in 0..MOVE {
        match worker.next_local() {
            Some(task) if !may_run(task.conduct()) => {
                if !moved {
                    // What is polled no more must not seem to last.
                    worker.advance_epoch();
                    moved = true;
                }
                shared.injector().push(task);
            }
            task => {
                next = task;
                break;
            }
        }
    }
    // The pushes into the deque have notified. But whoever came for them may have looked into the injector before, and into the deque afterwards.
    if moved && !bug::GUEST_MOVES_SILENTLY.is_on() {
        shared.injected();
    }
    next
}

/// What a guest has done since it woke up.
struct Awake {
    /// When that was.
    since: Instant,
    /// How often the root had been polled when it last slept.
    polls: u64,
    /// How many times in a row it was awake for its company and not for its root.
    without_root: u32,
}

/// What was done when a guest is about to sleep.
#[derive(Clone, Copy)]
struct Done {
    /// How often its root has been polled, ever.
    polls: u64,
    /// Whether it has kept tasks that its events had woken.
    has_company: bool,
    /// Whether it has left tasks to the workers.
    has_left: bool,
}

/// What a guest says before it sleeps.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    /// Nothing.
    Nothing,
    /// [`Park::no_company`](crate::park::Park::no_company).
    NoCompany,
    /// [`Park::passed_on`](crate::park::Park::passed_on).
    PassedOn,
}

impl Awake {
    fn new(now: Instant) -> Awake {
        Awake {
            since: now,
            polls: 0,
            without_root: 0,
        }
    }

    /// The guest is about to sleep.
    fn end(&mut self, now: Instant, done: Done) -> Say {
        if self.polls != done.polls {
            self.polls = done.polls;
            self.without_root = 0;
        } else if done.has_company {
            self.without_root += 1;
        }
        let is_apart = done.has_left || now.duration_since(self.since) > LONG;
        if done.has_company && (is_apart || self.without_root >= ROOTLESS) {
            self.without_root = 0;
            Say::PassedOn
        } else if is_apart {
            Say::NoCompany
        } else {
            Say::Nothing
        }
    }
}

fn park(shared: &Shared, worker: &Worker, awake: &mut Awake, polls: u64) {
    worker.publish_idle();
    let slot = worker.slot();
    // The slot is empty, and only this thread pushes into it.
    shared.slots.retire(slot);
    let asleep = now();
    let done = Done {
        polls,
        has_company: worker.take_company(),
        has_left: worker.take_left(),
    };
    match awake.end(asleep, done) {
        Say::Nothing => {}
        Say::NoCompany => shared.park.no_company(slot),
        Say::PassedOn => shared.park.passed_on(slot),
    }
    worker.count_park(asleep);
    let gathered = shared.park.park(slot);
    awake.since = now();
    worker.count_unpark(awake.since);
    shared.slots.enliven(slot);
    shared.park.activated();
    if gathered == Gathered::Something {
        worker.dispatch();
    }
}

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_guest_with_company_passes_events_on_once_it_was_slow_or_left_tasks() {
        for (micros, has_left, has_company, expected) in [
            (100, false, false, Say::Nothing),
            (100, false, true, Say::Nothing),
            (101, false, false, Say::NoCompany),
            (101, false, true, Say::PassedOn),
            (0, true, false, Say::NoCompany),
            (0, true, true, Say::PassedOn),
        ] {
            let mut awake = Awake::new(now());
            let asleep = awake.since + Duration::from_micros(micros);
            let done = Done {
                polls: 1,
                has_company,
                has_left,
            };
            assert_eq!(awake.end(asleep, done), expected);
        }
    }

    #[test]
    fn a_guest_passes_on_what_is_for_its_company_alone() {
        let mut awake = Awake::new(now());
        let asleep = awake.since;
        let mut end = |polls, has_company| {
            let done = Done {
                polls,
                has_company,
                has_left: false,
            };
            awake.end(asleep, done)
        };
        for _ in 0..1000 {
            // Its root has the last word.
            for _ in 1..ROOTLESS {
                assert_eq!(end(1, true), Say::Nothing);
            }
            assert_eq!(end(2, true), Say::Nothing);
            for _ in 1..ROOTLESS {
                assert_eq!(end(2, true), Say::Nothing);
                // Woken for its timers, say.
                assert_eq!(end(2, false), Say::Nothing);
            }
            assert_eq!(end(2, true), Say::PassedOn);
            assert_eq!(end(1, false), Say::Nothing);
        }
    }
}
