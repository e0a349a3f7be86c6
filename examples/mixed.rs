//! Computing beside I/O: what a long computation does to its neighbours, and the ways to be kind.
//!
//! A heartbeat wants to beat every 5 ms. Beside it runs the same computation four times, in
//! each of these ways:
//!
//! - **in the task**, without a pause: its worker does nothing else meanwhile. After some
//!   milliseconds other threads take over, so that the heart goes on, and a line on standard error
//!   names the task; with `Builder::rescue(false)`, everybody would wait while all workers compute
//!   (see `bad_neighbour`). Fine for less than a millisecond.
//! - **`yield_now`**, in slices: the task goes to the back of the queue after each. For
//!   computations that are loops anyway and that can be interrupted.
//! - **`block_in_place`**: this worker becomes an ordinary thread for a moment, another takes over
//!   its tasks. For code that borrows from the task, so that it cannot move to another thread.
//! - **`spawn_blocking`**: a thread of the blocking pool does it, we await the result. The
//!   first choice for system calls that block, for libraries that do, and for long computations.
//!
//! ```text
//! cargo run --release --example mixed
//! ```

use std::hint::black_box;
use std::time::Duration;

use runtime::sync::oneshot;
use runtime::task::{JoinSet, block_in_place, spawn_blocking, yield_now};
use runtime::time::{Instant, MissedTickBehavior, interval, sleep};

/// A slice of work, well below a millisecond; the whole computation is `SLICES` of them.
const STEPS: u64 = 100_000;
const SLICES: u64 = 400;
const TASKS: u64 = 4;

const BEAT: Duration = Duration::from_millis(5);

#[runtime::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("{TASKS} computations beside a heartbeat of {BEAT:?}, 2 workers\n");
    println!(
        "{:<16} {:>9} {:>7} {:>12}",
        "", "took", "beats", "worst delay"
    );

    measure("in the task", |seed| async move { compute(seed) }).await;
    measure("yield_now", |mut seed| async move {
        for _ in 0..SLICES {
            seed = slice(seed);
            yield_now().await;
        }
        seed
    })
    .await;
    measure("block_in_place", |seed| async move {
        // Borrows a local: `spawn_blocking` could not do that.
        let seeds = [seed];
        block_in_place(|| compute(seeds[0]))
    })
    .await;
    measure("spawn_blocking", |seed| async move {
        spawn_blocking(move || compute(seed))
            .await
            .expect("the computation does not panic")
    })
    .await;
}

/// Runs `TASKS` computations beside a heartbeat, and prints how both fared.
async fn measure<F>(name: &str, computation: impl Fn(u64) -> F)
where
    F: Future<Output = u64> + Send + 'static,
{
    let (stop, stopped) = oneshot::channel();
    let heart = runtime::spawn(beat(stopped));
    // Some beats before the noise starts.
    sleep(2 * BEAT).await;

    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for seed in 0..TASKS {
        tasks.spawn(computation(seed));
    }
    // In which order they end does not matter; that the optimiser keeps the work does.
    black_box(tasks.join_all().await);
    let took = start.elapsed();

    drop(stop);
    let (beats, worst) = heart.await.expect("a heart does not panic");
    println!(
        "{name:<16} {:>6} ms {beats:>7} {:>9.1} ms",
        took.as_millis(),
        worst.as_secs_f64() * 1e3
    );
}

/// Beats until the other end of `stopped` is dropped; returns the number of beats and the longest
/// delay of one.
async fn beat(mut stopped: oneshot::Receiver<()>) -> (u32, Duration) {
    let mut interval = interval(BEAT);
    // A late beat is not made up for by quick ones: each delay is counted once.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut beats, mut worst) = (0, Duration::ZERO);
    loop {
        runtime::select! {
            due = interval.tick() => {
                beats += 1;
                worst = worst.max(due.elapsed());
            }
            _ = &mut stopped => return (beats, worst),
        }
    }
}

fn compute(mut seed: u64) -> u64 {
    for _ in 0..SLICES {
        seed = slice(seed);
    }
    seed
}

/// The work: xorshift, which no compiler can shorten.
fn slice(seed: u64) -> u64 {
    let mut x = seed | 1;
    for _ in 0..STEPS {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}
