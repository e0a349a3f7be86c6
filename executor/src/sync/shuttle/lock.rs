//! Locks and condition variables with parking_lot's signatures, on which coroutines wait.

use super::super::WaitTimeoutResult;
use super::{FOR_EVER, PATIENCE, of, step, thread};
use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// A mutex with parking_lot's signatures.
#[derive(Default)]
pub(crate) struct Mutex<T> {
    /// Locked as long as ours is.
    inner: std::sync::Mutex<T>,
    /// Who waits.
    waiters: std::sync::Mutex<Vec<thread::Thread>>,
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex {
            inner: std::sync::Mutex::new(value),
            waiters: std::sync::Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        step();
        MutexGuard {
            inner: Some(self.wait()),
            mutex: self,
        }
    }

    fn wait(&self) -> std::sync::MutexGuard<'_, T> {
        loop {
            match self.inner.try_lock() {
                Ok(inner) => return inner,
                Err(std::sync::TryLockError::Poisoned(inner)) => return inner.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => {}
            }
            of(&self.waiters).push(thread::current());
            thread::block();
        }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        step();
        Some(MutexGuard {
            inner: Some(self.inner.try_lock().ok()?),
            mutex: self,
        })
    }

    pub(crate) fn into_inner(self) -> T {
        self.inner
            .into_inner()
            .expect("no scenario panics under a lock")
    }
}

/// Unlocks on drop.
pub(crate) struct MutexGuard<'a, T> {
    /// Empty only while unlocked.
    inner: Option<std::sync::MutexGuard<'a, T>>,
    /// To lock again.
    mutex: &'a Mutex<T>,
}

impl<T> MutexGuard<'_, T> {
    fn unlock(&mut self) {
        drop(self.inner.take());
        let waiters = std::mem::take(&mut *of(&self.mutex.waiters));
        for waiter in waiters {
            waiter.rouse();
        }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("locked outside of a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("locked outside of a wait")
    }
}

/// A condition variable with parking_lot's signatures. Who has waited longest is notified first, as there.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Mutex<VecDeque<Arc<Waiter>>>);

/// One wait.
#[derive(Debug)]
struct Waiter {
    thread: thread::Thread,
    is_notified: AtomicBool,
}

impl Waiter {
    fn is_notified(&self) -> bool {
        self.is_notified.load(Relaxed)
    }
}

impl Condvar {
    pub(crate) const fn new() -> Condvar {
        Condvar(std::sync::Mutex::new(VecDeque::new()))
    }

    /// Unlocks, lets `wait` wait, and locks again; whether there was a notification.
    fn wait_by<T>(&self, guard: &mut MutexGuard<'_, T>, wait: impl FnOnce(&Waiter)) -> bool {
        let waiter = Arc::new(Waiter {
            thread: thread::current(),
            is_notified: AtomicBool::new(false),
        });
        of(&self.0).push_back(Arc::clone(&waiter));
        guard.unlock();
        wait(&waiter);
        of(&self.0).retain(|other| !Arc::ptr_eq(other, &waiter));
        let is_notified = waiter.is_notified();
        guard.inner = Some(guard.mutex.wait());
        is_notified
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_by(guard, |waiter| {
            while !waiter.is_notified() {
                thread::block();
            }
        });
    }

    pub(crate) fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        if timeout >= FOR_EVER {
            self.wait(guard);
            return WaitTimeoutResult(false);
        }
        WaitTimeoutResult(!self.wait_by(guard, |waiter| {
            for _ in 0..PATIENCE {
                if !waiter.is_notified() {
                    thread::yield_now();
                }
            }
        }))
    }

    pub(crate) fn notify_one(&self) -> bool {
        self.notify(1) == 1
    }

    pub(crate) fn notify_all(&self) -> usize {
        self.notify(usize::MAX)
    }

    fn notify(&self, most: usize) -> usize {
        step();
        let mut waiters = of(&self.0);
        let count = most.min(waiters.len());
        let notified: Vec<_> = waiters.drain(..count).collect();
        drop(waiters);
        for waiter in &notified {
            waiter.is_notified.store(true, Relaxed);
        }
        for waiter in notified {
            waiter.thread.rouse();
        }
        count
    }
}
