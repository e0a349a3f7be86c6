//! The soak: all parts of the runtime at once, for as long as one likes, with exact books, and a look at what drifts.
//!
//! ```text
//! cargo run --release -p runtime-tests --bin soak -- --minutes 65
//! ```
//!
//! A runtime with two workers does many kinds of work at limited rates (`work/`), each with its own ledger (`ledger.rs`). Beside it,
//! small runtimes of both flavors come and go, foreign threads wake and spawn, and plain threads measure the machine (`control.rs`).
//! Once a second a sample is taken (`samples.rs`): memory, descriptors, threads, tasks, timers, CPU time, and the latencies of that
//! second. A watchdog (`stall.rs`) ends the program with a report if any loop stands still. At the end
//!
//! - whatever was begun has ended as it was meant to, each token was dropped once, no timer was early, all bytes have arrived;
//! - the runtime's own counters balance, as they did at every sample, and nothing is left in it;
//! - the process has as many threads and descriptors as before;
//! - nothing has drifted (`drift.rs`).
//!
//! The exit code is 0 if all of that holds, 1 if not, 2 after a stall.
//!
//! | option | means | default |
//! |---|---|---|
//! | `--minutes N`, `--seconds N` | how long | 5 minutes |
//! | `--load N` | how many times the usual rates | 1 |
//! | `--seed N` | where the random numbers begin | the time |
//! | `--stall N` | how many seconds a loop may be silent | 30 |
//! | `--plant NAME` | a fault to be noticed, see `plant.rs` | none |

#![forbid(unsafe_code)]

mod control;
mod drift;
mod latency;
mod ledger;
mod plant;
mod samples;
mod site;
mod stall;
mod work;

use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use runtime::runtime::{Builder, Runtime};
use runtime_tests::process::{descriptors, threads};
use runtime_tests::{Watchdog, panic_text};

use control::Control;
use drift::{Drift, Quantity};
use plant::Plant;
use samples::{Sample, Sampler};
use site::Site;
use stall::Stall;
use work::Work;

/// How long the end may take, when nothing new is begun.
const END: Duration = Duration::from_secs(60);

/// Whether a panic has happened that was not planned.
static FAILED: AtomicBool = AtomicBool::new(false);

/// How many slow polls were reported.
static REPORTS: AtomicU64 = AtomicU64::new(0);

/// What the command line says.
struct Options {
    /// How long.
    seconds: u64,
    /// How many times the usual rates.
    load: f64,
    /// Where the random numbers begin.
    seed: u64,
    /// How long a loop may be silent.
    stall: Duration,
    /// The fault to plant.
    plant: Option<Plant>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let mut options = Options {
            seconds: 300,
            load: 1.0,
            seed: now.as_secs(),
            stall: Duration::from_secs(30),
            plant: None,
        };
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{name} {value}?"));
            match name.as_str() {
                "--minutes" => options.seconds = 60 * number()?,
                "--seconds" => options.seconds = number()?,
                "--load" => {
                    options.load = value.parse().map_err(|_| format!("{name} {value}?"))?;
                }
                "--seed" => options.seed = number()?,
                "--stall" => options.stall = Duration::from_secs(number()?),
                "--plant" => {
                    let found = Plant::ALL.iter().find(|(name, _)| *name == value);
                    let (_, plant) = found.ok_or_else(|| format!("there is no plant {value}"))?;
                    options.plant = Some(*plant);
                }
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)) {
        Ok(options) => run(&options),
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> ExitCode {
    note_panics();
    // A loop that waits for one must not seem to stand still, and the end waits for the last.
    let longest = Duration::from_secs(options.seconds / 2).min(options.stall / 3);
    let site = Site::new(options.load, options.seed, longest, options.plant);
    let control = Control::start().expect("there are threads and descriptors");
    // What a process opens once and keeps, before it is counted.
    work::warm_up(&site);
    settle_threads(0);
    let before = (threads(), descriptors());

    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_keep_alive(Duration::from_secs(2))
        .on_slow_poll(|_| {
            REPORTS.fetch_add(1, Relaxed);
        })
        .build()
        .expect("there are threads and descriptors");
    println!("soak: {} s, seed {}", options.seconds, options.seed);
    let work = runtime
        .block_on(runtime.spawn({
            let site = site.clone();
            async move { work::start(&site).await }
        }))
        .expect("it does not panic")
        .expect("there are descriptors");
    let stall = Stall::watch(site.clone(), runtime.handle().clone(), options.stall);

    let mut faults = Vec::new();
    let samples = sample(options, &site, &runtime, &control, &mut faults);
    site.stop.set();
    if FAILED.load(Relaxed) {
        // Who knows in what state it is; the message was printed by the hook.
        println!("\n{}", site.books);
        eprintln!("soak: FAILED: a panic that was not planned");
        exit(1);
    }
    let metrics = end(&site, runtime, work, stall, &mut faults);
    settle_threads(before.0);
    let after = (threads(), descriptors());
    if after != before {
        faults.push(format!(
            "threads and descriptors were {before:?} before and are {after:?} after"
        ));
    }
    control.stop();
    faults.extend(site.books.unbalanced());
    if FAILED.load(Relaxed) {
        faults.push("a panic that was not planned".to_owned());
    }
    let drift = Drift::of(&samples);
    faults.extend(drift.found());

    println!("\n{metrics}\n\n{}", site.books);
    println!("reports of slow polls: {}", REPORTS.load(Relaxed));
    println!("\n{drift}\n");
    for fault in &faults {
        eprintln!("soak: FAILED: {fault}");
    }
    if !faults.is_empty() {
        return ExitCode::FAILURE;
    }
    println!("soak: passed");
    ExitCode::SUCCESS
}

/// Keeps planned panics off the screen, and notes the others.
fn note_panics() {
    std::panic::set_hook(Box::new(|info| {
        if !ledger::was_planned(&panic_text(info.payload())) {
            FAILED.store(true, Relaxed);
            eprintln!("soak: {info}");
        }
    }));
}

/// Takes a sample a second until the time is over or something has failed.
fn sample(
    options: &Options,
    site: &Arc<Site>,
    runtime: &Runtime,
    control: &Control,
    faults: &mut Vec<String>,
) -> Vec<Sample> {
    // Its pages are touched now, lest they count as growth.
    let mut samples = vec![[f64::NAN; drift::QUANTITIES]; options.seconds as usize];
    samples.clear();
    let mut sampler = Sampler::new(site, runtime.handle());
    let start = Instant::now();
    for second in 1..=options.seconds as usize {
        let next = start + Duration::from_secs(second as u64);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        match sampler.take(control) {
            Ok(sample) => samples.push(sample),
            Err(fault) => {
                faults.push(fault);
                break;
            }
        }
        if FAILED.load(Relaxed) {
            break;
        }
        if let Some(plant) = options.plant {
            plant.happen(site, runtime.handle(), second);
        }
        if second.is_multiple_of(60) {
            let of = |quantity: Quantity| samples[second - 1][quantity as usize];
            println!(
                "{:>4} min: {:.1} MiB, {} descriptors, {} threads, {} tasks, {} timers; echo {:.0}/{:.0} µs, \
                 timer {:.0}/{:.0} µs, {:.0} ms CPU, {:.0} pieces of work",
                second / 60,
                of(Quantity::Resident),
                of(Quantity::Descriptors),
                of(Quantity::Threads),
                of(Quantity::Tasks),
                of(Quantity::Timers),
                of(Quantity::EchoMedian),
                of(Quantity::EchoTail),
                of(Quantity::TimerMedian),
                of(Quantity::TimerTail),
                of(Quantity::Cpu),
                of(Quantity::Operations),
            );
        }
    }
    samples
}

/// Lets all work come to its end, and ends the runtime; returns its counters, which must say that nothing is left.
fn end(
    site: &Arc<Site>,
    runtime: Runtime,
    mut work: Work,
    stall: Stall,
    faults: &mut Vec<String>,
) -> runtime::RuntimeMetrics {
    runtime.block_on(async { while work.loops.join_next().await.is_some() {} });
    for thread in work.threads.drain(..) {
        // If it has panicked, the hook has noted it.
        let _ = thread.join();
    }
    let _watchdog = Watchdog::over("soak: the end", END);
    // The last connections come to their ends by themselves, but their server would wait for more.
    let patience = Instant::now() + END / 2;
    while !site.books.is_balanced("served") && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    runtime.block_on(work.servers.shutdown());
    let metrics = runtime.metrics();
    let left = (
        metrics.tasks().live(),
        metrics.timers().pending(),
        metrics.reactor().sources(),
    );
    if left != (0, 0, 0) {
        faults.push(format!("tasks, timers and sources are left: {left:?}"));
    }
    // A handle keeps the reactor's descriptors open.
    stall.stop();
    drop(runtime);
    metrics
}

/// Waits until there are at most so many threads, but not for ever: one that was joined may be listed for a moment longer, and what
/// was ended without waiting ends a little later.
fn settle_threads(wanted: usize) {
    for _ in 0..200 {
        if threads() <= wanted {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
