//! Races about one task: who polls it, who ends it, who learns of it (`task/mod.rs`, `task/state.rs`).

use super::*;
use std::future::pending;
use std::panic::resume_unwind;

/// A task is aborted while it may be about to complete.
#[test]
fn abort_vs_complete() {
    explore(80, || {
        let executor = Executor::new(1);
        let task = executor.spawn(async {
            yield_now().await;
            7
        });
        task.abort();
        match wait(task) {
            Ok(output) => assert_eq!(output, 7),
            Err(error) => assert!(error.is_cancelled()),
        }
        executor.end();
    });
}

/// One thread aborts a task, another wakes it, and a worker may be polling it.
#[test]
fn abort_vs_wake() {
    explore(60, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let task = executor.spawn(async move {
            awaited.wait().await;
            7
        });
        let other = beside(move || gate.open());
        task.abort();
        match wait(task) {
            Ok(output) => assert_eq!(output, 7),
            Err(error) => assert!(error.is_cancelled()),
        }
        other.join().expect("no panic");
        executor.end();
    });
}

/// Two threads wake a task at the end of its poll: it must be polled after the later one.
#[test]
fn two_wakes_vs_end_of_poll() {
    explore(50, || {
        let executor = Executor::new(1);
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let ready = Arc::new(AtomicUsize::new(0));
        let (told, count) = (Arc::clone(&waker), Arc::clone(&ready));
        let task = executor.spawn(poll_fn(move |cx| {
            *told.lock() = Some(cx.waker().clone());
            if count.load(SeqCst) == 2 {
                return Poll::Ready(());
            }
            Poll::Pending
        }));
        let wake = move || {
            ready.fetch_add(1, SeqCst);
            let waker = waker.lock().clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        let other = beside(wake.clone());
        wake();
        drop(wake);
        wait(task).expect("no panic");
        other.join().expect("no panic");
        executor.end();
    });
}

/// The handle is dropped while the task is polled: the output is dropped once, by the one or the other.
#[test]
fn drop_of_handle_vs_poll() {
    explore(80, || {
        let executor = Executor::new(1);
        let output = executor.tokens.token();
        let task = executor.spawn(async move {
            yield_now().await;
            output
        });
        drop(task);
        let tokens = Arc::clone(&executor.tokens);
        executor.end();
        assert_eq!(tokens.left(), 0);
    });
}

/// The handle is polled with one waker, then with another, while the task completes: the later one is woken.
#[test]
fn join_waker_replaced_vs_complete() {
    explore(60, || {
        let executor = Executor::new(1);
        let mut task = executor.spawn(async { 7 });
        let noop = &mut Context::from_waker(Waker::noop());
        let output = match pin!(&mut task).poll(noop) {
            Poll::Ready(output) => {
                drop(task);
                output
            }
            Poll::Pending => wait(task),
        };
        assert_eq!(output.expect("no panic"), 7);
        executor.end();
    });
}

/// A task awaits another one on the other worker.
#[test]
fn join_in_task_vs_complete() {
    explore(30, || {
        let executor = Executor::new(2);
        let first = executor.spawn(async { 7 });
        let second = executor.spawn(async move { first.await.expect("no panic") + 1 });
        assert_eq!(wait(second).expect("no panic"), 8);
        executor.end();
    });
}

/// A task panics while somebody waits for it: the panic arrives, and the worker goes on.
#[test]
fn panic_in_poll_vs_join() {
    explore(50, || {
        let executor = Executor::new(1);
        // The panic hook would take it for a failure of the scenario.
        let task = executor.spawn(async { resume_unwind(Box::new(7)) });
        let next = executor.spawn(async { 8 });
        let error = wait::<_>(task).map(|(): ()| ()).expect_err("it panics");
        assert_eq!(*error.into_panic().downcast::<i32>().expect("ours"), 7);
        assert_eq!(wait(next).expect("no panic"), 8);
        executor.end();
    });
}

/// The future panics when it is dropped, which is after its last poll, at an abort, or at the shutdown.
#[test]
fn panic_in_drop_vs_abort() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            resume_unwind(Box::new(7));
        }
    }

    explore(50, || {
        let executor = Executor::new(1);
        let task = executor.spawn(async {
            let _bomb = Bomb;
            yield_now().await;
            pending::<()>().await;
        });
        task.abort();
        let error = wait(task).expect_err("it never ends");
        assert!(error.is_panic() || error.is_cancelled());
        executor.end();
    });
}

/// A waker is used and dropped by a thread of its own, while the executor ends or after that.
#[test]
fn waker_outlives_scheduler() {
    explore(60, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        drop(executor.spawn(async move { awaited.wait().await }));
        let other = beside(move || gate.open());
        executor.handle.shutdown(None);
        other.join().expect("no panic");
        executor.ended();
    });
}
