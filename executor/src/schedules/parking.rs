//! Races between work that comes and workers that go to sleep (`idle.md`, `park.rs`).

use super::*;
use crate::batch;

/// A task waits, its only worker is about to park, and the wake comes.
#[test]
fn wake_vs_park() {
    explore(80, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let task = executor.spawn(async move {
            awaited.wait().await;
            7
        });
        gate.open();
        assert_eq!(wait(task).expect("no panic"), 7);
        executor.end();
    });
}

/// Two workers find nothing, and both are about to park when a task comes from outside.
#[test]
fn spawn_from_outside_vs_last_park() {
    explore(80, || {
        let executor = Executor::new(2);
        let task = executor.spawn(async { 7 });
        assert_eq!(wait(task).expect("no panic"), 7);
        executor.end();
    });
}

/// As before, and two threads spawn: each may rely on a worker that the other has woken.
#[test]
fn two_spawners_vs_two_parks() {
    explore(30, || {
        let executor = Executor::new(2);
        let (handle, tokens) = (executor.handle.clone(), Arc::clone(&executor.tokens));
        let other = beside(move || {
            let task = spawn(&handle, &tokens, async { 8 });
            assert_eq!(wait(task).expect("no panic"), 8);
        });
        let task = executor.spawn(async { 7 });
        assert_eq!(wait(task).expect("no panic"), 7);
        other.join().expect("no panic");
        executor.end();
    });
}

/// The last searcher finds a task that holds its thread until another one has run, and that other one is pushed meanwhile: somebody else must be
/// woken for it.
#[test]
fn last_searcher_finds_work_vs_push() {
    explore(40, || {
        let executor = Executor::new(2);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let stuck = executor.spawn(async move { awaited.block() });
        let other = executor.spawn(async move { gate.open() });
        wait(stuck).expect("no panic");
        wait(other).expect("no panic");
        executor.end();
    });
}

/// A worker that is about to park looks for events first, and finds one whose task holds its thread. What is pushed meanwhile relies on it if it still counts as
/// searching, and must be run by the other.
#[test]
fn look_first_vs_push() {
    explore(40, || {
        let executor = Executor::new(2);
        let events = [Gate::new(), Gate::new()];
        let (awaited, last) = (events.clone(), Gate::new());
        let opened = Arc::clone(&last);
        let stuck = executor.spawn(async move {
            for event in awaited {
                event.wait().await;
            }
            last.block();
        });
        // After the first, which it finds as soon as it parks, worker 0 looks first.
        for event in &events {
            while event.waiter.lock().is_none() {
                thread::yield_now();
            }
            executor.open_by_event(event, 0);
        }
        let other = executor.spawn(async move { opened.open() });
        wait(stuck).expect("no panic");
        wait(other).expect("no panic");
        executor.end();
    });
}

/// A worker fills its LIFO slot and its deque and goes on with them, while another steals from both.
#[test]
fn steal_vs_lifo() {
    explore(30, || {
        let executor = Executor::new(2);
        let (handle, tokens) = (executor.handle.clone(), Arc::clone(&executor.tokens));
        let task = executor.spawn(async move {
            let gate = Gate::new();
            let awaited = Arc::clone(&gate);
            // The second displaces the first from the slot, and notifies.
            let first = spawn(&handle, &tokens, async move { awaited.wait().await });
            let second = spawn(&handle, &tokens, async move { gate.open() });
            first.await.expect("no panic");
            second.await.expect("no panic");
        });
        wait(task).expect("no panic");
        executor.end();
    });
}

/// A thread that is no worker wakes two tasks in a batch, and notifies once for both, while the workers park, search or linger.
#[test]
fn batch_notify_vs_linger() {
    explore(30, || {
        let executor = Executor::new(2);
        let gates = [Gate::new(), Gate::new()];
        let tasks = gates.clone().map(|gate| {
            executor.spawn(async move {
                gate.wait().await;
            })
        });
        let woken = batch(&executor.handle, || {
            gates.iter().for_each(|gate| gate.open())
        });
        if woken > 0 {
            executor.handle.injected();
        }
        for task in tasks {
            wait(task).expect("no panic");
        }
        executor.end();
    });
}

/// A task yields while another comes from outside: neither starves, and no wake is lost between deque and injector.
#[test]
fn yield_vs_injected() {
    explore(40, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let opened = Arc::clone(&gate);
        let busy = executor.spawn(async move {
            while !gate.is_open() {
                // Schedules by priorities let others run only then.
                thread::yield_now();
                yield_now().await;
            }
        });
        let other = executor.spawn(async move { opened.open() });
        wait(other).expect("no panic");
        wait(busy).expect("no panic");
        executor.end();
    });
}

/// A task whose polls take long yields, while its worker has another one to go on with, which holds the thread until the first has ended; the other worker
/// searches, or is about to park. It must see what yielded.
#[test]
fn yield_vs_last_park() {
    explore(40, || {
        let executor = Executor::start(Config {
            // With fewer turns between two injected tasks, those that yield never come last.
            injector_interval: 16,
            ..config(2)
        });
        let (handle, tokens) = (executor.handle.clone(), Arc::clone(&executor.tokens));
        let task = executor.spawn(async move {
            let gate = Gate::new();
            let awaited = Arc::clone(&gate);
            // Until tasks that yield come last.
            for _ in 0..3 {
                take_long();
                yield_now().await;
            }
            // For the other worker, which then searches again.
            let short = spawn(&handle, &tokens, async {});
            let stuck = spawn(&handle, &tokens, async move { awaited.block() });
            yield_now().await;
            gate.open();
            short.await.expect("no panic");
            stuck.await.expect("no panic");
        });
        wait(task).expect("no panic");
        executor.end();
    });
}

/// Twice as many steps as a long poll has.
fn take_long() {
    for _ in 0..40 {
        thread::yield_now();
    }
}
