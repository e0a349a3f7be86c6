//! The runtime itself: start it, enter it, drive a future on it, end it.

pub use crate::builder::Builder;
pub use crate::metrics::RuntimeMetrics;
pub use executor::SlowPoll;

use crate::driver::Driver;
use crate::task::TaskList;
use executor::Flavor;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::task::{JoinHandle, location};

/// Which threads run the tasks of a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeFlavor {
    /// The thread inside `block_on`, and only while it is there.
    CurrentThread,
    /// Worker threads of the runtime's own.
    MultiThread,
}

/// A running runtime: its threads, its reactor, its timers.
///
/// Dropping it shuts it down and waits until its threads have ended: tasks that wait are dropped, a task that is being
/// polled is dropped when its poll returns. Dropped on one of its own threads, in a task say, it only signals, and the last thread to
/// end does the rest. (Tokio panics there.)
///
/// # Processes that fork
///
/// A child of `fork` has none of its parent's threads. It may start a runtime of its own, drop that of its parent, and leave a `block_on` inside
/// of which it was forked. `block_on` of the parent's runtime, and whatever makes a socket there, panics and says so. A spawn does not:
/// the task is never polled, and what awaits it waits for ever, as does what a child
/// that was forked inside of `block_on` goes on to await there; and such a wait may take events away from the parent.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = runtime::Runtime::new()?;
/// let answer = runtime.block_on(async { runtime::spawn(async { 6 * 7 }).await });
/// assert_eq!(answer.expect("the task does not panic"), 42);
/// # Ok(())
/// # }
/// ```
pub struct Runtime {
    /// Everything is reached through it.
    handle: Handle,
    /// Whether it has been shut down already, so that dropping it must not wait.
    ended: bool,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    pub(crate) fn from_handle(handle: Handle) -> Runtime {
        Runtime {
            handle,
            ended: false,
        }
    }

    /// Starts a multi-thread runtime with the defaults of [`Builder`].
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> io::Result<Runtime> {
        Builder::new_multi_thread().enable_all().build()
    }

    /// Returns a handle, through which other threads spawn onto this runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = runtime::Runtime::new()?;
    /// let handle = runtime.handle().clone();
    /// let thread = std::thread::spawn(move || handle.spawn(async { 6 * 7 }));
    /// let task = thread.join().expect("no panic");
    /// assert_eq!(runtime.block_on(task).expect("no panic"), 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Spawns a task onto this runtime.
    ///
    /// See [`task::spawn`](crate::task::spawn); this one may be called from any thread.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a closure that blocks on the pool for blocking work.
    ///
    /// See [`task::spawn_blocking`](crate::task::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.handle.spawn_blocking(f)
    }

    /// Drives a future to completion on the calling thread, and returns its output.
    ///
    /// While the future is pending, the thread runs tasks: on a multi-thread runtime only some that the future or its events woke (see
    /// [`Builder::guest`]), on a current-thread runtime all of them. Several threads may call this at the same time; on
    /// a current-thread runtime one of them runs the tasks.
    ///
    /// # Panics
    ///
    /// If the future panics; on a thread that drives a task or the future of another `block_on` already: use `.await`
    /// there (on the threads of `spawn_blocking` and inside `block_in_place` it is allowed); and in a child that was
    /// forked from the process that started the runtime.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Makes this runtime the current one of the calling thread while the guard lives.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = runtime::Runtime::new()?;
    /// let _guard = runtime.enter();
    /// let task = runtime::spawn(async { "spawned from outside" });
    /// assert_eq!(runtime.block_on(task).expect("no panic"), "spawned from outside");
    /// # Ok(())
    /// # }
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Shuts the runtime down, and waits for its threads at most for `duration`.
    ///
    /// A thread that is stuck in a poll or in a blocking job by then keeps what it works with, and ends when it returns. What it
    /// runs is reported on standard error.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = runtime::Runtime::new()?;
    /// runtime.spawn(std::future::pending::<()>());
    /// runtime.shutdown_timeout(Duration::from_secs(1)); // returns at once: nothing is stuck
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown_timeout(mut self, duration: Duration) {
        self.ended = true;
        // What the futures' destructors do, they do inside the runtime.
        let _entered = self.handle.enter();
        if !self.handle.executor.shutdown(Some(duration)) && !duration.is_zero() {
            let mut stderr = std::io::stderr().lock();
            for stuck in self.handle.executor.stuck() {
                // A closed standard error is no reason to panic.
                let _ = writeln!(
                    stderr,
                    "runtime: shut down after {duration:?} while {stuck} was still running"
                );
            }
        }
    }

    /// Shuts the runtime down without waiting for its threads.
    ///
    /// The futures of tasks that wait are dropped by this call; that of a task being polled when its poll returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = runtime::Runtime::new()?;
    /// let (sender, receiver) = mpsc::channel::<()>();
    /// runtime.spawn_blocking(move || receiver.recv());
    /// runtime.shutdown_background(); // `drop` would wait for the closure, which waits for us
    /// drop(sender);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown_background(self) {
        self.shutdown_timeout(Duration::ZERO);
    }

    /// Returns a copy of the counters of what the runtime has done and is doing; see [`Handle::metrics`].
    #[inline]
    pub fn metrics(&self) -> RuntimeMetrics {
        self.handle.metrics()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !self.ended {
            // What the futures' destructors do, they do inside the runtime.
            let _entered = self.handle.enter();
            self.handle.executor.shutdown(None);
        }
    }
}

/// A reference to a runtime, cheap to clone, through which any thread can use it.
///
/// It does not keep the runtime running: once the [`Runtime`] is gone, spawned futures are dropped at once, and their
/// handles say "cancelled".
#[derive(Clone)]
pub struct Handle {
    /// Tasks.
    pub(crate) executor: executor::Handle,
    /// Sockets.
    pub(crate) reactor: reactor::Handle,
    /// Deadlines.
    pub(crate) timer: timer::Handle,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

/// What a call outside a runtime panics with.
pub(crate) const NO_RUNTIME: &str = "there is no runtime running on this thread: call this from inside \
    `runtime::block_on`, `#[runtime::main]` or a spawned task, or enter one with `Handle::enter`";

impl Handle {
    pub(crate) fn new(executor: executor::Handle, driver: &Arc<Driver>) -> Handle {
        Handle {
            executor,
            reactor: driver.reactor.clone(),
            timer: driver.timer.clone(),
        }
    }

    /// Returns the handle of the runtime that the calling thread is in.
    ///
    /// # Examples
    ///
    /// ```
    /// runtime::block_on(async {
    ///     let handle = runtime::Handle::current();
    ///     let thread = std::thread::spawn(move || handle.block_on(async { 3 }));
    ///     assert_eq!(thread.join().expect("no panic"), 3);
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Ok(handle) => handle,
            Err(_) => panic!("{NO_RUNTIME}"),
        }
    }

    /// Returns the tasks of this runtime that have not completed: who they are, what they are doing, where they were spawned.
    ///
    /// The list is a copy; tasks come and go while it is made, a batch at a time, so that no spawn waits for long. It takes some
    /// 0.1 µs a task. Tasks of a [`LocalSet`](crate::task::LocalSet) and closures of `spawn_blocking` are not in it.
    ///
    /// # Examples
    ///
    /// ```
    /// # runtime::block_on(async {
    /// runtime::spawn(std::future::pending::<()>());
    /// println!("{}", runtime::Handle::current().tasks());
    /// # assert_eq!(runtime::Handle::current().tasks().len(), 1);
    /// # });
    /// ```
    #[inline]
    pub fn tasks(&self) -> TaskList {
        TaskList::new(self.executor.tasks())
    }

    /// Returns the handle of the runtime that the calling thread is in.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::Handle;
    ///
    /// assert!(Handle::try_current().is_err());
    /// runtime::block_on(async { assert!(Handle::try_current().is_ok()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn try_current() -> Result<Handle, TryCurrentError> {
        let all = (
            executor::Handle::try_current(),
            reactor::Handle::try_current(),
            timer::Handle::try_current(),
        );
        match all {
            (Some(executor), Some(reactor), Some(timer)) => Ok(Handle {
                executor,
                reactor,
                timer,
            }),
            _ => Err(TryCurrentError { private: () }),
        }
    }

    /// Makes this runtime the current one of the calling thread while the guard lives.
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard {
            _guards: (
                self.executor.enter(),
                self.reactor.enter(),
                self.timer.enter(),
            ),
            _handle: std::marker::PhantomData,
        }
    }

    /// Spawns a task onto this runtime.
    ///
    /// See [`task::spawn`](crate::task::spawn); this one may be called from any thread. After the runtime has
    /// shut down, the future is dropped at once.
    ///
    /// # Examples
    ///
    /// ```
    /// runtime::block_on(async {
    ///     let handle = runtime::Handle::current();
    ///     let (sender, receiver) = runtime::sync::oneshot::channel();
    ///     // A thread that knows of no runtime.
    ///     std::thread::spawn(move || handle.spawn(async { sender.send("from outside") }));
    ///     assert_eq!(receiver.await, Ok("from outside"));
    /// });
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.executor.spawn(future, location(), None)
    }

    /// Runs a closure that blocks on the pool for blocking work.
    ///
    /// See [`task::spawn_blocking`](crate::task::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.executor.spawn_blocking(f, location(), None)
    }

    /// Drives a future to completion on the calling thread, and returns its output.
    ///
    /// As [`Runtime::block_on`]. After the runtime has shut down the future is still polled, but its I/O and timers fail.
    ///
    /// # Panics
    ///
    /// As [`Runtime::block_on`].
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _entered = (self.reactor.enter(), self.timer.enter());
        self.executor.block_on(future)
    }

    /// Returns which threads run the tasks.
    pub fn runtime_flavor(&self) -> RuntimeFlavor {
        match self.executor.flavor() {
            Flavor::MultiThread => RuntimeFlavor::MultiThread,
            Flavor::CurrentThread => RuntimeFlavor::CurrentThread,
        }
    }

    /// Returns a copy of the counters of what the runtime has done and is doing; see the module [`metrics`](crate::metrics).
    ///
    /// # Examples
    ///
    /// ```
    /// # runtime::block_on(async {
    /// let metrics = runtime::Handle::current().metrics();
    /// println!("{metrics}"); // a table
    /// assert_eq!(metrics.num_alive_tasks(), 0);
    /// # });
    /// ```
    #[inline]
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::new(
            self.executor.metrics(),
            self.reactor.metrics(),
            self.timer.metrics(),
        )
    }
}

/// Keeps a runtime the current one of its thread; see [`Handle::enter`].
#[derive(Debug)]
#[must_use = "the runtime is current only while the guard lives"]
pub struct EnterGuard<'a> {
    /// One guard a crate, each restoring what was there before.
    _guards: (executor::EnterGuard, reactor::EnterGuard, timer::EnterGuard),
    /// Outlives neither the handle nor the runtime it came from.
    _handle: std::marker::PhantomData<&'a Handle>,
}

/// There is no runtime running on this thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryCurrentError {
    /// Keeps the type opaque.
    private: (),
}

impl TryCurrentError {
    /// Whether the thread is not in a runtime; always true today.
    pub fn is_missing_context(&self) -> bool {
        true
    }

    /// Whether the thread is ending, so that its thread-locals are gone; reported as missing today.
    pub fn is_thread_local_destroyed(&self) -> bool {
        false
    }
}

impl fmt::Display for TryCurrentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NO_RUNTIME)
    }
}

impl Error for TryCurrentError {}

/// Drives a future to completion on a runtime started for it, and returns its output.
///
/// The runtime is a multi-thread one with the defaults of [`Builder`], and ends with the call.
///
/// # Examples
///
/// ```
/// let answer = runtime::block_on(async { 6 * 7 });
/// assert_eq!(answer, 42);
/// ```
///
/// # Panics
///
/// If the future panics; on a thread that drives a task already; and if the runtime cannot be started.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime =
        Runtime::new().unwrap_or_else(|error| panic!("failed to start the runtime: {error}"));
    runtime.block_on(future)
}

/// What reactor and timers charge for an operation that is ready: one unit of the task's budget.
pub(crate) fn charge(cx: &mut Context<'_>) -> Poll<()> {
    executor::budget::spend(cx)
}
