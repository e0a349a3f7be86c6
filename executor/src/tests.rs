//! Tests of the executor alone: its threads sleep on [`ThreadPark`], and nothing but threads and wakers happens.
//!
//! The stress tests take the number of their rounds from the environment variable `RT_STRESS`.

mod company;
mod crowd;
mod roots;
mod shutdown;
mod tasks;

use crate::sync::Mutex;
use crate::{Config, Flavor, Gathered, Handle, JoinHandle, Park, Rescue, SlowPolls, ThreadPark};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// A test that takes longer hangs. Nothing waits for so long otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `test` on a thread of its own and panics if it does not end.
fn watched(test: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let test = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    if is_done.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("the test hangs");
    }
    if let Err(payload) = test.join() {
        std::panic::resume_unwind(payload);
    }
}

/// How many rounds a stress test makes: `few`, unless the environment says more.
fn rounds(few: usize) -> usize {
    std::env::var("RT_STRESS").map_or(few, |rounds| rounds.parse().expect("RT_STRESS is a number"))
}

fn config(flavor: Flavor, workers: usize) -> Config {
    Config {
        flavor,
        workers,
        guest: true,
        event_interval: 61,
        injector_interval: 61,
        lifo_slot: true,
        thread_name: Arc::new(|| "worker".to_owned()),
        stack_size: None,
        keep_alive: Duration::from_secs(10),
        max_blocking: 8,
        rescue: (flavor == Flavor::MultiThread).then_some(Rescue {
            threshold: Rescue::THRESHOLD,
            spares: Rescue::SPARES,
            lane: workers,
        }),
        slow_polls: SlowPolls {
            threshold: Duration::MAX,
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
    closed: Arc<AtomicUsize>,
}

impl Park for Closing {
    fn adopt(&self, slot: usize) {
        self.park.adopt(slot);
    }

    fn park(&self, slot: usize) -> Gathered {
        self.park.park(slot)
    }

    fn look(&self, slot: usize) -> Gathered {
        self.park.look(slot)
    }

    fn dispatch(&self, slot: usize) -> usize {
        self.park.dispatch(slot)
    }

    fn unpark(&self, slot: usize) {
        self.park.unpark(slot);
    }

    fn close(&self) {
        self.closed.fetch_add(1, SeqCst);
    }
}

/// An executor that is shut down at the end.
struct Executor {
    handle: Handle,
    closed: Arc<AtomicUsize>,
}

impl Executor {
    fn start(config: Config) -> Executor {
        let closed = Arc::new(AtomicUsize::new(0));
        let park = Arc::new(Closing {
            park: ThreadPark::new(config.slots()),
            closed: Arc::clone(&closed),
        });
        let handle = Handle::start(config, park).expect("threads can be started");
        Executor { handle, closed }
    }

    fn multi_thread(workers: usize) -> Executor {
        Executor::start(config(Flavor::MultiThread, workers))
    }

    fn current_thread() -> Executor {
        Executor::start(config(Flavor::CurrentThread, 1))
    }

    #[track_caller]
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn_on(&self.handle, future)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// How often the last step of the shutdown was done.
    fn closed(&self) -> usize {
        self.closed.load(SeqCst)
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.handle.shutdown(None);
        }
    }
}

#[track_caller]
fn spawn_on<F>(handle: &Handle, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    handle.spawn(future, Location::caller(), None)
}

/// Spawns from inside.
#[track_caller]
fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_on(&Handle::try_current().expect("inside"), future)
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

/// Lets other threads run until `is_so`.
fn spin_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

/// Opens once, and wakes the one who waits.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    waiter: Mutex<Option<Waker>>,
}

impl Gate {
    fn new() -> Arc<Gate> {
        Arc::default()
    }

    fn open(&self) {
        self.is_open.store(true, SeqCst);
        let waiter = self.waiter.lock().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    fn has_waiter(&self) -> bool {
        self.waiter.lock().is_some()
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            let mut waiter = self.waiter.lock();
            if self.is_open.load(SeqCst) {
                return Poll::Ready(());
            }
            *waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Counts how many of its tokens were made and dropped.
#[derive(Default)]
struct Tokens {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

impl Tokens {
    fn new() -> Arc<Tokens> {
        Arc::default()
    }

    fn token(self: &Arc<Self>) -> Token {
        self.made.fetch_add(1, SeqCst);
        Token(Arc::clone(self))
    }

    fn made(&self) -> usize {
        self.made.load(SeqCst)
    }

    fn dropped(&self) -> usize {
        self.dropped.load(SeqCst)
    }
}

struct Token(Arc<Tokens>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}
