//! A stream: a producer written like a coroutine. It hands out a value, is suspended, and goes on
//! from there when the consumer asks for the next; between two values it may await anything.
//!
//! ```text
//! cargo run --release --example stream
//! ```

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use runtime::sync::mpsc;
use runtime::time::sleep;

/// A coroutine, and the place where it lays the value that it hands out.
struct Producer<T> {
    /// `None` once it has returned.
    body: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Empty between two values.
    place: Arc<Mutex<Option<T>>>,
}

/// The coroutine's end: `give(value).await` is its `yield`.
struct Output<T> {
    /// Empty between two values.
    place: Arc<Mutex<Option<T>>>,
}

impl<T> Output<T> {
    async fn give(&mut self, value: T) {
        *self.place.lock().expect("no holder panics") = Some(value);
        // Pending once: the consumer takes the value and polls again when it wants the next, so
        // that nobody needs to be woken.
        let mut given = false;
        poll_fn(|_| match std::mem::replace(&mut given, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await
    }
}

fn produce<T, F>(body: impl FnOnce(Output<T>) -> F) -> Producer<T>
where
    F: Future<Output = ()> + Send + 'static,
{
    let place = Arc::new(Mutex::new(None));
    let body = body(Output {
        place: place.clone(),
    });
    Producer {
        body: Some(Box::pin(body)),
        place,
    }
}

impl<T> Stream for Producer<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        // The coroutine goes on from where it stood.
        if body.as_mut().poll(cx).is_ready() {
            self.body = None;
            return Poll::Ready(None);
        }
        match self.place.lock().expect("no holder panics").take() {
            Some(value) => Poll::Ready(Some(value)),
            // It awaits something else, which will wake us.
            None => Poll::Pending,
        }
    }
}

/// Fibonacci's numbers, as a loop that never ends and never runs ahead.
fn fibonacci() -> Producer<u64> {
    produce(|mut out| async move {
        let (mut a, mut b) = (0, 1);
        loop {
            println!("    producer: here is {a}");
            out.give(a).await;
            (a, b) = (b, a + b);
        }
    })
}

/// Counts down with a pause before each number: a stream may wait.
fn countdown(from: u32) -> Producer<u32> {
    produce(move |mut out| async move {
        for n in (1..=from).rev() {
            sleep(Duration::from_millis(10)).await;
            out.give(n).await;
        }
    })
}

#[runtime::main]
async fn main() {
    // Dropping the stream drops the coroutine where it stands.
    let mut numbers = fibonacci().take(6);
    while let Some(n) = numbers.next().await {
        println!("consumer: got {n}");
    }

    // Streams combine like iterators.
    let squares = countdown(5).map(|n| n * n).collect::<Vec<_>>().await;
    println!("squares: {squares:?}");

    // A channel is a stream whose producer runs ahead, in a task of its own, up to its bound.
    let (sender, mut lines) = mpsc::channel(2);
    runtime::spawn(async move {
        for line in ["a task", "runs ahead", "by two values"] {
            if sender.send(line).await.is_err() {
                return;
            }
        }
    });
    while let Some(line) = lines.recv().await {
        println!("channel: {line}");
    }
}
