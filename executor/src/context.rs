//! What this thread is to the runtime: its current handle, the worker it is, and whether it polls.
//!
//! Four thread-locals above all. Who sets one restores what was there before, when it is done or by a guard:
//!
//! * the *current handle*, through which `spawn` finds its runtime;
//! * the *worker*, while the thread serves a slot: scheduling a task looks here first;
//! * *member*: whose thread it is, so that a shutdown does not wait for its own thread;
//! * *polling*, while the thread polls a task or a root: then it must not block in `block_on`.
//!
//! Three more count and remember: the wake-ups that the reactor thread collects, the injected tasks until one gets a time stamp, and the poll that a
//! thread of the hog lane is in.
//!
//! No foreign code runs while one of them is borrowed.

use crate::scheduler::{Handle, Shared};
use crate::sync::thread_local;
use crate::worker::{SAMPLE_INTERVAL, Worker};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

thread_local! {
    /// In an `Rc`, so that a spawn can hold on to it without touching the count that all threads share.
    static HANDLE: RefCell<Option<Rc<Handle>>> = const { RefCell::new(None) };
    /// The worker that the thread is. Without a destructor, so that asking is one load with no look whether the thread ends: whoever made the
    /// thread a worker takes that back. A panic of ours in the worker's loop would leave it here; the worker then leaks with its slot.
    static WORKER: RefCell<ManuallyDrop<Option<Rc<Worker>>>> = const { RefCell::new(ManuallyDrop::new(None)) };
    /// Whether it polls a task or a root.
    static POLLING: Cell<bool> = const { Cell::new(false) };
    /// Whose thread it is; only compared, never followed.
    static MEMBER: Cell<*const Shared> = const { Cell::new(std::ptr::null()) };
    /// The poll that this thread of the hog lane is in.
    static LANE_POLL: Cell<Option<LanePoll>> = const { Cell::new(None) };
    /// How many tasks this thread will have injected before one gets a time stamp.
    static STAMP_IN: Cell<u32> = const { Cell::new(SAMPLE_INTERVAL) };
    /// The system's identity of this thread, in the process of this number: a fork changes both.
    static ID: Cell<Option<(u32, u64)>> = const { Cell::new(None) };
    /// The wake-ups that this thread collects, see [`batch`].
    static BATCH: Cell<Option<Batch>> = const { Cell::new(None) };
}

/// Wake-ups that are collected.
#[derive(Debug, Clone, Copy)]
struct Batch {
    /// Of whose tasks; only compared, never followed.
    shared: *const Shared,
    /// How many so far.
    woken: usize,
}

/// Makes a handle the current one until it is dropped.
#[derive(Debug)]
#[must_use = "the handle is current only while the guard lives"]
pub struct EnterGuard {
    /// What was current before.
    before: Option<Rc<Handle>>,
    /// Thread-locals: the guard stays on its thread.
    not_send: PhantomData<*const ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        let before = self.before.take();
        // The replaced handle may be the last of its runtime: it is dropped outside the borrow.
        let _entered = HANDLE.try_with(|handle| handle.replace(before));
    }
}

pub(crate) fn enter(handle: Handle) -> EnterGuard {
    EnterGuard {
        // While a thread ends its thread-locals are gone: then nothing is current, and a runtime can still be dropped.
        before: HANDLE
            .try_with(|current| current.replace(Some(Rc::new(handle))))
            .unwrap_or(None),
        not_send: PhantomData,
    }
}

/// The current handle, or `None` outside a runtime or while the thread ends.
#[inline]
pub(crate) fn handle() -> Option<Rc<Handle>> {
    HANDLE.try_with(|handle| handle.borrow().clone()).ok()?
}

/// Calls `f` with the current handle, if any. While it runs, the handle is borrowed: `f` runs no foreign code.
#[inline]
pub(crate) fn with_handle<R>(f: impl FnOnce(Option<&Handle>) -> R) -> R {
    // The closure is called exactly once, by one of the two arms.
    let mut f = Some(f);
    let called = HANDLE.try_with(|handle| f.take().map(|f| f(handle.borrow().as_deref())));
    match called {
        Ok(Some(result)) => result,
        _ => f.take().expect("not called yet")(None),
    }
}

/// The identity of this thread, which belongs to the process of this number. Asks only once: it is a system call, and threads come into `block_on` again and again.
pub(crate) fn thread_id(process: u32, ask: fn() -> u64) -> u64 {
    match ID.get() {
        Some((before, id)) if before == process => id,
        _ => {
            let id = ask();
            ID.set(Some((process, id)));
            id
        }
    }
}

/// Calls `f` with the worker that this thread is, if any.
#[inline]
pub(crate) fn with_worker<R>(f: impl FnOnce(Option<&Rc<Worker>>) -> R) -> R {
    WORKER.with(|worker| f(worker.borrow().as_ref()))
}

/// Makes the thread a worker, or no worker; returns what it was.
pub(crate) fn set_worker(worker: Option<Rc<Worker>>) -> Option<Rc<Worker>> {
    ManuallyDrop::into_inner(WORKER.with(|current| current.replace(ManuallyDrop::new(worker))))
}

/// Sets whether the thread polls, until dropped.
#[derive(Debug)]
pub(crate) struct PollingGuard {
    /// What was set before.
    before: bool,
    /// Thread-locals: the guard stays on its thread.
    not_send: PhantomData<*const ()>,
}

impl Drop for PollingGuard {
    fn drop(&mut self) {
        let _ = POLLING.try_with(|polling| polling.set(self.before));
    }
}

pub(crate) fn set_polling(polling: bool) -> PollingGuard {
    PollingGuard {
        before: POLLING.with(|current| current.replace(polling)),
        not_send: PhantomData,
    }
}

pub(crate) fn is_polling() -> bool {
    POLLING.with(Cell::get)
}

/// Makes the thread one of a runtime's own, until dropped.
#[derive(Debug)]
pub(crate) struct MemberGuard {
    /// Whose thread it was before.
    before: *const Shared,
}

impl Drop for MemberGuard {
    fn drop(&mut self) {
        let _ = MEMBER.try_with(|member| member.set(self.before));
    }
}

pub(crate) fn set_member(shared: &Arc<Shared>) -> MemberGuard {
    MemberGuard {
        before: MEMBER.with(|member| member.replace(Arc::as_ptr(shared))),
    }
}

/// Whether the thread is one of this runtime's own.
pub(crate) fn is_member(shared: &Shared) -> bool {
    std::ptr::eq(MEMBER.with(Cell::get), shared)
}

/// A poll in the hog lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LanePoll {
    /// The seat of the thread.
    pub(crate) seat: usize,
    /// When it began.
    pub(crate) started: Instant,
}

/// Sets the poll that this thread of the hog lane is in; `None` after it.
pub(crate) fn set_lane_poll(poll: Option<LanePoll>) {
    LANE_POLL.with(|current| current.set(poll));
}

/// The poll that this thread is in, if it is one of the hog lane.
pub(crate) fn lane_poll() -> Option<LanePoll> {
    LANE_POLL.with(Cell::get)
}

/// Whether the task that this thread injects is to get a time stamp: one in `SAMPLE_INTERVAL`.
#[inline]
pub(crate) fn stamps_injected() -> bool {
    let count = |left: &Cell<u32>| {
        let now = left.get() - 1;
        left.set(if now == 0 { SAMPLE_INTERVAL } else { now });
        now == 0
    };
    STAMP_IN.try_with(count).unwrap_or(false)
}

/// Calls `f`, in which waking a task notifies no worker, and puts it before the other injected ones; returns how many tasks were woken.
///
/// For a thread that is no worker and wakes tasks in the workers' stead, the reactor thread: it
/// notifies once afterwards, through [`Handle::injected`].
///
/// Tasks of other runtimes that are woken meanwhile are not collected.
pub fn batch(handle: &Handle, f: impl FnOnce()) -> usize {
    struct Restore(Option<Batch>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = BATCH.try_with(|batch| batch.set(self.0));
        }
    }
    let collected = Batch {
        shared: Arc::as_ptr(handle.shared()),
        woken: 0,
    };
    let restore = Restore(BATCH.with(|batch| batch.replace(Some(collected))));
    f();
    let woken = BATCH.with(Cell::get).map_or(0, |batch| batch.woken);
    drop(restore);
    woken
}

/// Whether a batch collects the wake-ups of this thread; if so, counts one.
#[inline]
pub(crate) fn counted_in_batch(shared: &Shared) -> bool {
    let count = |batch: &Cell<Option<Batch>>| {
        let Some(mut current) = batch.get() else {
            return false;
        };
        if !std::ptr::eq(current.shared, shared) {
            return false;
        }
        current.woken += 1;
        batch.set(Some(current));
        true
    };
    BATCH.try_with(count).unwrap_or(false)
}
