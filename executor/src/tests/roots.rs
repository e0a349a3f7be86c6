//! The thread inside `block_on`: guest, current thread, or alone.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

/// The message of a panic.
fn message_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("a message")).to_owned(),
    }
}

#[test]
fn nested_block_on_panics_and_says_what_to_do() {
    watched(|| {
        for executor in [Executor::multi_thread(1), Executor::current_thread()] {
            let other = Executor::multi_thread(1);
            let message = executor.block_on(async { message_of(|| executor.block_on(async {})) });
            assert!(message.contains("spawn_blocking"), "{message}");
            // Of another runtime too.
            let message = executor.block_on(async { message_of(|| other.block_on(async {})) });
            assert!(message.contains("spawn_blocking"), "{message}");
            let handle = executor.handle.clone();
            let task = executor.spawn(async move { message_of(|| handle.block_on(async {})) });
            let message = executor.block_on(task).expect("no panic");
            assert!(message.contains("spawn_blocking"), "{message}");
        }
    });
}

#[test]
fn block_on_is_allowed_on_blocking_threads() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        let handle = executor.handle.clone();
        let nested = move || handle.block_on(spawn_on(&handle, async { 7 }));
        let job = executor
            .handle
            .spawn_blocking(nested, Location::caller(), None);
        let output = executor.block_on(job).expect("no panic");
        assert_eq!(output.expect("no panic"), 7);
    });
}

#[test]
fn a_guest_runs_a_task_that_its_root_woke() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        let root = thread::current().id();
        // A worker that searches may be faster: not always, though.
        let ran_here = (0..100_000).any(|_| {
            let gate = Gate::new();
            let awaited = Arc::clone(&gate);
            let task = executor.spawn(async move {
                awaited.wait().await;
                thread::current().id()
            });
            spin_until(|| gate.has_waiter());
            let mut task = pin!(task);
            let ran_on = executor.block_on(async {
                yield_now().await;
                gate.open();
                task.as_mut().await
            });
            ran_on.expect("no panic") == root
        });
        assert!(ran_here);
    });
}

#[test]
fn a_guest_runs_no_fresh_task() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        let root = thread::current().id();
        for _ in 0..rounds(200) {
            let ran_on = executor.block_on(async { spawn(async { thread::current().id() }).await });
            assert_ne!(ran_on.expect("no panic"), root);
        }
    });
}

#[test]
fn what_a_root_has_spawned_runs_while_the_root_computes() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        let ran = Arc::new(AtomicUsize::new(0));
        executor.block_on(async {
            for _ in 0..100 {
                let ran = Arc::clone(&ran);
                drop(spawn(async move { ran.fetch_add(1, SeqCst) }));
            }
            spin_until(|| ran.load(SeqCst) == 100);
        });
    });
}

#[test]
fn what_a_root_has_spawned_comes_between_tasks_that_never_wait() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        for _ in 0..rounds(20) {
            let done = Arc::new(AtomicBool::new(false));
            let is_done = Arc::clone(&done);
            let busy = executor.spawn(async move {
                while !is_done.load(SeqCst) {
                    yield_now().await;
                }
            });
            executor.block_on(async {
                let tasks = [(); 10].map(|()| spawn(async {}));
                for task in tasks {
                    task.await.expect("no panic");
                }
                done.store(true, SeqCst);
                busy.await.expect("no panic");
            });
        }
    });
}

#[test]
fn without_guests_no_task_runs_on_the_root_s_thread() {
    watched(|| {
        let executor = Executor::start(Config {
            guest: false,
            ..config(Flavor::MultiThread, 1)
        });
        let root = thread::current().id();
        for _ in 0..rounds(200) {
            let gate = Gate::new();
            let awaited = Arc::clone(&gate);
            let task = executor.spawn(async move {
                awaited.wait().await;
                thread::current().id()
            });
            spin_until(|| gate.has_waiter());
            let ran_on = executor.block_on(async {
                gate.open();
                task.await
            });
            assert_ne!(ran_on.expect("no panic"), root);
        }
    });
}

#[test]
fn more_roots_than_guests_are_all_served() {
    watched(|| {
        let executor = Executor::multi_thread(2);
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..rounds(20) {
                        let task = executor.spawn(yield_now());
                        executor.block_on(task).expect("no panic");
                    }
                });
            }
        });
    });
}

#[test]
fn roots_and_tasks_pass_a_ball_and_lose_no_wake() {
    watched(|| {
        for executor in [Executor::multi_thread(2), Executor::current_thread()] {
            for _ in 0..rounds(500) {
                let (there, back) = (Gate::new(), Gate::new());
                let (awaited, answer) = (Arc::clone(&there), Arc::clone(&back));
                let task = executor.spawn(async move {
                    awaited.wait().await;
                    answer.open();
                });
                executor.block_on(async {
                    there.open();
                    back.wait().await;
                    task.await.expect("no panic");
                });
            }
        }
    });
}

#[test]
fn foreign_threads_wake_a_root() {
    watched(|| {
        for executor in [Executor::multi_thread(1), Executor::current_thread()] {
            for _ in 0..rounds(200) {
                let gate = Gate::new();
                thread::scope(|scope| {
                    scope.spawn(|| gate.open());
                    executor.block_on(gate.wait());
                });
            }
        }
    });
}

#[test]
fn two_threads_share_a_current_thread_executor() {
    watched(|| {
        let executor = Executor::current_thread();
        for _ in 0..rounds(100) {
            // Each root needs tasks, which run on whichever thread has the slot.
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..10 {
                            let task = executor.spawn(yield_now());
                            executor.block_on(task).expect("no panic");
                        }
                    });
                }
            });
        }
        assert_eq!(executor.handle.live_tasks(), 0);
    });
}

#[test]
fn the_slot_of_a_current_thread_executor_is_passed_on() {
    watched(|| {
        let executor = Executor::current_thread();
        let (first, second) = (Gate::new(), Gate::new());
        thread::scope(|scope| {
            let waits = scope.spawn(|| executor.block_on(first.wait()));
            spin_until(|| first.has_waiter());
            // Has no slot at first; its task runs on the other thread, or on its own once that one has left.
            let opened = Arc::clone(&second);
            let other = scope.spawn(|| {
                executor.block_on(async {
                    spawn(async move { opened.open() }).await.expect("no panic");
                    second.wait().await;
                    yield_now().await;
                    spawn(yield_now()).await.expect("no panic");
                });
            });
            first.open();
            waits.join().expect("no panic");
            other.join().expect("no panic");
        });
    });
}

#[test]
fn no_task_of_a_current_thread_executor_runs_outside_of_block_on() {
    let executor = Executor::current_thread();
    let tokens = Tokens::new();
    let token = tokens.token();
    let task = executor.spawn(async move {
        drop(token);
        thread::current().id()
    });
    assert_eq!(tokens.dropped(), 0);
    executor.block_on(async {});
    let ran_on = executor.block_on(task).expect("no panic");
    assert_eq!(ran_on, thread::current().id());
}

#[test]
fn a_root_that_panics_leaves_its_slot() {
    watched(|| {
        for executor in [Executor::multi_thread(1), Executor::current_thread()] {
            for _ in 0..20 {
                let message = message_of(|| executor.block_on(async { panic!("root") }));
                assert_eq!(message, "root");
            }
            executor
                .block_on(executor.spawn(async {}))
                .expect("no panic");
        }
    });
}

#[test]
fn a_root_goes_on_after_the_shutdown() {
    watched(|| {
        for executor in [Executor::multi_thread(1), Executor::current_thread()] {
            executor.handle.shutdown(None);
            let gate = Gate::new();
            thread::scope(|scope| {
                scope.spawn(|| {
                    spin_until(|| gate.has_waiter());
                    gate.open();
                });
                executor.block_on(async {
                    let late = spawn(async {}).await;
                    assert!(late.expect_err("too late").is_cancelled());
                    gate.wait().await;
                });
            });
        }
    });
}

#[test]
fn a_root_goes_on_while_it_is_shut_down() {
    watched(|| {
        for executor in [Executor::multi_thread(1), Executor::current_thread()] {
            let gate = Gate::new();
            thread::scope(|scope| {
                let root = scope.spawn(|| executor.block_on(gate.wait()));
                spin_until(|| gate.has_waiter());
                executor.handle.shutdown(None);
                assert!(!root.is_finished());
                gate.open();
            });
        }
    });
}
