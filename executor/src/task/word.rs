//! The word of a task: where its list has it, and what is known of how it behaves, in 64 bits that are read at once.
//!
//! A thread that polls publishes the word of the task, with one load and one store, and needs no pointer for that:
//! whoever reads what was published looks the task up under the lock of its shard, by
//! [`Owned::find`](super::Owned::find), and finds it there or not. Places in the list are reused, so the word tells the
//! task from the next ones at its place by the last bits of the id, its tag.
//!
//! Index, shard and tag stand still once the task is in its list. Conduct and reason may change at the same time, by
//! different threads (T8), so both change by read-modify-writes. The word publishes nothing but itself, and is a hint
//! to everyone except the thread that takes the task out of its list, which has it from where it has the runnable:
//! hence every access is relaxed.

use super::Id;
use super::error::Reason;
use crate::sync::{AtomicU64, Ordering, bug};

use Ordering::Relaxed;

/// The index of a task that is in no list.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Where the shard begins.
const SHARD: u32 = 32;
/// Where the conduct begins.
const CONDUCT: u32 = 48;
/// Where the reason is, in one bit.
const REASON: u32 = 56;
/// Where the tag begins.
const TAG: u32 = 57;

/// The bits of index, shard and tag.
const IDENTITY: u64 = (u64::MAX << TAG) | ((1 << CONDUCT) - 1);

/// The word in the header of a task.
///
/// ```text
///  63 ... 57   56       55 ..... 48   47 ... 32   31 ... 0
///  tag         reason   conduct       shard       index
/// ```
///
/// The index is the place within the shard, or [`NOWHERE`]: then shard and tag mean nothing. The conduct is the
/// scheduler's; the reason is a [`Reason`], in case the task is cancelled.
pub(super) struct Word(AtomicU64);

impl Word {
    /// The word of a task that is in no list, or not yet.
    #[inline]
    pub(super) fn new() -> Word {
        const { assert!(Reason::Cancelled as u8 == 0 && Reason::NoThread as u8 == 1) };
        Word(AtomicU64::new(u64::from(NOWHERE)))
    }

    /// All of it.
    #[inline]
    pub(super) fn get(&self) -> u64 {
        // Relaxed: see the module's header.
        self.0.load(Relaxed)
    }

    /// Says where in its list the task is. Called once, before anyone else knows the task.
    #[inline]
    pub(super) fn set_place(&self, shard: u16, index: u32, id: Id) {
        let word = id.as_u64() << TAG | u64::from(shard) << SHARD | u64::from(index);
        // Relaxed: the shard's lock publishes it, or the way that the first runnable takes. A store will do, because
        // nobody else knows the task yet.
        self.0.store(word, Relaxed);
    }

    /// The scheduler's bits.
    #[inline]
    pub(super) fn conduct(&self) -> u8 {
        conduct(self.get())
    }

    /// Sets some of the scheduler's bits.
    #[inline]
    pub(super) fn add_conduct(&self, bits: u8) {
        if bug::CELL_CONDUCT_STORED.is_on() {
            // Relaxed: only with the planted bug.
            let before = self.0.load(Relaxed);
            self.0.store(before | u64::from(bits) << CONDUCT, Relaxed);
            return;
        }
        // Relaxed: see the module's header.
        self.0.fetch_or(u64::from(bits) << CONDUCT, Relaxed);
    }

    /// Unsets some of the scheduler's bits.
    #[inline]
    pub(super) fn remove_conduct(&self, bits: u8) {
        // Relaxed: see the module's header.
        self.0.fetch_and(!(u64::from(bits) << CONDUCT), Relaxed);
    }

    /// Why the task is cancelled, if it is.
    pub(super) fn reason(&self) -> Reason {
        Reason::from_u8((self.get() >> REASON) as u8 & 1)
    }

    /// Changes the reason, by the holder of the runnable.
    pub(super) fn set_reason(&self, reason: Reason) {
        // Only one thread at a time may do this, so nobody changes this bit between the two steps; others may change.
        let change = (self.get() >> REASON & 1) ^ u64::from(reason as u8);
        if change != 0 {
            // Relaxed: published with the stage, by `complete`.
            self.0.fetch_xor(change << REASON, Relaxed);
        }
    }
}

/// Where in its shard a task with this word is.
#[inline]
pub(super) fn index(word: u64) -> u32 {
    word as u32
}

/// In which shard it is.
#[inline]
pub(super) fn shard(word: u64) -> u16 {
    (word >> SHARD) as u16
}

/// Whether both words tell of the same place and the same task in it; of two tasks that were there one after the other,
/// one in 128 will do for the other.
#[inline]
pub(super) fn is_same(word: u64, other: u64) -> bool {
    (word ^ other) & IDENTITY == 0
}

/// The scheduler's bits in it.
#[inline]
pub(super) fn conduct(word: u64) -> u8 {
    (word >> CONDUCT) as u8
}

/// What a thread that polls lets others know about it, in 64 bits: the word of a task, or one of three numbers that no
/// task has as its word.
///
/// No list is that large: of the numbers below, the bits for the shard exceed what a list
/// can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u64);

impl Place {
    /// No task is polled, but foreign code may run: a waker, a hook.
    pub(crate) const NONE: Place = Place(u64::MAX);
    /// The future of a `block_on` is polled, which is no task.
    pub(crate) const ROOT: Place = Place(u64::MAX - 1);
    /// The thread looks for work, or sleeps.
    pub(crate) const IDLE: Place = Place(u64::MAX - 2);

    /// The scheduler's bits in it.
    #[inline]
    pub(crate) fn conduct(self) -> u8 {
        conduct(self.0)
    }

    /// Whether both tell of the same task. The conduct, which may change while a task is polled, does not matter. Of
    /// tasks that were at one place of the list one after the other, one in 128 is taken for the other.
    pub(crate) fn is_same(self, other: Place) -> bool {
        is_same(self.0, other.0)
    }
}
