//! `Handle`, entering a runtime, and what every entry point says outside of one.
#![expect(
    clippy::async_yields_async,
    reason = "futures and handles are handed out of one runtime on purpose"
)]

use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use runtime::io::unix::AsyncFd;
use runtime::net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
};
use runtime::runtime::{Handle, RuntimeFlavor};
use runtime::signal::unix::{SignalKind, signal};
use runtime::task::{JoinSet, spawn_blocking, yield_now};
use runtime::time::{Instant, interval, sleep, sleep_until, timeout};
use runtime_tests::{
    LIMIT, OUTSIDE, Watchdog, current_thread, message_of_panic, multi_thread, on_each,
};

/// A name for the report, and a call.
type EntryPoint = (&'static str, Box<dyn FnOnce()>);

#[test]
fn outside_of_a_runtime_every_entry_point_says_so() {
    let (one, other) = StdStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    let second = Duration::from_secs(1);
    let entry_points: Vec<EntryPoint> = vec![
        ("spawn", Box::new(|| drop(runtime::spawn(async {})))),
        ("spawn_blocking", Box::new(|| drop(spawn_blocking(|| ())))),
        (
            "JoinSet::spawn",
            Box::new(|| drop(JoinSet::new().spawn(async {}))),
        ),
        ("Handle::current", Box::new(|| drop(Handle::current()))),
        ("sleep", Box::new(move || drop(sleep(second)))),
        (
            "sleep_until",
            Box::new(|| drop(sleep_until(Instant::now()))),
        ),
        ("timeout", Box::new(move || drop(timeout(second, async {})))),
        ("interval", Box::new(move || drop(interval(second)))),
        (
            "TcpListener::from_std",
            Box::new(|| drop(TcpListener::from_std(tcp))),
        ),
        (
            "UdpSocket::from_std",
            Box::new(|| drop(UdpSocket::from_std(udp))),
        ),
        (
            "UnixStream::from_std",
            Box::new(|| drop(UnixStream::from_std(one))),
        ),
        ("UnixStream::pair", Box::new(|| drop(UnixStream::pair()))),
        (
            "UnixDatagram::pair",
            Box::new(|| drop(UnixDatagram::pair())),
        ),
        (
            "UnixListener::bind",
            Box::new(|| drop(UnixListener::bind("\0outside-a-runtime"))),
        ),
        ("AsyncFd::new", Box::new(|| drop(AsyncFd::new(other)))),
        (
            "signal",
            Box::new(|| drop(signal(SignalKind::user_defined2()))),
        ),
    ];
    for (name, enter) in entry_points {
        let message = message_of_panic(enter);
        assert!(message.contains(OUTSIDE), "{name}: {message}");
        assert!(
            message.contains("Handle::enter"),
            "{name} does not say what to do: {message}"
        );
    }
}

#[test]
fn outside_of_a_runtime_every_async_entry_point_says_so() {
    use std::pin::pin;
    use std::task::{Context, Waker};
    fn poll<F: Future>(future: F) {
        let mut context = Context::from_waker(Waker::noop());
        let _ = pin!(future).poll(&mut context);
    }
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let entry_points: Vec<EntryPoint> = vec![
        (
            "TcpListener::bind",
            Box::new(move || poll(TcpListener::bind(any))),
        ),
        (
            "TcpStream::connect",
            Box::new(move || poll(TcpStream::connect(any))),
        ),
        (
            "TcpSocket::connect",
            Box::new(move || poll(TcpSocket::new_v4().unwrap().connect(any))),
        ),
        (
            "UdpSocket::bind",
            Box::new(move || poll(UdpSocket::bind(any))),
        ),
        (
            "UnixStream::connect",
            Box::new(|| {
                // Something must be there to connect to.
                let name = format!("runtime-tests-outside-{}", std::process::id());
                let path = std::env::temp_dir().join(name);
                let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
                let outcome = std::panic::catch_unwind(|| poll(UnixStream::connect(&path)));
                let _ = std::fs::remove_file(&path);
                if let Err(payload) = outcome {
                    std::panic::resume_unwind(payload);
                }
            }),
        ),
        ("ctrl_c", Box::new(|| poll(runtime::signal::ctrl_c()))),
        (
            "lookup_host",
            Box::new(|| poll(runtime::net::lookup_host("localhost:1"))),
        ),
    ];
    for (name, enter) in entry_points {
        let message = message_of_panic(enter);
        assert!(message.contains(OUTSIDE), "{name}: {message}");
    }
}

#[test]
fn the_panic_outside_points_at_the_caller() {
    // The hook is the process' own: set it once, look at the location only.
    let (sender, receiver) = mpsc::channel();
    let hook = std::panic::take_hook();
    let own = thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if thread::current().id() == own {
            let _ = sender.send(info.location().map(|location| location.file().to_owned()));
        }
    }));
    let calls: [fn(); 4] = [
        || drop(runtime::spawn(async {})),
        || drop(sleep(Duration::from_secs(1))),
        || drop(Handle::current()),
        || drop(spawn_blocking(|| ())),
    ];
    for call in calls {
        let _ = std::panic::catch_unwind(call);
    }
    std::panic::set_hook(hook);
    for location in receiver.try_iter().collect::<Vec<_>>() {
        let location = location.expect("a panic has a location");
        assert!(
            location.ends_with("rt_handle.rs"),
            "the panic points at {location}"
        );
    }
}

#[test]
fn try_current_says_why_not() {
    let error = Handle::try_current().unwrap_err();
    assert!(error.is_missing_context());
    assert!(error.to_string().contains(OUTSIDE), "{error}");
}

#[test]
fn current_is_known_in_roots_tasks_jobs_and_hooks_of_wakers() {
    on_each(|| async {
        let flavor = Handle::current().runtime_flavor();
        let in_task = runtime::spawn(async { Handle::current().runtime_flavor() });
        assert_eq!(in_task.await.unwrap(), flavor);
        let in_job = spawn_blocking(|| Handle::current().runtime_flavor());
        assert_eq!(in_job.await.unwrap(), flavor);
        yield_now().await;
        assert_eq!(Handle::current().runtime_flavor(), flavor);
    });
    assert!(Handle::try_current().is_err());
}

#[test]
fn an_entered_runtime_takes_spawns_sockets_and_timers() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(1)] {
        let (task, sleeps, sockets) = {
            let _entered = runtime.enter();
            (
                runtime::spawn(async { 1 }),
                sleep(Duration::from_millis(1)),
                UnixStream::pair().unwrap(),
            )
        };
        assert!(Handle::try_current().is_err());
        runtime.block_on(async {
            assert_eq!(task.await.unwrap(), 1);
            sleeps.await;
            sockets.0.writable().await.unwrap();
        });
    }
}

#[test]
fn guards_nest_and_the_inner_one_counts() {
    let (current, multi) = (current_thread(), multi_thread(1));
    {
        let _outer = current.enter();
        assert_eq!(
            Handle::current().runtime_flavor(),
            RuntimeFlavor::CurrentThread
        );
        {
            let _inner = multi.enter();
            assert_eq!(
                Handle::current().runtime_flavor(),
                RuntimeFlavor::MultiThread
            );
        }
        assert_eq!(
            Handle::current().runtime_flavor(),
            RuntimeFlavor::CurrentThread
        );
        multi.block_on(async {
            assert_eq!(
                Handle::current().runtime_flavor(),
                RuntimeFlavor::MultiThread
            );
        });
        assert_eq!(
            Handle::current().runtime_flavor(),
            RuntimeFlavor::CurrentThread
        );
    }
    assert!(Handle::try_current().is_err());
}

#[test]
fn entering_another_runtime_inside_a_task_lasts_as_long_as_the_guard() {
    let _watchdog = Watchdog::new(LIMIT);
    let (one, other) = (multi_thread(1), current_thread());
    let handle = other.handle().clone();
    let on_other = one.block_on(async {
        runtime::spawn(async move {
            let task = {
                let _entered = handle.enter();
                assert_eq!(
                    Handle::current().runtime_flavor(),
                    RuntimeFlavor::CurrentThread
                );
                runtime::spawn(async { thread::current().id() })
            };
            assert_eq!(
                Handle::current().runtime_flavor(),
                RuntimeFlavor::MultiThread
            );
            sleep(Duration::from_millis(1)).await;
            task
        })
        .await
        .unwrap()
    });
    assert_eq!(other.block_on(on_other).unwrap(), thread::current().id());
}

#[test]
fn foreign_threads_spawn_and_block_through_a_handle() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let handle = runtime.handle().clone();
            thread::spawn(move || {
                (0..500)
                    .map(|task| {
                        let spawned = handle.spawn(async move { task * number });
                        handle.block_on(spawned).unwrap()
                    })
                    .sum::<u64>()
            })
        })
        .collect();
    let sums: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(sums, [0, 124_750, 249_500, 374_250]);
}

#[test]
fn a_handle_does_not_keep_the_runtime_alive() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let handle = runtime.handle().clone();
    drop(runtime);
    let task = handle.spawn(async {});
    assert!(current_thread().block_on(task).unwrap_err().is_cancelled());
    // A root is still driven; only I/O and timers are gone.
    assert_eq!(handle.block_on(async { 3 }), 3);
}

#[test]
fn metrics_count_live_tasks() {
    on_each(|| async {
        let live = || Handle::current().metrics().num_alive_tasks();
        let before = live();
        let tasks: Vec<_> = (0..10)
            .map(|_| runtime::spawn(std::future::pending::<()>()))
            .collect();
        assert_eq!(live(), before + 10);
        for task in tasks {
            task.abort();
            assert!(task.await.is_err());
        }
        runtime_tests::yield_until(|| live() == before).await;
    });
}
