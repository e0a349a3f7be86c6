//! The current-thread flavor: tasks run inside `block_on` only, on its thread only.

use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use runtime::runtime::Runtime;
use runtime::sync::{Notify, oneshot};
use runtime::task::yield_now;
use runtime::time::sleep;
use runtime_tests::{
    Flag, LIMIT, ReadyAfter, Watchdog, child, current_thread, process, spin, yield_until,
};

#[test]
fn tasks_run_only_inside_block_on() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = current_thread();
    let ran = Flag::new();
    let inside = ran.clone();
    let task = runtime.spawn(async move { inside.set() });
    spin(Duration::from_millis(20));
    assert!(!ran.is_set());
    runtime.block_on(task).unwrap();
    assert!(ran.is_set());
}

#[test]
fn a_task_keeps_its_place_between_two_calls_of_block_on() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = current_thread();
    let steps = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let inside = steps.clone();
    let task = runtime.spawn(async move {
        loop {
            inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            yield_now().await;
        }
    });
    let count = || steps.load(std::sync::atomic::Ordering::SeqCst);
    runtime.block_on(yield_until(|| count() >= 5));
    let between = count();
    spin(Duration::from_millis(5));
    assert_eq!(count(), between, "nothing runs between two calls");
    runtime.block_on(yield_until(|| count() > between));
    task.abort();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
}

#[test]
fn all_tasks_run_on_the_thread_in_block_on() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = current_thread();
    let home = thread::current().id();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                runtime::spawn(async move {
                    for _ in 0..5 {
                        assert_eq!(thread::current().id(), home);
                        yield_now().await;
                    }
                    sleep(Duration::from_millis(1)).await;
                    assert_eq!(thread::current().id(), home);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn it_has_no_threads_of_its_own() {
    child::run("it_has_no_threads_of_its_own", || {
        let before = process::threads();
        let runtime = current_thread();
        runtime.block_on(async {
            runtime::spawn(sleep(Duration::from_millis(1)))
                .await
                .unwrap();
            let (one, _other) = runtime::net::UnixStream::pair().unwrap();
            one.writable().await.unwrap();
        });
        assert_eq!(process::threads(), before);
    });
}

#[test]
fn of_two_threads_in_block_on_one_runs_the_tasks_and_the_other_takes_over() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Arc::new(current_thread());
    let leave = Arc::new(Notify::new());
    let (inside, is_inside) = mpsc::channel();
    let first = {
        let (runtime, leave) = (runtime.clone(), leave.clone());
        thread::spawn(move || {
            runtime.block_on(async {
                inside.send(()).unwrap();
                leave.notified().await;
            });
        })
    };
    is_inside.recv().unwrap();
    // The first one holds driver and tasks; the second one's root goes on nevertheless.
    runtime.block_on(async {
        for _ in 0..100 {
            assert_eq!(runtime::spawn(async { 1 }).await.unwrap(), 1);
        }
        sleep(Duration::from_millis(2)).await;
        leave.notify_one();
        // From some moment on the tasks are ours to run.
        let home = thread::current().id();
        while runtime::spawn(async { thread::current().id() })
            .await
            .unwrap()
            != home
        {
            yield_now().await;
        }
        sleep(Duration::from_millis(2)).await;
    });
    first.join().unwrap();
}

#[test]
fn many_threads_in_block_on_hand_the_tasks_on() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = current_thread();
    let together = Barrier::new(6);
    let (runtime, together) = (&runtime, &together);
    thread::scope(|scope| {
        for number in 0..6_u64 {
            scope.spawn(move || {
                together.wait();
                for round in 0..30 {
                    runtime.block_on(async move {
                        let task = runtime::spawn(async move {
                            yield_now().await;
                            sleep(Duration::from_micros(50 * number)).await;
                            round
                        });
                        assert_eq!(task.await.unwrap(), round);
                    });
                }
            });
        }
    });
}

#[test]
fn a_task_spawned_from_elsewhere_wakes_the_thread_that_waits() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = current_thread();
    let handle = runtime.handle().clone();
    let (sender, receiver) = oneshot::channel();
    let (inside, is_inside) = mpsc::channel();
    let other = thread::spawn(move || {
        is_inside.recv().unwrap();
        handle.spawn(async move { sender.send(6).unwrap() });
    });
    runtime.block_on(async {
        inside.send(()).unwrap();
        assert_eq!(receiver.await.unwrap(), 6);
    });
    other.join().unwrap();
}

#[test]
fn tasks_take_turns_in_the_order_they_were_spawned() {
    let _watchdog = Watchdog::new(LIMIT);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    current_thread().block_on(async {
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let order = order.clone();
                runtime::spawn(async move { order.lock().unwrap().push(number) })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(order.lock().unwrap().iter().copied().eq(0..20));
}

#[test]
fn a_root_that_is_always_woken_does_not_starve_tasks_io_and_timers() {
    let _watchdog = Watchdog::new(LIMIT);
    current_thread().block_on(async {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let reads = runtime::net::UnixStream::from_std(one).unwrap();
        let task = runtime::spawn(async move {
            sleep(Duration::from_millis(1)).await;
            reads.readable().await.unwrap();
        });
        std::io::Write::write_all(&mut &other, b"x").unwrap();
        yield_until(|| task.is_finished()).await;
    });
}

#[test]
fn a_thread_that_spawns_without_end_does_not_starve_the_tasks_that_are_there() {
    // So many that the queue is never empty, even if the spawner is held up for a while.
    const QUEUED: usize = 10_000;
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = current_thread();
    let (handle, stop) = (runtime.handle().clone(), Flag::new());
    let stopped = stop.clone();
    let spawner = thread::spawn(move || {
        while !stopped.is_set() {
            if handle.metrics().global_queue_depth() < QUEUED {
                handle.spawn(async { spin(Duration::from_micros(100)) });
            }
        }
    });
    while runtime.metrics().global_queue_depth() < QUEUED {
        thread::yield_now();
    }
    let local = runtime.block_on(async {
        runtime::spawn(async {
            for _ in 0..1_000 {
                yield_now().await;
            }
        })
        .await
    });
    local.unwrap();
    stop.set();
    spawner.join().unwrap();
}

/// Runs a root that waits for `leave`, on a thread of its own; returns when it runs the tasks.
fn occupy(runtime: &Arc<Runtime>, leave: &Arc<Notify>) -> thread::JoinHandle<()> {
    let (runtime, leave) = (runtime.clone(), leave.clone());
    let (inside, is_inside) = mpsc::channel();
    let thread = thread::spawn(move || {
        runtime.block_on(async {
            inside.send(()).unwrap();
            leave.notified().await;
        });
    });
    is_inside.recv().unwrap();
    thread
}

#[test]
fn a_root_that_waits_for_the_tasks_of_another_thread_leaves_nothing_behind() {
    child::run(
        "a_root_that_waits_for_the_tasks_of_another_thread_leaves_nothing_behind",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            let (runtime, leave) = (Arc::new(current_thread()), Arc::new(Notify::new()));
            let first = occupy(&runtime, &leave);
            runtime.block_on(async {
                let before = process::private_memory();
                // A word for each wake-up would be 8 MB.
                ReadyAfter(1_000_000).await;
                let grown = process::private_memory().saturating_sub(before);
                assert!(grown < 4 << 20, "{grown} bytes");
                leave.notify_one();
                first.join().unwrap();
                assert_eq!(runtime::spawn(async { 1 }).await.unwrap(), 1);
            });
        },
    );
}

#[test]
fn the_tasks_are_taken_over_from_a_thread_that_left_while_the_root_blocked() {
    let _watchdog = Watchdog::new(LIMIT);
    let (runtime, leave) = (Arc::new(current_thread()), Arc::new(Notify::new()));
    for _ in 0..20 {
        let first = occupy(&runtime, &leave);
        runtime.block_on(async {
            leave.notify_one();
            first.join().unwrap();
            // As std's channels and locks do: eats the unpark that told of the free place.
            thread::park_timeout(Duration::ZERO);
            assert_eq!(runtime::spawn(async { 1 }).await.unwrap(), 1);
        });
    }
}

#[test]
fn roots_that_are_woken_all_the_time_hand_the_tasks_on() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Arc::new(current_thread());
    for _ in 0..100 {
        let leave = Arc::new(Notify::new());
        let first = occupy(&runtime, &leave);
        let waiting: Vec<_> = (0..3)
            .map(|number| {
                let runtime = runtime.clone();
                thread::spawn(move || {
                    runtime.block_on(async {
                        ReadyAfter(100 * number).await;
                        runtime::spawn(yield_now()).await.unwrap();
                        ReadyAfter(100).await;
                        runtime::spawn(async move { number }).await.unwrap()
                    })
                })
            })
            .collect();
        leave.notify_one();
        first.join().unwrap();
        for (number, thread) in waiting.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), number);
        }
    }
}
