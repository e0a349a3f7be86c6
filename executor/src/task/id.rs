//! Task ids, and the thread-local that knows which task runs here.
//!
//! Ids come from a global counter in blocks: a thread takes [`BLOCK`] of them with one operation and then hands them
//! out alone, so that spawning touches no contended line. Hence an id says nothing about the order of spawning.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::thread_local;

/// How many ids a thread takes at once. A guess: one operation on the shared counter in 256 spawns is not measurable.
const BLOCK: u64 = 256;

/// The start of the next block.
static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Ids handed out by this thread so far, counted from the start of all blocks; a multiple of [`BLOCK`] means that
    /// the block is used up. Has no destructor, so it can always be read.
    static HANDED_OUT: Cell<u64> = const { Cell::new(0) };

    /// The task which this thread polls or drops; 0 for none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// The identity of a task: unique among all tasks of the process, for ever.
///
/// An id says nothing about when a task was spawned.
///
/// # Examples
///
/// ```
/// // Only code that runs inside of a task has an id.
/// assert_eq!(executor::task::try_id(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(NonZeroU64);

impl Id {
    /// Takes a fresh id.
    #[inline]
    pub(crate) fn next() -> Id {
        let mut handed_out = HANDED_OUT.get();
        if handed_out.is_multiple_of(BLOCK) {
            // Relaxed: a counter; the ids order nothing.
            handed_out = NEXT_BLOCK.fetch_add(BLOCK, Ordering::Relaxed);
        }
        HANDED_OUT.set(handed_out + 1);
        Id(NonZeroU64::MIN.saturating_add(handed_out))
    }

    /// The id as a number, for counters and traces.
    pub(crate) fn as_u64(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns the id of the task that runs here.
///
/// Inside of a future's `Drop` it is the id of the task that owned the future.
///
/// # Panics
///
/// If no task runs here: in `block_on` itself, and outside of the runtime. See [`try_id`].
#[track_caller]
pub fn id() -> Id {
    try_id().expect(
        "there is no task here: `task::id` works in spawned tasks and blocking jobs, not in the future given to `block_on`",
    )
}

/// Returns the id of the task that runs here, or `None` outside of tasks.
pub fn try_id() -> Option<Id> {
    NonZeroU64::new(CURRENT.get()).map(Id)
}

/// Names the running task until dropped, then names the one before again.
#[derive(Debug)]
pub(crate) struct EnterId {
    /// What [`CURRENT`] held before.
    before: u64,
}

impl EnterId {
    #[inline]
    pub(crate) fn enter(id: Id) -> EnterId {
        EnterId {
            before: CURRENT.replace(id.as_u64()),
        }
    }
}

impl Drop for EnterId {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}
