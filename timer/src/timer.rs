//! The shards: a locked wheel for each slot, and how threads learn of deadlines.
//!
//! Each slot of the executor has a *shard*: a [`Wheel`] behind a lock, and beside the lock `next`,
//! the published next deadline. The thread that serves the slot says so ([`Handle::serve`]),
//! registers in its own shard, looks at `next` between polls, and sleeps no longer than until `next`.
//!
//! - P1: `next` is never later than the earliest deadline in the wheel, except under the lock.
//!   It may be earlier: when what had that deadline was removed meanwhile, and then the shard is *stale*; or
//!   when what was inserted was due already, and then the shard is due until it is fired.
//!
//! # Registering
//!
//! On a thread that serves a shard of these timers:
//!
//! 1. Lock the shard. If it is closed, fail.
//! 2. Insert. If the deadline is earlier than `next`, store it there. Unlock.
//!
//! Removing what had the next deadline makes the shard stale and leaves `next`: whoever asks for it ([`Handle::next`]) brings it
//! up to date first, so that a timeout that never comes costs one look for the next deadline before a thread sleeps, and not one
//! for each future.
//!
//! Nobody needs to be told: the thread that sleeps by `next` is this one, and it is awake.
//!
//! On any other thread (another runtime's worker, a thread without one, a worker that gave up its
//! slot), the same in a shard that [`Rouse::outside_shard`] chooses, and if `next` was lowered:
//!
//! 3. Fence (SeqCst).
//! 4. [`Rouse::earlier`]: whoever sleeps by this shard's `next` is roused if it is parked.
//!
//! # Parking
//!
//! 1. Publish that this thread is parked (the executor's idle state, or the parker's).
//! 2. Fence (SeqCst), then read `next`: [`Handle::park_timeout`] does both.
//! 3. Sleep for no longer than that. Roused or not, go through 1 and 2 again before sleeping again.
//!
//! *The race feared*: a thread reads an old `next` and sleeps, while the registration that lowers it
//! finds the thread awake and rouses nobody. *Why it cannot happen*: both sides write, fence, then
//! read what the other wrote. The fences are ordered one way or the other: if the parker's is first,
//! the registrant's look at the parked state comes after the parker published it, so it rouses; if the
//! registrant's is first, the parker reads the lowered `next`. Both may happen: then the thread is
//! roused for nothing, computes its timeout again, and sleeps. A parker that keeps a token (an unpark
//! before the park makes that park return at once) may be unparked without a look at its state.
//!
//! A thread that gives up its shard does the like towards the reactor thread, which serves shards that
//! nobody else serves: publish that the slot is left, fence, read `next`, and wake the reactor thread if there
//! is one. The other side is step 4 again, which wakes it if it finds the slot left. Waking leaves a token: a
//! reactor thread that has looked at the shards already and is about to sleep looks once more.
//!
//! # Firing
//!
//! [`Handle::fire`] takes wakers out one at a time and wakes each outside the lock: wakers are user
//! code. One that blocks holds up only itself, as any other thread (the watchman) may fire the same
//! shard meanwhile and gets the rest. One that panics is caught, and the rest go on. A call takes a
//! bounded number of steps and may leave timers that are due; `next` then stays in the past, so every
//! look at the shard finds it due until it is done.
//!
//! # Coalescing
//!
//! With many timers, waking up for each costs more than the timers do. If a shard fired more than 8
//! timers per millisecond in its last window of at least a millisecond, `park_timeout` is at least
//! 500 µs for the two windows that follow: measured with 100,000 sleeps in a second this takes 0.23 s
//! of CPU instead of 0.57 s, while lone timers stay exact.
//!
//! # What is counted
//!
//! How many timers came and went, and how late they were, under the locks of the shards; see `metrics.rs`.
//!
//! # Closing
//!
//! [`Handle::close`] marks each shard under its lock and takes out all timers, waking them. A
//! registration that comes before is taken out, one that comes after fails: each entry learns of it.
//!
//! The models are in `timer/loom.rs`: `registering_from_outside_against_parking`, `registering_against_closing`, `registering_against_firing`,
//! `registering_against_refreshing`, `cancelling_against_firing`, `firing_against_firing`, `reset_and_waker_change_against_firing`.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::clock::{Clock, Ticks};
use crate::context::{self, EnterGuard, ServeGuard};
use crate::metrics::{Lateness, Metrics};
use crate::slab::Key;
use crate::sync::{AtomicBool, AtomicU64, Mutex, bugs, fence};
use crate::wheel::{Progress, Wheel};

/// Charges one ready operation to the task's cooperative budget; when that is spent, wakes the task
/// and returns `Pending`.
pub type Charge = fn(&mut Context<'_>) -> Poll<()>;

/// How many timers a call of `fire` wakes at most. With tasks to wake at about 100 ns each, it
/// returns within half a millisecond.
const FIRE_LIMIT: usize = 4096;

/// How many timers are moved from level to level under one hold of the lock: a microsecond or two.
const MOVE_LIMIT: usize = 128;

/// What so many moves count towards `FIRE_LIMIT`: a move takes about an eighth of a wake.
const MOVES_COST: usize = MOVE_LIMIT / 8;

/// How long the timers of a shard are counted: 64 ticks are a millisecond.
const WINDOW: u64 = 64;

/// More timers than this in a window's length, and the shard coalesces. Chosen by
/// measurement; see the header.
const MANY: u64 = 8;

/// How long a coalescing shard's thread sleeps at least.
const COALESCED: Duration = Duration::from_micros(500);

/// How many shards there may be: an entry has 16 bits to remember its own.
const SHARD_LIMIT: usize = 1 << 16;

/// How the timers reach the threads that serve them.
pub trait Rouse: Send + Sync {
    /// Returns a shard that a live slot serves, for a registration from a thread without a shard.
    fn outside_shard(&self) -> usize;

    /// Is told that `shard` got an earlier deadline from a thread that does not serve it: whoever
    /// sleeps by that shard's next deadline must be roused, so that it computes its timeout anew.
    ///
    /// Called without a lock, after a SeqCst fence. The fields of the sleeping thread's state that
    /// are read here must be published before [`Handle::park_timeout`] is called.
    fn earlier(&self, shard: usize);
}

/// A reference to the timers of one runtime.
///
/// # Examples
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use std::time::Duration;
/// use timer::{Clock, Entry, Handle, Pausable};
///
/// let timers = Handle::new(1, Clock::new(Pausable::Yes), |_| Poll::Ready(()));
/// let _entered = timers.enter();
/// let _serving = timers.serve(0);
///
/// let mut entry = Entry::after(Handle::current(), Duration::from_millis(5));
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(entry.poll_elapsed(&mut cx).is_pending());
///
/// timers.clock().pause();
/// timers.clock().advance(Duration::from_millis(6));
/// assert_eq!(timers.fire(0, timers.clock().now(), &mut |waker| waker.wake()), 1);
/// assert!(entry.poll_elapsed(&mut cx).is_ready());
/// ```
#[derive(Clone)]
pub struct Handle {
    /// Every sleep holds a handle. A worker makes its clones from a `Line` of its own, so that
    /// workers do not fight for one reference count.
    line: Arc<CachePadded<Line>>,
}

/// What clones of a handle count their references on.
struct Line {
    timers: Arc<Timers>,
}

/// The timers of a runtime.
pub(crate) struct Timers {
    /// What time it is. Only `Entry` and the conversions use it.
    clock: Clock,
    /// Charges a completed wait to the budget.
    charge: Charge,
    /// How to reach threads; set once by the facade.
    rouse: OnceLock<Arc<dyn Rouse>>,
    /// One for each slot.
    shards: Box<[CachePadded<Shard>]>,
}

/// The timers of a slot.
struct Shard {
    /// The published next deadline, `Ticks::NEVER` if there is none (P1). Written under the lock.
    next: AtomicU64,
    /// Whether `next` may be too early (P1). Written under the lock.
    is_stale: AtomicBool,
    /// Until this tick, parks are at least `COALESCED` long. Written under the lock by `fire`.
    many_until: AtomicU64,
    /// The rest. Taken by the serving thread to register, cancel and fire; seldom by others.
    core: Mutex<Core>,
}

/// What a shard's lock guards.
struct Core {
    /// Made with the first timer: most slots of a runtime never have one.
    wheel: Option<Box<Wheel>>,
    /// Set by `close`: nothing more is registered.
    is_closed: bool,
    /// When the window began in which `fired` is counted.
    window: Ticks,
    /// How many timers were fired in the window.
    fired: u64,
    /// How late all that were ever fired were.
    lateness: Lateness,
    /// How many timers the closing took out.
    ended: u64,
}

/// What became of a registered timer.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Look {
    /// It waits, and will wake the waker that was shown.
    Waiting,
    /// It waits for another waker.
    OtherWaker,
    /// It was taken out: it has fired, or the shard was closed.
    Gone { is_closed: bool },
}

impl Handle {
    /// Creates the timers of a runtime: `shards` of them (at least one), and their clock.
    ///
    /// `charge` is called whenever a wait is over, before its future completes.
    ///
    /// # Panics
    ///
    /// Panics if there are to be more than 65,536 shards.
    pub fn new(shards: usize, clock: Clock, charge: Charge) -> Handle {
        let shard = || {
            CachePadded::new(Shard {
                next: AtomicU64::new(Ticks::NEVER.0),
                is_stale: AtomicBool::new(false),
                many_until: AtomicU64::new(0),
                core: Mutex::new(Core {
                    wheel: None,
                    is_closed: false,
                    window: Ticks(0),
                    fired: 0,
                    lateness: Lateness::default(),
                    ended: 0,
                }),
            })
        };
        assert!(
            shards <= SHARD_LIMIT,
            "{shards} shards are more than a timer can name"
        );
        Handle::over(Arc::new(Timers {
            clock,
            charge,
            rouse: OnceLock::new(),
            shards: (0..shards.max(1)).map(|_| shard()).collect(),
        }))
    }

    fn over(timers: Arc<Timers>) -> Handle {
        Handle {
            line: Arc::new(CachePadded::new(Line { timers })),
        }
    }

    /// Returns a handle to the same timers whose clones are counted elsewhere.
    pub(crate) fn on_a_line_of_its_own(&self) -> Handle {
        Handle::over(self.line.timers.clone())
    }

    pub(crate) fn timers(&self) -> &Arc<Timers> {
        &self.line.timers
    }

    /// Sets how to reach the threads that serve the shards. Only the first call counts.
    ///
    /// Until then, threads without a shard register in shard 0 and rouse nobody.
    pub fn set_rouse(&self, rouse: Arc<dyn Rouse>) {
        let _ = self.line.timers.rouse.set(rouse);
    }

    /// Returns the handle that is current on this thread.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    #[track_caller]
    pub fn current() -> Handle {
        context::current().expect(
            "there is no runtime running on this thread: call this from inside \
             `runtime::block_on`, `#[runtime::main]` or a spawned task, or enter one with \
             `Handle::enter`",
        )
    }

    /// Returns the handle that is current on this thread, if there is one.
    pub fn try_current() -> Option<Handle> {
        context::current()
    }

    /// Makes this handle current on this thread until the guard is dropped.
    pub fn enter(&self) -> EnterGuard {
        context::enter(self)
    }

    /// Makes this thread the one that serves `shard`, until the guard is dropped.
    ///
    /// What is registered on this thread then goes to that shard. This does not make the handle
    /// current. A thread serves one shard at a time: that of the youngest guard. A thread that leaves
    /// its slot must drop the guard, even if it goes on polling a task; guards may be dropped in any
    /// order.
    ///
    /// # Panics
    ///
    /// Panics if there is no such shard.
    #[track_caller]
    pub fn serve(&self, shard: usize) -> ServeGuard {
        assert!(shard < self.shards(), "there is no shard {shard}");
        context::serve(self, shard)
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Clock {
        &self.line.timers.clock
    }

    /// Returns the number of shards.
    pub fn shards(&self) -> usize {
        self.line.timers.shards.len()
    }

    /// Returns the number of registered timers; locks each shard in turn.
    pub fn pending(&self) -> usize {
        let shards = self.line.timers.shards.iter();
        shards.map(|s| s.core.lock().pending()).sum()
    }

    /// Returns what has been counted so far; locks each shard in turn.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        let mut lateness = Lateness::default();
        for shard in &self.line.timers.shards {
            let core = shard.core.lock();
            let pending = core.pending();
            let inserted = core.wheel.as_ref().map_or(0, |wheel| wheel.inserted());
            let fired = core.lateness.count();
            metrics.registered += inserted;
            metrics.pending += pending;
            metrics.fired += fired;
            metrics.ended += core.ended;
            metrics.cancelled += inserted - pending as u64 - fired - core.ended;
            lateness.add(&core.lateness);
        }
        Metrics {
            lateness: lateness.buckets(),
            lateness_sum: lateness.sum(),
            lateness_max: lateness.max(),
            ..metrics
        }
    }

    /// Returns the next deadline of `shard`. Takes the lock only if the timer that had it was cancelled.
    #[inline]
    pub fn next(&self, shard: usize) -> Option<Instant> {
        let next = self.line.timers.shards[shard].fresh_next();
        if next == Ticks::NEVER {
            return None;
        }
        self.clock().instant(next)
    }

    /// Returns the time from `now` to the next deadline of `shard`: zero when it is due, `None` if
    /// there is none.
    pub fn until_next(&self, shard: usize, now: Instant) -> Option<Duration> {
        Some(self.next(shard)?.saturating_duration_since(now))
    }

    /// Returns for how long the thread that serves `shard` may sleep; `None` is without limit.
    ///
    /// Call this after publishing that the thread is parked: it begins with the fence that the
    /// protocol asks for. This is [`until_next`](Handle::until_next), or 500 µs if a timer is due
    /// sooner and the shard is coalescing; but it is zero when a timer is due already.
    pub fn park_timeout(&self, shard: usize, now: Instant) -> Option<Duration> {
        // Ordering: SeqCst, parking step 2. Pairs with the fence in `Timers::insert`: closes the
        // race of our store (parked) and load (`next`) with its store (`next`) and load (parked).
        fence(SeqCst);
        let exact = self.until_next(shard, now)?;
        // Relaxed: a hint.
        let many_until = self.line.timers.shards[shard].many_until.load(Relaxed);
        if exact < COALESCED && !exact.is_zero() && self.clock().ticks_before(now).0 < many_until {
            return Some(COALESCED);
        }
        Some(exact)
    }

    /// Returns whether a timer of `shard` is due at `now`. Takes no lock.
    #[inline]
    pub fn is_due(&self, shard: usize, now: Instant) -> bool {
        let next = self.line.timers.shards[shard].next();
        next != Ticks::NEVER && next <= self.clock().ticks_before(now)
    }

    /// Takes out timers of `shard` that are due at `now`, and hands each waker to `wake`; returns how
    /// many.
    ///
    /// `now` must not be later than the clock. Any thread may call this for any shard, at the same
    /// time as others. One call wakes at most a few thousand timers: if more are due,
    /// [`is_due`](Handle::is_due) stays true. `wake` runs without a lock; its panics are caught.
    pub fn fire(&self, shard: usize, now: Instant, wake: &mut dyn FnMut(Waker)) -> usize {
        if !self.is_due(shard, now) {
            return 0;
        }
        let now = self.clock().ticks_before(now);
        let shard = &self.line.timers.shards[shard];
        let mut fired = 0;
        let mut steps = 0;
        while steps < FIRE_LIMIT {
            let mut guard = shard.core.lock();
            let core = &mut *guard;
            // What is due has been registered, so there is one.
            let Some(wheel) = &mut core.wheel else {
                break;
            };
            let mut progress = wheel.advance(now, MOVE_LIMIT);
            steps += match progress {
                Progress::Unfinished => MOVES_COST,
                Progress::Due | Progress::Done => 1,
            };
            let due = match progress {
                Progress::Due => wheel.pop_due(),
                Progress::Unfinished | Progress::Done => None,
            };
            if due.is_some() {
                core.fired += 1;
                core.lateness.record(wheel.hand(), now);
                // Look ahead, so that a lone timer takes the lock once.
                progress = wheel.advance(now, 0);
            }
            if progress == Progress::Done {
                shard.finish(core, now);
            }
            drop(guard);
            if let Some(waker) = due {
                fired += 1;
                wake_caught(wake, waker);
            }
            if progress == Progress::Done {
                break;
            }
        }
        fired
    }

    /// Ends the service: wakes every waiting entry, and makes it and every later one fail with
    /// [`Shutdown`](crate::Shutdown).
    pub fn close(&self) {
        for shard in &self.line.timers.shards {
            loop {
                let mut core = shard.core.lock();
                core.is_closed = true;
                let waker = core.wheel.as_mut().and_then(|wheel| wheel.pop_any());
                match waker {
                    Some(_) => core.ended += 1,
                    None => shard.publish(&core),
                }
                drop(core);
                match waker {
                    Some(waker) => wake_caught(&mut Waker::wake, waker),
                    None => break,
                }
            }
        }
    }
}

/// Calls `wake`, and keeps its panic from the wakers that follow.
fn wake_caught(wake: &mut dyn FnMut(Waker), waker: Waker) {
    if let Err(thrown) = catch_unwind(AssertUnwindSafe(|| wake(waker))) {
        // The panic hook has reported it.
        discard(thrown);
    }
}

/// Drops what a waker threw, which is user code once more; if that panics, drops what it threw, and so on. Who goes on for
/// ever like this leaks one payload.
fn discard(mut thrown: Box<dyn Any + Send>) {
    /// So many in a row are as good as endless.
    const PATIENCE: usize = 8;
    for _ in 0..PATIENCE {
        match catch_unwind(AssertUnwindSafe(|| drop(thrown))) {
            Ok(()) => return,
            Err(again) => thrown = again,
        }
    }
    std::mem::forget(thrown);
}

impl Core {
    fn pending(&self) -> usize {
        self.wheel.as_ref().map_or(0, |wheel| wheel.len())
    }

    #[inline]
    fn next_deadline(&self) -> Ticks {
        let next = self.wheel.as_ref().and_then(|wheel| wheel.next_deadline());
        next.unwrap_or(Ticks::NEVER)
    }

    #[inline]
    fn waker_mut(&mut self, key: Key) -> Option<&mut Waker> {
        self.wheel.as_mut()?.waker_mut(key)
    }
}

impl Shard {
    fn next(&self) -> Ticks {
        // Relaxed: the owner reads its own store or a roused thread's, ordered by the protocol's
        // fences; to others it is a hint.
        Ticks(self.next.load(Relaxed))
    }

    /// Returns `next`, brought up to date if it is stale.
    #[inline]
    fn fresh_next(&self) -> Ticks {
        // Relaxed: as `next`. Not to see the flag is to see `next` as it was earlier.
        if self.is_stale.load(Relaxed) {
            self.refresh();
        }
        self.next()
    }

    /// Brings `next` up to date: under the lock, lest a registration that lowers it meanwhile be overwritten.
    #[cold]
    fn refresh(&self) {
        let core = self.core.lock();
        if bugs::REFRESH_UNLOCKED.is_on() {
            let next = core.next_deadline();
            drop(core);
            self.next.store(next.0, Relaxed);
            return self.is_stale.store(false, Relaxed);
        }
        self.publish(&core);
    }

    /// Publishes the wheel's next deadline.
    fn publish(&self, core: &Core) {
        let next = core.next_deadline();
        // Relaxed: written under the lock; see `fresh_next`.
        self.is_stale.store(false, Relaxed);
        // Relaxed: written under the lock, and this makes it later or leaves it: who reads the
        // earlier value wakes up for nothing.
        self.next.store(next.0, Relaxed);
    }

    /// Publishes what is next after everything due at `now` was fired, and closes the window if it
    /// is over.
    fn finish(&self, core: &mut Core, now: Ticks) {
        self.publish(core);
        let elapsed = now.0.saturating_sub(core.window.0);
        if elapsed >= WINDOW {
            if core.fired * WINDOW > MANY * elapsed {
                // Relaxed: a hint.
                self.many_until.store(now.0 + 2 * WINDOW, Relaxed);
            }
            core.window = now;
            core.fired = 0;
        }
    }
}

impl Timers {
    pub(crate) fn charge(&self) -> Charge {
        self.charge
    }

    /// Registers a timer in the shard of this thread, or else in one of a live slot; gives the waker
    /// back if the timers are closed.
    #[inline]
    pub(crate) fn insert(
        self: &Arc<Self>,
        deadline: Ticks,
        waker: Waker,
    ) -> Result<(u16, Key), Waker> {
        if let Some(shard) = context::served_shard(self) {
            let (key, _) = self.insert_in(shard, deadline, waker)?;
            return Ok((shard as u16, key));
        }
        self.insert_from_outside(deadline, waker)
    }

    #[inline(never)]
    fn insert_from_outside(&self, deadline: Ticks, waker: Waker) -> Result<(u16, Key), Waker> {
        let rouse = self.rouse.get();
        let shard = rouse.map_or(0, |rouse| rouse.outside_shard() % self.shards.len());
        let (key, is_earlier) = self.insert_in(shard, deadline, waker)?;
        if is_earlier {
            // Ordering: SeqCst, registering step 3. Pairs with the fence in `park_timeout` and that of a
            // thread which leaves its slot: our store of `next` against the load of the state in `earlier`.
            if !bugs::NO_REGISTERING_FENCE.is_on() {
                fence(SeqCst);
            }
            if let Some(rouse) = rouse {
                rouse.earlier(shard);
            }
        }
        Ok((shard as u16, key))
    }

    /// Registering, steps 1 and 2; also says whether this made the next deadline earlier.
    #[inline]
    fn insert_in(&self, shard: usize, deadline: Ticks, waker: Waker) -> Result<(Key, bool), Waker> {
        let shard = &self.shards[shard];
        let mut core = shard.core.lock();
        if core.is_closed && !bugs::NO_CLOSED_CHECK.is_on() {
            return Err(waker);
        }
        let key = core.wheel.get_or_insert_default().insert(deadline, waker);
        let is_earlier = deadline < shard.next();
        if is_earlier {
            // Relaxed: the fence of step 3 orders it, and the owner needs no order with itself.
            shard.next.store(deadline.0, Relaxed);
        }
        Ok((key, is_earlier))
    }

    /// Cancels a timer; returns its waker, to be dropped now that no lock is held.
    #[inline]
    pub(crate) fn remove(&self, shard: u16, key: Key) -> Option<Waker> {
        let shard = &self.shards[usize::from(shard)];
        let mut core = shard.core.lock();
        let (deadline, waker) = core.wheel.as_mut()?.remove(key)?;
        if deadline <= shard.next() {
            // Relaxed: see `fresh_next`.
            shard.is_stale.store(true, Relaxed);
        }
        Some(waker)
    }

    /// Finds out whether a timer still waits, for `waker`.
    #[inline]
    pub(crate) fn look(&self, shard: u16, key: Key, waker: &Waker) -> Look {
        let mut core = self.shards[usize::from(shard)].core.lock();
        match core.waker_mut(key) {
            Some(known) if known.will_wake(waker) => Look::Waiting,
            Some(_) => Look::OtherWaker,
            None => Look::Gone {
                is_closed: core.is_closed,
            },
        }
    }

    /// Makes a timer wake `waker`; returns whichever waker is left over, and whether the timer still
    /// waits.
    pub(crate) fn set_waker(&self, shard: u16, key: Key, waker: Waker) -> (Waker, Look) {
        let mut core = self.shards[usize::from(shard)].core.lock();
        match core.waker_mut(key) {
            Some(known) => (std::mem::replace(known, waker), Look::Waiting),
            None => {
                let is_closed = core.is_closed;
                (waker, Look::Gone { is_closed })
            }
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("clock", self.clock())
            .field("shards", &self.shards())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, rt_loom))]
mod loom;
#[cfg(all(test, not(rt_loom)))]
mod tests;
