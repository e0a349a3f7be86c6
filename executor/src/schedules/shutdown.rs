//! Races with the shutdown (`scheduler/shutdown.rs`, whose steps are meant by "step").

use super::*;
use crate::block_in_place;
use std::future::pending;

/// Two threads shut down at once, while a task waits for ever.
#[test]
fn two_shutdowns() {
    explore(40, || {
        let executor = Executor::new(1);
        let task = executor.spawn(pending::<()>());
        let handle = executor.handle.clone();
        let other = beside(move || handle.shutdown(None));
        executor.handle.shutdown(None);
        other.join().expect("no panic");
        assert!(wait(task).expect_err("it never ends").is_cancelled());
        executor.ended();
    });
}

/// A task is spawned while the lists close (step 1): it completes, or is dropped, and its handle says so.
#[test]
fn spawn_vs_shutdown() {
    explore(60, || {
        let executor = Executor::new(1);
        let (handle, tokens) = (executor.handle.clone(), Arc::clone(&executor.tokens));
        let other = beside(move || {
            let task = spawn(&handle, &tokens, async { 7 });
            drop(handle);
            wait(task).is_ok_and(|output| output == 7)
        });
        executor.handle.shutdown(None);
        other.join().expect("no panic");
        executor.ended();
    });
}

/// A task is woken while the tasks that wait are cancelled (step 4): what a late waker pushes is dropped all the same.
#[test]
fn wake_vs_shutdown() {
    explore(60, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let task = executor.spawn(async move { awaited.wait().await });
        let other = beside(move || gate.open());
        executor.handle.shutdown(None);
        other.join().expect("no panic");
        // Whichever came first.
        let _ = wait(task);
        executor.ended();
    });
}

/// Somebody waits for a task that never ends, and learns that it is cancelled.
#[test]
fn join_vs_shutdown() {
    explore(50, || {
        let executor = Executor::new(1);
        let task = executor.spawn(pending::<()>());
        let other = beside(move || wait(task).expect_err("it never ends").is_cancelled());
        executor.handle.shutdown(None);
        assert!(other.join().expect("no panic"));
        executor.ended();
    });
}

/// A task shuts its executor down: nobody waits, and the last thread to end finishes.
#[test]
fn shutdown_from_inside_vs_last_member() {
    explore(30, || {
        let executor = Executor::new(2);
        let handle = executor.handle.clone();
        let task = executor.spawn(async move {
            handle.shutdown(None);
            pending::<()>().await;
        });
        assert!(wait(task).expect_err("it never ends").is_cancelled());
        executor.end();
    });
}

/// The closing thread gives up waiting while the last member leaves: one of them finishes, not both.
#[test]
fn shutdown_timeout_vs_last_member() {
    explore(50, || {
        let executor = Executor::new(1);
        let task = executor.spawn(async { yield_now().await });
        executor.handle.shutdown(Some(Duration::ZERO));
        let _ = wait(task);
        while executor.park.closed.load(SeqCst) == 0 {
            thread::yield_now();
        }
        // Waits for the threads.
        executor.end();
    });
}

/// What a future drops at the shutdown spawns again: that is dropped, too.
#[test]
fn spawn_in_drop_vs_shutdown() {
    struct Spawner(Handle, Arc<Tokens>);
    impl Drop for Spawner {
        fn drop(&mut self) {
            drop(spawn(&self.0, &self.1, pending::<()>()));
        }
    }

    explore(40, || {
        let executor = Executor::new(1);
        let spawner = Spawner(executor.handle.clone(), Arc::clone(&executor.tokens));
        drop(executor.spawn(async move {
            let _spawner = spawner;
            pending::<()>().await;
        }));
        executor.end();
    });
}

/// A task blocks in place, or comes back from there, while the executor ends.
#[test]
fn block_in_place_vs_shutdown() {
    explore(40, || {
        let executor = Executor::new(1);
        let task = executor.spawn(async {
            block_in_place(thread::yield_now);
            pending::<()>().await;
        });
        executor.handle.shutdown(None);
        assert!(wait(task).expect_err("it never ends").is_cancelled());
        executor.ended();
    });
}
