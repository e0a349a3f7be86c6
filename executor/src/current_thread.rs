//! The thread inside `block_on` of a current-thread runtime: it runs all tasks, and nobody else runs any.
//!
//! There is one slot. The thread that has it holds the driver and the timer shard too. Other threads inside `block_on`
//! of the same runtime poll their own roots when these are woken, and take over the slot when it becomes free. Between
//! two calls of `block_on` no task runs.
//!
//! The root takes its turn with the tasks: when it was woken, up to `event_interval` tasks that were ready run before it is polled
//! again, as in Tokio; so a root that yields lets the others run.

use crate::block_on::{Driven, Root, Seated};
use crate::idle::Left;
use crate::park::Gathered;
use crate::scheduler::{Flavor, Shared, call_hook};
use crate::sync::Ordering;
use crate::worker::{Role, Worker};
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

/// Drives the root; `None` when the runtime has shut down.
pub(crate) fn drive<F: Future>(
    shared: &Arc<Shared>,
    driven: &mut Driven<'_, F>,
) -> Option<F::Output> {
    let root = Arc::clone(&driven.root);
    loop {
        if shared.is_closing() {
            return None;
        }
        if let Some(seated) = Seated::take(shared, Role::CurrentThread, &root) {
            return drive_seated(shared, seated.worker(), driven);
        }
        // Somebody else has the slot: sleep until the root is woken or the slot is free.
        if let Poll::Ready(output) = driven.poll_if_woken() {
            return Some(output);
        }
        shared.seekers.lock().push(Arc::clone(&root));
        // A slot given back before we were on the list wakes nobody: look again. No foreign code runs between here and
        // the sleep, so nothing eats the token.
        let seated = Seated::take(shared, Role::CurrentThread, &root);
        if seated.is_none() && !root.is_woken() && !shared.is_closing() {
            thread::park();
        }
        shared
            .seekers
            .lock()
            .retain(|seeker| !Arc::ptr_eq(seeker, &root));
        if let Some(seated) = seated {
            return drive_seated(shared, seated.worker(), driven);
        }
    }
}

impl Shared {
    /// Tells the threads that wait for the slot of a current-thread runtime that it is free.
    pub(crate) fn pass_the_seat(&self) {
        if self.config.flavor == Flavor::CurrentThread {
            let seekers: Vec<Arc<Root>> = std::mem::take(&mut self.seekers.lock());
            for root in seekers {
                root.wake_waiting_thread();
            }
        }
    }
}

fn drive_seated<F: Future>(
    shared: &Shared,
    worker: &Worker,
    driven: &mut Driven<'_, F>,
) -> Option<F::Output> {
    let config = &shared.config;
    let root = Arc::clone(&driven.root);
    let mut tick: u32 = 0;
    let mut looked: u32 = 0;
    // A local task comes between two urgent ones.
    let mut after_urgent = false;
    'root: loop {
        if tick.wrapping_sub(looked) >= config.event_interval {
            looked = tick;
            worker.look_at_driver();
        }
        if let Poll::Ready(output) = driven.poll_if_woken() {
            return Some(output);
        }
        for _ in 0..config.event_interval {
            // Relaxed: raised with an unpark, or found a turn later.
            let signal = worker.own().signal.load(Ordering::Relaxed);
            if signal != 0 && worker.heed(signal) {
                return None;
            }
            tick = tick.wrapping_add(1);
            let by_interval = tick.is_multiple_of(config.injector_interval);
            let urgent = !after_urgent && shared.take_urgent();
            let injected = if by_interval || urgent {
                shared.pop_injected(urgent)
            } else {
                None
            };
            after_urgent = urgent && injected.is_some();
            let task = injected
                .or_else(|| worker.next_local())
                .or_else(|| worker.pop_injected_batch());
            if let Some(task) = task {
                worker.run_task(task);
                continue;
            }
            if !root.is_woken() {
                park(shared, worker, &root);
            }
            continue 'root;
        }
    }
}

fn park(shared: &Shared, worker: &Worker, root: &Root) {
    let slot = worker.slot();
    if shared.config.on_thread_park.is_some() {
        // A user's hook may wake and spawn tasks: it runs before the last look at the queues.
        call_hook(&shared.config.on_thread_park);
        if worker.has_local() || root.is_woken() {
            call_hook(&shared.config.on_thread_unpark);
            return;
        }
    }
    let parked = shared.idle.park(slot, false);
    shared.after_parking(parked);
    let gathered = loop {
        let gathered = shared.park.park(slot);
        // Relaxed: the unpark that follows a signal orders it.
        let signalled = worker.own().signal.load(Ordering::Relaxed) != 0;
        let chosen = !shared.idle.is_parked(slot);
        if gathered == Gathered::Something || signalled || chosen || root.is_woken() {
            break gathered;
        }
    };
    if shared.idle.leave(slot) == Left::Chosen {
        // Chosen counts as searching; with one thread there is nothing to search and nobody to notify.
        let _last = shared.idle.found_work();
    }
    call_hook(&shared.config.on_thread_unpark);
    if gathered == Gathered::Something {
        worker.dispatch();
    }
}
