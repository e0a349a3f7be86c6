//! The reactor thread: guarantor of the polling duty, and the clock of the watch over stuck workers.
//!
//! It runs no tasks. As long as some worker waits for I/O now and then, all it does is to look, a few hundred times a second; when the
//! process is idle it sleeps. The step numbers in the comments are those of the protocol below.
//!
//! What it looks after besides I/O is told by a [`Watch`], which the facade makes of the executor's watchman and the timer
//! shards; this crate knows neither.
#![doc = include_str!("duty.md")]

use crate::sync::{AtomicBool, Mutex, bug, fence};
use crate::{Events, Handle};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// The period while something stands still, as short as the kernel's scheduling makes sense of.
const PERIOD: Duration = Duration::from_millis(1);
/// How soon it looks again after it has waited in the workers' stead and there were events: some 20 times what a look takes.
const EVENTS_PERIOD: Duration = Duration::from_micros(100);
/// The period while all is well; it bounds how late a busy process learns of events.
const LONGEST_PERIOD: Duration = Duration::from_millis(4);
/// How many quiet periods come before the sleep without a timeout: long enough that a program that
/// serves a request now and then does not pay a futex wake for each.
const QUIET_PERIODS: u32 = 20;

/// What the reactor thread looks after besides I/O.
pub trait Watch: Send + 'static {
    /// Looks after stuck slots and overdue timers (R1).
    fn look(&mut self, now: Instant) -> Look;

    /// Whether every slot that a thread serves is parked, so that nothing can be late or stuck.
    fn is_idle(&self) -> bool;

    /// Whether some worker is parked, and could take the duty.
    fn has_parked(&self) -> bool;

    /// Unparks one parked worker, so that it takes the duty.
    fn rouse_one(&self);

    /// Wakes the tasks behind `events`.
    fn dispatch(&mut self, events: &mut Events);
}

/// What a [`Watch`] saw.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// A slot's epoch stands still and no worker gets on, or something overdue was found: look again soon, and wait for I/O in the workers' stead if none of them does.
    pub alert: bool,
    /// Look again soon, though some worker gets on.
    pub soon: bool,
    /// The next deadline that nobody but this thread serves.
    pub deadline: Option<Instant>,
}

/// What the thread shares with those who wake it.
#[derive(Debug, Default)]
struct State {
    /// Set before the sleep without a timeout, cleared by whoever wakes the thread from it.
    asleep: AtomicBool,
    /// The thread is to end.
    stop: AtomicBool,
}

impl State {
    /// R6, first half: announces the sleep; `true` if the caller may sleep.
    fn fall_asleep(&self, may_sleep: impl FnOnce() -> bool) -> bool {
        // Relaxed: the fence orders it. SeqCst, see "Everybody busy, the guarantor asleep": with `must_wake` it closes the race between our
        // store followed by a look at who is awake, and somebody's coming awake followed by a look at `asleep`.
        self.asleep.swap(true, Ordering::Relaxed);
        if !bug::THREAD_NO_FENCE.is_on() {
            fence(Ordering::SeqCst);
        }
        let recheck = may_sleep() || bug::THREAD_NO_RECHECK.is_on();
        if !recheck || self.is_stopped() {
            // Relaxed: who is taken in by the old value unparks a thread that is awake.
            self.asleep.swap(false, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// R6, second half: whether the thread must be unparked.
    #[inline]
    fn must_wake(&self) -> bool {
        // Ordering: SeqCst, as above. Relaxed: it only chooses who unparks, which orders.
        self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::Relaxed)
    }

    /// Asks the thread to end; it must be unparked afterwards.
    fn stop(&self) {
        // Relaxed: the unpark that follows orders it.
        self.stop.swap(true, Ordering::Relaxed);
        self.must_wake();
    }

    fn is_stopped(&self) -> bool {
        // Relaxed: see `stop`; a thread that is awake looks again within a period.
        self.stop.load(Ordering::Relaxed)
    }
}

/// A running reactor thread.
pub struct ReactorThread {
    /// Shared with the thread.
    state: Arc<State>,
    /// The reactor that it serves.
    reactor: Handle,
    /// To unpark.
    thread: Thread,
    /// To join, once.
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for ReactorThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReactorThread")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl ReactorThread {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the operating system refuses another thread.
    pub fn start(
        builder: thread::Builder,
        reactor: Handle,
        watch: impl Watch,
    ) -> io::Result<ReactorThread> {
        let state = Arc::new(State::default());
        let mut guarantor = Guarantor {
            state: Arc::clone(&state),
            reactor: reactor.clone(),
            watch,
            events: Events::new(),
        };
        let handle = builder.spawn(move || guarantor.run())?;
        Ok(ReactorThread {
            state,
            reactor,
            thread: handle.thread().clone(),
            handle: Mutex::new(Some(handle)),
        })
    }

    /// Wakes the thread from its sleep without a timeout, if it is in it. One load if not.
    #[inline]
    pub fn activate(&self) {
        if self.state.must_wake() {
            self.thread.unpark();
        }
    }

    /// Makes the thread recompute how long it may sleep.
    pub fn rouse(&self) {
        self.state.must_wake();
        self.thread.unpark();
    }

    /// Asks the thread to end, without waiting for it.
    pub fn stop(&self) {
        self.state.stop();
        self.thread.unpark();
        self.reactor.interrupt();
    }

    /// Waits until the thread has ended; call [`stop`](ReactorThread::stop) before. Does nothing on the thread itself.
    pub fn join(&self) {
        let handle = self.handle.lock().take();
        if let Some(handle) = handle
            && self.thread.id() != thread::current().id()
        {
            // Its panic would have been reported by the panic hook.
            let _ = handle.join();
        }
    }
}

/// The thread's own state.
struct Guarantor<W> {
    /// Shared with those who wake it.
    state: Arc<State>,
    /// What it waits on.
    reactor: Handle,
    /// What else it looks after.
    watch: W,
    /// The buffer for its waits.
    events: Events,
}

impl<W: Watch> Guarantor<W> {
    fn run(&mut self) {
        let mut period = PERIOD;
        let mut quiet = 0;
        let mut turns = self.reactor.turns();
        loop {
            if self.state.is_stopped() {
                return;
            }
            // R1.
            let now = Instant::now();
            let mut look = self.watch.look(now);
            // R2.
            let before = std::mem::replace(&mut turns, self.reactor.turns());
            let held = self.reactor.is_held();
            if !held && before == turns {
                if self.watch.has_parked() {
                    // R3.
                    self.watch.rouse_one();
                } else {
                    // R4.
                    self.wait_for_io();
                    look.alert = true;
                    turns = self.reactor.turns();
                }
            }
            // R5.
            period = if look.alert || look.soon {
                PERIOD
            } else {
                (period * 5 / 4).min(LONGEST_PERIOD)
            };
            // R6.
            let idle = held && !look.alert && !look.soon && self.watch.is_idle();
            quiet = if idle { quiet + 1 } else { 0 };
            let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
            if quiet <= QUIET_PERIODS {
                let nap = look.deadline.map_or(period, |at| left(at).min(period));
                thread::park_timeout(nap);
                continue;
            }
            quiet = 0;
            period = PERIOD;
            let (reactor, watch) = (&self.reactor, &self.watch);
            if self
                .state
                .fall_asleep(|| reactor.is_held() && watch.is_idle())
            {
                // Once: whoever roused the thread since R1, for a deadline say, has left a token and not seen `asleep`.
                match look.deadline {
                    Some(at) => thread::park_timeout(left(at)),
                    None => thread::park(),
                }
                self.state.must_wake();
            }
        }
    }

    /// R4: waits in the workers' stead until one of them is parked again or gets on.
    fn wait_for_io(&mut self) {
        let mut looked = Instant::now();
        while let Some(mut duty) = self.reactor.try_hold_in_their_stead() {
            // An error here would come again at the workers' next wait, who go on without I/O.
            let failed = duty.wait(&mut self.events, Some(PERIOD)).is_err();
            drop(duty);
            let has_events = !self.events.is_empty();
            if has_events {
                self.watch.dispatch(&mut self.events);
            }
            if self.watch.has_parked() {
                self.watch.rouse_one();
                return;
            }
            if failed || self.state.is_stopped() {
                return;
            }
            let now = Instant::now();
            // Sooner after events: each of them that workers would have seen themselves costs them a thread that takes a core.
            let next_look = if has_events { EVENTS_PERIOD } else { PERIOD };
            if now.duration_since(looked) < next_look {
                continue;
            }
            looked = now;
            if !self.watch.look(now).alert {
                return;
            }
        }
    }
}

#[cfg(all(test, rt_loom))]
mod loom;
