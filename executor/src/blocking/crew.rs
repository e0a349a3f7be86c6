//! Who serves the pool: what its threads agree on, without the locks and the threads themselves.
//!
//! A [`Crew`] decides who is to come ([`help`](Crew::help)), [`Pace`] whether one more hand is of use, [`Spinning`]
//! whether a thread looks out for a job for some microseconds before it sleeps. The words and the protocol are in
//! `blocking.md`. Nothing here locks, waits or starts a thread, so all of it costs a few instructions.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Config;
use crate::sync::{AtomicU8, Condvar, Ordering, bug, thread};
use crate::task::{Id, Runnable};

/// After a thread could not be started: how often help is asked for in vain before the next attempt, as long as there
/// are other threads. A failed attempt costs about as much as a hundred submits.
pub(super) const PATIENCE: u32 = 64;

/// Jobs shorter than this are not worth a further thread: to wake one and let it sleep again costs about as much CPU time,
/// to start one twice that.
pub(super) const SHORT: Duration = Duration::from_micros(10);

/// After a spin in vain, so many idle threads in a row go to sleep at once; twice as many and one after the next one, up to this.
const SPIN_PAUSE: u32 = 63;

/// A thread's place in the pool.
pub(super) struct Seat {
    /// The thread's number.
    pub(super) number: u64,
    /// AWAKE, ASLEEP or CHOSEN. Written under the crew's lock; read without it only by a spinning owner.
    phase: AtomicU8,
    /// Where the thread sleeps, with the crew's lock.
    pub(super) bed: Condvar,
}

/// The thread serves, or spins before it sleeps.
const AWAKE: u8 = 0;
/// It sleeps, or is about to, under the lock.
const ASLEEP: u8 = 1;
/// It is on its way.
const CHOSEN: u8 = 2;

impl Seat {
    /// The seat of a thread that begins to serve.
    pub(super) fn new(number: u64) -> Arc<Seat> {
        Arc::new(Seat {
            number,
            phase: AtomicU8::new(AWAKE),
            bed: Condvar::new(),
        })
    }

    /// Whether this thread is to come.
    pub(super) fn is_chosen(&self) -> bool {
        // Relaxed: all that matters was written under the lock, which a spinning owner takes next.
        self.phase.load(Ordering::Relaxed) == CHOSEN
    }

    /// Says under the lock that the thread is about to sleep, if it is not chosen.
    pub(super) fn falls_asleep(&self) {
        if !self.is_chosen() {
            self.lies_down();
        }
    }

    /// Says under the lock that the thread, which is not chosen, is about to sleep.
    pub(super) fn lies_down(&self) {
        // Relaxed: under the lock.
        self.phase.store(ASLEEP, Ordering::Relaxed);
    }
}

/// A job that has begun, for a report.
pub(super) struct Begun {
    /// The job.
    id: Id,
    /// What the user calls it.
    name: Option<Box<str>>,
    /// Who spawned it.
    location: &'static Location<'static>,
}

impl Begun {
    /// Notes who `job` is.
    fn new(job: &Runnable) -> Begun {
        Begun {
            id: job.id(),
            name: job.name().map(Box::from),
            location: job.location(),
        }
    }
}

impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocking job {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, " (spawned at {})", self.location)
    }
}

/// Everything about the threads of a pool, and the jobs that they have let in.
pub(super) struct Crew {
    /// Jobs that have been let in and have not begun, the oldest first.
    pub(super) queue: VecDeque<Runnable>,
    /// The most threads.
    max_threads: usize,
    /// The most threads on their way.
    max_on_the_way: usize,
    /// Threads that will look at the queue again: all but those that retire.
    pub(super) threads: usize,
    /// Threads that wait and have not been chosen; the last one was the last to come.
    idle: Vec<Arc<Seat>>,
    /// Threads that have been chosen or started and have not looked at the queue yet.
    pub(super) on_the_way: usize,
    /// The idle thread that looks after a queue of short jobs.
    pub(super) lookout: Option<u64>,
    /// Threads whose function has not ended, retiring ones included: what a shutdown waits for.
    pub(super) alive: usize,
    /// Requests for help to pass over since a thread could not be started.
    patience: u32,
    /// The job that each thread runs. The threads share out the places.
    begun: Vec<Option<Begun>>,
    /// Places in `begun` that no thread has.
    free_places: Vec<usize>,
    /// Jobs that are over: run, or cancelled before they began.
    pub(super) jobs_finished: u64,
    /// Threads that have begun to run.
    pub(super) threads_started: u64,
    /// Threads that the system refused.
    pub(super) threads_refused: u64,
    /// Whether the pool ends.
    pub(super) is_closed: bool,
    /// The number of the newest thread.
    newest: u64,
    /// The threads with their numbers, to be joined. `None` is for a thread that ended before its starter came here. Searched
    /// from end to end, once when a thread starts and once when it retires.
    pub(super) handles: Vec<(u64, Option<thread::JoinHandle<()>>)>,
    /// The threads that are alive, to know a thread of this pool when it asks for the shutdown.
    pub(super) ids: Vec<thread::ThreadId>,
    /// How fast the queue is served.
    pub(super) pace: Pace,
    /// Whether idle threads spin.
    pub(super) spinning: Spinning,
}

/// What a caller has to do once it has unlocked.
#[must_use]
pub(super) enum Help {
    /// Nothing.
    Enough,
    /// Notify the thread of this seat.
    Notify(Arc<Seat>),
    /// Start a thread, of this number.
    Start(u64),
    /// There is nobody to help, and it is too early to try to start a thread again: the next submitter is to ask.
    AskAgain,
}

impl Crew {
    /// Nobody, and nothing to do.
    pub(super) fn new(config: &Config) -> Crew {
        Crew {
            queue: VecDeque::new(),
            max_threads: config.max_threads,
            max_on_the_way: config.max_on_the_way,
            threads: 0,
            idle: Vec::new(),
            on_the_way: 0,
            lookout: None,
            alive: 0,
            patience: 0,
            begun: Vec::new(),
            free_places: Vec::new(),
            jobs_finished: 0,
            threads_started: 0,
            threads_refused: 0,
            is_closed: false,
            newest: 0,
            handles: Vec::new(),
            ids: Vec::new(),
            pace: Pace::new(config.hands),
            spinning: Spinning::new(!config.spin.is_zero()),
        }
    }

    /// Takes out what is known of the thread with this number; `None` if nothing is.
    pub(super) fn take_handle(&mut self, number: u64) -> Option<Option<thread::JoinHandle<()>>> {
        let at = self
            .handles
            .iter()
            .position(|(other, _)| *other == number)?;
        Some(self.handles.swap_remove(at).1)
    }

    /// A place for a thread to note its job at.
    pub(super) fn take_place(&mut self) -> usize {
        self.free_places.pop().unwrap_or_else(|| {
            self.begun.push(None);
            self.begun.len() - 1
        })
    }

    /// The thread does not need its place any more.
    pub(super) fn leave_place(&mut self, place: usize) {
        self.free_places.push(place);
    }

    /// The thread with this place is about to run `job`.
    #[inline]
    pub(super) fn begins(&mut self, place: usize, job: &Runnable) {
        self.begun[place] = Some(Begun::new(job));
    }

    /// The thread with this place has run its job. Drops nothing of the user's.
    #[inline]
    pub(super) fn has_finished(&mut self, place: usize) {
        self.begun[place] = None;
        self.jobs_finished += 1;
    }

    /// The jobs that have begun and not ended.
    pub(super) fn begun(&self) -> impl Iterator<Item = &Begun> {
        self.begun.iter().flatten()
    }

    /// How many threads wait and have not been chosen.
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Whether no thread is in a job: then the cores are likely to be free for a spin.
    pub(super) fn nobody_works(&self) -> bool {
        self.threads == self.idle.len() + self.on_the_way
    }

    /// *Help* in the protocol, for at least `waiting` jobs.
    pub(super) fn help(&mut self, waiting: usize) -> Help {
        let is_closed = self.is_closed && !bug::POOL_HELP_CLOSED.is_on();
        if is_closed
            || self.lookout.is_some()
            || self.on_the_way >= waiting.min(self.max_on_the_way)
        {
            return Help::Enough;
        }
        if let Some(seat) = self.next_idle() {
            return self.choose(seat);
        }
        if self.threads >= self.max_threads {
            return Help::Enough;
        }
        if self.patience > 0 && self.threads > 0 {
            self.patience -= 1;
            return Help::AskAgain;
        }
        self.threads += 1;
        self.on_the_way += 1;
        self.alive += 1;
        self.newest += 1;
        Help::Start(self.newest)
    }

    /// The idle thread that comes soonest: the one that spins, or else the one whose caches are warmest.
    fn next_idle(&mut self) -> Option<Arc<Seat>> {
        let Some(spinner) = self.spinning.spinner else {
            return self.idle.pop();
        };
        match self.idle.iter().rposition(|seat| seat.number == spinner) {
            Some(index) => Some(self.idle.remove(index)),
            None => self.idle.pop(),
        }
    }

    /// Sends a thread, which is not among the idle ones any more, on its way.
    fn choose(&mut self, seat: Arc<Seat>) -> Help {
        self.on_the_way += 1;
        // Relaxed: the owner looks again under the lock.
        let before = seat.phase.swap(CHOSEN, Ordering::Relaxed);
        if before == ASLEEP {
            Help::Notify(seat)
        } else {
            Help::Enough
        }
    }

    /// A thread becomes idle.
    pub(super) fn becomes_idle(&mut self, seat: &Arc<Seat>) {
        // Relaxed: under the lock.
        seat.phase.store(AWAKE, Ordering::Relaxed);
        self.idle.push(seat.clone());
    }

    /// Whether an idle thread has been chosen; if so, it arrives here.
    pub(super) fn arrives(&mut self, seat: &Seat) -> bool {
        let is_chosen = seat.is_chosen();
        if is_chosen {
            self.on_the_way -= 1;
        }
        is_chosen
    }

    /// An idle thread chooses itself.
    pub(super) fn comes(&mut self, seat: &Seat) {
        self.leaves_idle(seat);
        self.on_the_way += 1;
        // Relaxed: under the lock.
        seat.phase.store(CHOSEN, Ordering::Relaxed);
    }

    /// An idle thread is idle no longer, of its own accord.
    pub(super) fn leaves_idle(&mut self, seat: &Seat) {
        self.idle.retain(|other| other.number != seat.number);
    }

    /// Takes back what `help` has counted for a thread that could not be started.
    pub(super) fn not_started(&mut self) {
        self.on_the_way -= 1;
        self.threads -= 1;
        self.alive -= 1;
        self.patience = PATIENCE;
        self.threads_refused += 1;
    }

    /// Lets all threads end; returns those to be notified.
    pub(super) fn close(&mut self) -> Vec<Help> {
        self.is_closed = true;
        self.lookout = None;
        let idle = mem::take(&mut self.idle);
        idle.into_iter().map(|seat| self.choose(seat)).collect()
    }
}

/// How fast the queue is served, in windows of at least [`SHORT`], to tell a queue of short jobs, which a few threads
/// serve best, from one of jobs that block.
///
/// A job is known to have been short if its thread takes another one in the same window. So with `movers` threads that took
/// a job in a window, and `again` times that one of them came back for more, jobs last about window × `movers` ÷ `again`.
/// Threads that block all the time do not count, and those that took one job only speak for long jobs.
pub(super) struct Pace {
    /// How many threads are enough for short jobs: as many as there are cores, and twice as many each time that the queue was
    /// found standing still, until it is empty.
    hands: usize,
    /// The number of cores.
    cores: usize,
    /// The number of this window.
    window: u64,
    /// When it began.
    since: Option<Instant>,
    /// How many threads have taken a job in it.
    movers: usize,
    /// How often one of them has taken another.
    again: u32,
    /// How many movers the window before had, if its jobs were short; otherwise zero.
    movers_before: usize,
}

impl Pace {
    fn new(cores: usize) -> Pace {
        Pace {
            hands: cores,
            cores,
            // A thread's last window is 0 at first, and the window before this one belongs to nobody.
            window: 2,
            since: None,
            movers: 0,
            again: 0,
            movers_before: 0,
        }
    }

    /// Whether a thread that last took a job in the window `last` is of use, and if so counts its next job. Reads the clock
    /// only for those who have not taken a job in this window.
    #[inline]
    pub(super) fn admits(&mut self, last: &mut u64, now: impl FnOnce() -> Instant) -> bool {
        if *last == self.window {
            // One thread alone may go on in one window for ever.
            self.again = self.again.saturating_add(1);
            return true;
        }
        self.admits_mover(last, now())
    }

    /// A lookout that has seen `moved` jobs taken comes to serve. If there were none at all, more hands are of use, whatever
    /// the window looked like so far.
    pub(super) fn joins(&mut self, last: &mut u64, moved: u64, now: Instant) {
        if moved == 0 {
            self.hands = self.hands.saturating_mul(2);
        }
        self.begin_window(now, 0);
        *last = self.window - 1;
    }

    /// The queue is empty.
    #[inline]
    pub(super) fn rest(&mut self) {
        self.hands = self.cores;
    }

    fn begin_window(&mut self, now: Instant, movers_before: usize) {
        self.movers_before = movers_before;
        self.window += 1;
        self.since = Some(now);
        self.movers = 0;
        self.again = 0;
    }

    fn admits_mover(&mut self, last: &mut u64, now: Instant) -> bool {
        // Of the others, one that serves already comes first.
        let serves = *last + 1 >= self.window;
        let elapsed = self
            .since
            .map_or(SHORT, |since| now.saturating_duration_since(since));
        if elapsed >= SHORT {
            let is_short = self.again > 0 && SHORT * self.again >= elapsed * self.movers as u32;
            self.begin_window(now, if is_short { self.movers } else { 0 });
        }
        if !serves && self.movers_before >= self.hands {
            return false;
        }
        self.movers += 1;
        *last = self.window;
        true
    }
}

/// Whether a thread that has become idle spins before it sleeps.
///
/// One thread at a time. Spins in vain are followed by ever longer pauses, so that they cost little where they are of no
/// use; one spin that was worth it ends the pauses.
pub(super) struct Spinning {
    /// Whether there is any spinning: not on a single core.
    is_on: bool,
    /// Who spins now.
    pub(super) spinner: Option<u64>,
    /// How many threads will sleep at once.
    pause: u32,
    /// The length of the pause after the next spin in vain.
    next_pause: u32,
}

impl Spinning {
    fn new(is_on: bool) -> Spinning {
        Spinning {
            is_on,
            spinner: None,
            pause: 0,
            next_pause: 1,
        }
    }

    /// Whether the thread `number` is to spin.
    pub(super) fn begins(&mut self, number: u64) -> bool {
        if !self.is_on || self.spinner.is_some() {
            return false;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        self.spinner = Some(number);
        true
    }

    /// The spinner does not spin any more; was it chosen meanwhile?
    pub(super) fn ended(&mut self, is_chosen: bool) {
        self.spinner = None;
        if is_chosen {
            self.next_pause = 1;
        } else {
            self.pause = self.next_pause;
            self.next_pause = (self.next_pause * 2 + 1).min(SPIN_PAUSE);
        }
    }
}
