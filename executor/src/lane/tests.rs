//! The lane's accounts step by step, and a crowd of real threads. What is queued are numbers.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use super::*;

/// How many tasks the crowd pushes.
const TASKS: u32 = if cfg!(miri) { 60 } else { 6000 };

/// Threads of the steps never wait: where one would become idle, it ends.
fn take(lane: &Lane<u32>, seat: usize) -> Option<(u32, Help)> {
    match lane.next(seat, Duration::ZERO) {
        Next::Poll(task, help) => {
            lane.begin(seat, u64::from(task));
            Some((task, help))
        }
        Next::End => None,
    }
}

/// The epoch in which `seat` is.
fn epoch(lane: &Lane<u32>, seat: usize) -> u64 {
    lane.seats()[seat].epoch.load(Ordering::Relaxed)
}

#[test]
fn at_most_width_threads_are_started() {
    let lane = Lane::new(2, 5);
    assert_eq!(lane.push(1), Ok(Help::Start(0)));
    assert_eq!(lane.push(2), Ok(Help::Start(1)));
    assert_eq!(lane.push(3), Ok(Help::Enough));
    assert_eq!(lane.depth(), (2, 3));
}

#[test]
fn the_oldest_comes_first() {
    let lane = Lane::new(1, 1);
    for task in 0..5 {
        let _ = lane.push(task);
    }
    for task in 0..5 {
        assert_eq!(take(&lane, 0), Some((task, Help::Enough)));
        lane.end(0);
    }
    assert_eq!(take(&lane, 0), None);
    assert_eq!(lane.depth(), (0, 0));
}

#[test]
fn a_seat_is_used_again() {
    let lane = Lane::new(1, 2);
    for task in 0..3 {
        assert_eq!(lane.push(task), Ok(Help::Start(0)));
        assert_eq!(take(&lane, 0), Some((task, Help::Enough)));
        lane.end(0);
        assert_eq!(take(&lane, 0), None);
    }
    assert_eq!(
        epoch(&lane, 0),
        6,
        "it counts on from one thread to the next"
    );
}

#[test]
fn who_blocks_is_replaced_up_to_the_limit() {
    let lane = Lane::new(1, 3);
    assert_eq!(lane.push(0), Ok(Help::Start(0)));
    for seat in 0..2 {
        assert!(take(&lane, seat).is_some());
        assert_eq!(lane.push(0), Ok(Help::Enough), "it may compute");
        assert!(lane.is_short());
        assert_eq!(
            lane.blocked(seat, epoch(&lane, seat)),
            Help::Start(seat + 1)
        );
    }
    assert!(take(&lane, 2).is_some());
    assert_eq!(lane.push(0), Ok(Help::Enough));
    assert_eq!(lane.blocked(2, epoch(&lane, 2)), Help::Enough);
    lane.end(1);
    assert!(take(&lane, 1).is_some(), "one that comes back goes on");
    assert!(!lane.is_short());
}

#[test]
fn only_the_present_poll_can_be_blocked() {
    let lane = Lane::new(1, 2);
    assert_eq!(lane.push(1), Ok(Help::Start(0)));
    assert_eq!(lane.push(2), Ok(Help::Enough));
    assert!(take(&lane, 0).is_some());
    let first = epoch(&lane, 0);
    lane.end(0);
    assert_eq!(lane.blocked(0, first), Help::Enough, "between two polls");
    assert!(take(&lane, 0).is_some());
    let _ = lane.push(3);
    assert_eq!(lane.blocked(0, first), Help::Enough, "in another poll");
    assert_eq!(lane.blocked(0, first + 2), Help::Start(1));
    assert_eq!(lane.blocked(0, first + 2), Help::Enough, "once is enough");
}

#[test]
fn who_comes_back_steps_aside_while_width_threads_work() {
    let lane = Lane::new(1, 2);
    assert_eq!(lane.push(1), Ok(Help::Start(0)));
    assert!(take(&lane, 0).is_some());
    assert_eq!(lane.blocked(0, epoch(&lane, 0)), Help::Enough);
    assert_eq!(lane.push(2), Ok(Help::Start(1)));
    assert!(take(&lane, 1).is_some());
    assert_eq!(lane.push(3), Ok(Help::Enough));
    lane.end(0);
    assert_eq!(take(&lane, 0), None, "two would compute");
    lane.end(1);
    assert_eq!(take(&lane, 1), Some((3, Help::Enough)));
}

#[test]
fn tasks_come_back_if_no_thread_can_be_had() {
    let lane = Lane::new(2, 3);
    assert_eq!(lane.push(1), Ok(Help::Start(0)));
    assert_eq!(lane.push(2), Ok(Help::Start(1)));
    assert_eq!(lane.not_started(1), [], "another is on its way");
    assert_eq!(lane.not_started(0), [1, 2]);
    assert_eq!(lane.depth(), (0, 0));
    // The next task tries again.
    assert_eq!(lane.push(3), Ok(Help::Start(0)));
}

#[test]
fn tasks_come_back_if_all_others_block() {
    let lane = Lane::new(1, 3);
    assert_eq!(lane.push(1), Ok(Help::Start(0)));
    assert!(take(&lane, 0).is_some());
    assert_eq!(lane.blocked(0, epoch(&lane, 0)), Help::Enough);
    assert_eq!(lane.push(2), Ok(Help::Start(1)));
    assert_eq!(lane.not_started(1), [2]);
    lane.end(0);
    assert_eq!(take(&lane, 0), None);
}

#[test]
fn a_closed_lane_takes_nothing() {
    let lane = Lane::new(1, 2);
    assert_eq!(lane.push(1), Ok(Help::Start(0)));
    assert_eq!(lane.push(2), Ok(Help::Enough));
    assert!(take(&lane, 0).is_some());
    assert_eq!(lane.close(), [2]);
    assert_eq!(lane.push(3), Err(3));
    assert!(lane.is_busy());
    lane.end(0);
    assert!(!lane.is_busy());
    assert_eq!(take(&lane, 0), None);
    assert_eq!(lane.depth(), (0, 0));
}

/// A lane with real threads.
struct Crowd {
    lane: Lane<u32>,
    keep_alive: Duration,
    /// The tasks that were polled.
    polled: Mutex<HashSet<u32>>,
    /// Signalled for each of them.
    changed: Condvar,
    /// How many threads are within a poll in which they do not block.
    computing: AtomicUsize,
    handles: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Crowd {
    fn give(self: &Arc<Self>, help: Help) {
        match help {
            Help::Enough => {}
            Help::Notify => self.lane.notify(),
            Help::Start(seat) => {
                let crowd = Arc::clone(self);
                let handle = thread::spawn(move || crowd.serve(seat));
                self.handles.lock().push(handle);
            }
        }
    }

    fn serve(self: &Arc<Self>, seat: usize) {
        while let Next::Poll(task, help) = self.lane.next(seat, self.keep_alive) {
            self.give(help);
            let epoch = self.lane.begin(seat, u64::from(task));
            let computing = self.computing.fetch_add(1, SeqCst) + 1;
            assert!(computing <= self.lane.width, "{computing} compute");
            if task.is_multiple_of(3) {
                thread::yield_now();
            }
            self.computing.fetch_sub(1, SeqCst);
            if task.is_multiple_of(7) {
                // As if the watchman had seen it sleep: others go on.
                let help = self.lane.blocked(seat, epoch);
                self.give(help);
                thread::yield_now();
            }
            self.lane.end(seat);
            assert!(self.polled.lock().insert(task), "{task} was polled twice");
            self.changed.notify_all();
        }
    }
}

#[test]
fn a_crowd_forgets_no_task() {
    for (width, limit, keep_alive) in [
        (1, 1, Duration::MAX),
        (2, 6, Duration::MAX),
        // Threads come and go all the time.
        (1, 3, Duration::ZERO),
        (3, 4, Duration::from_micros(50)),
    ] {
        let crowd = Arc::new(Crowd {
            lane: Lane::new(width, limit),
            keep_alive,
            polled: Mutex::default(),
            changed: Condvar::new(),
            computing: AtomicUsize::new(0),
            handles: Mutex::default(),
        });
        let pushers = [0, 1].map(|pusher| {
            let crowd = Arc::clone(&crowd);
            thread::spawn(move || {
                for task in (pusher..TASKS).step_by(2) {
                    let help = crowd.lane.push(task).expect("open");
                    crowd.give(help);
                }
            })
        });
        for pusher in pushers {
            pusher.join().expect("no panic");
        }
        let mut polled = crowd.polled.lock();
        while polled.len() < TASKS as usize {
            crowd.changed.wait(&mut polled);
        }
        drop(polled);
        assert!(crowd.lane.close().is_empty());
        loop {
            // Not under the lock.
            let Some(handle) = crowd.handles.lock().pop() else {
                break;
            };
            handle.join().expect("no panic");
        }
        assert_eq!(crowd.lane.depth(), (0, 0));
        let state = crowd.lane.state.lock();
        assert_eq!((state.idle, state.chosen, state.blocked), (0, 0, 0));
        assert_eq!(state.free.len(), limit);
    }
}
