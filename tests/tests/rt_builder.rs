//! `Builder`: validation, thread names, hooks, and the environment.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use runtime::runtime::{Builder, Runtime, RuntimeFlavor};
use runtime::sync::Notify;
use runtime::task::block_in_place;
use runtime::time::sleep;
use runtime_tests::{LIMIT, Watchdog, child, process};

/// The variable that sets the number of workers.
const WORKERS: &str = "RUNTIME_WORKER_THREADS";

#[track_caller]
fn is_refused(builder: &mut Builder, parts: &[&str]) {
    let error = builder.build().expect_err("the setting is out of range");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn worker_counts_out_of_range_are_refused_with_the_range() {
    for count in [0, 1_025, 10_000, usize::MAX] {
        is_refused(
            Builder::new_multi_thread().worker_threads(count),
            &["worker_threads", &count.to_string(), "1 to 1024"],
        );
    }
}

#[test]
fn other_settings_out_of_range_are_refused_by_name() {
    is_refused(
        Builder::new_multi_thread().max_blocking_threads(0),
        &["max_blocking_threads", "0", "at least 1"],
    );
    is_refused(
        Builder::new_current_thread().event_interval(0),
        &["event_interval", "0", "at least 1"],
    );
    is_refused(
        Builder::new_multi_thread().global_queue_interval(0),
        &["global_queue_interval", "0", "at least 1"],
    );
    is_refused(
        Builder::new_multi_thread().thread_name("zero\0byte"),
        &["thread_name"],
    );
    is_refused(
        Builder::new_multi_thread().start_paused(true),
        &["start_paused", "current-thread"],
    );
}

#[test]
fn a_builder_goes_on_after_a_refusal_and_builds_several() {
    let _watchdog = Watchdog::new(LIMIT);
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().worker_threads(0);
    assert!(builder.build().is_err());
    builder.worker_threads(1);
    let (one, other) = (builder.build().unwrap(), builder.build().unwrap());
    for runtime in [one, other] {
        assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
    }
}

#[test]
fn the_flavor_and_the_number_of_workers_are_as_asked_for() {
    for workers in [1, 3, 8] {
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .build()
            .unwrap();
        assert_eq!(runtime.metrics().num_workers(), workers);
        assert_eq!(
            runtime.handle().runtime_flavor(),
            RuntimeFlavor::MultiThread
        );
    }
    let runtime = Builder::new_current_thread().build().unwrap();
    assert_eq!(
        runtime.handle().runtime_flavor(),
        RuntimeFlavor::CurrentThread
    );
}

#[test]
fn a_runtime_without_settings_has_a_worker_a_core() {
    child::run_with(
        "a_runtime_without_settings_has_a_worker_a_core",
        |command| {
            command.env_remove(WORKERS);
        },
        || {
            let cores = thread::available_parallelism().unwrap().get();
            assert_eq!(Runtime::new().unwrap().metrics().num_workers(), cores);
        },
    );
}

#[test]
fn the_environment_sets_the_number_of_workers() {
    child::run_with(
        "the_environment_sets_the_number_of_workers",
        |command| {
            command.env(WORKERS, "3");
        },
        || {
            assert_eq!(Runtime::new().unwrap().metrics().num_workers(), 3);
            let mut asked = Builder::new_multi_thread();
            let runtime = asked.worker_threads(2).build().unwrap();
            assert_eq!(
                runtime.metrics().num_workers(),
                2,
                "what the program says wins"
            );
        },
    );
}

#[test]
fn an_environment_with_nonsense_is_refused_by_name() {
    for value in ["0", "1025", "many", "-1", ""] {
        child::run_with(
            "an_environment_with_nonsense_is_refused_by_name",
            |command| {
                command.env(WORKERS, value);
            },
            || {
                let value = std::env::var(WORKERS).unwrap();
                is_refused(
                    &mut Builder::new_multi_thread(),
                    &[WORKERS, &value, "1 to 1024"],
                );
                // Only where it would be used.
                Builder::new_multi_thread()
                    .worker_threads(1)
                    .build()
                    .unwrap();
                Builder::new_current_thread().build().unwrap();
            },
        );
        if child::is("an_environment_with_nonsense_is_refused_by_name") {
            return;
        }
    }
}

#[test]
fn threads_bear_their_names() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("named")
        .build()
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    let job_sender = sender.clone();
    let name = || thread::current().name().unwrap().to_owned();
    runtime.spawn(async move { sender.send(name()).unwrap() });
    runtime.spawn_blocking(move || job_sender.send(name()).unwrap());
    assert_eq!(receiver.recv().unwrap(), "named");
    assert_eq!(receiver.recv().unwrap(), "named");
    let seen = process::thread_names();
    assert!(seen.iter().any(|name| name == "named"), "{seen:?}");
}

#[test]
fn a_function_may_name_each_thread() {
    let _watchdog = Watchdog::new(LIMIT);
    let next = AtomicUsize::new(0);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name_fn(move || format!("each-{}", next.fetch_add(1, Ordering::SeqCst)))
        .build()
        .unwrap();
    let together = Arc::new(std::sync::Barrier::new(2));
    let (sender, receiver) = mpsc::channel();
    for _ in 0..2 {
        let (sender, together) = (sender.clone(), together.clone());
        runtime.spawn(async move {
            together.wait();
            sender
                .send(thread::current().name().unwrap().to_owned())
                .unwrap();
        });
    }
    let names = [receiver.recv().unwrap(), receiver.recv().unwrap()];
    assert_ne!(names[0], names[1]);
    assert!(
        names.iter().all(|name| name.starts_with("each-")),
        "{names:?}"
    );
}

#[test]
fn start_and_stop_hooks_run_once_a_thread() {
    let _watchdog = Watchdog::new(LIMIT);
    let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let (at_start, at_stop) = (seen.clone(), seen.clone());
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(move || at_start.lock().unwrap().0.push(thread::current().id()))
        .on_thread_stop(move || at_stop.lock().unwrap().1.push(thread::current().id()))
        .build()
        .unwrap();
    let job = runtime.spawn_blocking(|| thread::current().id());
    let job = runtime.block_on(job).unwrap();
    let task = runtime.spawn(async { thread::current().id() });
    let task = runtime.block_on(task).unwrap();
    drop(runtime);
    let (mut started, mut stopped) = std::mem::take(&mut *seen.lock().unwrap());
    assert!(started.len() >= 3, "two workers and a blocking thread");
    assert!(started.contains(&job) && started.contains(&task));
    assert!(
        !started.contains(&thread::current().id()),
        "block_on's thread is the user's"
    );
    let debug = |id: &thread::ThreadId| format!("{id:?}");
    started.sort_by_key(debug);
    stopped.sort_by_key(debug);
    assert_eq!(started, stopped, "each thread starts once and stops once");
    started.dedup();
    assert_eq!(started.len(), stopped.len());
}

#[test]
fn park_and_unpark_hooks_run_in_turns_on_workers() {
    let _watchdog = Watchdog::new(LIMIT);
    let (parks, unparks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (parked, has_parked) = mpsc::channel();
    let (count_parks, count_unparks) = (parks.clone(), unparks.clone());
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .on_thread_park(move || {
            count_parks.fetch_add(1, Ordering::SeqCst);
            let _ = parked.send(());
        })
        .on_thread_unpark(move || {
            count_unparks.fetch_add(1, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    for _ in 0..3 {
        // Nothing to do: it parks. A task: it unparks first.
        has_parked.recv().unwrap();
        let task = runtime.spawn(async { sleep(Duration::from_millis(1)).await });
        runtime.block_on(task).unwrap();
    }
    drop(runtime);
    let (parks, unparks) = (parks.load(Ordering::SeqCst), unparks.load(Ordering::SeqCst));
    assert!(
        parks >= 3 && unparks >= 2,
        "{parks} parks, {unparks} unparks"
    );
    assert!(
        parks.abs_diff(unparks) <= 1,
        "{parks} parks, {unparks} unparks"
    );
}

#[test]
fn hooks_that_panic_stop_no_worker() {
    let _watchdog = Watchdog::new(LIMIT);
    let panics = || -> () { panic!("a hook") };
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(panics)
        .on_thread_stop(panics)
        .on_thread_park(panics)
        .on_thread_unpark(panics)
        .build()
        .unwrap();
    for _ in 0..10 {
        let task = runtime.spawn(async {
            sleep(Duration::from_millis(1)).await;
            runtime::task::spawn_blocking(|| 1).await.unwrap()
        });
        assert_eq!(runtime.block_on(task).unwrap(), 1);
    }
}

/// Both flavors, with one thread to run tasks.
fn one_thread() -> [Builder; 2] {
    let mut multi = Builder::new_multi_thread();
    multi.worker_threads(1);
    [Builder::new_current_thread(), multi]
}

#[test]
fn a_task_that_the_park_hook_spawns_is_run() {
    const ROUNDS: usize = 100;
    let _watchdog = Watchdog::new(LIMIT);
    for mut builder in one_thread() {
        let (sender, mut receiver) = runtime::sync::mpsc::unbounded_channel();
        let spawned = AtomicUsize::new(0);
        let runtime = builder
            .on_thread_park(move || {
                // Each time there is nothing to do, until there was enough.
                let number = spawned.fetch_add(1, Ordering::SeqCst);
                if number < ROUNDS {
                    let sender = sender.clone();
                    runtime::spawn(async move { sender.send(number).unwrap() });
                }
            })
            .build()
            .unwrap();
        runtime.block_on(async {
            for number in 0..ROUNDS {
                assert_eq!(receiver.recv().await, Some(number));
            }
        });
    }
}

#[test]
fn a_root_that_the_park_hook_wakes_goes_on() {
    let _watchdog = Watchdog::new(LIMIT);
    for mut builder in one_thread() {
        let woken = Arc::new(Notify::new());
        let wakes = woken.clone();
        let runtime = builder
            .on_thread_park(move || wakes.notify_one())
            .build()
            .unwrap();
        runtime.block_on(async {
            for _ in 0..100 {
                // After it the thread parks, and only its hook can end the wait below.
                runtime::spawn(async {}).await.unwrap();
                woken.notified().await;
            }
        });
    }
}

#[test]
fn a_naming_function_that_panics_stops_no_thread() {
    let _watchdog = Watchdog::new(LIMIT);
    // From the first thread on, and only once the workers are there.
    for at_first in [true, false] {
        let panics = Arc::new(AtomicBool::new(at_first));
        let asked = panics.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .thread_name_fn(move || {
                assert!(!asked.load(Ordering::SeqCst), "a naming function");
                "named".into()
            })
            .build()
            .unwrap();
        panics.store(true, Ordering::SeqCst);
        let together = Arc::new(std::sync::Barrier::new(6));
        let tasks: Vec<_> = (0..6)
            .map(|number| {
                let together = together.clone();
                runtime.spawn(async move {
                    // Passed when other threads have taken the places of those that wait.
                    block_in_place(|| together.wait());
                    sleep(Duration::from_millis(1)).await;
                    runtime::task::spawn_blocking(move || number).await.unwrap()
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(runtime.block_on(task).unwrap(), number);
        }
    }
}

#[test]
fn a_zero_byte_in_a_threads_name_is_left_out() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name_fn(|| "ze\0ro".into())
        .build()
        .unwrap();
    let name = || thread::current().name().unwrap().to_owned();
    let task = runtime.spawn(async move { name() });
    assert_eq!(runtime.block_on(task).unwrap(), "zero");
    let job = runtime.spawn_blocking(name);
    assert_eq!(runtime.block_on(job).unwrap(), "zero");
}

#[test]
fn the_stack_size_holds_for_workers_and_blocking_threads() {
    fn deep(levels: usize) -> usize {
        let frame = std::hint::black_box([levels as u8; 4096]);
        if levels == 0 {
            0
        } else {
            1 + deep(levels - 1) + usize::from(frame[1] == 255 && frame[0] != 255)
        }
    }
    let _watchdog = Watchdog::new(LIMIT);
    // More than the standard library gives by default.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_stack_size(32 << 20)
        .build()
        .unwrap();
    let task = runtime.spawn(async { deep(2_000) });
    assert_eq!(runtime.block_on(task).unwrap(), 2_000);
    let job = runtime.spawn_blocking(|| deep(2_000));
    assert_eq!(runtime.block_on(job).unwrap(), 2_000);
}

#[test]
fn every_combination_of_settings_runs_a_program() {
    let _watchdog = Watchdog::new(LIMIT);
    for interval in [1, 3, 61, u32::MAX] {
        for lifo in [true, false] {
            for workers in [0, 1, 2] {
                let mut builder = if workers == 0 {
                    Builder::new_current_thread()
                } else {
                    Builder::new_multi_thread()
                };
                builder
                    .event_interval(interval)
                    .global_queue_interval(interval)
                    .enable_all();
                if workers > 0 {
                    builder.worker_threads(workers);
                    if !lifo {
                        builder.disable_lifo_slot();
                    }
                }
                let runtime = builder.build().unwrap();
                let sum = runtime.block_on(async {
                    let (sender, mut receiver) = runtime::sync::mpsc::channel(2);
                    for number in 0..50 {
                        let sender = sender.clone();
                        runtime::spawn(async move {
                            sleep(Duration::from_micros(number * 10)).await;
                            sender.send(number).await.unwrap();
                        });
                    }
                    drop(sender);
                    let mut sum = 0;
                    while let Some(number) = receiver.recv().await {
                        sum += number;
                    }
                    sum
                });
                assert_eq!(sum, 49 * 50 / 2);
            }
        }
    }
}
