//! Panics where they hurt: in the drop of futures and outputs, and in wakers. None may stop a
//! worker, lose another task's work or end the process.

use std::future::{Future, pending};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use runtime::runtime::Runtime;
use runtime::sync::oneshot;
use runtime::time::sleep;
use runtime_tests::{
    DropCount, LIMIT, PanicOnDrop, Watchdog, current_thread, multi_thread, on_each, panic_text,
    yield_until,
};

/// Shows that all `workers` of the runtime still run tasks, at the same time.
fn all_workers_live(runtime: &Runtime, workers: usize) {
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(workers));
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            let barrier = barrier.clone();
            runtime.spawn(async move {
                barrier.wait();
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
}

/// A future that is ready at its first poll and panics when it is dropped.
struct BombFuture(#[allow(dead_code)] PanicOnDrop);

impl Future for BombFuture {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        Poll::Ready(1)
    }
}

#[test]
fn a_future_whose_drop_panics_after_its_output_harms_nobody() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    for _ in 0..20 {
        let task = runtime.spawn(BombFuture(PanicOnDrop("the future's drop")));
        let error = runtime.block_on(task).unwrap_err();
        assert_eq!(panic_text(&*error.into_panic()), "the future's drop");
        drop(runtime.spawn(BombFuture(PanicOnDrop("a detached future's drop"))));
    }
    all_workers_live(&runtime, 2);
}

#[test]
fn a_future_whose_drop_panics_on_abort_harms_nobody() {
    on_each(|| async {
        let others = DropCount::new();
        for _ in 0..20 {
            let other = others.token();
            let (started, has_started) = oneshot::channel();
            let task = runtime::spawn(async move {
                let _other = other;
                let _bomb = PanicOnDrop("dropped by abort");
                started.send(()).unwrap();
                pending::<()>().await;
            });
            has_started.await.unwrap();
            task.abort();
            let error = task.await.unwrap_err();
            assert_eq!(panic_text(&*error.into_panic()), "dropped by abort");
        }
        assert_eq!(others.dropped(), 20, "what else it held was dropped");
        assert_eq!(runtime::spawn(async { 1 }).await.unwrap(), 1);
    });
}

#[test]
fn an_output_whose_drop_panics_harms_nobody_when_nobody_wants_it() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    for _ in 0..20 {
        // Dropped by the worker, as the handle is gone before.
        let (go_on, may_go_on) = oneshot::channel::<()>();
        drop(runtime.spawn(async move {
            may_go_on.await.unwrap();
            PanicOnDrop("an output dropped by a worker")
        }));
        go_on.send(()).unwrap();
        // Dropped with the handle, which contains the panic.
        let task = runtime.spawn(async { PanicOnDrop("an output dropped with the handle") });
        runtime.block_on(yield_until(|| task.is_finished()));
        drop(task);
    }
    all_workers_live(&runtime, 2);
}

#[test]
fn futures_whose_drop_panics_at_shutdown_do_not_keep_others_from_being_dropped() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        let count = DropCount::new();
        for number in 0..20 {
            let token = count.token();
            runtime.spawn(async move {
                let _bomb = (number % 3 == 0).then_some(PanicOnDrop("dropped at shutdown"));
                let _token = token;
                pending::<()>().await;
            });
        }
        // The panic may reach the one who shuts down, or not; nothing is left undone.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
        assert_eq!(count.dropped(), 20);
    }
}

/// A waker one of whose operations panics.
mod hostile {
    use super::*;

    fn ignore(_: *const ()) {}
    fn explode(_: *const ()) {
        if !std::thread::panicking() {
            panic!("a hostile waker");
        }
    }

    const CLONES: RawWakerVTable = RawWakerVTable::new(
        |_| panic!("a waker whose clone panics"),
        ignore,
        ignore,
        ignore,
    );
    const WAKES: RawWakerVTable =
        RawWakerVTable::new(|data| RawWaker::new(data, &WAKES), explode, explode, ignore);
    const DROPS: RawWakerVTable =
        RawWakerVTable::new(|data| RawWaker::new(data, &DROPS), explode, ignore, explode);

    fn with(vtable: &'static RawWakerVTable) -> ManuallyDrop<Waker> {
        // SAFETY: the functions never look at the data, and may be called from any thread in
        // any order: they do nothing or panic.
        ManuallyDrop::new(unsafe { Waker::new(std::ptr::null(), vtable) })
    }

    /// All kinds. They are never dropped here, since that might panic.
    pub fn wakers() -> [(&'static str, ManuallyDrop<Waker>); 3] {
        [
            ("clone", with(&CLONES)),
            ("wake", with(&WAKES)),
            ("drop", with(&DROPS)),
        ]
    }
}

#[test]
fn a_join_handle_survives_hostile_wakers() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    for (kind, waker) in hostile::wakers() {
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let mut task = runtime.spawn(async move {
            may_go_on.await.unwrap();
            6
        });
        for _ in 0..2 {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let poll = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
                assert!(poll.is_pending());
            }));
        }
        go_on.send(()).unwrap();
        // The task is finished, whatever its awaiter's waker did.
        runtime.block_on(yield_until(|| task.is_finished()));
        assert_eq!(runtime.block_on(task).unwrap(), 6, "panics in {kind}");
        all_workers_live(&runtime, 2);
    }
}

#[test]
fn a_join_handle_dropped_with_a_hostile_waker_harms_nobody() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    for (_, waker) in hostile::wakers() {
        let mut task = runtime.spawn(pending::<()>());
        let aborter = task.abort_handle();
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _ = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
        aborter.abort();
        runtime.block_on(yield_until(|| aborter.is_finished()));
    }
    all_workers_live(&runtime, 2);
}

#[test]
fn a_hostile_waker_in_the_timers_loses_no_other_wake() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        runtime.block_on(async {
            let deadline = runtime::time::Instant::now() + Duration::from_millis(30);
            let mut hostages = Vec::new();
            let mut others = Vec::new();
            for (_, waker) in hostile::wakers() {
                let mut hostage = Box::pin(runtime::time::sleep_until(deadline));
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    let _ = hostage.as_mut().poll(&mut Context::from_waker(&waker));
                }));
                hostages.push(hostage);
                others
                    .extend((0..10).map(|_| runtime::spawn(runtime::time::sleep_until(deadline))));
            }
            for other in others {
                other.await.unwrap();
            }
            for hostage in hostages {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(hostage)));
            }
            sleep(Duration::from_millis(1)).await;
        });
    }
}

#[test]
fn a_hostile_waker_in_the_reactor_loses_no_other_wake() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        runtime.block_on(async {
            for (_, waker) in hostile::wakers() {
                let (stream, mut peer) = runtime::net::UnixStream::pair().unwrap();
                let (mut other, mut other_peer) = runtime::net::UnixStream::pair().unwrap();
                // A fresh source counts as ready until an attempt shows that it is not.
                for fresh in [&stream, &other] {
                    assert!(fresh.try_read(&mut [0]).is_err());
                }
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    let poll = stream.poll_read_ready(&mut Context::from_waker(&waker));
                    assert!(poll.is_pending());
                }));
                // Not `readable` alone: it may say so too often, as when the event that a descriptor brings at first comes after the attempt above.
                let waits = runtime::spawn(async move { other.read(&mut [0]).await });
                peer.write_all(b"x").await.unwrap();
                other_peer.write_all(b"x").await.unwrap();
                assert_eq!(waits.await.unwrap().unwrap(), 1);
                stream.readable().await.unwrap();
                let _ = catch_unwind(AssertUnwindSafe(|| drop(stream)));
            }
        });
    }
}

#[test]
fn thousands_of_panicking_tasks_lose_no_worker() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    // A quiet hook, as 2000 messages help nobody; the other tests of this binary lose theirs
    // too while this one runs.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (sender, receiver) = mpsc::channel();
    for number in 0..2_000 {
        let sender = sender.clone();
        let task = runtime.spawn(async move {
            assert!(number % 2 == 0, "every other task panics");
        });
        runtime.spawn(async move { sender.send(task.await.is_err()).unwrap() });
    }
    drop(sender);
    let panicked = receiver.iter().filter(|&panicked| panicked).count();
    std::panic::set_hook(hook);
    assert_eq!(panicked, 1_000);
    all_workers_live(&runtime, 2);
}
