//! The metrics as a table for people: a row a worker, then a line a group.
//!
//! What prints is `#[inline]`, so that programs that call it compile it, and not everybody with the crate.

use std::fmt;
use std::time::Duration;

use super::{RuntimeMetrics, WorkerMetrics};

impl fmt::Display for RuntimeMetrics {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        workers(f, self.workers())?;
        if self.is_crowded() {
            writeln!(
                f,
                "no core is free: events of one batch are left to one worker"
            )?;
        }
        let tasks = self.tasks();
        writeln!(
            f,
            "tasks: {} live, {} spawned, {} panicked, {} aborted; {} in the injector",
            tasks.live(),
            tasks.spawned(),
            tasks.panicked(),
            tasks.aborted(),
            self.global_queue_depth()
        )?;
        writeln!(f, "polls (sampled): {}", tasks.poll_time())?;
        writeln!(
            f,
            "waits to be polled (sampled): {}",
            tasks.schedule_latency()
        )?;
        let rescue = self.rescue();
        writeln!(
            f,
            "rescue: {} slow polls, {} rescues, {} stuck now, {} spares now, {} started",
            rescue.slow_polls(),
            rescue.rescues(),
            rescue.stuck_workers(),
            rescue.active_spares(),
            rescue.spares_started()
        )?;
        writeln!(
            f,
            "hog lane: {} tasks came, {} left; {} polls; {} threads now, {} tasks wait",
            rescue.lane_marks(),
            rescue.lane_returns(),
            rescue.lane_polls(),
            rescue.lane_threads(),
            rescue.lane_depth()
        )?;
        let reactor = self.reactor();
        writeln!(
            f,
            "I/O: {} sources now, {} registered; {} turns ({} by the reactor thread), {} events, {} interrupts",
            reactor.sources(),
            reactor.registrations(),
            reactor.turns(),
            reactor.turns_by_reactor_thread(),
            reactor.events(),
            reactor.interrupts()
        )?;
        let timers = self.timers();
        writeln!(
            f,
            "timers: {} pending, {} registered, {} fired, {} cancelled; late: {}",
            timers.pending(),
            timers.registered(),
            timers.fired(),
            timers.cancelled(),
            timers.lateness()
        )?;
        let blocking = self.blocking();
        write!(
            f,
            "blocking pool: {} threads, {} idle; {} jobs, {} finished, {} wait",
            blocking.threads(),
            blocking.idle_threads(),
            blocking.jobs(),
            blocking.jobs_finished(),
            blocking.queue_depth()
        )
    }
}

/// What a row tells of a worker.
const HEAD: [&str; 9] = [
    "worker", "state", "polls", "busy", "parks", "steals", "LIFO", "injected", "queue",
];

/// Writes the rows for the workers, in columns.
#[inline]
fn workers(f: &mut fmt::Formatter<'_>, workers: &[WorkerMetrics]) -> fmt::Result {
    let row = |worker: &WorkerMetrics| {
        [
            worker.name().to_owned(),
            worker.state().to_string(),
            worker.polls().to_string(),
            short(worker.busy()),
            worker.parks().to_string(),
            worker.steals().to_string(),
            worker.lifo_hits().to_string(),
            worker.injected_tasks().to_string(),
            worker.queue_depth().to_string(),
        ]
    };
    let head = HEAD.map(String::from);
    let rows: Vec<_> = std::iter::once(head)
        .chain(workers.iter().map(row))
        .collect();
    let widths: [usize; HEAD.len()] = std::array::from_fn(|column| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    });
    for row in &rows {
        for (column, (text, width)) in row.iter().zip(widths).enumerate() {
            match column {
                0 => write!(f, "{text:<width$}")?,
                1 => write!(f, "  {text:<width$}")?,
                _ => write!(f, "  {text:>width$}")?,
            }
        }
        writeln!(f)?;
    }
    Ok(())
}

/// A duration in one unit, with two or three digits: "450 ns", "1.2 µs", "41 ms", "7.5 h".
#[inline]
pub(super) fn short(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos < 1_000 {
        return format!("{nanos} ns");
    }
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 0.999_5e-3 => (s * 1e6, "µs"),
        s if s < 0.999_5 => (s * 1e3, "ms"),
        s if s < 600.0 => (s, "s"),
        s if s < 36_000.0 => (s / 60.0, "min"),
        s => (s / 3_600.0, "h"),
    };
    if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 µs"),
            (9_949, "9.9 µs"),
            (9_951, "10 µs"),
            (999_499, "999 µs"),
            (999_501, "1.0 ms"),
            (41_400_000, "41 ms"),
            (999_600_000, "1.0 s"),
            (51 * 60_000_000_000, "51 min"),
            (26 * 3_600_000_000_000, "26 h"),
        ];
        for (nanos, text) in cases {
            assert_eq!(short(Duration::from_nanos(nanos)), text);
        }
    }
}
