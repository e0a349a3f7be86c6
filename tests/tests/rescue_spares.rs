//! The threads that stand in for stuck workers: as many as are needed, not more than allowed, and gone afterwards. Each test has a
//! process of its own, whose threads it counts.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use runtime::runtime::{Builder, Runtime};
use runtime::task::{block_in_place, yield_now};
use runtime::time::sleep;
use runtime_tests::process::{address_space, limit, threads};
use runtime_tests::stuck::Trap;
use runtime_tests::{LIMIT, Watchdog, child, spin};
use rustix::process::Resource;

/// How long an idle thread lives here.
const KEEP_ALIVE: Duration = Duration::from_millis(50);

/// How long what must come about is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts the threads that run tasks.
#[derive(Debug, Default)]
struct Threads {
    /// How many have started.
    started: AtomicUsize,
    /// How many are there.
    present: AtomicUsize,
    /// How many were there at most at a time.
    most: AtomicUsize,
}

impl Threads {
    fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    fn present(&self) -> usize {
        self.present.load(Ordering::SeqCst)
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// Builds a runtime and counts its threads. It makes no reports, since that takes a thread.
fn counted(builder: &mut Builder, workers: usize) -> (Runtime, Arc<Threads>) {
    let threads = Arc::new(Threads::default());
    let (start, end) = (threads.clone(), threads.clone());
    let runtime = builder
        .worker_threads(workers)
        .thread_keep_alive(KEEP_ALIVE)
        .slow_poll_threshold(Duration::MAX)
        .on_thread_start(move || {
            let present = start.present.fetch_add(1, Ordering::SeqCst) + 1;
            start.most.fetch_max(present, Ordering::SeqCst);
            start.started.fetch_add(1, Ordering::SeqCst);
        })
        .on_thread_stop(move || {
            end.present.fetch_sub(1, Ordering::SeqCst);
        })
        .build()
        .expect("a runtime");
    // The workers run their hooks on their own.
    while threads.started() < workers {
        thread::yield_now();
    }
    (runtime, threads)
}

/// Waits until of the runtime's threads only the workers and the reactor thread are left, beside the `others` of the process.
fn wait_for_threads(runtime: &Runtime, others: usize) {
    let expected = others + runtime.metrics().num_workers() + 1;
    let start = Instant::now();
    while threads() != expected {
        assert!(
            start.elapsed() < PATIENCE,
            "{} threads are left, and should be {expected}: {:?}",
            threads(),
            runtime_tests::process::thread_names(),
        );
        runtime.block_on(async { sleep(Duration::from_millis(5)).await });
    }
}

/// Lets time pass for the runtime: timers fire and so the watchman has looked.
fn let_time_pass(runtime: &Runtime) {
    for _ in 0..30 {
        runtime.block_on(async { sleep(Duration::from_millis(2)).await });
    }
}

#[test]
fn a_thousand_blockers_one_after_another_leave_no_thread_behind() {
    child::run(
        "a_thousand_blockers_one_after_another_leave_no_thread_behind",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            let others = threads();
            let (runtime, seen) = counted(&mut Builder::new_multi_thread(), 2);
            for number in 0..1_000 {
                // The others must not notice; a few last long enough for everybody to be stuck.
                let millis = if number % 10 == 0 { 10 } else { 3 };
                let blockers = [(); 2].map(|()| {
                    runtime.spawn(async move { thread::sleep(Duration::from_millis(millis)) })
                });
                for blocker in blockers {
                    runtime.block_on(blocker).expect("no panic");
                }
            }
            assert!(seen.started() > 2, "nobody took over: {seen:?}");
            wait_for_threads(&runtime, others);
            assert_eq!(workers_at_work(&runtime, 2), 2);
        },
    );
}

#[test]
fn a_thousand_blockers_in_batches_leave_no_thread_behind() {
    child::run(
        "a_thousand_blockers_in_batches_leave_no_thread_behind",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            let others = threads();
            let (runtime, seen) = counted(&mut Builder::new_multi_thread(), 2);
            for batch in [1, 10, 100, 889] {
                let blockers: Vec<_> = (0..batch)
                    .map(|_| runtime.spawn(async { thread::sleep(Duration::from_millis(3)) }))
                    .collect();
                for blocker in blockers {
                    runtime.block_on(blocker).expect("no panic");
                }
                wait_for_threads(&runtime, others);
            }
            assert!(seen.most() <= 2 + 64, "more than allowed: {seen:?}");
            assert!(seen.started() > 2, "nobody took over: {seen:?}");
            assert_eq!(workers_at_work(&runtime, 2), 2);
            drop(runtime);
            assert_eq!(seen.present(), 0, "each thread that starts ends properly");
        },
    );
}

#[test]
fn blockers_that_come_back_to_the_lane_leave_no_thread_behind() {
    child::run(
        "blockers_that_come_back_to_the_lane_leave_no_thread_behind",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            let others = threads();
            let (runtime, seen) = counted(&mut Builder::new_multi_thread(), 2);
            let blockers: Vec<_> = (0..20)
                .map(|_| {
                    runtime.spawn(async {
                        for _ in 0..20 {
                            thread::sleep(Duration::from_millis(5));
                            yield_now().await;
                        }
                    })
                })
                .collect();
            for blocker in blockers {
                runtime.block_on(blocker).expect("no panic");
            }
            assert!(seen.started() > 2, "nobody took over: {seen:?}");
            wait_for_threads(&runtime, others);
            assert_eq!(workers_at_work(&runtime, 2), 2);
        },
    );
}

#[test]
fn as_many_workers_as_allowed_are_replaced() {
    child::run("as_many_workers_as_allowed_are_replaced", || {
        let _watchdog = Watchdog::new(LIMIT);
        for (workers, spares) in [(1, 1), (2, 2), (1, 8), (2, 64), (4, 128)] {
            let (runtime, seen) =
                counted(Builder::new_multi_thread().rescue_spares(spares), workers);
            // All of them must be in their polls at the same time.
            let all = Arc::new(Barrier::new(workers + spares));
            let tasks: Vec<_> = (0..workers + spares)
                .map(|_| {
                    let all = all.clone();
                    runtime.spawn(async move {
                        all.wait();
                    })
                })
                .collect();
            for task in tasks {
                runtime.block_on(task).expect("no panic");
            }
            assert_eq!(seen.most(), workers + spares);
        }
    });
}

#[test]
fn no_more_workers_than_allowed_are_replaced() {
    child::run("no_more_workers_than_allowed_are_replaced", || {
        let _watchdog = Watchdog::new(LIMIT);
        for (workers, spares) in [(2, 2), (2, 0), (1, 3)] {
            let (runtime, seen) =
                counted(Builder::new_multi_thread().rescue_spares(spares), workers);
            let mut trap = Trap::mutex();
            let (enter, entered) = mpsc::channel();
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    let (block, enter) = (trap.block(), enter.clone());
                    runtime.spawn(async move {
                        enter.send(()).expect("the test counts");
                        block();
                    })
                })
                .collect();
            for _ in 0..workers + spares {
                entered.recv().expect("there is a thread for it");
            }
            // Sockets and timers of a root still work, as the function shows; but no further task runs.
            let_time_pass(&runtime);
            assert!(entered.try_recv().is_err(), "more than {spares} spares");
            assert_eq!(seen.present(), workers + spares);
            trap.release();
            for task in tasks {
                runtime.block_on(task).expect("no panic");
            }
            assert_eq!(entered.try_iter().count(), 8 - workers - spares);
            assert_eq!(workers_at_work(&runtime, workers), workers);
        }
    });
}

#[test]
fn without_a_rescue_no_thread_is_started_and_nothing_but_the_root_goes_on() {
    child::run(
        "without_a_rescue_no_thread_is_started_and_nothing_but_the_root_goes_on",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            for (name, make) in Trap::ALL {
                let mut trap = make();
                let (runtime, seen) = counted(Builder::new_multi_thread().rescue(false), 1);
                let (enter, entered) = mpsc::channel();
                let block = trap.block();
                let stuck = runtime.spawn(async move {
                    enter.send(()).expect("the test waits");
                    block();
                });
                entered.recv().expect("it is polled");
                let other = runtime.spawn(async {});
                runtime.block_on(async {
                    use runtime::io::AsyncReadExt;
                    let (mut one, mut two) = runtime::net::UnixStream::pair().expect("sockets");
                    one.write_all(b"x").await.expect("there is room");
                    sleep(Duration::from_millis(2)).await;
                    assert_eq!(two.read_u8().await.expect("a byte"), b'x');
                });
                let_time_pass(&runtime);
                assert!(!other.is_finished(), "{name}: who ran it?");
                assert_eq!(seen.started(), 1, "{name}");
                trap.release();
                runtime.block_on(stuck).expect("no panic");
                runtime.block_on(other).expect("no panic");
            }
        },
    );
}

/// No spare can be started while there is no room for its stack: the others go on, and once there is room so do all.
#[test]
fn a_spare_that_cannot_be_started_is_not_counted() {
    /// Large beside all that the test needs otherwise.
    const STACK: usize = 512 << 20;
    child::run("a_spare_that_cannot_be_started_is_not_counted", || {
        let _watchdog = Watchdog::new(LIMIT);
        let mut builder = Builder::new_multi_thread();
        let (runtime, seen) = counted(builder.thread_stack_size(STACK), 2);
        let room = STACK as u64 / 8 * 5;
        limit(Resource::As, address_space() + room);
        let mut trap = Trap::mutex();
        let (enter, entered) = mpsc::channel();
        let mut stuck = Vec::new();
        for _ in 0..2 {
            // With one worker left, and then with none: no task runs, but the root has timers and sockets.
            let (block, enter) = (trap.block(), enter.clone());
            stuck.push(runtime.spawn(async move {
                enter.send(()).expect("the test waits");
                block();
            }));
            entered.recv().expect("it is polled");
            let_time_pass(&runtime);
        }
        let late = runtime.spawn(async {});
        let_time_pass(&runtime);
        assert!(!late.is_finished() && seen.started() == 2, "{seen:?}");
        trap.release();
        for task in stuck {
            runtime.block_on(task).expect("no panic");
        }
        runtime.block_on(late).expect("no panic");
        // Nobody was taken for a spare that never came.
        assert_eq!(workers_at_work(&runtime, 2), 2);

        limit(Resource::As, address_space() + room + 4 * STACK as u64);
        let all = Arc::new(Barrier::new(4));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let all = all.clone();
                runtime.spawn(async move {
                    all.wait();
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).expect("no panic");
        }
        assert_eq!(workers_at_work(&runtime, 2), 2);
    });
}

// ---------------------------------------------------------------- with block_in_place

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What a task does in one poll.
#[derive(Clone, Copy)]
enum Step {
    /// Blocks the thread, and says nothing.
    Block(Duration),
    /// Blocks it inside `block_in_place`.
    InPlace(Duration),
    /// Computes.
    Spin(Duration),
    /// Gives way: the next step is in another poll.
    Yield,
    /// Sleeps as a task should.
    Sleep(Duration),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, length) = match self {
            Step::Block(length) => ("block", *length),
            Step::InPlace(length) => ("in place", *length),
            Step::Spin(length) => ("spin", *length),
            Step::Yield => ("yield", Duration::ZERO),
            Step::Sleep(length) => ("sleep", *length),
        };
        write!(f, "{name} {length:?}")
    }
}

impl Step {
    fn any(random: &mut Random) -> Step {
        let length = Duration::from_micros(random.below(8_000));
        match random.below(8) {
            0 | 1 => Step::Block(length),
            2 | 3 => Step::InPlace(length),
            4 => Step::Spin(length / 4),
            5 | 6 => Step::Yield,
            _ => Step::Sleep(length / 4),
        }
    }

    async fn take(self) {
        match self {
            Step::Block(length) => thread::sleep(length),
            Step::InPlace(length) => block_in_place(|| thread::sleep(length)),
            Step::Spin(length) => spin(length),
            Step::Yield => yield_now().await,
            Step::Sleep(length) => sleep(length).await,
        }
    }
}

#[test]
fn block_in_place_before_after_and_between_stuck_polls() {
    child::run(
        "block_in_place_before_after_and_between_stuck_polls",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            let others = threads();
            for (seed, workers, lane) in [(1, 1, 1), (2, 2, 2), (3, 4, 0), (4, 2, 0)] {
                let mut builder = Builder::new_multi_thread();
                let (runtime, seen) = counted(builder.hog_lane(lane), workers);
                let mut random = Random(seed);
                // A few times from rest, rather than once.
                for _ in 0..4 {
                    let tasks: Vec<_> = (0..25)
                        .map(|_| {
                            let steps: Vec<_> = (0..10).map(|_| Step::any(&mut random)).collect();
                            runtime.spawn(async move {
                                for step in steps {
                                    step.take().await;
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        runtime.block_on(task).expect("no panic");
                    }
                }
                assert!(seen.started() > workers, "seed {seed}: nobody took over");
                wait_for_threads(&runtime, others);
                assert_eq!(workers_at_work(&runtime, workers), workers, "seed {seed}");
            }
        },
    );
}

#[test]
fn a_thread_that_was_written_off_steps_aside_and_back() {
    child::run("a_thread_that_was_written_off_steps_aside_and_back", || {
        let _watchdog = Watchdog::new(LIMIT);
        let others = threads();
        let (runtime, seen) = counted(&mut Builder::new_multi_thread(), 2);
        for round in 0..50 {
            let tasks: Vec<_> = (0..2)
                .map(|_| {
                    runtime.spawn(async move {
                        // In one poll: long enough to be written off, before, after, and both.
                        if round % 3 != 0 {
                            thread::sleep(Duration::from_millis(8));
                        }
                        block_in_place(|| thread::sleep(Duration::from_millis(1)));
                        if round % 3 != 1 {
                            thread::sleep(Duration::from_millis(8));
                        }
                        block_in_place(|| ());
                    })
                })
                .collect();
            for task in tasks {
                runtime.block_on(task).expect("no panic");
            }
        }
        assert!(seen.started() > 2, "nobody took over: {seen:?}");
        wait_for_threads(&runtime, others);
        assert_eq!(workers_at_work(&runtime, 2), 2);
    });
}

/// Returns how many threads run tasks at the same time: `expected`, if in any of many attempts it is just that. (On a machine with other
/// things to do, a thread may look stuck for a moment, and then there is one more.)
fn workers_at_work(runtime: &Runtime, expected: usize) -> usize {
    let start = Instant::now();
    let mut last = 0;
    while start.elapsed() < PATIENCE {
        let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..4 * expected)
            .map(|_| {
                let (at_work, most) = (at_work.clone(), most.clone());
                runtime.spawn(async move {
                    for _ in 0..3 {
                        at_work.fetch_add(1, Ordering::SeqCst);
                        // Waits for one more than there should be; not for so long as to look stuck.
                        let start = Instant::now();
                        while start.elapsed() < Duration::from_millis(1) {
                            let now = at_work.load(Ordering::SeqCst);
                            if most.fetch_max(now, Ordering::SeqCst).max(now) > expected {
                                break;
                            }
                            thread::yield_now();
                        }
                        at_work.fetch_sub(1, Ordering::SeqCst);
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).expect("no panic");
        }
        last = most.load(Ordering::SeqCst);
        if last == expected {
            break;
        }
    }
    last
}
