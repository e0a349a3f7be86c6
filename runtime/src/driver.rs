//! Composes reactor and timers into what a thread of the executor sleeps on.
//!
//! A thread that parks sleeps until its own shard's next deadline at the latest: inside the reactor's wait if the polling duty
//! is free, else on its parker's futex. Whatever comes of it is gathered first and dispatched later, when the executor
//! says so: wakers are foreign code (see the executor's `idle.md`).
//!
//! What is gathered lies in a *batch*, one a slot, from which wakers are taken one by one: when one of them blocks, the
//! reactor thread takes the rest.
//!
//! Who waits, a worker or the guest inside `block_on`: `driver/favour.rs`. What the reactor thread does for all: `driver/watchman.rs`.
//!
//! # Waking in time
//!
//! A thread that waits until a deadline is awake some 30 to 100 µs later, which is how long the kernel and a hypervisor take to
//! wake a core that sleeps. So a wait for an exact deadline ends sooner than that, by the *lead*: about the least time that waking took
//! lately, learned in each slot; why, and what it gains: `docs/decisions/0012-learned-lead.md`. It never spins. KVM does the like for
//! the timers of its guests (`lapic_timer_advance_ns`).
//!
//! 1. Wait until the deadline less the lead. If there are events, or the wait took the token of an unpark, that is all.
//! 2. Learn how late the wait ended. If the deadline has come, that is all.
//! 3. Waking took even less for once: wait for what is left.
//!
//! *The race feared*: an unpark comes when the time of step 1 is up, its token is taken where that wait ends, and step 3 sleeps over
//! what it stands for, without end if the timer has been cancelled meanwhile. *Why it cannot happen*: each wait says whether it
//! took a token, and step 3 is not for one that did. A token that comes later ends the wait of step 3.
//!
//! **Cost.** Parking with nothing in the shard: no clock read; one swap for the duty, one system call. A deadline in the
//! shard costs two clock reads, and every tenth time or so a second wait.

use crossbeam_utils::CachePadded;
use executor::{Gathered, Park, Parker, Sleep, Unparked, WeakHandle};
use parking_lot::Mutex;
use reactor::{Events, ReactorThread};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};
use timer::ServeGuard;

mod favour;
mod watchman;

use favour::Favour;
use watchman::Watchman;

/// A busy worker looks for I/O at most this often; a look is a system call.
const LOOK_INTERVAL: Duration = Duration::from_micros(50);
/// Waits end sooner than asked for by no more than this. Twice what waking takes here as a rule.
const LEAD_LIMIT: Duration = Duration::from_micros(100);
/// How often a paused clock looks whether it may advance, while blocking work is under way. Only tests pause the clock.
const PAUSED_LOOK: Duration = Duration::from_millis(1);
/// Nobody sleeps inside the driver.
const NOBODY: usize = usize::MAX;

thread_local! {
    /// Tells the timers which shard this thread serves.
    static SERVING: RefCell<Option<ServeGuard>> = const { RefCell::new(None) };
}

/// What the thread of a slot has gathered and not yet dispatched.
struct Batch {
    /// The events of the last wait.
    events: Events,
    /// The wakers behind them, and those of due timers.
    wakers: VecDeque<Waker>,
    /// When a busy thread last looked for I/O.
    last_look: Instant,
}

/// Whether a batch was empty after a waker was taken from it, which saves a look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IsLast {
    /// It was.
    Yes,
    /// There are more.
    No,
}

/// What the thread of a slot works with.
struct SlotState {
    /// What it has gathered.
    batch: Mutex<Batch>,
    /// How long after its timeout it is awake at best, in nanoseconds. Written by that thread.
    lead: AtomicU32,
}

impl Batch {
    fn pop(&mut self) -> Option<(Waker, IsLast)> {
        let waker = self.wakers.pop_front()?;
        let is_last = if self.wakers.is_empty() {
            IsLast::Yes
        } else {
            IsLast::No
        };
        Some((waker, is_last))
    }
}

/// Reactor, timers and the parkers of all slots.
pub(crate) struct Driver {
    /// Sockets and the like.
    pub(crate) reactor: reactor::Handle,
    /// Deadlines; one shard a slot.
    pub(crate) timer: timer::Handle,
    /// Where each slot's thread sleeps.
    parkers: Box<[Parker]>,
    /// What each slot's thread works with.
    slots: Box<[CachePadded<SlotState>]>,
    /// The slot whose thread waits for I/O, or `NOBODY`.
    in_driver: CachePadded<AtomicUsize>,
    /// The guest that is to wait for I/O, if any.
    favour: CachePadded<Favour>,
    /// Which slots are guests'.
    guests: Range<usize>,
    /// The executor whose threads sleep here; set once it is there.
    executor: OnceLock<WeakHandle>,
    /// The reactor thread; none on the current-thread flavor.
    guarantor: OnceLock<ReactorThread>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("parkers", &self.parkers)
            .finish_non_exhaustive()
    }
}

impl Driver {
    pub(crate) fn new(
        reactor: reactor::Handle,
        timer: timer::Handle,
        slots: usize,
        guests: Range<usize>,
    ) -> Arc<Driver> {
        let now = Instant::now();
        let slot = || {
            CachePadded::new(SlotState {
                batch: Mutex::new(Batch {
                    events: Events::new(),
                    wakers: VecDeque::new(),
                    last_look: now,
                }),
                lead: AtomicU32::new(0),
            })
        };
        let driver = Arc::new(Driver {
            reactor,
            timer,
            parkers: (0..slots).map(|_| Parker::new()).collect(),
            slots: (0..slots).map(|_| slot()).collect(),
            in_driver: CachePadded::new(AtomicUsize::new(NOBODY)),
            favour: CachePadded::new(Favour::new()),
            guests,
            executor: OnceLock::new(),
            guarantor: OnceLock::new(),
        });
        let rouse = Rouse(Arc::downgrade(&driver));
        driver.timer.set_rouse(Arc::new(rouse));
        driver
    }

    /// Tells the driver whose threads it serves.
    pub(crate) fn serve(&self, executor: &executor::Handle) {
        let _ = self.executor.set(executor.downgrade());
    }

    /// Starts the reactor thread.
    pub(crate) fn start_guarantor(
        self: &Arc<Self>,
        executor: &executor::Handle,
        builder: std::thread::Builder,
    ) -> std::io::Result<()> {
        let watch = Watchman::new(self, executor);
        let thread = ReactorThread::start(builder, self.reactor.clone(), watch)?;
        let _ = self.guarantor.set(thread);
        Ok(())
    }

    /// Whether nothing but the passage of time can happen: a paused clock may then move by itself.
    fn may_advance_clock(&self) -> bool {
        if !self.timer.clock().is_paused() {
            return false;
        }
        let executor = self.executor.get().and_then(WeakHandle::upgrade);
        executor.is_some_and(|executor| !executor.is_blocking_pool_busy())
    }

    /// Whether the thread of `slot` should wait for I/O if nobody does.
    fn may_wait(&self, slot: usize) -> bool {
        match self.favour.guest() {
            Some(guest) => guest == slot,
            None => !self.guests.contains(&slot),
        }
    }

    /// Has a worker take over the duty if there is one that sleeps: no guest is favoured any more.
    fn rouse_worker(&self) {
        if let Some(executor) = self.executor.get().and_then(WeakHandle::upgrade) {
            executor.rouse_one();
        }
    }

    /// Has the favoured guest take the duty, which it may have found taken, if it sleeps without it.
    fn rouse_favoured(&self) {
        if let Some(guest) = self.favour.guest()
            && !self.reactor.is_held()
            && self.parkers[guest].is_asleep()
        {
            self.rouse(guest);
        }
    }

    /// The thread of `slot` has had the duty. If it is a guest that will not wait next, whoever wanted to wait meanwhile has found the duty taken, and sleeps without it. (While a worker has
    /// it, too; but that one will wait itself, or look again.)
    fn hand_over_duty(&self, slot: usize) {
        if !self.guests.contains(&slot) || self.may_wait(slot) || self.reactor.is_held() {
            return;
        }
        if self.favour.guest().is_some() {
            self.rouse_favoured();
        } else if let Some(executor) = self.executor.get().and_then(WeakHandle::upgrade)
            && executor.has_parked()
        {
            executor.rouse_one();
        }
    }

    /// Ends the sleep of `slot`.
    fn rouse(&self, slot: usize) {
        if self.parkers[slot].unpark() == Unparked::InterruptDriver {
            self.reactor.interrupt();
        }
    }

    /// One turn of the reactor for `slot`; `None` if another thread has the duty.
    fn turn(&self, slot: usize, timeout: Option<Duration>) -> Option<Turn> {
        let mut duty = self.reactor.try_hold()?;
        if !self.parkers[slot].begin(Sleep::Driver) {
            return Some(Turn::Unparked);
        }
        // Relaxed: a hint for the choice of whom to wake.
        self.in_driver.store(slot, Ordering::Relaxed);
        let mut batch = self.slots[slot].batch.lock();
        let waited = duty.wait(&mut batch.events, timeout);
        drop(batch);
        self.in_driver.store(NOBODY, Ordering::Relaxed);
        let unparked = self.parkers[slot].finish();
        drop(duty);
        self.hand_over_duty(slot);
        match waited {
            Ok(1..) => Some(Turn::Events),
            // Also after a wait that failed: the token is taken.
            _ if unparked => Some(Turn::Unparked),
            Ok(0) => Some(Turn::Nothing),
            // It would fail again at once: sleep on the futex instead.
            Err(_) => None,
        }
    }

    /// Gathers the events that are there, without waiting, and returns how many; none if another thread has the duty.
    fn gather(&self, slot: usize) -> usize {
        let Some(mut duty) = self.reactor.try_hold() else {
            return 0;
        };
        let mut batch = self.slots[slot].batch.lock();
        let events = duty.wait(&mut batch.events, Some(Duration::ZERO));
        drop((batch, duty));
        self.hand_over_duty(slot);
        events.unwrap_or(0)
    }

    /// Waits for I/O if that is for this thread to do, else on the futex.
    fn wait(&self, slot: usize, timeout: Option<Duration>) -> Turn {
        let turn = if self.may_wait(slot) {
            self.turn(slot, timeout)
        } else {
            self.rouse_favoured();
            None
        };
        turn.unwrap_or_else(|| {
            if self.parkers[slot].sleep(timeout) {
                Turn::Unparked
            } else {
                Turn::Nothing
            }
        })
    }

    /// How much sooner than after `timeout` the thread of `slot` is to be woken, so as to be awake then.
    fn lead(&self, slot: usize, timeout: Option<Duration>) -> Duration {
        // Relaxed: written by the thread of the slot.
        let lead = self.slots[slot].lead.load(Ordering::Relaxed);
        let lead = Duration::from_nanos(lead.into());
        // A short wait would be taken up by waking twice.
        if timeout.is_some_and(|timeout| timeout > 2 * lead) {
            lead
        } else {
            Duration::ZERO
        }
    }

    /// Learns that a wait of `slot` took `late` longer than asked for: follows the least at once, and more by an eighth, so
    /// that about one wait in ten ends early.
    fn learn_lead(&self, slot: usize, late: Duration) {
        let late = late.min(LEAD_LIMIT).subsec_nanos();
        // Relaxed: as in `lead`.
        let lead = self.slots[slot].lead.load(Ordering::Relaxed);
        let next = lead.min(late) + late.saturating_sub(lead) / 8;
        self.slots[slot].lead.store(next, Ordering::Relaxed);
    }

    /// Parks under a paused clock: instead of sleeping until the next deadline, moves the clock there.
    fn park_paused(&self, slot: usize) -> Gathered {
        match self.turn(slot, Some(Duration::ZERO)) {
            Some(Turn::Events) => return Gathered::Something,
            // Somebody has something for this thread: the clock stands still.
            Some(Turn::Unparked) => return Gathered::Nothing,
            Some(Turn::Nothing) | None => {}
        }
        let executor = self.executor.get().and_then(WeakHandle::upgrade);
        let has_work = executor.is_some_and(|executor| executor.injector_depth() > 0);
        match self.timer.next(slot) {
            Some(deadline) if !has_work => {
                self.timer.clock().advance_to(deadline);
                Gathered::Something
            }
            _ => gathered(self.turn(slot, None) == Some(Turn::Events)),
        }
    }

    /// Wakes what lies in the batch of `slot`, one by one, beginning with `first`; returns how many.
    fn wake_batch(&self, slot: usize, first: Option<(Waker, IsLast)>) -> usize {
        let mut woken = 0;
        let mut next = first;
        while let Some((waker, is_last)) = next {
            woken += 1;
            // A waker that panics has told the panic hook; the others must be woken all the same.
            executor::Handle::contain(|| waker.wake());
            if is_last == IsLast::Yes {
                break;
            }
            next = self.slots[slot].batch.lock().pop();
        }
        woken
    }
}

/// Which wait of a park.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// It may end early by the lead.
    First,
    /// It waits for what is left.
    Second,
}

/// How a turn of the reactor ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The slot was unparked.
    Unparked,
    /// The timeout passed, or the wait was cut short.
    Nothing,
    /// There are events to dispatch.
    Events,
}

fn gathered(something: bool) -> Gathered {
    if something {
        Gathered::Something
    } else {
        Gathered::Nothing
    }
}

impl Park for Driver {
    fn adopt(&self, slot: usize) {
        self.parkers[slot].adopt();
        let serving = self.timer.serve(slot);
        SERVING.with(|current| current.replace(Some(serving)));
    }

    fn park(&self, slot: usize) -> Gathered {
        if self.timer.next(slot).is_some() && self.may_advance_clock() {
            return self.park_paused(slot);
        }
        let clock = self.timer.clock();
        let mut lead = Duration::ZERO;
        for pass in [Pass::First, Pass::Second] {
            let Some(_) = self.timer.next(slot) else {
                return gathered(self.wait(slot, None) == Turn::Events);
            };
            let now = clock.now();
            let mut timeout = self.timer.park_timeout(slot, now);
            if timeout == Some(Duration::ZERO) {
                return Gathered::Something;
            }
            if clock.is_paused() {
                // The pool for blocking work is busy. It tells nobody when it is not: look again.
                timeout = Some(PAUSED_LOOK);
            } else if pass == Pass::Second {
                // Exactly: a shard that coalesces by now would make it half a millisecond.
                timeout = self.timer.until_next(slot, now);
            } else if timeout == self.timer.until_next(slot, now) {
                lead = self.lead(slot, timeout);
                timeout = timeout.map(|timeout| timeout - lead);
            }
            // 1, and 3.
            let turn = self.wait(slot, timeout);
            if turn == Turn::Events {
                return Gathered::Something;
            }
            let woken = clock.now();
            if turn == Turn::Unparked {
                // The token is taken: to wait again would be to sleep over what it stands for.
                return gathered(self.timer.is_due(slot, woken));
            }
            // 2.
            let late = timeout.and_then(|timeout| woken.checked_duration_since(now + timeout));
            if let Some(late) = late
                && pass == Pass::First
            {
                self.learn_lead(slot, late);
            }
            if self.timer.is_due(slot, woken) {
                return Gathered::Something;
            }
            // Cut short, or there is nothing left to wait for.
            if late.is_none() || lead.is_zero() {
                break;
            }
        }
        Gathered::Nothing
    }

    fn look(&self, slot: usize) -> Gathered {
        let now = Instant::now();
        {
            let mut batch = self.slots[slot].batch.lock();
            if now.duration_since(batch.last_look) < LOOK_INTERVAL {
                return Gathered::Nothing;
            }
            batch.last_look = now;
        }
        let events = self.gather(slot);
        gathered(events > 0 || self.timer.is_due(slot, self.timer.clock().now()))
    }

    fn look_first(&self, slot: usize) -> Gathered {
        if !self.may_wait(slot) {
            return Gathered::Nothing;
        }
        gathered(self.gather(slot) > 0)
    }

    fn dispatch(&self, slot: usize) -> usize {
        let first = {
            let mut batch = self.slots[slot].batch.lock();
            let Batch { events, wakers, .. } = &mut *batch;
            if !events.is_empty() {
                self.reactor
                    .dispatch(events, &mut |waker| wakers.push_back(waker));
            }
            batch.pop()
        };
        let learning = self.favour.begin_dispatch();
        let mut woken = self.wake_batch(slot, first);
        if self.guests.contains(&slot) {
            if self.favour.end_dispatch_of_guest(learning, slot) {
                self.rouse_worker();
            }
        } else if let Some(guest) = self.favour.end_dispatch(learning, woken) {
            self.rouse(guest);
        }
        if self.timer.next(slot).is_some() {
            // It wakes one by one, outside its lock: a waker that blocks holds nobody else up.
            let now = self.timer.clock().now();
            woken += self.timer.fire(slot, now, &mut Waker::wake);
        }
        woken
    }

    fn unpark(&self, slot: usize) {
        if self.guests.contains(&slot) {
            self.favour.note_roused(slot);
        }
        self.rouse(slot);
    }

    fn in_driver(&self) -> usize {
        // Relaxed: a hint.
        self.in_driver.load(Ordering::Relaxed)
    }

    #[inline]
    fn activated(&self) {
        if let Some(guarantor) = self.guarantor.get() {
            guarantor.activate();
        }
    }

    fn passed_on(&self, slot: usize) {
        if self.favour.passed_on(slot) {
            self.rouse_worker();
        }
    }

    fn no_company(&self, slot: usize) {
        self.favour.no_company(slot);
    }

    fn keeps_company(&self, slot: usize) -> bool {
        self.favour.guest() == Some(slot)
    }

    fn retire(&self, slot: usize) {
        if self.guests.contains(&slot) && self.favour.leave(slot) {
            self.rouse_worker();
        }
        let _ = SERVING.try_with(|serving| serving.take());
        // Ordering: SeqCst closes the race with `earlier`: leave the live slots, load `next` here, against store `next`, look
        // whether the slot is live there.
        fence(Ordering::SeqCst);
        // The shard has no thread any more: the reactor thread must know its next deadline.
        if self.timer.next(slot).is_some()
            && let Some(guarantor) = self.guarantor.get()
        {
            guarantor.rouse();
        }
        // A waker may block this thread in place. What its event came with does not wait for that.
        let first = self.slots[slot].batch.lock().pop();
        self.wake_batch(slot, first);
    }

    fn close(&self) {
        if let Some(guarantor) = self.guarantor.get() {
            guarantor.stop();
            guarantor.join();
        }
        self.reactor.close();
        self.timer.close();
    }
}

/// How the timers reach the threads.
struct Rouse(Weak<Driver>);

impl timer::Rouse for Rouse {
    fn outside_shard(&self) -> usize {
        let driver = self.0.upgrade();
        let executor = driver.and_then(|driver| driver.executor.get()?.upgrade());
        executor.map_or(0, |executor| executor.serving_slot())
    }

    fn earlier(&self, shard: usize) {
        let Some(driver) = self.0.upgrade() else {
            return;
        };
        driver.unpark(shard);
        let live = driver.executor.get().and_then(WeakHandle::upgrade);
        if live.is_some_and(|executor| !executor.is_live(shard))
            && let Some(guarantor) = driver.guarantor.get()
        {
            guarantor.rouse();
        }
    }
}

#[cfg(test)]
mod tests;
