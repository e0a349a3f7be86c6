//! What a wait on an [`AsyncFd`] returns: the readiness, and the duty to take it back if it proves outdated.

use std::{error::Error, fmt, io, os::fd::AsRawFd};

use super::AsyncFd;
use crate::{Ready, ReadyEvent};

/// The readiness of an [`AsyncFd`], to be cleared by whoever finds it outdated.
///
/// A guard that is neither used in `try_io` nor cleared leaves the readiness as it is, and the next wait returns at
/// once. [`retain_ready`](Self::retain_ready) says that this is meant.
#[must_use = "call `try_io`, `clear_ready` or `retain_ready`"]
pub struct AsyncFdReadyGuard<'a, T: AsRawFd> {
    /// Whose readiness it is.
    pub(super) async_fd: &'a AsyncFd<T>,
    /// The readiness; gone once cleared or retained.
    pub(super) event: Option<ReadyEvent>,
}

/// As [`AsyncFdReadyGuard`], with mutable access to the inner value.
#[must_use = "call `try_io`, `clear_ready` or `retain_ready`"]
pub struct AsyncFdReadyMutGuard<'a, T: AsRawFd> {
    /// Whose readiness it is.
    pub(super) async_fd: &'a mut AsyncFd<T>,
    /// The readiness; gone once cleared or retained.
    pub(super) event: Option<ReadyEvent>,
}

/// The operation would have blocked; the readiness has been taken back.
#[derive(Debug)]
pub struct TryIoError(());

impl<'a, T: AsRawFd> AsyncFdReadyGuard<'a, T> {
    /// Takes the readiness back, because a call has answered `WouldBlock`. Does nothing if an event has come since.
    pub fn clear_ready(&mut self) {
        if let Some(event) = self.event.take() {
            self.async_fd.registration.clear(event, event.ready);
        }
    }

    /// Takes part of the readiness back.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        if let Some(event) = &mut self.event {
            self.async_fd
                .registration
                .clear(*event, event.ready & ready);
            event.ready = event.ready - ready;
        }
    }

    /// Leaves the readiness as it is, on purpose.
    pub fn retain_ready(&mut self) {
        self.event = None;
    }

    /// Returns the readiness, empty once it was cleared or retained.
    pub fn ready(&self) -> Ready {
        self.event.map_or(Ready::EMPTY, |event| event.ready)
    }

    /// Performs an operation, and takes the readiness back if it would block.
    ///
    /// # Errors
    ///
    /// The outer error says that `f` has returned `WouldBlock`; other errors of `f` are in the inner result.
    pub fn try_io<R>(
        &mut self,
        f: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        let result = f(self.async_fd);
        if would_block(&result) {
            self.clear_ready();
            return Err(TryIoError(()));
        }
        Ok(result)
    }

    /// Returns the descriptor.
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.async_fd
    }

    /// Returns the inner value.
    pub fn get_inner(&self) -> &'a T {
        self.async_fd.get_ref()
    }
}

impl<T: AsRawFd> AsyncFdReadyMutGuard<'_, T> {
    /// Takes the readiness back, because a call has answered `WouldBlock`. Does nothing if an event has come since.
    pub fn clear_ready(&mut self) {
        if let Some(event) = self.event.take() {
            self.async_fd.registration.clear(event, event.ready);
        }
    }

    /// Takes part of the readiness back.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        if let Some(event) = &mut self.event {
            self.async_fd
                .registration
                .clear(*event, event.ready & ready);
            event.ready = event.ready - ready;
        }
    }

    /// Leaves the readiness as it is, on purpose.
    pub fn retain_ready(&mut self) {
        self.event = None;
    }

    /// Returns the readiness, empty once it was cleared or retained.
    pub fn ready(&self) -> Ready {
        self.event.map_or(Ready::EMPTY, |event| event.ready)
    }

    /// Performs an operation, and takes the readiness back if it would block.
    ///
    /// # Errors
    ///
    /// The outer error says that `f` has returned `WouldBlock`; other errors of `f` are in the inner result.
    pub fn try_io<R>(
        &mut self,
        f: impl FnOnce(&mut AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        let result = f(self.async_fd);
        if would_block(&result) {
            self.clear_ready();
            return Err(TryIoError(()));
        }
        Ok(result)
    }

    /// Returns the descriptor.
    pub fn get_ref(&self) -> &AsyncFd<T> {
        self.async_fd
    }

    /// Returns the descriptor, mutably.
    pub fn get_mut(&mut self) -> &mut AsyncFd<T> {
        self.async_fd
    }

    /// Returns the inner value.
    pub fn get_inner(&self) -> &T {
        self.async_fd.get_ref()
    }

    /// Returns the inner value, mutably.
    pub fn get_inner_mut(&mut self) -> &mut T {
        self.async_fd.get_mut()
    }
}

impl<T: AsRawFd + fmt::Debug> fmt::Debug for AsyncFdReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyGuard")
            .field("async_fd", self.async_fd)
            .field("ready", &self.ready())
            .finish()
    }
}

impl<T: AsRawFd + fmt::Debug> fmt::Debug for AsyncFdReadyMutGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyMutGuard")
            .field("async_fd", self.async_fd)
            .field("ready", &self.ready())
            .finish()
    }
}

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation would block")
    }
}

impl Error for TryIoError {}

/// Whether an operation has to wait.
fn would_block<R>(result: &io::Result<R>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
