//! What happens around a poll that lasts too long: who takes over, where the task goes, what is known of it.
//!
//! The watchman (`watchman.rs`) finds such a poll; `threads.rs` counts who is active, `lane.rs` is the queue for the tasks that were caught. This
//! file connects them.
#![doc = include_str!("rescue.md")]

use crate::budget;
use crate::context::{self, LanePoll};
use crate::lane::{self, Help, Next};
use crate::report::{Spot, Still};
use crate::scheduler::{Flavor, Handle, Shared, call_hook};
use crate::slots::Seat;
use crate::sync::{Ordering, now, os_thread};
use crate::task::{Place, Polled, Reason, Runnable, contain};
use crate::threads::ThreadMain;
use crate::worker::{self, HOG, ONE_SHORT, POLLED, SAMPLE_INTERVAL, SHORT_POLLS, STAMPED};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many tasks may carry a time stamp at a time; far more than there are threads that stamp.
const STAMPS: usize = 256;

/// How stuck workers are replaced.
#[derive(Debug, Clone, Copy)]
pub struct Rescue {
    /// How long a poll lasts before others take over.
    pub threshold: Duration,
    /// How many workers may be replaced at a time; and how many threads the lane may have on top of its width.
    pub spares: usize,
    /// How many threads of the hog lane may compute at a time; 0 for no lane.
    pub lane: usize,
}

impl Rescue {
    /// The usual threshold. Longer than almost every poll of a well-behaved task, shorter than what a person, or a 5 ms hog's neighbour,
    /// notices.
    pub const THRESHOLD: Duration = Duration::from_millis(2);
    /// The usual number of spares: how many tasks that block for the first time at the same time are survived. A thread that blocks costs its stack,
    /// so this is about blocked users, not about cores.
    pub const SPARES: usize = 64;
    /// The most spares.
    pub const MAX_SPARES: usize = 128;
}

/// When a task with a time stamp was scheduled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    /// The place of the task in its list.
    place: Place,
    /// The time.
    at: Instant,
}

/// Spares.
impl Shared {
    /// R3: hands a free slot to a spare thread, if fewer are active than there should be.
    pub(crate) fn add_spare(self: &Arc<Self>) {
        // Active from now on, not only when it has woken up.
        if !self.threads.call_up(self.config.workers) {
            return;
        }
        let Some(slot) = self.slots.take(Seat::Worker) else {
            self.threads.call_off();
            return;
        };
        if self.threads.hand_to_spare(slot) {
            return;
        }
        if worker::start_thread(self, slot).is_ok() {
            // Relaxed: a counter.
            self.counters.spares_started.fetch_add(1, Ordering::Relaxed);
        } else {
            // No thread to be had, but one may have come back meanwhile.
            if self.threads.hand_to_spare(slot) {
                return;
            }
            // The others go on with one worker fewer until one is back.
            self.threads.call_off();
            self.slots.give_back(slot, Seat::Worker);
        }
    }

    /// Whether the poll of a report goes on.
    pub(crate) fn lasts(&self, still: Still) -> bool {
        // Relaxed: compared with an earlier value.
        let epoch = match still.at {
            Spot::Slot(slot) => self.slots.get(slot).epoch.load(Ordering::Relaxed),
            Spot::Lane(seat) => self.lane.seats()[seat].epoch.load(Ordering::Relaxed),
        };
        epoch == still.epoch
    }
}

/// The hog lane.
impl Shared {
    /// Takes a task that carries the mark where it belongs.
    #[cold]
    pub(crate) fn push_hog(self: &Arc<Self>, task: Runnable) {
        if task.is_cancelled() {
            // To drop a future is no poll: that does not wait behind other hogs.
            self.inject(task);
            return;
        }
        match self.lane.push(task) {
            Ok(help) => self.help_lane(help),
            Err(task) => self.inject(task),
        }
    }

    /// Gives the help that the lane has asked for.
    pub(crate) fn help_lane(self: &Arc<Self>, help: Help) {
        match help {
            Help::Enough => {}
            Help::Notify => self.lane.notify(),
            Help::Start(seat) => {
                if self.start_lane_thread(seat).is_err() {
                    // If there is no thread at all, workers must do.
                    for task in self.lane.not_started(seat) {
                        self.inject(task);
                    }
                }
            }
        }
    }

    fn start_lane_thread(self: &Arc<Self>, seat: usize) -> io::Result<()> {
        let owned = Arc::clone(self);
        self.start_member(Box::new(move || {
            call_hook(&owned.config.on_thread_start);
            owned.serve_lane(seat);
            call_hook(&owned.config.on_thread_stop);
        }))
    }

    /// The body of a thread of the lane.
    fn serve_lane(self: &Arc<Self>, seat: usize) {
        let line = &self.lane.seats()[seat];
        let id = self.config.probe.map_or(0, |probe| (probe.id)());
        // Relaxed: for reports only.
        line.thread.store(id, Ordering::Relaxed);
        let _polling = context::set_polling(true);
        let mut sample_in = SAMPLE_INTERVAL;
        while let Next::Poll(task, help) = self.lane.next(seat, self.config.keep_alive) {
            self.help_lane(help);
            let word = task.word();
            if Place(word).conduct() & STAMPED != 0 {
                self.take_stamp(&task);
            }
            // Relaxed: a counter. Before the poll, so that the task itself sees it counted.
            self.counters.lane_polls.fetch_add(1, Ordering::Relaxed);
            self.lane.begin(seat, word);
            self.park.activated();
            let start = now();
            context::set_lane_poll(Some(LanePoll {
                seat,
                started: start,
            }));
            let polled = budget::with(|| task.run());
            context::set_lane_poll(None);
            self.lane.end(seat);
            sample_in -= 1;
            if sample_in == 0 {
                sample_in = SAMPLE_INTERVAL;
                let busy = now().duration_since(start);
                // The low digits of a duration are as random as an estimate needs.
                self.sample(
                    word,
                    polled,
                    busy,
                    busy.subsec_nanos().wrapping_mul(0x9E37_79B9),
                );
            }
        }
        if self.is_closing() {
            // A hog that came back after the injector was drained must not wait for the last thread to end.
            self.drain_injector();
        }
    }

    /// What a poll that was not ready says about its task: called while the thread that polled still has the task.
    #[cold]
    pub(crate) fn judge(&self, task: &Runnable) {
        if task.conduct() & POLLED == 0 {
            task.add_conduct(POLLED);
            task.set_born();
        }
        if task.conduct() & HOG == 0 {
            return;
        }
        // Not in the lane: it was marked in this very poll.
        let Some(LanePoll { started, .. }) = context::lane_poll() else {
            return;
        };
        if now().duration_since(started) >= lane::SHORT {
            task.remove_conduct(SHORT_POLLS);
            return;
        }
        let count = (task.conduct() & SHORT_POLLS) / ONE_SHORT + 1;
        task.remove_conduct(SHORT_POLLS);
        if count < lane::SHORT_POLLS {
            task.add_conduct(count * ONE_SHORT);
        } else {
            task.remove_conduct(HOG);
            // Relaxed: a counter.
            self.counters.hog_returns.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Shutdown: the tasks that wait in the lane are dropped, and its threads end.
    pub(crate) fn close_lane(&self) {
        for task in self.lane.close() {
            task.cancel(Reason::Cancelled);
        }
    }
}

/// Samples.
impl Shared {
    /// Notes when a task was scheduled.
    #[cold]
    pub(crate) fn stamp(&self, task: &Runnable) {
        let mut stamps = self.stamps.lock();
        if stamps.len() < STAMPS && task.conduct() & STAMPED == 0 {
            task.add_conduct(STAMPED);
            stamps.push(Stamp {
                place: Place(task.word()),
                at: now(),
            });
        }
    }

    /// Notes how long a task with a stamp has waited to be polled.
    #[cold]
    pub(crate) fn take_stamp(&self, task: &Runnable) {
        task.remove_conduct(STAMPED);
        let place = Place(task.word());
        let mut stamps = self.stamps.lock();
        if let Some(at) = stamps.iter().position(|stamp| stamp.place.is_same(place)) {
            let waited = now().duration_since(stamps.swap_remove(at).at);
            drop(stamps);
            self.counters.schedule_latency.record(waited);
        }
    }

    /// Notes how long a poll took.
    #[cold]
    pub(crate) fn sample(&self, word: u64, polled: Polled, busy: Duration, random: u32) {
        self.counters.poll_time.record(busy);
        if matches!(polled, Polled::Pending | Polled::Yielded) {
            self.owned.sample(word, busy, random);
        }
    }
}

/// Threads of the runtime's own.
impl Shared {
    /// Starts a thread that is a member, knows its handle, and runs `body` inside what the facade puts around it. (Boxed, so that
    /// programs have all that is about starting a thread once, and not for each kind of thread.)
    pub(crate) fn start_member(self: &Arc<Self>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        if self.is_forked() {
            // The child must not poll the parent's tasks.
            return Err(io::Error::other("the process is a fork of the runtime's"));
        }
        let name = self.name_thread();
        let mut builder = os_thread::Builder::new().name(name);
        if let Some(stack_size) = self.config.stack_size {
            builder = builder.stack_size(stack_size);
        }
        let shared = Arc::clone(self);
        let main: ThreadMain = Box::new(move || shared.member_main(body));
        let started = self.threads.start(builder, main);
        started.inspect_err(|_| {
            // Who waited for the members may have given up meanwhile: then the last one finishes, and that may be us.
            self.threads.join();
            if self.threads.leave() {
                self.finish_shutdown();
            }
        })
    }

    /// The name of the next thread.
    ///
    /// The user's function says so, but not to the reactor thread, nor to a thread that only wakes a task: these must not wait for what it may wait
    /// for. They give a name that was asked for when the runtime started.
    fn name_thread(&self) -> String {
        let before = self.spare_name.lock().clone();
        if let Some(name) = before.filter(|_| !context::is_member(self)) {
            return name;
        }
        // std takes no zero byte.
        contain(|| (self.config.thread_name)().replace('\0', "")).unwrap_or_default()
    }

    /// Asks for a name now, for a thread that may have to be started in an emergency.
    pub(crate) fn keep_name(&self) {
        let name = self.name_thread();
        *self.spare_name.lock() = Some(name);
    }

    fn member_main(self: &Arc<Self>, body: Box<dyn FnOnce() + Send>) {
        /// Ends the membership, whatever happens; the shutdown waits for it.
        struct Leave<'a>(&'a Shared);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                if self.0.threads.leave() {
                    self.0.finish_shutdown();
                }
            }
        }

        let _entered = Handle::from_shared(Arc::clone(self)).enter();
        let _member = context::set_member(self);
        let mut body = Some(body);
        let mut inside = || {
            // Inside the context: what is dropped at the end may spawn.
            let _leave = Leave(self);
            if let Some(body) = body.take() {
                body();
            }
        };
        match &self.config.around {
            Some(around) => around(&mut inside),
            None => inside(),
        }
    }
}

/// Names.
impl Shared {
    /// What a thread at `spot` is called in reports and metrics.
    pub(crate) fn name_of(&self, spot: Spot) -> String {
        let guests = self.config.guest_slots();
        match spot {
            Spot::Lane(seat) => format!("lane {seat}"),
            Spot::Slot(_) if self.config.flavor == Flavor::CurrentThread => "current thread".into(),
            Spot::Slot(slot) if slot < self.config.workers => format!("worker {slot}"),
            Spot::Slot(slot) if guests.contains(&slot) => format!("guest {}", slot - guests.start),
            Spot::Slot(slot) => format!("spare {}", slot - guests.end),
        }
    }
}
