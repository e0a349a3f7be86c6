//! Metrics: every count moves when it should, by as much as it should where that can be known, and not otherwise.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use runtime::metrics::{RuntimeMetrics, WorkerMetrics, WorkerState};
use runtime::net::{TcpListener, TcpStream};
use runtime::runtime::{Builder, Runtime};
use runtime::task::{LocalSet, spawn_blocking, spawn_local, yield_now};
use runtime::time::{advance, sleep, timeout};
use runtime::{Handle, spawn};
use runtime_tests::{
    Flag, LIMIT, ReadyAfter, Watchdog, current_thread, multi_thread, on_current_thread, on_each,
    paused, spin, yield_until,
};

/// The metrics of the runtime that the caller is in.
fn now() -> RuntimeMetrics {
    Handle::current().metrics()
}

/// Asks again and again, from outside the runtime, until `done`; the watchdog sees to it that this ends.
fn until(runtime: &Runtime, done: impl Fn(&RuntimeMetrics) -> bool) -> RuntimeMetrics {
    loop {
        let metrics = runtime.metrics();
        if done(&metrics) {
            return metrics;
        }
        thread::yield_now();
    }
}

/// The sum of a count over all workers.
fn all(metrics: &RuntimeMetrics, count: fn(&WorkerMetrics) -> u64) -> u64 {
    metrics.workers().iter().map(count).sum()
}

/// A runtime with `workers` workers on which nobody is rescued.
fn without_rescue(workers: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .rescue(false)
        .on_slow_poll(|_| ())
        .enable_all()
        .build()
        .expect("a runtime can be built")
}

// -------------------------------------------------------------------- tasks

#[test]
fn tasks_are_counted_by_how_they_end() {
    on_each(|| async {
        let before = now();
        let mut finishing: Vec<_> = (0..100)
            .map(|_| spawn(async { yield_now().await }))
            .collect();
        finishing.extend((0..3).map(|n| spawn(async move { panic!("number {n}, on purpose") })));
        let aborted: Vec<_> = (0..2).map(|_| spawn(pending::<()>())).collect();
        let middle = now();
        assert_eq!(middle.tasks().spawned() - before.tasks().spawned(), 105);
        assert_eq!(
            middle.tasks().live() as u64,
            middle.tasks().spawned() - middle.tasks().finished()
        );

        let mut panicked = 0;
        for task in finishing {
            panicked += u64::from(task.await.is_err_and(|error| error.is_panic()));
        }
        for task in aborted {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        yield_until(|| now().num_alive_tasks() == before.num_alive_tasks()).await;
        let after = now();
        assert_eq!(after.tasks().finished() - before.tasks().finished(), 105);
        assert_eq!(panicked, 3);
        assert_eq!(after.tasks().panicked() - before.tasks().panicked(), 3);
        assert_eq!(after.tasks().aborted() - before.tasks().aborted(), 2);
        assert_eq!(after.tasks().live(), before.tasks().live());
    });
}

#[test]
fn what_is_no_task_of_the_runtime_is_not_counted_among_them() {
    on_each(|| async {
        let before = now();
        let set = LocalSet::new();
        set.run_until(async {
            for _ in 0..5 {
                spawn_local(async { yield_now().await }).await.unwrap();
            }
        })
        .await;
        spawn_blocking(|| ()).await.unwrap();
        let after = now();
        assert_eq!(after.tasks().spawned(), before.tasks().spawned());
        assert_eq!(after.tasks().finished(), before.tasks().finished());
    });
}

#[test]
fn a_shutdown_aborts_what_waits() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let handle = runtime.handle().clone();
    for _ in 0..7 {
        drop(runtime.spawn(pending::<()>()));
    }
    drop(runtime);
    let tasks = handle.metrics();
    let tasks = tasks.tasks();
    assert_eq!((tasks.spawned(), tasks.finished(), tasks.live()), (7, 7, 0));
    assert_eq!(tasks.aborted(), 7);
    // Never taken in, and so never counted.
    drop(handle.spawn(async {}));
    assert_eq!(handle.metrics().tasks().spawned(), 7);
}

#[test]
fn polls_are_counted_and_sampled() {
    const POLLS: u64 = 2_000;
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), without_rescue(1), without_rescue(2)] {
        let polls = |metrics: &RuntimeMetrics| all(metrics, WorkerMetrics::polls);
        for round in 1..=3 {
            runtime.block_on(async { spawn(ReadyAfter(POLLS as usize - 1)).await.unwrap() });
            assert!(polls(&runtime.metrics()) >= round * POLLS);
        }
        // Each thread counts by itself, and some of its turns find something else to do.
        let metrics = runtime.metrics();
        let tasks = metrics.tasks();
        let expected = polls(&metrics) / u64::from(tasks.sample_interval());
        let timed = tasks.poll_time().count();
        assert!(timed >= expected / 3, "{timed} polls are timed");
        assert!(
            timed <= expected + expected / 3 + 4,
            "{timed} polls are timed"
        );
    }
}

#[test]
fn a_long_poll_is_in_the_histogram_of_polls() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = without_rescue(1);
    let long = Duration::from_micros(300);
    let interval = runtime.metrics().tasks().sample_interval();
    let task = runtime.spawn(async move {
        for _ in 0..3 * interval {
            spin(long);
            yield_now().await;
        }
    });
    runtime.block_on(task).unwrap();
    let metrics = runtime.metrics();
    let polls = metrics.tasks().poll_time();
    assert!(polls.count() >= 2, "{polls}");
    assert!(polls.quantile(1.0) >= Some(long), "{polls}");
    assert!(polls.sum() >= long, "{polls}");
}

#[test]
fn waiting_for_a_busy_worker_is_in_the_histogram_of_waits() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = without_rescue(1);
    let long = Duration::from_micros(200);
    let interval = runtime.metrics().tasks().sample_interval();
    // Each of the two waits for the other's poll.
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            runtime.spawn(async move {
                for _ in 0..2 * interval {
                    spin(long);
                    yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    let metrics = runtime.metrics();
    let waits = metrics.tasks().schedule_latency();
    assert!(waits.count() >= 2, "{waits}");
    assert!(waits.quantile(1.0) >= Some(long), "{waits}");
}

// -------------------------------------------------------------------- workers

#[test]
fn workers_are_listed_by_name() {
    let _watchdog = Watchdog::new(LIMIT);
    let names = |runtime: &Runtime| {
        let metrics = runtime.metrics();
        let names = metrics
            .workers()
            .iter()
            .map(|worker| worker.name().to_owned());
        names.collect::<Vec<_>>()
    };
    let runtime = multi_thread(3);
    assert_eq!(names(&runtime), ["worker 0", "worker 1", "worker 2"]);
    runtime.block_on(async { spawn(async {}).await.unwrap() });
    assert_eq!(
        names(&runtime),
        ["worker 0", "worker 1", "worker 2", "guest 0"]
    );
    assert_eq!(runtime.metrics().num_workers(), 3);

    let runtime = current_thread();
    assert_eq!(names(&runtime), ["current thread"]);
    runtime.block_on(async { spawn(async {}).await.unwrap() });
    assert_eq!(names(&runtime), ["current thread"]);
    assert_eq!(runtime.metrics().workers()[0].state(), WorkerState::Absent);
}

#[test]
fn an_idle_worker_parks_and_a_busy_one_does_not() {
    const ROUNDS: u64 = 5;
    let _watchdog = Watchdog::new(LIMIT);
    // Without rescue, since a worker that does not get a core would be replaced.
    let runtime = without_rescue(1);
    let is_parked = |metrics: &RuntimeMetrics| metrics.workers()[0].state() == WorkerState::Parked;
    let before = until(&runtime, is_parked);
    for round in 1..=ROUNDS {
        drop(runtime.spawn(async { spin(Duration::from_millis(1)) }));
        until(&runtime, |metrics| metrics.tasks().finished() == round);
        until(&runtime, is_parked);
    }
    let after = runtime.metrics();
    let (before, worker) = (&before.workers()[0], &after.workers()[0]);
    assert!(worker.parks() - before.parks() >= ROUNDS);
    assert!(worker.busy() - before.busy() >= Duration::from_millis(ROUNDS));
    assert_eq!(worker.injected_tasks() - before.injected_tasks(), ROUNDS);
    assert_eq!(after.worker_park_count(0), worker.parks());
    assert_eq!(after.worker_total_busy_duration(0), worker.busy());

    let (stop, stopped) = (Flag::new(), Flag::new());
    let seen = stop.clone();
    let running = stopped.clone();
    drop(runtime.spawn(async move {
        running.set();
        while !seen.is_set() {
            yield_now().await;
        }
    }));
    until(&runtime, |_| stopped.is_set());
    let first = runtime.metrics();
    // It yields on and on, so it looks for I/O now and then and tells how long it has been busy.
    let second = until(&runtime, |metrics| {
        metrics.workers()[0].driver_looks() >= first.workers()[0].driver_looks() + 3
    });
    let states = [WorkerState::Awake, WorkerState::Stuck];
    assert!(states.contains(&second.workers()[0].state()));
    assert_eq!(second.workers()[0].parks(), first.workers()[0].parks());
    assert!(second.workers()[0].busy() > first.workers()[0].busy());
    stop.set();
}

#[test]
#[should_panic = "there is no worker 2"]
fn a_worker_that_is_not_there_is_refused() {
    let _ = multi_thread(2).metrics().worker_park_count(2);
}

#[test]
fn tasks_that_wake_each_other_run_from_the_lifo_slot() {
    const ROUNDS: u64 = 300;
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let parent = runtime.spawn(async {
        for _ in 0..ROUNDS {
            spawn(async {}).await.unwrap();
        }
    });
    runtime.block_on(parent).unwrap();
    let hits = all(&runtime.metrics(), WorkerMetrics::lifo_hits);
    // Each round has two of them, the child and the parent; now and then the deque comes first.
    assert!(hits >= ROUNDS, "{hits} tasks from LIFO slots");
}

#[test]
fn what_a_busy_worker_holds_is_stolen() {
    const CHILDREN: u64 = 10;
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = without_rescue(2);
    let mut families = 0;
    loop {
        let (tell, told) = mpsc::channel();
        let parent = runtime.spawn(async move {
            for _ in 0..CHILDREN {
                let tell = tell.clone();
                drop(spawn(async move { tell.send(()).unwrap() }));
            }
            // This worker does nothing else until the other one has run them all.
            for _ in 0..CHILDREN {
                told.recv().unwrap();
            }
        });
        until(&runtime, |_| parent.is_finished());
        families += 1;
        // The youngest child lies in the LIFO slot; it is stolen there, or injected by the watchman. That may happen to
        // others, too, if the parent does not get on.
        let metrics = runtime.metrics();
        let stolen = all(&metrics, WorkerMetrics::stolen_tasks);
        let from_lifo = all(&metrics, WorkerMetrics::lifo_steals);
        let injected = all(&metrics, WorkerMetrics::injected_tasks);
        assert_eq!(stolen + from_lifo + injected, (CHILDREN + 1) * families);
        let steals = all(&metrics, WorkerMetrics::steals);
        assert!(steals <= stolen && injected >= families);
        if steals > 0 {
            break;
        }
    }
}

#[test]
fn queued_tasks_are_seen() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = current_thread();
    for _ in 0..4 {
        drop(runtime.spawn(async {}));
    }
    assert_eq!(runtime.metrics().global_queue_depth(), 4);
    runtime.block_on(async {
        for _ in 0..10 {
            drop(spawn(async {}));
        }
        let queued = now();
        let local = queued.workers()[0].queue_depth();
        assert_eq!(local + queued.global_queue_depth(), 14);
        assert!(local >= 10);
        yield_until(|| now().num_alive_tasks() == 0).await;
        let done = now();
        assert_eq!(
            done.workers()[0].queue_depth() + done.global_queue_depth(),
            0
        );
    });
}

// -------------------------------------------------------------------- rescue

#[test]
fn a_stuck_worker_is_seen_and_its_task_goes_through_the_lane() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .slow_poll_threshold(Duration::from_millis(5))
        .on_slow_poll(|_| ())
        .build()
        .expect("a runtime can be built");
    let (release, released) = mpsc::channel::<()>();
    let (stop, stopped) = (Flag::new(), Flag::new());
    let seen = stop.clone();
    let running = stopped.clone();
    let task = runtime.spawn(async move {
        let _ = released.recv();
        running.set();
        while !seen.is_set() {
            yield_now().await;
        }
    });
    let stuck = until(&runtime, |metrics| {
        let rescue = metrics.rescue();
        let is_rescued = rescue.rescues() > 0 && rescue.lane_marks() > 0;
        let is_replaced = rescue.active_spares() == 1 && rescue.spares_started() > 0;
        is_rescued && is_replaced && rescue.stuck_workers() == 1 && rescue.slow_polls() > 0
    });
    // Of rescues and spares there may be more: a thread that is kept from its core for long looks stuck as well.
    let rescue = stuck.rescue();
    assert_eq!(rescue.lane_marks(), 1);
    assert_eq!((rescue.lane_polls(), rescue.lane_returns()), (0, 0));
    assert_eq!(stuck.workers()[0].state(), WorkerState::Stuck);

    // Once the poll is over, nobody is stuck, and some short polls in the lane bring the task back.
    drop(release);
    let back = until(&runtime, |metrics| {
        metrics.rescue().stuck_workers() == 0 && metrics.rescue().lane_returns() > 0
    });
    assert!(stopped.is_set());
    // The fourth short poll is over a moment after it has brought the task back.
    assert!(back.rescue().lane_polls() >= 3);
    assert!(back.rescue().lane_threads() >= 1);
    stop.set();
    until(&runtime, |_| task.is_finished());
}

/// It takes the place of the only worker, finds no task, and sleeps without having polled anything.
#[test]
fn a_spare_with_nothing_to_do_is_listed() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .on_slow_poll(|_| ())
        .build()
        .expect("a runtime can be built");
    let (release, released) = mpsc::channel::<()>();
    let task = runtime.spawn(async move {
        let _ = released.recv();
    });
    let metrics = until(&runtime, |metrics| {
        let mut spares = metrics.workers().iter();
        spares.any(|spare| spare.name() == "spare 0" && spare.state() == WorkerState::Parked)
    });
    assert_eq!(metrics.num_workers(), 1);
    drop(release);
    until(&runtime, |_| task.is_finished());
}

/// Two workers and twice as many other threads as cores: each waits for half of the time. (Where the program may not use all cores, others are unused.)
#[cfg(target_os = "linux")]
#[test]
fn workers_that_wait_for_cores_are_crowded_until_there_is_less_to_do() {
    let _watchdog = Watchdog::new(LIMIT);
    let cores = thread::available_parallelism().expect("Linux tells").get();
    let info = std::fs::read_to_string("/proc/cpuinfo").expect("Linux tells");
    if info.matches("processor\t").count() != cores {
        return;
    }
    let runtime = without_rescue(2);
    assert!(!runtime.metrics().is_crowded());
    let compute = || async {
        loop {
            spin(Duration::from_micros(50));
            yield_now().await;
        }
    };
    let tasks: Vec<_> = (0..4).map(|_| runtime.spawn(compute())).collect();
    let is_over = AtomicBool::new(false);
    let metrics = thread::scope(|scope| {
        for _ in 0..2 * cores {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let metrics = until(&runtime, RuntimeMetrics::is_crowded);
        is_over.store(true, Ordering::Relaxed);
        metrics
    });
    assert!(metrics.to_string().contains("no core is free"));
    for task in &tasks {
        task.abort();
    }
    // It is looked at again while there is something to do.
    let metrics = runtime.block_on(async {
        loop {
            sleep(Duration::from_millis(1)).await;
            if !now().is_crowded() {
                return now();
            }
        }
    });
    assert!(!metrics.to_string().contains("no core is free"));
}

// -------------------------------------------------------------------- I/O

#[test]
fn sources_come_and_go() {
    on_each(|| async {
        let before = now();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let open = now();
        assert_eq!(open.reactor().sources() - before.reactor().sources(), 3);
        assert_eq!(
            open.reactor().registrations() - before.reactor().registrations(),
            3
        );
        drop((listener, client, server));
        let closed = now();
        assert_eq!(closed.reactor().sources(), before.reactor().sources());
        assert_eq!(
            closed.reactor().registrations(),
            open.reactor().registrations()
        );
    });
}

#[test]
fn turns_and_events_are_counted() {
    const ROUNDS: u64 = 20;
    // On one thread each side must wait for the other, and so for an event.
    on_current_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let before = now();
        let echo = spawn(async move {
            let mut byte = [0];
            while server.read_exact(&mut byte).await.is_ok() {
                server.write_all(&byte).await.unwrap();
            }
        });
        for _ in 0..ROUNDS {
            client.write_all(b"x").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
        }
        let after = now();
        let events = after.reactor().events() - before.reactor().events();
        assert!(events >= 2 * ROUNDS - 1, "{events} events");
        let turns = after.reactor().turns() - before.reactor().turns();
        assert!(turns >= ROUNDS, "{turns} turns");
        assert_eq!(
            after.reactor().turns(),
            after.reactor().turns_by_workers() + after.reactor().turns_by_reactor_thread()
        );
        drop(client);
        echo.await.unwrap();
    });
}

#[test]
fn a_wait_that_is_cut_short_is_counted() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let before = runtime.metrics();
    // The worker may be about to sleep, or on its way to the wait; sooner or later it is in it.
    until(&runtime, |metrics| {
        if metrics.workers()[0].state() == WorkerState::Parked {
            drop(runtime.spawn(async {}));
        }
        metrics.reactor().interrupts() > before.reactor().interrupts()
    });
}

#[test]
fn the_reactor_thread_takes_its_turns_when_the_workers_do_not() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = without_rescue(1);
    let (release, released) = mpsc::channel::<()>();
    drop(runtime.spawn(async move {
        let _ = released.recv();
    }));
    until(&runtime, |metrics| {
        metrics.reactor().turns_by_reactor_thread() > 0
    });
    drop(release);
}

// -------------------------------------------------------------------- timers

#[test]
fn timers_are_counted_by_what_became_of_them() {
    paused(async {
        let hour = Duration::from_secs(3600);
        let sleepers: Vec<_> = (0..10)
            .map(|n| spawn(sleep(Duration::from_millis(10 * n + 1))))
            .collect();
        for sleeper in sleepers {
            sleeper.await.unwrap();
        }
        // Registered once they wait, and taken back when what they watch over is ready.
        for _ in 0..5 {
            timeout(hour, ReadyAfter(1)).await.unwrap();
        }
        // Ready at once: never registered.
        timeout(hour, async {}).await.unwrap();
        let late = spawn(sleep(hour));
        yield_until(|| now().timers().pending() == 1).await;
        let metrics = now();
        let timers = metrics.timers();
        assert_eq!(
            (timers.registered(), timers.fired(), timers.cancelled()),
            (16, 10, 5)
        );
        assert_eq!(timers.lateness().count(), 10);

        late.abort();
        assert!(late.await.is_err());
        let metrics = now();
        let timers = metrics.timers();
        assert_eq!(
            (timers.registered(), timers.fired(), timers.cancelled()),
            (16, 10, 6)
        );
        assert_eq!(timers.pending(), 0);
    });
}

#[test]
fn a_late_timer_is_in_the_histogram() {
    paused(async {
        let sleeper = spawn(sleep(Duration::from_millis(1)));
        yield_until(|| now().timers().pending() == 1).await;
        advance(Duration::from_millis(21)).await;
        sleeper.await.unwrap();
        let metrics = now();
        let timers = metrics.timers();
        assert_eq!(timers.lateness().count(), 1);
        // 20 ms, to 16 µs.
        let late = timers.max_lateness();
        assert!(
            late.abs_diff(Duration::from_millis(20)) < Duration::from_micros(16),
            "{late:?}"
        );
        assert_eq!(timers.lateness().sum(), late);
        // The bounds are powers of two of 15.625 µs.
        assert_eq!(
            timers.lateness().quantile(0.5),
            Some(Duration::from_millis(32))
        );
    });
}

// -------------------------------------------------------------------- blocking pool

#[test]
fn jobs_are_counted() {
    on_each(|| async {
        let before = now();
        let jobs: Vec<_> = (0..10).map(|n| spawn_blocking(move || n)).collect();
        for job in jobs {
            job.await.unwrap();
        }
        yield_until(|| {
            let metrics = now();
            metrics.blocking().jobs_finished() == before.blocking().jobs_finished() + 10
        })
        .await;
        let after = now();
        let blocking = after.blocking();
        assert_eq!(blocking.jobs() - before.blocking().jobs(), 10);
        assert_eq!(blocking.queue_depth(), 0);
        assert!(blocking.threads() >= 1 && blocking.threads_started() >= 1);
        assert!(blocking.threads() <= blocking.max_threads());
        assert_eq!(blocking.threads_refused(), 0);
    });
}

#[test]
fn jobs_that_wait_are_seen() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .build()
        .expect("a runtime can be built");
    let barrier = Arc::new(Barrier::new(2));
    let (release, released) = mpsc::channel::<()>();
    let inside = barrier.clone();
    let blocker = runtime.spawn_blocking(move || {
        inside.wait();
        let _ = released.recv();
    });
    barrier.wait();
    let queued: Vec<_> = (0..3).map(|_| runtime.spawn_blocking(|| ())).collect();
    let metrics = runtime.metrics();
    let blocking = metrics.blocking();
    assert_eq!(
        (
            blocking.threads(),
            blocking.max_threads(),
            blocking.idle_threads()
        ),
        (1, 1, 0)
    );
    assert_eq!(
        (
            blocking.queue_depth(),
            blocking.jobs(),
            blocking.jobs_finished()
        ),
        (3, 4, 0)
    );
    drop(release);
    runtime.block_on(async {
        blocker.await.unwrap();
        for job in queued {
            job.await.unwrap();
        }
    });
    until(&runtime, |metrics| {
        metrics.blocking().jobs_finished() == 4 && metrics.blocking().idle_threads() == 1
    });
}
