//! The watchdog: when a loop has given no sign of life for too long, it says what stands still, and ends the process.

use std::collections::BTreeMap;
use std::fs;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use runtime_tests::Watchdog;

use crate::site::Site;

/// How long the report may take: it looks at a runtime that stands still, and may itself come to stand.
const REPORT: Duration = Duration::from_secs(20);

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

/// The thread that watches.
pub struct Stall {
    /// Dropped to end it.
    stop: Sender<()>,
    /// It.
    thread: JoinHandle<()>,
}

impl Stall {
    /// Watches all loops; one may be silent for `limit`, which is counted in looks and not by the clock, so that a process that was
    /// stopped meanwhile is not blamed.
    pub fn watch(site: Arc<Site>, handle: runtime::Handle, limit: Duration) -> Stall {
        let (stop, stopped) = channel::<()>();
        let thread = thread::spawn(move || {
            let mut seen: Vec<(u64, u32)> = Vec::new();
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let beats = site.beats().clone();
                seen.resize(beats.len(), (u64::MAX, 0));
                let mut silent: BTreeMap<&str, usize> = BTreeMap::new();
                for (beat, (last, looks)) in beats.iter().zip(&mut seen) {
                    let count = beat.count.load(Relaxed);
                    *looks = if count == *last { *looks + 1 } else { 0 };
                    *last = count;
                    if LOOK * *looks >= limit && !beat.ended.is_set() {
                        *silent.entry(beat.name).or_default() += 1;
                    }
                }
                if !silent.is_empty() {
                    report(&site, &handle, limit, &silent);
                    exit(2);
                }
            }
        });
        Stall { stop, thread }
    }

    /// Ends it, and lets the runtime's handle go.
    pub fn stop(self) {
        drop(self.stop);
        self.thread.join().expect("it does not panic");
    }
}

fn report(site: &Site, handle: &runtime::Handle, limit: Duration, silent: &BTreeMap<&str, usize>) {
    let _watchdog = Watchdog::over("soak: the report of the stall", REPORT);
    eprintln!("soak: FAILED: no sign of life for {limit:?} from so many loops: {silent:?}");
    eprintln!("\n{}", site.books);
    eprintln!("\nthreads: id, name, state, where in the kernel");
    for entry in fs::read_dir("/proc/self/task").expect("procfs").flatten() {
        let read = |name| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let state = read("stat");
        let state = state.rsplit_once(") ").map_or("?", |(_, rest)| &rest[..1]);
        eprintln!(
            "{:>8} {:<16} {state} {}",
            entry.file_name().to_string_lossy(),
            read("comm").trim(),
            read("wchan")
        );
    }
    // These take locks of the runtime, so they come last.
    eprintln!("\n{}", handle.metrics());
    eprintln!("\n{}", handle.tasks());
}
