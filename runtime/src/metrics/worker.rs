//! What each thread that runs tasks has done.

use std::fmt;
use std::time::Duration;

/// What a thread that runs tasks has done, and what it was doing; see [`RuntimeMetrics::workers`](super::RuntimeMetrics::workers).
#[derive(Debug, Clone)]
pub struct WorkerMetrics(pub(super) executor::WorkerMetrics);

/// What a thread that runs tasks was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerState {
    /// There was none at that moment; or it was a guest's, and asleep.
    Absent,
    /// It slept for want of work.
    Parked,
    /// It ran tasks, or looked for some.
    Awake,
    /// It had been inside one poll for longer than [`rescue_threshold`](crate::Builder::rescue_threshold).
    Stuck,
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            WorkerState::Absent => "absent",
            WorkerState::Parked => "parked",
            WorkerState::Awake => "awake",
            WorkerState::Stuck => "stuck",
        })
    }
}

impl WorkerMetrics {
    /// Returns what it is called: "worker 0", "guest 0", "spare 3", "current thread". Reports of slow polls and the
    /// list of tasks use the same names.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns what it was doing.
    pub fn state(&self) -> WorkerState {
        match self.0.state {
            executor::WorkerState::Absent => WorkerState::Absent,
            executor::WorkerState::Parked => WorkerState::Parked,
            executor::WorkerState::Awake => WorkerState::Awake,
            executor::WorkerState::Stuck => WorkerState::Stuck,
        }
    }

    /// Returns how many polls it has begun. Looks at the root of a `block_on`, and times of waking tasks for I/O and
    /// timers, count too.
    ///
    /// *Much higher than the work that is done*: tasks are woken for nothing, or do too little in a poll.
    pub fn polls(&self) -> u64 {
        self.0.polls
    }

    /// Returns how long it was awake, in all: from the end of one sleep to the beginning of the next. What has not
    /// ended yet counts up to the worker's last look for I/O, so a poll that lasts is not in it.
    ///
    /// *Near to the time that has passed*: the worker is at its limit. On all workers, the runtime is.
    pub fn busy(&self) -> Duration {
        self.0.busy
    }

    /// Returns how often it went to sleep.
    ///
    /// *High beside the polls*: work comes in drops, each of which pays for a sleep and a wake-up (5 to 50 µs). That is
    /// no harm but to latency and to the CPU's time; fewer workers, or larger batches, would help.
    pub fn parks(&self) -> u64 {
        self.0.parks
    }

    /// Returns how often it took tasks from another's queue.
    ///
    /// *High*: work begins on few workers and is spread by stealing. That is its purpose; if it costs too much, spawn
    /// where the work is.
    pub fn steals(&self) -> u64 {
        self.0.steals
    }

    /// Returns how many tasks it took from others' queues.
    pub fn stolen_tasks(&self) -> u64 {
        self.0.stolen
    }

    /// Returns how many tasks it ran from its LIFO slot: those that the task before had woken.
    ///
    /// *High*: tasks wake each other in chains; the data is still in the cache. Nothing is wrong.
    pub fn lifo_hits(&self) -> u64 {
        self.0.lifo_hits
    }

    /// Returns how many tasks it took out of others' LIFO slots.
    ///
    /// *High*: tasks go on computing after they have woken others, who would otherwise wait for them.
    pub fn lifo_steals(&self) -> u64 {
        self.0.lifo_steals
    }

    /// Returns how many tasks it took from the injector: those that other threads spawned or woke.
    ///
    /// *High beside the polls*: most wake-ups come from outside the workers, each through a queue that all share. If
    /// the other threads are yours, let them send in batches.
    pub fn injected_tasks(&self) -> u64 {
        self.0.injected
    }

    /// Returns how often it looked for I/O and timers without sleeping: because it had been busy for long, every 61 polls, or some 200 µs if polls take long; and instead of
    /// sleeping, where events are there as soon as it has run what the last ones woke.
    ///
    /// *High beside the times of sleeping*: the worker is at its limit.
    pub fn driver_looks(&self) -> u64 {
        self.0.looks
    }

    /// Returns how many tasks waited in its queue.
    ///
    /// *High*: there is more to do than the workers can, or they are stuck. On one worker only, and for longer: the
    /// others should have stolen; look at its state. On a guest, the thread inside `block_on`: what its root has spawned, while all workers are busy.
    pub fn queue_depth(&self) -> usize {
        self.0.depth
    }
}
