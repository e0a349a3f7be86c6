//! The hog lane: a task that was caught in a long poll is polled by threads of its own, where everything works as elsewhere, until its polls are
//! short again; and nobody else waits for it.
//!
//! A test knows where it is by the thread: with no spares and no guest, what is polled neither by the workers nor by the test's thread is
//! polled in the lane.

use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use runtime::net::UnixStream;
use runtime::runtime::{Builder, Handle, Runtime};
use runtime::sync::{Notify, mpsc as channel, oneshot};
use runtime::task::{
    self, Id, JoinError, JoinHandle, JoinSet, LocalSet, TaskInfo, TaskState, block_in_place,
    consume_budget, spawn_blocking, yield_now,
};
use runtime::time::{interval, sleep, timeout};
use runtime_tests::stuck::{Crew, Trap};
use runtime_tests::{DropCount, Flag, LIMIT, Watchdog, message_of_panic, panic_text, spin};

/// How long what takes some milliseconds may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A poll that does not count as short.
const LONG: Duration = Duration::from_micros(700);

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

runtime::task_local! {
    static NUMBER: u32;
}

/// A runtime whose lane a test looks at.
struct Ground {
    /// Never held by a task: it would wait for itself.
    runtime: Runtime,
    /// Its workers.
    crew: Arc<Crew>,
}

/// A builder for tests that know where they are: see the header.
fn builder(lane: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder
        .enable_all()
        .hog_lane(lane)
        .rescue_spares(0)
        .guest(false)
        .on_slow_poll(|_| ());
    builder
}

/// Returns what is known of the task `id` of the runtime that runs this.
fn look_at(handle: &Handle, id: Id) -> Option<TaskInfo> {
    handle.tasks().into_iter().find(|task| task.id() == id)
}

/// Holds its thread until it has been caught, and gives way: what comes after that is polled in the lane.
async fn get_caught() {
    let (handle, id) = (Handle::current(), task::id());
    while !look_at(&handle, id).expect("it is polled").is_hog() {
        spin(Duration::from_micros(200));
    }
    yield_now().await;
}

impl Ground {
    /// With a lane of the width `lane`, and two workers.
    fn new(lane: usize) -> Ground {
        Ground::with(&mut builder(lane), 2)
    }

    fn with(builder: &mut Builder, workers: usize) -> Ground {
        let (runtime, crew) = Crew::build(builder, workers);
        Ground {
            runtime,
            crew: Arc::new(crew),
        }
    }

    /// Returns a function that tells whether its caller is polled in the lane.
    fn in_lane(&self) -> impl Fn() -> bool + Send + Sync + Clone + 'static {
        let (crew, test) = (self.crew.clone(), thread::current().id());
        move || !crew.is_one_of_us() && thread::current().id() != test
    }

    /// Spawns a task that is caught and then, in the lane, does `work`.
    fn spawn_hog<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let in_lane = self.in_lane();
        self.runtime.spawn(async move {
            get_caught().await;
            assert!(in_lane(), "a hog on a worker");
            work.await
        })
    }

    /// Spawns a hog that holds a thread of the lane, and waits until it does.
    fn hold_lane(&self, trap: &Trap) -> JoinHandle<()> {
        let block = trap.block();
        let (enter, entered) = mpsc::channel();
        let hog = self.spawn_hog(async move {
            enter.send(()).expect("the test waits");
            block();
        });
        entered.recv_timeout(PATIENCE).expect("it is polled");
        hog
    }

    /// Waits until `hogs` are caught and wait for a thread of the lane.
    fn until_queued<T>(&self, hogs: &[JoinHandle<T>]) {
        self.until("all are queued", || {
            hogs.iter().all(|hog| {
                look_at(self.runtime.handle(), hog.id())
                    .is_some_and(|hog| hog.is_hog() && hog.state() == TaskState::Scheduled)
            })
        });
    }

    /// Lets timers of the root fire until `is_so`.
    #[track_caller]
    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "never: {what}");
            self.let_time_pass(1);
        }
    }

    /// Lets `timers` of the root fire, one after the other.
    fn let_time_pass(&self, timers: usize) {
        self.block_on(async {
            for _ in 0..timers {
                sleep(Duration::from_millis(1)).await;
            }
        });
    }

    /// Drives `root`, which must end soon.
    fn block_on<F: Future>(&self, root: F) -> F::Output {
        let name = thread::current().name().unwrap_or("?").to_owned();
        let _watchdog = Watchdog::over(&name, PATIENCE);
        self.runtime.block_on(root)
    }

    /// Sockets, timers, tasks and blocking jobs go on.
    fn all_goes_on(&self) {
        self.block_on(async {
            let (mut one, mut other) = UnixStream::pair().expect("two sockets");
            let echo = runtime::spawn(async move {
                let mut byte = [0];
                other.read_exact(&mut byte).await.expect("a byte");
                sleep(Duration::from_millis(1)).await;
                other.write_all(&byte).await.expect("there is room");
            });
            one.write_all(b"x").await.expect("there is room");
            one.read_exact(&mut [0]).await.expect("a byte");
            echo.await.expect("no panic");
            assert_eq!(spawn_blocking(|| 5).await.expect("no panic"), 5);
        });
    }
}

// ---------------------------------------------------------------- going there and coming back

#[test]
fn a_task_that_was_caught_comes_back_after_four_short_polls() {
    let ground = Ground::new(2);
    let in_lane = ground.in_lane();
    let hog = ground.runtime.spawn(async move {
        for _ in 0..3 {
            assert!(!in_lane());
            get_caught().await;
            let mut polls = 0;
            // A poll is not short if its thread waits for a core, and then the count begins again.
            while in_lane() {
                polls += 1;
                assert!(polls < 100_000, "it never comes back");
                yield_now().await;
            }
            assert!(polls >= 4, "back after {polls} short polls");
            let task = look_at(&Handle::current(), task::id()).expect("it is polled");
            assert!(!task.is_hog(), "{task:?}");
        }
    });
    ground.block_on(hog).expect("no panic");
    let metrics = ground.runtime.metrics();
    let rescue = metrics.rescue();
    assert!(rescue.lane_marks() >= 3, "{rescue:?}");
    assert!(rescue.lane_returns() >= 3, "{rescue:?}");
    // A poll is counted after it, when the task may be elsewhere already.
    ground.until("all polls are counted", || {
        ground.runtime.metrics().rescue().lane_polls() >= 12
    });
}

#[test]
fn a_long_poll_begins_the_count_again() {
    let ground = Ground::new(2);
    let in_lane = ground.in_lane();
    let hog = ground.spawn_hog(async move {
        for _ in 0..20 {
            spin(LONG);
            for short in 0..3 {
                yield_now().await;
                assert!(in_lane(), "back after a long poll and {short} short ones");
            }
            yield_now().await;
            assert!(in_lane());
        }
    });
    ground.block_on(hog).expect("no panic");
}

/// The list tells where a task is polled: in the lane, and on a worker again.
#[test]
fn the_list_tells_where_it_is_polled() {
    let ground = Ground::new(1);
    let in_lane = ground.in_lane();
    let place = || {
        let task = look_at(&Handle::current(), task::id()).expect("it is polled");
        match task.state() {
            TaskState::Running { place, .. } => place.map(str::to_owned),
            state => panic!("it runs, and is {state:?}"),
        }
    };
    let hog = ground.runtime.spawn(async move {
        for _ in 0..3 {
            let now = place().expect("it can be told");
            assert!(now.starts_with("worker "), "{now}, and not a worker");
            get_caught().await;
            assert!(in_lane());
            assert_eq!(place().as_deref(), Some("lane 0"));
            while in_lane() {
                yield_now().await;
            }
        }
    });
    ground.block_on(hog).expect("no panic");
}

/// Each way in which a hog that waits may be woken, with it polled in the lane afterwards.
#[test]
fn whoever_wakes_it_it_goes_to_the_lane() {
    let ground = Ground::new(2);
    let in_lane = ground.in_lane();

    let (wake, woken) = oneshot::channel();
    let looks = in_lane.clone();
    let hog = ground.spawn_hog(async move {
        woken.await.expect("it is sent");
        looks()
    });
    ground.until("it waits", || is_waiting(&ground, hog.id()));
    wake.send(()).expect("it waits");
    assert!(ground.block_on(hog).expect("no panic"), "from outside");

    let (wake, woken) = oneshot::channel();
    let looks = in_lane.clone();
    let hog = ground.spawn_hog(async move {
        woken.await.expect("it is sent");
        looks()
    });
    ground.until("it waits", || is_waiting(&ground, hog.id()));
    let looks = in_lane.clone();
    let waker = ground.runtime.spawn(async move {
        wake.send(()).expect("it waits");
        looks()
    });
    assert!(!ground.block_on(waker).expect("no panic"), "not a hog");
    assert!(ground.block_on(hog).expect("no panic"), "by a worker");

    let (wake, woken) = oneshot::channel();
    let looks = in_lane.clone();
    let hog = ground.spawn_hog(async move {
        woken.await.expect("it is sent");
        looks()
    });
    ground.until("it waits", || is_waiting(&ground, hog.id()));
    let other = ground.spawn_hog(async move { wake.send(()).expect("it waits") });
    assert!(ground.block_on(hog).expect("no panic"), "by a hog");
    ground.block_on(other).expect("no panic");

    let looks = in_lane.clone();
    let hog = ground.spawn_hog(async move {
        sleep(Duration::from_millis(2)).await;
        looks()
    });
    assert!(ground.block_on(hog).expect("no panic"), "by a timer");

    let (mut theirs, ours) = std::os::unix::net::UnixStream::pair().expect("two sockets");
    ours.set_nonblocking(true).expect("a socket");
    let hog = ground.spawn_hog(async move {
        let mut ours = UnixStream::from_std(ours).expect("a socket");
        ours.read_exact(&mut [0]).await.expect("a byte");
        in_lane()
    });
    ground.until("it waits", || is_waiting(&ground, hog.id()));
    std::io::Write::write_all(&mut theirs, b"x").expect("there is room");
    assert!(ground.block_on(hog).expect("no panic"), "by a socket");
}

/// Whether the task has been caught and waits to be woken.
fn is_waiting(ground: &Ground, id: Id) -> bool {
    look_at(ground.runtime.handle(), id)
        .is_some_and(|task| task.is_hog() && task.state() == TaskState::Waiting)
}

#[test]
fn a_long_block_in_place_is_no_long_poll() {
    let ground = Ground::with(Builder::new_multi_thread().on_slow_poll(|_| ()), 2);
    let (enter, entered) = mpsc::channel();
    let mut trap = Trap::pipe();
    let block = trap.block();
    let task = ground.runtime.spawn(async move {
        block_in_place(|| {
            enter.send(()).expect("the test waits");
            block();
        });
    });
    entered.recv_timeout(PATIENCE).expect("it is polled");
    ground.let_time_pass(20);
    let info = look_at(ground.runtime.handle(), task.id()).expect("it is polled");
    assert!(!info.is_hog(), "{info:?}");
    trap.release();
    ground.block_on(task).expect("no panic");
}

// ---------------------------------------------------------------- what others notice

/// While four hogs compute or block in each poll, two tasks send each other messages: they must not wait for a hog each time.
#[test]
fn others_do_not_wait_for_hogs() {
    let ways: [(&str, fn()); 2] = [
        ("spin", || spin(Duration::from_millis(5))),
        ("sleep", || thread::sleep(Duration::from_millis(5))),
    ];
    for (name, be_slow) in ways {
        let ground = Ground::with(&mut builder(1), 1);
        let (stop, polls) = (Flag::new(), Arc::new(AtomicUsize::new(0)));
        let hogs: Vec<_> = (0..4)
            .map(|_| {
                let (stop, polls) = (stop.clone(), polls.clone());
                ground.spawn_hog(async move {
                    while !stop.is_set() {
                        be_slow();
                        polls.fetch_add(1, Ordering::SeqCst);
                        yield_now().await;
                    }
                })
            })
            .collect();
        ground.until("all are caught", || {
            let tasks = ground.runtime.handle().tasks();
            tasks.iter().filter(|task| task.is_hog()).count() == 4
        });
        let before = polls.load(Ordering::SeqCst);
        let talk = ground.runtime.spawn(async {
            let (to_one, mut at_one) = channel::channel(1);
            let (to_other, mut at_other) = channel::channel(1);
            let other = runtime::spawn(async move {
                while let Some(number) = at_other.recv().await {
                    let _: Result<(), _> = to_one.send(number).await;
                }
            });
            for number in 0..1_000 {
                to_other.send(number).await.expect("it listens");
                assert_eq!(at_one.recv().await, Some(number));
            }
            drop(to_other);
            other.await.expect("no panic");
        });
        ground.block_on(talk).expect("no panic");
        let meanwhile = polls.load(Ordering::SeqCst) - before;
        // Behind hogs, each message would take several of their polls.
        assert!(
            meanwhile < 500,
            "{name}: {meanwhile} polls of hogs in 1000 rounds"
        );
        stop.set();
        ground.block_on(async {
            for hog in hogs {
                hog.await.expect("no panic");
            }
        });
    }
}

#[test]
fn what_a_hog_spawns_and_wakes_is_run_by_workers() {
    let ground = Ground::new(1);
    let in_lane = ground.in_lane();
    let (wake, mut woken) = channel::channel::<()>(1);
    let (report, reports) = mpsc::channel();
    let (looks, says) = (in_lane.clone(), report.clone());
    let waiting = ground.runtime.spawn(async move {
        woken.recv().await.expect("it is sent");
        says.send(("woken", looks())).expect("the hog waits");
    });
    let hog = ground.spawn_hog(async move {
        wake.try_send(()).expect("there is room");
        for _ in 0..10 {
            let (looks, says) = (in_lane.clone(), report.clone());
            runtime::spawn(async move { says.send(("spawned", looks())).expect("the hog waits") });
        }
        drop(report);
        // The only thread of the lane is blocked until all have run.
        let seen: Vec<_> = reports.iter().collect();
        assert!(seen.iter().all(|&(_, in_lane)| !in_lane), "{seen:?}");
        assert_eq!(seen.len(), 11);
        assert!(in_lane());
    });
    ground.block_on(async {
        hog.await.expect("no panic");
        waiting.await.expect("no panic");
    });
}

// ---------------------------------------------------------------- many hogs

/// At most `width` compute at a time.
#[test]
fn no_more_hogs_compute_than_the_lane_is_wide() {
    for width in [1, 2, 3] {
        let ground = Ground::with(builder(width).rescue_spares(8), 2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let hogs: Vec<_> = (0..8)
            .map(|_| {
                let (now, most) = (now.clone(), most.clone());
                ground.runtime.spawn(async move {
                    get_caught().await;
                    for _ in 0..10 {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        // Long enough to be looked at by the watchman.
                        spin(Duration::from_millis(6));
                        now.fetch_sub(1, Ordering::SeqCst);
                        yield_now().await;
                    }
                })
            })
            .collect();
        ground.block_on(async {
            for hog in hogs {
                hog.await.expect("no panic");
            }
        });
        let most = most.load(Ordering::SeqCst);
        assert!(
            (1..=width).contains(&most),
            "{most} beside each other, {width} allowed"
        );
    }
}

/// Those that block do not count: each of these waits until all do.
#[test]
fn hogs_that_block_do_not_hold_up_others() {
    for (width, spares) in [(1, 9), (2, 8)] {
        let ground = Ground::with(builder(width).rescue_spares(spares), 2);
        let all = Arc::new(Barrier::new(10));
        let hogs: Vec<_> = (0..10)
            .map(|_| {
                let all = all.clone();
                ground.runtime.spawn(async move {
                    get_caught().await;
                    all.wait();
                })
            })
            .collect();
        ground.block_on(async {
            for hog in hogs {
                hog.await.expect("no panic");
            }
        });
    }
}

/// Up to the bound; then the others wait, and nobody else.
#[test]
fn no_more_hogs_block_than_there_may_be_threads() {
    let ground = Ground::with(builder(1).rescue_spares(3), 2);
    let mut trap = Trap::mutex();
    let entered = Arc::new(AtomicUsize::new(0));
    let hogs: Vec<_> = (0..9)
        .map(|_| {
            let (block, entered) = (trap.block(), entered.clone());
            ground.runtime.spawn(async move {
                get_caught().await;
                entered.fetch_add(1, Ordering::SeqCst);
                block();
            })
        })
        .collect();
    ground.until("four are in", || entered.load(Ordering::SeqCst) == 4);
    ground.all_goes_on();
    ground.until("five wait", || {
        ground.runtime.metrics().rescue().lane_depth() == 5
    });
    ground.let_time_pass(50);
    assert_eq!(entered.load(Ordering::SeqCst), 4);
    assert_eq!(ground.runtime.metrics().rescue().lane_threads(), 4);
    trap.release();
    ground.block_on(async {
        for hog in hogs {
            hog.await.expect("no panic");
        }
    });
    assert_eq!(entered.load(Ordering::SeqCst), 9);
}

/// First woken, first polled: on a lane of one thread, hogs that yield take turns.
#[test]
fn hogs_take_turns() {
    let ground = Ground::new(1);
    let mut trap = Trap::pipe();
    let holder = ground.hold_lane(&trap);
    let turns = Arc::new(Mutex::new(Vec::new()));
    let hogs: Vec<_> = (0..5)
        .map(|number| {
            let turns = turns.clone();
            ground.spawn_hog(async move {
                for _ in 0..10 {
                    turns.lock().expect("no panic").push(number);
                    spin(LONG);
                    yield_now().await;
                }
            })
        })
        .collect();
    // Now all of them wait in the queue, in whatever order.
    ground.until_queued(&hogs);
    trap.release();
    ground.block_on(async {
        holder.await.expect("no panic");
        for hog in hogs {
            hog.await.expect("no panic");
        }
    });
    let turns = turns.lock().expect("no panic");
    assert_eq!(turns.len(), 50);
    let mut first: Vec<i32> = turns[..5].to_vec();
    assert!(turns.chunks(5).all(|round| round == first), "{turns:?}");
    first.sort_unstable();
    assert_eq!(first, [0, 1, 2, 3, 4]);
}

#[test]
fn threads_of_the_lane_end_when_they_are_not_needed() {
    let keep_alive = Duration::from_millis(50);
    let ground = Ground::with(builder(2).rescue_spares(8).thread_keep_alive(keep_alive), 2);
    let threads = || ground.runtime.metrics().rescue().lane_threads();
    for _ in 0..2 {
        assert_eq!(threads(), 0);
        let all = Arc::new(Barrier::new(6));
        let hogs: Vec<_> = (0..6)
            .map(|_| {
                let all = all.clone();
                ground.runtime.spawn(async move {
                    get_caught().await;
                    all.wait();
                })
            })
            .collect();
        ground.block_on(async {
            for hog in hogs {
                hog.await.expect("no panic");
            }
        });
        ground.until("they end", || threads() == 0);
    }
}

// ---------------------------------------------------------------- everything works there

/// Something that a hog does.
type Deed = fn() -> Body;

const DEEDS: [(&str, Deed); 15] = [
    ("Handle::current", || {
        Box::pin(async {
            let task = Handle::current().spawn(async { 1 });
            assert_eq!(task.await.expect("no panic"), 1);
        })
    }),
    ("spawn", || {
        Box::pin(async {
            let tasks: Vec<_> = (0..100).map(|n| runtime::spawn(async move { n })).collect();
            for (number, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.expect("no panic"), number);
            }
        })
    }),
    ("sleep", || {
        Box::pin(async {
            let begun = Instant::now();
            sleep(Duration::from_millis(5)).await;
            assert!(begun.elapsed() >= Duration::from_millis(5));
        })
    }),
    ("timeout", || {
        Box::pin(async {
            let never = timeout(Duration::from_millis(2), pending::<()>());
            assert!(never.await.is_err());
            assert_eq!(timeout(PATIENCE, async { 1 }).await.ok(), Some(1));
        })
    }),
    ("interval", || {
        Box::pin(async {
            let mut ticks = interval(Duration::from_millis(1));
            for _ in 0..5 {
                ticks.tick().await;
            }
        })
    }),
    ("sockets", || {
        Box::pin(async {
            let (mut one, mut other) = UnixStream::pair().expect("two sockets");
            let echo = runtime::spawn(async move {
                let mut byte = [0];
                while other.read(&mut byte).await.expect("a socket") == 1 {
                    other.write_all(&byte).await.expect("there is room");
                }
            });
            for number in 0..20 {
                let mut byte = [0];
                one.write_all(&[number]).await.expect("there is room");
                one.read_exact(&mut byte).await.expect("a byte");
                assert_eq!(byte, [number]);
            }
            drop(one);
            echo.await.expect("no panic");
        })
    }),
    ("spawn_blocking", || {
        Box::pin(async { assert_eq!(spawn_blocking(|| 2).await.expect("no panic"), 2) })
    }),
    ("block_in_place", || {
        Box::pin(async {
            let (send, receive) = mpsc::channel();
            runtime::spawn(async move { send.send(3).expect("it is awaited") });
            assert_eq!(block_in_place(|| receive.recv()), Ok(3));
            assert_eq!(
                block_in_place(|| Handle::current().block_on(async { 4 })),
                4
            );
        })
    }),
    ("a blocking wait for a task", || {
        Box::pin(async {
            let (send, receive) = mpsc::channel();
            runtime::spawn(async move {
                sleep(Duration::from_millis(1)).await;
                send.send(5).expect("it is awaited");
            });
            assert_eq!(receive.recv(), Ok(5));
        })
    }),
    ("block_on, refused", || {
        Box::pin(async {
            let message = message_of_panic(|| Handle::current().block_on(async {}));
            assert!(message.contains("cannot block"), "{message}");
        })
    }),
    ("a task local", || {
        Box::pin(async {
            let inside = async {
                for _ in 0..10 {
                    assert_eq!(NUMBER.get(), 7);
                    yield_now().await;
                }
            };
            NUMBER.scope(7, inside).await;
            assert!(NUMBER.try_with(|_| ()).is_err());
        })
    }),
    ("a join set", || {
        Box::pin(async {
            let mut set = JoinSet::new();
            for number in 0..10 {
                set.spawn(async move { number });
            }
            let mut sum = 0;
            while let Some(number) = set.join_next().await {
                sum += number.expect("no panic");
            }
            assert_eq!(sum, 45);
        })
    }),
    ("a notification", || {
        Box::pin(async {
            let notify = Arc::new(Notify::new());
            let notifies = notify.clone();
            runtime::spawn(async move { notifies.notify_one() });
            notify.notified().await;
        })
    }),
    ("its identity", || {
        Box::pin(async {
            let before = task::id();
            yield_now().await;
            assert_eq!(task::id(), before);
        })
    }),
    ("abort of a child", || {
        Box::pin(async {
            let child = runtime::spawn(pending::<()>());
            child.abort();
            assert!(child.await.expect_err("it waits for ever").is_cancelled());
        })
    }),
];

#[test]
fn everything_works_there() {
    for (name, deed) in DEEDS {
        let ground = Ground::new(1);
        let hog = ground.spawn_hog(async move {
            // In one poll at least, and after polls that are too long to come back.
            deed().await;
            for _ in 0..3 {
                spin(LONG);
                deed().await;
            }
        });
        if let Err(error) = ground.block_on(hog) {
            panic!("{name}: {error}");
        }
    }
}

/// A hog whose awaits are all ready gives way to the next hog all the same.
#[test]
fn the_budget_counts_there() {
    /// Far more than a budget, and longer than a thread waits for its core.
    const OPERATIONS: usize = 1_000_000;
    let ground = Ground::new(1);
    let mut trap = Trap::pipe();
    let block = trap.block();
    let (enter, entered) = mpsc::channel();
    let done = Arc::new(AtomicUsize::new(0));
    let counts = done.clone();
    let restless = ground.spawn_hog(async move {
        enter.send(()).expect("the test waits");
        block();
        for _ in 0..OPERATIONS {
            consume_budget().await;
            counts.fetch_add(1, Ordering::SeqCst);
        }
    });
    entered.recv_timeout(PATIENCE).expect("it is polled");
    let next = [ground.spawn_hog(async move { done.load(Ordering::SeqCst) })];
    ground.until_queued(&next);
    trap.release();
    let [next] = next;
    let seen = ground.block_on(next).expect("no panic");
    assert!(seen < OPERATIONS, "the next hog waited for all");
    ground.block_on(restless).expect("no panic");
}

// ---------------------------------------------------------------- how hogs end

#[test]
fn results_and_panics_reach_the_join_handle() {
    let ground = Ground::new(1);
    for number in 0..5 {
        let hog = ground.spawn_hog(async move { number });
        assert_eq!(ground.block_on(hog).expect("no panic"), number);
        let hog = ground.spawn_hog(async { panic!("in the lane") });
        let error = ground
            .block_on(hog)
            .map(|()| "a result")
            .expect_err("it panics");
        assert_eq!(panic_text(&*error.into_panic()), "in the lane");
        let hog = ground.spawn_hog(async {
            let _bomb = runtime_tests::PanicOnDrop("a drop in the lane");
            yield_now().await;
        });
        let error = ground.block_on(hog).expect_err("it panics");
        assert_eq!(panic_text(&*error.into_panic()), "a drop in the lane");
    }
    assert!(ground.runtime.metrics().rescue().lane_threads() <= 1);
    ground.all_goes_on();
}

#[test]
fn a_hog_that_ends_in_the_poll_in_which_it_is_caught_has_its_result() {
    let ground = Ground::new(1);
    for number in 0..20 {
        let task = ground.runtime.spawn(async move {
            let (handle, id) = (Handle::current(), task::id());
            while !look_at(&handle, id).expect("it is polled").is_hog() {
                spin(Duration::from_micros(200));
            }
            number
        });
        assert_eq!(ground.block_on(task).expect("no panic"), number);
    }
    assert_eq!(ground.runtime.metrics().rescue().lane_polls(), 0);
}

/// Spawns a hog that waits for ever and holds a token.
fn spawn_waiting_hog(ground: &Ground, drops: &DropCount) -> JoinHandle<()> {
    let token = drops.token();
    ground.spawn_hog(async move {
        let _token = token;
        pending::<()>().await;
    })
}

/// Aborts `hog`, which must be dropped at once.
fn abort_at_once(ground: &Ground, hog: JoinHandle<()>, drops: &DropCount) {
    hog.abort();
    ground.until("it is dropped", || drops.dropped() == 1);
    let error = ground.block_on(hog).expect_err("it waits for ever");
    assert!(error.is_cancelled(), "{error}");
}

#[test]
fn a_hog_that_waits_and_is_aborted_does_not_wait_for_the_lane() {
    let (ground, drops) = (Ground::new(1), DropCount::new());
    let hog = spawn_waiting_hog(&ground, &drops);
    ground.until("it waits", || is_waiting(&ground, hog.id()));
    let mut trap = Trap::pipe();
    let holder = ground.hold_lane(&trap);
    abort_at_once(&ground, hog, &drops);
    assert!(!holder.is_finished());
    trap.release();
    ground.block_on(holder).expect("no panic");
}

#[test]
fn a_hog_that_is_queued_and_is_aborted_does_not_wait_for_the_lane() {
    let (ground, drops) = (Ground::new(1), DropCount::new());
    let mut trap = Trap::pipe();
    let holder = ground.hold_lane(&trap);
    let hogs = [spawn_waiting_hog(&ground, &drops)];
    ground.until_queued(&hogs);
    let [hog] = hogs;
    abort_at_once(&ground, hog, &drops);
    assert!(!holder.is_finished());
    trap.release();
    ground.block_on(holder).expect("no panic");
}

#[test]
fn a_hog_that_is_polled_and_is_aborted_ends_with_that_poll() {
    let ground = Ground::new(1);
    let mut trap = Trap::pipe();
    let (block, in_it) = (trap.block(), Flag::new());
    let is_in = in_it.clone();
    let hog = ground.spawn_hog(async move {
        is_in.set();
        block();
        pending::<()>().await;
    });
    ground.until("it is polled", || in_it.is_set());
    hog.abort();
    ground.let_time_pass(10);
    assert!(!hog.is_finished());
    trap.release();
    let error = ground.block_on(hog).expect_err("it waits for ever");
    assert!(error.is_cancelled(), "{error}");
}

/// Hogs that wait, are queued, and are polled again and again are dropped at the end.
#[test]
fn hogs_are_dropped_at_the_shutdown() {
    type End = fn(Runtime);
    let ends: [(&str, End); 2] = [
        ("drop", |runtime| drop(runtime)),
        ("shutdown_timeout", |runtime| {
            runtime.shutdown_timeout(PATIENCE)
        }),
    ];
    for (name, end) in ends {
        for lane in [1, 2] {
            let ground = Ground::new(lane);
            let drops = DropCount::new();
            let mut hogs = Vec::new();
            for number in 0..9 {
                let token = drops.token();
                hogs.push(ground.spawn_hog(async move {
                    let _token = token;
                    match number % 3 {
                        0 => pending().await,
                        1 => sleep(LIMIT).await,
                        _ => loop {
                            spin(LONG);
                            yield_now().await;
                        },
                    }
                }));
            }
            ground.until("all are caught", || {
                let tasks = ground.runtime.handle().tasks();
                tasks.iter().filter(|task| task.is_hog()).count() == 9
            });
            let begun = Instant::now();
            let _watchdog = Watchdog::over(name, PATIENCE * 2);
            end(ground.runtime);
            assert!(begun.elapsed() < PATIENCE, "{name} waited for hogs");
            assert_eq!(drops.dropped(), 9, "{name}");
            assert!(hogs.iter().all(|hog| hog.is_finished()), "{name}");
        }
    }
}

#[test]
fn a_shutdown_does_not_wait_for_a_hog_that_blocks_longer_than_told() {
    let _watchdog = Watchdog::new(LIMIT);
    let ground = Ground::new(1);
    let mut trap = Trap::pipe();
    let holder = ground.hold_lane(&trap);
    let drops = DropCount::new();
    let queued: Vec<_> = (0..3)
        .map(|_| {
            let token = drops.token();
            ground.spawn_hog(async move {
                let _token = token;
                pending::<()>().await;
            })
        })
        .collect();
    ground.until_queued(&queued);
    let wait = Duration::from_millis(50);
    let begun = Instant::now();
    ground.runtime.shutdown_timeout(wait);
    let took = begun.elapsed();
    assert!(took >= wait, "nobody waited for the hog");
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(drops.dropped(), 3, "those in the queue");
    assert!(!holder.is_finished());
    trap.release();
    // Its thread is nobody's any more, but ends.
    let _ = runtime_tests::current_thread().block_on(holder);
}

// ---------------------------------------------------------------- no lane

#[test]
fn without_a_lane_no_task_is_a_hog() {
    for rescue in [true, false] {
        // With the rescue off there is no lane, whatever its width would be.
        let lane = if rescue { 0 } else { 2 };
        let mut builder = builder(lane);
        let ground = Ground::with(builder.rescue(rescue).rescue_spares(64), 2);
        let mut trap = Trap::pipe();
        let (enter, entered) = mpsc::channel();
        let slow: Vec<_> = (0..2)
            .map(|_| {
                let (block, enter) = (trap.block(), enter.clone());
                ground.runtime.spawn(async move {
                    enter.send(()).expect("the test waits");
                    block();
                    for _ in 0..3 {
                        yield_now().await;
                        spin(Duration::from_millis(4));
                    }
                    "done"
                })
            })
            .collect();
        for _ in &slow {
            entered.recv_timeout(PATIENCE).expect("it is polled");
        }
        ground.let_time_pass(20);
        if rescue {
            ground.all_goes_on();
        }
        let tasks = ground.runtime.handle().tasks();
        assert!(tasks.iter().all(|task| !task.is_hog()), "{tasks}");
        trap.release();
        ground.block_on(async {
            for task in slow {
                assert_eq!(task.await.expect("no panic"), "done");
            }
        });
        let metrics = ground.runtime.metrics();
        let lane = metrics.rescue();
        assert_eq!(
            (lane.lane_marks(), lane.lane_polls(), lane.lane_threads()),
            (0, 0, 0)
        );
    }
}

/// Polls that are slow, each of which must be made by the calling thread.
async fn slow_on_one_thread() -> usize {
    let (thread, not_send) = (thread::current().id(), Rc::new(()));
    let mut polls = 0;
    for round in 0..10 {
        if round % 2 == 0 {
            spin(Duration::from_millis(6));
        } else {
            thread::sleep(Duration::from_millis(6));
        }
        yield_now().await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(thread::current().id(), thread);
        polls += Rc::strong_count(&not_send);
    }
    polls
}

#[test]
fn a_local_task_stays_on_its_thread_however_slow_it_is() {
    for multi_thread in [true, false] {
        let _watchdog = Watchdog::new(LIMIT);
        let mut builder = if multi_thread {
            Builder::new_multi_thread()
        } else {
            Builder::new_current_thread()
        };
        let runtime = builder.on_slow_poll(|_| ()).build().expect("a runtime");
        let set = LocalSet::new();
        let tasks: Vec<_> = (0..3)
            .map(|_| set.spawn_local(slow_on_one_thread()))
            .collect();
        let polls = set.block_on(&runtime, async {
            let mut polls = 0;
            for task in tasks {
                polls += task.await.expect("no panic");
            }
            polls
        });
        assert_eq!(polls, 30);
        assert_eq!(runtime.metrics().rescue().lane_marks(), 0);
    }
}

#[test]
fn a_root_stays_on_its_thread_however_slow_it_is() {
    for guest in [true, false] {
        let ground = Ground::with(
            Builder::new_multi_thread()
                .guest(guest)
                .on_slow_poll(|_| ()),
            2,
        );
        assert_eq!(ground.block_on(slow_on_one_thread()), 10);
        assert_eq!(ground.runtime.metrics().rescue().lane_marks(), 0);
    }
}

#[test]
fn a_task_of_a_current_thread_runtime_stays_on_its_thread_however_slow_it_is() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .hog_lane(2)
        .rescue_threshold(Duration::from_millis(1))
        .on_slow_poll(|_| ())
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let thread = thread::current().id();
        let slow = runtime::spawn(async move {
            for _ in 0..10 {
                spin(Duration::from_millis(6));
                yield_now().await;
                sleep(Duration::from_millis(1)).await;
                assert_eq!(thread::current().id(), thread);
            }
        });
        slow.await.expect("no panic");
    });
    let metrics = runtime.metrics();
    let lane = metrics.rescue();
    assert_eq!(
        (lane.lane_marks(), lane.lane_polls(), lane.lane_threads()),
        (0, 0, 0)
    );
}

// ---------------------------------------------------------------- everything at once

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

/// Spawns `task` and returns what awaits it; dropped, that aborts it.
async fn child<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    let mut set = JoinSet::new();
    set.spawn(task);
    set.join_next().await.expect("it was spawned")
}

/// Takes `steps` random steps, many of them slow, and returns how many.
fn wander(mut random: Random, steps: usize) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    Box::pin(async move {
        let mut taken = 0;
        while taken < steps {
            taken += 1;
            let length = Duration::from_micros(random.below(4_000));
            match random.below(10) {
                0 => spin(length),
                1 => thread::sleep(length),
                2 => block_in_place(|| thread::sleep(length)),
                3 => sleep(length / 4).await,
                4 => {
                    let more = 1 + random.below(5) as usize;
                    let random = Random(random.below(u64::MAX) | 1);
                    assert_eq!(child(wander(random, more)).await.ok(), Some(more));
                }
                5 => {
                    // Aborted when the time is over, wherever it is.
                    let random = Random(random.below(u64::MAX) | 1);
                    let endless = child(wander(random, usize::MAX));
                    assert!(timeout(length / 4, endless).await.is_err());
                }
                6 => {
                    let panics = async move {
                        spin(length);
                        yield_now().await;
                        // As a panic, but without its message on standard error.
                        resume_unwind(Box::new("a child that panics"));
                    };
                    let result: Result<(), _> = child(panics).await;
                    assert!(result.expect_err("it panics").is_panic());
                }
                7 => {
                    let (send, receive) = oneshot::channel();
                    runtime::spawn(async move {
                        yield_now().await;
                        spin(length);
                        // The receiver may have been aborted.
                        let _ = send.send(9);
                    });
                    assert_eq!(receive.await, Ok(9));
                }
                8 => {
                    // Blocks until another task has run.
                    let (send, receive) = mpsc::channel();
                    runtime::spawn(async move { send.send(8) });
                    assert_eq!(receive.recv(), Ok(8));
                }
                _ => yield_now().await,
            }
        }
        taken
    })
}

/// How often each seed is tried: the number in `RT_STRESS`, or once.
fn rounds() -> u64 {
    std::env::var("RT_STRESS").map_or(1, |rounds| rounds.parse().expect("RT_STRESS is a number"))
}

#[test]
fn hogs_of_all_kinds_come_to_their_ends() {
    const STEPS: usize = 15;
    for seed in 1..=rounds() {
        for (workers, lane, spares) in [(1, 1, 64), (2, 2, 64), (2, 0, 64), (4, 1, 64)] {
            let _watchdog = Watchdog::over(&format!("seed {seed}, lane {lane}"), LIMIT);
            let mut builder = builder(lane);
            let ground = Ground::with(builder.rescue_spares(spares).guest(true), workers);
            let tasks: Vec<_> = (0..20)
                .map(|number| {
                    let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number + 1));
                    ground.runtime.spawn(wander(random, STEPS))
                })
                .collect();
            ground.runtime.block_on(async {
                for task in tasks {
                    let taken = task
                        .await
                        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                    assert_eq!(taken, STEPS);
                }
            });
            // Aborted children and theirs end too.
            ground.until("no task is left", || {
                ground.runtime.handle().tasks().is_empty()
            });
        }
    }
}
