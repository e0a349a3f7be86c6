//! Races of the pool for blocking closures, beside the rest of the executor (`blocking.md`).

use super::*;
use std::sync::atomic::AtomicUsize as Count;

/// Executors whose idle threads retire soon.
fn short_lived() -> Config {
    Config {
        keep_alive: Duration::from_secs(1),
        ..config(1)
    }
}

/// An idle thread of the pool retires, for its time is over, when the next job comes.
#[test]
fn blocking_submit_vs_retire() {
    explore(50, || {
        let executor = Executor::start(short_lived());
        for round in 0..2 {
            let job = executor.spawn_blocking(move || round);
            assert_eq!(wait(job).expect("no panic"), round);
        }
        executor.end();
    });
}

/// Two threads submit, and two threads serve, or start, or sleep.
#[test]
fn two_submits_vs_sleep() {
    explore(30, || {
        let executor = Executor::new(1);
        let (handle, token) = (executor.handle.clone(), executor.tokens.token());
        let other = beside(move || {
            let job = || {
                drop(token);
                8
            };
            wait(handle.spawn_blocking(job, Location::caller(), None)).expect("no panic")
        });
        let job = executor.spawn_blocking(|| 7);
        assert_eq!(wait(job).expect("no panic"), 7);
        assert_eq!(other.join().expect("no panic"), 8);
        executor.end();
    });
}

/// A job waits for a second one, which must find a thread although the first holds one.
#[test]
fn job_blocks_vs_submit() {
    explore(30, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let first = executor.spawn_blocking(move || awaited.block());
        let second = executor.spawn_blocking(move || gate.open());
        wait(first).expect("no panic");
        wait(second).expect("no panic");
        executor.end();
    });
}

/// A job is submitted while the pool closes: it is run or cancelled, and its handle says which.
#[test]
fn blocking_submit_vs_shutdown() {
    explore(50, || {
        let executor = Executor::new(1);
        let (handle, token) = (executor.handle.clone(), executor.tokens.token());
        let other = beside(move || {
            let job = move || drop(token);
            let job = handle.spawn_blocking(job, Location::caller(), None);
            drop(handle);
            wait(job).map_or_else(|error| error.is_cancelled(), |()| true)
        });
        executor.handle.shutdown(None);
        assert!(other.join().expect("no panic"));
        executor.ended();
    });
}

/// A job is aborted while it may be about to begin.
#[test]
fn abort_vs_job_begins() {
    explore(40, || {
        let executor = Executor::new(1);
        let job = executor.spawn_blocking(|| 7);
        job.abort();
        match wait(job) {
            Ok(output) => assert_eq!(output, 7),
            Err(error) => assert!(error.is_cancelled()),
        }
        executor.end();
    });
}

/// A job ends while the task that awaits it parks its worker.
#[test]
fn job_ends_vs_park() {
    explore(30, || {
        let executor = Executor::new(1);
        let job = executor.spawn_blocking(|| 7);
        let task = executor.spawn(async move { job.await.expect("no panic") });
        assert_eq!(wait(task).expect("no panic"), 7);
        executor.end();
    });
}

/// No second thread can be started for the pool, while the first becomes idle: the job is not forgotten.
#[test]
fn thread_refused_vs_first_idle() {
    explore(30, || {
        let asked = Count::new(0);
        let executor = Executor::start(Config {
            // Granted: the worker, the name that is kept, and the pool's first thread.
            thread_name: Arc::new(move || match asked.fetch_add(1, SeqCst) {
                0..3 => String::new(),
                _ => thread::REFUSED.to_owned(),
            }),
            ..config(1)
        });
        let jobs = [7, 8].map(|output| executor.spawn_blocking(move || output));
        for (job, output) in jobs.into_iter().zip([7, 8]) {
            assert_eq!(wait(job).expect("no panic"), output);
        }
        executor.end();
    });
}
