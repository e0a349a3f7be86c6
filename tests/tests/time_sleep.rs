//! `sleep` and `sleep_until`: never early, cheap to drop, free to move.
#![expect(
    clippy::async_yields_async,
    reason = "futures and handles are handed out of one runtime on purpose"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::Context;
use std::thread;
use std::time::Duration;

use runtime::task::yield_now;
use runtime::time::{Instant, Sleep, sleep, sleep_until};
use runtime_tests::{
    LIMIT, Watchdog, counting_waker, current_thread, multi_thread, on_each, on_multi_thread,
    paused, poll_once, spin, yield_until,
};

const MS: Duration = Duration::from_millis(1);

#[test]
fn no_sleep_ends_early() {
    on_each(|| async {
        for micros in [1, 15, 16, 17, 100, 999, 1_000, 1_001, 2_500, 10_000] {
            let length = Duration::from_micros(micros);
            let start = std::time::Instant::now();
            sleep(length).await;
            assert!(
                start.elapsed() >= length,
                "{:?} of {length:?}",
                start.elapsed()
            );
            let start = std::time::Instant::now();
            runtime::spawn(sleep(length)).await.unwrap();
            assert!(
                start.elapsed() >= length,
                "{:?} of {length:?}",
                start.elapsed()
            );
        }
    });
}

#[test]
fn a_sleep_made_after_a_long_poll_is_not_early() {
    on_each(|| async {
        runtime::spawn(async {
            for _ in 0..10 {
                // A clock read that was made before the poll began would be 10 ms old here.
                spin(10 * MS);
                let start = std::time::Instant::now();
                sleep(MS).await;
                assert!(start.elapsed() >= MS, "{:?}", start.elapsed());
            }
        })
        .await
        .unwrap();
    });
}

#[test]
fn zero_and_the_past_are_ready_without_waiting() {
    paused(async {
        let start = Instant::now();
        sleep(Duration::ZERO).await;
        sleep_until(start).await;
        runtime::time::advance(Duration::from_secs(10)).await;
        sleep_until(start).await;
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    });
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    paused(async {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut lengths: Vec<u64> = (0..500).map(|number| number * 7919 % 500 * 10).collect();
        let tasks: Vec<_> = lengths
            .iter()
            .map(|&length| {
                let order = order.clone();
                runtime::spawn(async move {
                    sleep(Duration::from_millis(length)).await;
                    order.lock().unwrap().push(length);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        lengths.sort_unstable();
        assert_eq!(*order.lock().unwrap(), lengths);
    });
}

#[test]
fn deadlines_over_many_magnitudes_are_met() {
    paused(async {
        let start = Instant::now();
        let mut seconds = 1;
        while seconds < 60 * 60 * 24 * 400 {
            let before = Instant::now();
            sleep(Duration::from_secs(seconds)).await;
            let took = before.elapsed();
            let length = Duration::from_secs(seconds);
            assert!(
                took >= length && took < length + 2 * MS,
                "{took:?} for {length:?}"
            );
            seconds *= 3;
        }
        assert!(start.elapsed() > Duration::from_secs(seconds / 3));
    });
}

#[test]
fn deadline_and_elapsed_are_told() {
    paused(async {
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut pending = Box::pin(sleep_until(deadline));
        assert_eq!(pending.deadline(), deadline);
        assert!(!pending.is_elapsed());
        assert!(poll_once(pending.as_mut()).await.is_pending());
        pending.as_mut().await;
        assert!(pending.is_elapsed());
        assert_eq!(pending.deadline(), deadline);
    });
}

#[test]
fn reset_moves_the_deadline_in_both_directions_and_revives() {
    paused(async {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pending = Box::pin(sleep_until(at(10)));
        assert!(poll_once(pending.as_mut()).await.is_pending());
        pending.as_mut().reset(at(5));
        pending.as_mut().await;
        assert!(Instant::now() >= at(5) && Instant::now() < at(6));
        pending.as_mut().reset(at(20));
        assert!(!pending.is_elapsed());
        assert!(poll_once(pending.as_mut()).await.is_pending());
        pending.as_mut().reset(at(30));
        pending.as_mut().await;
        assert!(Instant::now() >= at(30) && Instant::now() < at(31));
        // To the past, while registered.
        pending.as_mut().reset(at(100));
        assert!(poll_once(pending.as_mut()).await.is_pending());
        pending.as_mut().reset(at(1));
        assert!(poll_once(pending.as_mut()).await.is_ready());
    });
}

#[test]
fn a_reset_to_an_earlier_deadline_wakes_whoever_polls_it_next() {
    on_each(|| async {
        let mut pending: Pin<Box<Sleep>> = Box::pin(sleep(LIMIT * 2));
        for _ in 0..10 {
            assert!(poll_once(pending.as_mut()).await.is_pending());
            let start = Instant::now();
            pending.as_mut().reset(start + MS);
            pending.as_mut().await;
            assert!(start.elapsed() >= MS);
            pending.as_mut().reset(start + LIMIT * 2);
        }
    });
}

#[test]
fn the_last_poller_is_woken() {
    on_multi_thread(async {
        let mut pending = Box::pin(sleep(200 * MS));
        let (first, first_wakes) = counting_waker();
        let (second, second_wakes) = counting_waker();
        for waker in [&first, &first, &second] {
            let poll = pending.as_mut().poll(&mut Context::from_waker(waker));
            assert!(poll.is_pending());
        }
        yield_until(|| second_wakes.count() > 0).await;
        assert_eq!(first_wakes.count(), 0);
        assert!(poll_once(pending.as_mut()).await.is_ready());
    });
}

#[test]
fn a_dropped_sleep_wakes_nobody() {
    paused(async {
        let (waker, wakes) = counting_waker();
        for _ in 0..1_000 {
            let mut pending = Box::pin(sleep(Duration::from_secs(1)));
            let poll = pending.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(poll.is_pending());
        }
        sleep(Duration::from_secs(2)).await;
        assert_eq!(wakes.count(), 0);
    });
}

#[test]
fn a_sleep_may_move_between_tasks_and_runtimes_while_it_waits() {
    let _watchdog = Watchdog::new(LIMIT);
    let (one, other) = (multi_thread(2), current_thread());
    for _ in 0..20 {
        let start = std::time::Instant::now();
        let pending = one.block_on(async {
            let mut pending = Box::pin(sleep(10 * MS));
            let _ = poll_once(pending.as_mut()).await;
            // Onto another task.
            runtime::spawn(async move {
                let _ = poll_once(pending.as_mut()).await;
                pending
            })
            .await
            .unwrap()
        });
        // It is served by the runtime that made it, whoever awaits it.
        other.block_on(pending);
        assert!(start.elapsed() >= 10 * MS);
    }
}

#[test]
fn a_reset_inside_another_runtime_keeps_the_deadline() {
    let _watchdog = Watchdog::new(LIMIT);
    let (one, other) = (multi_thread(1), multi_thread(1));
    let mut pending = one.block_on(async {
        let mut pending = Box::pin(sleep(LIMIT));
        assert!(poll_once(pending.as_mut()).await.is_pending());
        pending
    });
    other.block_on(async {
        let start = Instant::now();
        pending.as_mut().reset(start + 5 * MS);
        pending.as_mut().await;
        assert!(start.elapsed() >= 5 * MS);
    });
}

#[test]
fn sleeps_made_outside_of_any_worker_fire() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let threads: Vec<_> = (1..=4)
        .map(|number| {
            let handle = runtime.handle().clone();
            thread::spawn(move || {
                let (waker, wakes) = counting_waker();
                for _ in 0..20 {
                    let before = wakes.count();
                    let start = std::time::Instant::now();
                    let length = number * Duration::from_micros(300);
                    let mut pending = {
                        let _entered = handle.enter();
                        Box::pin(sleep(length))
                    };
                    let mut context = Context::from_waker(&waker);
                    while pending.as_mut().poll(&mut context).is_pending() {
                        while wakes.count() == before {
                            thread::yield_now();
                        }
                    }
                    assert!(start.elapsed() >= length);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn an_earlier_deadline_from_outside_cuts_a_long_wait_short() {
    let _watchdog = Watchdog::new(LIMIT);
    for workers in [1, 2] {
        let runtime = multi_thread(workers);
        // Everybody sleeps towards this one.
        runtime.spawn(async { sleep(LIMIT * 2).await });
        let (sender, receiver) = mpsc::channel();
        for _ in 0..20 {
            let sender = sender.clone();
            let start = std::time::Instant::now();
            runtime.spawn(async move {
                sleep(MS).await;
                sender.send(start.elapsed()).unwrap();
            });
            assert!(receiver.recv().unwrap() >= MS);
        }
    }
}

#[test]
fn a_hundred_thousand_sleeps_all_fire() {
    on_multi_thread(async {
        let deadline = Instant::now() + 200 * MS;
        let tasks: Vec<_> = (0..100_000)
            .map(|number| runtime::spawn(sleep_until(deadline + Duration::from_micros(number))))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(Instant::now() >= deadline + Duration::from_micros(99_999));
    });
}

#[test]
fn sleeps_dropped_while_they_fire_harm_nobody() {
    on_multi_thread(async {
        for round in 0..50 {
            let deadline = Instant::now() + Duration::from_micros(500);
            let tasks: Vec<_> = (0..200)
                .map(|_| runtime::spawn(sleep_until(deadline)))
                .collect();
            yield_now().await;
            if round % 2 == 0 {
                spin(Duration::from_micros(400));
            } else {
                sleep_until(deadline).await;
            }
            for task in &tasks {
                task.abort();
            }
            for task in tasks {
                let _ = task.await;
            }
        }
    });
}
