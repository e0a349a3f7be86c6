//! The thread's current reactor: how a socket finds the one that serves it.

use std::{cell::RefCell, marker::PhantomData};

use crate::Handle;

thread_local! {
    /// Set and restored by guards.
    static CURRENT: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// Makes a reactor the thread's current one until dropped; returned by [`Handle::enter`].
///
/// Guards must be dropped in the reverse order of their creation, for each restores what it found.
#[derive(Debug)]
#[must_use = "dropping the guard leaves the reactor again"]
pub struct EnterGuard {
    /// What was current before.
    previous: Option<Handle>,
    /// The guard belongs to its thread.
    _not_send: PhantomData<*mut ()>,
}

/// Makes `handle` current.
pub(crate) fn enter(handle: Handle) -> EnterGuard {
    EnterGuard {
        // While the thread ends its thread-locals are gone: then nothing is current, and a runtime can still be dropped.
        previous: CURRENT
            .try_with(|current| current.replace(Some(handle)))
            .unwrap_or(None),
        _not_send: PhantomData,
    }
}

/// The current reactor, if there is one, and the thread is not about to end.
pub(crate) fn current() -> Option<Handle> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        let previous = self.previous.take();
        // The left handle is dropped outside the cell: it may be the last one of its reactor. At the thread's end
        // there is nothing to restore.
        let left = CURRENT.try_with(|current| current.replace(previous));
        drop(left);
    }
}
