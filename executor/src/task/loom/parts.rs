//! What the models of the task cell are made of: a scheduler without threads, futures that wait at a gate, wakers that count.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use ::loom::alloc::Track;
use ::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use super::super::runnable::Polled;
use super::super::*;
use crate::sync::Mutex;

/// A scheduler without threads: the model's threads run its queue.
pub(super) struct Queue {
    pub(super) owned: Owned<Queue>,
    pub(super) tasks: Mutex<Vec<Runnable>>,
}

impl Schedule for Queue {
    fn schedule(task: Scheduled<Queue>, _: Cause) {
        // Loom would not see the end of a std `Arc`, so keep it like a scheduler whose thread holds none.
        let queue = task.keep();
        let runnable = task.into_runnable();
        queue.tasks.lock().push(runnable);
    }

    fn owned(&self) -> &Owned<Queue> {
        &self.owned
    }

    fn polled(&self, task: &Runnable) {
        if task.conduct() & POLLED == 0 {
            task.add_conduct(POLLED);
        }
    }
}

/// A task's conduct once it has been polled.
pub(super) const POLLED: u8 = 1;
/// What a watchman adds to it.
pub(super) const MARK: u8 = 2;

impl Queue {
    pub(super) fn new() -> Arc<Queue> {
        let queue = Arc::new(Queue {
            owned: Owned::new(1),
            tasks: Mutex::new(Vec::new()),
        });
        queue.owned.adopt(queue.clone());
        queue
    }

    pub(super) fn bind<F>(&self, future: F) -> (JoinHandle<F::Output>, Option<Runnable>)
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        self.owned.bind(future, Meta::new(Location::caller()), 0)
    }

    pub(super) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let (handle, runnable) = self.bind(future);
        self.tasks.lock().extend(runnable);
        handle
    }

    pub(super) fn run(&self) -> Option<Polled> {
        let runnable = self.tasks.lock().pop();
        Some(runnable?.run())
    }

    pub(super) fn drain(&self) {
        while self.run().is_some() {}
    }

    /// Ends the model: everything must be able to complete, and the list lets go of the queue.
    pub(super) fn finish(self: Arc<Queue>) {
        self.drain();
        self.owned.close();
        self.owned.cancel_all(|runnable| {
            runnable.run();
        });
        self.drain();
        assert!(self.owned.is_empty());
        assert_eq!(Arc::strong_count(&self), 1);
    }
}

/// A future that is ready once `open` is true, and the waker of its last poll.
pub(super) struct Gate {
    pub(super) open: AtomicBool,
    pub(super) waker: Mutex<Option<Waker>>,
    pub(super) polls: AtomicUsize,
}

impl Gate {
    pub(super) fn new() -> Arc<Gate> {
        Arc::new(Gate {
            open: AtomicBool::new(false),
            waker: Mutex::new(None),
            polls: AtomicUsize::new(0),
        })
    }

    /// Opens the gate as one that trusts the waker to order things: without an ordering of its own.
    pub(super) fn open(&self) {
        self.open.store(true, Relaxed);
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.lock().clone().expect("polled")
    }

    /// Takes the waker away: the task then has no references but those of the model.
    pub(super) fn take(&self) -> Waker {
        self.waker.lock().take().expect("polled")
    }
}

/// Waits at a gate; gives the gate's number of polls.
pub(super) struct Through {
    gate: Arc<Gate>,
    /// Loom reports a future that is never dropped.
    _leak: Track<()>,
}

impl Future for Through {
    type Output = (usize, Track<()>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polls = self.gate.polls.fetch_add(1, Relaxed) + 1;
        if self.gate.open.load(Relaxed) {
            return Poll::Ready((polls, Track::new(())));
        }
        // Only the first poll leaves a waker: where a lock is taken, it must not order what the cell should order.
        if polls == 1 {
            *self.gate.waker.lock() = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

pub(super) fn through(gate: &Arc<Gate>) -> Through {
    Through {
        gate: gate.clone(),
        _leak: Track::new(()),
    }
}

/// A task that waits at a gate, polled once.
pub(super) fn waiting(queue: &Queue) -> (Arc<Gate>, JoinHandle<(usize, Track<()>)>) {
    let gate = Gate::new();
    let handle = queue.spawn(through(&gate));
    assert_eq!(queue.run(), Some(Polled::Pending));
    (gate, handle)
}

pub(super) fn noop_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Never ready; tells on drop whether it sees the gate open.
pub(super) struct Looks {
    pub(super) gate: Arc<Gate>,
    pub(super) saw_it_open: Arc<AtomicBool>,
}

impl Future for Looks {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.saw_it_open
            .store(self.gate.open.load(Relaxed), Relaxed);
    }
}

/// A waker whose wakes are counted by an atomic of loom's.
pub(super) fn counting(count: &Arc<AtomicUsize>) -> Waker {
    fn raw(count: Arc<AtomicUsize>) -> RawWaker {
        RawWaker::new(Arc::into_raw(count).cast(), &VTABLE)
    }
    fn get(data: *const ()) -> Arc<AtomicUsize> {
        // SAFETY: `raw` made the pointer, and every waker owns one count.
        unsafe { Arc::from_raw(data.cast()) }
    }
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            let count = std::mem::ManuallyDrop::new(get(data));
            raw((*count).clone())
        },
        |data| {
            get(data).fetch_add(1, SeqCst);
        },
        |data| {
            std::mem::ManuallyDrop::new(get(data)).fetch_add(1, SeqCst);
        },
        |data| drop(get(data)),
    );
    // SAFETY: the functions keep the contract of `RawWaker`.
    unsafe { Waker::from_raw(raw(count.clone())) }
}

/// Counts over all executions of a model, to see that what was to be explored did happen.
#[derive(Default)]
pub(super) struct Happened(std::sync::atomic::AtomicUsize);

impl Happened {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(super) fn did(&self) -> bool {
        self.0.load(Relaxed) > 0
    }
}
