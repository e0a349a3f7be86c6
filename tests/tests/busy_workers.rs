//! Tasks that compute or block too long in one poll, and what goes on beside them.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use runtime::metrics::{WorkerMetrics, WorkerState};
use runtime::net::{TcpListener, UnixDatagram};
use runtime::runtime::{Builder, Handle, Runtime};
use runtime::task::{JoinHandle, yield_now};
use runtime::time::{sleep, timeout};
use runtime_tests::{Flag, LIMIT, Watchdog, multi_thread, on_each, on_multi_thread, spin};

/// Far more than it takes, far less than without any rescue.
const GENEROUS: Duration = Duration::from_secs(20);

/// Starts tasks that compute for 5 ms in each poll, until told to stop.
fn hogs(runtime: &Runtime, count: usize) -> (Arc<AtomicBool>, Vec<JoinHandle<()>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = (0..count)
        .map(|_| {
            let stop = stop.clone();
            runtime.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    spin(Duration::from_millis(5));
                    yield_now().await;
                }
            })
        })
        .collect();
    (stop, tasks)
}

/// Starts sixteen tasks that are always ready, until told to stop.
fn restless(stop: &Flag) -> Vec<JoinHandle<()>> {
    let task = |stop: Flag| async move {
        while !stop.is_set() {
            yield_now().await;
        }
    };
    (0..16)
        .map(|_| runtime::spawn(task(stop.clone())))
        .collect()
}

fn end(runtime: &Runtime, (stop, tasks): (Arc<AtomicBool>, Vec<JoinHandle<()>>)) {
    stop.store(true, Ordering::SeqCst);
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
}

#[test]
fn connections_are_answered() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let listener = runtime.block_on(async { TcpListener::bind(("127.0.0.1", 0)).await.unwrap() });
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        while stream.read(&mut byte).await.unwrap() == 1 {
            stream.write_all(&byte).await.unwrap();
        }
    });
    let busy = hogs(&runtime, 4);
    let mut client = std::net::TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    let start = Instant::now();
    for number in 0..100 {
        let mut byte = [0];
        client.write_all(&[number]).unwrap();
        client.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [number]);
    }
    let took = start.elapsed();
    // Without a guarantor, the next look at the sockets is some 300 ms away each time.
    assert!(took < GENEROUS, "100 answers took {took:?}");
    end(&runtime, busy);
}

#[test]
fn timers_fire() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let busy = hogs(&runtime, 4);
    let (sender, receiver) = mpsc::channel();
    runtime.spawn(async move {
        for _ in 0..100 {
            sleep(Duration::from_millis(1)).await;
        }
        sender.send(()).unwrap();
    });
    receiver
        .recv_timeout(GENEROUS)
        .expect("100 sleeps of 1 ms beside busy workers");
    end(&runtime, busy);
}

#[test]
fn tasks_from_outside_start() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let busy = hogs(&runtime, 4);
    let start = Instant::now();
    for number in 0..50 {
        let (sender, receiver) = mpsc::channel();
        runtime.spawn(async move { sender.send(number).unwrap() });
        assert_eq!(receiver.recv_timeout(GENEROUS), Ok(number));
    }
    assert!(start.elapsed() < GENEROUS, "{:?}", start.elapsed());
    end(&runtime, busy);
}

#[test]
fn a_root_future_goes_on() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let busy = hogs(&runtime, 4);
    let start = Instant::now();
    runtime.block_on(async {
        for _ in 0..50 {
            sleep(Duration::from_millis(1)).await;
            let (mut one, mut other) = runtime::net::UnixStream::pair().unwrap();
            one.write_all(b"x").await.unwrap();
            other.read_exact(&mut [0]).await.unwrap();
        }
    });
    assert!(start.elapsed() < GENEROUS, "{:?}", start.elapsed());
    end(&runtime, busy);
}

#[test]
fn a_task_woken_by_one_that_computes_on_is_run_by_another() {
    on_multi_thread(async {
        for _ in 0..20 {
            let ran = Flag::new();
            let inside = ran.clone();
            let (wake, woken) = runtime::sync::oneshot::channel::<()>();
            let (waits, is_waiting) = runtime::sync::oneshot::channel();
            let waiting = runtime::spawn(async move {
                waits.send(()).unwrap();
                woken.await.unwrap();
                inside.set();
            });
            is_waiting.await.unwrap();
            let computing = runtime::spawn(async move {
                // Now it is next on this worker, which has other things to do: for ever, if the
                // task is not taken away.
                wake.send(()).unwrap();
                let start = Instant::now();
                while !ran.is_set() {
                    assert!(start.elapsed() < GENEROUS, "nobody took the woken task");
                    std::hint::spin_loop();
                }
            });
            computing.await.unwrap();
            waiting.await.unwrap();
        }
    });
}

#[test]
fn tasks_spawned_by_one_that_computes_on_are_run_by_others() {
    on_multi_thread(async {
        for _ in 0..20 {
            let computing = runtime::spawn(async {
                let (sender, receiver) = mpsc::channel();
                for number in 0..10 {
                    let sender = sender.clone();
                    runtime::spawn(async move { sender.send(number).unwrap() });
                }
                drop(sender);
                let start = Instant::now();
                let mut seen = 0;
                while seen < 10 {
                    assert!(
                        start.elapsed() < GENEROUS,
                        "only {seen} of 10 were run elsewhere"
                    );
                    seen += receiver.try_iter().count();
                    std::hint::spin_loop();
                }
            });
            computing.await.unwrap();
        }
    });
}

#[test]
fn a_task_that_blocks_one_worker_leaves_the_other() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let (release, released) = mpsc::channel::<()>();
    let (blocked, is_blocked) = mpsc::channel();
    let blocking = runtime.spawn(async move {
        blocked.send(()).unwrap();
        let _ = released.recv();
    });
    is_blocked.recv().unwrap();
    let (mut one, mut other) =
        runtime.block_on(async { runtime::net::UnixStream::pair().unwrap() });
    let answers = runtime.spawn(async move {
        let mut byte = [0];
        for _ in 0..200 {
            other.read_exact(&mut byte).await.unwrap();
            other.write_all(&byte).await.unwrap();
            sleep(Duration::from_micros(10)).await;
        }
    });
    let asks = runtime.spawn(async move {
        for number in 0..200 {
            let mut byte = [0];
            one.write_all(&[number]).await.unwrap();
            one.read_exact(&mut byte).await.unwrap();
        }
    });
    runtime.block_on(async {
        timeout(GENEROUS, async {
            answers.await.unwrap();
            asks.await.unwrap();
        })
        .await
        .expect("one worker is enough");
    });
    release.send(()).unwrap();
    runtime.block_on(blocking).unwrap();
}

#[test]
fn restless_tasks_starve_neither_io_nor_timers() {
    on_multi_thread(async {
        let stop = Flag::new();
        let restless = restless(&stop);
        let work = runtime::spawn(async {
            let (mut one, mut other) = runtime::net::UnixStream::pair().unwrap();
            let echo = runtime::spawn(async move {
                let mut byte = [0];
                while other.read(&mut byte).await.unwrap() == 1 {
                    other.write_all(&byte).await.unwrap();
                }
            });
            for number in 0..50 {
                let mut byte = [0];
                one.write_all(&[number]).await.unwrap();
                one.read_exact(&mut byte).await.unwrap();
                sleep(Duration::from_millis(1)).await;
            }
            drop(one);
            echo.await.unwrap();
        });
        timeout(GENEROUS, work)
            .await
            .expect("the restless ones leave room")
            .unwrap();
        stop.set();
        for task in restless {
            task.await.unwrap();
        }
    });
}

#[test]
fn long_polls_are_followed_by_looks_for_io() {
    on_each(|| async {
        let busy: Vec<_> = (0..4)
            .map(|_| {
                runtime::spawn(async {
                    for _ in 0..200 {
                        spin(Duration::from_micros(200));
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in busy {
            task.await.unwrap();
        }
        let metrics = Handle::current().metrics();
        let sum =
            |count: fn(&WorkerMetrics) -> u64| metrics.workers().iter().map(count).sum::<u64>();
        let (polls, looks) = (sum(WorkerMetrics::polls), sum(WorkerMetrics::driver_looks));
        // After nearly each, if polls take 200 µs. By the number of polls alone, it would be after every 61.
        assert!(looks > polls / 4, "{looks} looks, {polls} polls");
    });
}

/// Tasks that yield give way to what sockets wake, also to what comes while they are polled.
#[test]
fn sockets_are_served_before_tasks_that_yield() {
    const TASKS: usize = 8;
    const ROUNDS: usize = 200;
    for micros in [20, 100, 500] {
        on_each(|| async move {
            let (stop, polls) = (Flag::new(), Arc::new(AtomicUsize::new(0)));
            let busy: Vec<_> = (0..TASKS)
                .map(|_| {
                    let (stop, polls) = (stop.clone(), polls.clone());
                    runtime::spawn(async move {
                        while !stop.is_set() {
                            spin(Duration::from_micros(micros));
                            polls.fetch_add(1, Ordering::SeqCst);
                            yield_now().await;
                        }
                    })
                })
                .collect();
            let (mut one, mut other) = runtime::net::UnixStream::pair().unwrap();
            let answers = runtime::spawn(async move {
                let mut byte = [0];
                while other.read(&mut byte).await.unwrap() == 1 {
                    other.write_all(&byte).await.unwrap();
                }
            });
            let seen = polls.clone();
            let asks = runtime::spawn(async move {
                let mut waits = Vec::new();
                for _ in 0..ROUNDS {
                    let (mut byte, before) = ([0], seen.load(Ordering::SeqCst));
                    one.write_all(&byte).await.unwrap();
                    one.read_exact(&mut byte).await.unwrap();
                    waits.push(seen.load(Ordering::SeqCst) - before);
                }
                waits.sort_unstable();
                waits
            });
            let waits = asks.await.unwrap();
            stop.set();
            for task in busy {
                task.await.unwrap();
            }
            answers.await.unwrap();
            // There and back, each time until the next look: 150 us, and one poll more on each worker. In the order of wake-ups all take two turns.
            let most = 2 * (150 / micros as usize + 4);
            assert!(
                waits[ROUNDS / 2] <= most,
                "{micros} us: {} polls, at most {most}",
                waits[ROUNDS / 2]
            );
        });
    }
}

#[test]
fn what_a_root_spawns_does_not_wait_until_the_root_gives_way() {
    let _watchdog = Watchdog::new(LIMIT);
    for rescue in [true, false] {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .rescue(rescue)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let stop = Flag::new();
            // None of them ever waits: no worker looks for others.
            let restless = restless(&stop);
            sleep(Duration::from_millis(5)).await;
            for _ in 0..10 {
                let ran = Flag::new();
                let sets = ran.clone();
                let task = runtime::spawn(async move { sets.set() });
                let start = Instant::now();
                while !ran.is_set() {
                    assert!(start.elapsed() < GENEROUS, "with rescue {rescue}");
                    std::thread::yield_now();
                }
                task.await.unwrap();
            }
            stop.set();
            for task in restless {
                task.await.unwrap();
            }
        });
    }
}

#[test]
fn two_tasks_that_wake_each_other_without_end_starve_nobody() {
    on_multi_thread(async {
        let stop = Flag::new();
        let mut pairs = Vec::new();
        for _ in 0..2 {
            let (to_one, mut at_one) = runtime::sync::mpsc::channel::<()>(1);
            let (to_other, mut at_other) = runtime::sync::mpsc::channel::<()>(1);
            let (stop, first) = (stop.clone(), to_one.clone());
            pairs.push(runtime::spawn(async move {
                while at_one.recv().await.is_some() && !stop.is_set() {
                    if to_other.send(()).await.is_err() {
                        break;
                    }
                }
            }));
            pairs.push(runtime::spawn(async move {
                while at_other.recv().await.is_some() {
                    if to_one.send(()).await.is_err() {
                        break;
                    }
                }
            }));
            first.send(()).await.unwrap();
        }
        // Both workers have such a pair; a plain task must get its turn.
        for _ in 0..100 {
            let task = runtime::spawn(async { yield_now().await });
            timeout(GENEROUS, task)
                .await
                .expect("a turn for others")
                .unwrap();
        }
        stop.set();
        for task in pairs {
            task.await.unwrap();
        }
    });
}

/// What the driver wakes in one batch is notified for only if it is much work (the executor's `idle.md`, N6). If the first of the tasks blocks all the same, the
/// watchman sees to the others, rescue or not; or the reactor thread, when it finds that nobody waits for events. Without both this hangs.
#[test]
fn what_is_woken_in_one_batch_is_run_by_others_if_the_first_blocks() {
    const TASKS: usize = 8;
    for rescue in [false, true] {
        let _watchdog = Watchdog::new(LIMIT);
        let runtime = runtime::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .rescue(rescue)
            .build()
            .unwrap();
        let (one, other) = runtime.block_on(async { UnixDatagram::pair().unwrap() });
        let (one, other) = (Arc::new(one), Arc::new(other));
        // It counts as ready until an operation finds otherwise.
        assert_eq!(
            one.try_recv(&mut [0]).unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock
        );
        let (done, results) = mpsc::channel();
        let has_blocked = Arc::new(AtomicBool::new(false));
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..TASKS {
            let (done, has_blocked, ran) = (done.clone(), has_blocked.clone(), ran.clone());
            let one = one.clone();
            runtime.spawn(async move {
                // Short polls first, so that the average tells of no hog.
                for _ in 0..1000 {
                    yield_now().await;
                }
                done.send(()).unwrap();
                one.readable().await.unwrap();
                let is_first = !has_blocked.swap(true, Ordering::SeqCst);
                ran.fetch_add(1, Ordering::SeqCst);
                while is_first && ran.load(Ordering::SeqCst) < TASKS {
                    std::thread::yield_now();
                }
                done.send(()).unwrap();
            });
        }
        assert_eq!(results.iter().take(TASKS).count(), TASKS);
        // Nobody but the one whom the event wakes comes by himself. (A spare may have taken a worker's place.)
        let sleeps = |worker: &WorkerMetrics| {
            matches!(worker.state(), WorkerState::Parked | WorkerState::Absent)
        };
        while !runtime.metrics().workers().iter().all(sleeps) {
            std::thread::yield_now();
        }
        assert_eq!(other.try_send(b"x").unwrap(), 1);
        assert_eq!(results.iter().take(TASKS).count(), TASKS);
    }
}
