//! `LocalSet` and `spawn_local`: tasks that stay on one thread.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use runtime::sync::oneshot;
use runtime::task::{LocalSet, spawn_local, yield_now};
use runtime::time::sleep;
use runtime_tests::{
    DropCount, LIMIT, Watchdog, current_thread, message_of_panic, multi_thread, on_each, paused,
};

#[test]
fn tasks_share_what_cannot_be_sent() {
    on_each(|| async {
        let local = LocalSet::new();
        let sum = local
            .run_until(async {
                let shared = Rc::new(Cell::new(0));
                let tasks: Vec<_> = (1..=100)
                    .map(|number| {
                        let shared = shared.clone();
                        spawn_local(async move {
                            yield_now().await;
                            shared.set(shared.get() + number);
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                shared.get()
            })
            .await;
        assert_eq!(sum, 5050);
    });
}

#[test]
fn all_polls_happen_on_the_thread_of_the_set() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let local = LocalSet::new();
    let home = thread::current().id();
    local.block_on(&runtime, async move {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                spawn_local(async move {
                    for _ in 0..10 {
                        assert_eq!(thread::current().id(), home);
                        // Woken by a worker, polled at home nevertheless.
                        runtime::spawn(yield_now()).await.unwrap();
                    }
                    assert_eq!(thread::current().id(), home);
                    sleep(Duration::from_millis(1)).await;
                    assert_eq!(thread::current().id(), home);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn spawned_before_run_until_and_awaited_as_a_future() {
    on_each(|| async {
        let log = Rc::new(RefCell::new(Vec::new()));
        let local = LocalSet::new();
        for number in 0..3 {
            let log = log.clone();
            local.spawn_local(async move {
                log.borrow_mut().push(number);
                let inner = log.clone();
                // A task spawned by a task of the set belongs to the set.
                spawn_local(async move { inner.borrow_mut().push(number + 10) });
            });
        }
        assert!(log.borrow().is_empty(), "nothing runs before the set does");
        local.await;
        log.borrow_mut().sort_unstable();
        assert_eq!(*log.borrow(), [0, 1, 2, 10, 11, 12]);
    });
}

#[test]
fn dropping_the_set_drops_its_tasks() {
    on_each(|| async {
        let count = DropCount::new();
        let local = LocalSet::new();
        let mut tasks = Vec::new();
        for _ in 0..5 {
            let token = count.token();
            tasks.push(local.spawn_local(async move {
                let _token = token;
                pending::<()>().await;
            }));
        }
        local.run_until(yield_now()).await;
        assert_eq!(count.dropped(), 0);
        drop(local);
        assert_eq!(count.dropped(), 5);
        for task in tasks {
            assert!(task.await.unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_set_dropped_outside_the_runtime_drops_its_tasks() {
    let _watchdog = Watchdog::new(LIMIT);
    let count = DropCount::new();
    let local = LocalSet::new();
    let runtime = current_thread();
    let token = count.token();
    local.spawn_local(async move {
        let _token = token;
        sleep(Duration::from_secs(3600)).await;
    });
    local.block_on(&runtime, yield_now());
    drop(runtime);
    drop(local);
    assert_eq!(count.dropped(), 1);
}

#[test]
fn a_waker_of_a_local_task_may_be_woken_by_any_thread_also_after_the_set() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = current_thread();
    let local = LocalSet::new();
    let (waker_sender, waker_receiver) = std::sync::mpsc::channel();
    let (done, is_done) = oneshot::channel();
    let foreign = thread::spawn(move || {
        let waker: std::task::Waker = waker_receiver.recv().unwrap();
        done.send(()).unwrap();
        waker.wake_by_ref();
        waker
    });
    local.block_on(&runtime, async move {
        spawn_local(async move {
            let waker = std::future::poll_fn(|cx| std::task::Poll::Ready(cx.waker().clone())).await;
            waker_sender.send(waker).unwrap();
            is_done.await.unwrap();
        })
        .await
        .unwrap();
    });
    drop(local);
    drop(runtime);
    foreign.join().unwrap().wake();
}

#[test]
fn whoever_aborts_wakes_or_lets_go_of_a_local_task_it_is_dropped_at_home() {
    struct Home(Rc<Cell<u32>>, thread::ThreadId);
    impl Drop for Home {
        fn drop(&mut self) {
            assert_eq!(
                thread::current().id(),
                self.1,
                "dropped on a foreign thread"
            );
            self.0.set(self.0.get() + 1);
        }
    }
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(2)] {
        let local = LocalSet::new();
        let dropped = Rc::new(Cell::new(0));
        local.block_on(&runtime, async {
            for ends in 0..3 {
                for round in 0..50 {
                    let home = Home(dropped.clone(), thread::current().id());
                    let (give, waker) = std::sync::mpsc::channel();
                    let (end, has_ended) = oneshot::channel::<()>();
                    let task = spawn_local(async move {
                        let _home = home;
                        let own =
                            std::future::poll_fn(|cx| std::task::Poll::Ready(cx.waker().clone()))
                                .await;
                        give.send(own).unwrap();
                        let _ = has_ended.await;
                        if ends != 0 {
                            pending::<()>().await;
                        }
                    });
                    // A handle whose output can be sent may be anywhere, and so may wakers and abort handles.
                    let elsewhere = runtime::task::spawn_blocking(move || {
                        let waker: std::task::Waker = waker.recv().unwrap();
                        let clones = vec![waker; 1 + round % 3];
                        let _ = end.send(());
                        if ends == 1 {
                            task.abort();
                        }
                        clones.iter().for_each(std::task::Waker::wake_by_ref);
                        if ends == 2 {
                            task.abort_handle().abort();
                            drop(task);
                        }
                        drop(clones);
                    });
                    elsewhere.await.unwrap();
                }
            }
        });
        drop(local);
        assert_eq!(dropped.get(), 150);
    }
}

#[test]
fn a_panic_and_an_abort_belong_to_their_handle() {
    on_each(|| async {
        LocalSet::new()
            .run_until(async {
                let panics = spawn_local(async { panic!("local") });
                let aborted = spawn_local(pending::<()>());
                aborted.abort();
                let goes_on = spawn_local(async { Rc::new(1) });
                assert!(panics.await.unwrap_err().is_panic());
                assert!(aborted.await.unwrap_err().is_cancelled());
                assert_eq!(*goes_on.await.unwrap(), 1);
            })
            .await;
    });
}

#[test]
fn spawn_local_outside_of_a_set_panics_with_the_way_out() {
    let message = message_of_panic(|| spawn_local(async {}));
    assert!(message.contains("LocalSet"), "{message}");
    on_each(|| async {
        let message = message_of_panic(|| spawn_local(async {}));
        assert!(message.contains("LocalSet"), "{message}");
    });
}

#[test]
fn an_entered_set_takes_spawn_local() {
    on_each(|| async {
        let local = LocalSet::new();
        let task = {
            let _entered = local.enter();
            spawn_local(async { Rc::new(3) })
        };
        assert_eq!(*local.run_until(task).await.unwrap(), 3);
    });
}

#[test]
fn two_sets_on_one_thread_do_not_mix() {
    on_each(|| async {
        let (one, other) = (LocalSet::new(), LocalSet::new());
        let seen = Rc::new(Cell::new(0));
        let inside = seen.clone();
        other.spawn_local(async move { inside.set(1) });
        one.run_until(async {
            for _ in 0..20 {
                yield_now().await;
            }
        })
        .await;
        assert_eq!(seen.get(), 0, "the other set was not run");
        other.await;
        assert_eq!(seen.get(), 1);
    });
}

#[test]
fn block_in_place_within_a_set_panics() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    LocalSet::new().block_on(&runtime, async {
        let task = spawn_local(async { runtime::task::block_in_place(|| ()) });
        assert!(task.await.unwrap_err().is_panic());
    });
}

#[test]
fn local_tasks_keep_the_paused_clock_company() {
    paused(async {
        let start = runtime::time::Instant::now();
        LocalSet::new()
            .run_until(async {
                let task = spawn_local(async { sleep(Duration::from_secs(10)).await });
                task.await.unwrap();
            })
            .await;
        assert!(start.elapsed() >= Duration::from_secs(10));
    });
}

#[test]
fn a_local_task_that_never_rests_does_not_starve_the_rest() {
    on_each(|| async {
        LocalSet::new()
            .run_until(async {
                let restless = spawn_local(async {
                    loop {
                        yield_now().await;
                    }
                });
                runtime::spawn(sleep(Duration::from_millis(2)))
                    .await
                    .unwrap();
                restless.abort();
                assert!(restless.await.unwrap_err().is_cancelled());
            })
            .await;
    });
}

#[test]
fn a_set_in_a_thread_local_is_dropped_with_its_thread() {
    thread_local!(static SET: LocalSet = LocalSet::new());
    let _watchdog = Watchdog::new(LIMIT);
    // Thread-locals are destroyed in the reverse order of their first use: with the runtime's own
    // still there, and after them.
    for is_first in [false, true] {
        let count = DropCount::new();
        let token = count.token();
        thread::spawn(move || {
            if is_first {
                SET.with(|_| ());
            }
            let runtime = current_thread();
            runtime.block_on(LocalSet::new().run_until(async {
                spawn_local(yield_now()).await.unwrap();
            }));
            SET.with(|set| {
                set.spawn_local(async move {
                    let _token = token;
                    pending::<()>().await;
                });
                runtime.block_on(set.run_until(yield_now()));
            });
        })
        .join()
        .unwrap();
        assert_eq!(count.dropped(), 1);
    }
}
