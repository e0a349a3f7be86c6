//! Any file descriptor, awaitable: for devices, eventfds, pipes, and sockets of kinds that the runtime has no type for.
//!
//! Unlike the runtime's own sockets it starts out as not ready, so that `readable().await` means that the operating
//! system has said so.

use std::{
    error::Error,
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    task::{Context, Poll, ready},
};

use crate::{Direction, Handle, Interest, Ready, ReadyEvent, Registration};

mod guard;

pub use guard::{AsyncFdReadyGuard, AsyncFdReadyMutGuard, TryIoError};

/// Any file descriptor, registered with the reactor so that its readiness can be awaited.
///
/// The descriptor must be in non-blocking mode, and it must not be registered twice. It stays what it is: reading and
/// writing are up to the caller, through the guards' `try_io` or through [`async_io`](Self::async_io), which see to it
/// that readiness is taken back when a call would block. Dropping an `AsyncFd` drops the inner value.
///
/// # Examples
///
/// A datagram through an `AsyncFd`, with `read(2)` done by hand:
///
/// ```no_run
/// use reactor::{AsyncFd, Interest};
/// use std::{io, net::UdpSocket};
///
/// async fn receive(socket: UdpSocket) -> io::Result<Vec<u8>> {
///     socket.set_nonblocking(true)?;
///     let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
///     let mut buffer = vec![0; 1500];
///     loop {
///         let mut guard = socket.readable().await?;
///         // `Err` means that it would block, and that the guard has taken the readiness back.
///         if let Ok(received) = guard.try_io(|socket| socket.get_ref().recv(&mut buffer)) {
///             buffer.truncate(received?);
///             return Ok(buffer);
///         }
///     }
/// }
/// ```
pub struct AsyncFd<T: AsRawFd> {
    /// Deregisters before `inner` closes the descriptor, for fields are dropped in this order.
    registration: Registration,
    /// The owner of the descriptor.
    inner: T,
}

impl<T: AsRawFd> AsyncFd<T> {
    /// Registers a descriptor for reading and writing with the current runtime.
    ///
    /// # Errors
    ///
    /// As [`Registration::new`]. The inner value is dropped; [`try_new`](Self::try_new) gives it back.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn new(inner: T) -> io::Result<Self> {
        Self::with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// Registers a descriptor for some interest with the current runtime.
    ///
    /// # Errors
    ///
    /// As [`Registration::new`]. The inner value is dropped; [`try_with_interest`](Self::try_with_interest) gives it
    /// back.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<Self> {
        Ok(Self::try_with_interest(inner, interest)?)
    }

    /// Registers a descriptor for reading and writing, and gives the value back if that fails.
    ///
    /// # Errors
    ///
    /// As [`Registration::new`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn try_new(inner: T) -> Result<Self, AsyncFdTryNewError<T>> {
        Self::try_with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// Registers a descriptor for some interest, and gives the value back if that fails.
    ///
    /// # Errors
    ///
    /// As [`Registration::new`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn try_with_interest(inner: T, interest: Interest) -> Result<Self, AsyncFdTryNewError<T>> {
        let handle = Handle::current();
        match Registration::from_raw(inner.as_raw_fd(), interest, Ready::EMPTY, &handle) {
            Ok(registration) => Ok(Self {
                registration,
                inner,
            }),
            Err(cause) => Err(AsyncFdTryNewError { inner, cause }),
        }
    }

    /// Returns the inner value.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns the inner value, mutably. Its descriptor must stay the same.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Deregisters the descriptor and returns the inner value.
    pub fn into_inner(self) -> T {
        let Self {
            registration,
            inner,
        } = self;
        drop(registration);
        inner
    }

    /// Polls for readiness to read. Only the waker of the last call is kept.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    pub fn poll_read_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        self.poll_guard(cx, Direction::Read)
    }

    /// Polls for readiness to read, with mutable access to the inner value in the guard.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    pub fn poll_read_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        self.poll_guard_mut(cx, Direction::Read)
    }

    /// Polls for readiness to write. Only the waker of the last call is kept.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    pub fn poll_write_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        self.poll_guard(cx, Direction::Write)
    }

    /// Polls for readiness to write, with mutable access to the inner value in the guard.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    pub fn poll_write_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        self.poll_guard_mut(cx, Direction::Write)
    }

    /// Waits until any of the interest is ready. Any number of tasks may wait at once.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped: readiness stays until it is cleared.
    pub async fn ready(&self, interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        let event = self.registration.ready(interest).await?;
        Ok(self.guard(event))
    }

    /// Waits until any of the interest is ready, with mutable access to the inner value in the guard.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped.
    pub async fn ready_mut(
        &mut self,
        interest: Interest,
    ) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        let event = self.registration.ready(interest).await?;
        Ok(self.guard_mut(event))
    }

    /// Waits until there is something to read, or the end.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::READABLE).await
    }

    /// As [`readable`](Self::readable), with mutable access to the inner value in the guard.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped.
    pub async fn readable_mut(&mut self) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        self.ready_mut(Interest::READABLE).await
    }

    /// Waits until there is room to write, or nobody to read it.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::WRITABLE).await
    }

    /// As [`writable`](Self::writable), with mutable access to the inner value in the guard.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped.
    pub async fn writable_mut(&mut self) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        self.ready_mut(Interest::WRITABLE).await
    }

    /// Tries an operation if the interest is ready.
    ///
    /// # Errors
    ///
    /// Fails with `WouldBlock` if the interest is not ready, if the runtime has shut down, and as `f` does.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.registration.try_io(interest, || f(&self.inner))
    }

    /// As [`try_io`](Self::try_io), with mutable access to the inner value.
    ///
    /// # Errors
    ///
    /// As `try_io`.
    pub fn try_io_mut<R>(
        &mut self,
        interest: Interest,
        f: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let Self {
            registration,
            inner,
        } = self;
        registration.try_io(interest, || f(inner))
    }

    /// Performs an operation as soon as the interest is ready, and again whenever it would block.
    ///
    /// # Errors
    ///
    /// Fails if the runtime has shut down, and as `f` does.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped: a call of `f` that succeeded has ended it.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.registration
            .async_io(interest, || f(&self.inner))
            .await
    }

    /// As [`async_io`](Self::async_io), with mutable access to the inner value.
    ///
    /// # Errors
    ///
    /// As `async_io`.
    ///
    /// # Cancel safety
    ///
    /// As `async_io`.
    pub async fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut f: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let Self {
            registration,
            inner,
        } = self;
        registration.async_io(interest, || f(inner)).await
    }

    /// Polls one direction.
    fn poll_guard<'a>(
        &'a self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let event = ready!(self.registration.poll_ready(cx, direction))?;
        Poll::Ready(Ok(self.guard(event)))
    }

    /// Polls one direction, for a mutable guard.
    fn poll_guard_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let event = ready!(self.registration.poll_ready(cx, direction))?;
        Poll::Ready(Ok(self.guard_mut(event)))
    }

    /// Makes a guard of an event.
    fn guard(&self, event: ReadyEvent) -> AsyncFdReadyGuard<'_, T> {
        AsyncFdReadyGuard {
            async_fd: self,
            event: Some(event),
        }
    }

    /// Makes a mutable guard of an event.
    fn guard_mut(&mut self, event: ReadyEvent) -> AsyncFdReadyMutGuard<'_, T> {
        AsyncFdReadyMutGuard {
            async_fd: self,
            event: Some(event),
        }
    }
}

impl<T: AsRawFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl<T: AsRawFd + AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<T: AsRawFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd")
            .field("inner", &self.inner)
            .finish()
    }
}

/// A descriptor could not be registered; holds the value and the cause.
pub struct AsyncFdTryNewError<T> {
    /// What was to be registered.
    inner: T,
    /// Why it was not.
    cause: io::Error,
}

impl<T> AsyncFdTryNewError<T> {
    /// Returns the value and the cause.
    pub fn into_parts(self) -> (T, io::Error) {
        (self.inner, self.cause)
    }
}

impl<T> fmt::Debug for AsyncFdTryNewError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFdTryNewError")
            .field(&self.cause)
            .finish()
    }
}

impl<T> fmt::Display for AsyncFdTryNewError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl<T> Error for AsyncFdTryNewError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl<T> From<AsyncFdTryNewError<T>> for io::Error {
    fn from(error: AsyncFdTryNewError<T>) -> io::Error {
        error.cause
    }
}
