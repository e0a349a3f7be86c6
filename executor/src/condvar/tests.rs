use super::*;
use parking_lot::Mutex;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// A flag and where it is waited for.
#[derive(Default)]
struct Flag {
    is_up: Mutex<bool>,
    changed: Condvar,
}

/// How many sleep at `flag`.
fn asleep(flag: &Flag) -> usize {
    *flag.changed.asleep.lock().unwrap()
}

#[test]
fn a_notification_ends_a_wait_and_notify_all_the_others() {
    let flag = Arc::new(Flag::default());
    let waits = |flag: Arc<Flag>| thread::spawn(move || flag.changed.wait(&mut flag.is_up.lock()));
    let threads: Vec<_> = (0..3).map(|_| waits(flag.clone())).collect();
    while asleep(&flag) < 3 {
        thread::yield_now();
    }
    flag.changed.notify_one();
    // One, or more that had just fallen asleep.
    while asleep(&flag) == 3 {
        thread::yield_now();
    }
    flag.changed.notify_all();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(asleep(&flag), 0);
}

#[test]
fn a_wait_ends_with_its_time_and_holds_the_mutex_again() {
    let flag = Flag::default();
    let mut is_up = flag.is_up.lock();
    let start = Instant::now();
    let time = Duration::from_millis(20);
    assert!(flag.changed.wait_for(&mut is_up, time).timed_out());
    assert!(start.elapsed() >= time);
    assert!(flag.is_up.try_lock().is_none());
}

#[test]
fn a_notification_before_the_end_of_the_time_is_told_from_it() {
    let flag = Arc::new(Flag::default());
    let other = flag.clone();
    let mut is_up = flag.is_up.lock();
    let thread = thread::spawn(move || {
        // Not before the other sleeps, for it has the mutex until then.
        *other.is_up.lock() = true;
        other.changed.notify_one();
    });
    while !*is_up {
        // Too long for the clock: without end.
        assert!(!flag.changed.wait_for(&mut is_up, Duration::MAX).timed_out());
    }
    thread.join().unwrap();
}

#[test]
fn a_notification_for_nobody_is_not_kept() {
    let flag = Flag::default();
    flag.changed.notify_one();
    flag.changed.notify_all();
    let waited = flag
        .changed
        .wait_for(&mut flag.is_up.lock(), Duration::ZERO);
    assert!(waited.timed_out());
}
