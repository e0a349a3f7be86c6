//! Models of the blocking pool: each test is named after the race that it explores.
//!
//! A wait of zero length is over at once, any other lasts until a notification: so the models choose with
//! `keep_alive` whether threads retire. A job that is forgotten leaves its handle unfinished, or blocks the model.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use ::loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use ::loom::thread;

use super::*;

fn pool(max_threads: usize, keep_alive: Duration) -> Arc<Pool> {
    Arc::new(Pool::new(Config {
        max_threads,
        keep_alive,
        ..Config::default()
    }))
}

fn model(test: impl Fn() + Send + Sync + 'static) {
    ::loom::model(test);
}

fn spawn(pool: &Pool, count: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let count = count.clone();
    let job = move || {
        count.fetch_add(1, SeqCst);
    };
    pool.spawn(job, Meta::new(Location::caller()))
}

#[test]
fn submit_vs_retire() {
    model(|| {
        let pool = pool(1, Duration::ZERO);
        let count = Arc::new(AtomicUsize::new(0));
        let first = spawn(&pool, &count);
        // The thread may be about to retire when this comes.
        let second = spawn(&pool, &count);
        // Waits for the jobs, as a shutdown would cancel the one that waits.
        while !(first.is_finished() && second.is_finished()) {
            thread::yield_now();
        }
        assert_eq!(count.load(SeqCst), 2);
        assert!(pool.shutdown(None));
    });
}

#[test]
fn submit_vs_becoming_idle() {
    model(|| {
        let pool = pool(1, Duration::MAX);
        let count = Arc::new(AtomicUsize::new(0));
        let first = spawn(&pool, &count);
        let second = spawn(&pool, &count);
        while !(first.is_finished() && second.is_finished()) {
            thread::yield_now();
        }
        assert_eq!(count.load(SeqCst), 2);
        assert!(pool.shutdown(None));
    });
}

#[test]
fn two_submitters() {
    model(|| {
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
