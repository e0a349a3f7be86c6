//! Many of everything: tasks, workers, deadlines.

use std::future::pending;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use runtime::runtime::{Builder, Runtime};
use runtime::sync::{Semaphore, oneshot};
use runtime::task::JoinHandle;
use runtime::time::{Instant, sleep, sleep_until};
use runtime_tests::{
    DropCount, LIMIT, Watchdog, child, current_thread, large, multi_thread, yield_until,
};

#[test]
fn a_million_tasks_live_at_the_same_time() {
    child::run("a_million_tasks_live_at_the_same_time", || {
        let _watchdog = Watchdog::new(LIMIT);
        let tasks = large(1_000_000);
        let runtime = multi_thread(2);
        let gate = Arc::new(Semaphore::new(0));
        let count = DropCount::new();
        for _ in 0..tasks {
            let (gate, token) = (gate.clone(), count.token());
            runtime.spawn(async move {
                let _token = token;
                assert!(gate.acquire().await.is_err(), "it is closed, never opened");
            });
        }
        assert_eq!(runtime.metrics().num_alive_tasks(), tasks);
        gate.close();
        runtime.block_on(async {
            while runtime.metrics().num_alive_tasks() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(count.dropped(), tasks);
    });
}

#[test]
fn five_hundred_workers_all_work() {
    child::run("five_hundred_workers_all_work", || {
        const WORKERS: usize = 512;
        let _watchdog = Watchdog::new(LIMIT);
        let runtime = multi_thread(WORKERS);
        for _ in 0..2 {
            // Passed only by as many threads at once.
            let together = Arc::new(Barrier::new(WORKERS));
            let tasks: Vec<_> = (0..WORKERS)
                .map(|_| {
                    let together = together.clone();
                    runtime.spawn(async move {
                        together.wait();
                    })
                })
                .collect();
            for task in tasks {
                runtime.block_on(task).unwrap();
            }
        }
        let tasks: Vec<_> = (0..10_000_u64)
            .map(|number| {
                runtime.spawn(async move {
                    sleep(Duration::from_micros(number % 100)).await;
                    number
                })
            })
            .collect();
        runtime.block_on(async {
            for (number, task) in (0..).zip(tasks) {
                assert_eq!(task.await.unwrap(), number);
            }
        });
    });
}

#[test]
fn many_deadlines_at_one_moment_stall_nobody() {
    child::run("many_deadlines_at_one_moment_stall_nobody", || {
        let _watchdog = Watchdog::new(LIMIT);
        let sleeps = large(300_000);
        for runtime in [current_thread(), multi_thread(2)] {
            runtime.block_on(async {
                let deadline = Instant::now() + Duration::from_millis(500);
                let tasks: Vec<_> = (0..sleeps)
                    .map(|_| runtime::spawn(async move { sleep_until(deadline).await }))
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                assert!(Instant::now() >= deadline);
            });
        }
    });
}

#[test]
fn a_mass_of_cancelled_deadlines_is_forgotten() {
    child::run("a_mass_of_cancelled_deadlines_is_forgotten", || {
        let _watchdog = Watchdog::new(LIMIT);
        multi_thread(2).block_on(async {
            for _ in 0..5 {
                let tasks: Vec<_> = (0..20_000)
                    .map(|_| runtime::spawn(async { sleep(Duration::from_secs(3600)).await }))
                    .collect();
                sleep(Duration::from_millis(1)).await;
                for task in &tasks {
                    task.abort();
                }
                for task in tasks {
                    assert!(task.await.unwrap_err().is_cancelled());
                }
            }
        });
    });
}

/// How long the chains are.
fn links() -> usize {
    large(1_000_000)
}

/// Too small for a recursion over even a few thousand links.
const STACK: usize = 128 << 10;

/// Runs `body` with two runtimes whose threads have small stacks, on a thread that has one as well.
fn on_small_stacks(body: fn(&Runtime)) {
    let small = move || {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = builder
                .worker_threads(2)
                .thread_stack_size(STACK)
                .enable_all()
                .build()
                .unwrap();
            body(&runtime);
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(small);
    thread.unwrap().join().unwrap();
}

/// Aborts its task when it is dropped.
struct AbortOnDrop(Option<JoinHandle<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// Spawns `links()` tasks, each of which owns the one before and aborts it when it is dropped; returns the last.
fn chain_of_owners(runtime: &Runtime, count: &DropCount) -> AbortOnDrop {
    let mut last = AbortOnDrop(None);
    for _ in 0..links() {
        let held = (count.token(), last);
        last = AbortOnDrop(Some(runtime.spawn(async move {
            let _held = held;
            pending::<()>().await;
        })));
    }
    last
}

#[test]
fn a_million_tasks_that_own_each_other_are_dropped_on_small_stacks() {
    let name = "a_million_tasks_that_own_each_other_are_dropped_on_small_stacks";
    child::run(name, || {
        let _watchdog = Watchdog::new(LIMIT);
        on_small_stacks(|runtime| {
            let count = DropCount::new();
            drop(chain_of_owners(runtime, &count));
            runtime.block_on(yield_until(|| count.dropped() == links()));
        });
    });
}

#[test]
fn a_million_tasks_that_own_each_other_are_shut_down_on_small_stacks() {
    let name = "a_million_tasks_that_own_each_other_are_shut_down_on_small_stacks";
    child::run(name, || {
        let _watchdog = Watchdog::new(LIMIT);
        let count = DropCount::new();
        let inside = count.clone();
        let small = move || {
            for make in [current_thread, || multi_thread(2)] {
                let (runtime, count) = (make(), inside.clone());
                let before = count.dropped();
                let last = chain_of_owners(&runtime, &count);
                drop(runtime);
                assert_eq!(count.dropped() - before, links());
                // Not before: it aborts its task, and so all.
                drop(last);
            }
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(small);
        thread.unwrap().join().unwrap();
        assert_eq!(count.dropped(), 2 * links());
    });
}

#[test]
fn a_million_tasks_that_wake_each_other_run_on_small_stacks() {
    let name = "a_million_tasks_that_wake_each_other_run_on_small_stacks";
    child::run(name, || {
        let _watchdog = Watchdog::new(LIMIT);
        on_small_stacks(|runtime| {
            // Each ends when the one before has ended: the end of the first wakes the second, and so on.
            let (start, has_started) = oneshot::channel::<()>();
            let mut last = runtime.spawn(async { has_started.await.unwrap() });
            for _ in 0..links() {
                last = runtime.spawn(async move { last.await.unwrap() });
            }
            start.send(()).unwrap();
            runtime.block_on(last).unwrap();
        });
    });
}
