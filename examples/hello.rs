//! The smallest program: tasks that wait at the same time, and a result from each.
//!
//! ```text
//! cargo run --release --example hello
//! ```

use std::time::Duration;

use runtime::time::{Instant, sleep};

#[runtime::main]
async fn main() {
    let start = Instant::now();

    // `spawn` starts a task at once: it runs beside us, on whichever worker is free.
    let greetings: Vec<_> = [("world", 30), ("runtime", 10), ("reader", 20)]
        .map(|(name, millis)| {
            runtime::spawn(async move {
                sleep(Duration::from_millis(millis)).await;
                println!("hello, {name}! ({millis} ms)");
                name.len()
            })
        })
        .into();

    // Awaiting the handle gives what the task returned, or an error if it panicked.
    let mut letters = 0;
    for greeting in greetings {
        letters += greeting.await.expect("no greeting panics");
    }

    println!(
        "greeted {letters} letters in {} ms: the waits overlapped",
        start.elapsed().as_millis()
    );
}
