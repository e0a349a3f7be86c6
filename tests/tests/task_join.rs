//! Join handles: output, detaching, panics, ids, and every combination of ending, aborting
//! and dropping.

use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use runtime::sync::{Semaphore, oneshot};
use runtime::task::{self, yield_now};
use runtime_tests::{
    DropCount, DropToken, LIMIT, ReadyAfter, Watchdog, current_thread, multi_thread, on_each,
    on_multi_thread, panic_text, yield_until,
};

#[test]
fn output_reaches_the_awaiter() {
    on_each(|| async {
        assert_eq!(runtime::spawn(async { 7 }).await.unwrap(), 7);
        let text = runtime::spawn(async {
            yield_now().await;
            String::from("after a yield")
        });
        assert_eq!(text.await.unwrap(), "after a yield");
    });
}

#[test]
fn many_outputs_arrive_in_the_order_awaited() {
    on_each(|| async {
        let handles: Vec<_> = (0..10_000)
            .map(|n| runtime::spawn(async move { n }))
            .collect();
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.await.unwrap(), n);
        }
    });
}

#[test]
fn a_task_can_be_joined_by_another_task_and_after_it_ended() {
    on_each(|| async {
        let inner = runtime::spawn(async { 1 });
        yield_until(|| inner.is_finished()).await;
        let outer = runtime::spawn(async move { inner.await.unwrap() + 1 });
        assert_eq!(outer.await.unwrap(), 2);
    });
}

#[test]
fn a_handle_can_be_joined_outside_the_runtime_that_runs_the_task() {
    let _watchdog = Watchdog::new(LIMIT);
    let runs = multi_thread(2);
    let awaits = current_thread();
    let handle = runs.spawn(async {
        yield_now().await;
        5
    });
    assert_eq!(awaits.block_on(handle).unwrap(), 5);
}

#[test]
fn dropping_the_handle_detaches_the_task() {
    on_each(|| async {
        let (sender, receiver) = oneshot::channel();
        drop(runtime::spawn(async move {
            for _ in 0..10 {
                yield_now().await;
            }
            sender.send(3).unwrap();
        }));
        assert_eq!(receiver.await.unwrap(), 3);
    });
}

#[test]
fn a_detached_task_runs_though_nobody_is_in_block_on() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let (sender, receiver) = mpsc::channel();
    runtime.spawn(async move {
        ReadyAfter(100).await;
        sender.send(()).unwrap();
    });
    receiver.recv().unwrap();
}

#[test]
fn a_panic_at_any_poll_belongs_to_the_handle() {
    on_each(|| async {
        for poll in 0..6 {
            let handle = runtime::spawn(async move {
                ReadyAfter(poll).await;
                if poll < 6 {
                    panic!("at poll {poll}");
                }
            });
            let id = handle.id();
            let error = handle.await.unwrap_err();
            assert!(error.is_panic() && !error.is_cancelled());
            assert_eq!(error.id(), id);
            assert_eq!(
                error.to_string(),
                format!("task {id} panicked with message \"at poll {poll}\"")
            );
            assert_eq!(panic_text(&*error.into_panic()), format!("at poll {poll}"));
            // The worker that caught it goes on.
            assert_eq!(runtime::spawn(async { 1 }).await.unwrap(), 1);
        }
    });
}

#[test]
fn a_panic_payload_of_any_type_comes_through() {
    on_multi_thread(async {
        #[derive(Debug, PartialEq)]
        struct Payload(u32);
        let handle = runtime::spawn(async { std::panic::panic_any(Payload(9)) });
        let error: task::JoinError = match handle.await {
            Ok(()) => panic!("the task panics"),
            Err(error) => error,
        };
        let payload = error.try_into_panic().expect("it is a panic");
        assert_eq!(*payload.downcast::<Payload>().unwrap(), Payload(9));
    });
}

#[test]
fn a_cancelled_task_has_no_panic_to_hand_out() {
    on_multi_thread(async {
        let handle = runtime::spawn(pending::<()>());
        let id = handle.id();
        handle.abort();
        let error = handle.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!(error.to_string(), format!("task {id} was cancelled"));
        let error = error.try_into_panic().unwrap_err();
        assert!(error.is_cancelled());
        let io = std::io::Error::from(error);
        assert_eq!(io.kind(), std::io::ErrorKind::Other);
    });
}

#[test]
fn is_finished_turns_true_once_the_task_ended_and_not_before() {
    on_each(|| async {
        let (sender, receiver) = oneshot::channel::<()>();
        let handle = runtime::spawn(async move { receiver.await.unwrap() });
        let aborter = handle.abort_handle();
        for _ in 0..10 {
            yield_now().await;
            assert!(!handle.is_finished() && !aborter.is_finished());
        }
        sender.send(()).unwrap();
        yield_until(|| handle.is_finished()).await;
        assert!(aborter.is_finished());
        handle.await.unwrap();
    });
}

#[test]
fn ids_are_distinct_and_known_inside_the_task() {
    on_each(|| async {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let handle = runtime::spawn(async {
                let before = task::id();
                yield_now().await;
                assert_eq!(task::id(), before);
                assert_eq!(task::try_id(), Some(before));
                before
            });
            let id = handle.id();
            assert_eq!(handle.abort_handle().id(), id);
            assert!(seen.insert(id));
            assert_eq!(handle.await.unwrap(), id);
        }
        assert_eq!(task::try_id(), None, "a root future has no id");
    });
}

#[test]
fn the_last_waker_given_is_the_one_woken() {
    let _watchdog = Watchdog::new(LIMIT);
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    let runtime = multi_thread(1);
    let (sender, receiver) = oneshot::channel::<()>();
    let mut handle = runtime.spawn(async move { receiver.await.unwrap() });
    let (first, first_wakes) = runtime_tests::counting_waker();
    let (second, second_wakes) = runtime_tests::counting_waker();
    for waker in [&first, &second] {
        let poll = Pin::new(&mut handle).poll(&mut Context::from_waker(waker));
        assert!(poll.is_pending());
    }
    sender.send(()).unwrap();
    while second_wakes.count() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(first_wakes.count(), 0);
    let poll = Pin::new(&mut handle).poll(&mut Context::from_waker(&second));
    assert!(matches!(poll, Poll::Ready(Ok(()))));
}

#[test]
fn futures_of_all_sizes_arrive_intact() {
    on_each(|| async {
        async fn of_size<const N: usize>() -> [u8; N] {
            let filled = [N as u8; N];
            yield_now().await;
            filled
        }
        assert!(runtime::spawn(of_size::<0>()).await.unwrap().is_empty());
        let small = runtime::spawn(of_size::<3>()).await.unwrap();
        assert_eq!(small, [3; 3]);
        let large = runtime::spawn(of_size::<40_001>()).await.unwrap();
        assert!(large.iter().all(|&byte| byte == 40_001_usize as u8));

        #[repr(align(256))]
        struct Aligned(u8);
        let aligned = runtime::spawn(async {
            let aligned = Aligned(1);
            yield_now().await;
            assert_eq!((&raw const aligned).addr() % 256, 0);
            aligned
        });
        assert_eq!(aligned.await.unwrap().0, 1);
    });
}

/// How the task ends if nobody aborts it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Output,
    PanicAtOnce,
    PanicLater,
    Never,
}

/// When the task is aborted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Abort {
    No,
    BeforeAnyPoll,
    AfterAPoll,
    AfterTheEnd,
}

/// What becomes of the join handle.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Handle {
    Awaited,
    DroppedAtOnce,
    DroppedAfterTheEnd,
}

#[test]
fn every_combination_drops_future_and_output_exactly_once() {
    let _watchdog = Watchdog::new(LIMIT);
    let endings = [
        Ending::Output,
        Ending::PanicAtOnce,
        Ending::PanicLater,
        Ending::Never,
    ];
    let aborts = [
        Abort::No,
        Abort::BeforeAnyPoll,
        Abort::AfterAPoll,
        Abort::AfterTheEnd,
    ];
    let handles = [
        Handle::Awaited,
        Handle::DroppedAtOnce,
        Handle::DroppedAfterTheEnd,
    ];
    for workers in [0, 2] {
        for ending in endings {
            for abort in aborts {
                for handle in handles {
                    combine(workers, ending, abort, handle);
                }
            }
        }
    }
}

/// Runs one combination; `workers` 0 stands for the current-thread flavor, where the order
/// of the steps is certain.
fn combine(workers: usize, ending: Ending, abort: Abort, handle: Handle) {
    let what = format!("{workers} workers, {ending:?}, abort {abort:?}, handle {handle:?}");
    let runtime = if workers == 0 {
        current_thread()
    } else {
        multi_thread(workers)
    };
    let futures = DropCount::new();
    let outputs = DropCount::new();
    let made = DropCount::new();
    let gate = Arc::new(Semaphore::new(0));
    let (started, has_started) = oneshot::channel::<()>();
    let body = {
        let (outputs, made, gate) = (outputs.clone(), made.clone(), gate.clone());
        async move {
            let _ = started.send(());
            assert!(ending != Ending::PanicAtOnce, "at once");
            let _ = gate.acquire().await;
            assert!(ending != Ending::PanicLater, "later");
            if ending == Ending::Never {
                pending::<()>().await;
            }
            drop(made.token());
            outputs.token()
        }
    };
    let never_ends =
        ending == Ending::Never && !matches!(abort, Abort::BeforeAnyPoll | Abort::AfterAPoll);
    let mut result = None;
    runtime.block_on(async {
        let token = futures.token();
        let task = runtime::spawn(Carrying(Box::pin(body), token));
        let aborter = task.abort_handle();
        let mut task = Some(task);
        if abort == Abort::BeforeAnyPoll {
            aborter.abort();
        }
        if handle == Handle::DroppedAtOnce {
            task = None;
        }
        if abort == Abort::AfterAPoll {
            let _ = has_started.await;
            aborter.abort();
        }
        gate.close();
        if never_ends {
            return;
        }
        yield_until(|| aborter.is_finished()).await;
        if abort == Abort::AfterTheEnd {
            aborter.abort();
        }
        if let Some(task) = task
            && handle == Handle::Awaited
        {
            result = Some(task.await);
        }
    });
    if !never_ends && handle == Handle::Awaited {
        let result = result.expect("it was awaited");
        let natural = match ending {
            Ending::Output => result.is_ok(),
            Ending::PanicAtOnce | Ending::PanicLater => {
                result.as_ref().is_err_and(|error| error.is_panic())
            }
            Ending::Never => false,
        };
        let cancelled = result.as_ref().is_err_and(|error| error.is_cancelled());
        let certain = workers == 0;
        let right = match abort {
            Abort::No | Abort::AfterTheEnd => natural,
            Abort::BeforeAnyPoll => cancelled || (natural && !certain),
            Abort::AfterAPoll if ending == Ending::PanicAtOnce => natural || !certain,
            Abort::AfterAPoll => cancelled || (natural && !certain),
        };
        assert!(right, "{what}: {result:?}");
    }
    drop(runtime);
    assert_eq!(futures.dropped(), 1, "futures dropped: {what}");
    assert_eq!(outputs.dropped(), made.dropped(), "outputs dropped: {what}");
}

/// A future and a token that is dropped with it.
struct Carrying<F>(std::pin::Pin<Box<F>>, #[allow(dead_code)] DropToken);

impl<F: Future> Future for Carrying<F> {
    type Output = F::Output;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<F::Output> {
        self.0.as_mut().poll(cx)
    }
}

#[test]
fn a_handle_that_is_awaited_under_a_timeout_can_be_awaited_again() {
    on_multi_thread(async {
        let (sender, receiver) = oneshot::channel();
        let mut task = runtime::spawn(async move { receiver.await.unwrap() });
        let early = runtime::time::timeout(Duration::from_millis(5), &mut task).await;
        assert!(early.is_err());
        sender.send(8).unwrap();
        assert_eq!(task.await.unwrap(), 8);
    });
}

#[test]
fn a_handle_polled_after_its_output_panics() {
    on_multi_thread(async {
        let mut task = runtime::spawn(async {});
        (&mut task).await.unwrap();
        let again = runtime::spawn(task).await.unwrap_err();
        assert!(again.is_panic());
    });
}
