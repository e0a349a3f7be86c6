//! A set of tasks that stay on one thread, so that their futures need not be `Send`.
//!
//! The set is a scheduler of its own: a queue behind a lock, a list of live tasks, and the waker of whatever future drives
//! the set. Wakes may come from any thread; polls and drops happen on the thread that made the set, because [`LocalSet`]
//! is not `Send` and is the only one that takes runnables out of the queue.
//!
//! **Cost.** A wake: the lock, a push, and the waker of the driving future if it is there. A set runs at most
//! [`TICK_TASKS`] tasks before it lets the others of its thread run.

use super::{Cause, JoinHandle, Meta, Owned, Reason, Runnable, Schedule, Scheduled};
use crate::budget;
use crate::report::{self, Subject};
use crate::sync::{Mutex, now, os_thread, thread_local};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// How many tasks run in one poll of the set. Tokio's figure.
const TICK_TASKS: usize = 61;

thread_local! {
    /// The set whose tasks run on this thread, or that was entered.
    static CURRENT: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
    /// Whether a set is being polled on this thread.
    static RUNNING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// What the set shares with its tasks' wakers.
struct Shared {
    /// Tasks to run, and who drives the set.
    queue: Mutex<Queue>,
    /// The live tasks.
    owned: Owned<Shared>,
}

#[derive(Default)]
struct Queue {
    /// Tasks to run, the oldest first.
    tasks: VecDeque<Runnable>,
    /// Wakes the future that drives the set.
    waker: Option<Waker>,
}

impl Schedule for Shared {
    fn schedule(task: Scheduled<Self>, _cause: Cause) {
        // The task may be the last to keep the set's shared state.
        let shared = task.keep();
        let waker = {
            let mut queue = shared.queue.lock();
            queue.tasks.push_back(task.into_runnable());
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn owned(&self) -> &Owned<Self> {
        &self.owned
    }
}

/// A set of tasks that all run on the thread that made it; their futures need not be `Send`.
///
/// The tasks run while the set is driven: by awaiting [`run_until`](LocalSet::run_until), or the set itself, which completes
/// when all tasks have. Dropping the set drops the tasks.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// # use std::future::Future;
/// # use std::task::{Context, Poll, Waker};
/// let set = executor::LocalSet::new();
/// let shared = Rc::new(5);
/// let task = set.spawn_local(async move { *shared + 1 });
/// # let mut driven = std::pin::pin!(set.run_until(task));
/// # let mut cx = Context::from_waker(Waker::noop());
/// # assert!(driven.as_mut().poll(&mut cx).is_pending());
/// # let Poll::Ready(output) = driven.as_mut().poll(&mut cx) else { panic!() };
/// // `run_until` is awaited inside `block_on`, or `LocalSet::block_on` of the facade called.
/// assert_eq!(output.expect("no panic"), 6);
/// ```
pub struct LocalSet {
    /// Shared with the tasks' wakers.
    shared: Arc<Shared>,
    /// The set stays on its thread (T7).
    not_send: PhantomData<*const ()>,
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSet")
            .field("tasks", &self.shared.owned.len())
            .finish_non_exhaustive()
    }
}

impl Default for LocalSet {
    fn default() -> LocalSet {
        LocalSet::new()
    }
}

impl LocalSet {
    /// Makes an empty set, bound to the calling thread.
    pub fn new() -> LocalSet {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            owned: Owned::new(1),
        });
        shared.owned.adopt(Arc::clone(&shared));
        LocalSet {
            shared,
            not_send: PhantomData,
        }
    }

    /// Spawns a task onto the set; it runs when the set is driven.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn_onto(&self.shared, future, Location::caller(), None)
    }

    /// Drives the set while `future` is pending, and returns its output.
    ///
    /// One future drives a set at a time: of two, only the one polled last learns of wakes.
    ///
    /// # Cancel safety
    ///
    /// The tasks stay in the set, and go on when it is driven again.
    pub fn run_until<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        let mut future = Box::pin(future);
        std::future::poll_fn(move |cx| {
            let _entered = self.enter();
            let _running = Running::begin();
            self.await_wakes(cx);
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            self.tick(cx);
            Poll::Pending
        })
    }

    /// Makes this the set that [`spawn_local`] finds, while the guard lives.
    pub fn enter(&self) -> LocalEnterGuard {
        LocalEnterGuard {
            // While a thread ends its thread-locals are gone; a set that is dropped then finds no current one.
            before: CURRENT
                .try_with(|current| current.replace(Some(Arc::clone(&self.shared))))
                .unwrap_or(None),
            not_send: PhantomData,
        }
    }

    /// Remembers whom to wake; before the queue is looked at, so that no wake is lost.
    fn await_wakes(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let before = self.shared.queue.lock().waker.replace(waker);
        drop(before);
    }

    /// Runs some tasks; asks to be polled again if there are more.
    fn tick(&self, cx: &Context<'_>) {
        let is_watched = report::is_watched();
        for _ in 0..TICK_TASKS {
            let task = self.shared.queue.lock().tasks.pop_front();
            let Some(task) = task else {
                return;
            };
            let subject = is_watched.then(|| Subject::of(&task));
            let start = subject.as_ref().map(|_| now());
            // How the poll ended is the task's own business.
            let _ = budget::with(|| task.run());
            if let (Some(subject), Some(start)) = (subject, start) {
                report::note(subject, now().duration_since(start));
            }
        }
        cx.waker().wake_by_ref();
    }
}

impl Future for LocalSet {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let _entered = self.enter();
        let _running = Running::begin();
        self.await_wakes(cx);
        self.tick(cx);
        if self.shared.owned.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for LocalSet {
    fn drop(&mut self) {
        // Futures that spawn in their `Drop` find the set closed; those that look for it find it.
        let _entered = self.enter();
        self.shared.owned.close();
        // Run or cancelled, not dropped: a drop might be deferred, and the set must outlive its futures.
        self.shared.owned.cancel_all(|task| {
            task.run();
        });
        loop {
            let task = self.shared.queue.lock().tasks.pop_front();
            match task {
                Some(task) => {
                    task.cancel(Reason::Cancelled);
                }
                // A waker on another thread may be about to push the runnable of one of our tasks.
                None if !self.shared.owned.is_empty() => os_thread::yield_now(),
                None => return,
            }
        }
    }
}

/// Keeps a set the current one; see [`LocalSet::enter`].
#[must_use = "the set is current only while the guard lives"]
pub struct LocalEnterGuard {
    /// What was current before.
    before: Option<Arc<Shared>>,
    /// Thread-locals: the guard stays on its thread.
    not_send: PhantomData<*const ()>,
}

impl fmt::Debug for LocalEnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEnterGuard").finish_non_exhaustive()
    }
}

impl Drop for LocalEnterGuard {
    fn drop(&mut self) {
        let before = self.before.take();
        let _entered = CURRENT.try_with(|current| current.replace(before));
    }
}

/// Marks the thread as polling a set.
struct Running {
    /// Whether it did before.
    before: bool,
}

impl Running {
    fn begin() -> Running {
        Running {
            before: RUNNING.with(|running| running.replace(true)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = RUNNING.try_with(|running| running.set(self.before));
    }
}

/// Whether a set is being polled on this thread.
pub(crate) fn is_running() -> bool {
    RUNNING.try_with(std::cell::Cell::get).unwrap_or(false)
}

/// Spawns a task onto the set that this thread drives.
///
/// # Panics
///
/// Outside a [`LocalSet`].
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_local_at(future, Location::caller(), None)
}

/// As [`spawn_local`], with the spawn site and a name.
#[track_caller]
pub fn spawn_local_at<F>(
    future: F,
    location: &'static Location<'static>,
    name: Option<Box<str>>,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let current = CURRENT.with(|current| current.borrow().clone());
    let shared = current.expect(
        "`spawn_local` was called outside a `LocalSet`: call it from a task of the set, inside `LocalSet::run_until`, or use \
         `LocalSet::spawn_local`",
    );
    spawn_onto(&shared, future, location, name)
}

fn spawn_onto<F>(
    shared: &Arc<Shared>,
    future: F,
    location: &'static Location<'static>,
    name: Option<Box<str>>,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let mut meta = Meta::new(location);
    if let Some(name) = name {
        meta = meta.name(name);
    }
    // SAFETY: runnables go to the queue of this set and nowhere else, and only the set takes them out: when it is driven or dropped,
    // on the thread that made it, since it is not `Send`. The caller is on that thread: it has the set, or found it in a
    // thread-local that only a thread with the set fills (T7).
    let (handle, runnable) = unsafe { shared.owned.bind_local(future, meta, 0) };
    if let Some(runnable) = runnable {
        let waker = {
            let mut queue = shared.queue.lock();
            queue.tasks.push_back(runnable);
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
    handle
}
