//! Turns deadlines into wake-ups.
//!
//! A future that waits for a point in time holds an [`Entry`]. Polled before its deadline, the
//! entry leaves its waker in a *wheel*; whoever serves that wheel calls [`Handle::fire`] when time
//! has come, and gets the wakers back. This crate knows no executor and no I/O: the std `Waker` is
//! the whole way out, and the one-method hooks [`Rouse`] and `charge` are the way in.
//!
//! # Levels, buckets, rounding, range
//!
//! The wheel is hierarchical (G. Varghese and T. Lauck, "Hashed and hierarchical timing wheels",
//! SOSP 1987): 6 levels of 64 buckets. A bucket of level 0 spans one tick of 1/64 ms (15.6 µs), one
//! of level 1 spans 64 ticks (1 ms), and so on: level 5 reaches 2^36 ticks, 12 days. Deadlines
//! further away wait in a list of their own that is looked through once every 12 days, and
//! deadlines more than 292 years away never come.
//!
//! A deadline is rounded *up* to a whole tick and the present is rounded *down*: a timer never
//! fires early, and the wheel adds less than two ticks to its lateness. Inserting and cancelling
//! take constant time, whatever the number of timers; firing costs each timer at most one move per
//! level.
//!
//! # One shard a slot
//!
//! Each slot of the executor has a wheel of its own behind a lock that nobody else usually wants.
//! A worker registers in its own shard and sleeps until its own next deadline, so registering wakes
//! nobody. What happens when a thread without a shard registers, or when a worker is stuck, is told
//! in the header of `timer.rs`, as is the protocol that makes sure that no deadline is slept over.
//!
//! # The map
//!
//! | file | what |
//! |---|---|
//! | `clock.rs` | [`Ticks`], and the [`Clock`] that tests can pause: the only file that reads time |
//! | `level.rs` | the levels of 64 buckets and their bitmaps; the linked list that a bucket is |
//! | `slab.rs` | where the timers of a wheel live, in pages that are given back |
//! | `wheel.rs` | the [`Wheel`]: insert, remove, next deadline, advance |
//! | `wheel/model.rs` | the wheel beside a `BTreeMap`, for tests and for the fuzzer |
//! | `timer.rs` | [`Handle`]: the shards, their locks, firing; the protocol with parking threads |
//! | `metrics.rs` | [`Metrics`]: what has been counted; how lateness is |
//! | `entry.rs` | [`Entry`]: one deadline awaited by one future |
//! | `entry/model.rs` | entries and shards beside records that do the same, as above |
//! | `context.rs` | the thread-local current handle, and the shard that a thread serves |
//! | `sync.rs` | the loom seam |

#![forbid(unsafe_code)]

mod clock;
mod context;
mod entry;
mod level;
mod metrics;
#[cfg(test)]
mod random;
mod slab;
mod sync;
mod timer;
mod wheel;

pub use clock::{Clock, Pausable, Ticks, now};
pub use context::{EnterGuard, ServeGuard};
pub use entry::{Entry, Shutdown};
pub use metrics::Metrics;
pub use slab::Key;
pub use timer::{Charge, Handle, Rouse};
pub use wheel::{Progress, Wheel};

/// The reference models, for the fuzzer.
#[cfg(fuzzing)]
pub mod models {
    pub use crate::{entry::model as entry, wheel::model as wheel};
}
