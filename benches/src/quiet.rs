//! Was the machine ours while we measured?
//!
//! A compiler in the background makes two workers share one core, and then a figure says nothing.
//! The kernel counts the CPU time of the whole machine and that of this process with its ended
//! children; what is left over, others have used. Both counters move in steps of 10 ms, and
//! interrupts are left out: those of our own sockets look like somebody else's.
//!
//! A measurement beside which others used more than a twentieth of the CPUs is repeated, `--patience` times at most, and
//! the one that they disturbed least counts.

use std::fs;
use std::time::{Duration, Instant};

use crate::options::Options;

/// Seconds of a step of the kernel's counters (`USER_HZ` is 100 on Linux).
const STEP: f64 = 0.01;

/// How long the machine is watched before a measurement.
const SETTLE: Duration = Duration::from_millis(50);

/// Which share of the CPUs others may use before a measurement is repeated.
pub const DISTURBED: f64 = 0.05;

/// What one measurement gave.
#[derive(Clone, Copy, Debug)]
pub struct Measured<T> {
    /// The result.
    pub value: T,
    /// Which share of the CPUs others used meanwhile.
    pub others: f64,
}

/// Measures until nobody disturbs it or the patience is at an end; `None` if a measurement fails.
pub fn in_quiet<T>(
    options: &Options,
    mut measure: impl FnMut() -> Option<T>,
) -> Option<Measured<T>> {
    let mut best: Option<Measured<T>> = None;
    for attempt in 0..=options.patience {
        // A neighbour's burst of work may be over soon.
        std::thread::sleep(Duration::from_millis(500) * attempt.min(4));
        let watch = Watch::start();
        // What runs now goes on beside a short measurement, whose own time the kernel's
        // counters are too coarse to tell.
        std::thread::sleep(options.effort.pick(SETTLE, Duration::ZERO));
        let value = measure()?;
        let others = watch.share_of_others();
        if best.as_ref().is_none_or(|best| others < best.others) {
            best = Some(Measured { value, others });
        }
        if others <= DISTURBED {
            break;
        }
    }
    best
}

/// A span of time, and what others did in it.
#[derive(Debug)]
pub struct Watch {
    /// When it began.
    start: Instant,
    /// The CPU seconds of others at that time.
    others: f64,
}

impl Watch {
    /// Begins to watch.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            others: others(),
        }
    }

    /// Returns which share of all CPUs others have used since, from 0 to 1. One step of the
    /// counters a CPU is not counted: it may be ours.
    pub fn share_of_others(&self) -> f64 {
        let cpus = std::thread::available_parallelism().map_or(1.0, |cpus| cpus.get() as f64);
        let available = self.start.elapsed().as_secs_f64() * cpus;
        ((others() - self.others - STEP * cpus) / available).clamp(0.0, 1.0)
    }
}

/// CPU seconds that others have used since the machine started.
fn others() -> f64 {
    // cpu user nice system idle iowait irq softirq steal
    let machine = fs::read_to_string("/proc/stat").expect("Linux has /proc");
    let machine = numbers(machine.lines().next().expect("the first line is the sum"));
    let busy = machine[0] + machine[1] + machine[2] + machine[7];
    // What follows the name in parentheses: state, then fields 4 and up; 14 to 17 are ours.
    let process = fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    let (_, fields) = process
        .rsplit_once(')')
        .expect("the name is in parentheses");
    let ours: f64 = numbers(fields)[10..14].iter().sum();
    (busy - ours) * STEP
}

/// The numbers behind the first word.
fn numbers(line: &str) -> Vec<f64> {
    line.split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_between_nothing_and_everything() {
        let watch = Watch::start();
        crate::work::calibrate();
        assert!((0.0..=1.0).contains(&watch.share_of_others()));
    }
}
