//! The task cell: one piece of memory for a spawned future, its state and its output (`pool.rs` has where it comes from).
//!
//! # Parts
//!
//! ```text
//!  JoinHandle ──┐            ┌───────── cell ──────────┐
//!  AbortHandle ─┼─ counted ─▶│ header                  │
//!  Waker ───────┤            │   state word   vtable   │──▶ functions that know the types
//!  executor ────┘            │   scheduler ────────────┼──▶ `S: Schedule`, kept by its list of live tasks
//!     ▲                      │   id, origin, word …    │
//!     └ the list, or a       │   join waker            │
//!       runnable             │ stage: future | outcome │
//!                            └─────────────────────────┘
//! ```
//!
//! [`state`] holds the flags, their phases and every transition; [`raw`] the layout and what happens in each phase;
//! [`stage`] what a cell holds; [`home`] how it reaches its scheduler; [`origin`] who spawned it, and its name;
//! [`waker`] the waker's vtable; [`runnable`] the right to poll; [`slot`] one atomic place for a runnable; [`join`] the
//! handles; [`owned`] the lists of live tasks; [`word`] where in its list a task is, and how it behaves; [`estimate`]
//! and [`born`] what is remembered of it in a few bytes; [`error`](mod@error) and [`id`](mod@id) what their names say;
//! `model.rs`, for tests and for the fuzzer, what must have become of tasks.
//!
//! # Rules
//!
//! Everything unsafe in this module rests on these, and its SAFETY comments cite them.
//!
//! - **T1, life.** The cell lives while its count is above zero. Counted are: the executor (once, from birth to
//!   completion), the join handle, each waker, each abort handle. A runnable is *not* counted: it lives on the
//!   executor's reference, because only the holder of the runnable, once it polls, can complete the task. The waker
//!   that a poll is given is not counted either, its clones are.
//! - **T2, stage.** Before `COMPLETE` only the holder of the runnable touches the stage, from `start_poll` on. After
//!   it: the join handle if it existed at that moment, otherwise the thread that completed the task. The stage holds
//!   the future until it is dropped, in the poll that ends the task; then, from before `COMPLETE` on, the outcome. Both
//!   who may have the outcome take it out before they give their reference up: so nothing in the stage needs a drop when
//!   the cell is freed.
//! - **T3, one runnable.** It comes into being with the change of `SCHEDULED` from 0 to 1 on an idle task, or when a
//!   poll ends and finds the flag set; `start_poll` uses it up. Hence there is never more than one.
//! - **T4, scheduler.** A task gets its scheduler from who puts it into a list, and who does that has the runnable.
//!   A task in a list keeps its scheduler: the list holds an `Arc` of it and lets go only when it is
//!   closed and empty. A task leaves its list while it is `RUNNING`, just before `COMPLETE`; from `RUNNING` on no
//!   waker asks for the scheduler. So whoever holds the runnable of a task that has not left may use the pointer.
//! - **T5, join waker.** While `JOIN_WAKER` is unset, the field belongs to the join handle, and is empty between its
//!   polls; while it is set, it belongs to whoever completes the task, and nobody writes it. The handle may compare
//!   the waker it has given away: comparing follows no pointer.
//! - **T6, types.** The vtable is the one for the types with which the cell was made, and `JoinHandle<T>` has the
//!   output type of that future.
//! - **T7, threads.** Either the future and its output are `Send`, or whoever bound the task has promised that its
//!   runnable stays on one thread. The output of the latter leaves through a `JoinHandle` which is `Send` only if the
//!   output is. Nothing else in a cell cares for threads: a cell that is freed has an empty stage (T2).
//! - **T8, looks.** A task in a list is not complete, and it leaves under its shard's lock. So whoever holds that lock
//!   may look at the header of each task in the shard, even of one that is being polled, but takes no pointer away. What
//!   is changed under the lock may be read, or changed as well, by the polling thread: it is atomic.
//!
//! # Contract
//!
//! - Dropping a join handle detaches the task. `abort` is a request: the future is dropped by the next thread that
//!   takes its runnable; a poll under way finishes first, and if it is ready, its output stands.
//! - A panic of the future belongs to the join handle. So does one in the future's `Drop`: the output, if there was one,
//!   is dropped. If polling and dropping both panic, the first payload is kept.
//! - The output is dropped by whoever sees it last. A panic in its `Drop` is contained if the runtime drops it (nobody
//!   joined, or the handle is dropped); the panic hook has reported it.
//! - A join waker that panics when woken: contained. When it is cloned or replaced: the panic goes to who polled the
//!   handle, and the handle stays usable.
//! - A runnable that is dropped cancels its task. If that happens while another runnable is being dropped on this
//!   thread, it waits until that one is done: a chain of tasks that end each other takes no stack.
//! - Wakers may be used for ever after, from any thread.
//!
//! # Models
//!
//! The models are in `task/loom.rs`. T1: `last_waker_drop_vs_completion`, `wake_vs_completion`, `waker_clone_vs_the_free_of_the_cell`. T2:
//! `poll_vs_next_poll`, `join_poll_vs_completion`, `join_drop_vs_completion`, `join_drop_vs_abort_vs_run`. T3, and that no wake is lost: `wake_vs_poll_end`, `two_wakers`,
//! `the_wake_that_schedules_nothing_still_publishes`, `abort_vs_run`, `abort_vs_wake_of_an_idle_task`, `abort_vs_drop_of_the_future`, `slot_steal_vs_put`. T4:
//! `shutdown_vs_wake`, `shutdown_vs_spawn`, `spawn_after_close_is_refused`, `two_last_tasks_end_a_closed_list`. T5:
//! `join_waker_replacement_vs_completion`. T8: `find_vs_completion_and_reuse`, `mark_vs_the_end_of_the_first_poll`, `list_vs_completion`.
//!
//! With real workers: the scenarios of `schedules/tasks.rs`. Who polls and who ends it: `abort_vs_complete`, `abort_vs_wake`,
//! `two_wakes_vs_end_of_poll`; who learns of it: `drop_of_handle_vs_poll`, `join_waker_replaced_vs_complete`, `join_in_task_vs_complete`; panics:
//! `panic_in_poll_vs_join`, `panic_in_drop_vs_abort`.

#![allow(unsafe_code)]

mod born;
mod contain;
mod error;
mod estimate;
mod home;
mod id;
mod join;
mod local;
mod origin;
mod owned;
mod pool;
mod raw;
mod runnable;
mod slot;
mod stage;
mod state;
mod unconstrained;
mod waker;
mod word;

#[cfg(test)]
mod bind;
#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(any(fuzzing, all(test, not(any(rt_loom, rt_shuttle)))))]
pub mod model;
#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub(crate) use contain::contain;
pub use error::JoinError;
pub(crate) use error::Reason;
pub use id::{Id, id, try_id};
pub use join::{AbortHandle, JoinHandle};
pub(crate) use local::is_running as is_local_set_running;
pub use local::{LocalEnterGuard, LocalSet, spawn_local, spawn_local_at};
pub(crate) use owned::{Owned, Phase, TaskInfo, TaskRef, Unbound};
pub(crate) use runnable::{Polled, Runnable, Scheduled};
pub(crate) use slot::AtomicRunnable;
pub use unconstrained::{Unconstrained, unconstrained};
pub(crate) use word::Place;

/// Futures larger than this are boxed before they go into a cell, so that spawning them does not copy them from stack
/// frame to stack frame. The same limit as Tokio's in release builds.
const BOX_LIMIT: usize = 16 * 1024;

/// Where runnables go: implemented by whatever runs tasks.
///
/// The implementor holds an [`Owned`] list, which keeps the implementor alive while tasks are in it.
pub(crate) trait Schedule: Send + Sync + Sized + 'static {
    /// Puts a runnable where a thread will find it. Called on the thread that woke or aborted the task, which may be
    /// any thread, or, for [`Cause::Yielded`], on the one that polled it.
    ///
    /// `task` gives access to the scheduler only as long as it has not been turned into the runnable: once that is in
    /// a queue, the task may complete elsewhere, and with it the scheduler may end. A thread that needs it longer and
    /// does not hold an `Arc` of its own takes one first, from [`Scheduled::keep`].
    fn schedule(task: Scheduled<Self>, cause: Cause);

    /// The list that holds the tasks of this scheduler.
    fn owned(&self) -> &Owned<Self>;

    /// Called on the polling thread after each poll that was not ready, while no other thread can poll the task yet:
    /// the last chance to look at it or to change its conduct.
    #[inline(always)]
    fn polled(&self, _task: &Runnable) {}

    /// Called when a task ends without an output, because it panicked or was cancelled.
    #[inline(always)]
    fn failed(&self, _polled: Polled) {}
}

/// Why a runnable is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The task was idle and has been woken or aborted.
    Woken,
    /// It was woken while it was polled, by itself or by others.
    Yielded,
}

/// What is known of a task from its birth.
#[derive(Debug)]
pub(crate) struct Meta {
    /// The identity, usually fresh.
    id: Id,
    /// Who spawned it, and what the user calls it.
    origin: origin::Origin,
}

impl Meta {
    /// A task without a name, with a fresh id, spawned at `location`.
    #[inline]
    pub(crate) fn new(location: &'static Location<'static>) -> Meta {
        Meta {
            id: Id::next(),
            origin: origin::Origin::new(location),
        }
    }

    /// Names the task.
    pub(crate) fn name(mut self, name: impl Into<Box<str>>) -> Meta {
        let location = self.origin.location();
        self.origin = origin::Origin::named(location, name.into());
        self
    }
}

/// Makes a task of a closure that blocks. It is in no list: its runnable alone stands for the executor, and whoever
/// holds it runs it or drops it.
pub(crate) fn job<F, T>(closure: F, meta: Meta) -> (JoinHandle<T>, Runnable)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let job = Job(Some(closure));
    let task = raw::RawTask::allocate::<_, home::Unlisted>(job, meta);
    // SAFETY: the cell is new; one of its two references is the handle's (T1), the types are those of the closure (T6).
    let handle = unsafe { JoinHandle::from_raw(task) };
    // SAFETY: the cell is new and scheduled, so the runnable exists and is ours (T3).
    let runnable = unsafe { Runnable::from_raw(task) };
    (handle, runnable)
}

/// A closure as a future that is ready at its first poll.
struct Job<F>(Option<F>);

/// The closure is never pinned: it is moved out to be called.
impl<F> Unpin for Job<F> {}

impl<F: FnOnce() -> T, T> Future for Job<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        let closure = self.0.take().expect("a job is polled once");
        Poll::Ready(closure())
    }
}

/// The kind of [`Schedule`] for tasks in a list.
struct Listed<S>(std::marker::PhantomData<fn(Arc<S>)>);
