//! The task cell under every combination of ways to end, by hand: a queue that the test empties.

// A clone that is woken by value is what is tested.
#![allow(clippy::waker_clone_wake)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::panic::{Location, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

use parking_lot::Mutex;

use super::runnable::Polled;
use super::*;

/// How much to do of what is done often; Miri is slow.
const MANY: usize = if cfg!(miri) { 50 } else { 100_000 };

/// A scheduler without threads.
struct Queue {
    owned: Owned<Queue>,
    /// What waits to be run, with why; `None` once closed, when runnables are dropped.
    tasks: Mutex<Option<VecDeque<(Runnable, Cause)>>>,
    polled: AtomicUsize,
}

impl Schedule for Queue {
    fn schedule(task: Scheduled<Queue>, cause: Cause) {
        let queue = task.keep();
        let runnable = task.into_runnable();
        if let Some(tasks) = &mut *queue.tasks.lock() {
            tasks.push_back((runnable, cause));
            return;
        }
        drop(runnable);
    }

    fn owned(&self) -> &Owned<Queue> {
        &self.owned
    }

    fn polled(&self, task: &Runnable) {
        self.polled.fetch_add(1, SeqCst);
        task.set_conduct(task.conduct().wrapping_add(1));
    }
}

impl Queue {
    fn new() -> Arc<Queue> {
        let queue = Arc::new(Queue {
            owned: Owned::new(4),
            tasks: Mutex::new(Some(VecDeque::new())),
            polled: AtomicUsize::new(0),
        });
        queue.owned.adopt(queue.clone());
        queue
    }

    #[track_caller]
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let (handle, runnable) = self.owned.bind(future, Meta::new(Location::caller()), 3);
        if let Some(runnable) = runnable {
            self.push(runnable);
        }
        handle
    }

    fn push(&self, runnable: Runnable) {
        let mut tasks = self.tasks.lock();
        let tasks = tasks.as_mut().expect("the queue is open");
        tasks.push_back((runnable, Cause::Woken));
    }

    fn pop(&self) -> Option<(Runnable, Cause)> {
        self.tasks.lock().as_mut()?.pop_front()
    }

    /// Runs one task.
    fn run(&self) -> Option<Polled> {
        let (runnable, _) = self.pop()?;
        Some(runnable.run())
    }

    /// Runs until nothing is left.
    fn drain(&self) -> Vec<Polled> {
        std::iter::from_fn(|| self.run()).collect()
    }

    /// Ends everything.
    fn shutdown(&self) {
        self.owned.close();
        self.owned.cancel_all(|runnable| {
            runnable.run();
        });
        let rest = self.tasks.lock().take();
        drop(rest);
        assert!(self.owned.is_empty());
    }
}

/// Ends the queue with the test, and checks that nothing keeps it.
struct Bench {
    queue: Arc<Queue>,
}

fn bench() -> Bench {
    Bench {
        queue: Queue::new(),
    }
}

impl std::ops::Deref for Bench {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.queue.shutdown();
        if !std::thread::panicking() {
            assert_eq!(
                Arc::strong_count(&self.queue),
                1,
                "the list lets go of its scheduler"
            );
        }
    }
}

/// Counts wakes.
#[derive(Default)]
struct Flag(AtomicUsize);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Flag {
    fn new() -> (Arc<Flag>, Waker) {
        let flag = Arc::new(Flag::default());
        (flag.clone(), flag.into())
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// Polls with a waker that does nothing.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn now<F: Future + Unpin>(mut future: F) -> F::Output {
    match poll(&mut future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready"),
    }
}

/// Silences the panics that a test wants, in this thread.
fn quietly<R>(work: impl FnOnce() -> R) -> R {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Failed assertions carry a `String`, and are to be seen.
            if !QUIET.get() || info.payload().is::<String>() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let result = work();
    QUIET.set(false);
    result
}

#[test]
fn sizes() {
    assert_eq!(size_of::<Runnable>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Runnable>>(), size_of::<usize>());
    assert_eq!(size_of::<JoinHandle<[u8; 99]>>(), size_of::<usize>());
    assert!(raw::size_of_cell(&async {}) <= 88);
}

/// What a future does when it is polled or dropped, and what its output does when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Poller {
    Ready,
    PendingThenReady,
    YieldThenReady,
    Panics,
    PendingThenPanics,
    NeverReady,
}

/// What is done to the handle, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Joining {
    DropFirst,
    DropLast,
    Join,
    JoinWaiting,
    DropWaiting,
}

/// When the task is aborted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Aborting {
    Never,
    BeforeFirstPoll,
    WhenPending,
    WhilePolled,
    AtTheEnd,
    ByShutdown,
}

/// Counts the drops of what it is part of, and panics in them if told to.
struct Bomb {
    drops: Arc<AtomicUsize>,
    is_live: bool,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.drops.fetch_add(1, SeqCst);
        if self.is_live {
            panic_any("drop");
        }
    }
}

struct Case {
    poller: Poller,
    polls: usize,
    abort: Option<Arc<Mutex<Option<AbortHandle>>>>,
    waker: Arc<Mutex<Option<Waker>>>,
    output: Option<Bomb>,
    // Two panics out of one drop would abort: the output becomes live when it leaves the future.
    arms_output: bool,
    // Dropped with the future.
    _bomb: Bomb,
}

impl Future for Case {
    type Output = Bomb;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Bomb> {
        self.polls += 1;
        if let Some(abort) = &self.abort {
            abort
                .lock()
                .as_ref()
                .expect("set before the first poll")
                .abort();
        }
        let is_first = self.polls == 1;
        match self.poller {
            Poller::Panics => panic_any("poll"),
            Poller::PendingThenPanics if !is_first => panic_any("poll"),
            Poller::YieldThenReady if is_first => cx.waker().wake_by_ref(),
            Poller::PendingThenReady | Poller::PendingThenPanics if is_first => {}
            Poller::NeverReady => {}
            _ => {
                let mut output = self.output.take().expect("polled to the end once");
                output.is_live = self.arms_output;
                return Poll::Ready(output);
            }
        }
        *self.waker.lock() = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn every_combination_of_panic_drop_abort_and_join() {
    use Aborting::*;
    use Joining::*;
    let mut cases = 0;
    for poller in [
        Poller::Ready,
        Poller::PendingThenReady,
        Poller::YieldThenReady,
        Poller::Panics,
        Poller::PendingThenPanics,
        Poller::NeverReady,
    ] {
        for joining in [DropFirst, DropLast, Join, JoinWaiting, DropWaiting] {
            for aborting in [
                Never,
                BeforeFirstPoll,
                WhenPending,
                WhilePolled,
                AtTheEnd,
                ByShutdown,
            ] {
                for bombs in 0..4 {
                    quietly(|| {
                        combination(poller, joining, aborting, bombs & 1 == 1, bombs & 2 == 2)
                    });
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 720);
}

fn combination(
    poller: Poller,
    joining: Joining,
    aborting: Aborting,
    future_bomb: bool,
    output_bomb: bool,
) {
    let case = format!("{poller:?} {joining:?} {aborting:?} {future_bomb} {output_bomb}");
    let bench = bench();
    let future_drops = Arc::new(AtomicUsize::new(0));
    let output_drops = Arc::new(AtomicUsize::new(0));
    let waker = Arc::new(Mutex::new(None));
    let abort = Arc::new(Mutex::new(None));
    let mut handle = Some(bench.spawn(Case {
        poller,
        polls: 0,
        abort: (aborting == Aborting::WhilePolled).then(|| abort.clone()),
        waker: waker.clone(),
        output: Some(Bomb {
            drops: output_drops.clone(),
            is_live: false,
        }),
        arms_output: output_bomb,
        _bomb: Bomb {
            drops: future_drops.clone(),
            is_live: future_bomb,
        },
    }));
    let abort_handle = handle
        .as_ref()
        .map(|handle| handle.abort_handle())
        .expect("just spawned");
    *abort.lock() = Some(abort_handle.clone());
    let (flag, join_waker) = Flag::new();

    // The handle, before the task runs.
    match joining {
        Joining::DropFirst => handle = None,
        Joining::JoinWaiting | Joining::DropWaiting => {
            let handle = handle.as_mut().expect("not dropped yet");
            let mut cx = Context::from_waker(&join_waker);
            assert!(Pin::new(&mut *handle).poll(&mut cx).is_pending());
            assert!(Pin::new(handle).poll(&mut cx).is_pending());
        }
        Joining::DropLast | Joining::Join => {}
    }
    if joining == Joining::DropWaiting {
        handle = None;
        assert_eq!(
            Arc::strong_count(&flag),
            2,
            "{case}: the join waker is dropped with the handle"
        );
    }

    // The task.
    if aborting == Aborting::BeforeFirstPoll {
        abort_handle.abort();
        abort_handle.abort();
    }
    let mut polls = bench.drain();
    match aborting {
        Aborting::WhenPending => abort_handle.abort(),
        Aborting::ByShutdown => bench.shutdown(),
        _ => {}
    }
    polls.extend(bench.drain());
    if let Some(waker) = waker.lock().take() {
        waker.wake_by_ref();
        waker.wake();
    }
    polls.extend(bench.drain());
    if aborting == Aborting::AtTheEnd {
        abort_handle.abort();
    }
    polls.extend(bench.drain());

    // What must have happened.
    let was_idle = matches!(
        poller,
        Poller::PendingThenReady | Poller::PendingThenPanics | Poller::NeverReady
    );
    let is_cancelled = match aborting {
        Aborting::Never => false,
        Aborting::BeforeFirstPoll => true,
        Aborting::WhenPending | Aborting::ByShutdown => was_idle,
        Aborting::WhilePolled => was_idle || poller == Poller::YieldThenReady,
        Aborting::AtTheEnd => poller == Poller::NeverReady,
    };
    let is_live = poller == Poller::NeverReady && !is_cancelled;
    assert_eq!(abort_handle.is_finished(), !is_live, "{case}");
    assert_eq!(bench.owned.len(), usize::from(is_live), "{case}");
    assert_eq!(future_drops.load(SeqCst), usize::from(!is_live), "{case}");
    if joining == Joining::JoinWaiting {
        assert_eq!(flag.count(), usize::from(!is_live), "{case}");
    } else {
        assert_eq!(flag.count(), 0, "{case}");
    }
    if is_live {
        drop(handle);
        drop(bench);
        assert_eq!(future_drops.load(SeqCst), 1, "{case}");
        assert_eq!(output_drops.load(SeqCst), 1, "{case}");
        return;
    }
    let poll_panics = !is_cancelled && matches!(poller, Poller::Panics | Poller::PendingThenPanics);
    let panics = match () {
        _ if poll_panics => Some("poll"),
        _ if future_bomb => Some("drop"),
        _ => None,
    };
    let expected = match panics {
        Some(_) => Polled::Panicked,
        None if is_cancelled => Polled::Cancelled,
        None => Polled::Completed,
    };
    if aborting != Aborting::ByShutdown || !is_cancelled {
        assert_eq!(polls.last(), Some(&expected), "{case}");
    }
    let Some(handle) = handle else {
        assert_eq!(output_drops.load(SeqCst), 1, "{case}");
        return;
    };
    if joining == Joining::DropLast {
        drop(handle);
        assert_eq!(output_drops.load(SeqCst), 1, "{case}");
        return;
    }
    match now(handle) {
        Ok(mut output) => {
            assert_eq!(expected, Polled::Completed, "{case}");
            assert_eq!(output_drops.load(SeqCst), 0, "{case}");
            output.is_live = false;
        }
        Err(error) if error.is_panic() => {
            let payload = error.into_panic();
            assert_eq!(payload.downcast_ref::<&str>().copied(), panics, "{case}");
        }
        Err(error) => {
            assert!(error.is_cancelled());
            assert_eq!(expected, Polled::Cancelled, "{case}");
        }
    }
    assert_eq!(output_drops.load(SeqCst), 1, "{case}");
}

#[test]
fn wakes_are_coalesced_and_those_during_a_poll_yield() {
    let bench = bench();
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let slot = waker.clone();
    let mut turns = 0;
    let handle = bench.spawn(poll_fn(move |cx| {
        turns += 1;
        if turns == 2 {
            cx.waker().wake_by_ref();
            cx.waker().clone().wake();
        }
        *slot.lock() = Some(cx.waker().clone());
        if turns == 4 {
            Poll::Ready(turns)
        } else {
            Poll::Pending
        }
    }));
    assert_eq!(bench.drain(), [Polled::Pending]);
    let outside = waker.lock().clone().expect("polled");
    for _ in 0..5 {
        outside.wake_by_ref();
    }
    let (runnable, cause) = bench.pop().expect("woken");
    assert_eq!((cause, runnable.conduct()), (Cause::Woken, 1));
    assert!(bench.pop().is_none());
    assert_eq!(runnable.run(), Polled::Yielded);
    let (runnable, cause) = bench.pop().expect("woke itself");
    assert_eq!((cause, runnable.conduct()), (Cause::Yielded, 2));
    assert_eq!(runnable.run(), Polled::Pending);
    outside.wake();
    assert_eq!(bench.drain(), [Polled::Completed]);
    assert_eq!(now(handle).unwrap(), 4);
    // After the end, for ever.
    let late = waker.lock().take().expect("polled");
    late.wake_by_ref();
    late.clone().wake();
    assert!(bench.pop().is_none());
    drop(bench);
    late.wake();
}

#[test]
fn a_waker_outlives_its_scheduler() {
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let bench = bench();
    let weak: Weak<Queue> = Arc::downgrade(&bench.queue);
    let slot = waker.clone();
    let handle = bench.spawn(poll_fn(move |cx| {
        *slot.lock() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }));
    bench.drain();
    drop(bench);
    assert!(weak.upgrade().is_none());
    let waker = waker.lock().take().expect("polled");
    waker.wake_by_ref();
    waker.clone().wake();
    assert!(handle.is_finished());
    handle.abort();
    assert!(now(handle).unwrap_err().is_cancelled());
    waker.wake();
}

#[test]
fn a_live_task_keeps_its_scheduler_until_it_ends() {
    let queue = Queue::new();
    let weak = Arc::downgrade(&queue);
    drop(queue.spawn(async {}));
    let (runnable, _) = queue.pop().expect("spawned");
    queue.owned.close();
    drop(queue);
    assert!(weak.upgrade().is_some());
    assert_eq!(runnable.run(), Polled::Completed);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_closed_list_drops_the_future_and_the_handle_tells() {
    let bench = bench();
    bench.owned.close();
    let drops = Arc::new(AtomicUsize::new(0));
    let bomb = Bomb {
        drops: drops.clone(),
        is_live: false,
    };
    let (handle, runnable) =
        bench
            .owned
            .bind(async move { drop(bomb) }, Meta::new(Location::caller()), 0);
    assert!(runnable.is_none());
    assert_eq!(drops.load(SeqCst), 1);
    let error = now(handle).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("task {} was cancelled", error.id())
    );
}

#[test]
fn errors_tell_what_happened() {
    let bench = bench();
    let (first, second, third) = quietly(|| {
        let first = bench.spawn(async { panic!("boom {}", 1) });
        let second = bench.spawn(async { panic_any(7_u8) });
        let third = bench.spawn(pending::<()>());
        third.abort();
        bench.drain();
        (
            now(first).unwrap_err(),
            now(second).unwrap_err(),
            now(third).unwrap_err(),
        )
    });
    let [a, b, c] = [first.id(), second.id(), third.id()];
    assert_eq!(
        first.to_string(),
        format!("task {a} panicked with message \"boom 1\"")
    );
    assert_eq!(
        format!("{first:?}"),
        format!("JoinError::Panic({a}, \"boom 1\", ...)")
    );
    assert_eq!(second.to_string(), format!("task {b} panicked"));
    assert_eq!(format!("{second:?}"), format!("JoinError::Panic({b}, ...)"));
    assert_eq!(format!("{third:?}"), format!("JoinError::Cancelled({c})"));
    assert!(first.is_panic() && !first.is_cancelled());
    let third = third.try_into_panic().unwrap_err();
    assert!(
        std::io::Error::from(third)
            .to_string()
            .contains("cancelled")
    );
    assert_eq!(second.into_panic().downcast_ref::<u8>(), Some(&7));
}

#[test]
fn both_polling_and_dropping_panic_and_the_first_is_told() {
    struct Twice;
    impl Future for Twice {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic_any(PayloadBomb(1))
        }
    }
    impl Drop for Twice {
        fn drop(&mut self) {
            panic_any(PayloadBomb(2))
        }
    }
    /// A payload whose drop panics too.
    struct PayloadBomb(u8);
    impl Drop for PayloadBomb {
        fn drop(&mut self) {
            if self.0 == 2 {
                panic_any("payload");
            }
        }
    }
    let bench = bench();
    let error = quietly(|| {
        let handle = bench.spawn(Twice);
        assert_eq!(bench.drain(), [Polled::Panicked]);
        now(handle).unwrap_err()
    });
    let payload = error.into_panic();
    assert_eq!(
        payload.downcast_ref::<PayloadBomb>().expect("its type").0,
        1
    );
}

/// A waker that panics in the functions of `hostile`, a set of letters.
fn hostile(hostile: &'static str) -> Waker {
    struct Hostile(&'static str);
    impl Hostile {
        fn check(&self, what: &str) {
            if self.0.contains(what) {
                panic_any("hostile");
            }
        }
    }
    unsafe fn get<'a>(data: *const ()) -> &'a Hostile {
        // SAFETY: every waker made here has such a leaked box behind it.
        unsafe { &*data.cast() }
    }
    // SAFETY (all four): as in `get`.
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            // SAFETY: see above.
            unsafe { get(data) }.check("clone");
            RawWaker::new(data, &VTABLE)
        },
        // SAFETY: see above.
        |data| unsafe { get(data) }.check("wake"),
        // SAFETY: see above.
        |data| unsafe { get(data) }.check("wake"),
        // SAFETY: see above.
        |data| unsafe { get(data) }.check("drop"),
    );
    /// Where the leaked boxes are still found.
    static ALL: Mutex<Vec<&'static Hostile>> = Mutex::new(Vec::new());
    let data: &'static Hostile = Box::leak(Box::new(Hostile(hostile)));
    ALL.lock().push(data);
    // SAFETY: the functions keep the contract, apart from the panics that are wanted.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(data).cast(), &VTABLE)) }
}

#[test]
fn hostile_join_wakers_break_nothing() {
    for kind in ["clone", "wake", "drop", "wake drop"] {
        for end in 0..3 {
            quietly(|| {
                let bench = bench();
                let mut handle = bench.spawn(async { 5 });
                let waker = std::mem::ManuallyDrop::new(hostile(kind));
                let mut cx = Context::from_waker(&waker);
                let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
                }));
                assert_eq!(polled.is_err(), kind == "clone");
                match end {
                    // It is woken at completion.
                    0 => {
                        assert_eq!(bench.drain(), [Polled::Completed]);
                        assert_eq!(now(handle).unwrap(), 5);
                    }
                    // It goes with the handle.
                    1 => drop(handle),
                    // It is replaced.
                    _ => {
                        let replaced =
                            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                                assert!(poll(&mut handle).is_pending());
                            }));
                        assert_eq!(replaced.is_err(), kind.contains("drop"));
                        assert_eq!(bench.drain(), [Polled::Completed]);
                        assert_eq!(now(handle).unwrap(), 5);
                    }
                }
            });
        }
    }
}

#[test]
fn the_join_waker_is_replaced_and_the_last_one_is_woken() {
    let bench = bench();
    let mut handle = bench.spawn(async { "done" });
    let (first, first_waker) = Flag::new();
    let (second, second_waker) = Flag::new();
    for waker in [&first_waker, &first_waker, &second_waker] {
        let mut cx = Context::from_waker(waker);
        assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
    }
    assert_eq!(Arc::strong_count(&first), 2);
    bench.drain();
    assert_eq!((first.count(), second.count()), (0, 1));
    assert_eq!(Arc::strong_count(&second), 2, "the join waker is used up");
    assert_eq!(now(&mut handle).unwrap(), "done");
    let again = quietly(|| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            poll(&mut handle).is_ready()
        }))
    });
    assert!(again.is_err(), "polled after the end");
}

#[test]
fn joining_charges_the_budget_only_when_it_is_ready() {
    let bench = bench();
    let mut handle = bench.spawn(async { 1 });
    let (flag, waker) = Flag::new();
    let mut cx = Context::from_waker(&waker);
    crate::budget::with(|| {
        for _ in 0..1000 {
            assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
        }
        assert!(crate::budget::has_remaining());
        bench.drain();
        assert_eq!(flag.count(), 1);
        while crate::budget::spend(&mut cx).is_ready() {}
        assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
        assert_eq!(flag.count(), 3);
    });
    assert_eq!(now(handle).unwrap(), 1);
}

#[test]
fn the_current_id_is_set_in_polls_and_drops() {
    struct Checks(Arc<Mutex<Vec<Option<Id>>>>);
    impl Drop for Checks {
        fn drop(&mut self) {
            self.0.lock().push(try_id());
        }
    }
    let bench = bench();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let checks = Checks(seen.clone());
    let aborted = bench.spawn(async move {
        checks.0.lock().push(try_id());
        pending::<()>().await;
        drop(checks);
    });
    let checks = Checks(seen.clone());
    let detached = bench.spawn(async move { checks });
    let (first, second) = (aborted.id(), detached.id());
    drop(detached);
    bench.drain();
    aborted.abort();
    bench.drain();
    assert_eq!(*seen.lock(), [Some(first), Some(second), Some(first)]);
    assert_eq!(try_id(), None);
    assert_ne!(first, second);
}

#[test]
fn ids_are_unique_across_threads() {
    let threads: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(|| (0..1000).map(|_| Id::next()).collect::<Vec<_>>()))
        .collect();
    let mut all: Vec<Id> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4000);
}

#[test]
fn names_places_and_phases_are_listed() {
    let bench = bench();
    let here = Location::caller();
    let (waiting, runnable) = bench
        .owned
        .bind(pending::<()>(), Meta::new(here).name("waits"), 0);
    let runnable = runnable.expect("the list is open");
    assert_eq!(
        (runnable.name(), runnable.location()),
        (Some("waits"), here)
    );
    assert!(format!("{runnable:?}").contains("waits"));
    runnable.run();
    let queued = bench.spawn(async {});
    let inner = bench.queue.clone();
    let running = bench.spawn(async move {
        let mut seen = Vec::new();
        inner
            .owned
            .for_each(|task| seen.push((task.id, task.name.map(str::to_owned), task.phase)));
        seen.sort();
        seen
    });
    bench.push(bench.pop().expect("queued").0);
    bench.run();
    let mut expected = vec![
        (waiting.id(), Some("waits".to_owned()), Phase::Idle),
        (queued.id(), None, Phase::Scheduled),
        (running.id(), None, Phase::Running),
    ];
    expected.sort();
    assert_eq!(now(running).unwrap(), expected);
}

#[test]
fn places_are_reused_and_given_back() {
    let bench = bench();
    for round in 0..3 {
        let handles: Vec<_> = (0..5000)
            .map(|i| bench.spawn(async move { i + round }))
            .collect();
        assert_eq!(bench.owned.len(), 5000);
        // End every second one, then bring new ones, then end all.
        let (even, odd): (Vec<_>, Vec<_>) = handles
            .into_iter()
            .enumerate()
            .partition(|(i, _)| i % 2 == 0);
        even.iter().for_each(|(_, handle)| handle.abort());
        let more: Vec<_> = (0..100).map(|i| bench.spawn(async move { i })).collect();
        bench.drain();
        assert!(bench.owned.is_empty());
        assert!(
            odd.into_iter()
                .all(|(i, handle)| now(handle).unwrap() == i + round)
        );
        assert!(
            more.into_iter()
                .enumerate()
                .all(|(i, handle)| now(handle).unwrap() == i)
        );
    }
}

#[test]
fn large_futures_work_from_their_box() {
    let bench = bench();
    let bytes = [7_u8; 3 * BOX_LIMIT];
    let handle = bench.spawn(async move {
        std::future::ready(()).await;
        bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>()
    });
    bench.drain();
    assert_eq!(now(handle).unwrap(), 7 * 3 * BOX_LIMIT);
}

#[test]
fn futures_that_stay_on_their_thread() {
    let bench = bench();
    let shared = Rc::new(Cell::new(0));
    let inner = shared.clone();
    let future = async move {
        inner.set(1);
        pending::<()>().await;
        inner
    };
    // SAFETY: the test has one thread.
    let (handle, runnable) = unsafe {
        bench
            .owned
            .bind_local(future, Meta::new(Location::caller()), 0)
    };
    bench.push(runnable.expect("the list is open"));
    bench.drain();
    assert_eq!((shared.get(), Rc::strong_count(&shared)), (1, 2));
    handle.abort();
    bench.drain();
    assert_eq!(Rc::strong_count(&shared), 1);
}

#[test]
fn jobs_run_once_or_are_cancelled() {
    let here = Location::caller();
    let (handle, runnable) = job(|| 3, Meta::new(here));
    assert_eq!(runnable.run(), Polled::Completed);
    assert_eq!(now(handle).unwrap(), 3);

    let (handle, runnable) = job(|| 3, Meta::new(here));
    handle.abort();
    assert!(!handle.is_finished());
    assert_eq!(runnable.run(), Polled::Cancelled);
    assert!(now(handle).unwrap_err().is_cancelled());

    let (handle, runnable) = job(|| 3, Meta::new(here));
    drop(runnable);
    assert!(now(handle).unwrap_err().is_cancelled());

    let (handle, runnable) = job(|| 3, Meta::new(here));
    runnable.cancel(Reason::NoThread);
    let error = now(handle).unwrap_err();
    assert!(error.is_cancelled() && error.to_string().contains("could not start one"));

    let (handle, runnable) = job(|| panic_any(1_u32), Meta::new(here));
    assert_eq!(quietly(|| runnable.run()), Polled::Panicked);
    let () = quietly(|| {
        now(handle)
            .map_err(|error| assert!(error.is_panic()))
            .unwrap_err()
    });
}

/// Aborts its task when dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[test]
fn a_long_chain_of_tasks_that_end_each_other_takes_no_stack() {
    let links = if cfg!(miri) { 20 } else { 200_000 };
    let work = move || {
        let bench = bench();
        let mut next = bench.spawn(pending());
        for _ in 0..links {
            let link = AbortOnDrop(next);
            next = bench.spawn(async move {
                pending::<()>().await;
                drop(link);
            });
        }
        bench.drain();
        // From now on a runnable is dropped where it is scheduled; the first one draws all others after it.
        let open = bench.tasks.lock().take();
        drop(open);
        next.abort();
        assert!(bench.owned.is_empty());
    };
    let thread = std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(work);
    thread.unwrap().join().unwrap();
}

#[test]
fn a_long_chain_of_detached_handles_takes_no_stack() {
    let links = if cfg!(miri) { 20 } else { 200_000 };
    let work = move || {
        let bench = bench();
        let mut next = bench.spawn(async {});
        for _ in 0..links {
            next = bench.spawn(async move { next.await.unwrap() });
        }
        drop(next);
        // Joined from the last to the first, then cancelled with the handles in them.
        assert!(bench.run().is_some());
        bench.shutdown();
    };
    let thread = std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(work);
    thread.unwrap().join().unwrap();
}

#[test]
fn a_slot_gives_each_runnable_once() {
    let bench = bench();
    let slot = AtomicRunnable::new();
    assert!(slot.is_empty() && slot.take().is_none());
    let first = bench.spawn(async { 1 });
    let second = bench.spawn(async { 2 });
    let third = bench.spawn(async { 3 });
    let next = || bench.pop().expect("spawned").0;
    assert!(slot.put(next()).is_none());
    let displaced = slot.put(next()).expect("the first");
    assert_eq!(displaced.id(), first.id());
    displaced.run();
    slot.take().expect("the second").run();
    assert!(slot.is_empty());
    assert_eq!((now(first).unwrap(), now(second).unwrap()), (1, 2));
    assert!(slot.put(next()).is_none());
    drop(slot);
    assert!(now(third).unwrap_err().is_cancelled());
}

#[test]
fn threads_wake_abort_join_and_shut_down_at_once() {
    for seed in 0..MANY / 500 + 3 {
        let queue = Queue::new();
        let handles: Vec<_> = (0..8)
            .map(|i| {
                let mut left = (seed + i) % 7;
                queue.spawn(poll_fn(move |cx| {
                    if left == 0 {
                        return Poll::Ready(i);
                    }
                    left -= 1;
                    let waker = cx.waker().clone();
                    if left % 2 == 0 {
                        waker.wake();
                    } else {
                        std::thread::spawn(move || waker.wake());
                    }
                    Poll::Pending
                }))
            })
            .collect();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !queue.owned.is_empty() {
                        if queue.run().is_none() {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            handles[seed % 8].abort();
            if seed % 3 == 0 {
                queue.owned.close();
                queue.owned.cancel_all(drop);
            }
        });
        for (i, handle) in handles.into_iter().enumerate() {
            // Its end may still be on its way from another thread's last steps.
            while !handle.is_finished() {
                std::thread::yield_now();
            }
            match now(handle) {
                Ok(output) => assert_eq!(output, i),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        queue.shutdown();
    }
}

#[test]
fn handles_are_send_as_their_output_is() {
    fn check<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<JoinHandle<Cell<u8>>>();
    check::<AbortHandle>();
    fn error<T: Send + Sync + std::error::Error>() {}
    error::<JoinError>();
}
