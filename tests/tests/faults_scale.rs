//! Many of everything: tasks, workers, deadlines.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use runtime::sync::Semaphore;
use runtime::time::{Instant, sleep, sleep_until};
use runtime_tests::{DropCount, LIMIT, Watchdog, child, current_thread, multi_thread};

#[test]
fn a_million_tasks_live_at_the_same_time() {
    child::run("a_million_tasks_live_at_the_same_time", || {
        const TASKS: usize = 1_000_000;
        let _watchdog = Watchdog::new(LIMIT);
        let runtime = multi_thread(2);
        let gate = Arc::new(Semaphore::new(0));
        let count = DropCount::new();
        for _ in 0..TASKS {
            let (gate, token) = (gate.clone(), count.token());
            runtime.spawn(async move {
                let _token = token;
                assert!(gate.acquire().await.is_err(), "it is closed, never opened");
            });
        }
        assert_eq!(runtime.metrics().num_alive_tasks(), TASKS);
        gate.close();
        runtime.block_on(async {
            while runtime.metrics().num_alive_tasks() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(count.dropped(), TASKS);
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
        const SLEEPS: usize = 300_000;
        let _watchdog = Watchdog::new(LIMIT);
        for runtime in [current_thread(), multi_thread(2)] {
            runtime.block_on(async {
                let deadline = Instant::now() + Duration::from_millis(500);
                let tasks: Vec<_> = (0..SLEEPS)
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
