//! Models of the threads' accounts, each named after the race it explores (`rescue.md`), and of the mask of live slots.
//!
//! Threads, slots, the list of sleepers, the parker and the watchman's step R2 are the real ones. The worker's side is reduced to
//! what counts: its epoch, its look at the signal word (R4), leaving a slot, `block_in_place`, parking. Nothing is started: a spare that is to
//! start serves its slot from then on. A wait of zero length is over at once, any other lasts until a notification.

use std::sync::Arc;

use ::loom::sync::atomic::{AtomicBool, AtomicUsize};
use ::loom::thread;

use super::*;
use crate::idle::{Idle, Parked};
use crate::park::Parker;
use crate::slots::{STUCK, Seat, Slots};
use crate::sync::{Ordering, fence, model};
use crate::watchman;

/// How many threads are meant to be active.
const WORKERS: usize = 1;
/// How many may be written off.
const LIMIT: usize = 4;

/// A runtime of one worker, which serves slot 0 and is in its first poll.
struct World {
    /// What is modelled.
    threads: Threads,
    /// The slots of the worker and of spares.
    slots: Slots,
    /// Who sleeps.
    idle: Idle,
    /// Where the thread of slot 0 sleeps.
    parker: Parker,
    /// How many tasks have been injected.
    tasks: AtomicUsize,
    /// The slots that threads serve which are not inside `block_in_place`. Std's lock: it orders nothing that is modelled, and nobody waits
    /// for it.
    serving: std::sync::Mutex<Vec<usize>>,
}

impl World {
    fn new() -> Arc<World> {
        let spares = 2;
        let world = World {
            threads: Threads::new(WORKERS, WORKERS + spares),
            slots: Slots::new(WORKERS, spares, 0),
            idle: Idle::new(WORKERS + spares),
            parker: Parker::new(),
            tasks: AtomicUsize::new(0),
            serving: std::sync::Mutex::default(),
        };
        world.serve(0);
        Arc::new(world)
    }

    fn serve(&self, slot: usize) {
        self.slots.enliven(slot);
        self.serving.lock().expect("no panic").push(slot);
    }

    fn stop_serving(&self, slot: usize) {
        self.serving
            .lock()
            .expect("no panic")
            .retain(|&other| other != slot);
        self.slots.retire(slot);
    }

    // ---------------------------------------------------------------- the worker

    /// The next poll begins.
    fn go_on(&self, slot: usize) {
        let epoch = &self.slots.get(slot).epoch;
        epoch.store(epoch.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn is_signalled(&self, slot: usize) -> bool {
        self.slots.get(slot).signal.load(Ordering::Relaxed) != 0
    }

    /// R4: looks at the signal word, and leaves the slot if another has taken its place.
    fn turn(&self, slot: usize) {
        if !self.is_signalled(slot) {
            return;
        }
        let signal = &self.slots.get(slot).signal;
        signal.fetch_and(!STUCK, Ordering::AcqRel);
        if self.threads.report_back(slot, WORKERS) == Back::Surplus {
            self.stop_serving(slot);
            self.slots.give_back(slot, Seat::Worker);
        }
    }

    fn step_aside(&self, slot: usize) {
        self.stop_serving(slot);
        if self.threads.step_out(slot, WORKERS) {
            self.add_spare();
        }
    }

    fn step_back(&self, slot: usize) {
        if self.threads.activate(WORKERS) {
            self.serve(slot);
            self.go_on(slot);
        } else {
            self.slots.give_back(slot, Seat::Worker);
        }
    }

    fn notify(&self) {
        if self.idle.choose(|| usize::MAX) == Some(0) {
            let _ = self.parker.unpark();
        }
    }

    /// The worker with slot 0 sleeps until it is chosen or signalled.
    fn park(&self) {
        let parked = self.idle.park(0, false);
        if parked == Parked::Recheck && self.tasks.load(Ordering::Acquire) > 0 {
            self.notify();
        }
        loop {
            self.parker.sleep(None);
            if !self.idle.is_parked(0) {
                return;
            }
            if self.is_signalled(0) {
                let _ = self.idle.leave(0);
                return;
            }
        }
    }

    // ---------------------------------------------------------------- the watchman

    /// R2, for a slot that has stood still in `epoch`.
    fn write_off(&self, slot: usize, epoch: u64) -> WrittenOff {
        let unpark = || {
            if slot == 0 {
                let _ = self.parker.unpark();
            }
        };
        let World {
            threads,
            slots,
            idle,
            ..
        } = self;
        watchman::write_off((slot, epoch), LIMIT, threads, slots, idle, unpark)
    }

    /// R3.
    fn add_spare(&self) {
        if !self.threads.call_up(WORKERS) {
            return;
        }
        let slot = self.slots.take(Seat::Worker).expect("slots enough");
        assert!(!self.threads.hand_to_spare(slot), "nobody waits");
        self.serve(slot);
    }

    fn look(&self, slot: usize, epoch: u64) {
        let _ = self.write_off(slot, epoch);
        self.add_spare();
    }

    // ---------------------------------------------------------------- the end

    /// After the race: everybody looks at its signal word, and the watchman looks once more. Then one thread serves a slot, and counts.
    fn settle(&self) {
        let serving = self.serving.lock().expect("no panic").clone();
        for slot in serving {
            self.turn(slot);
        }
        self.add_spare();
        assert_eq!(self.threads.count(), (WORKERS, 0), "active and written off");
        assert_eq!(
            self.serving.lock().expect("no panic").len(),
            WORKERS,
            "threads that serve a slot"
        );
    }
}

/// Runs `worker` on a thread of its own, and `watchman` on this one, and then lets the dust settle.
fn race(prepare: fn(&World), worker: fn(&World), watchman: fn(&World)) {
    model(move || {
        let world = World::new();
        prepare(&world);
        let thread = {
            let world = Arc::clone(&world);
            thread::spawn(move || worker(&world))
        };
        watchman(&world);
        thread.join().expect("no panic");
        world.settle();
    });
}

#[test]
fn write_off_against_getting_on() {
    race(
        |_| {},
        |world| {
            world.go_on(0);
            world.turn(0);
        },
        |world| world.look(0, 0),
    );
}

#[test]
fn write_off_against_step_out() {
    race(
        |_| {},
        |world| {
            world.step_aside(0);
            world.step_back(0);
        },
        |world| world.look(0, 0),
    );
}

#[test]
fn return_against_spare() {
    // Written off already: either it gets its place back, or a spare has it.
    race(
        |world| assert_eq!(world.write_off(0, 0), WrittenOff::Now),
        |world| world.turn(0),
        |world| world.add_spare(),
    );
}

#[test]
fn leaving_against_write_off() {
    // A spare has its place: it leaves the slot, in which it seems as stuck as before.
    race(
        |world| world.look(0, 0),
        |world| world.turn(0),
        |world| world.look(0, 0),
    );
}

#[test]
fn leaving_against_write_off_of_the_spare() {
    // As before, and the spare's first poll is stuck as well.
    race(
        |world| world.look(0, 0),
        |world| world.turn(0),
        |world| {
            let _ = world.write_off(0, 0);
            let spare = world.serving.lock().expect("no panic").last().copied();
            world.look(spare.expect("the spare serves"), 0);
        },
    );
}

#[test]
fn written_off_and_parked() {
    model(|| {
        let world = World::new();
        let worker = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                world.parker.adopt();
                // The last look at the signal word before it parks.
                if !world.is_signalled(0) {
                    world.park();
                }
                world.turn(0);
            })
        };
        if world.write_off(0, 0) != WrittenOff::Now {
            // It was parked, and is woken for a task.
            world.tasks.fetch_add(1, Ordering::Release);
            world.notify();
        }
        worker.join().expect("no panic");
        assert_eq!(world.threads.count(), (WORKERS, 0));
    });
}

/// Threads of two workers, of which the calling thread is a member.
fn threads() -> Arc<Threads> {
    let threads = Threads::new(2, 4);
    threads.join();
    Arc::new(threads)
}

/// Closes, leaves, and waits for the other members.
fn shut_down(threads: &Threads) {
    threads.wake_all();
    assert!(!threads.leave(), "this thread waits, and finishes");
    assert_eq!(threads.wait(None), Gone::AllMineToFinish);
}

#[test]
fn spare_against_shutdown() {
    model(|| {
        let threads = threads();
        assert!(threads.step_out(0, 2), "a spare is missing");
        let gone = Arc::new(AtomicBool::new(false));
        let watchman = {
            let (threads, gone) = (Arc::clone(&threads), Arc::clone(&gone));
            thread::spawn(move || {
                if !threads.call_up(2) || !threads.admit() {
                    return;
                }
                // The thread that starts, and finds its slot taken away soon.
                let slot = threads.wait_for_slot(Duration::MAX);
                assert_eq!(slot, None);
                assert!(!gone.load(Ordering::SeqCst), "it outlives its runtime");
                assert!(!threads.leave());
            })
        };
        shut_down(&threads);
        gone.store(true, Ordering::SeqCst);
        watchman.join().expect("no panic");
    });
}

#[test]
fn failed_start_against_shutdown() {
    model(|| {
        let threads = threads();
        let watchman = {
            let threads = Arc::clone(&threads);
            thread::spawn(move || {
                if threads.admit() {
                    threads.not_started();
                }
            })
        };
        shut_down(&threads);
        watchman.join().expect("no panic");
    });
}

#[test]
fn hand_to_spare_against_timeout() {
    model(|| {
        let threads = threads();
        let spare = {
            let threads = Arc::clone(&threads);
            thread::spawn(move || threads.wait_for_slot(Duration::ZERO))
        };
        let handed = threads.hand_to_spare(2);
        let taken = spare.join().expect("no panic");
        assert_eq!(taken, handed.then_some(2));
    });
}

#[test]
fn hand_to_spare_against_shutdown() {
    model(|| {
        let threads = threads();
        let spare = {
            let threads = Arc::clone(&threads);
            thread::spawn(move || threads.wait_for_slot(Duration::MAX))
        };
        let watchman = {
            let threads = Arc::clone(&threads);
            thread::spawn(move || threads.hand_to_spare(2))
        };
        threads.wake_all();
        let handed = watchman.join().expect("no panic");
        let taken = spare.join().expect("no panic");
        // A slot that is handed over late is served, and given back.
        assert_eq!(taken, handed.then_some(2));
    });
}

#[test]
fn two_hands_against_one_spare() {
    model(|| {
        let threads = threads();
        let spare = {
            let threads = Arc::clone(&threads);
            thread::spawn(move || threads.wait_for_slot(Duration::MAX))
        };
        let other = {
            let threads = Arc::clone(&threads);
            thread::spawn(move || threads.hand_to_spare(2))
        };
        let mut handed = Vec::new();
        handed.extend(threads.hand_to_spare(3).then_some(3));
        handed.extend(other.join().expect("no panic").then_some(2));
        threads.wake_all();
        let taken = spare.join().expect("no panic");
        assert_eq!(handed, Vec::from_iter(taken), "a slot is lost");
    });
}

/// Two slots with a queue each, and the injector; queues and their use are reduced as in `idle/loom.rs`.
struct Queues {
    /// What is modelled.
    slots: Slots,
    /// Who sleeps.
    idle: Idle,
    /// How many tasks lie in each slot's deque, and at last in the injector.
    tasks: [AtomicUsize; 3],
}

/// The injector's place in [`Queues::tasks`].
const INJECTOR: usize = 2;

impl Queues {
    /// Slot 1 is served by a thread that searches.
    fn new() -> Arc<Queues> {
        let queues = Queues {
            slots: Slots::new(2, 0, 0),
            idle: Idle::new(2),
            tasks: [0; 3].map(AtomicUsize::new),
        };
        queues.slots.enliven(1);
        assert!(queues.idle.try_search(1));
        Arc::new(queues)
    }

    fn push(&self, queue: usize) {
        self.tasks[queue].fetch_add(1, Ordering::Release);
    }

    fn take(&self, queue: usize) -> bool {
        fence(Ordering::SeqCst);
        let one_less = |tasks: usize| tasks.checked_sub(1);
        self.tasks[queue]
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less)
            .is_ok()
    }

    /// What an unpark would begin is done by [`settle`](Queues::settle).
    fn notify(&self) {
        let _ = self.idle.choose(|| usize::MAX);
    }

    fn has_work(&self) -> bool {
        let is_there = |queue: usize| self.tasks[queue].load(Ordering::Acquire) > 0;
        is_there(INJECTOR) || self.slots.live_from(0).any(is_there)
    }

    /// The thread of slot 1: takes what it finds, and parks when there is nothing.
    fn search_and_park(&self) {
        let found = self.slots.live_from(0).any(|slot| self.take(slot)) || self.take(INJECTOR);
        if found {
            if self.idle.found_work() && self.has_work() {
                self.notify();
            }
            if !self.idle.try_search(self.slots.count_live()) {
                return self.park(false);
            }
            return self.search_and_park();
        }
        self.park(true);
    }

    fn park(&self, searching: bool) {
        if self.idle.park(1, searching) == Parked::Recheck && self.has_work() {
            self.notify();
        }
    }

    /// After the race: if slot 1 was chosen it searches on. Then nothing may be left.
    fn settle(&self) {
        while !self.idle.is_parked(1) {
            self.search_and_park();
        }
        let left = self
            .tasks
            .each_ref()
            .map(|tasks| tasks.load(Ordering::Relaxed));
        assert_eq!(left, [0; 3], "tasks lie there, and everybody sleeps");
    }
}

/// Lets the thread of slot 0 race with the search of slot 1's.
fn race_with_search(prepare: fn(&Queues), owner: fn(&Queues)) {
    model(move || {
        let queues = Queues::new();
        prepare(&queues);
        let thief = {
            let queues = Arc::clone(&queues);
            thread::spawn(move || queues.search_and_park())
        };
        owner(&queues);
        thief.join().expect("no panic");
        queues.settle();
    });
}

#[test]
fn live_mask_against_steal() {
    // A thread leaves its slot, with tasks in it that others may be about to steal.
    race_with_search(
        |queues| {
            queues.slots.enliven(0);
            queues.push(0);
            queues.push(0);
        },
        |queues| {
            queues.slots.retire(0);
            while queues.take(0) {
                queues.push(INJECTOR);
            }
            queues.notify();
        },
    );
}

#[test]
fn live_mask_against_parking() {
    // A thread takes a slot, gets tasks, and computes for ever.
    race_with_search(
        |_| {},
        |queues| {
            queues.slots.enliven(0);
            queues.push(0);
            queues.notify();
        },
    );
}

#[test]
fn live_mask_against_live_mask() {
    model(|| {
        let slots = Arc::new(Slots::new(2, 0, 0));
        slots.enliven(0);
        let other = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || slots.retire(0))
        };
        slots.enliven(1);
        other.join().expect("no panic");
        assert!(Vec::from_iter(slots.live_from(0)) == [1]);
    });
}
