//! What an executor is made with, and how many slots that makes.

use super::{Handle, Shared};
use crate::report::{Probe, SlowPolls};
use crate::rescue::Rescue;
use crate::sync::scaled;
use crate::task::contain;
use crate::{blocking, context};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How many spare slots stand by for workers that are stuck or inside `block_in_place`. Beyond that, a worker that blocks is not replaced.
const SPARES: usize = scaled(Rescue::MAX_SPARES, 2);
/// How many threads may be guests at the same time; further ones block without running tasks.
const GUESTS: usize = scaled(8, 1);

/// Which threads run the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// Worker threads of the runtime's own.
    MultiThread,
    /// The thread inside `block_on`, and only while it is there.
    CurrentThread,
}

/// Called on a thread of the runtime at a certain point of its life.
pub type Hook = Arc<dyn Fn() + Send + Sync>;
/// Called around everything that a thread of the runtime does.
pub type Around = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;
/// Names the next thread.
pub type NameThread = Arc<dyn Fn() -> String + Send + Sync>;

/// What an executor is made with.
pub struct Config {
    /// Which threads run the tasks.
    pub flavor: Flavor,
    /// The number of workers; 1 for [`Flavor::CurrentThread`].
    pub workers: usize,
    /// Whether a thread inside `block_on` runs tasks of its root.
    pub guest: bool,
    /// A busy worker looks at the driver every so many ticks.
    pub event_interval: u32,
    /// A worker looks at the injector first every so many ticks.
    pub injector_interval: u32,
    /// Whether a woken task may run next, before those that wait longer.
    pub lifo_slot: bool,
    /// Names each thread as it starts.
    pub thread_name: NameThread,
    /// The stack of each thread in bytes; std's default if `None`.
    pub stack_size: Option<usize>,
    /// How long an idle thread of the blocking pool, or a spare, lives.
    pub keep_alive: Duration,
    /// The most threads that the blocking pool may have.
    pub max_blocking: usize,
    /// How stuck workers are replaced; `None`: not at all. Only for [`Flavor::MultiThread`].
    pub rescue: Option<Rescue>,
    /// When and how slow polls are reported.
    pub slow_polls: SlowPolls,
    /// Tells the number of this process, by which a forked child is known; asked before each `block_on`, before a thread is started, and at the shutdown. `std::process::id`
    /// does, for a system call.
    pub process_id: fn() -> u32,
    /// How to learn what another thread is doing, if that can be known.
    pub probe: Option<Probe>,
    /// Runs at the start of each thread.
    pub on_thread_start: Option<Hook>,
    /// Runs at the end of each thread.
    pub on_thread_stop: Option<Hook>,
    /// Runs before a worker sleeps.
    pub on_thread_park: Option<Hook>,
    /// Runs after a worker slept.
    pub on_thread_unpark: Option<Hook>,
    /// Runs around each thread, once it knows its handle.
    pub around: Option<Around>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("flavor", &self.flavor)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The number of slots, and so of timer shards and parkers, that an executor with this configuration has.
    pub fn slots(&self) -> usize {
        let (workers, spares, guests) = self.layout();
        workers + spares + guests
    }

    /// The slots of guests; none on the current-thread flavor, whose only thread does everything.
    pub fn guest_slots(&self) -> Range<usize> {
        let (workers, _, guests) = self.layout();
        match self.flavor {
            Flavor::MultiThread => workers..workers + guests,
            Flavor::CurrentThread => 0..0,
        }
    }

    /// Slots for workers, for spares, for threads inside `block_on`.
    pub(super) fn layout(&self) -> (usize, usize, usize) {
        match self.flavor {
            Flavor::MultiThread => (self.workers, SPARES, if self.guest { GUESTS } else { 0 }),
            Flavor::CurrentThread => (0, 0, 1),
        }
    }

    /// What the pool for blocking work is made with; its threads are members of the executor.
    pub(super) fn blocking(&self, me: &Weak<Shared>) -> blocking::Config {
        let me = me.clone();
        let around = self.around.clone();
        blocking::Config {
            max_threads: self.max_blocking,
            keep_alive: self.keep_alive,
            name: Arc::clone(&self.thread_name),
            stack_size: self.stack_size,
            on_start: self.on_thread_start.clone(),
            on_stop: self.on_thread_stop.clone(),
            around: Arc::new(move |body: &mut dyn FnMut()| {
                let shared = me.upgrade();
                let _member = shared.as_ref().map(context::set_member);
                let _entered = shared.map(|shared| Handle { shared }.enter());
                match &around {
                    Some(around) => around(body),
                    None => body(),
                }
            }),
            ..blocking::Config::default()
        }
    }
}

/// Calls a user's hook; its panic has been reported by the panic hook and ends there.
pub(crate) fn call_hook(hook: &Option<Hook>) {
    if let Some(hook) = hook {
        let _ = contain(|| hook());
    }
}
