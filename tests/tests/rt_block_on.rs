//! `block_on`: root futures, several at once, nested ones, and panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use runtime::net::{TcpListener, TcpStream};
use runtime::runtime::{Handle, Runtime};
use runtime::task::{block_in_place, spawn_blocking, yield_now};
use runtime::time::sleep;
use runtime_tests::{
    DropCount, LIMIT, Watchdog, current_thread, message_of_panic, multi_thread, on_each,
    on_multi_thread, panic_text,
};

/// Panics unless the message says what went wrong and what to do instead.
#[track_caller]
fn says_the_way_out(message: &str) {
    for part in ["block_on", "await", "spawn_blocking", "block_in_place"] {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

fn each_runtime() -> [Runtime; 3] {
    [current_thread(), multi_thread(1), multi_thread(2)]
}

#[test]
fn the_output_comes_back_and_may_borrow() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in each_runtime() {
        let text = String::from("borrowed");
        let length = runtime.block_on(async {
            yield_now().await;
            text.len()
        });
        assert_eq!(length, 8);
        // Not Send, not 'static.
        let cell = std::rc::Rc::new(std::cell::Cell::new(0));
        runtime.block_on(async {
            for _ in 0..100 {
                runtime::spawn(yield_now()).await.unwrap();
                cell.set(cell.get() + 1);
            }
        });
        assert_eq!(cell.get(), 100);
    }
}

#[test]
fn a_panic_of_the_root_comes_through_and_the_runtime_lives_on() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in each_runtime() {
        for polls in 0..3 {
            let message = message_of_panic(|| {
                runtime.block_on(async {
                    for _ in 0..polls {
                        yield_now().await;
                    }
                    panic!("the root")
                })
            });
            assert_eq!(message, "the root");
            assert!(Handle::try_current().is_err(), "the context is left");
            assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
        }
    }
}

#[test]
fn nested_in_a_root_it_panics_and_says_the_way_out() {
    let _watchdog = Watchdog::new(LIMIT);
    let elsewhere = multi_thread(1);
    let other_flavor = current_thread();
    for runtime in each_runtime() {
        for inner in [runtime.handle(), elsewhere.handle(), other_flavor.handle()] {
            runtime.block_on(async {
                let nested = catch_unwind(AssertUnwindSafe(|| inner.block_on(async { 1 })));
                says_the_way_out(&panic_text(&*nested.unwrap_err()));
                // And nothing is broken afterwards.
                sleep(Duration::from_millis(1)).await;
                assert_eq!(runtime::spawn(async { 1 }).await.unwrap(), 1);
            });
        }
    }
}

#[test]
fn nested_in_a_task_it_panics_and_says_the_way_out() {
    let _watchdog = Watchdog::new(LIMIT);
    let elsewhere = multi_thread(1);
    let other_flavor = current_thread();
    for runtime in each_runtime() {
        for inner in [runtime.handle(), elsewhere.handle(), other_flavor.handle()] {
            let inner = inner.clone();
            let task = runtime.spawn(async move { inner.block_on(async { 1 }) });
            let error = runtime.block_on(task).unwrap_err();
            says_the_way_out(&panic_text(&*error.into_panic()));
            assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
        }
    }
}

#[test]
fn nested_in_the_drop_of_a_tasks_future_it_never_hangs() {
    struct BlocksOnDrop(Handle);
    impl Drop for BlocksOnDrop {
        fn drop(&mut self) {
            let _ = catch_unwind(AssertUnwindSafe(|| self.0.block_on(yield_now())));
        }
    }
    on_each(|| async {
        let blocks = BlocksOnDrop(Handle::current());
        let task = runtime::spawn(async move {
            let _blocks = blocks;
            std::future::pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        assert!(task.await.is_err());
    });
}

#[test]
fn on_a_blocking_thread_it_is_allowed() {
    on_each(|| async {
        let handle = Handle::current();
        let output = spawn_blocking(move || {
            handle.block_on(async {
                sleep(Duration::from_millis(1)).await;
                runtime::spawn(async { 2 }).await.unwrap()
            })
        });
        assert_eq!(output.await.unwrap(), 2);
        let output = spawn_blocking(|| {
            let own = current_thread();
            own.block_on(async { own.spawn(async { 3 }).await.unwrap() })
        });
        assert_eq!(output.await.unwrap(), 3);
    });
}

#[test]
fn in_block_in_place_it_is_allowed() {
    on_multi_thread(async {
        let root = block_in_place(|| {
            Handle::current().block_on(async {
                sleep(Duration::from_millis(1)).await;
                runtime::spawn(async { 4 }).await.unwrap()
            })
        });
        assert_eq!(root, 4);
        let task = runtime::spawn(async {
            let inner = block_in_place(|| {
                Handle::current().block_on(async {
                    sleep(Duration::from_millis(1)).await;
                    runtime::spawn(async { 5 }).await.unwrap()
                })
            });
            yield_now().await;
            inner
        });
        assert_eq!(task.await.unwrap(), 5);
        let deeper = runtime::spawn(async {
            block_in_place(|| {
                Handle::current()
                    .block_on(async { block_in_place(|| Handle::current().block_on(async { 6 })) })
            })
        });
        assert_eq!(deeper.await.unwrap(), 6);
    });
}

#[test]
fn in_block_in_place_another_runtime_may_be_blocked_on() {
    on_multi_thread(async {
        let work = || {
            for other in [current_thread(), multi_thread(1)] {
                let output = block_in_place(|| {
                    other.block_on(async {
                        sleep(Duration::from_millis(1)).await;
                        runtime::spawn(async { 7 }).await.unwrap()
                    })
                });
                assert_eq!(output, 7);
            }
        };
        work();
        runtime::spawn(async move { work() }).await.unwrap();
    });
}

#[test]
fn every_worker_in_block_on_within_block_in_place_at_once_ends() {
    on_multi_thread(async {
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                runtime::spawn(async move {
                    block_in_place(|| {
                        Handle::current().block_on(async {
                            sleep(Duration::from_millis(2)).await;
                            runtime::spawn(async move { number }).await.unwrap()
                        })
                    })
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number);
        }
    });
}

#[test]
fn many_threads_at_once_each_drive_their_root() {
    let _watchdog = Watchdog::new(LIMIT);
    // More than there are places for guests, so that some go without.
    const THREADS: usize = 24;
    for runtime in each_runtime() {
        let together = Barrier::new(THREADS);
        let meeting = Arc::new(runtime::sync::Barrier::new(THREADS));
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (runtime, together, meeting) = (&runtime, &together, meeting.clone());
                scope.spawn(move || {
                    together.wait();
                    runtime.block_on(async move {
                        // All of the roots must be under way for any to pass.
                        meeting.wait().await;
                        for _ in 0..20 {
                            let task = runtime::spawn(async move {
                                yield_now().await;
                                number
                            });
                            assert_eq!(task.await.unwrap(), number);
                        }
                        sleep(Duration::from_millis(1)).await;
                        meeting.wait().await;
                    });
                });
            }
        });
    }
}

#[test]
fn a_root_does_io_and_timers_itself() {
    on_each(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = runtime::join!(TcpStream::connect(address), listener.accept());
        let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
        for number in 0..50_u8 {
            let mut byte = [0];
            client.write_all(&[number]).await.unwrap();
            server.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [number]);
        }
        let start = std::time::Instant::now();
        sleep(Duration::from_millis(3)).await;
        assert!(start.elapsed() >= Duration::from_millis(3));
    });
}

#[test]
fn a_root_is_dropped_by_block_on() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in each_runtime() {
        let count = DropCount::new();
        let token = count.token();
        let _ = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async move {
                let _token = token;
                yield_now().await;
                panic!("root");
            })
        }));
        assert_eq!(count.dropped(), 1);
    }
}

#[test]
fn a_root_woken_by_a_foreign_thread_goes_on() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in each_runtime() {
        let (to_thread, at_thread) = std::sync::mpsc::channel::<u32>();
        let (to_root, mut at_root) = runtime::sync::mpsc::unbounded_channel::<u32>();
        let echo = thread::spawn(move || {
            for number in at_thread {
                to_root.send(number).unwrap();
            }
        });
        runtime.block_on(async move {
            for number in 0..2_000 {
                to_thread.send(number).unwrap();
                assert_eq!(at_root.recv().await, Some(number));
            }
        });
        echo.join().unwrap();
    }
}

#[test]
fn a_root_and_a_task_talk_to_and_fro() {
    on_each(|| async {
        let (to_task, mut at_task) = runtime::sync::mpsc::channel::<u32>(1);
        let (to_root, mut at_root) = runtime::sync::mpsc::channel::<u32>(1);
        let task = runtime::spawn(async move {
            while let Some(number) = at_task.recv().await {
                to_root.send(number + 1).await.unwrap();
            }
        });
        for number in 0..20_000 {
            to_task.send(number).await.unwrap();
            assert_eq!(at_root.recv().await, Some(number + 1));
        }
        drop(to_task);
        task.await.unwrap();
    });
}
