//! One registered descriptor, as leaf futures use it: poll for readiness, try, clear.

use std::{
    future::poll_fn,
    io,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    panic::{RefUnwindSafe, UnwindSafe},
    task::{Context, Poll, ready},
};

use crate::{
    Direction, Handle, Interest, Ready,
    slab::shutdown_error,
    source::{Clear, Place, Snapshot, Source},
    token::Token,
    wait::Wait,
};

/// One registered descriptor.
///
/// It does not own the descriptor: keep it in a field *before* the one that closes it, so that it is deregistered
/// first. If the descriptor is closed earlier all the same, nobody else's events are disturbed.
#[derive(Debug)]
pub struct Registration {
    /// The reactor that serves it.
    handle: Handle,
    /// What the operating system knows it by, and where its source is.
    token: Token,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(
    size_of::<Registration>() == 16,
    "a stream is this and a number"
);

/// Readiness as it was at one moment. An operation that finds it outdated passes it to [`Registration::clear`].
#[derive(Debug, Clone, Copy)]
pub struct ReadyEvent {
    /// What is ready, of what was asked for.
    pub ready: Ready,
    /// The state from which it was read; its stamp tells whether an event has come since.
    seen: Snapshot,
}

impl Registration {
    /// Registers a descriptor, once and for all its life.
    ///
    /// `initially` is what the first operations may take for ready without having been told; only `READABLE` and
    /// `WRITABLE` count. For a socket that is both, because trying is cheaper than waiting; while it is being
    /// connected it is neither.
    /// Begin to connect before registering: an unconnected stream socket counts as closed.
    ///
    /// # Errors
    ///
    /// - `AlreadyExists` if the descriptor is registered with this reactor.
    /// - `PermissionDenied` (EPERM) if it cannot be waited for, as is the case with regular files.
    /// - An error of kind `Other` if the runtime has shut down.
    /// - What else the operating system answers, such as ENOSPC at the limit of watches per user.
    ///
    /// # Panics
    ///
    /// Panics in a process that was forked from the one that created the reactor.
    #[track_caller]
    pub fn new(
        fd: BorrowedFd<'_>,
        interest: Interest,
        initially: Ready,
        handle: &Handle,
    ) -> io::Result<Registration> {
        Registration::from_raw(fd.as_raw_fd(), interest, initially, handle)
    }

    /// Registers whatever is open under a number.
    #[track_caller]
    pub(crate) fn from_raw(
        fd: RawFd,
        interest: Interest,
        initially: Ready,
        handle: &Handle,
    ) -> io::Result<Registration> {
        let token = handle.register(fd, interest, initially)?;
        Ok(Registration::of(handle, token))
    }

    /// Takes the slot of `token` over.
    pub(crate) fn of(handle: &Handle, token: Token) -> Registration {
        let handle = handle.clone();
        Registration { handle, token }
    }

    /// Waits until the direction is ready, or has been closed.
    ///
    /// Only the waker of the last call for each direction is kept. Charges the task's budget when it returns `Ready`.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down, or after [`deregister`](Self::deregister).
    #[inline]
    pub fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<ReadyEvent>> {
        let mask = direction.mask();
        let source = self.source();
        let mut now = source.load();
        if !now.ends(mask) {
            now = source.watch(direction, cx.waker());
            if !now.ends(mask) {
                return Poll::Pending;
            }
        }
        self.poll_event(cx, now, mask)
    }

    /// Waits until any of the interest is ready, or has been closed.
    ///
    /// Any number of tasks may wait at once; an event wakes all whom it concerns.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down, or after [`deregister`](Self::deregister).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped: readiness stays until an operation clears it.
    pub async fn ready(&self, interest: Interest) -> io::Result<ReadyEvent> {
        let mut waiter = Waiter {
            registration: self,
            mask: Ready::from_interest(interest),
            place: Place::default(),
        };
        poll_fn(|cx| waiter.poll(cx)).await
    }

    /// Takes back readiness that has turned out to be outdated, unless an event has come since.
    ///
    /// What says that a direction has closed is never taken back; an error only if `which` names it.
    #[inline]
    pub fn clear(&self, event: ReadyEvent, which: Ready) {
        let cleared = self.source().clear(event.seen, which);
        if cleared == Clear::Done && self.handle.is_oneshot() {
            self.handle.rearm(self.token);
        }
    }

    /// Takes readiness back after a stream has transferred less than it could have: it is empty, or full.
    ///
    /// Does nothing while a closing of this direction is known, or where the operating system does not report it; the
    /// next operation then finds out by itself. Not for datagrams, terminals or listeners, whose transfers say
    /// nothing about what is left.
    #[inline]
    pub fn clear_after_short_transfer(&self, event: ReadyEvent, direction: Direction) {
        // If the closing has become known since, the stamp has changed and the clear does nothing.
        if Wait::REPORTS_CLOSING && !event.seen.ready().intersects(direction.closed()) {
            self.clear(event, direction.open());
        }
    }

    /// Tries an operation if the interest is ready.
    ///
    /// `f` must make the system call itself and return `WouldBlock` only if that did, or if the system said that it would.
    ///
    /// # Errors
    ///
    /// Fails with `WouldBlock` if the interest is not ready, with an error of kind `Other` if the runtime has shut
    /// down, and as `f` does.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        let mask = Ready::from_interest(interest);
        let now = self.source().load();
        if !now.ends(mask) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let event = self.event(now, mask)?;
        self.attempt(event, mask, f)
            .unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    /// Performs an operation as soon as the direction is ready, and again whenever it would block.
    ///
    /// `f` must make the system call itself and return `WouldBlock` only if that did, or if the system said that it would. The waker is kept as by
    /// [`poll_ready`](Self::poll_ready).
    ///
    /// # Errors
    ///
    /// Fails as `poll_ready` and `f` do.
    #[inline]
    pub fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            let event = ready!(self.poll_ready(cx, direction))?;
            if let Some(result) = self.attempt(event, direction.open(), &mut f) {
                return Poll::Ready(result);
            }
        }
    }

    /// Performs an operation as soon as the interest is ready, and again whenever it would block.
    ///
    /// `f` must make the system call itself and return `WouldBlock` only if that did, or if the system said that it would.
    ///
    /// # Errors
    ///
    /// Fails as [`ready`](Self::ready) and `f` do.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped: a call of `f` that succeeded has ended it.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        let mask = Ready::from_interest(interest);
        loop {
            let event = self.ready(interest).await?;
            if let Some(result) = self.attempt(event, mask, &mut f) {
                return result;
            }
        }
    }

    /// Makes the operating system forget the descriptor, which may then be used elsewhere. Later waits fail.
    ///
    /// # Errors
    ///
    /// Fails as the system call does. That the descriptor has been closed already is no error.
    pub fn deregister(&mut self) -> io::Result<()> {
        // Nobody waits, for nobody else can hold a reference now; wakers left behind are of no use to anyone.
        self.source().expel(&mut drop);
        self.handle.deregister(self.token)
    }

    /// Where its readiness is kept, and its waiters are.
    #[inline]
    fn source(&self) -> &Source {
        self.handle.source(self.token)
    }

    /// Returns the reactor that serves this descriptor.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Performs one attempt; `None` if it would block, after clearing.
    #[inline]
    fn attempt<R>(
        &self,
        event: ReadyEvent,
        which: Ready,
        f: impl FnOnce() -> io::Result<R>,
    ) -> Option<io::Result<R>> {
        match f() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(event, which);
                None
            }
            result => Some(result),
        }
    }

    /// What a wait gets that is over, if the budget allows it.
    #[inline]
    fn poll_event(
        &self,
        cx: &mut Context<'_>,
        now: Snapshot,
        mask: Ready,
    ) -> Poll<io::Result<ReadyEvent>> {
        let event = self.event(now, mask)?;
        ready!(self.handle.charge(cx));
        Poll::Ready(Ok(event))
    }

    /// What a wait gets that is over.
    #[inline]
    fn event(&self, now: Snapshot, mask: Ready) -> io::Result<ReadyEvent> {
        if now.is_gone() {
            return Err(self.gone_error());
        }
        Ok(ReadyEvent {
            ready: now.ready() & mask,
            seen: now,
        })
    }

    /// Why every wait ends.
    #[cold]
    fn gone_error(&self) -> io::Error {
        if self.handle.is_closed() {
            shutdown_error()
        } else {
            io::Error::other("this descriptor has been deregistered")
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // There is nobody to tell. Events that come all the same bear a generation of the past.
        let _ = self.handle.deregister(self.token);
        self.handle.release(self.token);
    }
}

// A panic leaves the source valid: wakers run outside its lock, and each transition is one operation.
impl UnwindSafe for Registration {}
impl RefUnwindSafe for Registration {}

/// A pending `ready().await`; leaves the source's list when dropped.
struct Waiter<'a> {
    /// What is waited for.
    registration: &'a Registration,
    /// What ends the wait.
    mask: Ready,
    /// Where in the list it is.
    place: Place,
}

impl Waiter<'_> {
    /// Looks, enlists, and looks again.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ReadyEvent>> {
        let source = self.registration.source();
        let mut now = source.load();
        if !now.ends(self.mask) {
            now = source.enlist(&mut self.place, self.mask, cx.waker());
            if !now.ends(self.mask) {
                return Poll::Pending;
            }
        }
        self.registration.poll_event(cx, now, self.mask)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.registration.source().forget(&mut self.place);
    }
}
