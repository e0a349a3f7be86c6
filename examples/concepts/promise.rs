//! A promise and its future: one side promises a value, the other awaits it. Here by hand, to
//! show what a waker is for; `sync::oneshot` is the one to use.
//!
//! ```text
//! cargo run --release --example promise
//! ```

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use runtime::sync::oneshot;

/// Makes a connected pair.
fn promise<T>() -> (Promise<T>, Promised<T>) {
    let shared = Arc::new(Mutex::new(State::Waiting(None)));
    (
        Promise {
            shared: shared.clone(),
        },
        Promised { shared },
    )
}

/// The side that will know the value.
struct Promise<T> {
    /// The one place that both sides know.
    shared: Arc<Mutex<State<T>>>,
}

/// The side that awaits it.
struct Promised<T> {
    /// The one place that both sides know.
    shared: Arc<Mutex<State<T>>>,
}

enum State<T> {
    /// No value yet; whom to wake when there is one.
    Waiting(Option<Waker>),
    /// The value, until it is awaited.
    Kept(T),
    /// The promise was dropped without a value, or the value has been taken.
    Over,
}

#[derive(Debug)]
struct Broken;

impl<T> Promise<T> {
    fn keep(self, value: T) {
        self.settle(State::Kept(value));
        // `Drop` runs now and finds that there is nothing left to do.
    }

    /// Leaves the waiting state, once, and wakes whoever waits.
    fn settle(&self, new: State<T>) {
        let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Waiting(waker) = &mut *state {
            let waker = waker.take();
            *state = new;
            // Wake outside the lock: the woken task may run at once, on another thread.
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.settle(State::Over);
    }
}

impl<T> Future for Promised<T> {
    type Output = Result<T, Broken>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Waiting(waker) => {
                // A future may move to another task between polls: the last waker counts.
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            over => match std::mem::replace(over, State::Over) {
                State::Kept(value) => Poll::Ready(Ok(value)),
                _ => Poll::Ready(Err(Broken)),
            },
        }
    }
}

#[runtime::main]
async fn main() {
    let (promise_42, promised) = promise();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        promise_42.keep(42);
    });
    println!("kept by another thread: {:?}", promised.await);

    let (broken, promised) = promise::<u32>();
    runtime::spawn(async move { drop(broken) });
    println!("dropped by another task: {:?}", promised.await);

    let (early, promised) = promise();
    early.keep("known before anyone asked");
    println!("kept before the first poll: {:?}", promised.await);

    let (sender, receiver) = oneshot::channel();
    runtime::spawn(async move { sender.send("the same, ready to use") });
    println!("oneshot: {:?}", receiver.await);
}
