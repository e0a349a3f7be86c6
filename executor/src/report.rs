//! Names the task that holds a thread for too long.
//!
//! The watchman finds out *that* a poll is slow, and by the place that the slot publishes, *which* task it is (`rescue.md`). This module
//! says how: what a [`SlowPoll`] tells, how often reports are made, and on which thread the user's function runs.
//!
//! **Rate.** At most [`BURST`] reports at once and one a [`REFILL`] after that; those left out are counted, and told by the next.
//!
//! **Thread.** The reactor thread must never wait for foreign code, nor for a full pipe behind standard error. So reports go through a short
//! queue to a thread of their own, which starts with the first report and ends with the runtime; nobody waits for it. If the queue
//! is full, the report counts as left out. On a current-thread runtime there is no reactor thread to protect: the function is called where the poll was.
//!
//! **Cost.** Nothing where no poll is slow. A report allocates, takes a lock and reads files in `/proc`, on the reactor thread.

use crate::scheduler::Shared;
use crate::sync::{Condvar, Mutex, os_thread, thread_local};
use crate::task::{Id, Runnable, contain};
use crate::threads::ThreadMain;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How many reports may come at once.
const BURST: u32 = 5;
/// After what time one more may come.
const REFILL: Duration = Duration::from_secs(1);
/// How many reports may wait for the thread that makes them.
const QUEUE: usize = 16;
/// Of how many tasks it is known how often they were slow. A guess; beyond it, counting begins anew.
const KNOWN: usize = 1024;

/// Called with each report.
pub type OnSlowPoll = Arc<dyn Fn(&SlowPoll) + Send + Sync>;

/// Describes the stack of the thread with this identity (see [`Probe`]), if what it was asked about lasts when it has been looked at: finding names
/// may take longer than a slow poll.
pub type DescribeStack = fn(thread: u64, lasts: &dyn Fn() -> bool) -> Option<String>;

/// When slow polls are reported, and how.
#[derive(Clone)]
pub struct SlowPolls {
    /// How long a poll lasts before it is reported; [`Duration::MAX`] for never.
    pub threshold: Duration,
    /// Whether the future inside `block_on` of a multi-thread runtime is reported too, for which nobody waits.
    pub roots: bool,
    /// Is called with each report.
    pub report: OnSlowPoll,
    /// How the stack of a thread is found out, if that can be done.
    pub stack: Option<DescribeStack>,
}

impl SlowPolls {
    /// The usual threshold: what a person begins to notice when it adds up, and what few well-behaved polls reach.
    pub const THRESHOLD: Duration = Duration::from_millis(10);
}

impl fmt::Debug for SlowPolls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlowPolls")
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}

/// How to learn what another thread is doing.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// The identity of the calling thread, as the system has it.
    pub id: fn() -> u64,
    /// Whether the thread with that identity sleeps in the kernel at this moment; `None` if that cannot be known.
    pub blocked: fn(u64) -> Option<bool>,
    /// How long the thread with that identity has run and has waited for a core; `None` if that cannot be known.
    pub core_time: fn(u64) -> Option<CoreTime>,
    /// For how long cores have been unused since the machine started, all together; `None` if that cannot be known.
    pub unused: fn() -> Option<Duration>,
}

/// How long a thread has had a core, and how long not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreTime {
    /// For how long it has run.
    pub ran: Duration,
    /// For how long it has waited for a core while it could have run.
    pub waited: Duration,
}

/// What is known of a poll that lasts too long.
#[derive(Debug, Clone)]
pub struct SlowPoll {
    /// The task; `None` if it is the future inside `block_on`, or a waker.
    pub(crate) id: Option<Id>,
    /// What the user calls it.
    pub(crate) name: Option<Box<str>>,
    /// Who spawned it.
    pub(crate) location: Option<&'static Location<'static>>,
    /// On which thread of the runtime.
    pub(crate) place: String,
    /// For how long.
    pub(crate) so_far: Duration,
    /// How often before.
    pub(crate) before: u64,
    /// The thread's CPU time within the poll.
    pub(crate) cpu: Option<Duration>,
    /// Whether the thread sleeps in the kernel.
    pub(crate) blocked: Option<bool>,
    /// What was left out since the last report.
    pub(crate) suppressed: u64,
    /// The thread's stack.
    pub(crate) stack: Option<String>,
    /// What is polled.
    pub(crate) polled: Polled,
    /// Whether the poll is over.
    pub(crate) ended: bool,
    /// Whether no spare may take the worker's place.
    pub(crate) unreplaced: bool,
}

/// What a thread may be held by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Polled {
    /// A task.
    Task,
    /// The future inside `block_on`.
    Root,
    /// A waker, a hook, or a task that has just ended.
    Other,
}

impl SlowPoll {
    /// Returns the identity of the task; `None` if it is the future inside `block_on`, or foreign code that is no task: a waker or a hook.
    pub fn id(&self) -> Option<Id> {
        self.id
    }

    /// Returns the name of the task, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns where the task was spawned.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Returns which thread of the runtime it holds: "worker 1", "spare 3", "guest 0", "lane 2", or "current thread".
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns how long the poll has lasted, at least: the watchman looks every 1 to 4 ms.
    pub fn so_far(&self) -> Duration {
        self.so_far
    }

    /// Returns how many slow polls of the same task were seen before, reported or not.
    pub fn before(&self) -> u64 {
        self.before
    }

    /// Returns the CPU time that the thread used within the poll, but for its first milliseconds (2 or somewhat more, at most half of the threshold if the watchman is in time), where the system tells (Linux, to about 4 ms).
    pub fn cpu(&self) -> Option<Duration> {
        self.cpu
    }

    /// Returns whether the thread sleeps in the kernel (a lock, a file, a sleep) rather than computes, where the system tells.
    pub fn is_blocked(&self) -> Option<bool> {
        self.blocked
    }

    /// Returns whether the thread is the one inside `block_on` of a multi-thread runtime: nothing waits for it but its own future.
    pub fn is_guest_root(&self) -> bool {
        self.polled == Polled::Root && !self.ended
    }

    /// Returns whether the worker could not be replaced, because as many spares are in use as there may be: then tasks may have to wait until a
    /// thread comes back.
    pub fn is_unreplaced(&self) -> bool {
        self.unreplaced
    }

    /// Returns how many reports were left out since the last one, because there were too many.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Returns the stack of the thread, one frame a line, with the feature `stack-traces` on Linux and x86-64.
    pub fn stack(&self) -> Option<&str> {
        self.stack.as_deref()
    }
}

impl fmt::Display for SlowPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.polled, self.id) {
            (Polled::Task, Some(id)) => write!(f, "slow poll: task {id}")?,
            (Polled::Root, _) => f.write_str("slow poll: the future inside `block_on`")?,
            _ => f.write_str("slow poll: a waker or hook")?,
        }
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        if let Some(location) = self.location {
            write!(f, ", spawned at {location},")?;
        }
        let (verb, place) = (if self.ended { "held" } else { "has held" }, &self.place);
        write!(
            f,
            " {verb} {place} for {} ms",
            self.so_far.as_millis() as u64
        )?;
        match self.blocked {
            Some(true) => f.write_str(", blocked: move what blocks to `spawn_blocking`")?,
            Some(false) => {
                f.write_str(", computing: yield now and then, or move it to `spawn_blocking`")?
            }
            None => f.write_str(": yield now and then, or move it to `spawn_blocking`")?,
        }
        if self.unreplaced {
            f.write_str("; all spares are in use, raise `Builder::rescue_spares`")?;
        }
        match self.before {
            0 => {}
            1 => f.write_str("; slow once before")?,
            before => write!(f, "; slow {before} times before")?,
        }
        if self.suppressed > 0 {
            write!(f, "; {} reports left out", self.suppressed)?;
        }
        if let Some(stack) = &self.stack {
            write!(f, "\n{}", stack.trim_end())?;
        }
        Ok(())
    }
}

/// A task that may be to blame, remembered while it is polled.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// Its identity.
    id: Id,
    /// What the user calls it.
    name: Option<Box<str>>,
    /// Who spawned it.
    location: &'static Location<'static>,
}

impl Subject {
    pub(crate) fn of(task: &Runnable) -> Subject {
        Subject {
            id: task.id(),
            name: task.name().map(Into::into),
            location: task.location(),
        }
    }

    /// The report, as far as it is about the task.
    pub(crate) fn blame(self, poll: SlowPoll) -> SlowPoll {
        SlowPoll {
            id: Some(self.id),
            name: self.name,
            location: Some(self.location),
            polled: Polled::Task,
            ..poll
        }
    }
}

/// The local task that took longest within a poll of the root, and how long.
type Slowest = Option<(Duration, Subject)>;

thread_local! {
    /// `Some` while local tasks on this thread are to be timed.
    static WATCHED: RefCell<Option<Slowest>> = const { RefCell::new(None) };
}

/// Whether a `LocalSet` on this thread is to time its tasks.
pub(crate) fn is_watched() -> bool {
    // While the thread ends there is no watch.
    WATCHED
        .try_with(|watched| watched.borrow().is_some())
        .unwrap_or(false)
}

/// Notes how long a local task took.
pub(crate) fn note(subject: Subject, took: Duration) {
    let _ = WATCHED.try_with(|watched| {
        if let Some(slowest) = &mut *watched.borrow_mut()
            && slowest.as_ref().is_none_or(|(longest, _)| took > *longest)
        {
            *slowest = Some((took, subject));
        }
    });
}

/// Calls `poll`, in which local tasks are timed, and returns the slowest of them too.
pub(crate) fn watch<R>(poll: impl FnOnce() -> R) -> (R, Slowest) {
    /// Ends the watch, after a panic of the root too.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            WATCHED.with(|watched| watched.take());
        }
    }
    WATCHED.with(|watched| watched.replace(Some(None)));
    let end = End;
    let result = poll();
    let slowest = WATCHED.with(|watched| watched.take()).flatten();
    drop(end);
    (result, slowest)
}

/// Which poll a report is about, to take its stack only while it lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Still {
    /// The system's identity of the thread.
    pub(crate) thread: u64,
    /// The slot, or the seat in the lane.
    pub(crate) at: Spot,
    /// Its epoch.
    pub(crate) epoch: u64,
}

/// Where a task is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spot {
    /// A slot, by index.
    Slot(usize),
    /// A seat of the hog lane, by index.
    Lane(usize),
}

/// Makes reports, not too many.
pub(crate) struct Reporter {
    /// Under one lock, taken only for slow polls.
    state: Mutex<State>,
    /// When and how.
    config: SlowPolls,
}

struct State {
    /// How many more reports may be made now.
    tokens: u32,
    /// When `tokens` was last filled up.
    filled: Option<Instant>,
    /// Reports left out since the last one.
    suppressed: u64,
    /// How often each task was slow.
    counts: HashMap<Id, u64>,
    /// To the thread that makes the reports, once there is one.
    sender: Option<Sender>,
    /// The runtime has ended.
    closed: bool,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl Reporter {
    pub(crate) fn new(config: SlowPolls) -> Reporter {
        Reporter {
            state: Mutex::new(State {
                tokens: BURST,
                filled: None,
                suppressed: 0,
                counts: HashMap::new(),
                sender: None,
                closed: false,
            }),
            config,
        }
    }

    /// How long a poll lasts before it is reported.
    pub(crate) fn threshold(&self) -> Duration {
        self.config.threshold
    }

    /// Whether the future inside `block_on` of a multi-thread runtime is reported too.
    pub(crate) fn has_roots(&self) -> bool {
        self.config.roots
    }

    /// Counts a slow poll, and fills in how often there was one before and what was left out; `false` if there were too many of late.
    fn admit(&self, poll: &mut SlowPoll, now: Instant) -> bool {
        let mut state = self.state.lock();
        if let Some(id) = poll.id {
            if state.counts.len() >= KNOWN && !state.counts.contains_key(&id) {
                state.counts.clear();
            }
            let count = state.counts.entry(id).or_insert(0);
            poll.before = *count;
            *count += 1;
        }
        let filled = *state.filled.get_or_insert(now);
        let periods = now.duration_since(filled).as_nanos() / REFILL.as_nanos();
        if let Ok(periods) = u32::try_from(periods)
            && periods > 0
        {
            state.tokens = state.tokens.saturating_add(periods).min(BURST);
            state.filled = Some(filled + REFILL * periods);
        }
        if state.tokens == 0 {
            state.suppressed += 1;
            return false;
        }
        state.tokens -= 1;
        poll.suppressed = std::mem::take(&mut state.suppressed);
        true
    }

    /// Reports on this thread; for a thread that is the user's own.
    pub(crate) fn report_here(&self, mut poll: SlowPoll, now: Instant) {
        if self.admit(&mut poll, now) {
            let _ = contain(|| (self.config.report)(&poll));
        }
    }

    /// Hands the report to the thread that makes them. `false` if it was left out.
    pub(crate) fn report(
        &self,
        mut poll: SlowPoll,
        still: Option<Still>,
        now: Instant,
        shared: &Arc<Shared>,
    ) -> bool {
        if !self.admit(&mut poll, now) {
            return false;
        }
        let mut state = self.state.lock();
        if state.sender.is_none() && !state.closed {
            state.sender = self.start(Arc::downgrade(shared));
        }
        let suppressed = poll.suppressed;
        let sent = state
            .sender
            .as_ref()
            .is_some_and(|sender| sender.try_send(poll, still));
        if !sent {
            state.suppressed += suppressed + 1;
        }
        sent
    }

    /// Lets the thread end, once it has made the reports that wait.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.sender = None;
    }

    /// Starts the thread; without one, reports are left out.
    fn start(&self, shared: Weak<Shared>) -> Option<Sender> {
        let sender = Sender(Arc::new(Outbox {
            waiting: Mutex::new(Waiting {
                reports: VecDeque::with_capacity(QUEUE),
                is_closed: false,
            }),
            changed: Condvar::new(),
        }));
        let outbox = Arc::clone(&sender.0);
        let config = self.config.clone();
        let main: ThreadMain = Box::new(move || {
            while let Some((mut poll, still)) = outbox.next() {
                let _ = contain(|| {
                    if let (Some(stack), Some(still)) = (config.stack, still) {
                        let lasts = || shared.upgrade().is_some_and(|shared| shared.lasts(still));
                        poll.stack = lasts().then(|| stack(still.thread, &lasts)).flatten();
                    }
                    (config.report)(&poll);
                });
            }
        });
        let started = os_thread::Builder::new()
            .name("runtime-report".into())
            .spawn(main);
        started.ok().map(|_| sender)
    }
}

/// Reports on their way to the thread that makes them. (A channel of the standard library would do, but it is three kinds of
/// channel in one, and 17 kB in every program.)
struct Outbox {
    /// Held for a few instructions by either side.
    waiting: Mutex<Waiting>,
    /// Notified at each change, of one thread at most.
    changed: Condvar,
}

struct Waiting {
    /// At most [`QUEUE`].
    reports: VecDeque<(SlowPoll, Option<Still>)>,
    /// Nothing more will come.
    is_closed: bool,
}

impl Outbox {
    /// The next report, once there is one; `None` after the last.
    fn next(&self) -> Option<(SlowPoll, Option<Still>)> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(report) = waiting.reports.pop_front() {
                return Some(report);
            }
            if waiting.is_closed {
                return None;
            }
            self.changed.wait(&mut waiting);
        }
    }
}

/// The only way into an [`Outbox`], which is closed with it.
struct Sender(Arc<Outbox>);

impl Sender {
    /// Puts a report in; `false` if it is full.
    fn try_send(&self, poll: SlowPoll, still: Option<Still>) -> bool {
        let mut waiting = self.0.waiting.lock();
        let has_room = waiting.reports.len() < QUEUE;
        if has_room {
            waiting.reports.push_back((poll, still));
            self.0.changed.notify_one();
        }
        has_room
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.waiting.lock().is_closed = true;
        self.0.changed.notify_one();
    }
}
