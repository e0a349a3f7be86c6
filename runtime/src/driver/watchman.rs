//! The watchman of the reactor thread: what it looks after once a period (the reactor's `duty.md`, R1).
//!
//! Stuck slots, whose batches it wakes in their stead; timers that nobody fires in time; and, while all workers are busy, the events themselves.

use super::Driver;
use executor::WeakHandle;
use reactor::{Events, Look, Watch};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

/// How late a timer of a live slot may be before the reactor thread fires it.
const OVERDUE: Duration = Duration::from_micros(500);
/// The same while the slot's thread sleeps: it wakes up by itself, at most half a millisecond later than it might (see the timers'
/// coalescing). To be sooner would be to compete with it.
const OVERDUE_ASLEEP: Duration = Duration::from_micros(1500);

/// What the reactor thread looks after: stuck slots, overdue timers, batches that a blocked waker holds up.
pub(super) struct Watchman {
    /// Weak: the driver owns the thread.
    driver: Weak<Driver>,
    /// To find the wakers behind events.
    reactor: reactor::Handle,
    /// To fire what others cannot.
    timer: timer::Handle,
    /// Weak: the executor owns the driver.
    executor: WeakHandle,
    /// The executor's own half.
    watchman: executor::Watchman,
}

impl Watchman {
    pub(super) fn new(driver: &Arc<Driver>, executor: &executor::Handle) -> Watchman {
        Watchman {
            driver: Arc::downgrade(driver),
            reactor: driver.reactor.clone(),
            timer: driver.timer.clone(),
            executor: executor.downgrade(),
            watchman: executor.watchman(),
        }
    }

    /// The next deadline of each of the first `shards` shards that has one.
    fn deadlines(&self, shards: usize) -> impl Iterator<Item = (usize, Instant)> + '_ {
        (0..shards).filter_map(|shard| Some((shard, self.timer.next(shard)?)))
    }

    /// Wakes `wakers` with one notification for all of them.
    fn wake_all(&self, wakers: Vec<Waker>) {
        let wake = || {
            for waker in wakers {
                // As in `Driver::wake_batch`.
                executor::Handle::contain(|| waker.wake());
            }
        };
        let Some(executor) = self.executor.upgrade() else {
            return wake();
        };
        if executor::batch(&executor, wake) > 0 {
            executor.injected();
        }
    }
}

impl Watch for Watchman {
    fn look(&mut self, now: Instant) -> Look {
        let (Some(driver), Some(executor)) = (self.driver.upgrade(), self.executor.upgrade())
        else {
            return Look {
                alert: false,
                soon: false,
                deadline: None,
            };
        };
        let shards = executor.used_slots();
        let mut stuck = Vec::new();
        let watched = self.watchman.look(now, |slot| stuck.push(slot));
        // A parked guest is not live, but sleeps until its own next deadline. Who is stuck fires nothing.
        let is_served = |shard: usize| {
            (executor.is_live(shard) && !stuck.contains(&shard))
                || driver.parkers[shard].is_asleep()
        };
        let mut alert = watched == executor::Watched::Standing;
        let soon = watched != executor::Watched::Calm;
        for &slot in &stuck {
            // The workers leave the duty to it.
            if driver.favour.passed_on(slot) {
                executor.rouse_one();
            }
            // A thread that waits for I/O holds the lock, and is not stuck.
            if let Some(mut batch) = driver.slots[slot].batch.try_lock()
                && !batch.wakers.is_empty()
            {
                let wakers = std::mem::take(&mut batch.wakers);
                drop(batch);
                self.wake_all(wakers.into());
            }
        }
        let mut deadline: Option<Instant> = None;
        for (shard, next) in self.deadlines(shards) {
            // A slot that sleeps or runs short polls serves its shard itself; it gets some grace.
            let grace = if driver.parkers[shard].is_asleep() {
                OVERDUE_ASLEEP
            } else if is_served(shard) {
                OVERDUE
            } else {
                Duration::ZERO
            };
            let served_late = next + grace;
            if served_late > now {
                deadline = Some(deadline.map_or(served_late, |earliest| earliest.min(served_late)));
                continue;
            }
            let mut wakers = Vec::new();
            self.timer.fire(shard, now, &mut |waker| wakers.push(waker));
            alert |= is_served(shard);
            self.wake_all(wakers);
        }
        if executor.is_idle() {
            // Everybody who sleeps does so until its own next deadline.
            let unserved = |(shard, next)| (!is_served(shard)).then_some(next);
            deadline = self.deadlines(shards).filter_map(unserved).min();
        }
        Look {
            alert,
            soon,
            deadline,
        }
    }

    fn is_idle(&self) -> bool {
        self.executor
            .upgrade()
            .is_none_or(|executor| executor.is_idle())
    }

    fn has_parked(&self) -> bool {
        self.executor
            .upgrade()
            .is_some_and(|executor| executor.has_parked())
    }

    fn rouse_one(&self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.favour.withdraw();
        }
        if let Some(executor) = self.executor.upgrade() {
            executor.rouse_one();
        }
    }

    fn dispatch(&mut self, events: &mut Events) {
        let mut wakers = Vec::new();
        self.reactor
            .dispatch(events, &mut |waker| wakers.push(waker));
        self.wake_all(wakers);
    }
}
