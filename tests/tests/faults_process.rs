//! Faults that come from outside: a process that is stopped, storms of signals, closed
//! descriptors; and an idle process, which must not be disturbed at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use runtime::net::UnixStream;
use runtime::runtime::Builder;
use runtime::signal::unix::{SignalKind, signal};
use runtime::time::{MissedTickBehavior, interval, sleep, sleep_until};
use runtime_tests::process::context_switches;
use runtime_tests::{
    LIMIT, Watchdog, child, current_thread, large, multi_thread, poll_once, yield_until,
};
use rustix::process::{Signal, getpid, kill_process};

#[test]
fn a_process_that_was_stopped_goes_on() {
    let body = || {
        let _watchdog = Watchdog::new(LIMIT);
        multi_thread(2).block_on(async {
            let (mut one, mut other) = UnixStream::pair().unwrap();
            let echo = runtime::spawn(async move {
                let mut byte = [0];
                while other.read(&mut byte).await.unwrap() == 1 {
                    other.write_all(&byte).await.unwrap();
                }
            });
            let fired = Arc::new(AtomicUsize::new(0));
            let sleeps: Vec<_> = (1..200)
                .map(|number| {
                    let fired = fired.clone();
                    runtime::spawn(async move {
                        let start = Instant::now();
                        let length = Duration::from_millis(number * 5);
                        sleep(length).await;
                        assert!(start.elapsed() >= length);
                        fired.fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            let mut every = interval(Duration::from_millis(10));
            every.set_missed_tick_behavior(MissedTickBehavior::Skip);
            every.tick().await;
            child::say("ready");
            for number in 0..50 {
                let mut byte = [0];
                one.write_all(&[number]).await.unwrap();
                one.read_exact(&mut byte).await.unwrap();
                assert_eq!(byte, [number]);
                every.tick().await;
            }
            for task in sleeps {
                task.await.unwrap();
            }
            assert_eq!(fired.load(Ordering::SeqCst), 199, "each fires once");
            drop(one);
            echo.await.unwrap();
        });
    };
    if let Some(mut child) = child::start("a_process_that_was_stopped_goes_on", body) {
        child.wait_for("ready");
        kill_process(child.id(), Signal::STOP).unwrap();
        // Not to wait for something: being stopped for a while is the fault itself.
        std::thread::sleep(Duration::from_millis(500));
        kill_process(child.id(), Signal::CONT).unwrap();
        child.succeeds();
    }
}

#[test]
fn deadlines_that_passed_while_it_was_stopped_fire_once_and_in_order() {
    let name = "deadlines_that_passed_while_it_was_stopped_fire_once_and_in_order";
    let body = || {
        let sleeps = large(20_000) as u64;
        let _watchdog = Watchdog::new(LIMIT);
        let runtime = current_thread();
        let registered = Arc::new(AtomicUsize::new(0));
        let order = runtime.block_on(async {
            let (fires, mut fired) = runtime::sync::mpsc::unbounded_channel();
            let first = runtime::time::Instant::now() + Duration::from_millis(600);
            for number in 0..sleeps {
                let (fires, registered) = (fires.clone(), registered.clone());
                // Not in the order in which they are registered.
                let number = number * 7919 % sleeps;
                runtime::spawn(async move {
                    let mut sleep =
                        Box::pin(sleep_until(first + Duration::from_micros(number * 20)));
                    assert!(
                        poll_once(sleep.as_mut()).await.is_pending(),
                        "the machine is too slow"
                    );
                    registered.fetch_add(1, Ordering::SeqCst);
                    sleep.await;
                    fires.send(number).unwrap();
                });
            }
            drop(fires);
            yield_until(|| registered.load(Ordering::SeqCst) == sleeps as usize).await;
            child::say("ready");
            let mut order = Vec::new();
            while let Some(number) = fired.recv().await {
                order.push(number);
            }
            order
        });
        assert_eq!(order.len(), sleeps as usize, "each fires once");
        // A tick of the wheel is less than one of these steps.
        let at = order.windows(2).position(|pair| pair[0] > pair[1]);
        assert!(
            at.is_none(),
            "not in order from {at:?} on: {:?}",
            &order[..20]
        );
    };
    if let Some(mut child) = child::start(name, body) {
        child.wait_for("ready");
        kill_process(child.id(), Signal::STOP).unwrap();
        // Not to wait for something: being stopped for a while is the fault itself.
        std::thread::sleep(Duration::from_millis(1_000));
        kill_process(child.id(), Signal::CONT).unwrap();
        child.succeeds();
    }
}

#[test]
fn a_storm_of_signals_at_each_thread_is_extra_polls_only() {
    child::run(
        "a_storm_of_signals_at_each_thread_is_extra_polls_only",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            for runtime in [current_thread(), multi_thread(2)] {
                let over = Arc::new(AtomicBool::new(false));
                let is_over = over.clone();
                runtime.block_on(async {
                    // A handler, so that the signal interrupts rather than kills.
                    let _listener = signal(SignalKind::user_defined1()).unwrap();
                    let storm = std::thread::spawn(move || {
                        let (mut sent, process) = (0_u32, std::process::id());
                        while !is_over.load(Ordering::SeqCst) {
                            for thread in thread_ids() {
                                // SAFETY: sends a signal, for which there is a handler, to a thread of this process, or to none.
                                unsafe {
                                    libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1)
                                };
                                sent += 1;
                            }
                        }
                        sent
                    });
                    let (mut one, mut other) = UnixStream::pair().unwrap();
                    let echo = runtime::spawn(async move {
                        let mut byte = [0];
                        while other.read(&mut byte).await.unwrap() == 1 {
                            other.write_all(&byte).await.unwrap();
                        }
                    });
                    for number in 0..100 {
                        let mut byte = [0];
                        one.write_all(&[number]).await.unwrap();
                        one.read_exact(&mut byte).await.unwrap();
                        assert_eq!(byte, [number]);
                        let start = Instant::now();
                        sleep(Duration::from_millis(1)).await;
                        assert!(start.elapsed() >= Duration::from_millis(1));
                        let job = runtime::task::spawn_blocking(move || number);
                        assert_eq!(job.await.unwrap(), number);
                    }
                    over.store(true, Ordering::SeqCst);
                    assert!(storm.join().unwrap() > 100, "it was no storm");
                    drop(one);
                    echo.await.unwrap();
                });
            }
        },
    );
}

/// The threads of this process, as the system calls them.
fn thread_ids() -> Vec<i32> {
    std::fs::read_dir("/proc/self/task")
        .expect("procfs")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

#[test]
fn interrupted_system_calls_are_extra_polls_only() {
    child::run("interrupted_system_calls_are_extra_polls_only", || {
        let _watchdog = Watchdog::new(LIMIT);
        for runtime in [current_thread(), multi_thread(2)] {
            runtime.block_on(async {
                // A handler, so that the signal interrupts rather than kills.
                let _listener = signal(SignalKind::user_defined1()).unwrap();
                let storm = runtime::task::spawn_blocking(|| {
                    for _ in 0..3_000 {
                        kill_process(getpid(), Signal::USR1).unwrap();
                        std::thread::sleep(Duration::from_micros(20));
                    }
                });
                let (mut one, mut other) = UnixStream::pair().unwrap();
                let echo = runtime::spawn(async move {
                    let mut byte = [0];
                    while other.read(&mut byte).await.unwrap() == 1 {
                        other.write_all(&byte).await.unwrap();
                    }
                });
                let mut rounds = 0_u32;
                while !storm.is_finished() {
                    let mut byte = [0];
                    one.write_all(&[7]).await.unwrap();
                    one.read_exact(&mut byte).await.unwrap();
                    let start = Instant::now();
                    sleep(Duration::from_micros(300)).await;
                    assert!(start.elapsed() >= Duration::from_micros(300));
                    rounds += 1;
                }
                storm.await.unwrap();
                assert!(rounds > 0);
                drop(one);
                echo.await.unwrap();
            });
        }
    });
}

#[test]
fn an_idle_process_is_left_alone() {
    child::run("an_idle_process_is_left_alone", || {
        let _watchdog = Watchdog::new(LIMIT);
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .thread_keep_alive(Duration::from_millis(50))
            .build()
            .unwrap();
        // Everything has been used, and things are waited for: a socket, a task, far deadlines.
        let (mut one, mut other) = runtime.block_on(async { UnixStream::pair().unwrap() });
        let (poke, mut poked) = runtime::sync::mpsc::channel::<()>(1);
        runtime.spawn(async move { other.read(&mut [0]).await });
        runtime.spawn(async move { poked.recv().await });
        runtime.spawn(async { sleep(Duration::from_secs(3600)).await });
        runtime.spawn(async { sleep(Duration::MAX).await });
        runtime.block_on(async {
            runtime::task::spawn_blocking(|| ()).await.unwrap();
            sleep(Duration::from_millis(5)).await;
        });
        // Once outside of block_on, once with a thread inside.
        undisturbed_for_a_while();
        std::thread::scope(|scope| {
            let (over, is_over) = runtime::sync::oneshot::channel::<()>();
            let runtime = &runtime;
            scope.spawn(move || runtime.block_on(async { is_over.await.unwrap() }));
            undisturbed_for_a_while();
            over.send(()).unwrap();
        });
        // Once with a thread inside that has come to wait for events itself.
        let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            let (over, is_over) = runtime::sync::oneshot::channel::<()>();
            let runtime = &runtime;
            scope.spawn(move || {
                let mut byte = [0];
                while let Ok(1) = std::io::Read::read(&mut far, &mut byte) {
                    std::io::Write::write_all(&mut far, &byte).unwrap();
                }
            });
            scope.spawn(move || {
                runtime.block_on(async {
                    near.set_nonblocking(true).unwrap();
                    let mut near = UnixStream::from_std(near).unwrap();
                    for _ in 0..1000 {
                        near.write_all(b"x").await.unwrap();
                        near.read_exact(&mut [0]).await.unwrap();
                    }
                    is_over.await.unwrap();
                });
            });
            undisturbed_for_a_while();
            over.send(()).unwrap();
        });
        // And it wakes up when there is something to do.
        runtime.block_on(async {
            poke.send(()).await.unwrap();
            one.write_all(b"x").await.unwrap();
            runtime::spawn(sleep(Duration::from_millis(1)))
                .await
                .unwrap();
        });
    });
}

/// Waits until no thread but this one has run for two seconds.
///
/// What was used before may take a while to come to rest, within bounds.
fn undisturbed_for_a_while() {
    let mut disturbed = Vec::new();
    for _ in 0..12 {
        let before = context_switches();
        std::thread::sleep(Duration::from_secs(2));
        let after = context_switches();
        if before == after {
            return;
        }
        disturbed.push(
            after
                .into_iter()
                .filter(|(thread, count)| before.get(thread) != Some(count))
                .map(|(thread, count)| (thread.clone(), count - before.get(&thread).unwrap_or(&0)))
                .collect::<Vec<_>>(),
        );
    }
    panic!("context switches in each two seconds: {disturbed:?}");
}

#[test]
fn a_process_may_exit_with_a_runtime_running() {
    let body = || {
        let runtime = multi_thread(2);
        for _ in 0..100 {
            runtime.spawn(async {
                loop {
                    runtime::task::yield_now().await;
                }
            });
        }
        runtime.block_on(sleep_inside());
        child::say("exits");
        std::process::exit(0);
    };
    if let Some(mut child) = child::start("a_process_may_exit_with_a_runtime_running", body) {
        child.wait_for("exits");
        assert_eq!(child.ended_by(), None);
    }
}

async fn sleep_inside() {
    sleep(Duration::from_millis(1)).await;
}
