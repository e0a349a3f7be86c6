//! `JoinSet`: a group of tasks, joined in the order of completion, aborted with the set.

use std::future::pending;
use std::time::Duration;

use runtime::task::{JoinSet, LocalSet, yield_now};
use runtime::time::sleep;
use runtime_tests::{
    DropCount, LIMIT, Watchdog, message_of_panic, multi_thread, on_each, on_multi_thread, paused,
    yield_until,
};

#[test]
fn all_outputs_arrive_once_then_none() {
    on_each(|| async {
        let mut set = JoinSet::new();
        assert!(set.is_empty());
        assert!(set.join_next().await.is_none());
        for number in 0..200 {
            set.spawn(async move {
                for _ in 0..number % 5 {
                    yield_now().await;
                }
                number
            });
        }
        assert_eq!(set.len(), 200);
        let mut outputs = Vec::new();
        while let Some(output) = set.join_next().await {
            outputs.push(output.unwrap());
        }
        outputs.sort_unstable();
        assert!(outputs.into_iter().eq(0..200));
        assert!(set.is_empty());
    });
}

#[test]
fn outputs_come_in_the_order_of_completion() {
    paused(async {
        let mut set = JoinSet::new();
        for seconds in [3, 1, 2] {
            set.spawn(async move {
                sleep(Duration::from_secs(seconds)).await;
                seconds
            });
        }
        for expected in 1..=3 {
            assert_eq!(set.join_next().await.unwrap().unwrap(), expected);
        }
    });
}

#[test]
fn dropping_the_set_aborts_its_tasks() {
    on_each(|| async {
        let count = DropCount::new();
        let mut set = JoinSet::new();
        for _ in 0..10 {
            let token = count.token();
            set.spawn(async move {
                let _token = token;
                pending::<()>().await;
            });
        }
        yield_now().await;
        drop(set);
        yield_until(|| count.dropped() == 10).await;
    });
}

#[test]
fn detached_tasks_outlive_the_set() {
    on_each(|| async {
        let (sender, receiver) = runtime::sync::oneshot::channel();
        let mut set = JoinSet::new();
        set.spawn(async move {
            yield_now().await;
            sender.send(1).unwrap();
        });
        set.detach_all();
        assert_eq!(set.len(), 0);
        drop(set);
        assert_eq!(receiver.await.unwrap(), 1);
    });
}

#[test]
fn panics_and_aborts_are_told_apart_by_id() {
    on_each(|| async {
        let mut set = JoinSet::new();
        let panics = set.spawn(async { panic!("in the set") }).id();
        let aborted = set.spawn(pending::<u32>());
        aborted.abort();
        let fine = set.spawn(async { 1 }).id();
        for _ in 0..3 {
            match set.join_next_with_id().await.unwrap() {
                Ok((id, output)) => assert_eq!((id, output), (fine, 1)),
                Err(error) if error.is_panic() => assert_eq!(error.id(), panics),
                Err(error) => assert_eq!(error.id(), aborted.id()),
            }
        }
        assert!(set.join_next_with_id().await.is_none());
    });
}

#[test]
fn try_join_next_never_waits() {
    on_each(|| async {
        let mut set = JoinSet::new();
        assert!(set.try_join_next().is_none());
        let (go_on, may_go_on) = runtime::sync::oneshot::channel::<()>();
        let task = set.spawn(async move { may_go_on.await.unwrap() });
        assert!(set.try_join_next().is_none());
        assert_eq!(set.len(), 1);
        go_on.send(()).unwrap();
        yield_until(|| task.is_finished()).await;
        let mut joined = None;
        yield_until(|| {
            joined = set.try_join_next();
            joined.is_some()
        })
        .await;
        joined.unwrap().unwrap();
        assert!(set.try_join_next_with_id().is_none());
    });
}

#[test]
fn abort_all_leaves_the_results_to_be_joined_and_shutdown_takes_them() {
    on_each(|| async {
        let mut set = JoinSet::new();
        for _ in 0..5 {
            set.spawn(pending::<()>());
        }
        set.abort_all();
        assert_eq!(set.len(), 5);
        for _ in 0..5 {
            assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        }
        let count = DropCount::new();
        for _ in 0..5 {
            let token = count.token();
            set.spawn(async move {
                let _token = token;
                pending::<()>().await;
            });
        }
        set.shutdown().await;
        assert!(set.is_empty());
        assert_eq!(count.dropped(), 5);
    });
}

#[test]
fn join_all_gives_every_output_and_hands_a_panic_on() {
    on_each(|| async {
        let mut set: JoinSet<u32> = (0..10).map(|number| async move { number }).collect();
        set.spawn(async { 10 });
        let mut outputs = set.join_all().await;
        outputs.sort_unstable();
        assert!(outputs.into_iter().eq(0..=10));
    });
    let message = message_of_panic(|| {
        on_multi_thread(async {
            let mut set = JoinSet::new();
            set.spawn(async { panic!("handed on") });
            set.join_all().await;
        });
    });
    assert_eq!(message, "handed on");
}

#[test]
fn join_next_loses_nothing_when_it_is_dropped() {
    on_each(|| async {
        let mut set = JoinSet::new();
        for number in 0..50 {
            set.spawn(async move {
                for _ in 0..number {
                    yield_now().await;
                }
            });
        }
        let mut joined = 0;
        while joined < 50 {
            runtime::select! {
                biased;
                Some(result) = set.join_next() => {
                    result.unwrap();
                    joined += 1;
                }
                () = yield_now() => {}
            }
        }
        assert!(set.is_empty());
    });
}

#[test]
fn blocking_jobs_local_tasks_and_other_runtimes_join_too() {
    let _watchdog = Watchdog::new(LIMIT);
    let other = multi_thread(1);
    let local = LocalSet::new();
    let runtime = multi_thread(1);
    local.block_on(&runtime, async {
        let mut set = JoinSet::new();
        set.spawn_blocking(|| 1);
        set.spawn_local(async { 2 });
        set.spawn_local_on(async { 4 }, &local);
        set.spawn_on(async { 8 }, other.handle());
        set.spawn_blocking_on(|| 16, other.handle());
        let mut sum = 0;
        while let Some(output) = set.join_next().await {
            sum += output.unwrap();
        }
        assert_eq!(sum, 31);
    });
}
