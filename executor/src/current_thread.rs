//! The thread inside `block_on` of a current-thread runtime: it runs all tasks, and nobody else runs any.
//!
//! There is one slot. The thread that has it holds the driver and the timer shard too. Other threads inside `block_on`
//! of the same runtime poll their own roots when these are woken, and take over the slot when it becomes free. Between
//! two calls of `block_on` no task runs. Who leaves the slot tells those who seek it, who look once more after they have said so
//! (scenario `seat_passed_vs_seeker_parks`); what is woken meanwhile is found by the next (`wake_vs_root_leaves`).
//!
//! The root takes its turn with the tasks: when it was woken, up to `event_interval` tasks that were ready run before it is polled
//! again, as in Tokio; so a root that yields lets the others run.
//!
//! **Slow polls.** There is no watchman here, and timing each poll would cost as much as the poll. So the thread only looks, when it looks at the
//! driver or parks, how long it has been since; if that is as long as a slow poll, each of the next [`WATCHED_POLLS`] polls is timed,
//! and a slow one among them is reported when it ends. A poll that is slow again and again is found the second time.

use crate::block_on::{Driven, Root, Seated};
use crate::idle::Left;
use crate::park::Gathered;
use crate::report::{self, Polled, SlowPoll, Spot, Subject};
use crate::scheduler::{Flavor, Shared, call_hook};
use crate::sync::{Ordering, bug, now, os_thread as thread};
use crate::task::{Place, Runnable};
use crate::worker::{Role, SAMPLE_INTERVAL, Worker};
use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How many polls are timed once there may have been a slow one. A guess: several turns of a program with some dozens of tasks.
const WATCHED_POLLS: u32 = 512;

/// Drives the root; `None` when the runtime has shut down.
pub(crate) fn drive<F: Future>(
    shared: &Arc<Shared>,
    driven: &mut Driven<'_, F>,
) -> Option<F::Output> {
    let root = Arc::clone(&driven.root);
    loop {
        if shared.is_closing() {
            return None;
        }
        if let Some(seated) = Seated::take(shared, Role::CurrentThread, &root) {
            return drive_seated(shared, seated.worker(), driven);
        }
        // Somebody else has the slot: sleep until the root is woken or the slot is free.
        if let Poll::Ready(output) = driven.poll_if_woken() {
            return Some(output);
        }
        shared.seekers.lock().push(Arc::clone(&root));
        // A slot given back before we were on the list wakes nobody: look again. No foreign code runs between here and
        // the sleep, so nothing eats the token.
        let seated = if bug::ROOT_SEEK_ONCE.is_on() {
            None
        } else {
            Seated::take(shared, Role::CurrentThread, &root)
        };
        if seated.is_none() && !root.is_woken() && !shared.is_closing() {
            thread::park();
        }
        shared
            .seekers
            .lock()
            .retain(|seeker| !Arc::ptr_eq(seeker, &root));
        if let Some(seated) = seated {
            return drive_seated(shared, seated.worker(), driven);
        }
    }
}

impl Shared {
    /// Tells the threads that wait for the slot of a current-thread runtime that it is free.
    pub(crate) fn pass_the_seat(&self) {
        if self.config.flavor == Flavor::CurrentThread && !bug::ROOT_SEAT_KEPT.is_on() {
            let seekers: Vec<Arc<Root>> = std::mem::take(&mut self.seekers.lock());
            for root in seekers {
                root.wake_waiting_thread();
            }
        }
    }
}

fn drive_seated<F: Future>(
    shared: &Shared,
    worker: &Worker,
    driven: &mut Driven<'_, F>,
) -> Option<F::Output> {
    let config = &shared.config;
    let root = Arc::clone(&driven.root);
    let mut tick: u32 = 0;
    let mut look_in = worker.look_interval();
    let watch = Watch::new(shared);
    'root: loop {
        worker.publish(Place::ROOT);
        if let Poll::Ready(output) = watch.poll(None, || driven.poll_if_woken()) {
            return Some(output);
        }
        for _ in 0..config.event_interval {
            // Relaxed: raised with an unpark, or found a turn later.
            let signal = worker.own().signal.load(Ordering::Relaxed);
            if signal != 0 && worker.heed(signal) {
                return None;
            }
            tick = tick.wrapping_add(1);
            look_in -= 1;
            if look_in == 0 {
                watch.look(now());
                worker.look_at_driver();
                look_in = worker.look_interval();
            }
            let in_turn = if tick.is_multiple_of(worker.injector_interval()) {
                worker.pop_in_turn()
            } else {
                None
            };
            let task = in_turn
                .or_else(|| worker.next_urgent())
                .or_else(|| worker.next_local())
                .or_else(|| worker.pop_injected_batch())
                .or_else(|| worker.next_yielded());
            if let Some(task) = task {
                if watch.is_on() {
                    watch.run(worker, task);
                } else if tick.is_multiple_of(SAMPLE_INTERVAL) {
                    worker.run_timed(task);
                } else {
                    worker.run_task(task);
                }
                continue;
            }
            if !root.is_woken() && !worker.look_first() {
                let now = now();
                watch.look(now);
                watch.begin(park(shared, worker, &root, now));
            }
            continue 'root;
        }
    }
}

/// Sleeps, from `since` on; returns when it woke up.
fn park(shared: &Shared, worker: &Worker, root: &Root, since: Instant) -> Instant {
    let slot = worker.slot();
    if shared.config.on_thread_park.is_some() {
        // A user's hook may wake and spawn tasks: it runs before the last look at the queues.
        call_hook(&shared.config.on_thread_park);
        if worker.has_local() || root.is_woken() {
            call_hook(&shared.config.on_thread_unpark);
            return now();
        }
    }
    worker.count_park(since);
    let parked = shared.idle.park(slot, false);
    shared.after_parking(parked);
    let gathered = loop {
        let gathered = shared.park.park(slot);
        // Relaxed: the unpark that follows a signal orders it.
        let signalled = worker.own().signal.load(Ordering::Relaxed) != 0;
        let chosen = !shared.idle.is_parked(slot);
        if gathered == Gathered::Something || signalled || chosen || root.is_woken() {
            break gathered;
        }
    };
    if shared.idle.leave(slot) == Left::Chosen {
        // Chosen counts as searching; with one thread there is nothing to search and nobody to notify.
        let _last = shared.idle.found_work();
    }
    let now = now();
    worker.count_unpark(now);
    worker.note_park(now.duration_since(since), gathered);
    call_hook(&shared.config.on_thread_unpark);
    if gathered == Gathered::Something {
        worker.dispatch();
    }
    now
}

/// Looks out for slow polls.
struct Watch<'a> {
    /// Knows the threshold, and reports.
    shared: &'a Shared,
    /// When the thread last looked, or woke up.
    since: Cell<Instant>,
    /// How many more polls are to be timed.
    left: Cell<u32>,
}

impl<'a> Watch<'a> {
    fn new(shared: &'a Shared) -> Watch<'a> {
        Watch {
            shared,
            since: Cell::new(now()),
            left: Cell::new(0),
        }
    }

    /// Whether polls are to be timed.
    fn is_on(&self) -> bool {
        self.left.get() > 0
    }

    /// The thread is awake again.
    fn begin(&self, now: Instant) {
        self.since.set(now);
    }

    /// Looks whether there may have been a slow poll.
    fn look(&self, now: Instant) {
        if now.duration_since(self.since.replace(now)) >= self.shared.reporter.threshold() {
            self.left.set(WATCHED_POLLS);
        }
    }

    /// Runs a task and times it.
    #[cold]
    fn run(&self, worker: &Worker, task: Runnable) {
        let subject = Subject::of(&task);
        self.poll(Some(subject), || worker.run_task(task));
    }

    /// Calls `poll`, and if polls are to be timed, reports it as one of `subject` (else of a local task or the root) if it was slow.
    #[inline]
    fn poll<R>(&self, subject: Option<Subject>, poll: impl FnOnce() -> R) -> R {
        if !self.is_on() {
            return poll();
        }
        self.left.set(self.left.get() - 1);
        let start = now();
        let (result, slowest) = report::watch(poll);
        let so_far = now().duration_since(start);
        let threshold = self.shared.reporter.threshold();
        // A task of a `LocalSet`, if one alone was slow enough.
        match slowest {
            Some((took, local)) if took >= threshold => self.report(Some(local), took),
            _ if so_far >= threshold => self.report(subject, so_far),
            _ => {}
        }
        result
    }

    #[cold]
    fn report(&self, subject: Option<Subject>, so_far: Duration) {
        // Relaxed: a counter.
        self.shared
            .counters
            .slow_polls
            .fetch_add(1, Ordering::Relaxed);
        let root = SlowPoll {
            id: None,
            name: None,
            location: None,
            place: self.shared.name_of(Spot::Slot(0)),
            so_far,
            before: 0,
            cpu: None,
            blocked: None,
            suppressed: 0,
            stack: None,
            polled: Polled::Root,
            ended: true,
            unreplaced: false,
        };
        let poll = match subject {
            Some(subject) => subject.blame(root),
            None => root,
        };
        self.shared.reporter.report_here(poll, now());
    }
}
