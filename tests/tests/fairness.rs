//! How long a task that can run has to wait, counted in polls of others: the bounds of `docs/guarantees.md`, Fairness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use runtime::runtime::{Builder, Runtime};
use runtime::sync::mpsc;
use runtime::task::yield_now;
use runtime_tests::{Flag, LIMIT, Watchdog, current_thread};

/// Tasks that are always ready.
const RESTLESS: u64 = 10;

/// Pairs of tasks that wake each other all the time.
const PAIRS: u64 = 20;

/// All of them.
const TASKS: u64 = RESTLESS + 2 * PAIRS;

/// What a task in a worker's queue waits for at most, for each task that is there: three polls from the LIFO slot before each from the deque, the same
/// number of tasks from outside that are urgent, and one now and then that is not.
const LOCAL: u64 = 9;

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
fn a_task_in_a_workers_queue_waits_for_nine_polls_a_task_at_most() {
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
