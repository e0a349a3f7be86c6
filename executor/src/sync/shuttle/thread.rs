//! Threads of the scenario.

use super::{PATIENCE, RUNNING, inside, of, step, switch};
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

pub(crate) use shuttle::thread::ThreadId;

/// A name with which no thread can be started.
pub(crate) const REFUSED: &str = "refused";

/// A coroutine.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    id: ThreadId,
    token: Arc<AtomicBool>,
    /// Wakes it from [`block`].
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Thread {
    /// The one that runs.
    pub(super) fn new() -> Thread {
        Thread {
            id: shuttle::thread::current().id(),
            token: Arc::default(),
            waker: Arc::default(),
        }
    }

    pub(crate) fn id(&self) -> ThreadId {
        self.id
    }

    pub(crate) fn unpark(&self) {
        step();
        self.token.store(true, Relaxed);
        self.rouse();
    }

    /// Ends [`block`], if the thread is in it.
    pub(super) fn rouse(&self) {
        let waker = of(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

pub(crate) fn current() -> Thread {
    RUNNING.with_borrow(|local| local.as_ref().expect("inside a coroutine").thread.clone())
}

/// Waits until roused, or for no reason. A step ends here, so whoever is to rouse this thread must know it before.
pub(super) fn block() {
    let thread = current();
    let mut is_over = false;
    let wait = poll_fn(|cx| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        *of(&thread.waker) = Some(cx.waker().clone());
        Poll::Pending
    });
    switch(|| shuttle::future::block_on(wait));
}

pub(crate) fn park() {
    let token = current().token;
    while !token.swap(false, Relaxed) {
        block();
    }
}

pub(crate) fn park_timeout(_: Duration) {
    let token = current().token;
    for _ in 0..PATIENCE {
        if token.swap(false, Relaxed) {
            return;
        }
        yield_now();
    }
}

pub(crate) fn yield_now() {
    switch(shuttle::thread::yield_now);
}

/// A thread to join.
#[derive(Debug)]
pub(crate) struct JoinHandle<T> {
    handle: shuttle::thread::JoinHandle<T>,
    is_finished: Arc<AtomicBool>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn thread(&self) -> &shuttle::thread::Thread {
        self.handle.thread()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished.load(Relaxed)
    }

    pub(crate) fn join(self) -> std::thread::Result<T> {
        switch(|| self.handle.join())
    }
}

pub(crate) fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let is_finished = Arc::new(AtomicBool::new(false));
    let finished = Arc::clone(&is_finished);
    let body = move || {
        let result = inside(body);
        finished.store(true, Relaxed);
        result
    };
    JoinHandle {
        handle: switch(|| shuttle::thread::spawn(body)),
        is_finished,
    }
}

/// Starts threads; the name matters only if it is [`REFUSED`].
#[derive(Debug, Default)]
pub(crate) struct Builder {
    is_refused: bool,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder::default()
    }

    pub(crate) fn name(self, name: String) -> Builder {
        Builder {
            is_refused: name == REFUSED,
        }
    }

    pub(crate) fn stack_size(self, _: usize) -> Builder {
        self
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        if self.is_refused {
            super::step();
            return Err(io::Error::other("no thread to be had"));
        }
        Ok(spawn(body))
    }
}
