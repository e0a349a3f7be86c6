//! A task that holds its thread is named: what a report says, of whom, how often one is made, and that whatever happens to it harms nobody.
//!
//! In most tests the poll lasts until its report has arrived, so without the report they do not end. On a busy machine other polls may be
//! slow as well, because their threads wait for a core: so a test looks for the report of the task it means.

use std::future::Future;
use std::io::Read;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use runtime::net::UnixStream;
use runtime::runtime::{Builder, Handle, Runtime, SlowPoll};
use runtime::task::{
    self, Builder as Named, Id, JoinHandle, JoinSet, LocalSet, TaskState, block_in_place,
    spawn_blocking, yield_now,
};
use runtime::time::sleep;
use runtime_tests::stuck::Trap;
use runtime_tests::{Flag, LIMIT, Watchdog, child, spin};

/// How long it takes at most until a report arrives, or something is done beside a slow poll. It takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// From when on polls are reported here: few polls take that long because of other programs.
const THRESHOLD: Duration = Duration::from_millis(40);

/// A threshold that no poll reaches because of other programs.
const LONG: Duration = Duration::from_millis(500);

/// A task's future, whatever it is.
type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A builder of a runtime with two workers.
fn multi_thread() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .enable_all()
        .slow_poll_threshold(THRESHOLD);
    builder
}

/// Builds a runtime whose reports arrive at the receiver, until the runtime and the builder are gone.
fn start(builder: &mut Builder) -> (Runtime, Receiver<SlowPoll>) {
    let (sender, reports) = mpsc::channel();
    builder.on_slow_poll(move |poll| drop(sender.send(poll.clone())));
    (builder.build().expect("a runtime can be built"), reports)
}

/// Waits for the first report that is one of those meant.
#[track_caller]
fn find(reports: &Receiver<SlowPoll>, is_meant: impl Fn(&SlowPoll) -> bool) -> SlowPoll {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let poll = reports.recv_timeout(left).expect("it is reported");
        if is_meant(&poll) {
            return poll;
        }
    }
}

/// Waits for the next report of the task `id`.
#[track_caller]
fn about(reports: &Receiver<SlowPoll>, id: Id) -> SlowPoll {
    find(reports, |poll| poll.id() == Some(id))
}

/// Runs `f`, which must end soon.
fn soon<R>(what: &str, f: impl FnOnce() -> R) -> R {
    let name = thread::current().name().unwrap_or("?").to_owned();
    let _watchdog = Watchdog::over(&format!("{name}: {what}"), PATIENCE);
    f()
}

/// Spawns a task each of whose `count` polls but the last lasts until told to end, by the sender.
fn spawn_slow(runtime: &Runtime, count: usize) -> (JoinHandle<()>, mpsc::Sender<()>) {
    let (end, ends) = mpsc::channel();
    let slow = async move {
        for _ in 0..count {
            let _ = ends.recv();
            yield_now().await;
        }
    };
    (runtime.spawn(slow), end)
}

/// Sockets, timers, tasks and blocking jobs go on.
fn all_goes_on(runtime: &Runtime) {
    let work = async {
        let (mut one, mut other) = UnixStream::pair().expect("two sockets");
        let echo = runtime::spawn(async move {
            let mut byte = [0];
            other.read_exact(&mut byte).await.expect("a byte");
            sleep(Duration::from_millis(2)).await;
            other.write_all(&byte).await.expect("there is room");
        });
        let mut byte = [0];
        one.write_all(b"x").await.expect("there is room");
        one.read_exact(&mut byte).await.expect("a byte");
        assert_eq!(&byte, b"x");
        echo.await.expect("no panic");
        assert_eq!(spawn_blocking(|| 5).await.expect("no panic"), 5);
    };
    soon("all goes on", || runtime.block_on(work));
}

// ---------------------------------------------------------------- what a report says

#[test]
fn a_report_names_the_task_while_its_poll_lasts() {
    for rescue in [true, false] {
        let (runtime, reports) = start(multi_thread().rescue(rescue));
        let _entered = runtime.enter();
        let mut trap = Trap::pipe();
        let block = trap.block();
        let named = Named::new().name("culprit");
        let line = line!() + 1;
        let slow = named.spawn(async move { block() }).expect("a runtime");
        let poll = about(&reports, slow.id());
        assert!(!slow.is_finished());
        assert_eq!(poll.name(), Some("culprit"));
        let location = poll.location().expect("it is a task");
        assert_eq!((location.file(), location.line()), (file!(), line));
        assert!(poll.so_far() >= THRESHOLD, "{poll:?}");
        assert!(poll.place().starts_with("worker "), "{poll:?}");
        assert_eq!((poll.before(), poll.is_guest_root()), (0, false));
        trap.release();
        soon("the end", || runtime.block_on(slow).expect("no panic"));
    }
}

#[test]
fn a_task_without_a_name_has_none() {
    let (runtime, reports) = start(&mut multi_thread());
    let (slow, end) = spawn_slow(&runtime, 1);
    assert_eq!(about(&reports, slow.id()).name(), None);
    end.send(()).expect("it waits");
    soon("the end", || runtime.block_on(slow).expect("no panic"));
}

#[test]
fn a_poll_is_reported_once_however_long_it_lasts() {
    let (runtime, reports) = start(multi_thread().slow_poll_threshold(Duration::from_millis(1)));
    let (slow, end) = spawn_slow(&runtime, 1);
    about(&reports, slow.id());
    // Many looks of the watchman.
    for _ in 0..50 {
        soon("a timer", || {
            runtime.block_on(async { sleep(Duration::from_millis(2)).await })
        });
    }
    // It is in the same poll still.
    let again = reports.try_iter().find(|poll| poll.id() == Some(slow.id()));
    assert!(again.is_none(), "reported twice: {again:?}");
    end.send(()).expect("it waits");
    soon("the end", || runtime.block_on(slow).expect("no panic"));
}

#[test]
fn each_slow_poll_of_a_task_is_reported_and_counted() {
    let (runtime, reports) = start(&mut multi_thread());
    let (slow, end) = spawn_slow(&runtime, 4);
    let mut texts = Vec::new();
    for before in 0..4 {
        let poll = about(&reports, slow.id());
        assert_eq!(poll.before(), before);
        // Caught in the first, it is polled in the lane from then on.
        let place = if before == 0 { "worker " } else { "lane " };
        assert!(poll.place().starts_with(place), "{poll:?}");
        texts.push(poll.to_string());
        end.send(()).expect("it waits");
    }
    soon("the end", || runtime.block_on(slow).expect("no panic"));
    assert!(!texts[0].contains("before"), "{texts:?}");
    assert!(texts[3].contains("slow 3 times before"), "{texts:?}");
}

#[test]
fn a_task_that_holds_a_spare_is_said_to() {
    let (runtime, reports) = start(multi_thread().worker_threads(1));
    let (first, end_first) = spawn_slow(&runtime, 1);
    assert_eq!(about(&reports, first.id()).place(), "worker 0");
    let (second, end_second) = spawn_slow(&runtime, 1);
    assert_eq!(about(&reports, second.id()).place(), "spare 0");
    for end in [end_first, end_second] {
        end.send(()).expect("it waits");
    }
    soon("the end", || {
        runtime.block_on(async {
            first.await.expect("no panic");
            second.await.expect("no panic");
        });
    });
}

#[test]
fn it_says_in_one_line_who_where_and_what_to_do() {
    let (runtime, reports) = start(&mut multi_thread());
    let _entered = runtime.enter();
    let mut trap = Trap::mutex();
    let block = trap.block();
    let named = Named::new().name("cul\"prit");
    let slow = named.spawn(async move { block() }).expect("a runtime");
    let poll = about(&reports, slow.id());
    trap.release();
    let text = poll.to_string();
    let line = text.lines().next().expect("a line");
    let location = poll.location().expect("it is a task").to_string();
    for part in [
        "slow poll",
        &format!("task {}", slow.id()),
        // Escaped: a name cannot break the line or pretend to be something else.
        r#""cul\"prit""#,
        location.as_str(),
        poll.place(),
        &format!("{} ms", poll.so_far().as_millis()),
        "blocked",
        "spawn_blocking",
    ] {
        assert!(line.contains(part), "{line:?} does not say {part:?}");
    }
    // A stack, if the feature is on, comes after the line.
    assert_eq!(text.lines().count() > 1, poll.stack().is_some(), "{text}");
    soon("the end", || runtime.block_on(slow).expect("no panic"));
}

/// What a thread does while it is stuck: computes or sleeps in the kernel, for each way of being stuck.
#[test]
fn it_tells_blocked_from_computing() {
    type Make = fn() -> Trap;
    let cases: [(&str, Make, bool); 3] = [
        ("spin", Trap::spin, false),
        ("mutex", Trap::mutex, true),
        ("pipe", Trap::pipe, true),
    ];
    let after = Duration::from_millis(200);
    for (name, make, is_blocked) in cases {
        let (runtime, reports) = start(multi_thread().slow_poll_threshold(after));
        let mut trap = make();
        let block = trap.block();
        let slow = runtime.spawn(async move { block() });
        let poll = about(&reports, slow.id());
        trap.release();
        assert_eq!(poll.is_blocked(), Some(is_blocked), "{name}: {poll}");
        let cpu = poll.cpu().expect("Linux tells");
        // In 200 ms a thread that computes gets some time even where it shares the cores; one that sleeps needs none.
        assert_eq!(
            cpu > Duration::from_millis(2),
            !is_blocked,
            "{name}: {cpu:?}"
        );
        soon("the end", || runtime.block_on(slow).expect("no panic"));
    }
}

#[test]
fn a_task_that_sleeps_on_its_thread_is_blocked() {
    let (runtime, reports) = start(multi_thread().slow_poll_threshold(Duration::from_millis(100)));
    // One long sleep: between two short ones it would wait for a core now and then.
    let slow = runtime.spawn(async { thread::sleep(LONG) });
    let poll = about(&reports, slow.id());
    assert_eq!(poll.is_blocked(), Some(true), "{poll}");
    soon("the end", || runtime.block_on(slow).expect("no panic"));
}

#[test]
fn an_innocent_task_is_not_named() {
    let mut builder = multi_thread();
    let (runtime, reports) = start(builder.slow_poll_threshold(LONG));
    let stop = Flag::new();
    let innocent: Vec<_> = (0..20)
        .map(|_| {
            let stop = stop.clone();
            runtime.spawn(async move {
                while !stop.is_set() {
                    sleep(Duration::from_millis(1)).await;
                    yield_now().await;
                }
            })
        })
        .collect();
    let (slow, end) = spawn_slow(&runtime, 1);
    let id = slow.id();
    let mut polls = vec![reports.recv_timeout(PATIENCE).expect("it is reported")];
    end.send(()).expect("it waits");
    stop.set();
    soon("the end", || {
        runtime.block_on(async {
            for task in innocent {
                task.await.expect("no panic");
            }
            slow.await.expect("no panic");
        });
        drop((runtime, builder));
    });
    polls.extend(reports.iter());
    assert!(polls.iter().all(|poll| poll.id() == Some(id)), "{polls:?}");
    assert_eq!(polls.len(), 1);
}

// ---------------------------------------------------------------- when none is made

/// Starts a runtime, lets `slow` be done in it, ends it, and returns its reports.
fn reports_of(builder: &mut Builder, slow: impl FnOnce(&Runtime)) -> Vec<SlowPoll> {
    let (runtime, reports) = start(builder);
    soon("the slow one", || slow(&runtime));
    soon("the end", || drop(runtime));
    // So that the only sender left is that of the thread that makes the reports, which ends.
    builder.on_slow_poll(|_| ());
    reports.iter().collect()
}

#[test]
fn below_the_threshold_or_without_one_nothing_is_reported() {
    for threshold in [Duration::from_secs(3_600), Duration::MAX] {
        for mut builder in [multi_thread(), Builder::new_current_thread()] {
            let polls = reports_of(builder.slow_poll_threshold(threshold), |runtime| {
                runtime.block_on(async {
                    let slow = runtime::spawn(async {
                        for _ in 0..5 {
                            spin(Duration::from_millis(20));
                            sleep(Duration::from_millis(1)).await;
                        }
                    });
                    slow.await.expect("no panic");
                });
            });
            assert!(polls.is_empty(), "{polls:?}");
        }
    }
}

/// Where blocking is allowed, nobody is accused; a task that begins later and blocks where it must not shows that reports are made.
#[test]
fn work_where_it_may_block_is_not_reported() {
    let (runtime, reports) = start(multi_thread().slow_poll_threshold(LONG));
    let mut trap = Trap::pipe();
    let (enter, entered) = mpsc::channel();
    let jobs = [
        {
            let (block, enter) = (trap.block(), enter.clone());
            runtime.spawn_blocking(move || {
                enter.send(()).expect("the test waits");
                block();
            })
        },
        {
            let block = trap.block();
            runtime.spawn(async move {
                block_in_place(|| {
                    enter.send(()).expect("the test waits");
                    block();
                })
            })
        },
    ];
    for _ in &jobs {
        entered.recv_timeout(PATIENCE).expect("it is run");
    }
    let (slow, end) = spawn_slow(&runtime, 1);
    // The first report of all.
    let poll = reports.recv_timeout(PATIENCE).expect("it is reported");
    assert_eq!(poll.id(), Some(slow.id()), "{poll}");
    end.send(()).expect("it waits");
    trap.release();
    soon("the end", || {
        runtime.block_on(async {
            slow.await.expect("no panic");
            for job in jobs {
                job.await.expect("no panic");
            }
        });
    });
    assert!(reports.try_recv().is_err());
}

// ---------------------------------------------------------------- how often

/// What is left out is counted: of a task whose every poll is slow, hundreds in a second, few reports are made, and together they tell
/// of all.
#[test]
fn of_hundreds_of_slow_polls_few_are_reported_and_the_others_counted() {
    let mut builder = multi_thread();
    let (runtime, reports) = start(builder.slow_poll_threshold(Duration::from_millis(2)));
    let stop = Flag::new();
    let stops = stop.clone();
    let begun = Instant::now();
    let slow = runtime.spawn(async move {
        while !stops.is_set() {
            thread::sleep(Duration::from_millis(5));
            yield_now().await;
        }
    });
    // Five in a burst, then one a second: the last comes after two seconds at least.
    let polls: Vec<SlowPoll> = (0..7).map(|_| about(&reports, slow.id())).collect();
    let took = begun.elapsed();
    let seen = runtime.metrics().rescue().slow_polls();
    stop.set();
    soon("the end", || runtime.block_on(slow).expect("no panic"));

    assert!(took >= Duration::from_secs(1), "seven reports in {took:?}");
    let mut left_out = 0;
    for (made, poll) in polls.iter().enumerate() {
        left_out += poll.suppressed();
        // Every poll seen before was reported or is told as left out; other tasks may have been slow too.
        let missing = poll.before() - made as u64;
        assert!(missing <= left_out, "{missing} of {left_out}: {poll:?}");
    }
    let last = &polls[6];
    assert!(left_out > 0 && last.before() > 6, "{last:?}");
    let told = left_out + polls.len() as u64;
    assert!(told <= seen, "{told} told, {seen} seen");
    let told_by_text = polls.iter().any(|poll| {
        let text = poll.to_string();
        poll.suppressed() > 0 && text.contains(&format!("{} reports left out", poll.suppressed()))
    });
    assert!(told_by_text, "{polls:?}");
}

// ---------------------------------------------------------------- the function that is called

#[test]
fn a_hook_that_panics_is_called_again_and_harms_nobody() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (sender, reports) = mpsc::channel();
    let counts = calls.clone();
    let runtime = multi_thread()
        .on_slow_poll(move |poll| {
            counts.fetch_add(1, Ordering::SeqCst);
            let _ = sender.send(poll.clone());
            panic!("a report that fails");
        })
        .build()
        .expect("a runtime");
    let (slow, end) = spawn_slow(&runtime, 3);
    for _ in 0..3 {
        about(&reports, slow.id());
        all_goes_on(&runtime);
        end.send(()).expect("it waits");
    }
    soon("the end", || {
        runtime.block_on(slow).expect("no panic");
        drop(runtime);
    });
    assert!(calls.load(Ordering::SeqCst) >= 3);
}

/// Keeps its callers until it is dropped.
struct Hold {
    /// One message a caller that came.
    entered: Receiver<()>,
    /// Dropped to let all go.
    _release: mpsc::Sender<()>,
}

impl Hold {
    fn new() -> (Hold, impl Fn() + Send + Sync + 'static) {
        let (enter, entered) = mpsc::channel();
        let (_release, released) = mpsc::channel();
        let released = Mutex::new(released);
        let call = move || {
            let _ = enter.send(());
            let _ = released.lock().expect("nobody panics with it").recv();
        };
        (Hold { entered, _release }, call)
    }
}

#[test]
fn a_hook_that_blocks_for_ever_harms_nobody() {
    type End = fn(Runtime);
    let ends: [(&str, End); 3] = [
        ("drop", |runtime| drop(runtime)),
        ("shutdown_timeout", |runtime| {
            runtime.shutdown_timeout(PATIENCE)
        }),
        ("shutdown_background", |runtime| {
            runtime.shutdown_background()
        }),
    ];
    for (name, end_it) in ends {
        let (hold, call) = Hold::new();
        let runtime = multi_thread()
            .on_slow_poll(move |_| call())
            .build()
            .expect("a runtime");
        let (first, end_first) = spawn_slow(&runtime, 1);
        hold.entered.recv_timeout(PATIENCE).expect("it is called");
        // Both workers are stuck now, and other slow polls wait to be reported.
        let (second, end_second) = spawn_slow(&runtime, 3);
        all_goes_on(&runtime);
        assert!(!first.is_finished() && !second.is_finished());
        end_first.send(()).expect("it waits");
        drop(end_second);
        soon("the tasks", || {
            runtime.block_on(async {
                first.await.expect("no panic");
                second.await.expect("no panic");
            });
        });
        let begun = Instant::now();
        soon(name, || end_it(runtime));
        assert!(begun.elapsed() < PATIENCE, "{name} waited for the hook");
        drop(hold);
    }
}

#[test]
fn a_hook_may_use_the_runtime() {
    let (sender, seen) = mpsc::channel();
    let handle = Arc::new(Mutex::new(None::<Handle>));
    let inside = handle.clone();
    let runtime = multi_thread()
        .on_slow_poll(move |poll| {
            let handle = inside.lock().expect("no panic").clone();
            let handle = handle.expect("set before the first task");
            let tasks = handle.tasks();
            let listed = tasks
                .iter()
                .find(|task| Some(task.id()) == poll.id())
                .map(|task| (format!("{:?}", task.state()), task.is_hog()));
            let is_running = tasks.iter().any(|task| {
                let TaskState::Running { place, at_least } = task.state() else {
                    return false;
                };
                Some(task.id()) == poll.id() && place == Some(poll.place()) && !at_least.is_zero()
            });
            let answer = handle.block_on(handle.spawn(async {
                sleep(Duration::from_millis(1)).await;
                6
            }));
            let _ = sender.send((poll.id(), listed, is_running, answer.ok()));
        })
        .build()
        .expect("a runtime");
    *handle.lock().expect("no panic") = Some(runtime.handle().clone());
    let (slow, end) = spawn_slow(&runtime, 1);
    let (listed, is_running, answer) = loop {
        let (id, listed, is_running, answer) = seen.recv_timeout(PATIENCE).expect("a report");
        if id == Some(slow.id()) {
            break (listed, is_running, answer);
        }
    };
    assert!(is_running, "{listed:?}");
    assert!(listed.is_some_and(|(_, is_hog)| is_hog));
    assert_eq!(answer, Some(6));
    end.send(()).expect("it waits");
    soon("the end", || runtime.block_on(slow).expect("no panic"));
    // The handle keeps the hook, which must not keep the handle.
    handle.lock().expect("no panic").take();
}

// ---------------------------------------------------------------- what is polled

#[test]
fn a_slow_root_is_reported_as_such() {
    let (runtime, reports) = start(&mut multi_thread());
    let mut trap = Trap::pipe();
    let block = trap.block();
    let poll = thread::scope(|scope| {
        scope.spawn(|| runtime.block_on(async move { block() }));
        let poll = find(&reports, |poll| poll.is_guest_root());
        trap.release();
        poll
    });
    assert_eq!(
        (poll.id(), poll.name(), poll.location()),
        (None, None, None)
    );
    assert_eq!(poll.place(), "guest 0");
    assert!(poll.so_far() >= THRESHOLD);
    assert!(poll.to_string().contains("block_on"), "{poll}");
}

/// Spawns a task in one of the ways.
type Spawn = fn(&Runtime, &mut JoinSet<()>, Body) -> (Id, &'static Location<'static>);

/// A way to spawn, its words, and this line. To be written on one line.
macro_rules! way {
    (|$runtime:pat_param, $set:pat_param, $body:ident| $spawn:expr) => {
        (
            stringify!($spawn),
            (|$runtime: &Runtime, $set: &mut JoinSet<()>, $body: Body| ($spawn.id(), here()))
                as Spawn,
        )
    };
}

/// The line of the caller, which in a macro is that of its call.
#[track_caller]
fn here() -> &'static Location<'static> {
    Location::caller()
}

#[test]
fn each_way_to_spawn_is_reported_with_the_callers_line() {
    let ways: [(&str, Spawn); 12] = [
        way!(|_, _, body| runtime::spawn(body)),
        way!(|_, _, body| task::spawn(body)),
        way!(|on, _, body| on.spawn(body)),
        way!(|on, _, body| on.handle().spawn(body)),
        way!(|_, _, body| Handle::current().spawn(body)),
        way!(|_, _, body| Named::new().spawn(body).unwrap()),
        way!(|on, _, body| Named::new().spawn_on(body, on.handle()).unwrap()),
        way!(|_, set, body| set.spawn(body)),
        way!(|on, set, body| set.spawn_on(body, on.handle())),
        way!(|_, set, body| set.build_task().spawn(body).unwrap()),
        way!(|_, set, body| set.build_task().name("x").spawn(body).unwrap()),
        way!(|on, set, body| set.build_task().spawn_on(body, on.handle()).unwrap()),
    ];
    for (name, spawn) in ways {
        let (runtime, reports) = start(&mut multi_thread());
        let _entered = runtime.enter();
        let mut set = JoinSet::new();
        let mut trap = Trap::pipe();
        let block = trap.block();
        let (id, line) = spawn(&runtime, &mut set, Box::pin(async move { block() }));
        let poll = about(&reports, id);
        trap.release();
        let location = poll.location().expect("it is a task");
        let place = (location.file(), location.line());
        assert_eq!(place, (line.file(), line.line()), "{name}");
    }
}

// ---------------------------------------------------------------- current-thread runtimes and local tasks

/// On a current-thread runtime runs `root`, which is given a flag that tells that a report `is_meant` was made, and returns that report and the
/// thread on which it was made.
fn on_current_thread<F: Future<Output = ()>>(
    is_meant: fn(&SlowPoll) -> bool,
    root: impl FnOnce(Flag) -> F,
) -> (SlowPoll, ThreadId) {
    let _watchdog = Watchdog::new(LIMIT);
    let (sender, reports) = mpsc::channel();
    let reported = Flag::new();
    let tells = reported.clone();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .slow_poll_threshold(Duration::from_millis(5))
        .on_slow_poll(move |poll| {
            if is_meant(poll) {
                let _ = sender.send((poll.clone(), thread::current().id()));
                tells.set();
            }
        })
        .build()
        .expect("a runtime");
    runtime.block_on(root(reported));
    reports
        .try_recv()
        .expect("it was reported before the root ended")
}

/// Is slow again and again, until that has been reported.
async fn slow_until(reported: Flag) {
    for _ in 0..1_000 {
        if reported.is_set() {
            return;
        }
        spin(Duration::from_millis(6));
        sleep(Duration::from_millis(1)).await;
    }
    panic!("a thousand slow polls, and no report");
}

#[test]
fn a_current_thread_runtime_names_a_task_that_is_slow_again_and_again() {
    let mut spawned = None;
    let (poll, thread) = on_current_thread(
        |poll| poll.name() == Some("culprit"),
        |reported| {
            let spawned = &mut spawned;
            async move {
                let named = Named::new().name("culprit");
                let slow = named.spawn(slow_until(reported)).expect("a runtime");
                *spawned = Some((slow.id(), line!() - 1));
                slow.await.expect("it is reported");
            }
        },
    );
    let (id, line) = spawned.expect("it ran");
    assert_eq!(poll.id(), Some(id));
    let location = poll.location().expect("it is a task");
    assert_eq!((location.file(), location.line()), (file!(), line));
    assert_eq!(poll.place(), "current thread");
    assert!(poll.so_far() >= Duration::from_millis(5), "{poll:?}");
    assert_eq!(thread, thread::current().id());
    let text = poll.to_string();
    assert!(text.contains("culprit") && text.contains("spawn_blocking"));
}

#[test]
fn a_current_thread_runtime_names_its_root() {
    let (poll, thread) = on_current_thread(|poll| poll.id().is_none(), slow_until);
    assert_eq!((poll.name(), poll.location()), (None, None));
    assert_eq!(poll.place(), "current thread");
    // It holds up all tasks, so it is not left out of the line on standard error.
    assert!(!poll.is_guest_root());
    assert_eq!(thread, thread::current().id());
}

#[test]
fn a_hook_that_panics_harms_no_current_thread_runtime() {
    let _watchdog = Watchdog::new(LIMIT);
    let called = Flag::new();
    let sets = called.clone();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .slow_poll_threshold(Duration::from_millis(5))
        .on_slow_poll(move |_| {
            sets.set();
            panic!("a report that fails");
        })
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        runtime::spawn(slow_until(called)).await.expect("no panic");
    });
    all_goes_on(&runtime);
}

#[test]
fn a_slow_task_of_a_local_set_is_named() {
    let mut spawned = None;
    let (poll, _) = on_current_thread(
        |poll| poll.name() == Some("culprit"),
        |reported| {
            let spawned = &mut spawned;
            async move {
                let set = LocalSet::new();
                set.run_until(async {
                    let named = Named::new().name("culprit");
                    let slow = named.spawn_local(slow_until(reported)).expect("a set");
                    *spawned = Some((slow.id(), line!() - 1));
                    slow.await.expect("it is reported");
                })
                .await;
            }
        },
    );
    let (id, line) = spawned.expect("it ran");
    assert_eq!(poll.id(), Some(id));
    let location = poll.location().expect("it is a task");
    assert_eq!((location.file(), location.line()), (file!(), line));
}

// ---------------------------------------------------------------- the line on standard error

/// The line of the spawn below.
const SPAWN: u32 = line!() + 3;
fn spawn_reader_of_standard_input() -> JoinHandle<bool> {
    let read = async { std::io::stdin().read(&mut [0]).is_ok() };
    Named::new().name("reader").spawn(read).expect("a runtime")
}

#[test]
fn without_a_hook_a_line_on_standard_error_names_the_task() {
    let test = "without_a_hook_a_line_on_standard_error_names_the_task";
    let child = child::start(test, || {
        let runtime = multi_thread().build().expect("a runtime");
        let _entered = runtime.enter();
        let slow = spawn_reader_of_standard_input();
        assert_eq!(runtime.block_on(slow).ok(), Some(true));
    });
    let Some(mut child) = child else { return };
    let text = child.wait_for_error("reader");
    let line = text.lines().last().expect("a line");
    for part in [
        "runtime: slow poll: task ",
        &format!(", spawned at {}:{SPAWN}:", file!()),
        "worker ",
        "blocked",
        "spawn_blocking",
    ] {
        assert!(line.contains(part), "{line:?} does not say {part:?}");
    }
    child.close_input();
    let more = child.succeeds();
    assert!(!more.contains("reader"), "a second line: {more}");
}

/// A `main` that blocks or computes holds up no task.
#[test]
fn a_root_that_blocks_beside_workers_is_no_line_on_standard_error() {
    let test = "a_root_that_blocks_beside_workers_is_no_line_on_standard_error";
    let child = child::start(test, || {
        let runtime = multi_thread().build().expect("a runtime");
        runtime.block_on(async {
            // Longer than the threshold, and only then is there a task: the root's line would come first.
            spin(THRESHOLD * 2);
            let slow = spawn_reader_of_standard_input();
            let _ = std::io::stdin().read(&mut [0]);
            assert!(slow.await.expect("no panic"));
        });
    });
    let Some(mut child) = child else { return };
    let mut text = child.wait_for_error("reader");
    child.close_input();
    text += &child.succeeds();
    assert!(!text.contains("block_on"), "{text}");
}
