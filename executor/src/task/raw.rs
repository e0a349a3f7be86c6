//! Layout of the cell, and what happens in each phase of a task. The rules T1 to T8 are in [`task`](super).

use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, Waker};

use super::born::Born;
use super::contain::{contain, discard};
use super::error::{JoinError, Payload};
use super::estimate::Estimate;
use super::home::Home;
use super::id::EnterId;
use super::origin::Origin;
use super::pool;
use super::runnable::{Polled, Runnable};
use super::stage::{Outcome, Stage};
use super::state::{End, JoinWaker, Joiner, Leftover, Released, Start, State, Wakeup};
use super::word::Word;
use super::{Cause, Id, Meta, waker};
use crate::sync::{Alive, AtomicPtr, Ordering::Relaxed, UnsafeCell};

/// The cell: what a task is in memory. The header comes first, so that a pointer to it is one to the cell.
#[repr(C)]
struct Cell<F: Future, H> {
    header: Header,
    /// The future, then how it ended; see T2.
    stage: UnsafeCell<Stage<F>>,
    /// How the cell reaches its scheduler.
    home: PhantomData<fn(H)>,
}

/// The part of a cell that does not depend on the future's type.
pub(super) struct Header {
    /// Phase, flags and references.
    pub(super) state: State,
    /// The functions that know the types (T6).
    vtable: &'static Vtable,
    /// The `S` of [`Listed<S>`](super::Listed), see T4; null for jobs, and before a list has taken the task.
    pub(super) scheduler: AtomicPtr<()>,
    /// The task's identity. Never changes.
    pub(super) id: Id,
    /// Who spawned it, and what the user calls it. Never changes.
    pub(super) origin: Origin,
    /// Where the list has it, written once, under the shard's lock; bits for the scheduler's own use, written by the
    /// thread that polls and by whoever looks meanwhile (T8); and why it is cancelled, written by the holder of the
    /// runnable.
    pub(super) word: Word,
    /// When its first poll was over, written by the thread that polled. Of all tasks in a list, or of none: that is up
    /// to the scheduler.
    pub(super) born: Born,
    /// How many of its polls were sampled, written under the shard's lock.
    pub(super) polls: Estimate,
    /// How long the sampled polls took, in microseconds, written under the shard's lock.
    pub(super) busy: Estimate,
    /// Who waits for the output; see T5.
    join_waker: UnsafeCell<MaybeUninit<Waker>>,
    /// Lets models see a use after the end.
    alive: Alive,
}

/// What only code that knows the types can do.
struct Vtable {
    /// Uses the runnable up.
    run: unsafe fn(RawTask) -> Polled,
    /// Takes a new runnable to the scheduler.
    schedule: unsafe fn(RawTask, Cause),
    /// Moves the output out, to a `MaybeUninit<Result<T, JoinError>>`.
    take_output: unsafe fn(RawTask, *mut ()),
    /// Drops the output, if it has not been taken.
    drop_output: unsafe fn(RawTask),
    /// Frees the cell.
    free: unsafe fn(RawTask),
}

/// A pointer to a cell whose types are forgotten. Says nothing about references: who has it knows what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawTask(NonNull<Header>);

impl From<NonNull<Header>> for RawTask {
    #[inline]
    fn from(header: NonNull<Header>) -> RawTask {
        RawTask(header)
    }
}

impl RawTask {
    /// Makes a cell that is scheduled, with one reference for the executor and one for the join handle.
    #[inline]
    pub(super) fn allocate<F: Future, H: Home>(future: F, meta: Meta) -> RawTask {
        let header = Header {
            state: State::new(),
            vtable: const {
                &Vtable {
                    run: run::<F, H>,
                    schedule: schedule::<H>,
                    take_output: take_output::<F, H>,
                    drop_output: drop_output::<F, H>,
                    free: free::<F, H>,
                }
            },
            scheduler: AtomicPtr::new(ptr::null_mut()),
            id: meta.id,
            origin: meta.origin,
            word: Word::new(),
            born: Born::new(),
            polls: Estimate::new(),
            busy: Estimate::new(),
            join_waker: UnsafeCell::new(MaybeUninit::uninit()),
            alive: Alive::new(),
        };
        // Written in place: a cell that is built on the stack is copied into the allocation, future and all, and the copy
        // waits for the stores that it has just seen.
        let cell = pool::allocate::<Cell<F, H>>();
        let place = cell.as_ptr();
        // SAFETY: the cell begins with its header, and the memory is ours.
        unsafe { place.cast::<Header>().write(header) };
        let stage = place
            .wrapping_byte_add(mem::offset_of!(Cell<F, H>, stage))
            .cast::<UnsafeCell<Stage<F>>>();
        // SAFETY: the pointer is to the stage of the cell, and the memory is ours.
        unsafe { stage.write(UnsafeCell::new(Stage::new(future))) };
        // Header and stage have been written; `home` has no size. The pointer is to the whole cell and stays so when its type is forgotten.
        RawTask(cell.cast())
    }

    /// The address of the cell.
    #[inline]
    pub(super) fn as_ptr(self) -> *mut Header {
        self.0.as_ptr()
    }

    /// The header.
    ///
    /// # Safety
    ///
    /// The cell lives as long as the answer is used (T1).
    #[inline]
    pub(super) unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the caller says that the cell lives; nobody has an exclusive reference to a header.
        let header = unsafe { self.0.as_ref() };
        header.alive.touch();
        header
    }

    /// The stage. Nothing is read yet: what may be done with it, T2 says.
    ///
    /// # Safety
    ///
    /// The cell lives as long as the answer is used, and was made with these types.
    #[inline]
    unsafe fn stage<'a, F: Future, H: Home>(self) -> &'a UnsafeCell<Stage<F>> {
        let cell: *mut Cell<F, H> = self.0.as_ptr().cast();
        // SAFETY: the caller says that the cell lives and has these types; the pointer is to the whole of it.
        unsafe { &(*cell).stage }
    }

    /// Polls the task, or drops its future if it is cancelled.
    ///
    /// # Safety
    ///
    /// The caller has the runnable, and it ends here.
    #[inline]
    pub(super) unsafe fn run(self) -> Polled {
        // SAFETY: the runnable keeps the cell (T1).
        let run = unsafe { self.header() }.vtable.run;
        // SAFETY: as the caller says.
        unsafe { run(self) }
    }

    /// Takes a new runnable to the scheduler.
    ///
    /// # Safety
    ///
    /// The caller has the runnable, and it ends here; the task has not left its list.
    #[inline]
    unsafe fn schedule(self, cause: Cause) {
        // SAFETY: the runnable keeps the cell (T1).
        let schedule = unsafe { self.header() }.vtable.schedule;
        // SAFETY: as the caller says.
        unsafe { schedule(self, cause) }
    }

    /// Wakes the task.
    ///
    /// # Safety
    ///
    /// The caller has a reference.
    #[inline]
    pub(super) unsafe fn wake(self) {
        // SAFETY: the caller's reference keeps the cell (T1).
        let wakeup = unsafe { self.header() }.state.wake();
        if wakeup == Wakeup::Submit {
            // SAFETY: we made the runnable (T3), from idle: so the task has not left its list (T4).
            unsafe { self.schedule(Cause::Woken) }
        }
    }

    /// Wakes the task and gives a reference up.
    ///
    /// # Safety
    ///
    /// The caller has a reference, and it ends here.
    #[inline]
    pub(super) unsafe fn wake_and_release(self) {
        // SAFETY: the caller's reference keeps the cell (T1).
        match unsafe { self.header() }.state.wake_and_release() {
            // SAFETY: we made the runnable (T3), from idle: so the task has not left its list (T4).
            Wakeup::Submit => unsafe { self.schedule(Cause::Woken) },
            Wakeup::Nothing => {}
            // SAFETY: it was the last reference.
            Wakeup::Free => unsafe { self.free() },
        }
    }

    /// Asks for the end of the task.
    ///
    /// # Safety
    ///
    /// The caller has a reference.
    pub(super) unsafe fn abort(self) {
        // SAFETY: the caller's reference keeps the cell (T1).
        let wakeup = unsafe { self.header() }.state.abort();
        if wakeup == Wakeup::Submit {
            // SAFETY: we made the runnable (T3), from idle: so the task has not left its list (T4).
            unsafe { self.schedule(Cause::Woken) }
        }
    }

    /// Gives a reference up.
    ///
    /// # Safety
    ///
    /// The caller has a reference, and it ends here.
    #[inline]
    pub(super) unsafe fn release(self) {
        // SAFETY: the caller's reference keeps the cell (T1).
        let released = unsafe { self.header() }.state.release();
        if released == Released::Last {
            // SAFETY: it was the last reference.
            unsafe { self.free() }
        }
    }

    /// Frees the cell.
    ///
    /// # Safety
    ///
    /// There is no reference left, or the caller has the only one, which ends here.
    #[cold]
    #[inline]
    unsafe fn free(self) {
        // SAFETY: only we free the cell, so it is still there, and ours alone (T1).
        let header = unsafe { self.header() };
        header.alive.end();
        let free = header.vtable.free;
        // SAFETY: as the caller says.
        unsafe { free(self) }
    }

    /// Whether the output is there; if not, `waker` will be woken when it is.
    ///
    /// # Safety
    ///
    /// The caller is the join handle.
    #[inline]
    pub(super) unsafe fn poll_join(self, waker: &Waker) -> bool {
        // SAFETY: the handle's reference keeps the cell (T1).
        let header = unsafe { self.header() };
        let before = header.state.load();
        if before.is_complete() {
            return true;
        }
        if before.has_join_waker() {
            // Both wakers lived when COMPLETE was not yet set. So even if the one in the field is used up at this
            // moment, its address has not been given to another, and "the same" means the same task.
            let same = header.join_waker.with(|given| {
                // SAFETY: the flag was set, so the field has been written, and nobody writes it now (T5).
                let given = unsafe { &*given.cast::<Waker>() };
                given.will_wake(waker)
            });
            if same {
                return false;
            }
        }
        // User code: if it panics, nothing has changed yet.
        let waker = waker.clone();
        let old = if before.has_join_waker() {
            match header.state.unset_join_waker() {
                JoinWaker::Complete => return true,
                // SAFETY: the flag was set and we have unset it, so the field is written and ours (T5).
                JoinWaker::Changed => Some(unsafe { header.take_join_waker() }),
            }
        } else {
            None
        };
        header.join_waker.with_mut(|field| {
            // SAFETY: the flag is unset, so the field is ours (T5).
            unsafe { (*field).write(waker) };
        });
        let given = header.state.set_join_waker();
        let unused = match given {
            JoinWaker::Changed => None,
            // SAFETY: the flag is still unset, so the field, written above, is ours (T5).
            JoinWaker::Complete => Some(unsafe { header.take_join_waker() }),
        };
        // User code again; whatever it does, the field and the flag agree.
        drop(old);
        drop(unused);
        given == JoinWaker::Complete
    }

    /// Takes the output of a complete task.
    ///
    /// # Safety
    ///
    /// The caller is the join handle, of this output type, and has seen that the task is complete.
    #[inline]
    pub(super) unsafe fn take_output<T>(self) -> Result<T, JoinError> {
        let mut output = MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: the handle's reference keeps the cell (T1).
        let take_output = unsafe { self.header() }.vtable.take_output;
        // SAFETY: the stage is the handle's (T2), and the place is of the type that T6 promises.
        unsafe { take_output(self, output.as_mut_ptr().cast()) };
        // SAFETY: `take_output` has written it, or panicked.
        unsafe { output.assume_init() }
    }

    /// Ends the join handle: drops what it owns in the cell, and its reference.
    ///
    /// # Safety
    ///
    /// The caller is the join handle, which ends here.
    #[inline]
    pub(super) unsafe fn drop_join(self) {
        // SAFETY: the handle's reference keeps the cell (T1).
        let header = unsafe { self.header() };
        match header.state.drop_join() {
            Leftover::Nothing => return,
            Leftover::Waker => {
                // SAFETY: the flag was set and has been unset, so the field is written and ours (T5).
                let waker = unsafe { header.take_join_waker() };
                let _ = contain(|| drop(waker));
            }
            Leftover::Output => {
                // SAFETY: the task is complete and we are its join handle (T2).
                unsafe { (header.vtable.drop_output)(self) };
            }
        }
        // SAFETY: the handle's own reference, which ends here.
        unsafe { self.release() }
    }
}

/// The size of the cell for such a future, for tests.
#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
pub(super) fn size_of_cell<F: Future>(_: &F) -> usize {
    size_of::<Cell<F, super::home::Unlisted>>()
}

impl Header {
    /// The scheduler.
    ///
    /// # Safety
    ///
    /// The caller has the runnable or polls; the task is in a list of an `S`, and does not leave it while the answer is
    /// used.
    #[inline]
    pub(super) unsafe fn scheduler<'a, S>(&self) -> &'a S {
        // SAFETY: the list holds an `Arc` of it (T4).
        unsafe { &*self.scheduler_ptr() }
    }

    /// Where the scheduler is, as `Arc::as_ptr` said, for whoever has the runnable or polls.
    #[inline]
    pub(super) fn scheduler_ptr<S>(&self) -> *const S {
        // Relaxed: written by the thread that put the task in its list and then gave the runnable on (T4).
        self.scheduler.load(Relaxed).cast()
    }

    /// Moves the join waker out.
    ///
    /// # Safety
    ///
    /// The field has been written and belongs to the caller (T5).
    #[inline]
    unsafe fn take_join_waker(&self) -> Waker {
        // Read, not replaced: the handle may be comparing it.
        self.join_waker.with(|field| {
            // SAFETY: as the caller says; the one copy made here is the only one used as a waker from now on.
            unsafe { field.cast::<Waker>().read() }
        })
    }
}

/// `Vtable::run`
unsafe fn run<F: Future, H: Home>(task: RawTask) -> Polled {
    // SAFETY: the runnable keeps the cell (T1).
    let header = unsafe { task.header() };
    let _current = EnterId::enter(header.id);
    if header.state.start_poll() == Start::Cancel {
        // SAFETY: `start_poll` gave us the right to poll, and so the stage (T2), which holds the future.
        return unsafe { end::<F, H>(task, Outcome::Cancelled) };
    }
    // SAFETY: we poll the task from here to the end of this function's use of the waker.
    let waker = unsafe { waker::borrowed(task) };
    let mut cx = Context::from_waker(&waker);
    // SAFETY: the right to poll keeps the cell (T1); the types are those of the vtable (T6).
    let stage = unsafe { task.stage::<F, H>() };
    let mut output = None;
    // The poll and the drop of what is ready under one guard. The output is kept outside of it, so that it is not
    // dropped while a panic of the future's drop unwinds.
    let polled = catch_unwind(AssertUnwindSafe(|| {
        stage.with_mut(|stage| {
            // SAFETY: `start_poll` gave us the stage (T2), and the cell does not move.
            if let Poll::Ready(ready) = unsafe { Stage::future(stage) }.poll(&mut cx) {
                output = Some(ready);
                // The future goes before anyone is told: what it holds may be what the joiner waits for.
                // SAFETY: the stage is ours (T2), and we go on with `complete` only.
                unsafe { Stage::drop_future(stage) };
            }
        });
    }));
    match (polled, output) {
        (Ok(()), None) => {}
        (Ok(()), Some(output)) => {
            // SAFETY: we poll the task, and its future has been dropped.
            return unsafe { complete::<F, H>(task, Outcome::Output(output)) };
        }
        (Err(payload), output) => {
            // SAFETY: likewise if there is an output; otherwise the future is still there.
            return unsafe { panicked::<F, H>(task, payload, output) };
        }
    }
    // SAFETY: we still poll the task.
    unsafe { H::polled(task) };
    match header.state.end_poll() {
        End::Idle => Polled::Pending,
        End::Woken => {
            // SAFETY: `end_poll` gave us the runnable (T3).
            let runnable = unsafe { Runnable::from_raw(task) };
            // SAFETY: the task is not complete, so it has not left its list (T4).
            unsafe { H::schedule(runnable, Cause::Yielded) };
            Polled::Yielded
        }
        End::Cancelled => {
            // `end_poll` gave us the runnable (T3), which is used up here.
            let start = header.state.start_poll();
            debug_assert_eq!(start, Start::Cancel);
            // SAFETY: `start_poll` gave us the right to poll, and so the stage (T2), which holds the future.
            unsafe { end::<F, H>(task, Outcome::Cancelled) }
        }
    }
}

/// Ends a task whose poll or whose future's drop has panicked. In the second case there is an `output`.
///
/// # Safety
///
/// The caller polls the task and its right ends here; if there is no output, the future is still in the stage.
#[cold]
unsafe fn panicked<F: Future, H: Home>(
    task: RawTask,
    payload: Payload,
    output: Option<F::Output>,
) -> Polled {
    let outcome = Outcome::Panicked(Box::new(payload));
    let Some(output) = output else {
        // SAFETY: as the caller says.
        return unsafe { end::<F, H>(task, outcome) };
    };
    let _ = contain(|| drop(output));
    // SAFETY: as the caller says; the future counts as dropped.
    unsafe { complete::<F, H>(task, outcome) }
}

/// Drops the future of a task that has no output, and completes the task.
///
/// # Safety
///
/// The caller polls the task and its right ends here; the future is in the stage.
#[cold]
unsafe fn end<F: Future, H: Home>(task: RawTask, outcome: Outcome<F::Output>) -> Polled {
    // SAFETY: the executor's reference keeps the cell (T1); the types are those of the vtable (T6).
    let stage = unsafe { task.stage::<F, H>() };
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        stage.with_mut(|stage| {
            // SAFETY: the stage is ours (T2), and we go on with `complete` only.
            unsafe { Stage::drop_future(stage) };
        });
    }));
    let outcome = match (dropped, outcome) {
        (Ok(()), outcome) => outcome,
        // The first panic is the one to tell.
        (Err(payload), Outcome::Panicked(first)) => {
            discard(payload);
            Outcome::Panicked(first)
        }
        (Err(payload), _) => Outcome::Panicked(Box::new(payload)),
    };
    // SAFETY: as the caller says, and the future has been dropped.
    unsafe { complete::<F, H>(task, outcome) }
}

/// Stores the outcome and completes the task: the end of the executor's part in it.
///
/// # Safety
///
/// The caller polls the task and its right ends here; the future has been dropped.
#[inline]
unsafe fn complete<F: Future, H: Home>(task: RawTask, outcome: Outcome<F::Output>) -> Polled {
    // SAFETY: the executor's reference keeps the cell until it is given up below (T1).
    let header = unsafe { task.header() };
    // SAFETY: likewise; the types are those of the vtable (T6).
    let stage = unsafe { task.stage::<F, H>() };
    let polled = match &outcome {
        Outcome::Output(_) | Outcome::Taken => Polled::Completed,
        Outcome::Cancelled => Polled::Cancelled,
        Outcome::Panicked(_) => Polled::Panicked,
    };
    if polled != Polled::Completed {
        // SAFETY: we poll the task, and it leaves its list below.
        unsafe { H::failed(task, polled) };
    }
    stage.with_mut(|stage| {
        // SAFETY: the stage is ours (T2).
        unsafe { Stage::finish(stage, outcome) };
    });

    // The list before the state: who is woken by the end of the last task finds the list empty.
    // SAFETY: we poll the task and complete it below, once.
    let keep = unsafe { H::leave(task) };
    match header.state.complete() {
        Joiner::Quiet => {}
        Joiner::Alone => {
            // SAFETY: nobody else has a reference, so nobody joins: the stage, which holds the outcome, is still ours (T2).
            unsafe { drop_output::<F, H>(task) };
            // SAFETY: ours is the only reference, and it ends here.
            unsafe { task.free() };
        }
        Joiner::Gone => {
            // SAFETY: the task is complete and nobody joins: the stage is still ours (T2).
            unsafe { drop_output::<F, H>(task) };
            // SAFETY: the executor's reference, which ends with completion (T1).
            unsafe { task.release() };
        }
        Joiner::Waiting => {
            // SAFETY: the flag was set at completion, so the field is written and ours (T5).
            let waker = unsafe { header.take_join_waker() };
            let _ = contain(|| waker.wake());
            // SAFETY: the executor's reference, which ends with completion (T1).
            unsafe { task.release() };
        }
    }
    // Perhaps the end of the scheduler; nothing here needs it any more.
    drop(keep);
    polled
}

/// `Vtable::schedule`
#[inline]
unsafe fn schedule<H: Home>(task: RawTask, cause: Cause) {
    // SAFETY: the caller has the runnable and gives it to us.
    let runnable = unsafe { Runnable::from_raw(task) };
    // SAFETY: the caller says that the task has not left its list.
    unsafe { H::schedule(runnable, cause) }
}

/// `Vtable::take_output`
#[inline]
unsafe fn take_output<F: Future, H: Home>(task: RawTask, output: *mut ()) {
    // SAFETY: the caller's reference keeps the cell (T1); the types are those of the vtable (T6).
    let stage = unsafe { task.stage::<F, H>() };
    let outcome = stage.with_mut(|stage| {
        // SAFETY: the task is complete and the caller is its join handle (T2).
        unsafe { Stage::take(stage) }
    });
    // SAFETY: the caller's reference keeps the cell (T1).
    let header = unsafe { task.header() };
    let result = match outcome {
        Outcome::Output(output) => Ok(output),
        // Published with the stage.
        Outcome::Cancelled => Err(JoinError::cancelled(header.id, header.word.reason())),
        Outcome::Panicked(payload) => Err(JoinError::panicked(header.id, *payload)),
        Outcome::Taken => {
            panic!("a `JoinHandle` was polled after it had returned the output")
        }
    };
    // SAFETY: the caller passes a place of this type (T6).
    unsafe { output.cast::<Result<F::Output, JoinError>>().write(result) };
}

/// `Vtable::drop_output`
#[inline]
unsafe fn drop_output<F: Future, H: Home>(task: RawTask) {
    // SAFETY: the caller's reference keeps the cell (T1); the types are those of the vtable (T6).
    let stage = unsafe { task.stage::<F, H>() };
    let outcome = stage.with_mut(|stage| {
        // SAFETY: the future is gone, and the outcome in its place is the caller's (T2).
        unsafe { Stage::take(stage) }
    });
    match outcome {
        Outcome::Output(output) if mem::needs_drop::<F::Output>() => {
            let _ = contain(|| drop(output));
        }
        Outcome::Panicked(payload) => discard(*payload),
        Outcome::Output(_) | Outcome::Cancelled | Outcome::Taken => {}
    }
}

/// `Vtable::free`
#[inline]
unsafe fn free<F: Future, H: Home>(task: RawTask) {
    let cell: NonNull<Cell<F, H>> = task.0.cast();
    debug_assert!({
        // SAFETY: the cell has this type (T6), and nobody else has a reference.
        let cell = unsafe { cell.as_ref() };
        cell.stage.with(|stage| {
            // SAFETY: the cell is ours alone.
            unsafe { Stage::is_taken(stage) }
        })
    });
    // SAFETY: the cell has this type (T6), and nobody else has a reference.
    unsafe { cell.drop_in_place() };
    // SAFETY: `allocate` has made it for this type, and it has been dropped.
    unsafe { pool::free(cell) };
}
