//! Leaving a slot: for a while, inside `block_in_place`, or for good. What it holds goes to the injector (`slots.rs` has the rule), or is dropped at the shutdown.

use super::{Role, Worker};
use crate::slots::Seat;
use crate::sync::{Ordering, bug, now};
use crate::task::{Place, Reason, Runnable};
use std::rc::Rc;
use std::sync::Arc;

impl Worker {
    /// Moves everything that this slot holds to the injector.
    pub(crate) fn drain_to_injector(&self) {
        if bug::SLOT_LEFT_FULL.is_on() {
            return;
        }
        let mut moved = false;
        while let Some(task) = self.take_local() {
            self.shared.injector().push(task);
            moved = true;
        }
        if moved && !bug::SLOT_LEFT_SILENT.is_on() {
            self.shared.injected();
        }
    }

    /// Shutdown step 3: drops everything that this slot holds.
    pub(crate) fn drop_tasks(&self) {
        while let Some(task) = self.take_local() {
            task.cancel(Reason::Cancelled);
        }
    }

    /// Any task of the slot, to empty it.
    fn take_local(&self) -> Option<Runnable> {
        let own = self.own();
        (own.lifo.take())
            .or_else(|| self.deque.pop())
            .or_else(|| own.yielded.pop())
    }

    /// Stops serving the slot for a while, so that the thread may block: what it holds goes to the
    /// injector, and a spare takes its place if one can be had.
    pub(crate) fn step_aside(&self) {
        let shared = &self.shared;
        self.stop_searching();
        self.count_busy(now());
        shared.slots.retire(self.slot);
        self.drain_to_injector();
        shared.park.retire(self.slot);
        if self.role == Role::Worker && shared.threads.step_out(self.slot, shared.config.workers) {
            shared.add_spare();
        }
    }

    /// Serves the slot again after [`step_aside`](Worker::step_aside), if there is room; else the
    /// thread finishes its poll without a slot and becomes a spare.
    #[must_use]
    pub(crate) fn step_back(&self) -> bool {
        let shared = &self.shared;
        if self.role == Role::Worker && !shared.threads.activate(shared.config.workers) {
            self.retired.set(true);
            return false;
        }
        shared.park.adopt(self.slot);
        // Still the same poll, but what it did meanwhile must not count as standing still.
        // Relaxed: written by this thread.
        self.publish(Place(self.own().polling.load(Ordering::Relaxed)));
        shared.slots.enliven(self.slot);
        self.count_unpark(now());
        shared.park.activated();
        true
    }

    /// Puts the deque back and frees the slot; the thread is no worker any more.
    pub(crate) fn leave_slot(self: Rc<Self>, seat: Seat) {
        let shared = Arc::clone(&self.shared);
        let slot = self.slot;
        if !self.retired.get() {
            self.count_busy(now());
            shared.slots.retire(slot);
            self.drain_to_injector();
            shared.park.retire(slot);
        }
        self.publish_idle();
        let worker = Rc::into_inner(self).expect("nobody else holds on to a worker that has left");
        shared.slots.put_deque(slot, worker.deque);
        shared.slots.give_back(slot, seat);
    }
}
