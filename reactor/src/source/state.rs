//! The state word of a source: which registration it belongs to, how many events it has seen, what is ready.
//!
//! | phase | generation | `GONE` | readiness | left by |
//! |---|---|---|---|---|
//! | free | that of the next registration | any | nothing | `open` |
//! | registered | ours | 0 | what the last events said | `mark`, `clear` stay here; `expel`, `retire` |
//! | gone | ours | 1 | any | `retire` |
//!
//! Each transition is one read-modify-write, so an event that comes late finds another generation and changes nothing.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::{
    Ready,
    sync::{AtomicU64, bug},
};

/// The state word.
///
/// ```text
///  63                    32 31                8  7   6   5        0
/// ┌────────────────────────┬───────────────────┬───┬────┬──────────┐
/// │       generation       │       stamp       │ 0 │GONE│ readiness│
/// └────────────────────────┴───────────────────┴───┴────┴──────────┘
/// ```
#[derive(Debug)]
pub(crate) struct State(AtomicU64);

/// The word at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a marked source has wakers to take"]
pub(crate) enum Mark {
    /// The source shows it.
    Done,
    /// It was meant for an earlier registration of this slot.
    Stale,
}

/// What became of a wish to take readiness back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "where sources are armed one event at a time, a cleared one must be armed again"]
pub(crate) enum Clear {
    /// The readiness is gone.
    Done,
    /// There was nothing to take back, or an event came in between: the readiness stays.
    Kept,
}

/// The bits that belong to one registration: the readiness, and `GONE`.
const OURS: u64 = 0xff;
/// The bit that ends every wait with an error: deregistered, or the reactor has closed.
const GONE: u64 = 1 << 6;
/// Where the stamp begins.
const STAMP_SHIFT: u32 = 8;
/// One event, in the stamp's place.
const STAMP_ONE: u64 = 1 << STAMP_SHIFT;
/// The stamp's 24 bits. A clear that is overtaken by exactly 2²⁴ events would take them for none; each takes a turn.
const STAMP_MASK: u64 = ((1 << 24) - 1) << STAMP_SHIFT;
/// Where the generation begins. It comes round after 2³² registrations of one slot.
const GENERATION_SHIFT: u32 = 32;

impl State {
    /// The state of a slot that never had a registration.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Reads the word.
    pub(crate) fn load(&self) -> Snapshot {
        let order = if bug::READ_RELAXED.is_on() {
            Relaxed
        } else {
            // Ordering: Acquire pairs with the Release in `mark` and `expel`: who sees the readiness also sees what the
            // thread that found it had done before.
            Acquire
        };
        Snapshot(self.0.load(order))
    }

    /// Begins a registration with the given readiness, and returns its generation. The slot must be free.
    pub(crate) fn open(&self, initially: Ready) -> u32 {
        self.update(|word| Some((word & !OURS) | u64::from(initially.bits())))
            .0
            .generation()
    }

    /// Adds readiness and counts an event, if the generation is still the one that the event was meant for.
    pub(crate) fn mark(&self, generation: u32, ready: Ready) -> Mark {
        let (_, done) = self.update(|word| {
            let current = Snapshot(word).generation() == generation;
            (current || bug::MARK_IGNORES_GENERATION.is_on())
                .then(|| next_stamp(word) | u64::from(ready.bits()))
        });
        if done { Mark::Done } else { Mark::Stale }
    }

    /// Takes readiness back, unless an event has come since `seen`. What is sticky stays.
    pub(crate) fn clear(&self, seen: Snapshot, which: Ready) -> Clear {
        let bits = u64::from((which - Ready::STICKY).bits());
        let (_, done) = self.update(|word| {
            let unchanged =
                word & STAMP_MASK == seen.0 & STAMP_MASK || bug::CLEAR_IGNORES_STAMP.is_on();
            (unchanged && word & bits != 0).then_some(word & !bits)
        });
        if done { Clear::Done } else { Clear::Kept }
    }

    /// Ends every wait of the present registration, for good.
    pub(crate) fn expel(&self) {
        self.update(|word| Some(next_stamp(word) | GONE));
    }

    /// Ends the registration: its token is worthless from here on.
    pub(crate) fn retire(&self) {
        self.update(|word| Some((word & !OURS).wrapping_add(1 << GENERATION_SHIFT)));
    }

    /// Replaces the word by what `next` makes of it, until nobody interferes or `next` declines. Returns the word
    /// before, and whether it was replaced.
    fn update(&self, mut next: impl FnMut(u64) -> Option<u64>) -> (Snapshot, bool) {
        // Relaxed: the compare-exchange checks the value before anything depends on it.
        let mut word = self.0.load(Relaxed);
        loop {
            let Some(new) = next(word) else {
                return (Snapshot(word), false);
            };
            let order = if bug::MARKED_RELAXED.is_on() {
                Relaxed
            } else {
                // Ordering: Release pairs with the Acquire in `load`. A thread that changes the word acts on what it tests by this
                // exchange alone, and what earlier marks published stays published behind it (a release sequence), so it
                // need acquire nothing.
                Release
            };
            // Relaxed: a failure publishes nothing and reads again.
            match self.0.compare_exchange_weak(word, new, order, Relaxed) {
                Ok(_) => return (Snapshot(word), true),
                Err(changed) => word = changed,
            }
        }
    }
}

impl Snapshot {
    /// A word that shows nothing.
    pub(crate) const NOTHING: Snapshot = Snapshot(0);

    /// The registration that it belongs to.
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    /// What is ready.
    pub(crate) fn ready(self) -> Ready {
        Ready::from_bits(self.0 as u8)
    }

    /// Whether every wait must end with an error.
    pub(crate) fn is_gone(self) -> bool {
        self.0 & GONE != 0
    }

    /// Whether a wait for any of `mask` is over.
    pub(crate) fn ends(self, mask: Ready) -> bool {
        self.ready().intersects(mask) || self.is_gone()
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation())
            .field("stamp", &((self.0 & STAMP_MASK) >> STAMP_SHIFT))
            .field("ready", &self.ready())
            .field("is_gone", &self.is_gone())
            .finish()
    }
}

/// The word with its stamp counted up; the stamp wraps within its own bits.
fn next_stamp(word: u64) -> u64 {
    (word & !STAMP_MASK) | (word.wrapping_add(STAMP_ONE) & STAMP_MASK)
}
