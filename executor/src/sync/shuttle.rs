//! The primitives of the scenarios (`crate::schedules`): threads are coroutines of shuttle, all on one thread of the system, and which one goes on is
//! decided before each operation that others may see.
//!
//! Shuttle's own primitives would do, but cost several times as much: they keep vector clocks, and look things up in maps. A schedule of a composed
//! executor has some hundred steps, so that is what bounds how many schedules can be run. From shuttle we take the coroutines, the schedulers, and
//! the waker of a coroutine to block it (in a loop over a flag of ours, so that a wake too many does no harm). Not its `park`: that counts as a
//! yield, and takes the priority away from whoever has blocked, so that schedules by priorities would hardly ever hold a thread back while others block.
//!
//! - **A step** goes up to just before the next operation on an atomic, a lock or a thread. `Relaxed` operations begin no step: by the rules of
//!   this crate they are counters, hints, or under a lock. The queues of `crossbeam_deque` and the counts of `Arc` are real ones, opaque to shuttle, which is sound as
//!   only one coroutine runs at a time: a step begins before each operation on a queue, none before one on a count.
//! - **Memory** is sequentially consistent: orderings and fences are loom's business.
//! - **Thread-locals** belong to coroutines. The one that runs has its [`Local`] in a thread-local of std's, and takes it away when it lets others run
//!   ([`switch`]).
//! - **Time** passes with the steps, [`STEP`] each, so it is the same whenever a schedule is replayed. A wait with a time limit gives others [`PATIENCE`]
//!   chances to run, and then its time is over; one of a year or more is a wait without limit.
//!
//! Here are coroutines, their thread-locals and time; `shuttle/thread.rs`, `atomic.rs`, `deque.rs` and `lock.rs` have what their names say.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool as RealBool;
use std::time::{Duration, Instant};

mod atomic;
pub(crate) mod deque;
mod lock;
pub(crate) mod thread;

pub(crate) use crate::local_of_coroutine as thread_local;
pub(crate) use atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence,
};
pub(crate) use lock::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use thread as os_thread;

/// How much time a step takes. A poll of twenty steps is a long one, so both kinds occur.
const STEP: Duration = Duration::from_micros(1);
/// How often others may run before the time of a wait is over.
const PATIENCE: u32 = 2;
/// A wait of this length has no limit.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What is smaller in scenarios than in earnest.
pub(crate) const fn scaled(_real: usize, small: usize) -> usize {
    small
}

/// How many cores there are.
pub(crate) fn cores() -> usize {
    2
}

/// What belongs to one coroutine.
struct Local {
    /// Itself.
    thread: thread::Thread,
    /// The values of its thread-locals, by the address of the key.
    values: RefCell<Vec<(usize, Rc<dyn Any>)>>,
}

std::thread_local! {
    /// That of the coroutine which runs.
    static RUNNING: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
    /// Steps of this execution.
    static STEPS: Cell<u32> = const { Cell::new(0) };
    /// Task cells that live.
    static CELLS: Cell<usize> = const { Cell::new(0) };
}

/// Calls an operation of shuttle's in which others may run.
fn switch<R>(operation: impl FnOnce() -> R) -> R {
    STEPS.set(STEPS.get() + 1);
    let local = RUNNING.take();
    let result = operation();
    RUNNING.replace(local);
    result
}

/// Lets shuttle decide who goes on.
fn step() {
    // Shuttle's sleep is nothing else.
    switch(|| shuttle::thread::sleep(Duration::ZERO));
}

/// The content of a lock that is never held during a step.
fn of<T>(lock: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.try_lock().expect("held for a moment only")
}

/// Runs the body of a coroutine, and ends its thread-locals.
fn inside<R>(body: impl FnOnce() -> R) -> R {
    let local = Rc::new(Local {
        thread: thread::Thread::new(),
        values: RefCell::default(),
    });
    RUNNING.replace(Some(Rc::clone(&local)));
    let result = body();
    // The oldest first; they may use each other while they end.
    loop {
        let mut values = local.values.borrow_mut();
        if values.is_empty() {
            break;
        }
        let value = values.remove(0);
        drop(values);
        drop(value);
    }
    RUNNING.take();
    result
}

/// Runs a scenario as the first coroutine of an execution.
pub(crate) fn execution(scenario: impl FnOnce()) {
    STEPS.set(0);
    CELLS.set(0);
    inside(scenario);
}

/// How many task cells live.
pub(crate) fn live_cells() -> usize {
    CELLS.get()
}

/// What the clock says.
pub(crate) fn now() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + STEP * STEPS.get()
}

/// Lets others run, in a loop that waits for them.
pub(crate) fn spin_loop() {
    thread::yield_now();
}

/// Others may run meanwhile, and then the spin is over.
pub(crate) fn spin_until(_: Duration, is_done: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if is_done() {
            return;
        }
        thread::yield_now();
    }
}

/// A thread-local of a coroutine.
pub(crate) struct LocalKey<T: 'static>(fn() -> T);

/// The thread-local has ended.
#[derive(Debug)]
pub(crate) struct AccessError;

impl<T> LocalKey<T> {
    pub(crate) const fn new(init: fn() -> T) -> LocalKey<T> {
        LocalKey(init)
    }

    pub(crate) fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let local = RUNNING.with_borrow(Clone::clone).ok_or(AccessError)?;
        let key = std::ptr::from_ref(self).addr();
        let found = (local.values.borrow().iter())
            .find(|(other, _)| *other == key)
            .map(|(_, value)| Rc::clone(value));
        let value = found.unwrap_or_else(|| {
            let value: Rc<dyn Any> = Rc::new((self.0)());
            local.values.borrow_mut().push((key, Rc::clone(&value)));
            value
        });
        Ok(f(value.downcast_ref().expect("a key has one type")))
    }

    #[track_caller]
    pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.try_with(f).expect("inside a coroutine")
    }
}

impl<T> LocalKey<Cell<T>> {
    pub(crate) fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub(crate) fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub(crate) fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

/// As `std::thread_local!`.
#[macro_export]
#[doc(hidden)]
macro_rules! local_of_coroutine {
    ($($(#[$attr:meta])* static $name:ident: $type:ty = const { $init:expr });+ $(;)?) => {
        $($(#[$attr])* static $name: $crate::sync::LocalKey<$type> = $crate::sync::LocalKey::new(|| $init);)+
    };
}

/// Counts the task cells that live.
#[derive(Debug)]
pub(crate) struct Alive(RealBool);

impl Alive {
    /// Marks the birth of an allocation.
    pub(crate) fn new() -> Alive {
        CELLS.set(CELLS.get() + 1);
        Alive(RealBool::new(true))
    }

    /// Says that the allocation is used.
    pub(crate) fn touch(&self) {
        assert!(self.0.load(Ordering::Relaxed), "used after its end");
    }

    /// Says that the allocation ends.
    pub(crate) fn end(&self) {
        assert!(self.0.swap(false, Ordering::Relaxed), "ends twice");
        CELLS.set(CELLS.get() - 1);
    }
}
