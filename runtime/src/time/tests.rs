use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::runtime::{Builder, Runtime};

const MS: Duration = Duration::from_millis(1);

/// Runs a test on a current-thread runtime whose clock stands still.
fn paused<F: Future>(test: F) -> F::Output {
    let runtime = Builder::new_current_thread().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(test)
}

fn multi_thread() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("a runtime starts")
}

/// Polls once, with a waker that does nothing.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn sleeps_take_exactly_as_long_as_they_say() {
    paused(async {
        for millis in [0, 1, 16, 999, 3_600_000] {
            let start = Instant::now();
            sleep(MS * millis).await;
            assert_eq!(start.elapsed(), MS * millis);
        }
        let start = Instant::now();
        sleep_until(start + 5 * MS).await;
        sleep_until(start).await;
        assert_eq!(start.elapsed(), 5 * MS);
    });
}

#[test]
fn sleeps_are_not_early_by_the_real_clock() {
    multi_thread().block_on(async {
        let tasks: Vec<_> = (0..200)
            .map(|at| {
                crate::spawn(async move {
                    let (start, duration) = (Instant::now(), Duration::from_micros(37 * at));
                    sleep(duration).await;
                    assert!(start.elapsed() >= duration);
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no sleep was early");
        }
    });
}

#[test]
fn tasks_wake_in_the_order_of_their_deadlines() {
    paused(async {
        let (sender, mut receiver) = crate::sync::mpsc::unbounded_channel();
        for millis in [30, 10, 20, 40] {
            let sender = sender.clone();
            crate::spawn(async move {
                sleep(MS * millis).await;
                sender.send(millis).expect("the test receives");
            });
        }
        for millis in [10, 20, 30, 40] {
            assert_eq!(receiver.recv().await, Some(millis));
        }
    });
}

#[test]
fn never_is_never() {
    paused(async {
        let mut forever = pin!(sleep(Duration::MAX));
        assert!(poll_once(forever.as_mut()).is_pending());
        assert!(!forever.is_elapsed());
        assert!(forever.deadline() > Instant::now() + Duration::from_secs(3600));
        assert!(timeout(MS, forever.as_mut()).await.is_err());
        assert_eq!(timeout(Duration::MAX, sleep(MS)).await, Ok(()));
        // It may be given a time after all.
        forever.as_mut().reset(Instant::now() + MS);
        forever.await;
    });
}

#[test]
fn reset_moves_a_sleep_that_is_waited_for() {
    paused(async {
        let start = Instant::now();
        let mut moved = pin!(sleep(MS));
        assert!(poll_once(moved.as_mut()).is_pending());
        moved.as_mut().reset(start + 50 * MS);
        assert_eq!(moved.deadline(), start + 50 * MS);
        moved.as_mut().await;
        assert_eq!(start.elapsed(), 50 * MS);
        assert!(moved.is_elapsed());
        moved.as_mut().reset(start + 60 * MS);
        assert!(!moved.is_elapsed());
        moved.await;
        assert_eq!(start.elapsed(), 60 * MS);
    });
}

#[test]
fn timeouts() {
    paused(async {
        let start = Instant::now();
        assert_eq!(timeout(Duration::ZERO, ready(7)).await, Ok(7));
        assert_eq!(timeout_at(start, async { 8 }).await, Ok(8));
        assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), Duration::ZERO);
        let slow = timeout(10 * MS, sleep(20 * MS)).await;
        assert_eq!(slow.unwrap_err().to_string(), "deadline has elapsed");
        assert_eq!(start.elapsed(), 10 * MS);
        assert_eq!(timeout_at(start + 40 * MS, sleep(20 * MS)).await, Ok(()));
        assert_eq!(start.elapsed(), 30 * MS);

        let mut parts = timeout(MS, ready(1));
        assert_eq!(parts.get_ref().clone().into_inner(), 1);
        *parts.get_mut() = ready(2);
        assert_eq!(parts.into_inner().await, 2);
    });
}

#[test]
fn a_future_that_spends_the_budget_does_not_escape_its_timeout() {
    let spends_budget = || {
        poll_fn(|cx| {
            while executor::budget::spend(cx).is_ready() {}
            Poll::<()>::Pending
        })
    };
    let runtime = Builder::new_current_thread().build().expect("it starts");
    let limited = async move { timeout(5 * MS, spends_budget()).await };
    let outcome = runtime.block_on(async { crate::spawn(limited).await });
    assert!(outcome.expect("no panic").is_err());
}

#[test]
fn a_timeout_wakes_a_root_without_a_worker() {
    // The thread of `block_on` itself waits for the timer.
    let runtime = multi_thread();
    let start = std::time::Instant::now();
    assert!(
        runtime
            .block_on(async { timeout(3 * MS, pending::<()>()).await })
            .is_err()
    );
    assert!(start.elapsed() >= 3 * MS);
}

#[test]
fn intervals_keep_to_their_schedule() {
    paused(async {
        let start = Instant::now();
        let mut ticks = interval(10 * MS);
        assert_eq!(ticks.period(), 10 * MS);
        for at in 0..5 {
            assert_eq!(ticks.tick().await, start + 10 * at * MS);
            sleep(3 * MS).await;
        }
        let mut ticks = interval_at(start + 100 * MS, MS);
        assert_eq!(ticks.tick().await, start + 100 * MS);
        assert_eq!(start.elapsed(), 100 * MS);
    });
}

#[test]
fn missed_ticks() {
    // When ticks are due that are taken as soon as possible after one that took 25 of 10 ms.
    let table = [
        (MissedTickBehavior::Burst, [0, 10, 20, 30, 40]),
        (MissedTickBehavior::Delay, [0, 10, 35, 45, 55]),
        (MissedTickBehavior::Skip, [0, 10, 30, 40, 50]),
    ];
    for (behavior, due) in table {
        paused(async {
            let start = Instant::now();
            let mut ticks = interval(10 * MS);
            assert_eq!(ticks.missed_tick_behavior(), MissedTickBehavior::Burst);
            ticks.set_missed_tick_behavior(behavior);
            assert_eq!(ticks.tick().await, start);
            sleep(25 * MS).await;
            for millis in &due[1..] {
                assert_eq!(ticks.tick().await, start + *millis * MS, "{behavior:?}");
            }
        });
    }
}

#[test]
fn a_little_late_is_not_missed() {
    paused(async {
        let start = Instant::now();
        let mut ticks = interval(10 * MS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        sleep(15 * MS).await;
        assert_eq!(ticks.tick().await, start + 10 * MS);
        assert_eq!(ticks.tick().await, start + 20 * MS);
    });
}

#[test]
fn interval_resets() {
    paused(async {
        let start = Instant::now();
        let mut ticks = interval(10 * MS);
        ticks.tick().await;
        sleep(3 * MS).await;
        ticks.reset();
        assert_eq!(ticks.tick().await, start + 13 * MS);
        ticks.reset_immediately();
        assert_eq!(ticks.tick().await, start + 13 * MS);
        ticks.reset_after(4 * MS);
        assert_eq!(ticks.tick().await, start + 17 * MS);
        assert_eq!(ticks.tick().await, start + 27 * MS);
        ticks.reset_at(start + 40 * MS);
        assert_eq!(ticks.tick().await, start + 40 * MS);
        // A tick that never comes, until it is moved.
        ticks.reset_after(Duration::MAX);
        assert!(timeout(MS, ticks.tick()).await.is_err());
        ticks.reset_immediately();
        ticks.tick().await;
        let mut slow = interval(Duration::MAX);
        slow.tick().await;
        assert!(timeout(MS, slow.tick()).await.is_err());
    });
}

#[test]
#[should_panic(expected = "the period of an interval must not be zero")]
fn an_interval_of_zero() {
    paused(async { interval(Duration::ZERO) });
}

#[test]
fn advance_fires_everything_due_and_lets_it_run() {
    paused(async {
        let (begun, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for millis in [1, 5, 10, 11] {
            let (begun, done) = (begun.clone(), done.clone());
            crate::spawn(async move {
                begun.fetch_add(1, Ordering::Relaxed);
                sleep(MS * millis).await;
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        while begun.load(Ordering::Relaxed) < 4 {
            crate::task::yield_now().await;
        }
        let start = Instant::now();
        advance(10 * MS).await;
        assert_eq!(start.elapsed(), 10 * MS);
        assert_eq!(done.load(Ordering::Relaxed), 3);
        advance(Duration::ZERO).await;
        advance(MS).await;
        assert_eq!(done.load(Ordering::Relaxed), 4);
    });
}

#[test]
fn a_sleep_polled_first_after_its_deadline_takes_no_more_time() {
    paused(async {
        let start = Instant::now();
        let late = sleep(10 * MS);
        advance(11 * MS).await;
        late.await;
        assert_eq!(start.elapsed(), 11 * MS);
    });
}

#[test]
fn the_clock_stops_and_goes() {
    let runtime = Builder::new_current_thread().build().expect("it starts");
    runtime.block_on(async {
        pause();
        let start = Instant::now();
        advance(Duration::from_secs(3600)).await;
        resume();
        assert!(start.elapsed() >= Duration::from_secs(3600));
        let resumed = Instant::now();
        sleep(2 * MS).await;
        assert!(resumed.elapsed() >= 2 * MS);
        pause();
        assert_eq!(Instant::now(), Instant::now());
    });
    // Outside, time is real.
    assert!(Instant::now().into_std() <= std::time::Instant::now());
}

/// Runs `misuse` where it must panic, and returns the message.
fn message(misuse: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = std::panic::catch_unwind(misuse).expect_err("it panics");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().expect("a text").to_string(),
    }
}

#[test]
fn misuse_is_told() {
    let paused_twice = message(|| paused(async { pause() }));
    assert!(paused_twice.contains("paused already"), "{paused_twice}");
    let not_paused = message(|| {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(advance(MS));
    });
    assert!(
        not_paused.contains("the clock is not paused"),
        "{not_paused}"
    );
    let too_far = message(|| paused(advance(Duration::MAX)));
    assert!(too_far.contains("out of range"), "{too_far}");
    let workers = message(|| multi_thread().block_on(async { pause() }));
    assert!(workers.contains("current-thread runtime only"), "{workers}");
    for outside in [
        message(|| drop(sleep(MS))),
        message(|| drop(timeout(MS, ready(())))),
        message(|| drop(interval(MS))),
        message(pause),
        message(resume),
    ] {
        assert!(
            outside.contains("there is no runtime running on this thread"),
            "{outside}"
        );
    }
}

#[test]
fn a_sleep_that_outlives_its_runtime() {
    let runtime = multi_thread();
    let entered = runtime.enter();
    let mut long = Box::pin(sleep(Duration::from_secs(3600)));
    drop(entered);
    assert!(poll_once(long.as_mut()).is_pending());
    drop(runtime);
    let text = message(std::panic::AssertUnwindSafe(|| {
        let _ = poll_once(long.as_mut());
    }));
    assert!(text.contains("has shut down"), "{text}");
}

#[test]
fn futures_are_send_and_sync() {
    fn check<T: Send + Sync + Unpin>() {}
    check::<Sleep>();
    check::<Interval>();
    check::<Timeout<std::future::Ready<()>>>();
    fn check_value(_: impl Send) {}
    check_value(async {
        interval(MS).tick().await;
        advance(MS).await;
    });
}
