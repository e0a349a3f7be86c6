//! `interval` and its ways to deal with missed ticks.

use std::time::Duration;

use runtime::time::{Instant, Interval, MissedTickBehavior, advance, interval, interval_at};
use runtime_tests::{message_of_panic, on_each, paused, poll_once};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Takes `count` ticks and returns when each was due, in ms since `start`.
async fn ticks(interval: &mut Interval, start: Instant, count: usize) -> Vec<u128> {
    let mut due = Vec::new();
    for _ in 0..count {
        due.push(interval.tick().await.duration_since(start).as_millis());
    }
    due
}

#[test]
fn the_first_tick_is_at_once_and_the_others_at_the_period() {
    paused(async {
        let start = Instant::now();
        let mut every = interval(ms(100));
        assert_eq!(ticks(&mut every, start, 4).await, [0, 100, 200, 300]);
        assert!(start.elapsed() >= ms(300) && start.elapsed() < ms(305));
        assert_eq!(every.period(), ms(100));
    });
}

#[test]
fn interval_at_starts_when_told() {
    paused(async {
        let start = Instant::now();
        let mut every = interval_at(start + ms(50), ms(100));
        assert_eq!(ticks(&mut every, start, 3).await, [50, 150, 250]);
        assert!(start.elapsed() >= ms(250));
    });
}

#[test]
fn a_real_interval_is_never_early_and_does_not_drift() {
    on_each(|| async {
        let start = Instant::now();
        let mut every = interval(ms(3));
        for number in 0..10 {
            let due = every.tick().await;
            assert!(Instant::now() >= start + ms(3) * number);
            assert!(due >= start + ms(3) * number);
        }
    });
}

/// Takes a tick, then misses 2.5 periods of 100 ms, and returns when the next ticks were due
/// and when they came.
async fn after_a_delay(behavior: MissedTickBehavior) -> (Vec<u128>, Vec<u128>) {
    let start = Instant::now();
    let mut every = interval(ms(100));
    every.set_missed_tick_behavior(behavior);
    assert_eq!(every.missed_tick_behavior(), behavior);
    every.tick().await;
    advance(ms(350)).await;
    let (mut due, mut came) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        due.push(every.tick().await.duration_since(start).as_millis());
        came.push(start.elapsed().as_millis());
    }
    (due, came)
}

#[test]
fn burst_catches_up() {
    paused(async {
        assert_eq!(MissedTickBehavior::default(), MissedTickBehavior::Burst);
        let (due, came) = after_a_delay(MissedTickBehavior::Burst).await;
        assert_eq!(due, [100, 200, 300, 400, 500]);
        assert_eq!(came[..3], [350, 350, 350]);
        assert!(came[3] >= 400 && came[4] >= 500);
    });
}

#[test]
fn delay_starts_anew_from_the_late_tick() {
    paused(async {
        let (due, came) = after_a_delay(MissedTickBehavior::Delay).await;
        assert_eq!(due[0], 100);
        assert_eq!(due[1..], [450, 550, 650, 750]);
        assert_eq!(came[0], 350);
    });
}

#[test]
fn skip_goes_on_at_the_next_multiple() {
    paused(async {
        let (due, came) = after_a_delay(MissedTickBehavior::Skip).await;
        assert_eq!(due, [100, 400, 500, 600, 700]);
        assert_eq!(came[0], 350);
    });
}

#[test]
fn reset_puts_the_next_tick_where_it_is_told() {
    paused(async {
        let start = Instant::now();
        let mut every = interval(ms(100));
        every.tick().await;
        advance(ms(30)).await;
        every.reset();
        assert_eq!(ticks(&mut every, start, 2).await, [130, 230]);
        every.reset_immediately();
        let due = ticks(&mut every, start, 2).await;
        assert!(
            (230..232).contains(&due[0]) && (330..332).contains(&due[1]),
            "{due:?}"
        );
        let now = Instant::now();
        every.reset_after(ms(500));
        assert_eq!(ticks(&mut every, now, 2).await, [500, 600]);
        every.reset_at(now + ms(1_000));
        assert_eq!(ticks(&mut every, now, 2).await, [1_000, 1_100]);
    });
}

#[test]
fn a_tick_that_is_dropped_while_it_waits_is_not_lost() {
    paused(async {
        let start = Instant::now();
        let mut every = interval(ms(100));
        every.tick().await;
        for _ in 0..5 {
            assert!(poll_once(Box::pin(every.tick())).await.is_pending());
        }
        assert_eq!(ticks(&mut every, start, 1).await, [100]);
    });
}

#[test]
fn a_period_of_zero_is_refused() {
    let message = message_of_panic(|| paused(async { interval(Duration::ZERO) }));
    assert!(message.contains("zero"), "{message}");
    let message =
        message_of_panic(|| paused(async { interval_at(Instant::now(), Duration::ZERO) }));
    assert!(message.contains("zero"), "{message}");
}

#[test]
fn a_period_of_ages_ticks_once_and_never_panics() {
    paused(async {
        for behavior in [
            MissedTickBehavior::Burst,
            MissedTickBehavior::Delay,
            MissedTickBehavior::Skip,
        ] {
            let mut every = interval(Duration::MAX);
            every.set_missed_tick_behavior(behavior);
            every.tick().await;
            assert!(poll_once(Box::pin(every.tick())).await.is_pending());
        }
    });
}
