//! The end of a runtime: what is waited for, what is dropped where, what later calls say.
#![expect(
    clippy::async_yields_async,
    reason = "futures and handles are handed out of one runtime on purpose"
)]

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use runtime::net::{TcpListener, UnixStream};
use runtime::runtime::{Handle, Runtime, RuntimeFlavor};
use runtime::task::{Builder, yield_now};
use runtime::time::sleep;
use runtime_tests::stuck::{Crew, Trap};
use runtime_tests::{
    DropCount, Flag, LIMIT, Watchdog, child, current_thread, message_of_panic, multi_thread,
    panic_text, poll_once, yield_until,
};

/// Long enough that nothing which waits for it can pass for something that does not.
const STUCK: Duration = Duration::from_secs(20);

#[test]
fn drop_drops_every_task_once_whatever_it_waits_for() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(1), multi_thread(2)] {
        let count = DropCount::new();
        let polled = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
            for number in 0..300 {
                let (token, polled, listener) = (count.token(), polled.clone(), listener.clone());
                runtime::spawn(async move {
                    let _token = token;
                    polled.fetch_add(1, Ordering::SeqCst);
                    match number % 3 {
                        0 => pending().await,
                        1 => sleep(Duration::from_secs(3600)).await,
                        _ => drop(listener.accept().await),
                    }
                });
            }
            yield_until(|| polled.load(Ordering::SeqCst) == 300).await;
        });
        // And some that were never polled, at least on the current-thread flavor.
        for _ in 0..100 {
            let token = count.token();
            runtime.spawn(async move {
                let _token = token;
                pending::<()>().await;
            });
        }
        drop(runtime);
        assert_eq!(count.dropped(), 400);
    }
}

#[test]
fn handles_of_dropped_tasks_say_cancelled() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        let tasks: Vec<_> = (0..20).map(|_| runtime.spawn(pending::<()>())).collect();
        let done = runtime.block_on(async {
            let done = runtime::spawn(async { 1 });
            yield_until(|| done.is_finished()).await;
            done
        });
        drop(runtime);
        let elsewhere = current_thread();
        for task in tasks {
            assert!(elsewhere.block_on(task).unwrap_err().is_cancelled());
        }
        assert_eq!(elsewhere.block_on(done).unwrap(), 1, "what was ready stays");
    }
}

#[test]
fn spawning_after_the_end_drops_the_future_in_the_spawner() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        let handle = runtime.handle().clone();
        drop(runtime);
        let count = DropCount::new();
        let token = count.token();
        let task = handle.spawn(async move { drop(token) });
        assert_eq!(count.dropped(), 1);
        assert!(task.is_finished());
        assert!(current_thread().block_on(task).unwrap_err().is_cancelled());
    }
}

#[test]
fn drop_waits_for_the_poll_that_runs() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let ended = Flag::new();
    let inside = ended.clone();
    let (running, is_running) = mpsc::channel();
    let count = DropCount::new();
    let token = count.token();
    runtime.spawn(async move {
        let _token = token;
        running.send(()).unwrap();
        thread::sleep(Duration::from_millis(100));
        inside.set();
        yield_now().await;
        unreachable!("the runtime shuts down");
    });
    is_running.recv().unwrap();
    drop(runtime);
    assert!(ended.is_set());
    assert_eq!(count.dropped(), 1);
}

#[test]
fn tasks_that_wake_and_spawn_without_end_do_not_keep_it_up() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        fn spawn_endlessly(count: DropCount, made: Arc<AtomicUsize>) {
            made.fetch_add(1, Ordering::SeqCst);
            let token = count.token();
            runtime::spawn(async move {
                let _token = token;
                yield_now().await;
                spawn_endlessly(count, made);
            });
        }
        let count = DropCount::new();
        let made = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            for _ in 0..10 {
                spawn_endlessly(count.clone(), made.clone());
                runtime::spawn(async {
                    loop {
                        yield_now().await;
                    }
                });
            }
            yield_until(|| made.load(Ordering::SeqCst) > 100).await;
        });
        drop(runtime);
        assert_eq!(count.dropped(), made.load(Ordering::SeqCst));
    }
}

#[test]
fn futures_may_spawn_wake_and_time_while_they_are_dropped() {
    struct Busy(DropCount);
    impl Drop for Busy {
        fn drop(&mut self) {
            if let Ok(handle) = Handle::try_current() {
                let token = self.0.token();
                let task = handle.spawn(async move {
                    let _token = token;
                    pending::<()>().await;
                });
                task.abort();
                drop(sleep(Duration::from_secs(1)));
                drop(handle.spawn_blocking(|| ()));
            } else {
                drop(self.0.token());
            }
        }
    }
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        let count = DropCount::new();
        for _ in 0..50 {
            let busy = Busy(count.clone());
            runtime.spawn(async move {
                let _busy = busy;
                pending::<()>().await;
            });
        }
        drop(runtime);
        assert_eq!(count.dropped(), 50);
    }
}

/// Uses the runtime when dropped, as a pool of connections does; notes whether there was one, before the
/// calls that panic if there was none.
struct UsesItsRuntime(Arc<Mutex<Vec<bool>>>);

impl Drop for UsesItsRuntime {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(Handle::try_current().is_ok());
        drop(runtime::spawn(pending::<()>()));
        drop(runtime::task::spawn_blocking(|| ()));
        drop(sleep(Duration::from_secs(1)));
    }
}

#[test]
fn futures_are_dropped_inside_their_runtime() {
    let _watchdog = Watchdog::new(LIMIT);
    let ends: [fn(Runtime); 3] = [drop, Runtime::shutdown_background, |runtime| {
        runtime.shutdown_timeout(STUCK);
    }];
    for end in ends {
        for runtime in [current_thread(), multi_thread(1), multi_thread(2)] {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let uses = || UsesItsRuntime(seen.clone());
            // Two in one future: when both panicked, the process would abort.
            let polled = Flag::new();
            let (waits, inside) = ((uses(), uses()), polled.clone());
            runtime.spawn(async move {
                let _waits = waits;
                inside.set();
                pending::<()>().await;
            });
            runtime.block_on(yield_until(|| polled.is_set()));
            let queued = (uses(), uses());
            runtime.spawn(async move { drop(queued) });
            end(runtime);
            // A worker may be about to drop the queued one when nobody waits for it.
            while seen.lock().unwrap().len() < 4 {
                thread::yield_now();
            }
            assert_eq!(*seen.lock().unwrap(), [true; 4]);
        }
    }
}

#[test]
fn a_future_dropped_by_its_worker_is_dropped_inside_its_runtime() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let uses = (UsesItsRuntime(seen.clone()), UsesItsRuntime(seen.clone()));
    let (running, is_running) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    runtime.spawn(async move {
        let _uses = uses;
        running.send(()).unwrap();
        let _ = released.recv();
        pending::<()>().await;
    });
    is_running.recv().unwrap();
    runtime.shutdown_background();
    // Now the poll returns, and the worker is the last thread of the runtime.
    drop(release);
    while seen.lock().unwrap().len() < 2 {
        thread::yield_now();
    }
    assert_eq!(*seen.lock().unwrap(), [true; 2]);
}

#[test]
fn a_runtime_in_a_thread_local_ends_with_the_thread() {
    thread_local!(static OWN: RefCell<Option<Runtime>> = const { RefCell::new(None) });
    // In a process of its own: a panic while thread-locals are destroyed aborts it.
    child::run("a_runtime_in_a_thread_local_ends_with_the_thread", || {
        let _watchdog = Watchdog::new(LIMIT);
        // They are destroyed in the reverse order of their first use: with the runtime's own still
        // there, and after them.
        for is_first in [false, true] {
            for make in [current_thread, || multi_thread(1)] {
                let count = DropCount::new();
                let token = count.token();
                let body = move || {
                    if is_first {
                        OWN.with(|own| assert!(own.borrow().is_none()));
                    }
                    let runtime = make();
                    runtime.block_on(yield_now());
                    runtime.spawn(async move {
                        let _token = token;
                        pending::<()>().await;
                    });
                    OWN.with(|own| *own.borrow_mut() = Some(runtime));
                };
                thread::spawn(body).join().unwrap();
                assert_eq!(count.dropped(), 1);
            }
        }
    });
}

#[test]
fn shutdown_timeout_leaves_a_stuck_task_behind() {
    let _watchdog = Watchdog::new(LIMIT);
    for stuck_in_job in [false, true] {
        let runtime = multi_thread(2);
        let (running, is_running) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let ended = DropCount::new();
        let token = ended.token();
        let stuck = move || {
            let _token = token;
            running.send(()).unwrap();
            let _ = released.recv_timeout(STUCK);
        };
        if stuck_in_job {
            runtime.spawn_blocking(stuck);
        } else {
            runtime.spawn(async move { stuck() });
        }
        let others = DropCount::new();
        let token = others.token();
        runtime.spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
        is_running.recv().unwrap();
        let start = Instant::now();
        runtime.shutdown_timeout(Duration::from_millis(100));
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(100), "{took:?}");
        assert!(took < STUCK / 2, "{took:?}");
        assert_eq!(
            others.dropped(),
            1,
            "the other tasks are dropped all the same"
        );
        assert_eq!(ended.dropped(), 0, "the stuck one keeps its future");
        drop(release);
        while ended.dropped() == 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn shutdown_timeout_does_not_wait_when_nothing_is_stuck() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        runtime.spawn(pending::<()>());
        let start = Instant::now();
        runtime.shutdown_timeout(STUCK);
        assert!(start.elapsed() < STUCK / 2);
    }
}

#[test]
fn shutdown_with_a_limit_ends_in_time_whatever_is_stuck() {
    let _watchdog = Watchdog::new(LIMIT);
    let ends: [fn(Runtime); 2] = [Runtime::shutdown_background, |runtime| {
        runtime.shutdown_timeout(Duration::from_millis(10));
    }];
    for end in ends {
        for (runtime, stuck_in_job) in [
            (multi_thread(2), false),
            (multi_thread(2), true),
            (current_thread(), true),
        ] {
            let (running, is_running) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let stuck = move || {
                running.send(()).unwrap();
                let _ = released.recv_timeout(STUCK);
            };
            if stuck_in_job {
                runtime.spawn_blocking(stuck);
            } else {
                runtime.spawn(async move { stuck() });
            }
            is_running.recv().unwrap();
            let start = Instant::now();
            end(runtime);
            let took = start.elapsed();
            assert!(took < STUCK / 2, "{took:?}, stuck in a job: {stuck_in_job}");
            drop(release);
        }
    }
}

#[test]
fn tasks_queued_behind_a_stuck_thread_are_dropped_without_it() {
    let _watchdog = Watchdog::new(LIMIT);
    let ends: [fn(Runtime); 2] = [Runtime::shutdown_background, |runtime| {
        runtime.shutdown_timeout(Duration::from_millis(10));
    }];
    for end in ends {
        let runtime = multi_thread(1);
        let count = DropCount::new();
        let queued = |count: &DropCount| {
            let token = count.token();
            async move {
                let _token = token;
                pending::<()>().await;
            }
        };
        let (running, is_running) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let inside = count.clone();
        runtime.spawn(async move {
            // In the queue of the thread that is stuck.
            for _ in 0..3 {
                runtime::spawn(queued(&inside));
            }
            running.send(()).unwrap();
            let _ = released.recv_timeout(STUCK);
        });
        is_running.recv().unwrap();
        // In the queue that all threads share.
        for _ in 0..3 {
            runtime.spawn(queued(&count));
        }
        end(runtime);
        assert_eq!(count.dropped(), 6);
        drop(release);
    }
}

#[test]
fn shutdown_says_what_is_stuck() {
    let name = "shutdown_says_what_is_stuck";
    let body = || {
        let _watchdog = Watchdog::new(LIMIT);
        for runtime in [multi_thread(2), current_thread()] {
            let (running, is_running) = mpsc::channel();
            let trap = Trap::pipe();
            let stuck = || {
                let (running, block) = (running.clone(), trap.block());
                move || {
                    running.send(()).unwrap();
                    block();
                }
            };
            let mut count = 2;
            let handle = runtime.handle().clone();
            let named = Builder::new().name("the stuck job");
            runtime.spawn_blocking(stuck());
            named.spawn_blocking_on(stuck(), &handle).unwrap();
            if handle.runtime_flavor() == RuntimeFlavor::MultiThread {
                let (first, second) = (stuck(), stuck());
                let named = Builder::new().name("the stuck task");
                runtime.spawn(async move { first() });
                named.spawn_on(async move { second() }, &handle).unwrap();
                count += 2;
            }
            for _ in 0..count {
                is_running.recv().unwrap();
            }
            // What waits, or has not begun, or has ended is not to be named.
            runtime.spawn(pending::<()>());
            let done = runtime.spawn_blocking(|| ());
            current_thread().block_on(done).unwrap();
            eprintln!("ends");
            runtime.shutdown_timeout(Duration::from_millis(50));
        }
    };
    if let Some(mut child) = child::start(name, body) {
        let errors = child.succeeds();
        let reports: Vec<Vec<&str>> = errors
            .split("ends\n")
            .skip(1)
            .map(|part| {
                part.lines()
                    .filter(|line| line.contains("shut down after"))
                    .collect()
            })
            .collect();
        assert_eq!(reports.len(), 2, "{errors}");
        for (report, expected) in reports.iter().zip([4, 2]) {
            assert_eq!(report.len(), expected, "{errors}");
            for line in report {
                assert!(line.contains("rt_shutdown.rs"), "no spawn location: {line}");
            }
            let with = |part: &str| report.iter().filter(|line| line.contains(part)).count();
            assert_eq!(with("blocking job"), 2, "{errors}");
            assert_eq!(with("\"the stuck job\""), 1, "{errors}");
            assert_eq!(with("\"the stuck task\""), expected / 2 - 1, "{errors}");
        }
    }
}

#[test]
fn shutdown_ends_within_a_tenth_of_a_second_of_its_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_millis(100);
    let _watchdog = Watchdog::new(LIMIT);
    for workers in [1, 2, 8] {
        // A busy machine may hold this thread up in one attempt; a runtime that waits for what is stuck does so in each.
        let mut took = Vec::new();
        while took.len() < 10 {
            let (runtime, crew) = Crew::build(
                runtime::runtime::Builder::new_multi_thread().enable_all(),
                workers,
            );
            // Declared after the runtime: if this test panics, what is stuck is released before that is dropped.
            let trap = Trap::pipe();
            crew.stick(&runtime, &trap);
            for _ in 0..workers {
                runtime.spawn_blocking(trap.block());
                runtime.spawn(pending::<()>());
                runtime.spawn(async { sleep(STUCK).await });
            }
            let start = Instant::now();
            runtime.shutdown_timeout(TIMEOUT);
            took.push(start.elapsed());
            assert!(took[took.len() - 1] >= TIMEOUT, "it was stuck");
            if took[took.len() - 1] < TIMEOUT + LATE {
                break;
            }
        }
        assert!(took.len() < 10, "with {workers} workers: {took:?}");
    }
}

#[test]
fn a_runtime_may_be_dropped_inside_its_own_task() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let handle = runtime.handle().clone();
    let count = DropCount::new();
    let token = count.token();
    runtime.spawn(async move {
        let _token = token;
        pending::<()>().await;
    });
    let (sender, receiver) = mpsc::channel();
    handle.spawn(async move {
        drop(runtime);
        sender.send(()).unwrap();
        pending::<()>().await;
    });
    receiver.recv().unwrap();
    while count.dropped() == 0 {
        thread::yield_now();
    }
    let late = handle.spawn(async {});
    assert!(current_thread().block_on(late).unwrap_err().is_cancelled());
}

#[test]
fn a_runtime_may_be_dropped_inside_a_blocking_job_of_its_own() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(1)] {
        let handle = runtime.handle().clone();
        let (sender, receiver) = mpsc::channel();
        handle.spawn_blocking(move || {
            drop(runtime);
            sender.send(()).unwrap();
        });
        receiver.recv().unwrap();
    }
}

#[test]
fn a_runtime_may_be_dropped_inside_a_task_of_another() {
    let _watchdog = Watchdog::new(LIMIT);
    for outer in [current_thread(), multi_thread(1)] {
        for inner in [current_thread(), multi_thread(2)] {
            let count = DropCount::new();
            let token = count.token();
            inner.spawn(async move {
                let _token = token;
                pending::<()>().await;
            });
            outer.block_on(async move {
                runtime::spawn(async move { drop(inner) }).await.unwrap();
            });
            while count.dropped() == 0 {
                thread::yield_now();
            }
        }
    }
}

#[test]
fn a_runtime_may_be_dropped_inside_a_root_future() {
    let _watchdog = Watchdog::new(LIMIT);
    for outer in [current_thread(), multi_thread(1)] {
        let inner = multi_thread(2);
        inner.spawn(pending::<()>());
        outer.block_on(async move {
            drop(inner);
            runtime::spawn(yield_now()).await.unwrap();
        });
    }
}

#[test]
fn the_last_owner_may_be_a_task() {
    let _watchdog = Watchdog::new(LIMIT);
    // The task that holds the runtime is dropped by the runtime's own shutdown, or never.
    let runtime = Arc::new(multi_thread(2));
    let inside = runtime.clone();
    let (sender, receiver) = mpsc::channel();
    runtime.spawn(async move {
        let _inside = inside;
        yield_now().await;
        sender.send(()).unwrap();
    });
    drop(runtime);
    receiver.recv().unwrap();
}

#[test]
fn spawns_io_and_timers_racing_with_shutdown_drop_each_future_exactly_once() {
    let _watchdog = Watchdog::new(LIMIT);
    let elsewhere = current_thread();
    for round in 0..60 {
        let runtime = multi_thread(2);
        let count = DropCount::new();
        let (made, go) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(std::sync::Barrier::new(4)),
        );
        let spawners: Vec<_> = (0..3)
            .map(|_| {
                let handle = runtime.handle().clone();
                let (count, made, go) = (count.clone(), made.clone(), go.clone());
                thread::spawn(move || {
                    let mut tasks = Vec::new();
                    go.wait();
                    for number in 0..100 {
                        let token = count.token();
                        made.fetch_add(1, Ordering::SeqCst);
                        tasks.push(handle.spawn(async move {
                            let _token = token;
                            match number % 5 {
                                0 => {}
                                1 => yield_now().await,
                                2 => sleep(Duration::from_micros(50)).await,
                                3 => {
                                    // Refused, or ended with an error, once the runtime has ended.
                                    if let Ok((mut one, other)) = UnixStream::pair() {
                                        let _ = other.try_write(b"x");
                                        let _ = one.read(&mut [0; 1]).await;
                                        let _ = one.read(&mut [0; 1]).await;
                                    }
                                }
                                _ => pending().await,
                            }
                        }));
                    }
                    tasks
                })
            })
            .collect();
        go.wait();
        for _ in 0..round * 20 {
            std::hint::spin_loop();
        }
        drop(runtime);
        for spawner in spawners {
            for task in spawner.join().unwrap() {
                if let Err(error) = elsewhere.block_on(task) {
                    assert!(error.is_cancelled());
                }
            }
        }
        assert_eq!(
            count.dropped(),
            made.load(Ordering::SeqCst),
            "round {round}"
        );
    }
}

#[test]
fn io_and_timers_after_the_end_say_so() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        let handle = runtime.handle().clone();
        let listener = runtime.block_on(async { TcpListener::bind("127.0.0.1:0").await.unwrap() });
        let begun = runtime.block_on(async {
            let mut begun = Box::pin(sleep(STUCK));
            assert!(poll_once(begun.as_mut()).await.is_pending());
            begun
        });
        // One that is awaited elsewhere is told when it happens.
        let awaited = runtime.block_on(async {
            let mut awaited = Box::pin(sleep(STUCK));
            assert!(poll_once(awaited.as_mut()).await.is_pending());
            awaited
        });
        let elsewhere = multi_thread(1);
        let (polled, is_polled) = mpsc::channel();
        let waits = elsewhere.spawn(async move {
            let mut awaited = awaited;
            assert!(poll_once(awaited.as_mut()).await.is_pending());
            polled.send(()).unwrap();
            awaited.await;
        });
        is_polled.recv().unwrap();
        drop(runtime);
        let error = current_thread().block_on(listener.accept()).unwrap_err();
        assert!(error.to_string().contains("shut"), "{error}");
        drop(listener);
        let message = message_of_panic(|| current_thread().block_on(begun));
        assert!(message.contains("has shut down"), "{message}");
        let message = panic_text(&*elsewhere.block_on(waits).unwrap_err().into_panic());
        assert!(message.contains("has shut down"), "{message}");
        // A registration with a runtime that has ended fails at once, or at its first wait.
        let _entered = handle.enter();
        let socket = std::os::unix::net::UnixStream::pair().unwrap().0;
        socket.set_nonblocking(true).unwrap();
        if let Ok(stream) = runtime::net::UnixStream::from_std(socket) {
            assert!(current_thread().block_on(stream.readable()).is_err());
        }
        let message = message_of_panic(|| {
            let mut made_after = Box::pin(sleep(STUCK));
            let waker = std::task::Waker::noop();
            let _ = made_after.as_mut().poll(&mut Context::from_waker(waker));
        });
        assert!(message.contains("has shut down"), "{message}");
    }
}

#[test]
fn a_root_elsewhere_is_polled_on_while_the_runtime_ends() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let handle = runtime.handle().clone();
    let (inside, is_inside) = mpsc::channel();
    let (sender, receiver) = runtime::sync::oneshot::channel();
    let root = thread::spawn(move || {
        handle.block_on(async move {
            inside.send(()).unwrap();
            receiver.await.unwrap()
        })
    });
    is_inside.recv().unwrap();
    drop(runtime);
    sender.send(4).unwrap();
    assert_eq!(root.join().unwrap(), 4);
}

#[test]
fn dropping_a_runtime_twice_over_through_nested_ownership_ends() {
    let _watchdog = Watchdog::new(LIMIT);
    // A chain: each runtime's task owns the next runtime.
    let mut chain = multi_thread(1);
    for _ in 0..5 {
        let next = multi_thread(1);
        next.spawn(async move {
            let _owned = chain;
            pending::<()>().await;
        });
        chain = next;
    }
    drop(chain);
}

#[test]
fn a_poll_that_returns_after_the_timeout_finds_no_broken_state() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let (running, is_running) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (sender, receiver) = mpsc::channel();
    runtime.spawn(poll_fn(move |cx| {
        running.send(()).unwrap();
        let _ = released.recv_timeout(STUCK);
        // All of these meet a runtime that has ended.
        cx.waker().wake_by_ref();
        let late = runtime::spawn(async {});
        let sleeps = Box::pin(sleep(Duration::from_millis(1)));
        drop(sleeps);
        sender.send(late).unwrap();
        Poll::<()>::Pending
    }));
    is_running.recv().unwrap();
    runtime.shutdown_timeout(Duration::from_millis(10));
    drop(release);
    let late = receiver.recv().unwrap();
    assert!(current_thread().block_on(late).unwrap_err().is_cancelled());
}
