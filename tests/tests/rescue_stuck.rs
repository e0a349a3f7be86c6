//! Every worker is stuck, and the program goes on: each way of being stuck, with two workers and with four, against each thing that
//! must go on. The workers are held until the test has seen it, so without a rescue nothing here ends.

use std::future::pending;
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use runtime::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use runtime::runtime::{Builder, Runtime};
use runtime::sync::oneshot;
use runtime::task::{JoinSet, block_in_place, spawn_blocking, yield_now};
use runtime::time::{interval, sleep, timeout};
use runtime_tests::stuck::{Crew, Trap};
use runtime_tests::{DropCount, Flag, LIMIT, Watchdog, child};

/// How long one thing may take to be done beside stuck workers. It takes some milliseconds, and some tens where a spinning trap shares
/// two cores with other programs.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the shutdown waits for stuck threads.
const TIMEOUT: Duration = Duration::from_millis(100);

/// Something that must go on. Called before the workers are stuck; what it returns is done afterwards.
type Deed = fn(&Runtime) -> Then;
type Then = Box<dyn FnOnce(&Runtime)>;

/// What must go on.
const DEEDS: [(&str, Deed); 19] = [
    ("a connection made before", connection_made_before),
    ("a connection made now", connection_made_now),
    ("a connection of the root", connection_of_the_root),
    ("a datagram", datagram),
    ("a sleep begun before", sleep_begun_before),
    ("a sleep of a task", sleep_of_a_task),
    ("an interval", ticks_of_an_interval),
    ("a timeout", elapsed_timeout),
    ("a sleep of the root", sleep_of_the_root),
    ("a task from outside", task_from_outside),
    ("a task of the root", task_of_the_root),
    ("a task of a task", task_of_a_task),
    ("a join set", join_set),
    ("tasks that talk", tasks_that_talk),
    (
        "a message to a task that waits",
        message_to_a_task_that_waits,
    ),
    ("a blocking job", blocking_job),
    ("block_in_place", in_place),
    ("an abort", abort),
    ("a root on another thread", root_on_another_thread),
];

/// Runs `f`, which must end soon.
fn soon<R>(what: &str, f: impl FnOnce() -> R) -> R {
    let name = thread::current().name().unwrap_or("?").to_owned();
    let _watchdog = Watchdog::over(&format!("{name}: {what}"), PATIENCE);
    f()
}

fn builder() -> Builder {
    let mut builder = Builder::new_multi_thread();
    // Reports are made, but not on standard error.
    builder.enable_all().on_slow_poll(|_| ());
    builder
}

/// Does one deed after the other, each on a runtime of its own with all workers in a trap.
fn do_all_beside(make: fn() -> Trap, workers: usize) {
    for (name, deed) in DEEDS {
        let (runtime, crew) = Crew::build(&mut builder(), workers);
        let mut trap = make();
        let then = soon(name, || deed(&runtime));
        let stuck = soon("the trap", || crew.stick(&runtime, &trap));
        soon(name, || then(&runtime));
        assert!(
            stuck.iter().all(|task| !task.is_finished()),
            "{name}: let go"
        );
        trap.release();
        soon("the end", || {
            for task in stuck {
                runtime.block_on(task).expect("it returns");
            }
            drop(runtime);
        });
    }
}

#[test]
fn all_goes_on_beside_two_workers_that_sleep() {
    do_all_beside(Trap::sleep, 2);
}

#[test]
fn all_goes_on_beside_four_workers_that_sleep() {
    do_all_beside(Trap::sleep, 4);
}

#[test]
fn all_goes_on_beside_two_workers_that_spin() {
    do_all_beside(Trap::spin, 2);
}

#[test]
fn all_goes_on_beside_four_workers_that_spin() {
    do_all_beside(Trap::spin, 4);
}

#[test]
fn all_goes_on_beside_two_workers_that_want_a_mutex() {
    do_all_beside(Trap::mutex, 2);
}

#[test]
fn all_goes_on_beside_four_workers_that_want_a_mutex() {
    do_all_beside(Trap::mutex, 4);
}

#[test]
fn all_goes_on_beside_two_workers_that_read_a_pipe() {
    do_all_beside(Trap::pipe, 2);
}

#[test]
fn all_goes_on_beside_four_workers_that_read_a_pipe() {
    do_all_beside(Trap::pipe, 4);
}

/// Deadlocked threads never end: in a process of its own, which does.
#[test]
fn all_goes_on_beside_workers_in_a_deadlock() {
    child::run("all_goes_on_beside_workers_in_a_deadlock", || {
        for workers in [2, 4] {
            for (name, deed) in DEEDS {
                let (runtime, crew) = Crew::build(&mut builder(), workers);
                // A failure ends the process; to drop the runtime would wait for ever.
                let runtime = ManuallyDrop::new(runtime);
                let trap = Trap::deadlock();
                let then = soon(name, || deed(&runtime));
                let stuck = soon("the trap", || crew.stick(&runtime, &trap));
                soon(name, || then(&runtime));
                assert!(stuck.iter().all(|task| !task.is_finished()));
                soon("the end", || {
                    ManuallyDrop::into_inner(runtime).shutdown_background()
                });
            }
        }
    });
}

#[test]
fn one_stuck_worker_of_one_is_enough() {
    for (_, make) in Trap::ALL {
        do_all_beside(make, 1);
    }
}

#[test]
fn a_shutdown_with_a_timeout_returns_and_drops_what_waits() {
    let _watchdog = Watchdog::new(LIMIT);
    for (name, make) in Trap::ALL {
        for workers in [2, 4] {
            let (runtime, crew) = Crew::build(&mut builder(), workers);
            let mut trap = make();
            let drops = DropCount::new();
            let mut waiting = Vec::new();
            for _ in 0..10 {
                let token = drops.token();
                waiting.push(runtime.spawn(async move {
                    let _token = token;
                    pending::<()>().await;
                }));
            }
            let stuck = crew.stick(&runtime, &trap);
            let start = Instant::now();
            runtime.shutdown_timeout(TIMEOUT);
            let took = start.elapsed();
            assert!(took >= TIMEOUT, "{name}: nobody waited for stuck threads");
            assert!(took < PATIENCE, "{name}: it took {took:?}");
            assert_eq!(drops.dropped(), 10, "{name}");
            for task in waiting {
                assert!(task.is_finished(), "{name}");
            }
            assert!(stuck.iter().all(|task| !task.is_finished()), "{name}");
            trap.release();
            // Their threads are nobody's any more, but they end, and what they polled with them.
            for task in stuck {
                let _ = runtime_tests::current_thread().block_on(task);
            }
        }
    }
}

#[test]
fn a_shutdown_in_the_background_returns_at_once() {
    let _watchdog = Watchdog::new(LIMIT);
    for (name, make) in Trap::ALL {
        let (runtime, crew) = Crew::build(&mut builder(), 2);
        let mut trap = make();
        let stuck = crew.stick(&runtime, &trap);
        soon(name, || runtime.shutdown_background());
        assert!(stuck.iter().all(|task| !task.is_finished()), "{name}");
        trap.release();
        for task in stuck {
            let _ = runtime_tests::current_thread().block_on(task);
        }
    }
}

#[test]
fn a_drop_returns_once_all_are_released_and_not_before() {
    for (name, make) in Trap::ALL {
        for workers in [2, 4] {
            let (runtime, crew) = Crew::build(&mut builder(), workers);
            let mut trap = make();
            let drops = DropCount::new();
            let token = drops.token();
            runtime.spawn(async move {
                let _token = token;
                pending::<()>().await;
            });
            let stuck = soon(name, || crew.stick(&runtime, &trap));
            let dropped = Flag::new();
            let at_end = dropped.clone();
            let dropping = thread::spawn(move || {
                drop(runtime);
                at_end.set();
            });
            // The shutdown has begun, and has come as far as it can.
            soon(name, || {
                while drops.dropped() == 0 {
                    thread::yield_now();
                }
            });
            assert!(!dropped.is_set(), "{name}: it did not wait for its threads");
            assert!(stuck.iter().all(|task| !task.is_finished()), "{name}");
            trap.release();
            soon(name, || dropping.join().expect("no panic"));
        }
    }
}

// ---------------------------------------------------------------- the deeds

/// Answers each byte on one connection.
async fn echo(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut byte = [0];
    while stream.read(&mut byte).await.expect("a byte") == 1 {
        stream.write_all(&byte).await.expect("there is room");
    }
}

/// Sends some bytes from a thread that is no part of the runtime, and reads them back.
fn talk(client: &mut std::net::TcpStream) {
    client.set_nodelay(true).expect("a socket");
    for number in 0..5 {
        let mut byte = [0];
        client.write_all(&[number]).expect("there is room");
        client.read_exact(&mut byte).expect("an answer");
        assert_eq!(byte, [number]);
    }
}

fn bind(runtime: &Runtime) -> (TcpListener, std::net::SocketAddr) {
    let _entered = runtime.enter();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("it is bound");
    (TcpListener::from_std(listener).expect("a socket"), address)
}

fn connection_made_before(runtime: &Runtime) -> Then {
    let (listener, address) = bind(runtime);
    let task = runtime.spawn(echo(listener));
    let mut client = std::net::TcpStream::connect(address).expect("it listens");
    talk(&mut client);
    Box::new(move |runtime| {
        talk(&mut client);
        drop(client);
        runtime.block_on(task).expect("no panic");
    })
}

fn connection_made_now(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let (listener, address) = bind(runtime);
        let task = runtime.spawn(echo(listener));
        let client = runtime.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            for number in 0..5 {
                let mut byte = [0];
                stream.write_all(&[number]).await.expect("there is room");
                stream.read_exact(&mut byte).await.expect("an answer");
                assert_eq!(byte, [number]);
            }
        });
        runtime.block_on(client).expect("no panic");
        runtime.block_on(task).expect("no panic");
    })
}

fn connection_of_the_root(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let (mut theirs, ours) = std::os::unix::net::UnixStream::pair().expect("two sockets");
        // The other end is a thread's, so that nothing is ready before the root waits for it.
        let peer = thread::spawn(move || {
            let mut byte = [0];
            while theirs.read(&mut byte).expect("a byte") == 1 {
                theirs.write_all(&byte).expect("there is room");
            }
        });
        runtime.block_on(async {
            ours.set_nonblocking(true).expect("a socket");
            let mut ours = UnixStream::from_std(ours).expect("a socket");
            for number in 0..5 {
                let mut byte = [0];
                ours.write_all(&[number]).await.expect("there is room");
                ours.read_exact(&mut byte).await.expect("an answer");
                assert_eq!(byte, [number]);
            }
        });
        peer.join().expect("no panic");
    })
}

fn datagram(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let task = runtime.spawn(async {
            let one = UdpSocket::bind(("127.0.0.1", 0)).await.expect("a port");
            let other = UdpSocket::bind(("127.0.0.1", 0)).await.expect("a port");
            let to = other.local_addr().expect("it is bound");
            let mut text = [0; 8];
            let receive = other.recv(&mut text);
            let send = async {
                yield_now().await;
                one.send_to(b"hello", to).await
            };
            let (received, sent) = runtime::join!(receive, send);
            assert_eq!((received.ok(), sent.ok()), (Some(5), Some(5)));
        });
        runtime.block_on(task).expect("no panic");
    })
}

fn sleep_begun_before(runtime: &Runtime) -> Then {
    // Each worker's shard holds some of them.
    let (begin, begun) = mpsc::channel();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let begin = begin.clone();
            runtime.spawn(async move {
                let start = Instant::now();
                let mut nap = std::pin::pin!(sleep(Duration::from_millis(20)));
                assert!(runtime_tests::poll_once(nap.as_mut()).await.is_pending());
                begin.send(()).expect("the test waits");
                nap.await;
                assert!(start.elapsed() >= Duration::from_millis(20));
            })
        })
        .collect();
    for _ in &tasks {
        begun.recv().expect("each begins");
    }
    Box::new(|runtime| {
        for task in tasks {
            runtime.block_on(task).expect("no panic");
        }
    })
}

fn sleep_of_a_task(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let task = runtime.spawn(async {
            for _ in 0..3 {
                let start = Instant::now();
                sleep(Duration::from_millis(10)).await;
                assert!(start.elapsed() >= Duration::from_millis(10));
            }
        });
        runtime.block_on(task).expect("no panic");
    })
}

fn ticks_of_an_interval(runtime: &Runtime) -> Then {
    let (tick, ticks) = mpsc::channel();
    let task = runtime.spawn(async move {
        let mut interval = interval(Duration::from_millis(2));
        while tick.send(()).is_ok() {
            interval.tick().await;
        }
    });
    Box::new(move |runtime| {
        // What was ticked before does not count.
        while ticks.try_recv().is_ok() {}
        for _ in 0..5 {
            ticks.recv().expect("it goes on");
        }
        drop(ticks);
        runtime.block_on(task).expect("no panic");
    })
}

fn elapsed_timeout(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let task =
            runtime.spawn(async { timeout(Duration::from_millis(5), pending::<()>()).await });
        let result = runtime.block_on(task).expect("no panic");
        assert!(result.is_err(), "it never ends");
    })
}

fn sleep_of_the_root(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let start = Instant::now();
        runtime.block_on(async { sleep(Duration::from_millis(10)).await });
        assert!(start.elapsed() >= Duration::from_millis(10));
    })
}

fn task_from_outside(_: &Runtime) -> Then {
    Box::new(|runtime| {
        for number in 0..20 {
            let task = runtime.spawn(async move { number });
            assert_eq!(runtime.block_on(task).expect("no panic"), number);
        }
    })
}

fn task_of_the_root(_: &Runtime) -> Then {
    Box::new(|runtime| {
        runtime.block_on(async {
            for number in 0..20 {
                let task = runtime::spawn(async move { number });
                assert_eq!(task.await.expect("no panic"), number);
            }
        });
    })
}

fn task_of_a_task(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let outer = runtime.spawn(async {
            let inner = runtime::spawn(async { runtime::spawn(async { 3 }).await });
            inner.await.expect("no panic").expect("no panic")
        });
        assert_eq!(runtime.block_on(outer).expect("no panic"), 3);
    })
}

fn join_set(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let sum = runtime.block_on(async {
            let mut set = JoinSet::new();
            for number in 0..20_u32 {
                set.spawn(async move {
                    yield_now().await;
                    number
                });
            }
            set.join_all().await.into_iter().sum::<u32>()
        });
        assert_eq!(sum, 190);
    })
}

fn tasks_that_talk(runtime: &Runtime) -> Then {
    let (to_one, mut at_one) = runtime::sync::mpsc::channel::<u32>(1);
    let (to_other, mut at_other) = runtime::sync::mpsc::channel::<u32>(1);
    let start = to_one.clone();
    runtime.spawn(async move {
        while let Some(number) = at_one.recv().await {
            if to_other.send(number + 1).await.is_err() {
                break;
            }
        }
    });
    let other = runtime.spawn(async move {
        while let Some(number) = at_other.recv().await {
            if number >= 100 || to_one.send(number + 1).await.is_err() {
                return number;
            }
        }
        0
    });
    Box::new(move |runtime| {
        start.try_send(0).expect("there is room");
        assert!(runtime.block_on(other).expect("no panic") >= 100);
    })
}

fn message_to_a_task_that_waits(runtime: &Runtime) -> Then {
    let (send, sent) = oneshot::channel();
    let (wait, waits) = mpsc::channel();
    let task = runtime.spawn(async move {
        let mut sent = sent;
        assert!(runtime_tests::poll_once(&mut sent).await.is_pending());
        wait.send(()).expect("the test waits");
        sent.await
    });
    waits.recv().expect("it is polled");
    Box::new(move |runtime| {
        send.send(7).expect("it waits");
        assert_eq!(runtime.block_on(task).expect("no panic"), Ok(7));
    })
}

fn blocking_job(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let job = runtime.spawn_blocking(|| 1);
        assert_eq!(runtime.block_on(job).expect("no panic"), 1);
        let task = runtime.spawn(async { spawn_blocking(|| 2).await.expect("no panic") });
        assert_eq!(runtime.block_on(task).expect("no panic"), 2);
    })
}

fn in_place(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let (send, sent) = mpsc::channel();
        let waits = runtime.spawn(async move { block_in_place(|| sent.recv()) });
        let sends = runtime.spawn(async move { send.send(5) });
        assert_eq!(runtime.block_on(waits).expect("no panic"), Ok(5));
        assert!(runtime.block_on(sends).expect("no panic").is_ok());
    })
}

fn abort(runtime: &Runtime) -> Then {
    let drops = DropCount::new();
    let token = drops.token();
    let (wait, waits) = mpsc::channel();
    let task = runtime.spawn(async move {
        let _token = token;
        wait.send(()).expect("the test waits");
        pending::<()>().await;
    });
    waits.recv().expect("it is polled");
    Box::new(move |runtime| {
        task.abort();
        let error = runtime.block_on(task).expect_err("it waits for ever");
        assert!(error.is_cancelled(), "{error}");
        assert_eq!(drops.dropped(), 1);
    })
}

fn root_on_another_thread(_: &Runtime) -> Then {
    Box::new(|runtime| {
        let handle = runtime.handle().clone();
        let other = thread::spawn(move || {
            handle.block_on(async {
                sleep(Duration::from_millis(2)).await;
                runtime::spawn(async { 4 }).await.expect("no panic")
            })
        });
        runtime.block_on(async { sleep(Duration::from_millis(2)).await });
        assert_eq!(other.join().expect("no panic"), 4);
    })
}
