//! Models of the hog lane, each named after the race it explores (`lane.rs`).
//!
//! The models' threads serve as those of the runtime do (`rescue.rs`, `serve_lane`); what is queued are numbers. A wait of
//! zero length is over at once, any other lasts until a notification: so a model chooses with `keep_alive` whether threads end. A task that
//! is forgotten leaves somebody waiting for it, which loom reports as a deadlock. What comes before the race is done by the model's
//! main thread in the name of the others, so that only the race itself is explored.

use std::sync::Arc;

use ::loom::sync::atomic::{AtomicBool, Ordering::SeqCst, fence};
use ::loom::thread;

use super::*;
use crate::sync::{bounded_model, model};

/// A lane and those whom it serves.
struct World {
    /// What is modelled.
    lane: Lane<u32>,
    /// How long its threads wait.
    keep_alive: Duration,
    /// How many tasks have been polled.
    polls: Mutex<usize>,
    /// Signalled when `polls` changes.
    polled: Condvar,
    /// To wait for each thread of the lane. Std's lock: it orders nothing that is modelled, and nobody waits for it.
    threads: std::sync::Mutex<Vec<thread::JoinHandle<()>>>,
}

impl World {
    fn new(width: usize, limit: usize, keep_alive: Duration) -> Arc<World> {
        Arc::new(World {
            lane: Lane::new(width, limit),
            keep_alive,
            polls: Mutex::new(0),
            polled: Condvar::new(),
            threads: std::sync::Mutex::default(),
        })
    }

    fn push(self: &Arc<Self>, task: u32) {
        let help = self.lane.push(task).expect("open");
        self.give(help);
    }

    fn give(self: &Arc<Self>, help: Help) {
        match help {
            Help::Enough => {}
            Help::Notify => self.lane.notify(),
            Help::Start(seat) => {
                let world = Arc::clone(self);
                self.spawn(move || world.serve(seat));
            }
        }
    }

    fn spawn(&self, body: impl FnOnce() + 'static) {
        let thread = thread::spawn(body);
        self.threads.lock().expect("no panic").push(thread);
    }

    fn serve(self: &Arc<Self>, seat: usize) {
        while let Next::Poll(task, help) = self.lane.next(seat, self.keep_alive) {
            self.give(help);
            self.lane.begin(seat, u64::from(task));
            self.poll();
            self.lane.end(seat);
        }
    }

    fn poll(&self) {
        *self.polls.lock() += 1;
        self.polled.notify_all();
    }

    /// Pushes a task for which a thread is to start, and begins its poll in the name of that thread.
    fn push_and_begin(&self, task: u32) -> usize {
        let Ok(Help::Start(seat)) = self.lane.push(task) else {
            panic!("another thread may start");
        };
        let Next::Poll(_, Help::Enough) = self.lane.next(seat, self.keep_alive) else {
            panic!("it has just been pushed");
        };
        self.lane.begin(seat, u64::from(task));
        seat
    }

    /// Ends a poll that was begun in the name of the thread on `seat`, which then goes on by itself.
    fn end_and_serve(self: &Arc<Self>, seat: usize) {
        let world = Arc::clone(self);
        self.spawn(move || {
            world.poll();
            world.lane.end(seat);
            world.serve(seat);
        });
    }

    fn wait_for(&self, done: usize) {
        let mut polls = self.polls.lock();
        while *polls < done {
            self.polled.wait(&mut polls);
        }
    }

    /// The watchman: tells the lane, if `seat` is in a poll, that it blocks.
    fn tell_blocked(self: &Arc<Self>, seat: usize) {
        let epoch = self.lane.seats()[seat].epoch.load(Ordering::Relaxed);
        if !epoch.is_multiple_of(2) {
            let help = self.lane.blocked(seat, epoch);
            self.give(help);
        }
    }

    /// Closes the lane, from which all tasks have been taken.
    fn finish(&self) {
        assert_eq!(self.lane.close().len(), 0);
        self.join();
    }

    /// Waits until the threads have ended, and looks whether all of them have been counted once.
    fn join(&self) {
        let join = |thread: thread::JoinHandle<()>| thread.join().expect("no panic");
        loop {
            // Not under the lock: a thread that ends may have to start one.
            let Some(thread) = self.threads.lock().expect("no panic").pop() else {
                break;
            };
            join(thread);
        }
        let state = self.lane.state.lock();
        let counts = (state.threads, state.idle, state.chosen, state.blocked);
        assert_eq!(counts, (0, 0, 0, 0), "threads, idle, chosen, blocked");
        assert_eq!(state.free.len(), self.lane.seats.len());
        assert!(state.is_blocked.iter().all(|is_blocked| !is_blocked));
        assert_eq!(state.queue.len(), 0, "a task came after the end");
        assert!(!self.lane.is_busy());
    }
}

#[test]
fn push_against_going_idle() {
    model(|| {
        let world = World::new(1, 1, Duration::MAX);
        world.push(1);
        // The thread may just have found nothing more.
        world.push(2);
        world.wait_for(2);
        world.finish();
    });
}

#[test]
fn push_against_timeout() {
    model(|| {
        let world = World::new(1, 1, Duration::ZERO);
        world.push(1);
        // The thread may be about to end, or have given up its seat.
        world.push(2);
        world.wait_for(2);
        world.finish();
    });
}

#[test]
fn two_pushes_against_one_thread() {
    model(|| {
        let world = World::new(1, 1, Duration::MAX);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.push(1))
        };
        world.push(2);
        other.join().expect("no panic");
        world.wait_for(2);
        world.finish();
    });
}

#[test]
fn push_against_two_timeouts() {
    bounded_model(|| {
        // Both threads may be idle, with their time over, when one of them is chosen.
        let world = World::new(2, 2, Duration::ZERO);
        let seats = [1, 2].map(|task| world.push_and_begin(task));
        for seat in seats {
            world.end_and_serve(seat);
        }
        world.push(3);
        world.wait_for(3);
        world.finish();
    });
}

#[test]
fn blocked_against_end_of_poll() {
    bounded_model(|| {
        let world = World::new(1, 2, Duration::MAX);
        world.push(1);
        world.push(2);
        // The poll of the first may be over when the lane hears of it; or it may be the second one's.
        world.tell_blocked(0);
        world.wait_for(2);
        world.finish();
    });
}

#[test]
fn blocked_against_push() {
    bounded_model(|| {
        let world = World::new(1, 2, Duration::MAX);
        let seat = world.push_and_begin(1);
        let watchman = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.tell_blocked(seat))
        };
        world.push(2);
        watchman.join().expect("no panic");
        // The first does not end before the second.
        world.wait_for(1);
        world.end_and_serve(seat);
        world.wait_for(2);
        world.finish();
    });
}

#[test]
fn return_against_going_idle() {
    bounded_model(|| {
        // One comes back from blocking, while another goes on in its stead: one of them becomes idle, but not while the other leaves
        // a task behind.
        let world = World::new(1, 2, Duration::MAX);
        let seat = world.push_and_begin(1);
        world.tell_blocked(seat);
        world.push(2);
        world.end_and_serve(seat);
        world.push(3);
        world.wait_for(3);
        world.finish();
    });
}

#[test]
fn return_against_failed_start() {
    model(|| {
        let world = World::new(1, 2, Duration::MAX);
        let blocked = world.push_and_begin(1);
        world.tell_blocked(blocked);
        let Ok(Help::Start(seat)) = world.lane.push(2) else {
            panic!("one is blocked, another may come");
        };
        // It comes back, and may find the lane wide enough without it because of a thread that will not come.
        world.end_and_serve(blocked);
        for _ in world.lane.not_started(seat) {
            world.poll();
        }
        world.wait_for(2);
        world.finish();
    });
}

#[test]
fn close_against_push() {
    for keep_alive in [Duration::ZERO, Duration::MAX] {
        model(move || {
            let world = World::new(1, 1, keep_alive);
            world.push(1);
            let pusher = {
                let world = Arc::clone(&world);
                thread::spawn(move || match world.lane.push(2) {
                    Ok(help) => {
                        world.give(help);
                        0
                    }
                    Err(_) => 1,
                })
            };
            let dropped = world.lane.close().len();
            let given_back = pusher.join().expect("no panic");
            world.join();
            assert_eq!(*world.polls.lock() + dropped + given_back, 2);
        });
    }
}

#[test]
fn begin_against_falling_asleep() {
    model(|| {
        // The reactor thread sleeps only if nobody is in a poll (duty.md); a poll lasts here until it has looked. Its sleep is that of the
        // reactor's `thread.rs`, and a fence stands for the total order of `SeqCst` accesses, which loom does not know.
        let lane = Arc::new(Lane::<u32>::new(2, 2));
        let asleep = Arc::new(AtomicBool::new(false));
        let watched = {
            let (lane, asleep) = (Arc::clone(&lane), Arc::clone(&asleep));
            thread::spawn(move || {
                while !lane.is_busy() {
                    asleep.swap(true, SeqCst);
                    fence(SeqCst);
                    if !lane.is_busy() {
                        thread::park();
                    }
                    asleep.swap(false, SeqCst);
                }
            })
        };
        let begin = |seat| {
            lane.begin(seat, 0);
            fence(SeqCst);
            if asleep.load(SeqCst) && asleep.swap(false, SeqCst) {
                watched.thread().unpark();
            }
        };
        begin(0);
        watched.join().expect("no panic");
        lane.end(0);
        assert!(!lane.is_busy());
    });
}

#[test]
fn two_begin_and_end() {
    model(|| {
        let lane = Arc::new(Lane::<u32>::new(2, 2));
        let serve = |seat| {
            let lane = Arc::clone(&lane);
            move || {
                lane.begin(seat, 0);
                assert!(lane.is_busy(), "the watchman may sleep during a poll");
                lane.end(seat);
            }
        };
        let other = thread::spawn(serve(0));
        serve(1)();
        other.join().expect("no panic");
        assert!(!lane.is_busy(), "the watchman cannot sleep any more");
    });
}
