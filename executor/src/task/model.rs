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
use operations::{drop_handle, drop_runnable, push, run_task, shut_down, step};
use user_code::raw_waker;

mod operations;
mod user_code;

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
