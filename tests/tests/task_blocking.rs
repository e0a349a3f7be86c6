//! Blocking work: the pool behind `spawn_blocking`, and `block_in_place`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use runtime::runtime::{Builder, Handle, Runtime};
use runtime::task::{block_in_place, spawn_blocking, yield_now};
use runtime::time::sleep;
use runtime_tests::{
    DropCount, Flag, LIMIT, Watchdog, current_thread, message_of_panic, multi_thread, on_each,
    on_multi_thread, panic_text, paused,
};

/// Both flavors, with at most `threads` blocking threads.
fn with_blocking_threads(threads: usize) -> [Runtime; 2] {
    let build = |mut builder: Builder| {
        builder
            .enable_all()
            .max_blocking_threads(threads)
            .build()
            .unwrap()
    };
    let mut multi = Builder::new_multi_thread();
    multi.worker_threads(2);
    [build(Builder::new_current_thread()), build(multi)]
}

#[test]
fn output_and_panic_reach_the_awaiter() {
    on_each(|| async {
        assert_eq!(spawn_blocking(|| 6).await.unwrap(), 6);
        let task = spawn_blocking(|| panic!("blocking"));
        let id = task.id();
        let error = task.await.unwrap_err();
        assert_eq!(error.id(), id);
        assert_eq!(panic_text(&*error.into_panic()), "blocking");
        assert_eq!(spawn_blocking(|| 7).await.unwrap(), 7);
    });
}

#[test]
fn jobs_block_while_tasks_go_on() {
    on_each(|| async {
        let (answer, question) = mpsc::channel();
        let job = spawn_blocking(move || question.recv().unwrap());
        let task = runtime::spawn(async move {
            sleep(Duration::from_millis(1)).await;
            answer.send(42).unwrap();
        });
        task.await.unwrap();
        assert_eq!(job.await.unwrap(), 42);
    });
}

#[test]
fn the_bound_is_reached_and_never_passed() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in with_blocking_threads(3) {
        let together = Arc::new(Barrier::new(3));
        let running = Arc::new(AtomicUsize::new(0));
        let jobs: Vec<_> = (0..30)
            .map(|_| {
                let (together, running) = (together.clone(), running.clone());
                runtime.spawn_blocking(move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    assert!(now <= 3, "{now} jobs run at once");
                    // Passed only by three at once.
                    together.wait();
                    running.fetch_sub(1, Ordering::SeqCst);
                    together.wait();
                })
            })
            .collect();
        for job in jobs {
            runtime.block_on(job).unwrap();
        }
    }
}

#[test]
fn ten_thousand_jobs_queue_for_one_thread_while_tasks_go_on() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in with_blocking_threads(1) {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let at_gate = gate.clone();
        let first = runtime.spawn_blocking(move || {
            let mut open = at_gate.0.lock().unwrap();
            while !*open {
                open = at_gate.1.wait(open).unwrap();
            }
        });
        let order = Arc::new(Mutex::new(Vec::new()));
        let jobs: Vec<_> = (0..10_000)
            .map(|number| {
                let order = order.clone();
                runtime.spawn_blocking(move || order.lock().unwrap().push(number))
            })
            .collect();
        runtime.block_on(async {
            for _ in 0..100 {
                runtime::spawn(yield_now()).await.unwrap();
            }
            sleep(Duration::from_millis(1)).await;
        });
        assert!(order.lock().unwrap().is_empty());
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        runtime.block_on(async {
            first.await.unwrap();
            for job in jobs {
                job.await.unwrap();
            }
        });
        assert!(
            order.lock().unwrap().iter().copied().eq(0..10_000),
            "one thread takes the jobs in the order they came"
        );
    }
}

#[test]
fn a_job_aborted_before_it_begins_never_runs() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in with_blocking_threads(1) {
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let first = runtime.spawn_blocking(move || may_go_on.recv().unwrap());
        let ran = Flag::new();
        let inside = ran.clone();
        let count = DropCount::new();
        let token = count.token();
        let second = runtime.spawn_blocking(move || {
            let _token = token;
            inside.set();
        });
        second.abort();
        go_on.send(()).unwrap();
        runtime.block_on(async {
            assert!(second.await.unwrap_err().is_cancelled());
            first.await.unwrap();
            // The thread has passed the aborted job when it has done a third.
            spawn_blocking(|| ()).await.unwrap();
        });
        assert!(!ran.is_set());
        assert_eq!(count.dropped(), 1, "what the closure held is dropped");
    }
}

#[test]
fn a_job_that_has_begun_cannot_be_aborted() {
    on_each(|| async {
        let (begun, has_begun) = runtime::sync::oneshot::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let job = spawn_blocking(move || {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            8
        });
        has_begun.await.unwrap();
        job.abort();
        go_on.send(()).unwrap();
        assert_eq!(job.await.unwrap(), 8);
    });
}

#[test]
fn jobs_know_their_runtime_and_may_use_it() {
    on_each(|| async {
        spawn_blocking(move || {
            let handle = Handle::current();
            let spawned = runtime::spawn(async { 3 });
            assert_eq!(handle.block_on(spawned).unwrap(), 3);
            let nested = spawn_blocking(|| 4);
            assert_eq!(handle.block_on(nested).unwrap(), 4);
        })
        .await
        .unwrap();
    });
}

#[test]
fn idle_threads_retire_and_new_ones_come() {
    let _watchdog = Watchdog::new(LIMIT);
    let started = Arc::new(AtomicUsize::new(0));
    let (stopped, has_stopped) = mpsc::channel();
    let counter = started.clone();
    let runtime = Builder::new_current_thread()
        .thread_keep_alive(Duration::from_millis(10))
        .on_thread_start(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })
        .on_thread_stop(move || {
            let _ = stopped.send(());
        })
        .build()
        .unwrap();
    for round in 1..=3 {
        runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
        // A thread that has nothing to do ends by itself.
        has_stopped.recv().unwrap();
        assert_eq!(started.load(Ordering::SeqCst), round);
    }
}

#[test]
fn a_blocking_job_holds_the_paused_clock() {
    paused(async {
        let start = runtime::time::Instant::now();
        let job = spawn_blocking(|| std::thread::sleep(Duration::from_millis(20)));
        let timed = runtime::time::timeout(Duration::from_secs(3600), job).await;
        timed
            .expect("the clock stands still while the job runs")
            .unwrap();
        assert!(start.elapsed() < Duration::from_secs(3600));
    });
}

#[test]
fn block_in_place_lets_the_others_run() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let task = runtime.spawn(async {
        let (sender, receiver) = mpsc::channel();
        // On the only worker, so it can run nowhere else while this one blocks.
        runtime::spawn(async move { sender.send(5).unwrap() });
        let inside = block_in_place(move || receiver.recv().unwrap());
        yield_now().await;
        inside
    });
    assert_eq!(runtime.block_on(task).unwrap(), 5);
}

#[test]
fn block_in_place_by_every_worker_at_once_leaves_a_live_runtime() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    for _ in 0..5 {
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let blocked: Vec<_> = (0..6)
            .map(|_| {
                let held = held.clone();
                runtime.spawn(async move {
                    block_in_place(|| held.lock().unwrap().recv().unwrap());
                })
            })
            .collect();
        // I/O, timers and tasks go on meanwhile.
        runtime.block_on(async {
            runtime::spawn(async { sleep(Duration::from_millis(2)).await })
                .await
                .unwrap();
        });
        for _ in 0..6 {
            release.send(()).unwrap();
        }
        for task in blocked {
            runtime.block_on(task).unwrap();
        }
    }
}

#[test]
fn block_in_place_by_many_more_tasks_than_workers_leaves_workers_for_what_they_wait_for() {
    const TASKS: usize = 40;
    on_multi_thread(async {
        let together = Arc::new(Barrier::new(TASKS));
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| {
                let together = together.clone();
                runtime::spawn(async move {
                    block_in_place(|| {
                        // All of them are inside at once, and each waits for another task.
                        together.wait();
                        let needed = runtime::spawn(async move {
                            sleep(Duration::from_millis(1)).await;
                            number
                        });
                        Handle::current().block_on(needed).unwrap()
                    })
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number);
        }
    });
}

#[test]
fn block_in_place_works_in_the_root_future_nested_and_outside_of_any_runtime() {
    assert_eq!(block_in_place(|| 1), 1);
    on_multi_thread(async {
        let value = block_in_place(|| block_in_place(|| 2));
        assert_eq!(value, 2);
        let value = runtime::spawn(async { block_in_place(|| block_in_place(|| 3)) });
        assert_eq!(value.await.unwrap(), 3);
        // On a thread of the pool it has nothing to do.
        assert_eq!(spawn_blocking(|| block_in_place(|| 4)).await.unwrap(), 4);
    });
}

#[test]
fn block_in_place_hands_a_panic_on_and_the_worker_survives() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    for _ in 0..5 {
        let task = runtime.spawn(async { block_in_place(|| panic!("in place")) });
        let error = runtime.block_on(task).unwrap_err();
        assert_eq!(panic_text(&*error.into_panic()), "in place");
        runtime.block_on(runtime.spawn(yield_now())).unwrap();
    }
}

#[test]
fn block_in_place_panics_on_a_current_thread_runtime() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = current_thread();
    let message = message_of_panic(|| runtime.block_on(async { block_in_place(|| ()) }));
    assert!(
        message.contains("multi"),
        "{message}: it says where it works"
    );
    let task = runtime.spawn(async { block_in_place(|| ()) });
    assert!(runtime.block_on(task).unwrap_err().is_panic());
}

#[test]
fn shutdown_waits_for_running_jobs_and_cancels_queued_ones() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in with_blocking_threads(1) {
        let (begun, has_begun) = mpsc::channel();
        let ended = Flag::new();
        let inside = ended.clone();
        runtime.spawn_blocking(move || {
            begun.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            inside.set();
        });
        let queued = runtime.spawn_blocking(|| 1);
        has_begun.recv().unwrap();
        let start = Instant::now();
        drop(runtime);
        assert!(ended.is_set(), "drop waited: {:?}", start.elapsed());
        let error = current_thread().block_on(queued).unwrap_err();
        assert!(error.is_cancelled());
    }
}

#[test]
fn a_job_spawned_after_shutdown_is_cancelled_and_its_closure_dropped() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in with_blocking_threads(1) {
        let handle = runtime.handle().clone();
        drop(runtime);
        let count = DropCount::new();
        let token = count.token();
        let job = handle.spawn_blocking(move || drop(token));
        let error = current_thread().block_on(job).unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(count.dropped(), 1);
    }
}
