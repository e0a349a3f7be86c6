//! Drives one future, the *root*, on the calling thread.
//!
//! What else the thread does meanwhile depends on the flavor: see `guest.rs` and `current_thread.rs`. When there is
//! nothing else for it to do (no free slot, or the runtime has shut down), it only sleeps between polls of its root.
//!
//! A root's waker sets `woken` and unparks the thread where it sleeps: on the parker of its slot, or, without a slot, on
//! std's. The thread may move from one to the other: it publishes the new place, then looks at `woken`; a waker
//! sets `woken`, then looks at the place. Both in SeqCst order, so one of them sees the other (scenarios `root_wake_vs_slot_taken`, `root_wake_vs_slot_left`).
//!
//! **Cost.** Waking the root from its own thread: one swap. From another: one more on the parker, and a futex wake
//! if the thread sleeps.

use crate::budget;
use crate::context;
use crate::scheduler::{Flavor, Handle, Shared};
use crate::slots::Seat;
use crate::sync::os_thread::{self as thread, Thread};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, bug};
use crate::worker::{Role, Worker};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

/// "Sleeps on std's parker" in [`Root::place`].
const NO_SLOT: usize = usize::MAX;

/// The waker of a future inside `block_on`.
#[derive(Debug)]
pub(crate) struct Root {
    /// Set by wakers, taken before each poll.
    woken: AtomicBool,
    /// The slot on whose parker the thread sleeps, or `NO_SLOT`.
    place: AtomicUsize,
    /// The thread inside `block_on`.
    thread: Thread,
    /// Weak: a waker that outlives the runtime must not keep it.
    shared: Weak<Shared>,
}

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let early = (bug::ROOT_PLACE_FIRST.is_on()).then(|| self.place.load(Ordering::SeqCst));
        // Ordering: SeqCst, see the header; also releases what the waker's thread wrote before.
        if self.woken.swap(true, Ordering::SeqCst) {
            return;
        }
        let place = early.unwrap_or_else(|| self.place.load(Ordering::SeqCst));
        if place == NO_SLOT {
            self.thread.unpark();
            return;
        }
        let is_own_thread = context::with_worker(|worker| {
            worker.is_some_and(|worker| {
                worker.slot() == place
                    && std::ptr::eq(Arc::as_ptr(worker.shared()), self.shared.as_ptr())
            })
        });
        if !is_own_thread && let Some(shared) = self.shared.upgrade() {
            shared.park.unpark(place);
        }
    }
}

impl Root {
    pub(crate) fn is_woken(&self) -> bool {
        // Ordering: SeqCst, see the header.
        self.woken.load(Ordering::SeqCst)
    }

    fn move_to(&self, place: usize) {
        // Ordering: SeqCst, see the header.
        self.place.swap(place, Ordering::SeqCst);
    }

    pub(crate) fn wake_waiting_thread(&self) {
        self.thread.unpark();
    }
}

/// A root future with its waker.
pub(crate) struct Driven<'a, F> {
    /// The future.
    future: Pin<&'a mut F>,
    /// What its waker points to.
    pub(crate) root: Arc<Root>,
    /// The waker itself, made once.
    waker: Waker,
    /// How often the future has been polled.
    polls: u64,
}

impl<F: Future> Driven<'_, F> {
    /// Polls the future if it was woken since the last poll.
    pub(crate) fn poll_if_woken(&mut self) -> Poll<F::Output> {
        if !self.root.is_woken() || !self.root.woken.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        self.polls += 1;
        let mut cx = Context::from_waker(&self.waker);
        budget::with(|| self.future.as_mut().poll(&mut cx))
    }

    /// How often the future has been polled.
    pub(crate) fn polls(&self) -> u64 {
        self.polls
    }
}

/// A thread inside `block_on` that serves a slot; leaves it when dropped, by a panic of the root too.
pub(crate) struct Seated<'a> {
    /// The worker that the thread is for now.
    worker: Option<Rc<Worker>>,
    /// What it was before.
    before: Option<Rc<Worker>>,
    /// Moves away from the slot at the end.
    root: &'a Root,
}

impl<'a> Seated<'a> {
    pub(crate) fn take(shared: &Arc<Shared>, role: Role, root: &'a Root) -> Option<Seated<'a>> {
        let slot = shared.slots.take(Seat::Guest)?;
        shared.threads.join();
        let worker = Worker::new(shared, slot, role);
        let before = context::set_worker(Some(Rc::clone(&worker)));
        root.move_to(slot);
        Some(Seated {
            worker: Some(worker),
            before,
            root,
        })
    }

    pub(crate) fn worker(&self) -> &Worker {
        self.worker.as_ref().expect("taken only by drop")
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        self.root.move_to(NO_SLOT);
        context::set_worker(self.before.take());
        let worker = self.worker.take().expect("taken only here");
        let shared = Arc::clone(worker.shared());
        worker.stop_searching();
        worker.leave_slot(Seat::Guest);
        shared.pass_the_seat();
        if shared.threads.leave() {
            shared.finish_shutdown();
        }
    }
}

#[track_caller]
pub(crate) fn block_on<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    assert!(
        !context::is_polling(),
        "cannot block the current thread from within a runtime: this thread already drives a task or the future \
         of a `block_on`. Use `.await`, or move the blocking call into `spawn_blocking` or `block_in_place`"
    );
    assert!(
        !shared.is_forked(),
        "this process is a fork of the one that started the runtime, and has none of its threads: start a runtime of its own in \
         the child"
    );
    let _entered = Handle::from_shared(Arc::clone(shared)).enter();
    let _polling = context::set_polling(true);
    let _member = context::set_member(shared);
    let root = Arc::new(Root {
        woken: AtomicBool::new(true),
        place: AtomicUsize::new(NO_SLOT),
        thread: thread::current(),
        shared: Arc::downgrade(shared),
    });
    let mut driven = Driven {
        future: pin!(future),
        waker: Waker::from(Arc::clone(&root)),
        polls: 0,
        root,
    };
    let output = match shared.config.flavor {
        Flavor::MultiThread => crate::guest::drive(shared, &mut driven),
        Flavor::CurrentThread => crate::current_thread::drive(shared, &mut driven),
    };
    match output {
        Some(output) => output,
        None => drive_alone(&mut driven),
    }
}

/// Polls the root whenever it is woken, and does nothing else.
fn drive_alone<F: Future>(driven: &mut Driven<'_, F>) -> F::Output {
    loop {
        if let Poll::Ready(output) = driven.poll_if_woken() {
            return output;
        }
        while !driven.root.is_woken() {
            thread::park();
        }
    }
}
