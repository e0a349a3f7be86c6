//! Deadlines beyond any horizon, and long gone.

use std::time::Duration;

use runtime::task::yield_now;
use runtime::time::{Instant, advance, interval_at, sleep, sleep_until, timeout};
use runtime_tests::{on_each, paused, poll_once};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The largest durations, and those around powers of two of ms, µs and ns.
fn far() -> Vec<Duration> {
    let mut lengths = vec![Duration::MAX, Duration::MAX - DAY, YEAR * 1_000];
    for bits in 40..64 {
        lengths.push(Duration::from_millis(1 << bits));
        lengths.push(Duration::from_millis((1 << bits) - 1));
        lengths.push(Duration::from_nanos(u64::MAX >> (63 - bits)));
    }
    lengths.push(Duration::from_millis(u64::MAX));
    lengths.push(Duration::from_secs(u64::MAX));
    lengths.retain(|&length| length > Duration::from_secs(600));
    lengths
}

#[test]
fn they_wait_and_never_panic() {
    on_each(|| async {
        for length in far() {
            let mut pending = Box::pin(sleep(length));
            assert!(poll_once(pending.as_mut()).await.is_pending(), "{length:?}");
            assert!(!pending.is_elapsed());
            let mut limited = Box::pin(timeout(length, std::future::pending::<()>()));
            assert!(poll_once(limited.as_mut()).await.is_pending(), "{length:?}");
            assert_eq!(timeout(length, async { 1 }).await.unwrap(), 1);
        }
    });
}

#[test]
fn they_do_not_hold_up_near_ones() {
    on_each(|| async {
        let tasks: Vec<_> = far()
            .into_iter()
            .map(|length| runtime::spawn(sleep(length)))
            .collect();
        yield_now().await;
        for _ in 0..5 {
            let start = std::time::Instant::now();
            sleep(Duration::from_millis(1)).await;
            assert!(start.elapsed() >= Duration::from_millis(1));
        }
        for task in tasks {
            assert!(!task.is_finished());
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_far_sleep_can_be_reset_to_a_near_one_and_back() {
    on_each(|| async {
        let mut pending = Box::pin(sleep(Duration::MAX));
        assert!(poll_once(pending.as_mut()).await.is_pending());
        pending
            .as_mut()
            .reset(Instant::now() + Duration::from_millis(1));
        pending.as_mut().await;
        pending.as_mut().reset(Instant::now() + YEAR * 25);
        assert!(poll_once(pending.as_mut()).await.is_pending());
    });
}

#[test]
fn the_paused_clock_reaches_years() {
    paused(async {
        for years in [1, 2, 10, 25] {
            let start = Instant::now();
            sleep(YEAR * years).await;
            let passed = start.elapsed();
            assert!(passed >= YEAR * years && passed < YEAR * years + Duration::from_secs(1));
        }
    });
}

#[test]
fn deadlines_around_the_range_of_the_wheel_fire_in_order() {
    paused(async {
        // About 13 days is one turn of the coarsest level; longer ones go round again.
        let mut last = Duration::ZERO;
        let start = Instant::now();
        let mut sleeps: Vec<_> = (1..60)
            .map(|days| (DAY * days, Box::pin(sleep(DAY * days))))
            .collect();
        for (length, pending) in &mut sleeps {
            assert!(poll_once(pending.as_mut()).await.is_pending());
            assert!(*length > last);
            last = *length;
        }
        for (length, pending) in sleeps {
            pending.await;
            let passed = start.elapsed();
            assert!(passed >= length && passed < length + Duration::from_millis(2));
        }
    });
}

#[test]
fn the_past_is_ready_at_once() {
    on_each(|| async {
        let now = Instant::now();
        for age in [Duration::from_nanos(1), Duration::from_secs(1), DAY] {
            // A machine that was started less than a day ago may have no such moment.
            if let Some(past) = now.checked_sub(age) {
                let mut gone = Box::pin(sleep_until(past));
                assert!(poll_once(gone.as_mut()).await.is_ready(), "{age:?}");
            }
        }
    });
}

#[test]
fn an_interval_from_the_past_catches_up() {
    paused(async {
        advance(DAY).await;
        let start = Instant::now();
        let mut every = interval_at(start - Duration::from_secs(3), Duration::from_secs(1));
        for _ in 0..4 {
            every.tick().await;
        }
        assert_eq!(
            start.elapsed(),
            Duration::ZERO,
            "three missed ones and one due now"
        );
        every.tick().await;
        assert!(start.elapsed() >= Duration::from_secs(1));
    });
}
