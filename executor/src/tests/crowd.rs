//! Crowd: what the watchman finds out reaches the workers, and ends when it should.

use super::{Executor, config};
use crate::crowd::Meter;
use crate::{CoreTime, Flavor, Probe};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// As long as a window of the meter.
const WINDOW: Duration = Duration::from_millis(50);

thread_local! {
    /// How often it was asked how a thread got on.
    static ASKED: Cell<u32> = const { Cell::new(0) };
    /// Milliseconds that threads have run, have waited, and that cores were unused; `None`: the system does not tell.
    static TOLD: Cell<Option<(u64, u64, u64)>> = const { Cell::new(None) };
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
        usage: |_| None,
        core_time: |_| {
            ASKED.set(ASKED.get() + 1);
            told().map(|[ran, waited, _]| CoreTime { ran, waited })
        },
        unused: || told().map(|[.., unused]| unused),
    });
    Executor::start(config)
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
    assert_eq!(ASKED.get(), 0);
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
        shared.crowd.is_crowded()
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
}
