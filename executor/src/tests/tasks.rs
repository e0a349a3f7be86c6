//! Tasks on the workers: spawned, woken, stolen, rescued.

use super::*;
use crate::slots::Seat;
use crate::worker::{Role, Worker};
use crate::{CoreTime, Probe};
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Barrier;
use std::time::Instant;

#[test]
fn tasks_are_joined_inside_and_outside() {
    watched(|| {
        for workers in [1, 2, 4] {
            let executor = Executor::multi_thread(workers);
            let sum = executor.block_on(executor.spawn(async {
                let tasks: Vec<_> = (0..1000).map(|n| spawn(async move { n })).collect();
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.expect("no panic");
                }
                sum
            }));
            assert_eq!(sum.expect("no panic"), 499_500);
            let tasks: Vec<_> = (0..1000)
                .map(|n| executor.spawn(async move { n }))
                .collect();
            let sum = executor.block_on(async {
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.expect("no panic");
                }
                sum
            });
            assert_eq!(sum, 499_500);
            assert_eq!(executor.handle.live_tasks(), 0);
        }
    });
}

#[test]
fn wakes_from_foreign_threads_arrive() {
    watched(|| {
        let executor = Executor::multi_thread(2);
        for _ in 0..rounds(200) {
            let gates: Vec<_> = (0..4).map(|_| Gate::new()).collect();
            let tasks: Vec<_> = gates
                .iter()
                .map(|gate| {
                    let gate = Arc::clone(gate);
                    executor.spawn(async move { gate.wait().await })
                })
                .collect();
            thread::scope(|scope| {
                for gate in &gates {
                    scope.spawn(|| gate.open());
                }
            });
            for task in tasks {
                executor.block_on(task).expect("no panic");
            }
        }
    });
}

#[test]
fn two_tasks_that_spin_for_each_other_run_at_once() {
    watched(|| {
        let executor = Executor::multi_thread(2);
        for _ in 0..rounds(50) {
            // Spawned from outside, and by a task.
            let barrier = Arc::new(Barrier::new(2));
            let meet = |barrier: &Arc<Barrier>| {
                let barrier = Arc::clone(barrier);
                async move {
                    barrier.wait();
                }
            };
            let outside = [
                executor.spawn(meet(&barrier)),
                executor.spawn(meet(&barrier)),
            ];
            for task in outside {
                executor.block_on(task).expect("no panic");
            }
            let inside =
                executor.spawn(async move { [spawn(meet(&barrier)), spawn(meet(&barrier))] });
            for task in executor.block_on(inside).expect("no panic") {
                executor.block_on(task).expect("no panic");
            }
        }
    });
}

#[test]
fn work_spreads_over_all_workers() {
    watched(|| {
        const WORKERS: usize = 4;
        let executor = Executor::multi_thread(WORKERS);
        // One task spawns all, and each of them waits until all workers have one.
        let barrier = Arc::new(Barrier::new(WORKERS));
        let spawner = executor.spawn(async move {
            let meeting = (0..WORKERS).map(|_| {
                let barrier = Arc::clone(&barrier);
                spawn(async move {
                    barrier.wait();
                    thread::current().id()
                })
            });
            meeting.collect::<Vec<_>>()
        });
        let tasks = executor.block_on(spawner).expect("no panic");
        let threads: HashSet<_> = tasks
            .into_iter()
            .map(|task| executor.block_on(task).expect("no panic"))
            .collect();
        assert_eq!(threads.len(), WORKERS);
    });
}

#[test]
fn a_task_that_yields_lets_the_others_run() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        let gate = Gate::new();
        let opened = Arc::clone(&gate);
        let yielding = executor.spawn(async move {
            while !opened.is_open.load(SeqCst) {
                yield_now().await;
            }
        });
        let opening = executor.spawn(async move { gate.open() });
        executor.block_on(opening).expect("no panic");
        executor.block_on(yielding).expect("no panic");
    });
}

#[test]
fn tasks_that_wake_each_other_do_not_starve_a_third() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        let is_over = Arc::new(AtomicBool::new(false));
        let wakers = Arc::new(Mutex::new([const { None::<Waker> }; 2]));
        for me in 0..2 {
            let (is_over, wakers) = (Arc::clone(&is_over), Arc::clone(&wakers));
            executor.spawn(poll_fn(move |cx| {
                let other = {
                    let mut wakers = wakers.lock();
                    wakers[me] = Some(cx.waker().clone());
                    wakers[1 - me].clone()
                };
                if let Some(other) = other {
                    other.wake();
                }
                if is_over.load(SeqCst) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }));
        }
        let third = executor.spawn(async move {
            yield_now().await;
            is_over.store(true, SeqCst);
        });
        executor.block_on(third).expect("no panic");
    });
}

#[test]
fn a_panic_ends_its_task_and_nothing_else() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        for n in 0..20 {
            let task = executor.spawn(async move {
                assert!(n % 2 == 0, "odd");
                n
            });
            match executor.block_on(task) {
                Ok(even) => assert_eq!(even, n),
                Err(error) => assert!(error.is_panic() && n % 2 == 1),
            }
        }
    });
}

#[test]
fn the_watchman_rescues_what_a_long_poll_holds_back() {
    watched(|| {
        let executor = Executor::multi_thread(2);
        let mut watchman = executor.handle.watchman();
        let gate = Gate::new();
        let opened = Arc::clone(&gate);
        // The task that it spawned lies in its LIFO slot, and nobody is notified for that alone.
        let stuck = executor.spawn(async move {
            let rescued = spawn(async move { gate.open() });
            spin_until(|| opened.is_open.load(SeqCst));
            [rescued]
        });
        while !stuck.is_finished() {
            let _ = watchman.look(Instant::now(), |_| ());
            thread::yield_now();
        }
        let [rescued] = executor.block_on(stuck).expect("no panic");
        executor.block_on(rescued).expect("no panic");
    });
}

thread_local! {
    /// Milliseconds of CPU time that every thread has used, as the system tells, and how often it was asked.
    static USED: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

fn used() -> Duration {
    let (used, asked) = USED.get();
    USED.set((used, asked + 1));
    Duration::from_millis(used)
}

#[test]
fn a_poll_is_reported_when_it_has_computed_for_long_enough() {
    watched(|| {
        let mut config = config(Flavor::MultiThread, 1);
        config.rescue = None;
        config.slow_polls.threshold = Duration::from_millis(10);
        config.probe = Some(Probe {
            id: || 1,
            blocked: |_| Some(false),
            core_time: |_| {
                Some(CoreTime {
                    ran: used(),
                    waited: Duration::ZERO,
                })
            },
            unused: || None,
        });
        let executor = Executor::start(config);
        let mut watchman = executor.handle.watchman();
        let [began, ends] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let task = executor.spawn({
            let (began, ends) = (Arc::clone(&began), Arc::clone(&ends));
            async move {
                began.store(true, SeqCst);
                spin_until(|| ends.load(SeqCst));
            }
        });
        spin_until(|| began.load(SeqCst));
        let mut now = Instant::now();
        // Looks once a millisecond, in which the thread has had its core for a part of the time.
        let mut reported_after = |millis: u64, part: u64| {
            (0..millis).find(|milli| {
                now += Duration::from_millis(1);
                let (used, asked) = USED.get();
                USED.set((used + u64::from(milli % part == 0), asked));
                let _ = watchman.look(now, |_| ());
                executor.handle.shared().counters.slow_polls.load(SeqCst) == 1
            })
        };
        assert_eq!(reported_after(2, 1), None);
        assert_eq!(USED.get().1, 0, "most polls end before a report is due");
        // Of the ten milliseconds that make a poll slow, two had passed before, and four are forgiven: the system may be so late.
        assert_eq!(reported_after(30, 10), None, "it waits for a core");
        let asked = USED.get().1;
        assert!((2..=12).contains(&asked), "asked {asked} times in 32 looks");
        assert!(reported_after(7, 1).is_some(), "it computes");
        // A watchman that has had no core itself knows nothing of it yet.
        let mut late = executor.handle.watchman();
        for millis in [0, 12, 1] {
            now += Duration::from_millis(millis);
            let _ = late.look(now, |_| ());
        }
        assert_eq!(executor.handle.shared().counters.slow_polls.load(SeqCst), 1);
        ends.store(true, SeqCst);
        executor.block_on(task).expect("no panic");
    });
}

#[test]
fn block_in_place_keeps_the_others_going_and_the_spare_retires() {
    watched(|| {
        let counts = [const { AtomicUsize::new(0) }; 2];
        let counts = Arc::new(counts);
        let [started, stopped] = [0, 1].map(|which| {
            let counts = Arc::clone(&counts);
            let hook: crate::Hook = Arc::new(move || {
                counts[which].fetch_add(1, SeqCst);
            });
            Some(hook)
        });
        let executor = Executor::start(Config {
            on_thread_start: started,
            on_thread_stop: stopped,
            keep_alive: Duration::from_millis(1),
            ..config(Flavor::MultiThread, 1)
        });
        let handle = executor.handle.clone();
        let task = executor.spawn(async move {
            let before = thread::current().id();
            // The only worker blocks until a task, queued before, and one spawned in between have run.
            let queued = spawn(async { thread::current().id() });
            let other = crate::block_in_place(move || {
                let other = handle.block_on(queued).expect("no panic");
                let late = spawn_on(&handle, async {});
                spin_until(|| late.is_finished());
                other
            });
            assert_eq!(thread::current().id(), before);
            assert_ne!(other, before, "a spare took over");
        });
        executor.block_on(task).expect("no panic");
        assert_eq!(counts[0].load(SeqCst), 2);
        // One of the two threads is too many now.
        spin_until(|| counts[1].load(SeqCst) == 1);
        executor
            .block_on(executor.spawn(async {}))
            .expect("one worker is left");
    });
}

#[test]
fn block_in_place_hands_panics_on() {
    watched(|| {
        let executor = Executor::multi_thread(1);
        for _ in 0..20 {
            let task = executor.spawn(async {
                crate::block_in_place(|| panic!("in place"));
            });
            assert!(executor.block_on(task).expect_err("it panicked").is_panic());
        }
        // And without a task, or inside one another.
        assert_eq!(crate::block_in_place(|| crate::block_in_place(|| 1)), 1);
    });
}

#[test]
fn hooks_that_panic_harm_nobody() {
    watched(|| {
        let hook: crate::Hook = Arc::new(|| std::panic::resume_unwind(Box::new("hook")));
        let executor = Executor::start(Config {
            on_thread_start: Some(Arc::clone(&hook)),
            on_thread_stop: Some(Arc::clone(&hook)),
            on_thread_park: Some(Arc::clone(&hook)),
            on_thread_unpark: Some(hook),
            ..config(Flavor::MultiThread, 2)
        });
        for _ in 0..10 {
            executor
                .block_on(executor.spawn(async {}))
                .expect("no panic");
        }
        let job = executor
            .handle
            .spawn_blocking(|| 5, Location::caller(), None);
        assert_eq!(executor.block_on(job).expect("no panic"), 5);
    });
}

#[test]
fn hooks_may_spawn() {
    watched(|| {
        let spawned = Tokens::new();
        let counted = Arc::clone(&spawned);
        let executor = Executor::start(Config {
            on_thread_start: Some(Arc::new(move || {
                let token = counted.token();
                drop(spawn(async move { drop(token) }));
            })),
            ..config(Flavor::MultiThread, 2)
        });
        spin_until(|| spawned.dropped() == 2);
        drop(executor);
    });
}

#[test]
fn it_is_time_to_notify_for_the_lifo_slot_every_50_us() {
    let executor = Executor::multi_thread(1);
    let shared = executor.handle.shared();
    let slot = shared.slots.take(Seat::Guest).expect("none is taken");
    let worker = Worker::new(shared, slot, Role::Guest);
    let start = Instant::now();
    let after = |micros| worker.may_notify_for_lifo(start + Duration::from_micros(micros));
    // So long it has had the slot, at least.
    assert!(after(50));
    let answers = [99, 100, 110, 149, 150, 230].map(after);
    assert_eq!(answers, [false, true, false, false, true, true]);
    worker.leave_slot(Seat::Guest);
}
