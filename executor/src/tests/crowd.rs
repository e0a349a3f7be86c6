//! Crowd: what the watchman finds out reaches the workers, and ends when it should.

use super::{Executor, config, spin_until, watched, yield_now};
use crate::crowd::Meter;
use crate::idle::Cores;
use crate::{CoreTime, Flavor, Probe, Watched, Watchman};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// As long as a window of the meter.
const WINDOW: Duration = Duration::from_millis(50);

thread_local! {
    /// How often it was asked how a thread got on.
    static ASKED: Cell<u32> = const { Cell::new(0) };
    /// Milliseconds that threads have run, have waited, and that cores were unused; `None`: the system does not tell.
    static TOLD: Cell<Option<(u64, u64, u64)>> = const { Cell::new(None) };
    /// Whether threads sleep in the kernel; `None`: the system does not tell.
    static BLOCKED: Cell<Option<bool>> = const { Cell::new(None) };
}

fn told() -> Option<[Duration; 3]> {
    let (ran, waited, unused) = TOLD.get()?;
    Some([ran, waited, unused].map(Duration::from_millis))
}

/// An executor whose system tells what `TOLD` says.
fn executor(workers: usize) -> Executor {
    let mut config = config(Flavor::MultiThread, workers);
    config.probe = Some(Probe {
        id: || 1,
        blocked: |_| BLOCKED.get(),
        core_time: |_| {
            ASKED.set(ASKED.get() + 1);
            told().map(|[ran, waited, _]| CoreTime { ran, waited })
        },
        unused: || told().map(|[.., unused]| unused),
    });
    let executor = Executor::start(config);
    // What the threads have waited counts once they have said who they are.
    let slots = &executor.handle.shared().slots;
    spin_until(|| (0..workers).all(|slot| slots.get(slot).thread.load(SeqCst) == 1));
    executor
}

#[test]
fn one_worker_is_never_crowded() {
    let executor = executor(1);
    let shared = executor.handle.shared();
    let mut now = Instant::now();
    let mut meter = Meter::new(now);
    for window in 1..10 {
        now += WINDOW;
        TOLD.set(Some((50 * window, 40 * window, 0)));
        meter.look(shared, now);
        assert!(!shared.crowd.is_crowded());
    }
}

#[test]
fn the_watchman_tells_the_workers() {
    let executor = executor(2);
    let shared = executor.handle.shared();
    let mut meter = Meter::new(Instant::now());
    let (mut now, mut at) = (Instant::now(), (0, 0, 0));
    // Both workers have the same number here, so each millisecond counts twice.
    let mut look = |after: Duration, (ran, waited, unused)| {
        now += after;
        at = (at.0 + ran, at.1 + waited, at.2 + unused);
        TOLD.set(Some(at));
        meter.look(shared, now);
        let is_crowded = shared.crowd.is_crowded();
        let cores = if is_crowded {
            Cores::Crowded
        } else {
            Cores::Free
        };
        assert_eq!(shared.cores(), cores);
        is_crowded
    };
    let crowded = (25, 20, 0);
    assert!(!look(WINDOW, (25, 20, 35)));
    assert_eq!(ASKED.get(), 0, "a core is unused");
    // The first window of a full machine only tells what the counters are.
    let found = [(); 3].map(|()| look(WINDOW, crowded));
    assert_eq!(found, [false, false, true]);
    assert!(look(WINDOW / 2, (0, 0, 500)), "a window is not over");
    assert!(!look(WINDOW / 2, (25, 0, 0)), "cores are unused");
    assert!((0..10).any(|_| look(WINDOW, crowded)));
    assert!(!look(4 * WINDOW, (25, 0, 0)), "the watchman has slept");
    assert!((0..20).any(|_| look(WINDOW, crowded)));
    TOLD.set(None);
    meter.look(shared, now + 2 * WINDOW);
    assert!(!shared.crowd.is_crowded(), "the system does not tell");
    let _epoch = shared.lane.begin(0, 0);
    assert_eq!(shared.cores(), Cores::Hogs);
    shared.lane.end(0);
    assert_eq!(shared.cores(), Cores::Free);
}

/// What the system tells of a thread that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// It runs or waits for a core.
    Runnable,
    /// It uses CPU time.
    Computing,
    /// It sleeps in the kernel.
    Blocked,
    /// It runs or waits for a core, and a thread of the lane is within a poll.
    BesideHog,
    /// The same, and another worker is stuck.
    BesideStuck,
    /// Nothing.
    Unknown,
}

/// A task that holds its worker until it is dropped, and the time as the watchman is told.
struct Held {
    ends: Arc<AtomicBool>,
    now: Instant,
}

impl Held {
    fn start(executor: &Executor, now: Instant) -> Held {
        let [began, ends] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let held = Held {
            ends: Arc::clone(&ends),
            now,
        };
        let running = Arc::clone(&began);
        drop(executor.spawn(async move {
            running.store(true, SeqCst);
            spin_until(|| ends.load(SeqCst));
        }));
        spin_until(|| began.load(SeqCst));
        held
    }

    /// A look, a millisecond after the one before.
    fn look(&mut self, watchman: &mut Watchman) -> Watched {
        self.now += Duration::from_millis(1);
        watchman.look(self.now, |_| ())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ends.store(true, SeqCst);
    }
}

#[test]
fn a_thread_that_may_wait_for_a_core_is_given_time() {
    watched(|| {
        // How each of the workers got on in a window, what the system tells of the thread, and after how many milliseconds a poll that lasts is rescued.
        for (workers, ran, waited, thread, expected) in [
            (2, 25, 25, Thread::Runnable, 6),
            (2, 15, 35, Thread::Runnable, 14),
            (2, 1, 49, Thread::Runnable, 34),
            (1, 33, 17, Thread::Runnable, 6),
            // It is a poll that lasts: nothing else uses a millisecond.
            (2, 1, 49, Thread::Computing, 4),
            (2, 25, 25, Thread::Blocked, 2),
            (2, 25, 25, Thread::Unknown, 2),
            (2, 48, 2, Thread::Runnable, 2),
            // Hogs are why the others wait, and who is stuck already.
            (2, 25, 25, Thread::BesideHog, 2),
            (2, 25, 25, Thread::BesideStuck, 2),
        ] {
            TOLD.set(Some((0, 0, 0)));
            BLOCKED.set(match thread {
                Thread::Unknown => None,
                _ => Some(thread == Thread::Blocked),
            });
            let executor = executor(workers);
            let shared = executor.handle.shared();
            let mut watchman = executor.handle.watchman();
            let mut now = Instant::now();
            for window in 1..4 {
                now += WINDOW;
                TOLD.set(Some((ran * window, waited * window, 0)));
                let _ = watchman.look(now, |_| ());
            }
            let hog = (thread == Thread::BesideHog).then(|| shared.lane.begin(0, 0));
            let rescues = &shared.counters.rescues;
            let other = (thread == Thread::BesideStuck).then(|| {
                let mut other = Held::start(&executor, now);
                BLOCKED.set(Some(true));
                while rescues.load(SeqCst) == 0 {
                    let _ = other.look(&mut watchman);
                }
                BLOCKED.set(Some(false));
                now = other.now;
                other
            });
            let before = rescues.load(SeqCst);
            let mut held = Held::start(&executor, now);
            // The first look finds out that the poll has begun.
            let after = (0..45).find(|millis| {
                if thread == Thread::Computing {
                    TOLD.set(Some((ran * 3 + millis, waited * 3, 0)));
                }
                let _ = held.look(&mut watchman);
                rescues.load(SeqCst) > before
            });
            drop(other);
            assert_eq!(after, Some(expected), "{workers} {ran} {waited} {thread:?}");
            if hog.is_some() {
                shared.lane.end(0);
            }
        }
    });
}

#[test]
fn what_was_told_of_others_does_not_hold_for_ever() {
    let executor = executor(2);
    let shared = executor.handle.shared();
    let (mut now, mut ran) = (Instant::now(), 0);
    let mut meter = Meter::new(now);
    let mut wait_after = |more| {
        now += WINDOW;
        ran += more;
        TOLD.set(Some((ran, ran, 0)));
        meter.look(shared, now);
        meter.wait()
    };
    let slice = Duration::from_millis(4);
    assert_eq!(
        [25, 25, 25].map(&mut wait_after),
        [Duration::ZERO, slice, slice]
    );
    // The threads do little, and no core is unused.
    assert_eq!(
        [0; 5].map(&mut wait_after),
        [slice, slice, slice, slice, Duration::ZERO]
    );
}

#[test]
fn one_worker_that_gets_on_sees_to_sockets_for_all() {
    watched(|| {
        let mut config = config(Flavor::MultiThread, 2);
        config.rescue = None;
        let executor = Executor::start(config);
        let mut watchman = executor.handle.watchman();
        let mut held = Held::start(&executor, Instant::now());
        let (polls, ends) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let restless = executor.spawn({
            let (polls, ends) = (Arc::clone(&polls), Arc::clone(&ends));
            async move {
                while !ends.load(SeqCst) {
                    polls.fetch_add(1, SeqCst);
                    yield_now().await;
                }
            }
        });
        let mut seen = false;
        for _ in 0..5 {
            let before = polls.load(SeqCst);
            spin_until(|| polls.load(SeqCst) > before + 1);
            // The first look finds out that both have begun.
            let watched = held.look(&mut watchman);
            assert_eq!(
                watched == Watched::Calm,
                !std::mem::replace(&mut seen, true)
            );
            assert_ne!(watched, Watched::Standing);
        }
        ends.store(true, SeqCst);
        executor.block_on(restless).expect("no panic");
        spin_until(|| executor.handle.shared().idle.parked() == 1);
        let _ = held.look(&mut watchman);
        assert_eq!(held.look(&mut watchman), Watched::Standing);
    });
}
