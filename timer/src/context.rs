//! What a thread knows about timers: the current handle, and the shard that it serves.
//!
//! The two are independent. A thread may serve a shard of one runtime while code on it enters
//! another: the current handle then belongs to the other runtime, whose timers are registered as
//! from any foreign thread. A worker may also leave its slot in the middle of a task that has
//! entered something. So each kind of guard undoes what it did, and nothing else; guards for serving
//! may even be dropped out of order.

use std::cell::{Cell, OnceCell, RefCell};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::time::Instant;

use crate::timer::{Handle, Timers};

/// The state of a thread.
struct Context {
    /// What `Handle::current` returns, but for the line that it counts on.
    current: Option<Handle>,
    /// The shards that guards of this thread stand for; the last one is served.
    served: Vec<Served>,
    /// The number of the next guard.
    next: u64,
}

/// A shard that this thread serves.
struct Served {
    /// The number of its guard.
    guard: u64,
    /// As the thread came by it.
    handle: Handle,
    /// The same on a line of this thread's own, made when the first handle is asked for: many a thread
    /// inside `block_on` asks for none.
    own: OnceCell<Handle>,
    /// Which shard.
    shard: usize,
}

thread_local! {
    static CONTEXT: RefCell<Context> = const {
        RefCell::new(Context { current: None, served: Vec::new(), next: 0 })
    };
    /// The last of `Context::served`: the address of its timers, null if there is none, and the shard. Apart from the rest,
    /// since what needs no destructor is read without a look whether that has run. The address is only compared, and
    /// `served` keeps the timers there: when `Context` goes, this is null, lest other timers be made at that address.
    static SERVED: Cell<(*const Timers, usize)> = const { Cell::new((ptr::null(), 0)) };
}

impl Context {
    /// Returns the handle to hand out: on a thread that serves a shard of the same timers, one on its own line.
    #[inline]
    fn handle(&self) -> Option<&Handle> {
        let current = self.current.as_ref()?;
        if served_shard(current.timers()).is_some() {
            let served = self.served.last()?;
            Some(
                served
                    .own
                    .get_or_init(|| served.handle.on_a_line_of_its_own()),
            )
        } else {
            Some(current)
        }
    }

    /// Notes in `SERVED` what is served now.
    fn publish(&self) {
        let served = self.served.last();
        let served = served.map(|served| (Arc::as_ptr(served.handle.timers()), served.shard));
        SERVED.set(served.unwrap_or((ptr::null(), 0)));
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        SERVED.set((ptr::null(), 0));
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
    /// The number that the entry in `Context::served` is known by.
    number: u64,
    /// A guard belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

impl Drop for ServeGuard {
    fn drop(&mut self) {
        let left = CONTEXT.try_with(|c| {
            let mut context = c.borrow_mut();
            let at = context
                .served
                .iter()
                .rposition(|served| served.guard == self.number)?;
            let left = context.served.remove(at);
            context.publish();
            Some(left)
        });
        drop(left);
    }
}

/// Returns the current handle of this thread; on a thread that serves a shard of the same timers,
/// one that counts on this thread's own line.
#[inline]
pub(crate) fn current() -> Option<Handle> {
    CONTEXT.try_with(|c| c.borrow().handle().cloned()).ok()?
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
    let number = CONTEXT.with(|c| {
        let mut context = c.borrow_mut();
        let number = context.next;
        context.next += 1;
        context.served.push(Served {
            guard: number,
            handle: handle.clone(),
            own: OnceCell::new(),
            shard,
        });
        context.publish();
        number
    });
    ServeGuard {
        number,
        _not_send: PhantomData,
    }
}

/// Returns the shard of `timers` that this thread serves.
#[inline]
pub(crate) fn served_shard(timers: &Arc<Timers>) -> Option<usize> {
    let (served, shard) = SERVED.get();
    ptr::eq(served, Arc::as_ptr(timers)).then_some(shard)
}

#[cfg(all(test, not(rt_loom)))]
mod tests {
    use super::*;
    use crate::clock::{Clock, Pausable};
    use std::task::Poll;
    use std::thread;

    /// Asks at the very end of a thread, which serves until then.
    struct AtTheEnd(Handle, Option<ServeGuard>);

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            if CONTEXT.try_with(|_| ()).is_err() && served_shard(self.0.timers()).is_some() {
                // A panic here would end the process.
                self.0.close();
            }
        }
    }

    thread_local! {
        static PROBE: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }

    #[test]
    fn a_thread_whose_context_has_gone_serves_nothing() {
        let handle = Handle::new(1, Clock::new(Pausable::No), |_| Poll::Ready(()));
        let ours = handle.clone();
        let thread = thread::spawn(move || {
            // Before the context, so that it goes after that.
            PROBE.set(Some(AtTheEnd(ours.clone(), None)));
            let serving = ours.serve(0);
            PROBE.with_borrow_mut(|probe| probe.as_mut().expect("just set").1 = Some(serving));
            served_shard(ours.timers())
        });
        assert_eq!(thread.join().unwrap(), Some(0));
        let refused = handle
            .timers()
            .insert(crate::Ticks(1), std::task::Waker::noop().clone());
        assert!(refused.is_ok(), "the probe found the shard still served");
    }
}
