//! Looks after slots whose thread is inside one poll for too long.
//!
//! The watchman is called once a period by a thread that runs no tasks (the reactor thread). A live slot that is not parked
//! and whose epoch has not moved for [`STUCK_AFTER`] is *stuck*: its LIFO task, which only its own thread would
//! run, goes to the injector, and a worker is notified for it and for what lies in the deque.
//!
//! A parked worker's epoch stands still too; it holds nothing in its LIFO slot, so looking at it does no harm.
//!
//! **Cost.** One relaxed load a live slot and period. Nothing on the hot path but the epoch's store.

use crate::scheduler::Shared;
use crate::slots::STUCK;
use crate::sync::Ordering;
use std::sync::Weak;
use std::time::{Duration, Instant};

/// How long an epoch must stand still before the slot counts as stuck. Longer than almost every poll of a well-behaved task,
/// shorter than what a person, or a 5 ms hog's neighbour, notices.
const STUCK_AFTER: Duration = Duration::from_millis(2);

/// What the watchman remembers of one slot.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The epoch at the last look.
    epoch: u64,
    /// Since when it has had that value.
    since: Instant,
}

/// The watchman's memory; one for each runtime.
#[derive(Debug)]
pub struct Watchman {
    /// Weak: the thread that watches must not keep what it watches.
    shared: Weak<Shared>,
    /// One entry a slot.
    seen: Box<[Seen]>,
}

/// What the watchman saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Every live slot moved on or is parked.
    Calm,
    /// Some slot's epoch stands still while its thread is awake: look again soon.
    Standing,
}

impl Watchman {
    pub(crate) fn new(shared: Weak<Shared>, slots: usize) -> Watchman {
        let seen = Seen {
            epoch: 0,
            since: Instant::now(),
        };
        Watchman {
            shared,
            seen: vec![seen; slots].into(),
        }
    }

    /// Looks at every live slot, and rescues what stuck ones hold back; calls `stuck` for each of these.
    pub fn look(&mut self, now: Instant, mut stuck: impl FnMut(usize)) -> Watched {
        let Some(shared) = self.shared.upgrade() else {
            return Watched::Calm;
        };
        let mut watched = Watched::Calm;
        let mut rescued = false;
        for index in shared.slots.live_from(0) {
            let slot = shared.slots.get(index);
            let seen = &mut self.seen[index];
            // Relaxed: compared with its own earlier value only.
            let epoch = slot.epoch.load(Ordering::Relaxed);
            if epoch != seen.epoch || shared.idle.is_parked(index) {
                *seen = Seen { epoch, since: now };
                continue;
            }
            watched = Watched::Standing;
            if now.duration_since(seen.since) < STUCK_AFTER {
                continue;
            }
            slot.raise(STUCK);
            stuck(index);
            if let Some(task) = slot.lifo.take() {
                shared.injector().push(task);
                rescued = true;
            }
            rescued |= !slot.stealer.is_empty() || !shared.injector().is_empty();
        }
        if rescued {
            shared.injected();
        }
        watched
    }
}
