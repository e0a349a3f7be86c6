//! The thread inside `block_on` as a guest worker: it runs tasks that its root or its events woke, but never
//! so that root or tasks could get stuck behind each other.
#![expect(
    clippy::async_yields_async,
    reason = "futures and handles are handed out of one runtime on purpose"
)]

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc as threads;
use std::thread;
use std::time::Duration;

use runtime::io::AsyncReadExt;
use runtime::net::TcpStream;
use runtime::runtime::{Builder, Runtime};
use runtime::sync::{Notify, mpsc};
use runtime::task::{JoinHandle, block_in_place, yield_now};
use runtime::time::sleep;
use runtime_tests::{LIMIT, Watchdog, multi_thread, spin};

fn without_guest() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .guest(false)
        .enable_all()
        .build()
        .unwrap()
}

/// Talks `rounds` times with a task and returns how many of its polls ran on this thread.
fn polls_here(runtime: &Runtime, rounds: usize) -> usize {
    let home = thread::current().id();
    runtime.block_on(async {
        let (to_task, mut at_task) = mpsc::channel::<()>(1);
        let (to_root, mut at_root) = mpsc::channel::<()>(1);
        let task = runtime::spawn(async move {
            let mut here = 0;
            while let Some(()) = at_task.recv().await {
                here += usize::from(thread::current().id() == home);
                to_root.send(()).await.unwrap();
            }
            here
        });
        for _ in 0..rounds {
            to_task.send(()).await.unwrap();
            at_root.recv().await.unwrap();
        }
        drop(to_task);
        task.await.unwrap()
    })
}

#[test]
fn the_guest_runs_tasks_that_its_root_woke() {
    let _watchdog = Watchdog::new(LIMIT);
    let here = polls_here(&multi_thread(2), 20_000);
    assert!(here > 0, "none of 20,000 round trips was served at home");
}

#[test]
fn without_guest_it_runs_none() {
    let _watchdog = Watchdog::new(LIMIT);
    assert_eq!(polls_here(&without_guest(), 1_000), 0);
}

#[test]
fn a_fresh_task_runs_on_a_worker_even_if_it_blocks_until_the_root_goes_on() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let home = thread::current().id();
    runtime.block_on(async {
        let (sender, receiver) = threads::channel();
        let task = runtime::spawn(async move {
            assert_ne!(thread::current().id(), home);
            // Would wait for ever if it kept the root from going on.
            receiver.recv_timeout(LIMIT).unwrap()
        });
        yield_now().await;
        sleep(Duration::from_millis(1)).await;
        sender.send(9).unwrap();
        assert_eq!(task.await.unwrap(), 9);
    });
}

/// A task that has had its short polls, answers each message with its number, and says so to a
/// thread as well.
async fn answering_task() -> (mpsc::Sender<u32>, threads::Receiver<u32>, JoinHandle<()>) {
    let (to_task, mut at_task) = mpsc::channel::<u32>(8);
    let (to_thread, at_thread) = threads::channel();
    let task = runtime::spawn(async move {
        while let Some(number) = at_task.recv().await {
            to_thread.send(number).unwrap();
        }
    });
    for number in 0..20 {
        to_task.send(number).await.unwrap();
        yield_now().await;
        assert_eq!(at_thread.recv_timeout(LIMIT).unwrap(), number);
    }
    (to_task, at_thread, task)
}

#[test]
fn a_root_that_blocks_its_thread_leaves_its_tasks_to_others() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    runtime.block_on(async {
        let (to_task, at_thread, task) = answering_task().await;
        for number in 0..20 {
            to_task.send(number).await.unwrap();
            // The task is in the guest's slot, and the guest waits here for it.
            assert_eq!(at_thread.recv_timeout(LIMIT).unwrap(), number);
        }
        drop(to_task);
        task.await.unwrap();
    });
}

#[test]
fn a_root_that_computes_leaves_its_tasks_to_others() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    runtime.block_on(async {
        let (to_task, at_thread, task) = answering_task().await;
        let end = std::time::Instant::now() + LIMIT;
        to_task.send(1).await.unwrap();
        while at_thread.try_recv().is_err() {
            assert!(
                std::time::Instant::now() < end,
                "the task was never rescued"
            );
            spin(Duration::from_micros(100));
        }
        drop(to_task);
        task.await.unwrap();
    });
}

#[test]
fn what_a_guest_leaves_behind_is_run_when_block_on_has_returned() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    for round in 0..200 {
        let (to_task, mut at_task) = mpsc::channel::<u32>(1);
        let (sender, receiver) = threads::channel();
        runtime.block_on(async {
            runtime::spawn(async move {
                while let Some(number) = at_task.recv().await {
                    let _ = sender.send(number);
                }
            });
            for _ in 0..round % 5 {
                to_task.send(0).await.unwrap();
                yield_now().await;
            }
            to_task.send(round).await.unwrap();
        });
        drop(to_task);
        assert_eq!(
            receiver.into_iter().last(),
            Some(round),
            "its last wake was not lost"
        );
    }
}

#[test]
fn timers_that_a_root_made_fire_when_it_is_gone() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let mut sleeps = Vec::new();
    for _ in 0..20 {
        let mut pending = Box::pin(runtime.block_on(async { sleep(Duration::from_millis(20)) }));
        runtime.block_on(async {
            let _ = runtime_tests::poll_once(pending.as_mut()).await;
        });
        sleeps.push(runtime.spawn(pending));
    }
    for pending in sleeps {
        runtime.block_on(pending).unwrap();
    }
}

#[test]
fn roots_come_and_go_beside_busy_workers() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..300 {
                    let output = runtime.block_on(async move {
                        let task = runtime::spawn(async move {
                            yield_now().await;
                            number
                        });
                        yield_now().await;
                        task.await.unwrap()
                    });
                    assert_eq!(output, number);
                }
            });
        }
    });
}

/// Wakes a task that has been polled, and then has it wait, blocking, for what this root sends next.
async fn wake_one_that_blocks_for_the_root(has_blocked_before: bool) {
    let (wake, woken) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (ready, is_ready) = (wake.clone(), woken.clone());
    let (sender, receiver) = threads::channel();
    let task = runtime::spawn(async move {
        if has_blocked_before {
            block_in_place(|| ());
        }
        is_ready.notify_one();
        ready.notified().await;
        block_in_place(|| receiver.recv_timeout(LIMIT)).unwrap()
    });
    woken.notified().await;
    for _ in 0..100 {
        // The task's poll ends meanwhile: it is polled next where it is woken.
        yield_now().await;
    }
    wake.notify_one();
    for _ in 0..3 {
        yield_now().await;
    }
    sender.send(5).unwrap();
    assert_eq!(task.await.unwrap(), 5);
}

/// With a guest, such a task may run on the root's own thread, below which the root waits: that is what
/// [`Builder::guest`] tells of, and offers a way out of.
#[test]
fn without_guest_a_task_may_block_until_the_root_goes_on() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = without_guest();
    for _ in 0..20 {
        runtime.block_on(wake_one_that_blocks_for_the_root(false));
    }
}

#[test]
fn a_task_known_to_block_never_runs_on_the_guest() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    for _ in 0..20 {
        runtime.block_on(wake_one_that_blocks_for_the_root(true));
    }
}

/// A thread that echoes what comes on one connection.
fn echo_thread() -> (std::net::SocketAddr, thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        while let Ok(1) = stream.read(&mut byte) {
            stream.write_all(&byte).unwrap();
        }
    };
    (address, thread::spawn(serve))
}

/// Where the echo of a byte came.
enum Came {
    /// It was there already.
    AtOnce,
    /// With an event, which had this thread poll the task again.
    Later(thread::ThreadId),
}

/// A task that has a connection: it sends each byte that it is given, and answers with the echo.
fn connection_task(
    address: std::net::SocketAddr,
) -> (mpsc::Sender<u8>, mpsc::Receiver<(u8, Came)>) {
    let (to_task, mut at_task) = mpsc::channel::<u8>(1);
    let (to_root, at_root) = mpsc::channel(1);
    runtime::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        while let Some(byte) = at_task.recv().await {
            stream.write_all(&[byte]).await.unwrap();
            let mut came = Came::AtOnce;
            let mut echo = pin!(stream.read_u8());
            let echo = poll_fn(|cx| {
                let polled = echo.as_mut().poll(cx);
                if polled.is_pending() {
                    came = Came::Later(thread::current().id());
                } else if let Came::Later(thread) = &mut came {
                    *thread = thread::current().id();
                }
                polled
            });
            let answer = (echo.await.unwrap(), came);
            to_root
                .send(answer)
                .await
                .unwrap_or_else(|_| panic!("the receiver waits"));
        }
    });
    (to_task, at_root)
}

#[test]
fn a_root_and_the_task_that_has_its_connection_come_to_share_a_thread() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let home = thread::current().id();
    let (address, echo) = echo_thread();
    runtime.block_on(async {
        let (to_task, mut at_root) = connection_task(address);
        // Not at once, and where others want the cores not for long: of 32 events in a row most had it polled here.
        let (mut events, mut here) = (0, 0);
        for byte in (0..=u8::MAX).cycle() {
            to_task.send(byte).await.unwrap();
            let (echo, came) = at_root.recv().await.unwrap();
            assert_eq!(echo, byte);
            if let Came::Later(thread) = came {
                events += 1;
                here += usize::from(thread == home);
            }
            if events == 32 {
                if here > 16 {
                    break;
                }
                (events, here) = (0, 0);
            }
        }
    });
    drop(runtime);
    echo.join().unwrap();
}

#[test]
fn a_root_that_is_told_now_and_then_leaves_the_connections_to_the_workers() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let home = thread::current().id();
    let (address, echo) = echo_thread();
    let (tell, mut told) = mpsc::channel(1);
    runtime.spawn(async move {
        let (to_task, mut at_task) = connection_task(address);
        let mut here = 0;
        for _ in 0..2_000 {
            // So many events for each that the root hears of.
            let mut events = 0;
            for byte in (0..=u8::MAX).cycle() {
                to_task.send(byte).await.unwrap();
                let (echo, came) = at_task.recv().await.unwrap();
                assert_eq!(echo, byte);
                if let Came::Later(thread) = came {
                    here += usize::from(thread == home);
                    events += 1;
                }
                if events == 4 {
                    break;
                }
            }
            tell.send(here).await.unwrap();
        }
    });
    runtime.block_on(async {
        let mut here = 0;
        while let Some(so_far) = told.recv().await {
            here = so_far;
        }
        // A task that is woken while the root's own wake-ups have it polled here stays here.
        assert!(here < 400, "{here} of 8,000 events");
    });
    drop(runtime);
    echo.join().unwrap();
}
