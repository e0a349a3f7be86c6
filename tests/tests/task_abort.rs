//! Aborting tasks: when it works, when it comes too late, and what is dropped where.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use runtime::sync::oneshot;
use runtime::task::yield_now;
use runtime_tests::{
    DropCount, Flag, LIMIT, Watchdog, multi_thread, on_current_thread, on_each, on_multi_thread,
    yield_until,
};

#[test]
fn a_pending_task_is_dropped_and_says_cancelled() {
    on_each(|| async {
        let count = DropCount::new();
        let token = count.token();
        let (started, has_started) = oneshot::channel();
        let task = runtime::spawn(async move {
            let _token = token;
            started.send(()).unwrap();
            pending::<()>().await;
        });
        has_started.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(count.dropped(), 1);
    });
}

#[test]
fn a_task_aborted_before_its_first_poll_never_runs() {
    on_current_thread(async {
        let ran = Flag::new();
        let inside = ran.clone();
        let task = runtime::spawn(async move { inside.set() });
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!ran.is_set());
    });
}

#[test]
fn abort_of_a_finished_task_changes_nothing() {
    on_each(|| async {
        let task = runtime::spawn(async { 4 });
        yield_until(|| task.is_finished()).await;
        task.abort();
        task.abort_handle().abort();
        assert_eq!(task.await.unwrap(), 4);
    });
}

#[test]
fn abort_is_asynchronous_a_running_poll_goes_on_to_its_end() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let (running, is_running) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let reached = Flag::new();
    let inside = reached.clone();
    let task = runtime.spawn(async move {
        running.send(()).unwrap();
        may_go_on.recv().unwrap();
        inside.set();
        yield_now().await;
        unreachable!("it was aborted during the poll before");
    });
    is_running.recv().unwrap();
    task.abort();
    assert!(!task.is_finished(), "the poll still runs");
    go_on.send(()).unwrap();
    let error = runtime.block_on(task).unwrap_err();
    assert!(error.is_cancelled(), "{error:?}");
    assert!(reached.is_set());
}

#[test]
fn an_output_made_by_the_poll_that_was_aborted_is_kept() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let (running, is_running) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let task = runtime.spawn(async move {
        running.send(()).unwrap();
        may_go_on.recv().unwrap();
        11
    });
    is_running.recv().unwrap();
    task.abort();
    go_on.send(()).unwrap();
    assert_eq!(runtime.block_on(task).unwrap(), 11);
}

#[test]
fn a_task_may_abort_itself() {
    on_each(|| async {
        let (sender, receiver) = oneshot::channel::<runtime::task::AbortHandle>();
        let task = runtime::spawn(async move {
            receiver.await.unwrap().abort();
            yield_now().await;
            unreachable!("it aborted itself in the poll before");
        });
        sender.send(task.abort_handle()).unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn aborting_often_and_from_many_threads_is_one_abort() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    for _ in 0..50 {
        let count = DropCount::new();
        let token = count.token();
        let task = runtime.spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let aborter = task.abort_handle();
                scope.spawn(move || aborter.clone().abort());
            }
        });
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(count.dropped(), 1);
    }
}

#[test]
fn abort_racing_with_completion_gives_one_or_the_other() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let mut cancelled = 0;
    for round in 0..2_000 {
        let count = DropCount::new();
        let token = count.token();
        let task = runtime.spawn(async move {
            for _ in 0..round % 4 {
                yield_now().await;
            }
            token
        });
        task.abort();
        match runtime.block_on(task) {
            Ok(token) => drop(token),
            Err(error) => {
                assert!(error.is_cancelled());
                cancelled += 1;
            }
        }
        assert_eq!(count.dropped(), 1, "round {round}");
    }
    assert!(
        cancelled > 0,
        "an abort at once must sometimes come in time"
    );
}

#[test]
fn an_abort_wakes_the_one_that_awaits() {
    on_multi_thread(async {
        let task = runtime::spawn(pending::<()>());
        let aborter = task.abort_handle();
        let waits = runtime::spawn(task);
        runtime::spawn(async move { aborter.abort() });
        assert!(waits.await.unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn what_an_aborted_task_owned_is_usable_again() {
    on_each(|| async {
        let lock = Arc::new(runtime::sync::Mutex::new(0));
        let (locked, is_locked) = oneshot::channel();
        let inside = lock.clone();
        let task = runtime::spawn(async move {
            let _guard = inside.lock().await;
            locked.send(()).unwrap();
            pending::<()>().await;
        });
        is_locked.await.unwrap();
        task.abort();
        *lock.lock().await += 1;
    });
}

#[test]
fn a_future_dropped_by_abort_may_wake_and_spawn() {
    struct SpawnsOnDrop(Arc<AtomicUsize>);
    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            let counter = self.0.clone();
            runtime::spawn(async move { counter.fetch_add(1, Ordering::SeqCst) });
        }
    }
    on_each(|| async {
        let counter = Arc::new(AtomicUsize::new(0));
        let bomb = SpawnsOnDrop(counter.clone());
        let task = runtime::spawn(async move {
            let _bomb = bomb;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
            .await;
        });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        yield_until(|| counter.load(Ordering::SeqCst) == 1).await;
    });
}
