//! Models of the idle protocol, each named after the race it explores (`idle.md`).
//!
//! Run with `RUSTFLAGS="--cfg rt_loom" LOOM_MAX_PREEMPTIONS=3 cargo test -p executor --lib --release loom`. Queues and
//! parkers are reduced to what the protocol relies on: a push is a store that orders nothing later, a steal
//! begins with a fence, as those of the real deque do. Loom takes a `SeqCst` access for an `AcqRel` one, so the
//! fences must carry the proof alone.

use std::sync::Arc;

use ::loom::thread;

use super::*;
use crate::sync::{AtomicUsize, model};

/// A scheduler with as much as the protocol needs.
struct World {
    /// What is modelled.
    idle: Idle,
    /// The number of slots.
    slots: usize,
    /// Tasks in the one queue that everybody takes from.
    tasks: AtomicUsize,
}

impl World {
    /// A world where the first `parked` slots sleep.
    fn new(slots: usize, parked: usize) -> Arc<World> {
        let world = World {
            idle: Idle::new(slots),
            slots,
            tasks: AtomicUsize::new(0),
        };
        for slot in 0..parked {
            let _ = world.idle.park(slot, false);
        }
        Arc::new(world)
    }

    /// Pushes a task and notifies.
    fn push(&self) {
        self.tasks.fetch_add(1, Ordering::Release);
        self.notify();
    }

    /// What an unpark would begin is done by [`settle`](World::settle).
    fn notify(&self) {
        let _ = self.idle.choose(|| usize::MAX);
    }

    fn has_work(&self) -> bool {
        self.tasks.load(Ordering::Acquire) > 0
    }

    fn steal(&self) -> bool {
        fence(Ordering::SeqCst);
        let one_less = |tasks: usize| tasks.checked_sub(1);
        self.tasks
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less)
            .is_ok()
    }

    /// S2: stops searching, with a task in hand.
    fn found_work(&self) {
        if self.idle.found_work() && self.has_work() {
            self.notify();
        }
    }

    fn park(&self, slot: usize, searching: bool) {
        if self.idle.park(slot, searching) == Parked::Recheck && self.has_work() {
            self.notify();
        }
    }

    /// One task, if a search finds one; else the worker parks.
    fn work_or_park(&self, slot: usize, searching: bool) -> bool {
        let searching = searching || self.idle.try_search(self.slots);
        let found = searching && self.steal();
        if found {
            self.found_work();
        } else {
            self.park(slot, searching);
        }
        found
    }

    fn work_until_parked(&self, slot: usize, mut searching: bool) {
        while self.work_or_park(slot, searching) {
            searching = false;
        }
    }

    /// S3, by a worker that searches: whether it lingers.
    fn begin_linger(&self) -> bool {
        let lingers = self.idle.begin_linger();
        if lingers == Lingers::Recheck && self.has_work() {
            self.notify();
        }
        lingers != Lingers::Not
    }

    /// The rest of S3, with one look: whether it has found a task.
    fn end_linger(&self) -> bool {
        let searches = self.has_work() && self.idle.try_search(self.slots);
        let found = searches && self.steal();
        if searches {
            self.found_work();
        }
        self.idle.end_linger();
        found
    }

    /// After the race: whoever was chosen wakes up and works until there is nothing left. Then no task may lie
    /// in the queue while everybody sleeps, and the counts must agree with the list.
    fn settle(&self) {
        while let Some(slot) = (0..self.slots).find(|&slot| !self.idle.is_parked(slot)) {
            self.work_until_parked(slot, true);
        }
        assert!(
            !self.has_work(),
            "a task lies in the queue, and everybody sleeps"
        );
        let counts = self.idle.load();
        assert_eq!(counts.searching(), 0);
        assert_eq!(counts.parked(), self.slots as u64);
    }

    /// Whether `slot` has been chosen for what lies in the queue, or nothing lies there.
    fn is_served_by(&self, slot: usize) -> bool {
        !self.has_work() || !self.idle.is_parked(slot)
    }
}

#[test]
fn push_against_park() {
    for searching in [false, true] {
        model(move || {
            let world = World::new(1, 0);
            assert!(!searching || world.idle.try_search(1));
            let worker = {
                let world = Arc::clone(&world);
                thread::spawn(move || world.park(0, searching))
            };
            world.push();
            worker.join().expect("no panic");
            assert!(!world.idle.is_parked(0), "nobody wakes up for the task");
            world.settle();
        });
    }
}

#[test]
fn push_against_last_searcher() {
    model(|| {
        // Slot 0 sleeps, slot 1 searches, and computes for ever on what it finds.
        let world = World::new(2, 1);
        assert!(world.idle.try_search(2));
        world.push();
        let searcher = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                assert!(world.steal());
                world.found_work();
            })
        };
        world.push();
        searcher.join().expect("no panic");
        assert!(
            world.is_served_by(0),
            "the task waits for the one that computes"
        );
    });
}

#[test]
fn push_against_two_searchers() {
    model(|| {
        // Slot 0 sleeps, slots 1 and 2 search; one task is there, a second comes.
        let world = World::new(3, 1);
        for _ in 0..2 {
            world.idle.counts.fetch_add(SEARCHING, Ordering::SeqCst);
        }
        world.push();
        let searchers = [1, 2].map(|slot| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.work_or_park(slot, true))
        });
        world.push();
        let found = searchers.map(|searcher| searcher.join().expect("no panic"));
        let asleep = [0, 1, 2].iter().all(|&slot| {
            // Who found a task computes on and looks at nothing.
            slot > 0 && found[slot - 1] || world.idle.is_parked(slot)
        });
        assert!(!world.has_work() || !asleep, "everybody relied on another");
    });
}

#[test]
fn two_pushes_two_sleepers() {
    model(|| {
        let world = World::new(2, 2);
        let pusher = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.push())
        };
        world.push();
        pusher.join().expect("no panic");
        let awake = (0..2).filter(|&slot| !world.idle.is_parked(slot)).count();
        assert!(awake >= 1);
        assert_eq!(world.idle.load().searching(), awake as u64);
        world.settle();
    });
}

#[test]
fn leave_against_choose() {
    model(|| {
        // The driver has something for slot 0, and at the same time a task is pushed.
        let world = World::new(1, 1);
        let worker = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let searching = world.idle.leave(0) == Left::Chosen;
                world.work_until_parked(0, searching);
            })
        };
        world.push();
        worker.join().expect("no panic");
        world.settle();
    });
}

#[test]
fn early_wake_against_choose() {
    model(|| {
        // Slot 0 wakes by itself and sees that it has been chosen, before the one who chose has finished. It
        // finds the task and computes for ever; then slot 1 must be chosen for the other task.
        let world = World::new(2, 2);
        // Slot 1 parked last: it is chosen first.
        let chosen = 1;
        let worker = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let was_chosen = !world.idle.is_parked(chosen);
                if was_chosen && world.steal() {
                    world.found_work();
                }
                was_chosen
            })
        };
        world.tasks.fetch_add(1, Ordering::Release);
        world.push();
        if worker.join().expect("no panic") {
            assert_eq!(
                world.idle.load().searching(),
                u64::from(!world.idle.is_parked(0))
            );
            assert!(
                world.is_served_by(0),
                "the task waits for the one that computes"
            );
        }
    });
}

#[test]
fn push_against_linger() {
    model(|| {
        // Slot 0 sleeps. Slot 1 has searched in vain, lingers, and does not get its core back.
        let world = World::new(2, 1);
        assert!(world.idle.try_search(2));
        let lingerer = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                if world.steal() {
                    world.found_work();
                } else {
                    assert!(world.begin_linger());
                }
            })
        };
        world.push();
        lingerer.join().expect("no panic");
        assert!(
            world.is_served_by(0),
            "the task waits for the one that lingers"
        );
    });
}

#[test]
fn push_against_the_end_of_a_linger() {
    model(|| {
        let world = World::new(1, 0);
        assert!(world.idle.try_search(1) && world.begin_linger());
        let lingerer = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                if !world.end_linger() {
                    world.work_until_parked(0, false);
                }
            })
        };
        world.push();
        lingerer.join().expect("no panic");
        if world.has_work() {
            assert!(!world.idle.is_parked(0), "nobody wakes up for the task");
        }
    });
}

#[test]
fn linger_against_linger() {
    model(|| {
        let world = World::new(4, 0);
        assert!(world.idle.try_search(4) && world.idle.try_search(4));
        let lingering = Arc::new(AtomicUsize::new(0));
        let linger = |world: Arc<World>, lingering: Arc<AtomicUsize>| {
            if world.begin_linger() {
                let others = lingering.fetch_add(1, Ordering::Relaxed);
                assert_eq!(others, 0, "two linger at once");
                lingering.fetch_sub(1, Ordering::Relaxed);
                assert!(!world.end_linger(), "there is nothing");
            } else {
                world.found_work();
            }
        };
        let other = {
            let (world, lingering) = (Arc::clone(&world), Arc::clone(&lingering));
            thread::spawn(move || linger(world, lingering))
        };
        linger(Arc::clone(&world), lingering);
        other.join().expect("no panic");
        assert_eq!(world.idle.load().searching(), 0);
        assert!(
            world.idle.try_search(4) && world.begin_linger(),
            "nobody lingers for ever"
        );
    });
}

#[test]
fn batch_against_park() {
    model(|| {
        // The driver of slot 0 wakes two tasks that are work enough for two. Slot 1 runs out of work meanwhile.
        let world = World::new(2, 0);
        let dispatcher = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                world.tasks.fetch_add(2, Ordering::Release);
                if is_for_others(2, BACKLOG / 2, || Cores::Free) {
                    world.notify();
                }
                // On which it computes.
                assert!(world.steal());
            })
        };
        let found = world.work_or_park(1, false);
        dispatcher.join().expect("no panic");
        assert!(
            found || world.is_served_by(1),
            "the second task waits for the first"
        );
    });
}
