//! Turns readiness of descriptors into wake-ups. It knows sockets, pipes and `std::task::Waker`; it knows no
//! executor and no clock.
//!
//! # How it works
//!
//! A [`Registration`] announces a descriptor to the operating system once, with an [`Interest`], and never again:
//! events are edge-triggered. What they tell is cached as [`Ready`] in the descriptor's *source*. An operation looks
//! there first (one load), makes its system call, and takes the readiness back when the call says `WouldBlock`. Only
//! a source that is not ready stores a waker.
//!
//! Somebody must wait for the events. Whoever holds the [`Duty`] runs *turns*: [`Duty::wait`] makes one system call,
//! [`Handle::dispatch`] marks the sources and hands their wakers to the caller, who decides how to wake them. Idle
//! workers hold the duty in turn; the reactor thread guarantees that somebody does.
//!
//! # Map
//!
//! | module | holds |
//! |---|---|
//! | `reactor` | [`Handle`], [`Duty`], [`Events`]: one turn = wait, mark sources, wake |
//! | `reactor/model` | registrations beside records that do the same, for tests and for the fuzzer |
//! | `held` | whether some thread has the duty |
//! | `context` | the thread's current handle, and [`EnterGuard`] |
//! | `registration` | [`Registration`]: one descriptor, as leaf futures use it |
//! | `source`, `source/state` | what the events write and the operations read; the protocol between them |
//! | `slab` | where sources live: pages that outlive every event |
//! | `owners` | which registration a descriptor's number belongs to |
//! | `wait` | the one seam to the system's events: raw epoll, or `Poller::wait` |
//! | `process` | which process this is, without a system call |
//! | `raw` | all unsafe code of this crate |
//! | `interest`, `readiness`, `token` | one small value type each |
//! | `async_fd` | [`AsyncFd`]: any descriptor, awaitable |
//! | `metrics` | [`Metrics`]: what has been counted |
//! | `thread` | the reactor thread: guarantor of the polling duty; the protocol of the duty |
//! | `sync` | the seam to loom, and the planted bugs that its models must catch |
//!
//! # What always holds
//!
//! - Only one thread waits at a time.
//! - An event never reaches a registration other than the one it was meant for, whatever happens to the descriptor.
//! - No lock is held while a waker is cloned, woken or dropped.

#![deny(unsafe_code)]

mod async_fd;
mod context;
mod held;
mod interest;
mod metrics;
mod owners;
mod process;
mod raw;
mod reactor;
mod readiness;
mod registration;
mod slab;
mod source;
mod sync;
mod thread;
mod token;
mod wait;

pub use async_fd::{
    AsyncFd, AsyncFdReadyGuard, AsyncFdReadyMutGuard, AsyncFdTryNewError, TryIoError,
};
pub use context::EnterGuard;
pub use interest::Interest;
pub use metrics::Metrics;
pub use process::process_id;
#[cfg(fuzzing)]
pub use reactor::model;
pub use reactor::{Duty, Events, Handle};
pub use readiness::{Direction, Ready};
pub use registration::{ReadyEvent, Registration};
pub use thread::{Look, ReactorThread, Watch};
