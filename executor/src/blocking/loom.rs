//! Models of the blocking pool: each test is named after the race that it explores.
//!
//! A wait of zero length is over at once, any other lasts until a notification: so the models choose with
//! `keep_alive` whether threads retire. A job that is forgotten leaves its handle unfinished, or blocks the model.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use ::loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use ::loom::sync::mpsc;
use ::loom::thread;

use super::*;
use crate::sync::{bounded_model, model};

fn pool(max_threads: usize, keep_alive: Duration) -> Arc<Pool> {
    with(max_threads, keep_alive, |_| ())
}

/// A pool whose threads never spin and are never told to look out, unless `settings` say so.
fn with(max_threads: usize, keep_alive: Duration, settings: fn(&mut Config)) -> Arc<Pool> {
    let mut config = Config {
        max_threads,
        keep_alive,
        max_on_the_way: 1,
        spin: Duration::ZERO,
        look: Duration::MAX,
        hands: usize::MAX,
        plenty: 1,
        ..Config::default()
    };
    settings(&mut config);
    Arc::new(Pool::new(config))
}

fn wait_for(handles: &[&JoinHandle<()>]) {
    while !handles.iter().all(|handle| handle.is_finished()) {
        thread::yield_now();
    }
}

fn spawn(pool: &Pool, count: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let count = count.clone();
    let job = move || {
        count.fetch_add(1, SeqCst);
    };
    pool.spawn(job, Meta::new(Location::caller()))
}

/// Submits a job whose handle nobody has.
fn submit(shared: &Arc<Shared>, job: impl FnOnce() + Send + 'static) {
    let (handle, job) = task::job(job, Meta::new(Location::caller()));
    drop(handle);
    shared.submit(job);
}

/// Submits a job and waits until it runs.
fn submit_and_wait(shared: &Arc<Shared>, job: impl FnOnce() + Send + 'static) {
    let (runs, has_run) = mpsc::channel();
    submit(shared, move || {
        job();
        runs.send(()).unwrap();
    });
    has_run.recv().unwrap();
}

/// Submits a job that closes the pool, and waits until it runs. Loom tells of a deadlock if it is forgotten, or if a thread does not end. A shutdown that is
/// called elsewhere, while threads serve, has models of its own; here its many interleavings would only hide the end of the exploration.
fn submit_the_last(pool: Arc<Pool>) {
    let shared = pool.shared.clone();
    submit_and_wait(&shared, move || drop(pool));
}

#[test]
fn submit_vs_retire() {
    model(|| {
        let pool = pool(1, Duration::ZERO);
        submit(&pool.shared, || ());
        // The thread may be about to retire when this comes.
        submit_the_last(pool);
    });
}

#[test]
fn submit_vs_becoming_idle() {
    model(|| {
        let pool = pool(1, Duration::MAX);
        submit(&pool.shared, || ());
        submit_the_last(pool);
    });
}

#[test]
fn two_submitters() {
    bounded_model(|| {
        let pool = pool(1, Duration::MAX);
        let count = Arc::new(AtomicUsize::new(0));
        let other = {
            let (pool, count) = (pool.clone(), count.clone());
            thread::spawn(move || spawn(&pool, &count))
        };
        let first = spawn(&pool, &count);
        let second = other.join().unwrap();
        while !(first.is_finished() && second.is_finished()) {
            thread::yield_now();
        }
        assert!(pool.shutdown(None));
    });
}

#[test]
fn shutdown_vs_submit() {
    model(|| {
        let pool = pool(1, Duration::MAX);
        let count = Arc::new(AtomicUsize::new(0));
        let other = {
            let (pool, count) = (pool.clone(), count.clone());
            thread::spawn(move || spawn(&pool, &count))
        };
        assert!(pool.shutdown(None));
        let handle = other.join().unwrap();
        // Run or cancelled, but not forgotten.
        assert!(handle.is_finished());
        assert!(count.load(SeqCst) <= 1);
        assert_eq!(pool.stats().threads, 0);
    });
}

#[test]
fn shutdown_vs_retire() {
    model(|| {
        let pool = pool(1, Duration::ZERO);
        let count = Arc::new(AtomicUsize::new(0));
        let handle = spawn(&pool, &count);
        assert!(pool.shutdown(None));
        assert!(handle.is_finished());
        assert_eq!(pool.stats().threads, 0);
    });
}

#[test]
fn submit_vs_spin() {
    model(|| {
        let pool = with(1, Duration::MAX, |config| {
            config.spin = Duration::from_micros(1);
        });
        submit_and_wait(&pool.shared, || ());
        // The thread spins, or falls asleep.
        submit_the_last(pool);
    });
}

/// Without hands every thread that arrives looks out first, and serves if it sees nobody serve.
fn without_hands(config: &mut Config) {
    config.hands = 0;
    config.spin = Duration::from_micros(1);
}

#[test]
fn lookout_vs_last_take() {
    bounded_model(|| {
        let pool = with(2, Duration::MAX, without_hands);
        submit(&pool.shared, || ());
        submit_and_wait(&pool.shared, || ());
        // The lookout, if there was one, sleeps on as an idle thread.
        submit_the_last(pool);
    });
}

#[test]
fn lookout_vs_shutdown() {
    bounded_model(|| {
        let pool = with(2, Duration::MAX, without_hands);
        let count = Arc::new(AtomicUsize::new(0));
        let handles = [spawn(&pool, &count), spawn(&pool, &count)];
        assert!(pool.shutdown(None));
        assert!(handles.iter().all(JoinHandle::is_finished));
        let stats = pool.stats();
        assert_eq!((stats.threads, stats.jobs_finished), (0, 2));
    });
}

#[test]
fn start_that_fails_vs_becoming_idle() {
    bounded_model(|| {
        let pool = pool(2, Duration::MAX);
        let count = Arc::new(AtomicUsize::new(0));
        let first = spawn(&pool, &count);
        {
            // A second thread is being started.
            let mut crew = pool.shared.crew.lock();
            crew.threads += 1;
            crew.on_the_way += 1;
            crew.alive += 1;
        }
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.shared.could_not_start())
        };
        // This one may count on the second thread, while the first is about to become idle.
        let second = spawn(&pool, &count);
        wait_for(&[&first, &second]);
        other.join().unwrap();
        assert!(pool.shutdown(None));
        assert_eq!(pool.stats().threads, 0);
    });
}

#[test]
fn submit_vs_last_take() {
    bounded_model(|| {
        let pool = pool(2, Duration::MAX);
        // Nobody spins here: loom tells of a deadlock if a job is forgotten.
        let (second_runs, has_run) = mpsc::channel();
        let (first_ends, has_ended) = mpsc::channel();
        let waits = move || {
            has_run.recv().unwrap();
            first_ends.send(()).unwrap();
        };
        let first = pool.spawn(waits, Meta::new(Location::caller()));
        // The first thread will not look at the queue again before this has run.
        let second = move || second_runs.send(()).unwrap();
        let second = pool.spawn(second, Meta::new(Location::caller()));
        has_ended.recv().unwrap();
        assert!(pool.shutdown(None));
        assert!(first.is_finished() && second.is_finished());
    });
}
