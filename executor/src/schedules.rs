//! Scenarios: the whole executor, with real workers, parkers, pool and task cells, under schedules that shuttle chooses.
//!
//! Models (`loom.rs` files) explore one protocol to the end; scenarios sample the executor that is composed of them. Each is named after the race it rules out, and
//! the protocol texts cite them. What a thread is here, what a step, and what time, is told in `sync/shuttle.rs`.
//!
//! In every schedule of every scenario: each future and each job is completed or dropped once, the results are right, nobody waits for ever (shuttle
//! reports a deadlock, and an execution that does not end), and in the end nothing is left: no thread, no task, no count, no
//! reference ([`Executor::end`]).
//!
//! `.ci/schedules` runs them, half of the schedules random, half by priorities (PCT, which finds what needs few preemptions); it also shows that they can fail.
//! A failing schedule is printed as a string; `RT_REPLAY=string` runs it alone.

mod blocking;
mod parking;
mod rescue;
mod roots;
mod shutdown;
mod tasks;

use crate::sync::{self, AtomicBool, Mutex, Ordering, thread};
use crate::{Config, Flavor, Gathered, Handle, JoinHandle, Park, Rescue, SlowPolls, ThreadPark};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use std::future::{Future, poll_fn};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// How many schedules there are of all scenarios together, unless `RT_SCHEDULES` says otherwise.
const SCHEDULES: usize = 200_000;
/// The shares of all scenarios together. The cheap ones have more; none has much less than one in a hundred.
const SHARES: usize = 2232;
/// Random schedules and those by priorities take turns, so often.
const ROUNDS: usize = 10;
/// How many preemptions PCT aims at: so many and one more are the turning points of a race.
const PREEMPTIONS: usize = 3;
/// An execution that takes so many steps does not end. They take some hundred.
const MAX_STEPS: usize = 20_000;
/// No wait is over by time.
const FOR_EVER: Duration = Duration::MAX;

fn setting<T: std::str::FromStr>(name: &str, usual: T) -> T {
    std::env::var(name).map_or(usual, |value| match value.parse() {
        Ok(value) => value,
        Err(_) => panic!("{name} is not a number"),
    })
}

/// Runs `scenario` under its share of all schedules, which are [`SHARES`]; or under the one schedule of `RT_REPLAY`.
fn explore<F: Fn() + Send + Sync + 'static>(share: usize, scenario: F) {
    let name = std::any::type_name::<F>();
    let name = name.strip_suffix("::{{closure}}").unwrap_or(name);
    let scenario = move || sync::execution(&scenario);
    let mut config = shuttle::Config::new();
    config.max_steps = shuttle::MaxSteps::FailAfter(MAX_STEPS);
    if let Ok(schedule) = std::env::var("RT_REPLAY") {
        let schedule = ReplayScheduler::new_from_encoded(&schedule);
        shuttle::Runner::new(schedule, config).run(scenario);
        return;
    }
    let each = (setting("RT_SCHEDULES", SCHEDULES) * share).div_ceil(2 * ROUNDS * SHARES);
    let scenario = Arc::new(scenario);
    let start = Instant::now();
    for round in 0..ROUNDS {
        let mut hasher = DefaultHasher::new();
        (name, round, setting("RT_SEED", 0_u64)).hash(&mut hasher);
        let seed = hasher.finish();
        let random = RandomScheduler::new_from_seed(seed, each);
        let pct = PctScheduler::new_from_seed(seed, PREEMPTIONS, each);
        let [first, second] = [(); 2].map(|()| Arc::clone(&scenario));
        shuttle::Runner::new(random, config.clone()).run(move || first());
        shuttle::Runner::new(pct, config.clone()).run(move || second());
    }
    println!(
        "schedules: {} of {name} in {:.1} s",
        2 * each * ROUNDS,
        start.elapsed().as_secs_f64()
    );
}

fn config(workers: usize) -> Config {
    Config {
        flavor: Flavor::MultiThread,
        workers,
        guest: true,
        event_interval: 7,
        injector_interval: 5,
        lifo_slot: true,
        thread_name: Arc::new(String::new),
        stack_size: None,
        keep_alive: FOR_EVER,
        max_blocking: 2,
        rescue: Some(Rescue {
            threshold: Rescue::THRESHOLD,
            spares: 1,
            lane: 1,
        }),
        slow_polls: SlowPolls {
            threshold: FOR_EVER,
            roots: false,
            report: Arc::new(|_| {}),
            stack: None,
        },
        process_id: std::process::id,
        probe: None,
        on_thread_start: None,
        on_thread_stop: None,
        on_thread_park: None,
        on_thread_unpark: None,
        around: None,
    }
}

/// A [`ThreadPark`] that counts how often it is closed, which is the last step of a shutdown.
#[derive(Debug)]
struct Closing {
    park: ThreadPark,
    closed: AtomicUsize,
    /// The slot of the guest that has events of its own.
    guest: usize,
    /// Whom the guest's events wake, and those of the workers. Not locked for long, so it need not be one of shuttle's.
    events: std::sync::Mutex<[Vec<Waker>; 2]>,
}

impl Closing {
    /// Those whom the events of a slot wake.
    fn events<R>(&self, slot: usize, look: impl FnOnce(&mut Vec<Waker>) -> R) -> R {
        let of_whom = usize::from(slot != self.guest);
        look(&mut self.events.lock().expect("nobody panics here")[of_whom])
    }

    fn gathered(&self, slot: usize) -> Gathered {
        if self.events(slot, |events| events.is_empty()) {
            Gathered::Nothing
        } else {
            Gathered::Something
        }
    }
}

impl Park for Closing {
    fn adopt(&self, slot: usize) {
        self.park.adopt(slot);
    }

    fn park(&self, slot: usize) -> Gathered {
        // A [`ThreadPark`] gathers nothing.
        let _ = self.park.park(slot);
        self.gathered(slot)
    }

    fn keeps_company(&self, slot: usize) -> bool {
        slot == self.guest
    }

    fn look(&self, slot: usize) -> Gathered {
        self.park.look(slot)
    }

    fn look_first(&self, slot: usize) -> Gathered {
        // A system call, which takes its time.
        thread::yield_now();
        let gathered = self.gathered(slot);
        thread::yield_now();
        gathered
    }

    fn dispatch(&self, slot: usize) -> usize {
        let events = self.events(slot, std::mem::take);
        events.into_iter().map(Waker::wake).count()
    }

    fn unpark(&self, slot: usize) {
        self.park.unpark(slot);
    }

    fn close(&self) {
        self.closed.fetch_add(1, SeqCst);
    }
}

/// An executor, and what its scenario must not lose.
struct Executor {
    handle: Handle,
    park: Arc<Closing>,
    tokens: Arc<Tokens>,
}

impl Executor {
    fn start(config: Config) -> Executor {
        let park = Arc::new(Closing {
            park: ThreadPark::new(config.slots()),
            closed: AtomicUsize::new(0),
            guest: config.guest_slots().start,
            events: std::sync::Mutex::default(),
        });
        let own = Arc::clone(&park);
        Executor {
            handle: Handle::start(config, own).expect("threads can be started"),
            park,
            tokens: Arc::default(),
        }
    }

    fn new(workers: usize) -> Executor {
        Executor::start(config(workers))
    }

    /// Opens a gate by an event of the guest's, or of the worker of a slot.
    fn open_by_event(&self, gate: &Gate, slot: usize) {
        gate.is_open.store(true, Ordering::SeqCst);
        let waiter = gate.waiter.lock().take();
        self.park.events(slot, |events| events.extend(waiter));
        self.park.unpark(slot);
    }

    /// Spawns a future with a token.
    #[track_caller]
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn(&self.handle, &self.tokens, future)
    }

    /// Submits a job with a token.
    #[track_caller]
    fn spawn_blocking<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> JoinHandle<R> {
        let token = self.tokens.token();
        let job = move || {
            let _token = token;
            job()
        };
        self.handle.spawn_blocking(job, Location::caller(), None)
    }

    /// Shuts down, and looks whether anything is left. Whoever has a handle or a waker must have dropped it.
    fn end(self) {
        self.handle.shutdown(None);
        self.ended();
    }

    /// Looks whether anything is left after a shutdown that has ended.
    fn ended(self) {
        let shared = self.handle.shared();
        assert_eq!(self.park.closed.load(SeqCst), 1, "closed once");
        assert_eq!(self.tokens.left(), 0, "a future or a job is left");
        assert_eq!(self.handle.live_tasks(), 0);
        assert_eq!(self.handle.injector_depth(), 0, "a task is in the injector");
        assert_eq!(shared.slots.count_live(), 0, "a slot is live");
        assert_eq!(shared.idle.counts(), (0, 0), "searching and parked");
        assert_eq!(shared.lane.depth(), (0, 0));
        for slot in 0..shared.slots.len() {
            assert!(shared.slots.is_empty(slot), "a task lies in slot {slot}");
        }
        let pool = shared.blocking.stats();
        assert_eq!((pool.threads, pool.queued), (0, 0));
        assert_eq!(pool.jobs, pool.jobs_finished);
        let weak = self.handle.downgrade();
        drop(self);
        assert!(weak.upgrade().is_none(), "something keeps the executor");
        assert_eq!(sync::live_cells(), 0, "something keeps a task");
    }
}

#[track_caller]
fn spawn<F>(handle: &Handle, tokens: &Arc<Tokens>, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let token = tokens.token();
    let future = async move {
        let _token = token;
        future.await
    };
    handle.spawn(future, Location::caller(), None)
}

/// Counts futures and jobs that have not ended.
#[derive(Default)]
struct Tokens(AtomicUsize);

impl Tokens {
    fn token(self: &Arc<Self>) -> Token {
        self.0.fetch_add(1, SeqCst);
        Token(Arc::clone(self))
    }

    fn left(&self) -> usize {
        self.0.load(SeqCst)
    }
}

struct Token(Arc<Tokens>);

impl Drop for Token {
    fn drop(&mut self) {
        let before = self.0.0.fetch_sub(1, SeqCst);
        assert_ne!(before, 0, "dropped twice");
    }
}

/// Waits for a future on this thread, outside of any executor.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Starts a thread of the scenario's own.
fn beside<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(body)
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Opens once, and wakes the one who waits.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    waiter: Mutex<Option<Waker>>,
    thread: Mutex<Option<thread::Thread>>,
}

impl Gate {
    fn new() -> Arc<Gate> {
        Arc::default()
    }

    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
        let waiter = self.waiter.lock().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            let mut waiter = self.waiter.lock();
            if self.is_open() {
                return Poll::Ready(());
            }
            *waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Blocks the thread.
    fn block(&self) {
        loop {
            *self.thread.lock() = Some(thread::current());
            if self.is_open() {
                return;
            }
            thread::park();
        }
    }
}
