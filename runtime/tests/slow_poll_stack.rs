//! The report of a slow poll shows where the task is stuck.

use runtime::runtime::Builder;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

#[inline(never)]
fn waits_for_the_other_lock(lock: &Mutex<u8>) -> u8 {
    std::hint::black_box(*lock.lock().expect("nobody panics with it"))
}

#[test]
fn a_report_shows_the_users_frames_first() {
    let (sender, reports) = mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .on_slow_poll(move |poll| drop(sender.send(poll.clone())))
        .build()
        .expect("threads are left");
    let lock = Arc::new(Mutex::new(7));
    let held = lock.lock().expect("nobody panics with it");
    let its = Arc::clone(&lock);
    let task = runtime.spawn(async move { waits_for_the_other_lock(&its) });
    let report = reports
        .recv_timeout(Duration::from_secs(60))
        .expect("the poll is slow");
    drop(held);
    assert_eq!(runtime.block_on(task).expect("no panic"), 7);

    let stack = report.stack().expect("the thread answers");
    assert!(stack.contains("waits_for_the_other_lock"), "{stack}");
    assert!(stack.contains("slow_poll_stack.rs:"), "{stack}");
    assert!(!stack.contains("executor::worker"), "{stack}");
    assert!(report.to_string().contains("waits_for_the_other_lock"));
    assert_eq!(report.is_blocked(), Some(true));
}
