//! The end of an executor: every future is dropped once, and nobody waits for ever.

use super::*;
use std::future::pending;

#[test]
fn every_future_is_dropped_once_though_spawns_race() {
    watched(|| {
        for round in 0..rounds(30) {
            let executor = match round % 4 {
                3 => Executor::current_thread(),
                workers => Executor::multi_thread(1 + workers),
            };
            let tokens = Tokens::new();
            let wakers = Mutex::new(Vec::<Waker>::new());
            let wakers = Arc::new(wakers);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| spawn_until_refused(&executor.handle, &tokens, &wakers));
                }
                scope.spawn(|| {
                    spin_until(|| tokens.made() > 200);
                    executor.handle.shutdown(None);
                });
                scope.spawn(|| {
                    // Wakes tasks before, while and after they are dropped.
                    while executor.closed() == 0 {
                        let waker = wakers.lock().pop();
                        waker.map_or_else(thread::yield_now, Waker::wake);
                    }
                });
            });
            for waker in wakers.lock().drain(..) {
                waker.wake();
            }
            assert_eq!(tokens.made(), tokens.dropped(), "round {round}");
            assert_eq!(executor.handle.live_tasks(), 0);
        }
    });
}

/// Spawns tasks of all kinds until one is cancelled at once.
fn spawn_until_refused(handle: &Handle, tokens: &Arc<Tokens>, wakers: &Arc<Mutex<Vec<Waker>>>) {
    for kind in 0.. {
        let (token, inner) = (tokens.token(), tokens.token());
        let wakers = Arc::clone(wakers);
        let task = spawn_on(handle, async move {
            let _token = token;
            match kind % 4 {
                0 => {}
                1 => pending().await,
                2 => loop {
                    yield_now().await;
                },
                _ => {
                    let child = spawn(async move {
                        let _inner = inner;
                        pending::<()>().await;
                    });
                    poll_fn(|cx| {
                        wakers.lock().push(cx.waker().clone());
                        Poll::<()>::Pending
                    })
                    .await;
                    drop(child);
                }
            }
        });
        if task.is_finished() && kind % 4 == 1 {
            return;
        }
    }
}

#[test]
fn no_more_slots_are_made_than_are_served() {
    watched(|| {
        let executor = Executor::multi_thread(2);
        executor.handle.block_on(async {
            let task = executor.spawn(yield_now());
            task.await.expect("no panic");
        });
        executor.handle.shutdown(None);
        let made = executor.handle.shared().slots.count_made();
        assert_eq!(made, 3, "two workers and a guest");
    });
}

#[test]
fn handles_of_dropped_tasks_say_cancelled() {
    watched(|| {
        let executor = Executor::multi_thread(2);
        let tasks: Vec<_> = (0..100).map(|_| executor.spawn(pending::<()>())).collect();
        assert!(executor.handle.shutdown(None));
        for task in tasks {
            let error = executor.block_on(task).expect_err("it never ends");
            assert!(error.is_cancelled());
        }
    });
}

#[test]
fn nothing_keeps_an_executor_that_is_shut_down() {
    watched(|| {
        for executor in [Executor::multi_thread(2), Executor::current_thread()] {
            executor.block_on(async {
                spawn(yield_now()).await.expect("no panic");
                drop(spawn(pending::<()>()));
            });
            let weak = executor.handle.downgrade();
            drop(executor);
            assert!(weak.upgrade().is_none());
        }
    });
}

#[test]
fn a_waker_outlives_the_executor() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let task = executor.spawn(async move { awaited.wait().await });
        spin_until(|| gate.has_waiter());
        drop(executor);
        gate.open();
        assert!(task.is_finished());
    });
}

#[test]
fn a_shutdown_from_inside_only_signals() {
    watched(|| {
        let executor = Executor::multi_thread(2);
        let tokens = Tokens::new();
        let (token, handle) = (tokens.token(), executor.handle.clone());
        let task = executor.spawn(async move {
            let _token = token;
            handle.shutdown(None);
            pending::<()>().await;
        });
        spin_until(|| executor.closed() > 0);
        assert_eq!(tokens.dropped(), 1);
        assert!(task.is_finished());
    });
}

#[test]
fn a_stuck_thread_is_not_waited_for_longer_than_asked() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        let tokens = Tokens::new();
        let (release, is_released) = mpsc::channel::<()>();
        let (begin, has_begun) = mpsc::channel();
        let of_stuck = Arc::clone(&tokens);
        let stuck = executor.handle.spawn(
            async move {
                let _token = of_stuck.token();
                // These lie in its slot, and one waits outside.
                for _ in 0..3 {
                    let token = of_stuck.token();
                    spawn(async move { drop(token) });
                }
                let _ = begin.send(());
                let _ = is_released.recv();
                pending::<()>().await;
            },
            Location::caller(),
            Some("stuck".into()),
        );
        has_begun.recv().expect("it begins");
        let token = tokens.token();
        executor.spawn(async move { drop(token) });
        assert!(!executor.handle.shutdown(Some(Duration::from_millis(1))));
        // The others have been dropped, this one not.
        assert_eq!(tokens.dropped(), 4);
        assert!(!stuck.is_finished());
        let described = executor.handle.stuck();
        assert!(
            described.len() == 1 && described[0].contains("stuck"),
            "{described:?}"
        );
        assert_eq!(executor.closed(), 0, "its thread has not ended");
        release.send(()).expect("it waits");
        spin_until(|| executor.closed() > 0);
        assert_eq!(tokens.dropped(), 5);
        assert!(stuck.is_finished());
    });
}

#[test]
fn several_shutdowns_at_once_are_one() {
    watched(|| {
        for _ in 0..rounds(20) {
            let executor = Executor::multi_thread(2);
            let tokens = Tokens::new();
            for _ in 0..10 {
                let token = tokens.token();
                executor.spawn(async move {
                    let _token = token;
                    pending::<()>().await;
                });
            }
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| executor.handle.shutdown(None));
                }
            });
            spin_until(|| executor.closed() > 0);
            assert_eq!(executor.closed(), 1);
            assert_eq!(tokens.dropped(), 10);
        }
    });
}

#[test]
fn a_shutdown_while_tasks_block_in_place() {
    watched(|| {
        for _ in 0..rounds(20) {
            let executor = Executor::multi_thread(2);
            let tokens = Tokens::new();
            let (begin, has_begun) = mpsc::channel();
            for _ in 0..4 {
                let (token, begin) = (tokens.token(), begin.clone());
                executor.spawn(async move {
                    let _token = token;
                    crate::block_in_place(|| {
                        let _ = begin.send(());
                        thread::yield_now();
                    });
                    pending::<()>().await;
                });
            }
            has_begun.recv().expect("it begins");
            assert!(executor.handle.shutdown(None));
            assert_eq!(tokens.made(), tokens.dropped());
        }
    });
}

#[test]
fn threads_that_cannot_be_started_are_an_error() {
    watched(|| {
        let config = Config {
            stack_size: Some(1 << 60),
            ..config(Flavor::MultiThread, 2)
        };
        let park = Arc::new(ThreadPark::new(config.slots()));
        assert!(Handle::start(config, park).is_err());
    });
}

#[test]
fn spawn_wake_shutdown() {
    watched(|| {
        for round in 0..rounds(100) {
            let executor = Executor::multi_thread(1 + round % 3);
            let gates: Vec<_> = (0..20).map(|_| Gate::new()).collect();
            let tokens = Tokens::new();
            for gate in &gates {
                let (gate, token) = (Arc::clone(gate), tokens.token());
                executor.spawn(async move {
                    let _token = token;
                    gate.wait().await;
                    drop(spawn(yield_now()));
                });
            }
            thread::scope(|scope| {
                scope.spawn(|| gates.iter().for_each(|gate| gate.open()));
                scope.spawn(|| drop(executor));
            });
            assert_eq!(tokens.dropped(), 20, "round {round}");
        }
    });
}
