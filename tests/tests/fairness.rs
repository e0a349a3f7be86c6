//! How long a task that can run has to wait, counted in polls of others: the bounds of `docs/guarantees.md`, Fairness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use runtime::runtime::{Builder, Runtime};
use runtime::sync::mpsc;
use runtime::task::yield_now;
use runtime_tests::{Flag, LIMIT, Watchdog, current_thread, spin};

/// Tasks that are always ready.
const RESTLESS: u64 = 10;

/// Pairs of tasks that wake each other all the time.
const PAIRS: u64 = 20;

/// All of them.
const TASKS: u64 = RESTLESS + 2 * PAIRS;

/// What a task in a worker's queue waits for at most, for each task that is there: three polls from the LIFO slot before each from the deque, the same
/// number of tasks from outside that are urgent, and one now and then that is not.
const LOCAL: u64 = 10;

/// A task from outside is taken at least every so many polls.
const INTERVAL: u64 = 61;

/// Polls of all tasks so far, and the longest wait of a task, in polls.
#[derive(Debug, Default)]
struct Polls {
    /// How many there were.
    count: AtomicU64,
    /// How many tasks have been polled: until all have, some lie in the injector.
    begun: AtomicU64,
    /// The longest wait that began after that.
    longest: AtomicU64,
}

impl Polls {
    /// Counts this poll.
    fn poll(&self) {
        self.count.fetch_add(1, Relaxed);
    }

    fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    fn have_all_begun(&self) -> bool {
        self.begun.load(Relaxed) == TASKS
    }

    /// Returns the number of polls, from which on a task can run; `None` while not all tasks have begun.
    fn ready(&self) -> Option<u64> {
        self.have_all_begun().then(|| self.count.load(Relaxed))
    }

    /// Notes that a task that can run since then is polled now.
    fn waited(&self, since: Option<u64>) {
        if let Some(since) = since {
            self.longest
                .fetch_max(self.count.load(Relaxed) - since, Relaxed);
        }
    }
}

/// A task that takes so long in each poll gives way to those that do not yield.
const LONG: Duration = Duration::from_micros(30);

/// Then at least one poll in so many is of a task that yielded: one turn in eight is for these and for what was injected, in turn.
const YIELDED: u64 = 16;

/// Spawns tasks of both kinds until they are told to stop.
fn occupy(runtime: &Runtime, polls: &Arc<Polls>, stop: &Flag) {
    for _ in 0..RESTLESS {
        let (polls, stop) = (polls.clone(), stop.clone());
        runtime.spawn(async move {
            polls.begin();
            while !stop.is_set() {
                polls.poll();
                let since = polls.ready();
                yield_now().await;
                polls.waited(since);
            }
        });
    }
    spawn_pairs(runtime, polls, stop);
}

/// Spawns the tasks that wake each other.
fn spawn_pairs(runtime: &Runtime, polls: &Arc<Polls>, stop: &Flag) {
    for _ in 0..PAIRS {
        let (to_one, at_one) = mpsc::channel(1);
        let (to_other, at_other) = mpsc::channel(1);
        to_one.try_send(None).unwrap();
        runtime.spawn(pass_on(at_one, to_other, polls.clone(), stop.clone()));
        runtime.spawn(pass_on(at_other, to_one, polls.clone(), stop.clone()));
    }
}

/// Sends, for each message, one that says when it was sent.
async fn pass_on(
    mut here: mpsc::Receiver<Option<u64>>,
    there: mpsc::Sender<Option<u64>>,
    polls: Arc<Polls>,
    stop: Flag,
) {
    polls.begin();
    while let Some(since) = here.recv().await {
        polls.waited(since);
        polls.poll();
        if stop.is_set() || there.send(polls.ready()).await.is_err() {
            break;
        }
    }
}

fn one_worker() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        // Nobody else takes part, for then there would be two to count.
        .rescue(false)
        .guest(false)
        .build()
        .unwrap()
}

#[test]
fn a_task_in_a_workers_queue_waits_for_ten_polls_a_task_at_most() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [one_worker(), current_thread()] {
        let (polls, stop) = (Arc::new(Polls::default()), Flag::new());
        occupy(&runtime, &polls, &stop);
        runtime.block_on(async {
            while polls.count.load(Relaxed) < 100_000 {
                runtime::spawn(yield_now()).await.unwrap();
            }
            stop.set();
        });
        let longest = polls.longest.load(Relaxed);
        // The root and its task are tasks too.
        let most = LOCAL * (TASKS + 2);
        assert!(
            longest <= most,
            "{longest} polls, at most {most}: {runtime:?}"
        );
        assert!(longest >= RESTLESS - 1, "all took their turns");
    }
}

#[test]
fn a_task_from_outside_waits_for_as_many_polls_as_the_interval_says() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = one_worker();
    let (polls, stop) = (Arc::new(Polls::default()), Flag::new());
    occupy(&runtime, &polls, &stop);
    while !polls.have_all_begun() {
        std::thread::yield_now();
    }
    for together in [1, 10] {
        for _ in 0..200 {
            let tasks: Vec<_> = (0..together)
                .map(|number| {
                    let here = polls.clone();
                    let task = runtime.spawn(async move { here.count.load(Relaxed) });
                    // Read once it is queued: if this thread is not given a core meanwhile, that must not count.
                    (number, polls.count.load(Relaxed), task)
                })
                .collect();
            for (number, queued, task) in tasks {
                while !task.is_finished() {
                    std::thread::yield_now();
                }
                let begun = runtime.block_on(task).unwrap();
                let (waited, most) = (begun.saturating_sub(queued), (number + 2) * INTERVAL);
                assert!(waited <= most, "{waited} polls, at most {most}");
            }
        }
    }
    stop.set();
}

/// As they give way, others may come first again and again, but not for ever; not even if there are always some from outside, too.
#[test]
fn of_sixteen_polls_one_is_for_a_task_that_yielded() {
    let _watchdog = Watchdog::new(LIMIT);
    for (runtime, is_crowded) in [
        // None from outside: if this thread is without a core for 2 ms, what waits here is moved behind them.
        (one_worker(), false),
        (current_thread(), false),
        (current_thread(), true),
    ] {
        let (polls, stop) = (Arc::new(Polls::default()), Flag::new());
        spawn_pairs(&runtime, &polls, &stop);
        let waits: Vec<_> = (0..RESTLESS)
            .map(|_| {
                let polls = polls.clone();
                runtime.spawn(async move {
                    let mut longest = 0;
                    for round in 0..300 {
                        spin(LONG);
                        let before = polls.count.load(Relaxed);
                        yield_now().await;
                        // Until it is known how long polls last, they take turns with all others.
                        if round >= 100 {
                            longest = longest.max(polls.count.load(Relaxed) - before);
                        }
                    }
                    longest
                })
            })
            .collect();
        let mut longest = Vec::new();
        std::thread::scope(|scope| {
            if is_crowded {
                scope.spawn(|| from_outside(&runtime, &polls, &stop));
            }
            runtime.block_on(async {
                for wait in waits {
                    longest.push(wait.await.unwrap());
                }
                stop.set();
            });
        });
        for longest in longest {
            // The first of the turns may still be as far away as it was before.
            let most = INTERVAL + YIELDED * RESTLESS;
            assert!(longest <= most, "{longest} polls, at most {most}");
            assert!(longest >= 2 * RESTLESS, "{longest} polls: it gives way");
        }
    }
}

/// Spawns tasks so that there are always some that wait.
fn from_outside(runtime: &Runtime, polls: &Arc<Polls>, stop: &Flag) {
    const WAITING: u64 = 1000;
    let (mut spawned, done) = (0, Arc::new(AtomicU64::new(0)));
    while !stop.is_set() {
        if spawned - done.load(Relaxed) < WAITING {
            let (polls, done) = (polls.clone(), done.clone());
            runtime.spawn(async move {
                polls.poll();
                done.fetch_add(1, Relaxed);
            });
            spawned += 1;
        } else {
            std::thread::yield_now();
        }
    }
}

/// If every turn is for what comes from outside, none is for tasks that yield.
#[test]
fn a_task_that_yields_lets_others_go_on_whatever_the_interval() {
    let _watchdog = Watchdog::new(LIMIT);
    for interval in [1, 2, 15, 16] {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = (builder.global_queue_interval(interval).worker_threads(1))
                .build()
                .unwrap();
            let stop = Flag::new();
            let seen = stop.clone();
            let yields = runtime.spawn(async move {
                while !seen.is_set() {
                    spin(LONG);
                    yield_now().await;
                }
            });
            let (to_one, mut at_one) = mpsc::channel(1);
            let (to_other, mut at_other) = mpsc::channel(1);
            let answers = runtime.spawn(async move {
                while let Some(number) = at_one.recv().await {
                    to_other.send(number).await.unwrap();
                }
            });
            let asks = runtime.spawn(async move {
                for number in 0..1000 {
                    to_one.send(number).await.unwrap();
                    assert_eq!(at_other.recv().await, Some(number));
                }
                stop.set();
            });
            runtime.block_on(async {
                asks.await.unwrap();
                yields.await.unwrap();
                answers.await.unwrap();
            });
        }
    }
}

/// Tasks that take long for a while, and then yield after short polls, are polled in turn all the time.
#[test]
fn tasks_that_yield_take_turns_when_their_polls_become_short() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [one_worker(), current_thread()] {
        let polls = Arc::new(Polls::default());
        let waits: Vec<_> = (0..RESTLESS)
            .map(|_| {
                let polls = polls.clone();
                runtime.spawn(async move {
                    let mut longest = 0;
                    for round in 0..4000 {
                        if round % 1000 < 100 {
                            spin(LONG);
                        }
                        polls.poll();
                        let before = polls.count.load(Relaxed);
                        yield_now().await;
                        if round >= 10 {
                            longest = longest.max(polls.count.load(Relaxed) - before);
                        }
                    }
                    longest
                })
            })
            .collect();
        runtime.block_on(async {
            for wait in waits {
                let longest = wait.await.unwrap();
                assert!(
                    longest <= 3 * RESTLESS,
                    "{longest} polls of {RESTLESS} tasks"
                );
            }
        });
    }
}
