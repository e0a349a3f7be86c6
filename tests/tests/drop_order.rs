//! When futures are dropped: before anybody hears that their task has ended.

use std::future::pending;

use runtime::task::{JoinSet, spawn_blocking, yield_now};
use runtime_tests::{DropCount, DropToken, on_each};

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Output,
    Panic,
    Abort,
}

const ENDINGS: [Ending; 3] = [Ending::Output, Ending::Panic, Ending::Abort];

/// A task that owns a token until it ends.
async fn owner(ending: Ending, token: DropToken) {
    let _token = token;
    yield_now().await;
    match ending {
        Ending::Output => {}
        Ending::Panic => std::panic::panic_any("this way"),
        Ending::Abort => pending().await,
    }
}

#[test]
fn whoever_joins_a_task_finds_its_future_dropped() {
    on_each(|| async {
        for round in 0..100 {
            for ending in ENDINGS {
                let count = DropCount::new();
                let task = runtime::spawn(owner(ending, count.token()));
                if ending == Ending::Abort {
                    task.abort();
                }
                let _ = task.await;
                assert_eq!(count.dropped(), 1, "{ending:?}, round {round}");
            }
        }
    });
}

#[test]
fn a_task_that_is_finished_has_dropped_its_future() {
    on_each(|| async {
        for round in 0..100 {
            for ending in ENDINGS {
                let count = DropCount::new();
                let task = runtime::spawn(owner(ending, count.token()));
                let aborter = task.abort_handle();
                // Nobody may want the output.
                drop(task);
                if ending == Ending::Abort {
                    aborter.abort();
                }
                while !aborter.is_finished() {
                    yield_now().await;
                }
                assert_eq!(count.dropped(), 1, "{ending:?}, round {round}");
            }
        }
    });
}

#[test]
fn a_set_gives_results_of_tasks_whose_futures_are_dropped() {
    on_each(|| async {
        for _ in 0..30 {
            let count = DropCount::new();
            let mut set = JoinSet::new();
            for ending in ENDINGS {
                let aborter = set.spawn(owner(ending, count.token()));
                if ending == Ending::Abort {
                    aborter.abort();
                }
            }
            let mut joined = 0;
            while set.join_next().await.is_some() {
                joined += 1;
                assert!(count.dropped() >= joined);
            }
            assert_eq!((joined, count.dropped()), (3, 3));
        }
    });
}

#[test]
fn whoever_joins_a_job_finds_what_it_owned_dropped() {
    on_each(|| async {
        for _ in 0..100 {
            let count = DropCount::new();
            let token = count.token();
            spawn_blocking(move || drop(token)).await.unwrap();
            assert_eq!(count.dropped(), 1);
            let token = count.token();
            let job = spawn_blocking(move || {
                let _token = token;
                std::panic::panic_any("this way");
            });
            assert!(job.await.unwrap_err().is_panic());
            assert_eq!(count.dropped(), 2);
        }
    });
}
