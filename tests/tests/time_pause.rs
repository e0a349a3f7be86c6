//! The clock that stands still: `pause`, `advance`, `resume`, and its own advancing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::net::UnixStream;
use runtime::runtime::Builder;
use runtime::task::{spawn_blocking, yield_now};
use runtime::time::{Instant, advance, pause, resume, sleep, sleep_until, timeout};
use runtime_tests::{
    Flag, LIMIT, Watchdog, current_thread, message_of_panic, multi_thread, on_current_thread,
    paused, spin,
};

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

#[test]
fn it_stands_still_while_work_is_done() {
    paused(async {
        let now = Instant::now();
        spin(5 * MS);
        for _ in 0..100 {
            runtime::spawn(yield_now()).await.unwrap();
        }
        assert_eq!(Instant::now(), now);
    });
}

#[test]
fn it_advances_to_the_next_deadline_when_nothing_else_can_be_done() {
    paused(async {
        let real = std::time::Instant::now();
        let start = Instant::now();
        let log = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [3, 1, 2]
            .into_iter()
            .map(|hours| {
                let log = log.clone();
                runtime::spawn(async move {
                    sleep(hours * HOUR).await;
                    let passed = start.elapsed();
                    assert!(passed >= hours * HOUR && passed < hours * HOUR + 2 * MS);
                    log.lock().unwrap().push(hours);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*log.lock().unwrap(), [1, 2, 3]);
        assert!(real.elapsed() < HOUR);
    });
}

#[test]
fn it_does_not_pass_a_deadline_while_a_task_is_runnable() {
    paused(async {
        let fired = Flag::new();
        let inside = fired.clone();
        runtime::spawn(async move {
            sleep(MS).await;
            inside.set();
        });
        for _ in 0..1_000 {
            yield_now().await;
            assert!(!fired.is_set());
        }
        sleep(2 * MS).await;
        assert!(fired.is_set());
    });
}

#[test]
fn advance_moves_it_by_exactly_as_much_and_fires_what_is_due() {
    paused(async {
        let start = Instant::now();
        let fired = Flag::new();
        let inside = fired.clone();
        let task = runtime::spawn(async move {
            sleep(HOUR).await;
            inside.set();
        });
        yield_now().await;
        advance(HOUR - MS).await;
        assert_eq!(start.elapsed(), HOUR - MS);
        yield_now().await;
        assert!(!fired.is_set());
        advance(MS).await;
        assert_eq!(start.elapsed(), HOUR);
        task.await.unwrap();
        assert!(start.elapsed() < HOUR + 2 * MS);
        assert!(fired.is_set());
    });
}

#[test]
fn pause_and_resume_at_run_time() {
    on_current_thread(async {
        let before = Instant::now();
        pause();
        let frozen = Instant::now();
        assert!(frozen >= before);
        spin(3 * MS);
        assert_eq!(Instant::now(), frozen);
        advance(HOUR).await;
        resume();
        assert!(frozen.elapsed() >= HOUR, "what was advanced stays");
        let real = std::time::Instant::now();
        sleep(3 * MS).await;
        assert!(real.elapsed() >= 3 * MS, "it runs again");
        pause();
        let real = std::time::Instant::now();
        sleep(HOUR).await;
        assert!(real.elapsed() < HOUR);
    });
}

#[test]
fn sleeps_from_before_a_pause_are_kept() {
    on_current_thread(async {
        let start = Instant::now();
        let early = runtime::spawn(sleep_until(start + HOUR));
        yield_now().await;
        pause();
        early.await.unwrap();
        assert!(start.elapsed() >= HOUR);
    });
}

#[test]
fn timeouts_and_io_live_with_it() {
    paused(async {
        let (mut stream, peer) = UnixStream::pair().unwrap();
        let start = Instant::now();
        assert!(timeout(HOUR, stream.read(&mut [0])).await.is_err());
        assert!(start.elapsed() >= HOUR);
        peer.try_write(b"x").unwrap();
        // What the kernel has already is seen before the clock advances.
        timeout(HOUR, stream.read(&mut [0])).await.unwrap().unwrap();
        assert!(start.elapsed() < 2 * HOUR);
    });
}

#[test]
fn misuse_panics_and_says_why() {
    let _watchdog = Watchdog::new(LIMIT);
    assert!(!message_of_panic(|| paused(async { pause() })).is_empty());
    assert!(!message_of_panic(|| current_thread().block_on(async { resume() })).is_empty());
    assert!(!message_of_panic(|| current_thread().block_on(advance(MS))).is_empty());
    let message = message_of_panic(|| multi_thread(1).block_on(async { pause() }));
    assert!(
        message.contains("current"),
        "{message}: it says where it works"
    );
}

#[test]
fn two_runtimes_have_two_clocks() {
    let _watchdog = Watchdog::new(LIMIT);
    let other = current_thread();
    let (moved, frozen) = paused(async {
        let start = Instant::now();
        sleep(HOUR).await;
        (start.elapsed(), Instant::now())
    });
    assert!(moved >= HOUR);
    let passed = other.block_on(async {
        let start = Instant::now();
        sleep(MS).await;
        start.elapsed()
    });
    assert!(passed >= MS && passed < HOUR);
    let _ = frozen;
}

#[test]
fn a_foreign_thread_may_end_a_wait_under_a_paused_clock() {
    paused(async {
        let (sender, receiver) = runtime::sync::oneshot::channel();
        let thread = std::thread::spawn(move || sender.send(3).unwrap());
        // No deadline at all: the clock has nowhere to go, so this waits for the thread.
        assert_eq!(receiver.await.unwrap(), 3);
        thread.join().unwrap();
    });
}

#[test]
fn it_goes_on_when_blocking_work_has_ended() {
    paused(async {
        let start = Instant::now();
        for _ in 0..1_000 {
            // The job's thread may be busy a moment longer than the job.
            spawn_blocking(|| ()).await.unwrap();
            sleep(HOUR).await;
        }
        assert!(start.elapsed() >= 1_000 * HOUR);
    });
}

#[test]
fn it_goes_on_when_blocking_work_has_ended_that_nobody_awaits() {
    paused(async {
        let ended = Flag::new();
        let inside = ended.clone();
        drop(spawn_blocking(move || {
            std::thread::sleep(20 * MS);
            inside.set();
        }));
        sleep(HOUR).await;
        assert!(ended.is_set(), "it stood still meanwhile");
    });
}

#[test]
fn it_does_not_pass_a_deadline_when_blocking_work_has_woken_the_root() {
    paused(async {
        for round in 0..5_000 {
            let job = timeout(HOUR, spawn_blocking(|| ()));
            // So that now and then the job ends at the very moment at which this thread goes to sleep.
            let busy = async { spin(Duration::from_nanos(round % 500 * 100)) };
            let (job, ()) = runtime::join!(job, busy);
            job.expect("the clock stood still meanwhile").unwrap();
        }
    });
}

#[test]
fn tasks_from_other_threads_are_run_while_it_advances() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    let ended = Flag::new();
    let inside = ended.clone();
    let spawner = std::thread::spawn(move || {
        for number in 0..20_000 {
            let (sender, receiver) = std::sync::mpsc::channel();
            handle.spawn(async move { sender.send(number).unwrap() });
            // One at a time: no later one makes up for a wake-up that was lost.
            assert_eq!(receiver.recv().unwrap(), number);
        }
        inside.set();
    });
    runtime.block_on(async {
        while !ended.is_set() {
            sleep(MS).await;
        }
    });
    spawner.join().unwrap();
}
