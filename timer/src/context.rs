//! What a thread knows about timers: the current handle, and the shard that it serves.
//!
//! The two are independent. A thread may serve a shard of one runtime while code on it enters
//! another: the current handle then belongs to the other runtime, whose timers are registered as
//! from any foreign thread. A worker may also leave its slot in the middle of a task that has
//! entered something. So each kind of guard undoes what it did, and nothing else; guards for serving
//! may even be dropped out of order.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use crate::timer::{Handle, Timers};

/// The state of a thread.
struct Context {
    /// What `Handle::current` returns, but for the line that it counts on.
    current: Option<Handle>,
    /// The shards that guards of this thread stand for; the last one is served. Each comes with a
    /// handle on a line of this thread's own.
    served: Vec<(Handle, usize)>,
}

thread_local! {
    static CONTEXT: RefCell<Context> = const {
        RefCell::new(Context { current: None, served: Vec::new() })
    };
}

impl Context {
    /// Returns the shard of `timers` that this thread serves, and the handle for it.
    fn served(&self, timers: &Arc<Timers>) -> Option<&(Handle, usize)> {
        let served = self.served.last()?;
        Arc::ptr_eq(served.0.timers(), timers).then_some(served)
    }
}

/// Puts the earlier current handle back when dropped; see [`Handle::enter`].
#[derive(Debug)]
#[must_use = "the handle is current until the guard is dropped"]
pub struct EnterGuard {
    /// What was current before.
    before: Option<Handle>,
    /// A guard belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        let before = self.before.take();
        // A thread that is ending has no current handle any more. What was current is dropped after
        // the borrow: the last handle drops the timers, and with them wakers, which are user code.
        let left = CONTEXT.try_with(|c| std::mem::replace(&mut c.borrow_mut().current, before));
        drop(left);
    }
}

/// Ends the serving of a shard by this thread when dropped; see [`Handle::serve`].
#[derive(Debug)]
#[must_use = "the thread serves the shard until the guard is dropped"]
pub struct ServeGuard {
    /// The handle that the entry in `Context::served` is known by.
    own: Handle,
    /// A guard belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

impl Drop for ServeGuard {
    fn drop(&mut self) {
        let left = CONTEXT.try_with(|c| {
            let served = &mut c.borrow_mut().served;
            let at = served
                .iter()
                .rposition(|(own, _)| own.is_line_of(&self.own))?;
            Some(served.remove(at))
        });
        drop(left);
    }
}

/// Returns the current handle of this thread; on a thread that serves a shard of the same timers,
/// one that counts on this thread's own line.
#[inline]
pub(crate) fn current() -> Option<Handle> {
    CONTEXT
        .try_with(|c| {
            let context = c.borrow();
            let current = context.current.as_ref()?;
            let own = context.served(current.timers());
            Some(own.map_or(current, |(own, _)| own).clone())
        })
        .ok()?
}

/// Returns the present by the clock of the current handle.
pub(crate) fn now() -> Option<Instant> {
    CONTEXT
        .try_with(|c| Some(c.borrow().current.as_ref()?.clock().now()))
        .ok()?
}

/// Makes `handle` current on this thread.
pub(crate) fn enter(handle: &Handle) -> EnterGuard {
    EnterGuard {
        // While the thread ends its thread-locals are gone: then nothing is current, and a runtime can still be dropped.
        before: CONTEXT
            .try_with(|c| c.borrow_mut().current.replace(handle.clone()))
            .unwrap_or(None),
        _not_send: PhantomData,
    }
}

/// Notes that this thread serves `shard` of the timers of `handle`.
pub(crate) fn serve(handle: &Handle, shard: usize) -> ServeGuard {
    let own = handle.on_a_line_of_its_own();
    CONTEXT.with(|c| c.borrow_mut().served.push((own.clone(), shard)));
    ServeGuard {
        own,
        _not_send: PhantomData,
    }
}

/// Returns the shard of `timers` that this thread serves.
#[inline]
pub(crate) fn served_shard(timers: &Arc<Timers>) -> Option<usize> {
    CONTEXT
        .try_with(|c| Some(c.borrow().served(timers)?.1))
        .ok()?
}
