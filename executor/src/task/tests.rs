//! The task cell, driven by hand: by a queue that the test empties.

// A clone that is woken by value is what is tested.
#![allow(clippy::waker_clone_wake)]

mod combinations;
mod joining;
mod life;
mod lists;
mod looks;
mod origins;
mod programs;
mod shown;

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::panic::{Location, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

use parking_lot::Mutex;

use super::runnable::Polled;
use super::*;

/// How much to do of what is done often; Miri is slow.
const MANY: usize = if cfg!(miri) { 50 } else { 100_000 };

/// A scheduler without threads.
struct Queue {
    owned: Owned<Queue>,
    /// What waits to be run, with why; `None` once closed, when runnables are dropped.
    tasks: Mutex<Option<VecDeque<(Runnable, Cause)>>>,
    polled: AtomicUsize,
}

impl Schedule for Queue {
    fn schedule(task: Scheduled<Queue>, cause: Cause) {
        let queue = task.keep();
        let runnable = task.into_runnable();
        if let Some(tasks) = &mut *queue.tasks.lock() {
            tasks.push_back((runnable, cause));
            return;
        }
        drop(runnable);
    }

    fn owned(&self) -> &Owned<Queue> {
        &self.owned
    }

    fn polled(&self, task: &Runnable) {
        self.polled.fetch_add(1, SeqCst);
        // One more bit after each poll.
        task.add_conduct(task.conduct() << 1 | 1);
    }
}

impl Queue {
    fn new() -> Arc<Queue> {
        let queue = Arc::new(Queue {
            owned: Owned::new(4),
            tasks: Mutex::new(Some(VecDeque::new())),
            polled: AtomicUsize::new(0),
        });
        queue.owned.adopt(queue.clone());
        queue
    }

    #[track_caller]
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let (handle, runnable) = self.owned.bind(future, Meta::new(Location::caller()), 3);
        if let Some(runnable) = runnable {
            self.push(runnable);
        }
        handle
    }

    fn push(&self, runnable: Runnable) {
        let mut tasks = self.tasks.lock();
        let tasks = tasks.as_mut().expect("the queue is open");
        tasks.push_back((runnable, Cause::Woken));
    }

    fn pop(&self) -> Option<(Runnable, Cause)> {
        self.tasks.lock().as_mut()?.pop_front()
    }

    /// Runs one task.
    fn run(&self) -> Option<Polled> {
        let (runnable, _) = self.pop()?;
        Some(runnable.run())
    }

    /// Runs until nothing is left.
    fn drain(&self) -> Vec<Polled> {
        std::iter::from_fn(|| self.run()).collect()
    }

    /// Ends everything.
    fn shutdown(&self) {
        self.owned.close();
        self.owned.cancel_all(|runnable| {
            runnable.run();
        });
        let rest = self.tasks.lock().take();
        drop(rest);
        assert!(self.owned.is_empty());
    }
}

/// Ends the queue with the test, and checks that nothing keeps it.
struct Bench {
    queue: Arc<Queue>,
}

fn bench() -> Bench {
    Bench {
        queue: Queue::new(),
    }
}

impl std::ops::Deref for Bench {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.queue.shutdown();
        if !std::thread::panicking() {
            assert_eq!(
                Arc::strong_count(&self.queue),
                1,
                "the list lets go of its scheduler"
            );
        }
    }
}

/// Counts wakes.
#[derive(Default)]
struct Flag(AtomicUsize);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Flag {
    fn new() -> (Arc<Flag>, Waker) {
        let flag = Arc::new(Flag::default());
        (flag.clone(), flag.into())
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// Polls with a waker that does nothing.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn now<F: Future + Unpin>(mut future: F) -> F::Output {
    match poll(&mut future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready"),
    }
}

/// Silences the panics that a test wants, in this thread.
fn quietly<R>(work: impl FnOnce() -> R) -> R {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Failed assertions carry a `String`, and are to be seen.
            if !QUIET.get() || info.payload().is::<String>() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let result = work();
    QUIET.set(false);
    result
}

/// Random numbers that are the same in each run (Marsaglia's xorshift64*).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        assert_ne!(seed, 0, "it would stay there");
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }
}

#[test]
fn sizes() {
    assert_eq!(size_of::<Runnable>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Runnable>>(), size_of::<usize>());
    assert_eq!(size_of::<JoinHandle<[u8; 99]>>(), size_of::<usize>());
    assert!(raw::size_of_cell(&async {}) <= 88);
}

/// Counts the drops of what it is part of, and panics in them if told to.
struct Bomb {
    drops: Arc<AtomicUsize>,
    is_live: bool,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.drops.fetch_add(1, SeqCst);
        if self.is_live {
            panic_any("drop");
        }
    }
}
