//! The threads' accounts step by step; real threads only where one is started.

use std::sync::Arc;
use std::sync::mpsc;

use super::*;

/// How many are meant to be active.
const WORKERS: usize = 2;
/// How many may be written off.
const LIMIT: usize = 3;

fn threads() -> Threads {
    Threads::new(WORKERS, 8)
}

/// Writes off a slot that is stuck.
fn write_off(threads: &Threads, slot: usize) -> WrittenOff {
    threads.write_off(slot, LIMIT, || true)
}

#[test]
fn a_stuck_thread_is_written_off_once_and_comes_back() {
    let threads = threads();
    assert_eq!(write_off(&threads, 0), WrittenOff::Now);
    assert_eq!(write_off(&threads, 0), WrittenOff::Before);
    assert_eq!(threads.count(), (1, 1));
    assert_eq!(threads.report_back(0, WORKERS), Back::Active);
    assert_eq!(threads.count(), (2, 0));
    assert_eq!(
        threads.report_back(0, WORKERS),
        Back::Active,
        "it was not written off"
    );
    assert_eq!(threads.count(), (2, 0));
}

#[test]
fn one_that_gets_on_is_not_written_off() {
    let threads = threads();
    assert_eq!(threads.write_off(0, LIMIT, || false), WrittenOff::Not);
    assert_eq!(threads.count(), (2, 0));
}

#[test]
fn as_many_are_written_off_as_may_be() {
    let threads = threads();
    for slot in 0..LIMIT {
        assert_eq!(write_off(&threads, slot), WrittenOff::Now);
        assert!(threads.call_up(WORKERS));
    }
    assert_eq!(write_off(&threads, LIMIT), WrittenOff::TooMany);
    assert_eq!(threads.count(), (WORKERS, LIMIT));
    assert_eq!(threads.report_back(0, WORKERS), Back::Surplus);
    assert_eq!(write_off(&threads, LIMIT), WrittenOff::Now);
}

#[test]
fn never_more_are_called_up_than_are_missing() {
    let threads = threads();
    assert!(!threads.call_up(WORKERS));
    assert_eq!(write_off(&threads, 0), WrittenOff::Now);
    assert!(threads.call_up(WORKERS));
    assert!(!threads.call_up(WORKERS));
    threads.call_off();
    assert_eq!(threads.report_back(0, WORKERS), Back::Active);
    assert!(!threads.call_up(WORKERS));
}

#[test]
fn a_surplus_thread_is_not_written_off_while_it_leaves_its_slot() {
    let threads = threads();
    assert_eq!(write_off(&threads, 0), WrittenOff::Now);
    assert!(threads.call_up(WORKERS));
    assert_eq!(threads.report_back(0, WORKERS), Back::Surplus);
    assert_eq!(write_off(&threads, 0), WrittenOff::Before);
    assert_eq!(threads.count(), (2, 0));
    // The next thread that has the slot counts.
    assert_eq!(write_off(&threads, 1), WrittenOff::Now);
    assert!(threads.call_up(WORKERS));
    assert!(!threads.hand_to_spare(0), "nobody waits");
    assert_eq!(write_off(&threads, 0), WrittenOff::Now);
    assert_eq!(threads.count(), (1, 2));
}

#[test]
fn who_was_written_off_and_steps_out_is_taken_off_once() {
    let threads = threads();
    assert_eq!(write_off(&threads, 0), WrittenOff::Now);
    assert!(threads.step_out(0, WORKERS), "one is missing");
    assert_eq!(threads.count(), (1, 0));
    assert!(threads.step_out(1, WORKERS));
    assert_eq!(threads.count(), (0, 0));
    assert!(threads.activate(WORKERS) && threads.activate(WORKERS));
    assert!(!threads.activate(WORKERS));
}

#[test]
fn after_the_end_nobody_is_called_up_or_started() {
    let threads = threads();
    assert_eq!(write_off(&threads, 0), WrittenOff::Now);
    threads.wake_all();
    assert!(!threads.call_up(WORKERS));
    assert!(!threads.step_out(1, WORKERS));
    let refused = threads.start(thread::Builder::new(), || unreachable!("it was refused"));
    assert!(refused.is_err());
    assert_eq!(threads.wait(None), Gone::AllMineToFinish);
    assert_eq!(threads.wait_for_slot(Duration::MAX), None);
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_thread_that_could_not_be_started_is_not_waited_for() {
    let threads = threads();
    // No address space has room for that stack.
    let builder = thread::Builder::new().stack_size(usize::MAX / 4);
    let refused = threads.start(builder, || unreachable!("it was refused"));
    assert!(refused.is_err());
    threads.wake_all();
    assert_eq!(threads.wait(None), Gone::AllMineToFinish);
}

#[test]
fn slots_are_handed_over_in_order_to_those_who_wait() {
    let threads = Arc::new(threads());
    let (tell, told) = mpsc::channel();
    let spare = {
        let threads = Arc::clone(&threads);
        move || {
            while let Some(slot) = threads.wait_for_slot(Duration::MAX) {
                tell.send(slot).expect("the test listens");
            }
            assert!(!threads.leave(), "the test waits");
        }
    };
    threads
        .start(thread::Builder::new(), spare)
        .expect("a thread is to be had");
    for slot in [3, 1, 2] {
        // It waits soon, and takes no second slot before it waits again.
        while !threads.hand_to_spare(slot) {
            thread::yield_now();
        }
        assert_eq!(told.recv(), Ok(slot));
    }
    threads.wake_all();
    assert_eq!(threads.wait(None), Gone::AllMineToFinish);
    assert!(told.recv().is_err(), "the spare has ended");
}

#[test]
fn the_last_to_leave_finishes_what_nobody_waits_for() {
    let threads = threads();
    threads.join();
    threads.join();
    threads.wake_all();
    assert_eq!(threads.wait(Some(Instant::now())), Gone::NotYet);
    assert!(!threads.leave());
    assert!(threads.leave());
    assert_eq!(threads.wait(None), Gone::All);
}
