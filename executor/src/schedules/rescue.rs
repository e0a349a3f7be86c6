//! Races around polls that last too long, and around `block_in_place` (`rescue.md`, `lane.rs`). The scenario's own thread is the watchman.

use super::*;
use crate::block_in_place;

/// Looks as a watchman does, twice at a time, and so far apart that whatever has not moved in between is stuck, until `is_enough`.
fn watch_until(handle: &Handle, is_enough: impl Fn() -> bool) {
    let mut watchman = handle.watchman();
    let mut now = sync::now();
    while !is_enough() {
        for _ in 0..2 {
            let _ = watchman.look(now, |_| {});
            now += 2 * Rescue::THRESHOLD;
        }
        thread::yield_now();
    }
}

/// An executor for which no thread can be started any more after `granted` names.
fn refusing(workers: usize, granted: usize) -> Config {
    let asked = AtomicUsize::new(0);
    Config {
        thread_name: Arc::new(move || {
            if asked.fetch_add(1, SeqCst) < granted {
                String::new()
            } else {
                thread::REFUSED.to_owned()
            }
        }),
        ..config(workers)
    }
}

/// Waits until as many threads are active as there should be, and none is written off.
fn settle(executor: &Executor) {
    let shared = executor.handle.shared();
    while shared.threads.count() != (shared.config.workers, 0) {
        thread::yield_now();
    }
}

/// The only worker blocks in place until another task has run: a spare takes its place, and one of the two is surplus when it comes back.
#[test]
fn block_in_place_vs_spare() {
    explore(40, || {
        let executor = Executor::new(1);
        let task = executor.spawn(blocks_until_other_ran(&executor));
        wait(task).expect("no panic");
        settle(&executor);
        executor.end();
    });
}

/// Spawns another task, which lies in the slot of this one's worker then, and blocks in place until it has run.
fn blocks_until_other_ran(executor: &Executor) -> impl Future<Output = ()> + use<> {
    let (handle, tokens) = (executor.handle.clone(), Arc::clone(&executor.tokens));
    async move {
        let gate = Gate::new();
        let opened = Arc::clone(&gate);
        let other = spawn(&handle, &tokens, async move { opened.open() });
        block_in_place(|| gate.block());
        other.await.expect("no panic");
    }
}

/// What a worker leaves when it blocks in place is for the other worker, which is about to park: a spare cannot be had.
#[test]
fn step_aside_vs_other_parks() {
    explore(22, || {
        let executor = Executor::start(refusing(2, 3));
        let task = executor.spawn(blocks_until_other_ran(&executor));
        wait(task).expect("no panic");
        executor.end();
    });
}

/// The only worker is held by a task until another has run, which the watchman must bring about; when it comes back, it may have been written off.
#[test]
fn written_off_vs_end_of_poll() {
    explore(30, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let (awaited, open) = (Arc::clone(&gate), Arc::clone(&gate));
        let hog = executor.spawn(async move {
            awaited.block();
            yield_now().await;
        });
        let other = executor.spawn(async move { open.open() });
        watch_until(&executor.handle, || gate.is_open());
        wait(other).expect("no panic");
        wait(hog).expect("no panic");
        settle(&executor);
        executor.end();
    });
}

/// The watchman takes a worker for stuck that gets on, and is about to park.
#[test]
fn written_off_vs_park() {
    explore(40, || {
        let executor = Executor::new(1);
        let task = executor.spawn(async { yield_now().await });
        let looks = AtomicUsize::new(0);
        watch_until(&executor.handle, || looks.fetch_add(1, SeqCst) == 2);
        wait(task).expect("no panic");
        // It must still serve.
        wait(executor.spawn(async {})).expect("no panic");
        settle(&executor);
        executor.end();
    });
}

/// A hog is scheduled for the lane while the lane's thread retires.
#[test]
fn hog_scheduled_vs_lane_retires() {
    explore(30, || {
        let executor = Executor::start(Config {
            keep_alive: Duration::from_secs(1),
            ..config(1)
        });
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let is_caught = Arc::new(AtomicBool::new(false));
        let caught = Arc::clone(&is_caught);
        let hog = executor.spawn(async move {
            while !caught.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            // In the lane from here on.
            yield_now().await;
            awaited.wait().await;
        });
        let handle = &executor.handle;
        watch_until(handle, || handle.metrics().hog_marks > 0);
        is_caught.store(true, Ordering::SeqCst);
        gate.open();
        wait(hog).expect("no panic");
        executor.end();
    });
}

/// A hog lies in the lane's queue, or is on its way there, while the executor ends.
#[test]
fn hog_scheduled_vs_shutdown() {
    explore(30, || {
        let executor = Executor::new(1);
        let is_caught = Arc::new(AtomicBool::new(false));
        let caught = Arc::clone(&is_caught);
        let hog = executor.spawn(async move {
            while !caught.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            yield_now().await;
            yield_now().await;
        });
        let handle = &executor.handle;
        watch_until(handle, || handle.metrics().hog_marks > 0);
        is_caught.store(true, Ordering::SeqCst);
        executor.handle.shutdown(None);
        let _ = wait(hog);
        executor.ended();
    });
}

/// A worker steps aside, no spare can be started for it, and the executor ends: the shutdown counts on nobody who does not come.
#[test]
fn spare_refused_vs_shutdown() {
    explore(30, || {
        // The worker, and the name that is kept.
        let executor = Executor::start(refusing(1, 2));
        let task = executor.spawn(async { block_in_place(thread::yield_now) });
        executor.handle.shutdown(Some(Duration::ZERO));
        let _ = wait(task);
        executor.end();
    });
}
