//! The thread inside `block_on` of a multi-thread runtime, as a guest among the workers.
//!
//! While its root is pending, the thread would only sleep; a message from the root to a task and back would cost two
//! thread switches. So it takes a slot and runs tasks of that slot: a round trip then costs as little as between
//! two tasks (0.2 µs instead of 12 to 17).
//!
//! A root is bound to its thread: while the guest runs a task, the root waits. So the guest is choosy. It runs only tasks
//! that its root (or a task running on it) woke, *and* that have been polled before. A task that has called `block_in_place` is not run by a guest again. Another may still block it, if it used
//! to be short and now is not; then the root waits for it. `Config::guest` switches all of this off.
//!
//! What it does not run is for the workers. Those that the driver or a timer woke go to the injector, with one notification. Freshly spawned ones go to
//! its deque, with a notification each: the push needs no read-modify-write, and workers take them in batches from there (`spawn_outside`: 0.72 of the time).
//! Those that lie before one that it may run go to the injector, and all that are left before it sleeps: there a worker finds them that has much to do of its own. While the
//! root computes for long, or a task that it woke, the watchman moves them (`rescue.md`, R1).
//!
//! The guest is never on the list of sleepers: nobody wakes it for work, only its root does. Parked, its slot is not live.
//! It may take the polling duty while it sleeps, if the events of late were for its root alone, and serves its own timer
//! shard. Scenarios: `root_wake_vs_guest_parks`, `guest_runs_task_vs_worker`, `root_spawns_vs_last_park`, `root_leaves_slot_vs_shutdown`.
//!
//! If no slot is free (more than eight threads are inside `block_on`), the thread just sleeps between polls of its root.

use crate::block_on::{Driven, Seated};
use crate::park::Gathered;
use crate::scheduler::Shared;
use crate::sync::{Ordering, bug, now, scaled};
use crate::task::{Place, Runnable};
use crate::worker::{POLLED, Role, SAMPLE_INTERVAL, STAMPED, Worker};
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

/// How many tasks are moved to the injector in one turn: the root may be woken meanwhile.
const MOVE: usize = scaled(256, 1);

/// Drives the root; `None` when the thread must go on without a slot.
pub(crate) fn drive<F: Future>(
    shared: &Arc<Shared>,
    driven: &mut Driven<'_, F>,
) -> Option<F::Output> {
    let root = Arc::clone(&driven.root);
    let seated = Seated::take(shared, Role::Guest, &root)?;
    let worker = seated.worker();
    let mut tick: u32 = 0;
    let mut look_in = worker.look_interval();
    loop {
        worker.publish(Place::ROOT);
        if let Poll::Ready(output) = driven.poll_if_woken() {
            return Some(output);
        }
        // Relaxed: raised with an unpark, or found a turn later.
        let signal = worker.own().signal.load(Ordering::Relaxed);
        if signal != 0 && worker.heed(signal) {
            return None;
        }
        tick = tick.wrapping_add(1);
        look_in -= 1;
        if look_in == 0 {
            worker.look_at_driver();
            look_in = worker.look_interval();
        }
        if let Some(task) = next_task(shared, worker) {
            if tick.is_multiple_of(SAMPLE_INTERVAL) {
                worker.run_timed(task);
            } else {
                worker.run_task(task);
            }
        } else if !root.is_woken() && !worker.has_local() {
            park(shared, worker);
        }
    }
}

/// Whether a guest may run a task that has this conduct.
#[inline]
pub(crate) fn may_run(conduct: u8) -> bool {
    conduct & !STAMPED == POLLED
}

/// The next task of the slot's own that the guest may run. Those before it go to the injector, some in each turn: a worker that has much to do looks there now
/// and then, but not into other slots. After `None` there may be more.
fn next_task(shared: &Shared, worker: &Worker) -> Option<Runnable> {
    let (mut next, mut moved) = (None, false);
    for _ in 0..MOVE {
        match worker.next_local() {
            Some(task) if !may_run(task.conduct()) => {
                if !moved {
                    // What is polled no more must not seem to last.
                    worker.advance_epoch();
                    moved = true;
                }
                shared.injector().push(task);
            }
            task => {
                next = task;
                break;
            }
        }
    }
    // The pushes into the deque have notified. But whoever came for them may have looked into the injector before, and into the deque afterwards.
    if moved && !bug::GUEST_MOVES_SILENTLY.is_on() {
        shared.injected();
    }
    next
}

fn park(shared: &Shared, worker: &Worker) {
    worker.publish_idle();
    // The slot is empty, and only this thread pushes into it.
    shared.slots.retire(worker.slot());
    worker.count_park(now());
    let gathered = shared.park.park(worker.slot());
    worker.count_unpark(now());
    shared.slots.enliven(worker.slot());
    shared.park.activated();
    if gathered == Gathered::Something {
        worker.dispatch();
    }
}
