//! Takes the snapshot: copies the counts from where they lie, one after the other.
//!
//! So two of them may tell of moments some microseconds apart. Each by itself never goes backwards; and the numbers of
//! spawned and of live tasks are of one moment, shard by shard, so that neither does their difference.

use super::{Metrics, WorkerMetrics, WorkerState, read};
use crate::report::Spot;
use crate::rescue::Rescue;
use crate::scheduler::{Flavor, Handle, Shared};
use crate::worker::SAMPLE_INTERVAL;
use std::time::Instant;

impl Handle {
    /// Copies what has been counted.
    ///
    /// Takes some locks for a moment each: those of the list of live tasks (sixteen shards a worker), of the threads, of the lane
    /// and of the blocking pool.
    pub fn metrics(&self) -> Metrics {
        let shared = self.shared();
        let (live, spawned) = shared.owned.count();
        let (_active, stuck) = shared.threads.count();
        let (lane_threads, lane_depth) = shared.lane.depth();
        Metrics {
            workers: shared.config.workers,
            slots: shared.measure_slots(),
            is_crowded: shared.crowd.is_crowded(),
            injector_depth: self.injector_depth(),
            live: live as usize,
            spawned,
            finished: spawned - live,
            stuck,
            spares_active: shared.active_spares(),
            lane_threads,
            lane_depth,
            blocking: shared.blocking.stats(),
            sample_interval: SAMPLE_INTERVAL,
            ..shared.counters.snapshot()
        }
    }
}

impl Shared {
    fn measure_slots(&self) -> Vec<WorkerMetrics> {
        let now = Instant::now();
        // The only slot of a current-thread runtime is listed before anybody has served it.
        let candidates = self.slots.used().max(1);
        let slots = (0..candidates).filter(|&slot| self.is_listed(slot));
        slots.map(|slot| self.measure_slot(slot, now)).collect()
    }

    /// Whether anybody serves `slot`, or has done anything there: then it is listed for ever, so that what it has counted
    /// does not go back. A spare that finds nothing to do sleeps without having polled.
    fn is_listed(&self, index: usize) -> bool {
        let slot = self.slots.get(index);
        index < self.config.workers
            || self.slots.is_live(index)
            || slot.polls() > 0
            || read(&slot.counters.parks) > 0
    }

    fn measure_slot(&self, index: usize, now: Instant) -> WorkerMetrics {
        let slot = self.slots.get(index);
        let depth = slot.queued() + usize::from(!slot.lifo.is_empty());
        let name = self.name_of(Spot::Slot(index));
        let state = self.state_of(index, now);
        slot.counters.snapshot(name, state, slot.polls(), depth)
    }

    fn state_of(&self, slot: usize, now: Instant) -> WorkerState {
        let rescue = self.config.rescue;
        let threshold = rescue.map_or(Rescue::THRESHOLD, |rescue| rescue.threshold);
        if !self.slots.is_live(slot) {
            WorkerState::Absent
        } else if self.idle.is_parked(slot) {
            WorkerState::Parked
        } else if self.slots.get(slot).stillness.for_how_long(now) >= threshold {
            WorkerState::Stuck
        } else {
            WorkerState::Awake
        }
    }

    /// How many slots of spares are served.
    fn active_spares(&self) -> usize {
        if self.config.flavor == Flavor::CurrentThread {
            return 0;
        }
        let spares = self.config.guest_slots().end..self.slots.used();
        spares.filter(|&slot| self.slots.is_live(slot)).count()
    }
}
