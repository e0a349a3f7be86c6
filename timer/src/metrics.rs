//! What has been counted: how many timers came and went, and how late they fired.
//!
//! Everything is kept under the locks of the shards, which are held anyway, as plain numbers. Registering and cancelling
//! cost nothing more than without: the slab's generations count the insertions, and what was inserted, is not there, has
//! not fired and was not ended by the closing has been cancelled. Firing costs 23 instructions more a timer, of some 1,300
//! that it takes to register, fire and drop one.
//!
//! *Lateness* is how long after its deadline, as the wheel rounds it, a timer was found to be due. It is counted in ticks, the
//! one that has begun included: so one that fires as soon as it can is one tick late. What its task then waits for a thread is
//! not in it.

use std::time::Duration;

use crate::clock::Ticks;

/// One for each power of two of ticks up to 2^14 (256 ms), and one for what is later.
pub(crate) const BUCKETS: usize = 16;

/// How late the timers of a shard were.
#[derive(Debug, Default, Clone)]
pub(crate) struct Lateness {
    /// How many were at most 2^i ticks late, and more than 2^(i - 1).
    counts: [u64; BUCKETS],
    /// All their ticks together.
    sum: u64,
    /// The most.
    max: u64,
}

impl Lateness {
    /// Counts a timer with this `deadline` that is found due at `now`.
    #[inline]
    pub(crate) fn record(&mut self, deadline: Ticks, now: Ticks) {
        // Another thread that fires the same shard may have read the clock later, and moved the wheel on.
        let late = now.0.saturating_sub(deadline.0);
        // The power of two that `late + 1` does not exceed.
        let bucket = (late << 1 | 1).ilog2() as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        // A paused clock may be moved by centuries.
        self.sum = self.sum.saturating_add(late + 1);
        self.max = self.max.max(late + 1);
    }

    /// How many timers were counted.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds what another shard has counted.
    pub(crate) fn add(&mut self, other: &Lateness) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// The upper bound of each bucket and how many timers it holds.
    pub(crate) fn buckets(&self) -> Vec<(Duration, u64)> {
        let bounds = (0..BUCKETS - 1).map(|i| Ticks(1 << i).duration());
        bounds.chain([Duration::MAX]).zip(self.counts).collect()
    }

    /// All lateness together.
    pub(crate) fn sum(&self) -> Duration {
        Ticks(self.sum).duration()
    }

    /// The worst.
    pub(crate) fn max(&self) -> Duration {
        Ticks(self.max).duration()
    }
}

/// The timers of a runtime at one moment. Counts are since they were created; the rest is present.
///
/// At every moment, registered = fired + cancelled + ended + pending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// How many timers were registered. One that is reset is registered anew; one that is dropped or over before it is polled
    /// never was.
    pub registered: u64,
    /// How many of them fired.
    pub fired: u64,
    /// How many of them were taken out before they were due.
    pub cancelled: u64,
    /// How many of them the closing ended.
    pub ended: u64,
    /// How many of them wait.
    pub pending: usize,
    /// How late those that fired were: at most so long, and how many; in ascending order, the last without a bound
    /// ([`Duration::MAX`]).
    pub lateness: Vec<(Duration, u64)>,
    /// How late they were together.
    pub lateness_sum: Duration,
    /// How late the worst of them was.
    pub lateness_max: Duration,
}

#[cfg(all(test, not(rt_loom)))]
mod tests;
