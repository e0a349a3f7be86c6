//! What the integration tests of the `runtime` crate share.
//!
//! The tests are in `tests/`, one file a topic. They use only the facade, as a program
//! would. Three rules hold for all of them:
//!
//! - **Nothing hangs.** Whatever could wait for ever runs under a [`Watchdog`], which ends
//!   the process and says the test's name. The functions that build a runtime for a test
//!   ([`on_multi_thread`], [`on_current_thread`], [`on_each`], [`paused`]) set one.
//! - **Nothing sleeps to wait.** Barriers, channels and the paused clock order the steps;
//!   a test that reads the wall clock checks a lower bound, or an upper one so generous
//!   that only a broken runtime misses it.
//! - **What could harm its neighbours has a process of its own** ([`child`]): resource
//!   limits, stopping signals, counts of threads and descriptors.
#![forbid(unsafe_code)]

pub mod child;
pub mod process;
pub mod stuck;
mod watchdog;

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use runtime::runtime::{Builder, Runtime};

pub use watchdog::Watchdog;

/// How long a test may take before its [`Watchdog`] calls it hung: far more than any needs,
/// since several test binaries may share two slow cores.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Returns `count`, which is large, or a part of it where tests run many times slower than usual, as under a sanitizer:
/// `RUNTIME_TESTS_PART=10` in the environment makes it a tenth.
pub fn large(count: usize) -> usize {
    let part = std::env::var("RUNTIME_TESTS_PART").ok();
    let part = part.map_or(1, |part| part.parse().expect("a number"));
    count / part
}

/// The panic message of every entry point that is called outside a runtime.
pub const OUTSIDE: &str = "there is no runtime running on this thread";

/// Builds a multi-thread runtime with `workers` worker threads and everything enabled.
pub fn multi_thread(workers: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("a multi-thread runtime can be built")
}

/// Builds a current-thread runtime with everything enabled.
pub fn current_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a current-thread runtime can be built")
}

/// Runs `root` on a multi-thread runtime of two workers, under a [`Watchdog`].
pub fn on_multi_thread<F: Future>(root: F) -> F::Output {
    let _watchdog = Watchdog::new(LIMIT);
    multi_thread(2).block_on(root)
}

/// Runs `root` on a current-thread runtime, under a [`Watchdog`].
pub fn on_current_thread<F: Future>(root: F) -> F::Output {
    let _watchdog = Watchdog::new(LIMIT);
    current_thread().block_on(root)
}

/// Runs what `make` makes once on each flavor: current-thread, and multi-thread with one
/// worker and with two.
pub fn on_each<F: Future<Output = ()>>(make: impl Fn() -> F) {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(1), multi_thread(2)] {
        runtime.block_on(make());
    }
}

/// Runs `root` on a current-thread runtime whose clock stands still and advances by itself
/// to the next deadline whenever nothing else can be done.
pub fn paused<F: Future>(root: F) -> F::Output {
    let _watchdog = Watchdog::new(LIMIT);
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a current-thread runtime can be built")
        .block_on(root)
}

/// Returns the message of a panic's payload, or what stands for it when it is not a string.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a payload that is not a string".to_owned()
    }
}

/// Calls `f`, which must panic, and returns the panic's message.
///
/// # Panics
///
/// When `f` returns.
#[track_caller]
pub fn message_of_panic<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("this should have panicked"),
        Err(payload) => panic_text(&*payload),
    }
}

/// Yields to the scheduler until `done` says so.
///
/// Only for conditions which other tasks bring about without further help: it keeps the
/// runtime busy.
pub async fn yield_until(mut done: impl FnMut() -> bool) {
    while !done() {
        runtime::task::yield_now().await;
    }
}

/// Polls `future` once and returns what that gave.
pub async fn poll_once<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await
}

/// Makes a waker that counts its wakes, and the counter.
pub fn counting_waker() -> (Waker, Arc<Wakes>) {
    let wakes = Arc::new(Wakes::default());
    (Waker::from(wakes.clone()), wakes)
}

/// How often a [`counting_waker`] was woken.
#[derive(Debug, Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    /// Returns how often the waker was woken.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts its drops: one a [`DropCount::token`].
#[derive(Clone, Debug, Default)]
pub struct DropCount(Arc<AtomicUsize>);

impl DropCount {
    /// Makes a counter at zero.
    pub fn new() -> DropCount {
        DropCount::default()
    }

    /// Makes a value whose drop adds one.
    pub fn token(&self) -> DropToken {
        DropToken(self.0.clone())
    }

    /// Returns how many tokens were dropped so far.
    pub fn dropped(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Adds one to its [`DropCount`] when dropped.
#[derive(Debug)]
pub struct DropToken(Arc<AtomicUsize>);

impl Drop for DropToken {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics with its message when dropped, unless a panic is under way already: a second one
/// would abort the process, by the language's rule.
#[derive(Debug)]
pub struct PanicOnDrop(pub &'static str);

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic_any(self.0);
        }
    }
}

/// A flag that tasks, threads and tests set and read.
#[derive(Clone, Debug, Default)]
pub struct Flag(Arc<AtomicBool>);

impl Flag {
    /// Makes a flag that is not set.
    pub fn new() -> Flag {
        Flag::default()
    }

    /// Sets it.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Returns whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Computes for `length` without giving way, as a badly behaved task does.
pub fn spin(length: Duration) {
    let end = std::time::Instant::now() + length;
    while std::time::Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// A future that is pending until the number of polls given has been made, and wakes itself
/// each time.
#[derive(Debug)]
pub struct ReadyAfter(pub usize);

impl Future for ReadyAfter {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A log to which the steps of one thread's test are written, to compare their order.
#[derive(Debug, Default)]
pub struct Log(RefCell<Vec<String>>);

impl Log {
    /// Appends a line.
    pub fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    /// Returns all lines so far, separated by spaces.
    pub fn text(&self) -> String {
        self.0.borrow().join(" ")
    }
}
