//! A reference model: tasks beside plain records of what must have become of them, driven by a string of bytes.
//!
//! [`run`] reads the bytes as a program: each operation takes one byte and, for its arguments, one or two more; where
//! they end, zeros follow. So every string is a program and a small change of the bytes is a small change of it. The tests
//! run random programs, the fuzzer (`fuzz/`) those that reach new code.
//!
//! Whatever of the user's code a cell calls is a part of the program, too: a poll, the drop of a future or of an output,
//! a join waker that is cloned, woken or dropped. There the program goes on with operations on the same tasks and others, up
//! to a depth, and at the end it may panic. So the cell is interrupted wherever it can be. One thread does it
//! all; what several threads may do to each other is in the models of `loom.rs`.
//!
//! What is compared, before and after every operation and everywhere where user code begins: the phase, the flags and the references of
//! each cell; how many tasks are in the list; which runnables there are. And in the end: that each future was dropped once,
//! each output once, each payload and each waker; that every cell was freed and the list let go of its scheduler.
//!
//! A check that fails in user code panics there, and the cell contains that panic. So it is noted, and [`run`] panics.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::raw::RawTask;
use super::*;

/// No more tasks than this come into being in a program.
const TASKS: usize = 8;

/// How many join wakers there are.
const JOINERS: usize = 3;

/// How deep user code may be nested.
const DEPTH: usize = 5;

thread_local! {
    /// What is known of this thread's program. Borrowed for no longer than a line or two, and never while a cell is called.
    static WORLD: RefCell<World> = RefCell::default();
    /// Whether a check has failed.
    static HAS_FAILED: Cell<bool> = const { Cell::new(false) };
}

/// Everything that the program has, and what must have become of it.
#[derive(Default)]
struct World {
    program: Vec<u8>,
    /// How much of it has been read.
    read: usize,
    /// How deep user code is nested.
    depth: usize,
    scheduler: Option<Arc<Queue>>,
    records: Vec<Record>,
    /// Runnables that wait to be run; `None` once they are dropped instead.
    queue: Option<VecDeque<(usize, Runnable)>>,
    /// The same place as a worker's for the task that runs next.
    slot: Option<Arc<AtomicRunnable>>,
    /// Whether a runnable is being dropped, so that others wait.
    is_dropping: bool,
    /// Those that wait, in order.
    deferred: Vec<usize>,
    /// The join handles that are being polled.
    joins: Vec<Join>,
    /// The task that was woken during the poll that has just ended.
    yielded: Option<usize>,
    /// The task whose join waker is about to be woken.
    waking: Option<usize>,
    /// Wakers of tasks.
    wakers: Vec<(usize, Waker)>,
    aborts: Vec<(usize, AbortHandle)>,
    outputs: Vec<Output>,
    /// How many of each join waker must live.
    joiners: [usize; JOINERS],
    /// How many payloads of panics live, and how many there ever were.
    payloads: usize,
    panics: usize,
    /// How often the scheduler was told of a poll and of an end without output, and how often it must have been.
    polled: [usize; 2],
    failed: [usize; 2],
    /// Whether the list refuses tasks.
    is_closed: bool,
}

/// A poll of a join handle.
struct Join {
    task: usize,
    /// Whether it must be ready: whether the task is complete when the handle looks last.
    is_ready: bool,
    /// Whether the handle has asked for a clone of its waker.
    has_cloned: bool,
}

/// What must be true of a task.
#[derive(Default)]
struct Record {
    /// Where it is, unless it never was in a list.
    raw: Option<RawTask>,
    id: Option<Id>,
    handle: Option<JoinHandle<Output>>,
    is_scheduled: bool,
    is_running: bool,
    is_complete: bool,
    is_cancelled: bool,
    has_join_handle: bool,
    /// The waker that the cell has for the join handle.
    join_waker: Option<usize>,
    references: usize,
    is_freed: bool,
    is_listed: bool,
    place: Place,
    future_drops: usize,
    output_drops: usize,
    /// Whether its future was ready, or threw that panic.
    has_output: bool,
    panic: Option<usize>,
    outcome: Option<Outcome>,
    /// What follows the drop of the output.
    then: Then,
    /// What the last run of its runnable must return.
    polled: Option<Polled>,
}

/// Where the runnable of a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Nowhere,
    Queue,
    Slot,
    /// About to be run.
    Hand,
    /// Being dropped.
    Dropped,
    /// To be dropped when the one that is being dropped is done.
    Deferred,
}

/// How a task has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Output,
    Cancelled,
    Panicked(usize),
}

/// What the cell does once it has dropped an output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Then {
    /// Nothing: it was dropped by a handle, or by the user.
    #[default]
    Nothing,
    /// It completes the task.
    Complete,
    /// It gives up the executor's reference.
    Release,
}

/// A scheduler without threads.
struct Queue {
    owned: Owned<Queue>,
}

/// The future of a task.
struct Script(usize);

/// Its output.
struct Output(usize);

/// What a panic throws.
struct Payload(usize);

/// Runs a program.
///
/// # Panics
///
/// Panics where a task differs from its record.
pub fn run(program: &[u8]) {
    HAS_FAILED.set(false);
    let scheduler = Arc::new(Queue {
        owned: Owned::new(1),
    });
    scheduler.owned.adopt(scheduler.clone());
    let world = World {
        program: program.to_vec(),
        scheduler: Some(scheduler.clone()),
        queue: Some(VecDeque::new()),
        slot: Some(Arc::new(AtomicRunnable::new())),
        ..World::default()
    };
    with(|w| *w = world);
    while with(|w| w.read < w.program.len()) {
        step(None);
        expect_no_failure();
    }
    end();
    expect_no_failure();
    assert_eq!(Arc::strong_count(&scheduler), 1, "the list keeps it");
    with(|w| *w = World::default());
}

fn expect_no_failure() {
    if HAS_FAILED.get() {
        // Nothing of it can be trusted any more.
        with(|w| std::mem::forget(std::mem::take(w)));
        panic!("a check has failed in user code, see above");
    }
}

/// Checks something where a panic might be contained.
fn claim(is_true: bool, what: &str) {
    if !is_true {
        HAS_FAILED.set(true);
        panic!("{what}");
    }
}

/// Looks at the world or changes it.
fn with<R>(look: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(look)
}

/// Looks at a record or changes it.
fn of<R>(task: usize, look: impl FnOnce(&mut Record) -> R) -> R {
    with(|w| look(&mut w.records[task]))
}

/// The next byte of the program.
fn byte() -> u8 {
    with(|w| {
        let byte = w.program.get(w.read).copied();
        w.read += 1;
        byte.unwrap_or(0)
    })
}

/// One of so many, if there are any.
fn choose(from: usize) -> Option<usize> {
    (from > 0).then(|| usize::from(byte()) % from)
}

/// Code of the user's: checks everything, runs a few operations, and returns a byte that says how it ends. Whatever panics in
/// here is a failure.
fn user_code(cx: Option<(usize, &Waker)>) -> u8 {
    struct Alarm;
    impl Drop for Alarm {
        fn drop(&mut self) {
            if std::thread::panicking() {
                HAS_FAILED.set(true);
            }
        }
    }
    let _alarm = Alarm;
    check();
    let how = byte();
    let is_shallow = with(|w| {
        w.depth += 1;
        w.depth < DEPTH
    });
    if is_shallow {
        for _ in 0..how % 4 {
            step(cx);
        }
    }
    with(|w| w.depth -= 1);
    check();
    how
}

/// Whether user code that ends like this panics.
fn panics(how: u8) -> Option<usize> {
    (how & 0x30 == 0x30).then(|| {
        with(|w| {
            w.payloads += 1;
            w.panics += 1;
            w.panics
        })
    })
}

/// Throws it, without a report.
fn throw(panic: usize) -> ! {
    resume_unwind(Box::new(Payload(panic)))
}

/// Calls what may throw a panic of the user's.
fn caught<R>(work: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Some(result),
        Err(payload) => {
            assert!(payload.is::<Payload>(), "not a panic of the program's");
            None
        }
    }
}

/// One operation, of a task that is being polled if there is a context.
fn step(cx: Option<(usize, &Waker)>) {
    check();
    let operation = byte();
    let detail = operation / 16;
    match operation % 16 {
        0 => spawn(detail),
        1 | 2 => {
            if let Some((task, runnable)) = with(|w| w.queue.as_mut()?.pop_front()) {
                run_task(task, runnable);
            }
        }
        3 => {
            if let Some((task, runnable)) = with(|w| w.queue.as_mut()?.pop_back()) {
                drop_runnable(task, runnable);
            }
        }
        4 => clone_waker(cx),
        5 => match cx {
            Some((task, waker)) if detail.is_multiple_of(2) => {
                wakes(task);
                waker.wake_by_ref();
            }
            _ => {
                if let Some((task, waker)) = take_waker() {
                    wakes(task);
                    waker.wake_by_ref();
                    with(|w| w.wakers.push((task, waker)));
                }
            }
        },
        6 => {
            if let Some((task, waker)) = take_waker() {
                wakes(task);
                of(task, Record::release);
                waker.wake();
            }
        }
        7 => {
            if let Some((task, waker)) = take_waker() {
                of(task, Record::release);
                drop(waker);
            }
        }
        8 => abort(detail),
        9 => {
            if let Some((task, handle)) = take_handle() {
                of(task, |r| r.references += 1);
                let abort = handle.abort_handle();
                let more = (detail % 2 == 1).then(|| abort.clone());
                of(task, |r| r.references += usize::from(more.is_some()));
                with(|w| w.aborts.extend(more.map(|more| (task, more))));
                with(|w| w.aborts.push((task, abort)));
                give_back(task, handle);
            }
        }
        10 => {
            if let Some((task, abort)) = take_abort() {
                of(task, Record::release);
                drop(abort);
            }
        }
        11 | 12 => join(usize::from(detail) % JOINERS),
        13 => {
            if let Some((task, handle)) = take_handle() {
                drop_handle(task, handle);
            }
        }
        14 => use_slot(detail),
        _ => match detail {
            0..4 => {
                let output = with(|w| w.outputs.pop());
                caught(|| drop(output));
            }
            4..6 => close_queue(),
            6..12 => shut_down(detail),
            _ => list(),
        },
    }
    check();
}

fn spawn(detail: u8) {
    if with(|w| w.records.len() == TASKS) {
        return;
    }
    let task = with(|w| {
        w.records.push(Record {
            is_scheduled: true,
            has_join_handle: true,
            references: 2,
            ..Record::default()
        });
        w.records.len() - 1
    });
    let mut meta = Meta::new(Location::caller());
    if detail.is_multiple_of(2) {
        meta = meta.name("named");
    }
    let (handle, unbound) = Unbound::new(Script(task), meta);
    of(task, |r| r.id = Some(handle.id()));
    let scheduler = with(|w| w.scheduler.clone()).expect("the world has one");
    match scheduler.owned.admit(unbound, 0) {
        Ok(runnable) => {
            assert!(with(|w| !w.is_closed));
            of(task, |r| {
                r.raw = Some(runnable.as_raw());
                r.is_listed = true;
                r.place = Place::Hand;
            });
            match with(|w| w.queue.is_some()) {
                true => push(task, runnable),
                false => drop_runnable(task, runnable),
            }
        }
        Err(unbound) => {
            assert!(with(|w| w.is_closed));
            of(task, |r| r.place = Place::Dropped);
            unbound.cancel();
            assert!(handle.is_finished());
        }
    }
    give_back(task, handle);
}

/// Puts a runnable into the open queue.
fn push(task: usize, runnable: Runnable) {
    of(task, |r| r.place = Place::Queue);
    with(|w| {
        w.queue
            .as_mut()
            .expect("it is open")
            .push_back((task, runnable))
    });
}

fn run_task(task: usize, runnable: Runnable) {
    of(task, |r| r.place = Place::Hand);
    assert_eq!(
        runnable.id(),
        of(task, |r| r.id).expect("it has been spawned")
    );
    assert_eq!(runnable.is_cancelled(), of(task, |r| r.is_cancelled));
    let polled = runnable.run();
    assert_eq!(Some(polled), of(task, |r| r.polled));
    assert_ne!(of(task, |r| r.place), Place::Hand);
}

fn drop_runnable(task: usize, runnable: Runnable) {
    if with(|w| w.is_dropping) {
        of(task, |r| r.place = Place::Deferred);
        with(|w| w.deferred.push(task));
        drop(runnable);
        assert_eq!(of(task, |r| r.place), Place::Deferred);
        return;
    }
    of(task, |r| r.place = Place::Dropped);
    with(|w| w.is_dropping = true);
    drop(runnable);
    with(|w| w.is_dropping = false);
    assert!(with(|w| w.deferred.is_empty()));
}

/// A runnable that user code has made: to be run, dropped or queued.
fn use_runnable(task: usize, runnable: Runnable, how: u8) {
    of(task, |r| r.place = Place::Hand);
    match how % 3 {
        0 => run_task(task, runnable),
        1 if with(|w| w.queue.is_some()) => push(task, runnable),
        _ => drop_runnable(task, runnable),
    }
}

fn use_slot(detail: u8) {
    let slot = with(|w| w.slot.clone()).expect("the world has one");
    let taken = if detail.is_multiple_of(2) {
        let Some((task, runnable)) = with(|w| w.queue.as_mut()?.pop_front()) else {
            return;
        };
        let before = with(|w| w.records.iter().position(|r| r.place == Place::Slot));
        of(task, |r| r.place = Place::Slot);
        before.zip(slot.put(runnable))
    } else {
        let before = with(|w| w.records.iter().position(|r| r.place == Place::Slot));
        before.zip(slot.take())
    };
    match taken {
        Some((task, runnable)) => use_runnable(task, runnable, detail / 2),
        None => assert_eq!(slot.is_empty(), detail % 2 == 1),
    }
}

fn clone_waker(cx: Option<(usize, &Waker)>) {
    match cx {
        Some((task, waker)) => {
            of(task, |r| r.references += 1);
            with(|w| w.wakers.push((task, waker.clone())));
        }
        None => {
            if let Some((task, waker)) = take_waker() {
                of(task, |r| r.references += 1);
                let clone = waker.clone();
                assert!(clone.will_wake(&waker));
                with(|w| w.wakers.extend([(task, waker), (task, clone)]));
            }
        }
    }
}

fn take_waker() -> Option<(usize, Waker)> {
    let at = choose(with(|w| w.wakers.len()))?;
    Some(with(|w| w.wakers.swap_remove(at)))
}

fn take_abort() -> Option<(usize, AbortHandle)> {
    let at = choose(with(|w| w.aborts.len()))?;
    Some(with(|w| w.aborts.swap_remove(at)))
}

/// The handle of a task, unless it is gone or in use.
fn take_handle() -> Option<(usize, JoinHandle<Output>)> {
    let task = choose(with(|w| w.records.len()))?;
    Some((task, of(task, |r| r.handle.take())?))
}

fn give_back(task: usize, handle: JoinHandle<Output>) {
    of(task, |r| r.handle = Some(handle));
}

/// Records a wake.
fn wakes(task: usize) {
    of(task, |r| r.is_scheduled = true);
}

fn abort(detail: u8) {
    if detail.is_multiple_of(2) {
        if let Some((task, handle)) = take_handle() {
            of(task, Record::abort);
            handle.abort();
            assert_eq!(handle.is_finished(), of(task, |r| r.is_complete));
            give_back(task, handle);
        }
    } else if let Some((task, handle)) = take_abort() {
        of(task, Record::abort);
        handle.abort();
        assert_eq!(handle.is_finished(), of(task, |r| r.is_complete));
        assert_eq!(Some(handle.id()), of(task, |r| r.id));
        with(|w| w.aborts.push((task, handle)));
    }
}

fn join(joiner: usize) {
    let Some((task, mut handle)) = take_handle() else {
        return;
    };
    // Polled again after the output, it would panic.
    if of(task, |r| r.is_complete && r.outcome.is_none()) {
        return give_back(task, handle);
    }
    let is_same = of(task, |r| r.join_waker == Some(joiner));
    let was_complete = of(task, |r| r.is_complete);
    with(|w| w.joiners[joiner] += 1);
    // SAFETY: the table's functions keep the contract of `RawWaker`: they use the data as a number only.
    let waker = unsafe { Waker::from_raw(raw_waker(joiner)) };
    with(|w| {
        w.joins.push(Join {
            task,
            is_ready: was_complete,
            has_cloned: false,
        });
    });
    let polled = caught(|| Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)));
    let join = with(|w| w.joins.pop()).expect("it was pushed");
    // A waker that is left already is left alone.
    assert_eq!(join.has_cloned, !was_complete && !is_same);
    let is_ready = join.is_ready;
    match polled {
        // The join waker panicked when it was cloned, or the one before it when it was dropped.
        None => assert!(join.has_cloned),
        Some(Poll::Pending) => assert!(!is_ready),
        Some(Poll::Ready(result)) => {
            assert!(is_ready);
            let outcome = of(task, |r| r.outcome.take()).expect("it was not taken before");
            compare(task, outcome, result);
        }
    }
    give_back(task, handle);
    caught(|| drop(waker));
}

/// Compares what a join handle tells with how the task has ended.
fn compare(task: usize, outcome: Outcome, result: Result<Output, JoinError>) {
    match result {
        Ok(output) => {
            assert_eq!((outcome, output.0), (Outcome::Output, task));
            with(|w| w.outputs.push(output));
        }
        Err(error) if error.is_panic() => {
            assert_eq!(Some(error.id()), of(task, |r| r.id));
            let payload: Box<dyn Any + Send> = error.into_panic();
            let payload = payload.downcast::<Payload>().expect("the program's");
            assert_eq!(outcome, Outcome::Panicked(payload.0));
        }
        Err(error) => {
            assert!(error.is_cancelled());
            assert_eq!(outcome, Outcome::Cancelled);
        }
    }
}

fn drop_handle(task: usize, handle: JoinHandle<Output>) {
    let holds = of(task, |r| {
        let holds = r.is_complete || r.join_waker.is_some();
        if !r.is_complete {
            r.has_join_handle = false;
            r.join_waker = None;
        }
        if !holds {
            r.release();
        }
        holds
    });
    // Contained: nobody asked for what it drops.
    drop(handle);
    if holds {
        of(task, Record::release);
    }
}

/// From now on runnables are dropped where they are scheduled.
fn close_queue() {
    for (task, runnable) in with(|w| w.queue.take()).into_iter().flatten() {
        drop_runnable(task, runnable);
    }
}

fn shut_down(how: u8) {
    let scheduler = with(|w| w.scheduler.clone()).expect("the world has one");
    with(|w| w.is_closed = true);
    scheduler.owned.close();
    cancel_all(&scheduler, how);
}

/// Cancels everything in the list.
fn cancel_all(scheduler: &Queue, how: u8) {
    // Those that wait for a wake become runnables, all of them before the first is used.
    with(|w| {
        for record in w.records.iter_mut().filter(|record| record.is_listed) {
            let was_idle = record.is_idle();
            record.abort();
            if was_idle && !record.is_idle() {
                record.place = Place::Hand;
            }
        }
    });
    scheduler.owned.cancel_all(|runnable| {
        let task = find(&runnable);
        assert_eq!(of(task, |r| r.place), Place::Hand);
        use_runnable(task, runnable, how);
    });
}

/// Compares the list with the records.
fn list() {
    let scheduler = with(|w| w.scheduler.clone()).expect("the world has one");
    let mut listed = Vec::new();
    scheduler
        .owned
        .for_each(|info| listed.push((info.id, info.phase)));
    let mut expected: Vec<_> = with(|w| {
        let live = w.records.iter().filter(|r| r.is_listed);
        live.map(|r| {
            let phase = match (r.is_running, r.is_scheduled) {
                (true, _) => Phase::Running,
                (false, true) => Phase::Scheduled,
                (false, false) => Phase::Idle,
            };
            (r.id.expect("it has been spawned"), phase)
        })
        .collect()
    });
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}

/// The task of a runnable.
fn find(runnable: &Runnable) -> usize {
    let raw = Some(runnable.as_raw());
    let found = with(|w| w.records.iter().position(|r| r.raw == raw && !r.is_freed));
    found.expect("its cell lives")
}

/// Compares every cell that lives with its record.
fn check() {
    with(|w| {
        let mut live = 0;
        for (task, record) in w.records.iter().enumerate() {
            live += usize::from(record.is_listed);
            if let (Some(raw), false) = (record.raw, record.is_freed) {
                // SAFETY: by the record it has references, and so the cell lives (T1); ASan says if not.
                let state = unsafe { raw.header() }.state.load();
                assert_eq!(
                    state.references(),
                    record.references,
                    "references of {task}"
                );
                assert_eq!(state.is_running(), record.is_running, "{task} is {state:?}");
                assert_eq!(
                    state.is_complete(),
                    record.is_complete,
                    "{task} is {state:?}"
                );
                assert_eq!(
                    state.is_scheduled(),
                    record.is_scheduled,
                    "{task} is {state:?}"
                );
                assert_eq!(
                    state.is_cancelled(),
                    record.is_cancelled,
                    "{task} is {state:?}"
                );
                assert_eq!(
                    state.has_join_waker(),
                    record.join_waker.is_some(),
                    "{task}"
                );
                assert_eq!(state.has_join_interest(), record.has_join_handle, "{task}");
            }
            let has_runnable = record.place != Place::Nowhere;
            let may_have = record.is_scheduled && !record.is_running && !record.is_complete;
            assert_eq!(has_runnable, may_have, "{task} at {:?}", record.place);
            assert!(record.future_drops <= 1 && record.output_drops <= 1);
        }
        let scheduler = w.scheduler.as_ref().expect("the world has one");
        assert_eq!(scheduler.owned.len(), live);
        assert_eq!(w.polled[0], w.polled[1]);
        assert_eq!(w.failed[0], w.failed[1]);
    });
}

/// Ends everything, and checks that nothing is left.
fn end() {
    let scheduler = with(|w| w.scheduler.clone()).expect("the world has one");
    shut_down(0);
    let slot = with(|w| w.slot.clone()).expect("the world has one");
    if let Some(runnable) = slot.take() {
        run_task(find(&runnable), runnable);
    }
    while let Some((task, runnable)) = with(|w| w.queue.as_mut()?.pop_front()) {
        run_task(task, runnable);
    }
    assert!(scheduler.owned.is_empty());
    for task in 0..with(|w| w.records.len()) {
        if let Some(handle) = of(task, |r| r.handle.take()) {
            drop_handle(task, handle);
        }
    }
    let (wakers, aborts, outputs) = with(|w| {
        let World {
            wakers,
            aborts,
            outputs,
            ..
        } = w;
        (
            std::mem::take(wakers),
            std::mem::take(aborts),
            std::mem::take(outputs),
        )
    });
    for (task, waker) in wakers {
        of(task, Record::release);
        drop(waker);
    }
    for (task, abort) in aborts {
        of(task, Record::release);
        drop(abort);
    }
    drop(outputs);
    check();
    with(|w| {
        for record in &w.records {
            assert!(record.is_freed || record.raw.is_none());
            assert_eq!((record.references, record.future_drops), (0, 1));
            assert_eq!(record.output_drops, usize::from(record.has_output));
        }
        assert_eq!((w.payloads, w.joiners), (0, [0; JOINERS]));
        w.scheduler = None;
    });
}

impl Record {
    /// Neither scheduled, nor running, nor complete.
    fn is_idle(&self) -> bool {
        !self.is_scheduled && !self.is_running && !self.is_complete
    }

    /// A reference goes.
    fn release(&mut self) {
        self.references -= 1;
        self.is_freed = self.references == 0;
    }

    fn abort(&mut self) {
        if !self.is_complete && !self.is_cancelled {
            self.is_cancelled = true;
            self.is_scheduled = true;
        }
    }

    /// The holder of the runnable begins.
    fn start(&mut self) {
        let is_startable = self.is_scheduled && !self.is_running && !self.is_complete;
        claim(is_startable, "only a scheduled task is started");
        self.place = Place::Nowhere;
        self.is_scheduled = false;
        self.is_running = true;
    }
}

/// The future has been dropped, and the outcome is known: the cell completes the task.
fn complete(task: usize) {
    with(|w| {
        let record = &mut w.records[task];
        let outcome = record.outcome.expect("it is known");
        record.polled = Some(match outcome {
            Outcome::Output => Polled::Completed,
            Outcome::Cancelled => Polled::Cancelled,
            Outcome::Panicked(_) => Polled::Panicked,
        });
        // A task that no list took has no scheduler to tell.
        if outcome != Outcome::Output && record.is_listed {
            w.failed[1] += 1;
        }
        record.is_listed = false;
        // Nobody sees the state of a task without other references, and it stays as it was.
        if record.references > 1 {
            record.is_running = false;
            record.is_complete = true;
        }
        if record.has_join_handle {
            match record.join_waker {
                Some(_) => w.waking = Some(task),
                None => record.release(),
            }
        } else if outcome == Outcome::Output {
            record.then = Then::Release;
        } else {
            record.release();
        }
    });
}

impl Schedule for Queue {
    fn schedule(task: Scheduled<Queue>, cause: Cause) {
        let _scheduler = task.keep();
        let runnable = task.into_runnable();
        let task = find(&runnable);
        assert_eq!(of(task, |r| r.place), Place::Nowhere);
        let polled = of(task, |r| {
            r.place = Place::Hand;
            r.polled
        });
        let yielded = with(|w| w.yielded.take());
        assert_eq!(cause == Cause::Yielded, yielded == Some(task));
        check();
        match with(|w| w.queue.is_some()) {
            true => push(task, runnable),
            false => drop_runnable(task, runnable),
        }
        of(task, |r| r.polled = polled);
    }

    fn owned(&self) -> &Owned<Queue> {
        &self.owned
    }

    /// Just before the end of a poll that was not ready.
    fn polled(&self, runnable: &Runnable) {
        with(|w| w.polled[0] += 1);
        let task = find(runnable);
        check();
        with(|w| {
            let record = &mut w.records[task];
            record.is_running = false;
            record.polled = Some(Polled::Pending);
            if record.is_scheduled && record.is_cancelled {
                // The poll's thread has the runnable and begins again.
                record.start();
            } else if record.is_scheduled {
                record.polled = Some(Polled::Yielded);
                w.yielded = Some(task);
            }
        });
    }

    fn failed(&self, _: Polled) {
        with(|w| w.failed[0] += 1);
    }
}

impl Future for Script {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let task = self.0;
        of(task, |r| {
            claim(r.place == Place::Hand, "only a runnable polls");
            claim(!r.is_cancelled, "a cancelled task is not polled");
            claim(r.future_drops == 0, "a dropped future is not polled");
            r.start();
        });
        let how = user_code(Some((task, cx.waker())));
        match how >> 6 {
            2 => {
                of(task, |r| r.has_output = true);
                Poll::Ready(Output(task))
            }
            3 => {
                let panic = panics(0x30).expect("it was told to");
                of(task, |r| r.panic = Some(panic));
                throw(panic)
            }
            _ => {
                with(|w| w.polled[1] += 1);
                Poll::Pending
            }
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let task = self.0;
        with(|w| {
            let record = &mut w.records[task];
            record.future_drops += 1;
            if record.is_running {
                return;
            }
            // A runnable was used up without a poll: run after a cancel, or dropped.
            let may_end = match record.place {
                Place::Hand => record.is_cancelled,
                Place::Dropped => true,
                Place::Deferred => w.deferred.pop() == Some(task),
                Place::Nowhere | Place::Queue | Place::Slot => false,
            };
            claim(may_end, "only a runnable ends a task");
            record.is_cancelled = true;
            record.start();
        });
        let how = user_code(None);
        let panic = panics(how);
        let is_ready = of(task, |r| {
            r.outcome = Some(match (r.panic, panic) {
                (Some(first), _) | (None, Some(first)) => Outcome::Panicked(first),
                (None, None) if r.has_output => Outcome::Output,
                (None, None) => Outcome::Cancelled,
            });
            r.has_output
        });
        if is_ready && panic.is_some() {
            of(task, |r| r.then = Then::Complete);
        } else {
            complete(task);
        }
        if let Some(panic) = panic {
            throw(panic);
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let task = self.0;
        of(task, |r| r.output_drops += 1);
        let how = user_code(None);
        match of(task, |r| std::mem::take(&mut r.then)) {
            Then::Nothing => {}
            Then::Complete => complete(task),
            Then::Release => of(task, Record::release),
        }
        if let Some(panic) = panics(how) {
            throw(panic);
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        with(|w| w.payloads -= 1);
    }
}

/// The functions behind the join wakers, whose data is their number.
static JOINER: RawWakerVTable = RawWakerVTable::new(
    clone_joiner,
    wake_joiner,
    |_| claim(false, "a join waker is woken by value"),
    drop_joiner,
);

fn raw_waker(joiner: usize) -> RawWaker {
    RawWaker::new(ptr::without_provenance(joiner), &JOINER)
}

/// Only the poll of a join handle clones a join waker.
unsafe fn clone_joiner(data: *const ()) -> RawWaker {
    let joiner = data.addr();
    with(|w| {
        let join = w.joins.last_mut().expect("a handle is polled");
        join.has_cloned = true;
    });
    let how = user_code(None);
    if let Some(panic) = panics(how) {
        throw(panic);
    }
    with(|w| {
        w.joiners[joiner] += 1;
        // What the handle does before it calls user code again. If the task is complete by now, the clone is dropped.
        let join = w.joins.last_mut().expect("a handle is polled");
        let record = &mut w.records[join.task];
        join.is_ready = record.is_complete;
        if !record.is_complete {
            record.join_waker = Some(joiner);
        }
    });
    raw_waker(joiner)
}

/// Only the end of a task wakes a join waker.
unsafe fn wake_joiner(data: *const ()) {
    let joiner = data.addr();
    let task = with(|w| w.waking.take());
    let is_due = task.is_some_and(|task| of(task, |r| r.join_waker == Some(joiner)));
    claim(is_due, "only the end of its task wakes a join waker");
    with(|w| w.joiners[joiner] -= 1);
    let how = user_code(None);
    if let Some(task) = task {
        of(task, Record::release);
    }
    if let Some(panic) = panics(how) {
        throw(panic);
    }
}

unsafe fn drop_joiner(data: *const ()) {
    with(|w| w.joiners[data.addr()] -= 1);
    let how = user_code(None);
    if let Some(panic) = panics(how) {
        throw(panic);
    }
}
