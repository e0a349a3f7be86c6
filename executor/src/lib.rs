//! Polls tasks on threads that steal work from each other. It knows no I/O and no timers: what its threads sleep on is a
//! hook, [`Park`], and what wakes its tasks is the std `Waker`.
//!
//! # Map
//!
//! | module | holds |
//! |---|---|
//! | `task` | the task cell: state, waker, join handle, the lists of live tasks, `LocalSet` |
//! | `scheduler` | what all threads share: where tasks go, whom to notify, the shutdown in steps |
//! | `worker` | the loop of a thread that serves a slot: next task, run it, steal, park |
//! | `slots` | what a thread works with, apart from the thread |
//! | `idle` | who searches, who sleeps, whom to wake; the protocol in prose |
//! | `park` | how a thread sleeps: the hook [`Park`], and [`Parker`] |
//! | `condvar` | what other threads than workers sleep on for long |
//! | `block_on`, `guest`, `current_thread` | the thread inside `block_on` |
//! | `block_in_place` | a worker steps aside and a spare takes its place |
//! | `threads` | which threads there are, and who finishes the shutdown |
//! | `watchman` | looks after slots whose thread is inside one poll for too long |
//! | `rescue` | what happens then: spares, the way into the hog lane and out of it; the protocol in prose |
//! | `lane` | the queue and the threads for tasks whose polls last too long |
//! | `listing` | the list of live tasks |
//! | `report` | names them to the user |
//! | `metrics` | what is counted, and the snapshot of it |
//! | `blocking` | the pool for closures that block |
//! | `budget` | how often a task may find its operations ready before it must yield |
//! | `context` | what a thread is to the runtime: thread-locals, set by guards |
//! | `sync` | the seam to loom and shuttle, and the planted bugs that models and scenarios must catch |
//! | `schedules` | scenarios of the whole executor under schedules that shuttle chooses |
//!
//! # What always holds
//!
//! - A task is polled by one thread at a time, and its future is dropped on a thread of the runtime, or on the one that shuts
//!   it down or spawns too late.
//! - When a task lies in a queue, some worker is awake, or has been unparked, or the watchman is about to look.
//! - No lock is held while foreign code runs: futures, wakers, hooks, and what they drop.
//! - Unsafe code lives in `task`, nowhere else.

#![deny(unsafe_code)]
#![cfg_attr(any(rt_loom, rt_shuttle), allow(dead_code, unused_imports))]

mod block_in_place;
mod block_on;
mod blocking;
pub mod budget;
#[cfg(not(rt_shuttle))]
mod condvar;
mod context;
mod crowd;
mod current_thread;
mod guest;
mod idle;
mod lane;
mod listing;
mod metrics;
mod park;
mod report;
mod rescue;
mod scheduler;
#[cfg(all(test, rt_shuttle))]
mod schedules;
mod slots;
mod sync;
pub mod task;
mod threads;
mod watchman;
mod worker;

pub use block_in_place::block_in_place;
pub use context::{EnterGuard, batch};
pub use listing::{TaskInfo, TaskState};
pub use metrics::{
    BlockingMetrics, Histogram, HistogramSnapshot, Metrics, WorkerMetrics, WorkerState,
};
pub use park::{Gathered, Park, Parker, Sleep, ThreadPark, Unparked};
pub use report::{CoreTime, DescribeStack, OnSlowPoll, Probe, SlowPoll, SlowPolls};
pub use rescue::Rescue;
pub use scheduler::{Around, Config, Flavor, Handle, Hook, NameThread, WeakHandle};
pub use task::{AbortHandle, Id, JoinError, JoinHandle, LocalSet};
pub use watchman::{Watched, Watchman};

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
