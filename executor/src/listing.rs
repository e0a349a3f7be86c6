//! The list of live tasks, for people and tools.
//!
//! Each entry is a copy of what was true of a task at one moment: tasks come and go while the list is made. A batch of tasks at a time is copied
//! under the lock of its shard, so even a list of a million tasks holds no spawn up for longer than that takes.
//!
//! *Which thread polls it* is found by comparing the task's word with what the slots and the lane's seats publish (if one alone does), and *since when* is what the watchman
//! has seen; so a poll shorter than its period has no beginning that is known.
//!
//! Everything here is `#[inline]`, so that programs that call it compile it, and not everybody with the crate.

use crate::context;
use crate::report::Spot;
use crate::scheduler::{Handle, Shared};
use crate::slots::Stillness;
use crate::sync::Ordering;
use crate::task::{self, Id, Phase, Place};
use crate::worker::{HOG, SAMPLE_INTERVAL};
use std::panic::Location;
use std::time::{Duration, Instant};

/// What was true of a task at one moment.
#[derive(Debug, Clone)]
pub struct TaskInfo {
    /// Its identity.
    pub id: Id,
    /// What the user calls it.
    pub name: Option<Box<str>>,
    /// Who spawned it.
    pub location: &'static Location<'static>,
    /// What it was doing.
    pub state: TaskState,
    /// How long ago its first poll was over, to some 30 ms; `None` before that.
    pub age: Option<Duration>,
    /// About how often it was polled.
    pub polls: u64,
    /// About how long all its polls took together.
    pub busy: Duration,
    /// Whether it is polled in the hog lane.
    pub is_hog: bool,
}

/// What a live task is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// It waits to be woken.
    Waiting,
    /// It has been woken and waits for a thread.
    Scheduled,
    /// It is being polled.
    Running {
        /// On which thread, where that could be told.
        place: Option<String>,
        /// For how long, at least; zero if it has not been noticed yet.
        at_least: Duration,
    },
}

impl Handle {
    /// Copies what is known of each live task, in no particular order.
    #[inline]
    pub fn tasks(&self) -> Vec<TaskInfo> {
        let shared = self.shared();
        let now = Instant::now();
        let polled = shared.polled_places();
        let mut tasks = Vec::new();
        shared
            .owned
            .for_each(|task| tasks.push(shared.describe(task, &polled, now)));
        tasks
    }
}

impl Shared {
    /// What every thread publishes as being polled.
    #[inline]
    fn polled_places(&self) -> Vec<(Place, Spot)> {
        let slots = (0..self.slots.used()).map(|slot| {
            // Relaxed: a snapshot of what changes all the time.
            let word = self.slots.get(slot).polling.load(Ordering::Relaxed);
            (Place(word), Spot::Slot(slot))
        });
        let seats = self.lane.seats().iter().enumerate().map(|(seat, line)| {
            // Relaxed: as above.
            (
                Place(line.polling.load(Ordering::Relaxed)),
                Spot::Lane(seat),
            )
        });
        slots.chain(seats).collect()
    }

    #[inline]
    fn describe(&self, task: task::TaskInfo, polled: &[(Place, Spot)], now: Instant) -> TaskInfo {
        let state = match task.phase {
            Phase::Idle => TaskState::Waiting,
            Phase::Scheduled => TaskState::Scheduled,
            Phase::Running => {
                let spot = self.spot_of(&task, polled);
                TaskState::Running {
                    place: spot.map(|spot| self.name_of(spot)),
                    at_least: spot.map_or(Duration::ZERO, |spot| {
                        self.stillness(spot).for_how_long(now)
                    }),
                }
            }
        };
        TaskInfo {
            id: task.id,
            state,
            age: task.age,
            polls: task.sampled_polls.saturating_mul(SAMPLE_INTERVAL.into()),
            busy: task.sampled_busy.saturating_mul(SAMPLE_INTERVAL),
            is_hog: task.conduct() & HOG != 0,
            location: task.location,
            name: task.name,
        }
    }

    /// Where a task is polled, if that can be told: a thread that has just polled it still publishes its word.
    #[inline]
    fn spot_of(&self, task: &task::TaskInfo, polled: &[(Place, Spot)]) -> Option<Spot> {
        let is_this = |(place, _): &&(Place, Spot)| place.is_same(Place(task.word));
        let mut spots = polled.iter().filter(is_this).map(|&(_, spot)| spot);
        let first = spots.next()?;
        if spots.next().is_none() {
            return Some(first);
        }
        // Somebody who lists the tasks from inside one knows at least where that is.
        let is_here = task::try_id() == Some(task.id);
        let lane = context::lane_poll().map(|poll| Spot::Lane(poll.seat));
        let own = lane.or_else(|| context::with_worker(|worker| Some(Spot::Slot(worker?.slot()))));
        own.filter(|_| is_here)
    }

    #[inline]
    fn stillness(&self, spot: Spot) -> &Stillness {
        match spot {
            Spot::Slot(slot) => &self.slots.get(slot).stillness,
            Spot::Lane(seat) => &self.lane.seats()[seat].stillness,
        }
    }
}
