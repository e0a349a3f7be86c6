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

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::atomic as real;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::WaitTimeoutResult;
pub(crate) use crate::local_of_coroutine as thread_local;
pub(crate) use real::Ordering;
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

// ---------------------------------------------------------------- coroutines

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

/// Threads of the scenario.
pub(crate) mod thread {
    use super::{PATIENCE, RUNNING, inside, of, step, switch};
    use std::future::poll_fn;
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::sync::{Arc, Mutex};
    use std::task::{Poll, Waker};
    use std::time::Duration;

    pub(crate) use shuttle::thread::ThreadId;

    /// A name with which no thread can be started.
    pub(crate) const REFUSED: &str = "refused";

    /// A coroutine.
    #[derive(Debug, Clone)]
    pub(crate) struct Thread {
        id: ThreadId,
        token: Arc<AtomicBool>,
        /// Wakes it from [`block`].
        waker: Arc<Mutex<Option<Waker>>>,
    }

    impl Thread {
        /// The one that runs.
        pub(super) fn new() -> Thread {
            Thread {
                id: shuttle::thread::current().id(),
                token: Arc::default(),
                waker: Arc::default(),
            }
        }

        pub(crate) fn id(&self) -> ThreadId {
            self.id
        }

        pub(crate) fn unpark(&self) {
            step();
            self.token.store(true, Relaxed);
            self.rouse();
        }

        /// Ends [`block`], if the thread is in it.
        pub(super) fn rouse(&self) {
            let waker = of(&self.waker).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    pub(crate) fn current() -> Thread {
        RUNNING.with_borrow(|local| local.as_ref().expect("inside a coroutine").thread.clone())
    }

    /// Waits until roused, or for no reason. A step ends here, so whoever is to rouse this thread must know it before.
    pub(super) fn block() {
        let thread = current();
        let mut is_over = false;
        let wait = poll_fn(|cx| {
            if std::mem::replace(&mut is_over, true) {
                return Poll::Ready(());
            }
            *of(&thread.waker) = Some(cx.waker().clone());
            Poll::Pending
        });
        switch(|| shuttle::future::block_on(wait));
    }

    pub(crate) fn park() {
        let token = current().token;
        while !token.swap(false, Relaxed) {
            block();
        }
    }

    pub(crate) fn park_timeout(_: Duration) {
        let token = current().token;
        for _ in 0..PATIENCE {
            if token.swap(false, Relaxed) {
                return;
            }
            yield_now();
        }
    }

    pub(crate) fn yield_now() {
        switch(shuttle::thread::yield_now);
    }

    /// A thread to join.
    #[derive(Debug)]
    pub(crate) struct JoinHandle<T> {
        handle: shuttle::thread::JoinHandle<T>,
        is_finished: Arc<AtomicBool>,
    }

    impl<T> JoinHandle<T> {
        pub(crate) fn thread(&self) -> &shuttle::thread::Thread {
            self.handle.thread()
        }

        pub(crate) fn is_finished(&self) -> bool {
            self.is_finished.load(Relaxed)
        }

        pub(crate) fn join(self) -> std::thread::Result<T> {
            switch(|| self.handle.join())
        }
    }

    pub(crate) fn spawn<T: Send + 'static>(
        body: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let is_finished = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&is_finished);
        let body = move || {
            let result = inside(body);
            finished.store(true, Relaxed);
            result
        };
        JoinHandle {
            handle: switch(|| shuttle::thread::spawn(body)),
            is_finished,
        }
    }

    /// Starts threads; the name matters only if it is [`REFUSED`].
    #[derive(Debug, Default)]
    pub(crate) struct Builder {
        is_refused: bool,
    }

    impl Builder {
        pub(crate) fn new() -> Builder {
            Builder::default()
        }

        pub(crate) fn name(self, name: String) -> Builder {
            Builder {
                is_refused: name == REFUSED,
            }
        }

        pub(crate) fn stack_size(self, _: usize) -> Builder {
            self
        }

        pub(crate) fn spawn<T: Send + 'static>(
            self,
            body: impl FnOnce() -> T + Send + 'static,
        ) -> io::Result<JoinHandle<T>> {
            if self.is_refused {
                super::step();
                return Err(io::Error::other("no thread to be had"));
            }
            Ok(spawn(body))
        }
    }
}

// ---------------------------------------------------------------- atomics

/// Begins a step, unless the operation is a relaxed one.
#[inline]
fn before(order: Ordering) {
    if order != Ordering::Relaxed {
        step();
    }
}

/// Orderings are loom's business.
pub(crate) fn fence(_: Ordering) {}

macro_rules! atomic {
    ($name:ident$(<$param:ident>)?, $value:ty) => {
        /// As std's, with a step before each operation.
        #[derive(Default)]
        #[repr(transparent)]
        pub(crate) struct $name$(<$param>)?(real::$name$(<$param>)?);

        impl$(<$param>)? fmt::Debug for $name$(<$param>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl$(<$param>)? $name$(<$param>)? {
            pub(crate) const fn new(value: $value) -> Self {
                $name(real::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                before(order);
                self.0.load(Ordering::Relaxed)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                before(order);
                self.0.store(value, Ordering::Relaxed);
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                before(order);
                self.0.swap(value, Ordering::Relaxed)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                _: Ordering,
            ) -> Result<$value, $value> {
                before(success);
                self.0.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }
        }
    };
}

macro_rules! arithmetic {
    ($name:ident, $value:ty: $($operation:ident)+) => {
        impl $name {
            $(pub(crate) fn $operation(&self, value: $value, order: Ordering) -> $value {
                before(order);
                self.0.$operation(value, Ordering::Relaxed)
            })+

            pub(crate) fn fetch_update(
                &self,
                order: Ordering,
                _: Ordering,
                mut update: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut value = self.load(order);
                while let Some(new) = update(value) {
                    match self.compare_exchange(value, new, order, order) {
                        Ok(value) => return Ok(value),
                        Err(other) => value = other,
                    }
                }
                Err(value)
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicPtr<T>, *mut T);
atomic!(AtomicU8, u8);
atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);
arithmetic!(AtomicBool, bool: fetch_and fetch_or fetch_xor);
arithmetic!(AtomicU8, u8: fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max);
arithmetic!(AtomicU32, u32: fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max);
arithmetic!(AtomicU64, u64: fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max);
arithmetic!(AtomicUsize, usize: fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max);

/// `crossbeam_deque`, with a step before each operation.
pub(crate) mod deque {
    use super::step;
    pub(crate) use crossbeam_deque::Steal;

    macro_rules! stepped {
        ($name:ident: $($method:ident($($argument:ident: $type:ty)?) $(-> $result:ty)?),+) => {
            impl<T> $name<T> {
                $(pub(crate) fn $method(&self $(, $argument: $type)?) $(-> $result)? {
                    step();
                    self.0.$method($($argument)?)
                })+
            }
        };
    }

    #[derive(Debug)]
    pub(crate) struct Worker<T>(crossbeam_deque::Worker<T>);

    #[derive(Debug)]
    pub(crate) struct Stealer<T>(crossbeam_deque::Stealer<T>);

    #[derive(Debug)]
    pub(crate) struct Injector<T>(crossbeam_deque::Injector<T>);

    stepped!(Worker: push(task: T), pop() -> Option<T>);
    stepped!(Stealer: steal() -> Steal<T>, is_empty() -> bool, len() -> usize);
    stepped!(Injector: push(task: T), steal() -> Steal<T>, is_empty() -> bool, len() -> usize);

    impl<T> Worker<T> {
        pub(crate) fn new_fifo() -> Worker<T> {
            Worker(crossbeam_deque::Worker::new_fifo())
        }

        pub(crate) fn stealer(&self) -> Stealer<T> {
            Stealer(self.0.stealer())
        }

        /// No step, as for [`len`](Worker::len): only the owner pushes.
        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }
    }

    impl<T> Stealer<T> {
        pub(crate) fn steal_batch_and_pop(&self, into: &Worker<T>) -> Steal<T> {
            step();
            self.0.steal_batch_and_pop(&into.0)
        }
    }

    impl<T> Injector<T> {
        pub(crate) fn new() -> Injector<T> {
            Injector(crossbeam_deque::Injector::new())
        }

        pub(crate) fn steal_batch_and_pop(&self, into: &Worker<T>) -> Steal<T> {
            step();
            self.0.steal_batch_and_pop(&into.0)
        }
    }
}

// ---------------------------------------------------------------- locks

/// A mutex with parking_lot's signatures.
#[derive(Default)]
pub(crate) struct Mutex<T> {
    /// Locked as long as ours is.
    inner: std::sync::Mutex<T>,
    /// Who waits.
    waiters: std::sync::Mutex<Vec<thread::Thread>>,
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex {
            inner: std::sync::Mutex::new(value),
            waiters: std::sync::Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        step();
        MutexGuard {
            inner: Some(self.wait()),
            mutex: self,
        }
    }

    fn wait(&self) -> std::sync::MutexGuard<'_, T> {
        loop {
            match self.inner.try_lock() {
                Ok(inner) => return inner,
                Err(std::sync::TryLockError::Poisoned(inner)) => return inner.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => {}
            }
            of(&self.waiters).push(thread::current());
            thread::block();
        }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        step();
        Some(MutexGuard {
            inner: Some(self.inner.try_lock().ok()?),
            mutex: self,
        })
    }

    pub(crate) fn into_inner(self) -> T {
        self.inner
            .into_inner()
            .expect("no scenario panics under a lock")
    }
}

/// The content of a lock that is never held during a step.
fn of<T>(lock: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.try_lock().expect("held for a moment only")
}

/// Unlocks on drop.
pub(crate) struct MutexGuard<'a, T> {
    /// Empty only while unlocked.
    inner: Option<std::sync::MutexGuard<'a, T>>,
    /// To lock again.
    mutex: &'a Mutex<T>,
}

impl<T> MutexGuard<'_, T> {
    fn unlock(&mut self) {
        drop(self.inner.take());
        let waiters = std::mem::take(&mut *of(&self.mutex.waiters));
        for waiter in waiters {
            waiter.rouse();
        }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("locked outside of a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("locked outside of a wait")
    }
}

/// A condition variable with parking_lot's signatures. Who has waited longest is notified first, as there.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Mutex<VecDeque<Arc<Waiter>>>);

/// One wait.
#[derive(Debug)]
struct Waiter {
    thread: thread::Thread,
    is_notified: real::AtomicBool,
}

impl Waiter {
    fn is_notified(&self) -> bool {
        self.is_notified.load(Ordering::Relaxed)
    }
}

impl Condvar {
    pub(crate) const fn new() -> Condvar {
        Condvar(std::sync::Mutex::new(VecDeque::new()))
    }

    /// Unlocks, lets `wait` wait, and locks again; whether there was a notification.
    fn wait_by<T>(&self, guard: &mut MutexGuard<'_, T>, wait: impl FnOnce(&Waiter)) -> bool {
        let waiter = Arc::new(Waiter {
            thread: thread::current(),
            is_notified: real::AtomicBool::new(false),
        });
        of(&self.0).push_back(Arc::clone(&waiter));
        guard.unlock();
        wait(&waiter);
        of(&self.0).retain(|other| !Arc::ptr_eq(other, &waiter));
        let is_notified = waiter.is_notified();
        guard.inner = Some(guard.mutex.wait());
        is_notified
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_by(guard, |waiter| {
            while !waiter.is_notified() {
                thread::block();
            }
        });
    }

    pub(crate) fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        if timeout >= FOR_EVER {
            self.wait(guard);
            return WaitTimeoutResult(false);
        }
        WaitTimeoutResult(!self.wait_by(guard, |waiter| {
            for _ in 0..PATIENCE {
                if !waiter.is_notified() {
                    thread::yield_now();
                }
            }
        }))
    }

    pub(crate) fn notify_one(&self) -> bool {
        self.notify(1) == 1
    }

    pub(crate) fn notify_all(&self) -> usize {
        self.notify(usize::MAX)
    }

    fn notify(&self, most: usize) -> usize {
        step();
        let mut waiters = of(&self.0);
        let count = most.min(waiters.len());
        let notified: Vec<_> = waiters.drain(..count).collect();
        drop(waiters);
        for waiter in &notified {
            waiter.is_notified.store(true, Ordering::Relaxed);
        }
        for waiter in notified {
            waiter.thread.rouse();
        }
        count
    }
}

/// Counts the task cells that live.
#[derive(Debug)]
pub(crate) struct Alive(real::AtomicBool);

impl Alive {
    /// Marks the birth of an allocation.
    pub(crate) fn new() -> Alive {
        CELLS.set(CELLS.get() + 1);
        Alive(real::AtomicBool::new(true))
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
