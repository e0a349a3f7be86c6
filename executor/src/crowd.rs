//! Crowd: whether a second worker would only take the core from those whom the first one serves (`idle.md`, N6).
//!
//! Clients, a proxy, a database often run on the same machine as the program. While hardly a core is unused, one more worker that shares a batch has no core of its
//! own: it takes turns with them, batches get smaller, and all wait longer. Nothing inside the program shows that, so the watchman asks the system, once in a
//! [`WINDOW`] (proc(5)):
//!
//! - how long cores have been *unused* (`uptime`). Where that is more than two thirds of a core there is no crowd. (As much is left by two workers that hand work to and fro,
//!   and wait for each other and for the client);
//! - how long the workers' threads have *run*, and how long they have *waited* for a core since (`schedstat`). Two workers that have a core each wait for less than a tenth of the
//!   time; two that share two cores with a client wait for a seventh to nearly a half of it. In a crowd nobody waits, since one worker alone does everything;
//! - how many polls there were. A stranger on the machine looks like a client, but to leave the core to him makes no poll come sooner: if there are far fewer than before, sharing begins again.
//!
//! What comes of it changes who runs what a driver has woken in one batch, nothing else: what is spawned, woken by other tasks or injected is notified for as ever. At
//! worst one worker does alone for some windows what two could have done: those of a trial, which comes the seldomer the more of them went wrong. And what is found holds for [`PROVEN`] windows only: then it is tried anew.
//! Programs whose workers get more than one core and a half are left alone. If polls become fewer at once and the one worker waits though it is alone, strangers have the cores, and the next trial is far.
//!
//! The same numbers tell the watchman how many others a worker takes turns with, and so how long a thread may have waited for its core that seems stuck (R0 in `rescue.md`).
//!
//! **Cost.** A relaxed load for each batch of 5 µs and more (and one of the hog lane's count). On the reactor thread of a multi-thread runtime 6 µs a window; while hardly a core is unused or a crowd is found, some 6 more for each worker, up to [`ASK`] of them. (A file is opened and read
//! for each, and its name is allocated.)

use crate::idle::Cores;
use crate::report::{CoreTime, Probe};
use crate::scheduler::{Flavor, Shared};
use crate::sync::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long is measured before something is decided: the system counts unused cores in steps of 10 ms, and threads need some milliseconds to find their cores.
const WINDOW: Duration = Duration::from_millis(50);
/// After so long without a look the watchman has slept, since there was nothing to do.
const ASLEEP: Duration = Duration::from_millis(200);
/// So many windows in a row must be crowded.
const CROWDED: u32 = 2;
/// So many windows it may take until the others have found nothing to do and sleep: one that has work when sharing ends steals more of it now and then.
const SETTLE: u32 = 4;
/// After so many it shows that strangers take the core: what is done is less, and the one worker waits.
const STRANGE: u32 = 2;
/// So many windows after these show whether it was right.
const TRIAL: u32 = 3;
/// What was found then holds for so many windows, 5 s: the program and its neighbours change.
const PROVEN: u32 = 100;
/// Windows until the next trial, after the first that went wrong and at most: a trial that takes half of the speed for seven windows costs one in sixty.
const PAUSE: (u32, u32) = (4, 200);
/// The same, if strangers were the reason: they compute on as a rule.
const STRANGERS: u32 = 20;
/// How long a thread keeps its core while others want it, about: 1.4 to 3 ms by the number of cores and the kernel (the base slice of Linux), to the next tick.
const SLICE: Duration = Duration::from_millis(4);
/// What was told holds for so many windows in which it cannot be told, since threads have changed or did little.
const UNTOLD: u32 = 4;
/// More others than this do not count: a poll that lasts is noticed, whatever the machine does besides.
const MOST: u32 = 8;
/// So many workers are asked.
const ASK: usize = 64;

/// Whether there is no core for a second worker.
#[derive(Debug)]
pub(crate) struct Crowd {
    /// What the watchman has found.
    is_crowded: AtomicBool,
}

impl Crowd {
    pub(crate) fn new() -> Crowd {
        Crowd {
            is_crowded: AtomicBool::new(false),
        }
    }

    /// N6. Whether a worker keeps what its driver has woken, unless it is very much.
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        // Relaxed: advice.
        self.is_crowded.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// N6. Whether there are cores for other workers.
    pub(crate) fn cores(&self) -> Cores {
        if self.crowd.is_crowded() {
            Cores::Crowded
        } else if self.lane.is_busy() {
            Cores::Hogs
        } else {
            Cores::Free
        }
    }
}

/// The watchman's memory of all this.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Since when the window has lasted.
    since: Instant,
    /// What the counters were then.
    before: Counts,
    /// What is decided with it.
    rule: Rule,
    /// How many others each worker took turns with.
    others: u32,
    /// For how many windows in a row that could not be told.
    untold: u32,
}

/// Counters as the system and the slots tell them.
#[derive(Debug, Default)]
struct Counts {
    /// The threads of the workers that were asked, and how they got on.
    threads: Vec<(u64, CoreTime)>,
    /// How long cores have been unused.
    unused: Duration,
    /// How many polls there have been.
    polls: u64,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Meter {
        Meter {
            since: now,
            before: Counts::default(),
            rule: Rule::default(),
            others: 0,
            untold: 0,
        }
    }

    /// For how long a thread that could run may have waited for a core, besides: a slice for each of those that it takes turns with.
    pub(crate) fn wait(&self) -> Duration {
        SLICE * self.others
    }

    /// Closes a window if it is time, and decides.
    pub(crate) fn look(&mut self, shared: &Shared, now: Instant) {
        let length = now.saturating_duration_since(self.since);
        if length < WINDOW || shared.config.flavor != Flavor::MultiThread {
            return;
        }
        let was_crowded = self.rule.is_crowded;
        let probed = (shared.config.probe).and_then(|probe| self.window(shared, probe, length));
        self.since = now;
        let is_full = probed.as_ref().is_some_and(Window::is_full) && length < ASLEEP;
        let others = probed.as_ref().and_then(Window::others);
        self.untold = match others {
            Some(_) => 0,
            None => self.untold.saturating_add(1),
        };
        if !is_full || self.untold > UNTOLD {
            self.others = 0;
        } else {
            self.others = others.unwrap_or(self.others);
        }
        let is_crowded = match probed {
            // Beside hogs the workers wait for another reason.
            Some(window)
                if length < ASLEEP && shared.config.workers > 1 && !shared.lane.is_busy() =>
            {
                self.rule.next(&window)
            }
            _ => self.rule.turn(false),
        };
        shared.crowd.is_crowded.store(is_crowded, Ordering::Relaxed);
        // Somebody may have kept much of what others can do now.
        if was_crowded && !is_crowded && shared.has_work() {
            shared.notify();
        }
    }

    /// What happened since the last look; `None` if the system does not tell.
    fn window(&mut self, shared: &Shared, probe: Probe, length: Duration) -> Option<Window> {
        let mut before = std::mem::take(&mut self.before);
        let now = &mut self.before;
        now.unused = (probe.unused)()?;
        // Relaxed, here and below: counters; the thread is written when it takes the slot.
        now.polls = (0..shared.slots.used())
            .map(|slot| shared.slots.get(slot).epoch.load(Ordering::Relaxed))
            .sum();
        let mut window = Window {
            length,
            ran: Duration::ZERO,
            waited: Duration::ZERO,
            unused: now.unused.saturating_sub(before.unused),
            polls: now.polls.saturating_sub(before.polls),
        };
        if !window.is_full() && !self.rule.is_crowded {
            // How the threads get on does not matter.
            return Some(window);
        }
        let guests = shared.config.guest_slots();
        let workers = (shared.slots.live_from(0)).filter(|slot| !guests.contains(slot));
        now.threads = workers
            .take(ASK)
            .map(|slot| shared.slots.get(slot).thread.load(Ordering::Relaxed))
            .filter_map(|thread| Some((thread, (probe.core_time)(thread)?)))
            .collect();
        if now.threads.is_empty() {
            return None;
        }
        window.add(&now.threads, &mut before.threads);
        Some(window)
    }
}

/// What happened in a window.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// How long it was.
    length: Duration,
    /// How long the workers ran.
    ran: Duration,
    /// How long they waited for a core.
    waited: Duration,
    /// How long cores were unused.
    unused: Duration,
    /// How many polls there were.
    polls: u64,
}

impl Window {
    /// Adds how the threads got on from `before` to `now`.
    fn add(&mut self, now: &[(u64, CoreTime)], before: &mut [(u64, CoreTime)]) {
        before.sort_unstable_by_key(|(thread, _)| *thread);
        for (thread, now) in now {
            // A thread that was not there before tells nothing yet.
            if let Ok(at) = before.binary_search_by_key(thread, |(thread, _)| *thread) {
                let then = before[at].1;
                self.ran += now.ran.saturating_sub(then.ran);
                self.waited += now.waited.saturating_sub(then.waited);
            }
        }
    }

    /// Whether no more was unused than what two workers leave that hand work to and fro.
    fn is_full(&self) -> bool {
        self.unused * 3 <= self.length * 2
    }

    /// How many others, at most, each worker took turns with for most of the time; `None` if too few were there to tell.
    fn others(&self) -> Option<u32> {
        if (self.ran + self.waited) * 4 < self.length {
            return None;
        }
        if !self.has_waited() {
            return Some(0);
        }
        let others = self.waited.as_nanos().div_ceil(self.ran.as_nanos().max(1));
        Some(u32::try_from(others).map_or(MOST, |others| others.min(MOST)))
    }

    /// Whether the workers waited for a ninth of the time in which they wanted to run.
    fn has_waited(&self) -> bool {
        self.waited * 8 >= self.ran
    }

    /// Whether they waited for a fifth of it, though no core was unused that they could have been moved to.
    fn is_late(&self) -> bool {
        self.waited * 4 >= self.ran && self.unused * 8 <= self.length
    }

    /// Whether the workers had enough to do for one of them and got no more than one core and a half.
    fn is_for_one(&self) -> bool {
        (self.ran + self.waited) * 4 >= self.length * 3 && self.ran * 2 <= self.length * 3
    }
}

/// Polls in a time.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    polls: u64,
    time: Duration,
}

impl Rate {
    fn add(&mut self, window: &Window) {
        self.polls += window.polls;
        self.time += window.length;
    }

    /// Whether this is less than four fifths of `before`: a tenth is noise.
    fn is_less_than(&self, before: &Rate) -> bool {
        let per = |rate: &Rate, other: &Rate| u128::from(rate.polls) * other.time.as_nanos();
        per(self, before) * 5 < per(before, self) * 4
    }
}

/// When sharing ends and when it begins again.
#[derive(Debug)]
struct Rule {
    /// Whether it has ended.
    is_crowded: bool,
    /// Windows in a row since then; while batches are shared, windows in a row that were crowded.
    windows: u32,
    /// What was done in these.
    rate: Rate,
    /// What was done before sharing ended.
    before: Rate,
    /// Windows until it may end.
    pause: u32,
    /// How many these will be after the next trial that goes wrong.
    next_pause: u32,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule {
            is_crowded: false,
            windows: 0,
            rate: Rate::default(),
            before: Rate::default(),
            pause: 0,
            next_pause: PAUSE.0,
        }
    }
}

impl Rule {
    /// What holds after `window`: whether it is crowded.
    fn next(&mut self, window: &Window) -> bool {
        if self.is_crowded {
            self.stay(window)
        } else {
            self.enter(window)
        }
    }

    fn enter(&mut self, window: &Window) -> bool {
        self.pause = self.pause.saturating_sub(1);
        if !window.is_full() || !window.is_for_one() || !window.has_waited() {
            return self.turn(false);
        }
        self.windows = self.windows.saturating_add(1);
        self.rate.add(window);
        if self.windows < CROWDED || self.pause > 0 {
            return false;
        }
        self.before = self.rate;
        self.turn(true)
    }

    fn stay(&mut self, window: &Window) -> bool {
        self.windows += 1;
        let is_settled = self.windows > SETTLE;
        if self.windows == SETTLE + 1 {
            self.rate = Rate::default();
        }
        self.rate.add(window);
        let is_less = self.rate.is_less_than(&self.before);
        let is_slower = self.windows == SETTLE + TRIAL && is_less;
        // Whoever has the core instead does not wait for us. (Two workers that both still run would wait for each other.)
        let is_alone = (window.ran + window.waited) * 4 <= window.length * 5;
        let is_strange = self.windows == STRANGE && is_less && is_alone && window.is_late();
        if is_strange {
            self.next_pause = self.next_pause.max(STRANGERS);
        }
        // Another one would have had a core, and something to do.
        let is_missed = !window.is_full() && window.ran * 4 >= window.length * 3;
        if is_strange || is_slower || is_missed || (is_settled && window.is_late()) {
            self.fail();
        } else if self.windows == PROVEN {
            self.next_pause = PAUSE.0;
        }
        self.turn(self.pause == 0 && window.is_full() && self.windows < PROVEN)
    }

    /// The trial went wrong.
    fn fail(&mut self) {
        self.pause = self.next_pause;
        self.next_pause = (self.next_pause * 2).min(PAUSE.1);
    }

    /// What holds now. What was counted is forgotten if that is something new.
    fn turn(&mut self, is_crowded: bool) -> bool {
        if !(is_crowded && self.is_crowded) {
            if self.is_crowded && self.windows < SETTLE + TRIAL && self.pause == 0 {
                // It ended before it could be known.
                self.fail();
            }
            self.is_crowded = is_crowded;
            self.windows = 0;
            self.rate = Rate::default();
        }
        is_crowded
    }
}

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
