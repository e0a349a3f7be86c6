//! Concurrency: the same three waits one after the other, interleaved in one task, and as three
//! tasks. Waiting overlaps in the last two; only tasks may also *compute* at the same time.
//!
//! ```text
//! cargo run --release --example concurrency
//! ```

use std::thread;
use std::time::Duration;

use runtime::time::{Instant, sleep};

/// Waits `millis`, then says on which thread it ended.
async fn work(name: &str, millis: u64) -> u64 {
    sleep(Duration::from_millis(millis)).await;
    let thread = thread::current();
    println!("  {name} done on {}", thread.name().unwrap_or("a thread"));
    millis
}

#[runtime::main]
async fn main() {
    println!("one after the other: each `.await` waits for the one before");
    let start = Instant::now();
    let sum = work("a", 30).await + work("b", 20).await + work("c", 10).await;
    report(sum, start);

    println!("join!: three futures, one task; they take turns on one thread");
    let start = Instant::now();
    let (a, b, c) = runtime::join!(work("a", 30), work("b", 20), work("c", 10));
    report(a + b + c, start);

    println!("spawn: three tasks; idle workers steal them and run them in parallel");
    let start = Instant::now();
    let tasks = [("a", 30), ("b", 20), ("c", 10)].map(|(name, ms)| runtime::spawn(work(name, ms)));
    let mut sum = 0;
    for task in tasks {
        sum += task.await.expect("no task panics");
    }
    report(sum, start);
}

fn report(sum: u64, start: Instant) {
    let took = start.elapsed().as_millis();
    println!("  {sum} ms of waiting took {took} ms\n");
}
