//! Threads that cannot be started. Each test has a process of its own, whose address space it
//! limits, so that there is no room for further stacks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use runtime::runtime::Builder;
use runtime::time::sleep;
use runtime_tests::process::{address_space, limit, threads};
use runtime_tests::{LIMIT, Watchdog, child};
use rustix::process::Resource;

/// A stack that is large beside all that tests need otherwise.
const STACK: usize = 512 << 20;

/// Leaves room for `stacks` such stacks, and for some more than half of one.
fn leave_room_for(stacks: u64) {
    let rest = STACK as u64 / 8 * 5;
    limit(Resource::As, address_space() + stacks * STACK as u64 + rest);
}

#[test]
fn the_builder_says_so_and_leaves_nothing_behind() {
    child::run("the_builder_says_so_and_leaves_nothing_behind", || {
        let _watchdog = Watchdog::new(LIMIT);
        let before = threads();
        // For none of the threads, for one, for two …
        leave_room_for(3);
        for workers in [8, 4, 64] {
            let error = Builder::new_multi_thread()
                .worker_threads(workers)
                .thread_stack_size(STACK)
                .enable_all()
                .build()
                .expect_err("there is no room for the stacks");
            assert!(
                error.raw_os_error().is_some(),
                "not the system's own error: {error}"
            );
            while threads() > before {
                // A thread that has ended may take a moment to be gone.
                std::thread::yield_now();
            }
        }
        // And one that fits is built all the same.
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
    });
}

#[test]
fn the_blocking_pool_goes_on_with_fewer() {
    child::run("the_blocking_pool_goes_on_with_fewer", || {
        let _watchdog = Watchdog::new(LIMIT);
        let runtime = Builder::new_current_thread()
            .thread_stack_size(STACK)
            .max_blocking_threads(16)
            .enable_all()
            .build()
            .unwrap();
        leave_room_for(2);
        let done = Arc::new(AtomicUsize::new(0));
        let jobs: Vec<_> = (0..500)
            .map(|_| {
                let done = done.clone();
                runtime.spawn_blocking(move || {
                    std::thread::sleep(Duration::from_micros(100));
                    done.fetch_add(1, Ordering::SeqCst);
                })
            })
            .collect();
        runtime.block_on(async {
            sleep(Duration::from_millis(1)).await;
            for job in jobs {
                job.await.unwrap();
            }
        });
        assert_eq!(done.load(Ordering::SeqCst), 500);
        // Two at a time there is room for, and that is made use of.
        let together = Arc::new(Barrier::new(2));
        let pair: Vec<_> = (0..2)
            .map(|_| {
                let together = together.clone();
                runtime.spawn_blocking(move || {
                    together.wait();
                })
            })
            .collect();
        for job in pair {
            runtime.block_on(job).unwrap();
        }
    });
}

#[test]
fn jobs_without_any_thread_are_cancelled_and_never_forgotten() {
    child::run(
        "jobs_without_any_thread_are_cancelled_and_never_forgotten",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            let runtime = Builder::new_current_thread()
                .thread_stack_size(STACK)
                .enable_all()
                .build()
                .unwrap();
            leave_room_for(0);
            for _ in 0..20 {
                let job = runtime.spawn_blocking(|| 1);
                let error = runtime.block_on(job).unwrap_err();
                assert!(error.is_cancelled(), "{error}");
            }
            // Once there is room again, everything works.
            limit(Resource::As, address_space() + 4 * STACK as u64);
            let job = runtime.spawn_blocking(|| 2);
            assert_eq!(runtime.block_on(job).unwrap(), 2);
        },
    );
}
