//! The reactor: the poller, all sources, and the duty to wait. One turn = wait, mark sources, wake.
//!
//! # A turn
//!
//! 1. [`Handle::try_hold`]: take the duty. Whoever fails leaves the wait to the one who has it.
//! 2. [`Duty::wait`]: one system call; events go into the thread's own buffer.
//! 3. [`Handle::dispatch`]: for each event find the source, mark it, and hand out the wakers that waited. This needs
//!    no duty: the buffer is the thread's, and marks from several threads do not disturb each other.
//!
//! # What must always hold
//!
//! - An event that has been taken from the kernel is an edge that does not come again: it stays in the buffer until
//!   it has been dispatched, even if a waker panics on the way.
//! - Everything that a source refers to lives as long as the last [`Registration`](crate::Registration): each holds a
//!   [`Handle`].
//! - A forked child shares the poller's descriptor with its parent, so it must not change what is registered there.
//!
//! # What is counted
//!
//! Turns and events by the holder of the duty, with plain stores on the cache line that it owns since it took the duty;
//! registrations under the lock that hands out their slots; interruptions with a read-modify-write, beside the system
//! call that each of them is.

use std::{
    any::Any,
    fmt, io,
    os::fd::RawFd,
    panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use crossbeam_utils::CachePadded;

use crate::{
    EnterGuard, Interest, Ready, context,
    held::Held,
    metrics::{Metrics, bump},
    owners::Owners,
    process_id, raw,
    slab::Slab,
    source::Source,
    token::Token,
    wait::{self, Wait},
};

/// A reactor. Cheap to clone; it lives until the last handle and the last registration are gone.
#[derive(Clone)]
pub struct Handle {
    /// What all handles share.
    reactor: Arc<Reactor>,
}

/// What all handles of a reactor share.
struct Reactor {
    /// The seam to the operating system.
    wait: Wait,
    /// The registered sources.
    slab: Slab,
    /// To whom the numbers of descriptors belong.
    owners: Owners,
    /// The duty, and what its holders have done. On a line of its own: idle threads look at it.
    duty: CachePadded<DutyLine>,
    /// How often a wait was to be cut short. On a line of its own: whoever unparks the holder writes it.
    interrupts: CachePadded<AtomicU64>,
    /// Charges the task's budget for an operation that is ready.
    charge: fn(&mut Context<'_>) -> Poll<()>,
    /// The process that created the poller.
    process: u32,
}

/// What the holder of the duty writes.
#[derive(Default)]
struct DutyLine {
    /// Whether some thread has the duty.
    held: Held,
    /// The waits of threads that serve a slot that have ended.
    slot_turns: AtomicU64,
    /// The waits of the reactor thread that have ended.
    thread_turns: AtomicU64,
    /// The events that these waits returned.
    events: AtomicU64,
}

impl Handle {
    /// Creates a reactor.
    ///
    /// `charge` is called whenever a poll for readiness would succeed; if it returns `Pending`, having seen to it
    /// that the task is woken, so does that poll.
    ///
    /// # Errors
    ///
    /// Fails if the operating system has no more descriptors to give.
    pub fn new(charge: fn(&mut Context<'_>) -> Poll<()>) -> io::Result<Handle> {
        Ok(Handle {
            reactor: Arc::new(Reactor {
                wait: Wait::new()?,
                slab: Slab::new(),
                owners: Owners::default(),
                duty: CachePadded::default(),
                interrupts: CachePadded::default(),
                charge,
                process: process_id(),
            }),
        })
    }

    /// Returns the reactor of the runtime that this thread is in.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Some(handle) => handle,
            None => panic!(
                "there is no runtime running on this thread: call this from inside `runtime::block_on`, \
                 `#[runtime::main]` or a spawned task, or enter one with `Handle::enter`"
            ),
        }
    }

    /// Returns the reactor of the runtime that this thread is in, if it is in one.
    pub fn try_current() -> Option<Handle> {
        context::current()
    }

    /// Makes this the thread's current reactor until the guard is dropped.
    pub fn enter(&self) -> EnterGuard {
        context::enter(self.clone())
    }

    /// Takes the duty to wait, unless another thread has it.
    pub fn try_hold(&self) -> Option<Duty<'_>> {
        self.try_hold_counting(|line| &line.slot_turns)
    }

    /// As [`try_hold`](Self::try_hold), for the reactor thread.
    pub(crate) fn try_hold_in_their_stead(&self) -> Option<Duty<'_>> {
        self.try_hold_counting(|line| &line.thread_turns)
    }

    /// Takes the duty; `turns` is where its turns are counted.
    #[inline]
    fn try_hold_counting(&self, turns: fn(&DutyLine) -> &AtomicU64) -> Option<Duty<'_>> {
        let line = &*self.reactor.duty;
        // Not `then_some`: a duty that is made and dropped gives up what another thread holds.
        line.held.try_take().then(|| Duty {
            handle: self,
            turns: turns(line),
        })
    }

    /// Returns whether some thread has the duty.
    pub fn is_held(&self) -> bool {
        self.reactor.duty.held.is_taken()
    }

    /// Returns how many waits have ended so far.
    pub fn turns(&self) -> u64 {
        let line = &*self.reactor.duty;
        // Relaxed: counters.
        line.slot_turns.load(Relaxed) + line.thread_turns.load(Relaxed)
    }

    /// Returns what has been counted so far.
    pub fn metrics(&self) -> Metrics {
        let (sources, registered) = self.reactor.slab.counts();
        let line = &*self.reactor.duty;
        // Relaxed: counters.
        Metrics {
            slot_turns: line.slot_turns.load(Relaxed),
            thread_turns: line.thread_turns.load(Relaxed),
            events: line.events.load(Relaxed),
            interrupts: self.reactor.interrupts.load(Relaxed),
            registered,
            sources,
            is_held: self.is_held(),
        }
    }

    /// Returns how many descriptors are registered.
    pub fn sources(&self) -> usize {
        self.reactor.slab.len()
    }

    /// Cuts the present wait short, or the next one if nobody waits. Several interruptions may count as one.
    pub fn interrupt(&self) {
        // Relaxed: a counter.
        self.reactor.interrupts.fetch_add(1, Relaxed);
        self.reactor.wait.interrupt();
    }

    /// Shuts down: every wait for readiness, pending or later, ends with an error, and nothing more is registered.
    ///
    /// Wakes everyone who waits. A waker that panics does not keep the others from being woken.
    pub fn close(&self) {
        self.reactor.slab.close(&mut |waker| {
            if let Err(thrown) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                // The panic was reported by its hook; there is nobody here whom it concerns.
                discard(thrown);
            }
        });
    }

    /// Marks the sources of all events and passes the wakers that waited for them to `wake`. Leaves `events` empty.
    ///
    /// If `wake` panics, the events after the present one stay for a later call, but other waiters of the present one
    /// are lost; so it should catch what a waker throws.
    pub fn dispatch(&self, events: &mut Events, wake: &mut dyn FnMut(Waker)) {
        while let Some((token, ready)) = events.buffer.take() {
            let Some(source) = self.reactor.slab.get(token) else {
                continue;
            };
            source.event(token.generation, ready, wake);
            if self.reactor.wait.is_oneshot() {
                self.rearm(token);
            }
        }
    }

    /// Asks the budget whether a ready operation may go on.
    pub(crate) fn charge(&self, cx: &mut Context<'_>) -> Poll<()> {
        (self.reactor.charge)(cx)
    }

    /// Registers a descriptor.
    #[track_caller]
    pub(crate) fn register(
        &self,
        fd: RawFd,
        interest: Interest,
        initially: Ready,
    ) -> io::Result<Token> {
        assert!(
            !self.is_forked(),
            "this process was forked from the one that started the runtime, whose I/O it cannot use: start another \
             runtime in the child"
        );
        let Reactor {
            wait, slab, owners, ..
        } = &*self.reactor;
        // What is sticky must be true: a closing that is only believed would make every wait spin.
        let token = slab.take(fd, initially & (Ready::READABLE | Ready::WRITABLE))?;
        if wait.is_oneshot() {
            slab.taken(token).set_armed(interest);
        }
        let added = owners.claim(fd, token, || {
            raw::lend(fd, |fd| wait.add(fd, token, interest))
        });
        match added {
            Ok(()) => Ok(token),
            Err(error) => {
                slab.release(token);
                Err(error)
            }
        }
    }

    /// Makes the operating system forget the descriptor of a registration, unless its number belongs to someone else by
    /// now. The second call does nothing.
    pub(crate) fn deregister(&self, token: Token) -> io::Result<()> {
        if self.is_forked() {
            return Ok(());
        }
        let Some(fd) = self.source(token).take_fd() else {
            return Ok(());
        };
        let Reactor { wait, owners, .. } = &*self.reactor;
        let deleted = owners.release(fd, token, || raw::lend(fd, |fd| wait.delete(fd)));
        match deleted {
            // The descriptor was closed behind our back, and the poller has forgotten it.
            Err(error) if is_closed_fd(&error) => Ok(()),
            other => other,
        }
    }

    /// The source of a registration.
    #[inline]
    pub(crate) fn source(&self, token: Token) -> &Source {
        self.reactor.slab.taken(token)
    }

    /// Gives a slot back.
    pub(crate) fn release(&self, token: Token) {
        self.reactor.slab.release(token);
    }

    /// Whether sources must be armed again after each event and clear.
    pub(crate) fn is_oneshot(&self) -> bool {
        self.reactor.wait.is_oneshot()
    }

    /// Arms a one-shot source for what is not known to be ready.
    pub(crate) fn rearm(&self, token: Token) {
        let Reactor {
            wait, slab, owners, ..
        } = &*self.reactor;
        let Some(source) = slab.get(token) else {
            return;
        };
        source.rearm(token.generation, |fd, missing| {
            owners.while_owned(fd, token, || {
                // It fails if the descriptor was closed behind our back; then nothing will ever be ready.
                let _ = raw::lend(fd, |fd| wait.modify(fd, token, missing));
            });
        });
    }

    /// Whether [`close`](Self::close) has been called.
    pub(crate) fn is_closed(&self) -> bool {
        self.reactor.slab.is_closed()
    }

    /// Whether this is a child of the process that created the reactor.
    fn is_forked(&self) -> bool {
        self.reactor.process != process_id()
    }
}

/// The right and the duty to wait for events; one thread at a time has it. Dropping gives it up.
#[derive(Debug)]
pub struct Duty<'a> {
    /// The reactor that is waited for.
    handle: &'a Handle,
    /// Where its turns are counted.
    turns: &'a AtomicU64,
}

impl Duty<'_> {
    /// Waits until there are events, the timeout has passed (`None` = no limit), or the wait is interrupted. Returns
    /// how many events there are to [`dispatch`](Handle::dispatch).
    ///
    /// A timeout of zero only looks. Timeouts are never early; on Linux they are counted in nanoseconds. A signal
    /// ends a wait without events. If `events` has not been dispatched since the last time, nothing is waited for.
    ///
    /// # Errors
    ///
    /// Fails if the operating system refuses to wait, which means that the poller is broken.
    pub fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        if !events.is_empty() {
            return Ok(events.buffer.len());
        }
        let reactor = &self.handle.reactor;
        let waited = reactor.wait.wait(&mut events.buffer, timeout);
        bump(self.turns, 1);
        if let Ok(events) = waited {
            bump(&reactor.duty.events, events as u64);
        }
        match waited {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            other => other,
        }
    }
}

impl Drop for Duty<'_> {
    fn drop(&mut self) {
        self.handle.reactor.duty.held.give_up();
    }
}

/// A thread's buffer for the events of one wait.
#[derive(Debug)]
pub struct Events {
    /// As the wait left them.
    buffer: wait::Buffer,
}

impl Events {
    /// Creates an empty buffer.
    pub fn new() -> Events {
        Events {
            buffer: wait::Buffer::new(),
        }
    }

    /// Returns whether there is nothing to dispatch.
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == 0
    }
}

impl Default for Events {
    fn default() -> Self {
        Events::new()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("sources", &self.sources())
            .field("turns", &self.turns())
            .field("is_held", &self.is_held())
            .finish()
    }
}

// A panic leaves the reactor valid: wakers run outside its locks, and each transition is one operation.
impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}

/// Whether an error says that there is no such descriptor, or none that is registered.
fn is_closed_fd(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(
        errno,
        Some(rustix::io::Errno::BADF | rustix::io::Errno::NOENT)
    )
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

#[cfg(any(fuzzing, all(test, not(rt_loom))))]
pub mod model;
#[cfg(all(test, not(rt_loom)))]
mod tests;
