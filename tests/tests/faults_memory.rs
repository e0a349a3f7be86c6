//! What a fault leaves behind: an allocator that counts says how many bytes are in use, so that a test sees a leak of a byte a
//! round, and how many were in use at most. Each test has a process of its own, where nobody else allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, set_hook, take_hook};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use runtime::net::UnixStream;
use runtime::runtime::{Handle, Runtime, RuntimeFlavor};
use runtime::signal::unix::{SignalKind, signal};
use runtime::task::{JoinSet, spawn_blocking, yield_now};
use runtime::time::{Sleep, sleep, sleep_until};
use runtime_tests::process::{descriptors, threads};
use runtime_tests::{
    LIMIT, PanicOnDrop, Watchdog, child, counting_waker, current_thread, large, multi_thread,
    yield_until,
};
use rustix::process::{Signal, getpid, kill_process};

/// The system's allocator, which counts.
struct Counting;

/// Bytes in use.
static IN_USE: AtomicUsize = AtomicUsize::new(0);
/// The most bytes that were in use since [`begin_peak`].
static PEAK: AtomicUsize = AtomicUsize::new(0);

impl Counting {
    fn add(bytes: usize) {
        let now = IN_USE.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(now, Ordering::Relaxed);
    }

    fn take_off(bytes: usize) {
        IN_USE.fetch_sub(bytes, Ordering::Relaxed);
    }
}

// SAFETY: it does what `System` does; counting touches none of the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        // SAFETY: the caller promises us what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Counting::take_off(layout.size());
        // SAFETY: as above; the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}

/// Forgets the peak so far and returns the bytes in use.
fn begin_peak() -> usize {
    let now = in_use();
    PEAK.store(now, Ordering::Relaxed);
    now
}

fn peak() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// What the deques' memory reclamation may hold back at one moment and not at another: a few bags of buffers for each thread
/// that has touched one. Seen: 70 kB.
const HELD_BACK: usize = 160 << 10;

/// Does `round` some times to warm up and then `rounds` times, and panics if more than `slack` bytes are in use after that
/// than before.
///
/// Threads that end may give back what they have a moment later, so it waits for that.
#[track_caller]
fn leaves_nothing(rounds: usize, slack: usize, mut round: impl FnMut()) {
    for _ in 0..rounds / 10 + 3 {
        round();
    }
    let before = in_use();
    for _ in 0..rounds {
        round();
    }
    comes_back_to(before + slack);
}

/// Waits until at most `bytes` are in use.
#[track_caller]
fn comes_back_to(bytes: usize) {
    let end = Instant::now() + LIMIT / 4;
    while in_use() > bytes {
        let now = in_use();
        assert!(
            Instant::now() < end,
            "{now} bytes are in use, {} too many",
            now - bytes
        );
        std::thread::yield_now();
    }
}

/// Runs `body` without a word about each panic.
fn quietly(body: impl Fn()) {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    body();
    set_hook(hook);
}

/// Makes `crowd` sleeps and polls them once, with `waker`, so that they are registered; `None` if the deadline has passed
/// before that was done.
fn register(
    deadline: runtime::time::Instant,
    crowd: usize,
    waker: &Waker,
) -> Option<Vec<Pin<Box<Sleep>>>> {
    let mut sleeps: Vec<_> = (0..crowd)
        .map(|_| Box::pin(sleep_until(deadline)))
        .collect();
    let mut cx = Context::from_waker(waker);
    let all_wait = sleeps
        .iter_mut()
        .all(|sleep| sleep.as_mut().poll(&mut cx).is_pending());
    all_wait.then_some(sleeps)
}

/// How many deadlines are a crowd.
fn a_crowd() -> usize {
    large(1_000_000)
}

/// What stays of a crowd: the headers of the wheel's pages, to be used again. A hundredth of what it takes.
fn kept(crowd: usize) -> usize {
    crowd / 2 + HELD_BACK
}

#[test]
fn a_million_deadlines_at_one_moment_let_others_go_on_and_give_their_memory_back() {
    let name = "a_million_deadlines_at_one_moment_let_others_go_on_and_give_their_memory_back";
    child::run(name, || {
        // How many wakes the timers may make in a row, by `timer`'s `FIRE_LIMIT`; one look at them a turn.
        const IN_A_ROW: usize = 4096;
        let _watchdog = Watchdog::new(LIMIT);
        let crowd = a_crowd();
        for runtime in [current_thread(), multi_thread(1)] {
            let before = in_use();
            let task = runtime.spawn(async move {
                // As long as this machine needs for it just now.
                let mut length = Duration::from_secs(1);
                let (sleeps, wakes) = loop {
                    let (waker, wakes) = counting_waker();
                    let sleeps = register(runtime::time::Instant::now() + length, crowd, &waker);
                    match sleeps {
                        Some(sleeps) if wakes.count() == 0 => break (sleeps, wakes),
                        _ => length *= 2,
                    }
                };
                // Somebody who is always ready to run, and sees how many wakes there are between two turns of its.
                let (mut last, mut most) = (0, 0);
                while last < crowd {
                    yield_now().await;
                    let now = wakes.count();
                    most = most.max(now - last);
                    last = now;
                }
                assert_eq!(wakes.count(), crowd, "each wakes once");
                drop(sleeps);
                most
            });
            let most = runtime.block_on(task).unwrap();
            if runtime.handle().runtime_flavor() == RuntimeFlavor::CurrentThread {
                // With workers, the thread of this task may lose its core while another one fires.
                assert!(most <= IN_A_ROW, "{most} wakes in a row");
            }
            assert_eq!(runtime.metrics().timers().pending(), 0);
            comes_back_to(before + kept(crowd));
        }
    });
}

#[test]
fn a_million_deadlines_that_are_cancelled_give_their_memory_back() {
    let name = "a_million_deadlines_that_are_cancelled_give_their_memory_back";
    child::run(name, || {
        let _watchdog = Watchdog::new(LIMIT);
        let crowd = a_crowd();
        for runtime in [current_thread(), multi_thread(2)] {
            let before = in_use();
            for _ in 0..2 {
                let task = runtime.spawn(async move {
                    let deadline = runtime::time::Instant::now() + Duration::from_secs(3600);
                    let sleeps =
                        register(deadline, crowd, Waker::noop()).expect("an hour is enough");
                    let timers = Handle::current().metrics();
                    assert!(timers.timers().pending() >= crowd);
                    drop(sleeps);
                });
                runtime.block_on(task).unwrap();
                assert_eq!(runtime.metrics().timers().pending(), 0);
                // Of each of the two workers.
                comes_back_to(before + 2 * kept(crowd));
            }
        }
    });
}

#[test]
fn a_thousand_runtimes_leave_no_memory_no_descriptors_and_no_threads() {
    let name = "a_thousand_runtimes_leave_no_memory_no_descriptors_and_no_threads";
    child::run(name, || {
        let _watchdog = Watchdog::new(LIMIT);
        let number = AtomicUsize::new(0);
        let once = || {
            let number = number.fetch_add(1, Ordering::Relaxed);
            let runtime = match number % 4 {
                0 => current_thread(),
                workers => multi_thread(workers),
            };
            runtime.block_on(async {
                let (mut one, mut other) = UnixStream::pair().unwrap();
                runtime::spawn(async move { other.write_all(b"x").await })
                    .await
                    .unwrap()
                    .unwrap();
                one.read_exact(&mut [0]).await.unwrap();
                sleep(Duration::from_micros(100)).await;
                spawn_blocking(|| ()).await.unwrap();
                runtime::spawn(pending::<()>());
                runtime::spawn(sleep(Duration::from_secs(3600)));
                runtime::spawn(async move { one.readable().await });
            });
            match number % 3 {
                0 => drop(runtime),
                1 => runtime.shutdown_timeout(LIMIT),
                _ => runtime.shutdown_background(),
            }
        };
        let has_ended = |before: (usize, usize)| {
            let end = Instant::now() + LIMIT / 4;
            while (threads(), descriptors()) != before {
                // A runtime that ends in the background may take a moment, and so may a thread that was joined.
                assert!(
                    Instant::now() < end,
                    "{:?}, and not {before:?}",
                    (threads(), descriptors())
                );
                std::thread::yield_now();
            }
        };
        // What a process opens once and keeps.
        for make in [current_thread, || multi_thread(3)] {
            let runtime = make();
            runtime.block_on(sleep_inside());
        }
        let before = (threads(), descriptors());
        leaves_nothing(large(1_000), HELD_BACK, once);
        has_ended(before);
    });
}

async fn sleep_inside() {
    sleep(Duration::from_micros(100)).await;
}

#[test]
fn wakers_that_outlive_their_runtime_keep_their_cells_and_nothing_else() {
    let name = "wakers_that_outlive_their_runtime_keep_their_cells_and_nothing_else";
    child::run(name, || {
        static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
        const TASKS: usize = 1_000;
        /// Of each future.
        const SIZE: usize = 4_096;
        let _watchdog = Watchdog::new(LIMIT);
        let round = |make: fn() -> Runtime| {
            let runtime = make();
            for number in 0..TASKS {
                let load = [number as u8; SIZE];
                runtime.spawn(async move {
                    poll_fn(|cx| {
                        WAKERS.lock().unwrap().push(cx.waker().clone());
                        Poll::Ready(())
                    })
                    .await;
                    pending::<()>().await;
                    assert_eq!(load[0], number as u8);
                });
            }
            runtime.block_on(yield_until(|| WAKERS.lock().unwrap().len() == TASKS));
            drop(runtime);
        };
        let flavors: [(fn() -> Runtime, usize); 2] =
            [(current_thread, 0), (|| multi_thread(2), HELD_BACK)];
        for (make, held_back) in flavors {
            WAKERS.lock().unwrap().reserve_exact(TASKS);
            for wakes in [false, true] {
                // The first round warms up.
                round(make);
                WAKERS.lock().unwrap().clear();
                let before = in_use();
                round(make);
                // The cells, in which the futures were.
                comes_back_to(before + TASKS * (SIZE + 512) + held_back);
                for waker in WAKERS.lock().unwrap().drain(..) {
                    if wakes {
                        waker.wake_by_ref();
                        waker.wake();
                    }
                }
                comes_back_to(before + held_back);
            }
        }
    });
}

/// A future that has its output at its first poll and panics when it is dropped.
struct Bomb(#[allow(dead_code)] PanicOnDrop);

impl Future for Bomb {
    type Output = Vec<u8>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Vec<u8>> {
        Poll::Ready(vec![1; 100])
    }
}

#[test]
fn panics_leak_nothing_wherever_they_come_from() {
    child::run("panics_leak_nothing_wherever_they_come_from", || {
        let _watchdog = Watchdog::new(LIMIT);
        let bomb = || PanicOnDrop("dropped");
        // Large enough that each of them shows.
        let load = || vec![7_u8; 1_000];
        for runtime in [current_thread(), multi_thread(2)] {
            let round = || {
                runtime.block_on(async {
                    let mut tasks = JoinSet::new();
                    // In a poll, with a payload of any kind.
                    tasks.spawn(async { panic!("in a poll: {}", 1) });
                    tasks.spawn(async move { panic_any(load()) });
                    tasks.spawn(async move { panic_any((load(), bomb())) });
                    // In the drop of a future: at its end, by abort, and before its first poll.
                    tasks.spawn(async move {
                        let _bomb = bomb();
                        yield_now().await;
                    });
                    for is_polled in [false, true] {
                        let (load, bomb) = (load(), bomb());
                        let task = tasks.spawn(async move {
                            let _held = (load, bomb);
                            pending::<()>().await;
                        });
                        if is_polled {
                            yield_now().await;
                        }
                        task.abort();
                    }
                    let ends = async |mut tasks: JoinSet<()>| {
                        while let Some(ended) = tasks.join_next().await {
                            // The payload may be a bomb.
                            let error = ended.unwrap_err();
                            let _ = catch_unwind(AssertUnwindSafe(|| drop(error)));
                        }
                    };
                    ends(tasks).await;
                    let task = runtime::spawn(Bomb(bomb()));
                    assert!(task.await.unwrap_err().is_panic());
                    // In the drop of an output, and of a payload, that nobody wants: by the worker, and with the handle.
                    let output = runtime::spawn(async move { (load(), bomb()) });
                    yield_until(|| output.is_finished()).await;
                    drop(output);
                    drop(runtime::spawn(async move { (load(), bomb()) }));
                    let payload = runtime::spawn(async move { panic_any((load(), bomb())) as () });
                    yield_until(|| payload.is_finished()).await;
                    drop(payload);
                    drop(runtime::spawn(
                        async move { panic_any((load(), bomb())) as () },
                    ));
                    drop(spawn_blocking(move || (load(), bomb())));
                    drop(spawn_blocking(move || panic_any((load(), bomb())) as ()));
                    let job = spawn_blocking(move || panic_any(load()) as ());
                    assert!(job.await.unwrap_err().is_panic());
                    yield_until(|| {
                        let metrics = Handle::current().metrics();
                        let jobs = metrics.blocking();
                        metrics.num_alive_tasks() == 0 && jobs.jobs() == jobs.jobs_finished()
                    })
                    .await;
                });
            };
            leaves_nothing(large(1_000), HELD_BACK, || quietly(round));
            assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
        }
        // At the shutdown.
        for make in [current_thread, || multi_thread(2)] {
            let round = || {
                let runtime = make();
                for number in 0..10 {
                    let (load, bomb) = (load(), bomb());
                    runtime.spawn(async move {
                        let _held = (load, (number % 2 == 0).then_some(bomb));
                        pending::<()>().await;
                    });
                }
                runtime.block_on(yield_now());
                drop(runtime);
            };
            leaves_nothing(100, HELD_BACK, || quietly(round));
        }
    });
}

#[test]
fn a_storm_of_four_million_wakes_takes_no_memory() {
    child::run("a_storm_of_four_million_wakes_takes_no_memory", || {
        let _watchdog = Watchdog::new(LIMIT);
        let wakes = large(1_000_000);
        for runtime in [current_thread(), multi_thread(2)] {
            let polls = Arc::new(AtomicUsize::new(0));
            let over = Arc::new(AtomicBool::new(false));
            let (sender, receiver) = mpsc::channel();
            let (inside, is_over) = (polls.clone(), over.clone());
            let task = runtime.spawn(poll_fn(move |cx| {
                if inside.fetch_add(1, Ordering::SeqCst) == 0 {
                    sender.send(cx.waker().clone()).unwrap();
                }
                match is_over.load(Ordering::SeqCst) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            }));
            let other = runtime.spawn(async move {
                for _ in 0..20 {
                    sleep(Duration::from_millis(1)).await;
                }
            });
            std::thread::scope(|scope| {
                // The storm needs somebody to drive the current-thread runtime.
                let driver = scope.spawn(|| runtime.block_on(task));
                let waker = receiver.recv().unwrap();
                let before = begin_peak();
                let storm: Vec<_> = (0..4)
                    .map(|_| {
                        let waker = waker.clone();
                        scope.spawn(move || (0..wakes).for_each(|_| waker.wake_by_ref()))
                    })
                    .collect();
                for thread in storm {
                    thread.join().unwrap();
                }
                let peak = peak() - before;
                assert!(peak < 256 << 10, "{peak} bytes");
                over.store(true, Ordering::SeqCst);
                waker.wake();
                driver.join().unwrap().unwrap();
            });
            // Others went on, or can do so.
            runtime.block_on(other).unwrap();
            let polls = polls.load(Ordering::SeqCst);
            assert!((2..=4 * wakes + 2).contains(&polls), "{polls} polls");
        }
    });
}

#[test]
fn a_flood_of_a_million_signals_takes_no_memory_and_is_heard() {
    let name = "a_flood_of_a_million_signals_takes_no_memory_and_is_heard";
    child::run(name, || {
        let _watchdog = Watchdog::new(LIMIT);
        let signals = large(1_000_000);
        for runtime in [current_thread(), multi_thread(2)] {
            runtime.block_on(async {
                let mut listener = signal(SignalKind::user_defined1()).unwrap();
                let flood = spawn_blocking(move || {
                    for _ in 0..signals / 2 {
                        kill_process(getpid(), Signal::USR1).unwrap();
                    }
                });
                let before = begin_peak();
                let mut heard = 0;
                while !flood.is_finished() {
                    listener.recv().await.unwrap();
                    heard += 1;
                    sleep(Duration::from_micros(50)).await;
                    if flood.is_finished() {
                        break;
                    }
                }
                assert!((1..=signals / 2).contains(&heard), "{heard}");
                let peak = peak() - before;
                assert!(peak < 256 << 10, "{peak} bytes");
                flood.await.unwrap();
                // And the last one is never lost.
                kill_process(getpid(), Signal::USR1).unwrap();
                listener.recv().await.unwrap();
            });
        }
    });
}
