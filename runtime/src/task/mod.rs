//! Tasks: units of work that the runtime polls concurrently.
//!
//! A task is a future that was given to the runtime with [`spawn`](fn@crate::task::spawn). It costs one allocation, starts at once, whether its
//! [`JoinHandle`] is awaited or not, and goes on when the handle is dropped.
//!
//! | to | use |
//! |---|---|
//! | run a future concurrently | [`spawn`](fn@crate::task::spawn) |
//! | run many and collect their outputs | [`JoinSet`] |
//! | call code that blocks or computes for long | [`spawn_blocking`], or [`block_in_place`] inside a task |
//! | run futures that are not `Send` | [`LocalSet`], [`spawn_local`] |
//! | let other tasks run in between | [`yield_now`](fn@crate::task::yield_now) |
//! | keep a value for the length of a task | [`task_local!`](crate::task_local) |
//! | name a task | [`Builder`] |
//!
//! # What holds for every task
//!
//! - A panic ends the task, and nothing else; its payload is in the [`JoinError`].
//! - [`abort`](JoinHandle::abort) asks the task to stop at its next `.await`; its future is dropped by the runtime.
//! - When the runtime shuts down, tasks that have not completed are dropped, and their handles say "cancelled".

mod builder;
pub mod coop;
pub mod join_set;
mod list;
mod local;
mod spawn;
mod task_local;
mod yield_now;

pub use builder::Builder;
pub use executor::task::{AbortHandle, Id, JoinError, JoinHandle, LocalEnterGuard, id, try_id};
pub use join_set::JoinSet;
pub use list::{TaskInfo, TaskList, TaskState};
pub use local::{LocalSet, spawn_local};
pub use spawn::{block_in_place, spawn, spawn_blocking};
pub use task_local::{AccessError, LocalKey, TaskLocalFuture};
pub use yield_now::yield_now;

pub use coop::{consume_budget, unconstrained};

use std::panic::Location;

/// Who called the function that calls this one.
#[track_caller]
pub(crate) fn location() -> &'static Location<'static> {
    Location::caller()
}
