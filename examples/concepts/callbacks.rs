//! Callbacks turned into futures, and back: how to use a library that calls you, and how to
//! serve one that wants to be called.
//!
//! ```text
//! cargo run --release --example callbacks
//! ```

use std::thread;
use std::time::Duration;

use runtime::sync::{mpsc, oneshot};

/// A library in the callback style: answers later, on a thread of its own.
fn look_up(city: &'static str, then: impl FnOnce(Result<i32, String>) + Send + 'static) {
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        then(match city {
            "Oslo" => Ok(-3),
            "Lima" => Ok(19),
            _ => Err(format!("nobody knows the weather in {city}")),
        });
    });
}

/// The same as a future: the callback sends, the caller awaits. If this future is dropped, the
/// answer is thrown away; if the library forgets its callback, that is an error and no hang.
async fn temperature(city: &'static str) -> Result<i32, String> {
    let (answer, answered) = oneshot::channel();
    look_up(city, move |result| drop(answer.send(result)));
    answered
        .await
        .unwrap_or_else(|_| Err("the callback was dropped without a call".into()))
}

/// A callback that is called many times becomes a channel.
fn watch_cities() -> mpsc::UnboundedReceiver<(&'static str, Result<i32, String>)> {
    let (answers, incoming) = mpsc::unbounded_channel();
    for city in ["Lima", "Oslo"] {
        let answers = answers.clone();
        look_up(city, move |result| drop(answers.send((city, result))));
    }
    // The receiver ends when the last callback has dropped its sender.
    incoming
}

/// And back: runs a future, calls `then` with its output. What libraries without futures want.
fn run<F>(future: F, then: impl FnOnce(F::Output) + Send + 'static)
where
    F: Future<Output: Send> + Send + 'static,
{
    runtime::spawn(async move { then(future.await) });
}

#[runtime::main]
async fn main() {
    // With callbacks, "first this, then that" nests, and errors are handled at each level.
    let (done, finished) = oneshot::channel::<()>();
    look_up("Oslo", move |oslo| {
        let oslo = oslo.expect("Oslo is known");
        look_up("Lima", move |lima| {
            let lima = lima.expect("Lima is known");
            println!("nested callbacks: {} degrees between them", lima - oslo);
            drop(done);
        });
    });
    let _ = finished.await;

    // With futures it reads downwards, and `?` handles the errors.
    match difference("Oslo", "Lima").await {
        Ok(degrees) => println!("futures: {degrees} degrees between them"),
        Err(problem) => println!("futures: {problem}"),
    }
    if let Err(problem) = difference("Oslo", "Atlantis").await {
        println!("futures: {problem}");
    }

    let mut incoming = watch_cities();
    let mut cities = 0;
    while let Some((city, result)) = incoming.recv().await {
        println!("channel: {city} {result:?}");
        cities += 1;
    }
    println!("channel: ended after {cities} calls");

    let (done, finished) = oneshot::channel::<()>();
    run(temperature("Lima"), |result| {
        println!("back to a callback: {result:?}");
        drop(done);
    });
    let _ = finished.await;
}

async fn difference(from: &'static str, to: &'static str) -> Result<i32, String> {
    Ok(temperature(to).await? - temperature(from).await?)
}
