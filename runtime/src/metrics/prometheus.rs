//! The text that Prometheus reads, version 0.0.4 of its exposition format.
//!
//! Names end in their unit, counters in `_total`. Histograms are given by octaves, 31 buckets instead of 242: who wants
//! more asks [`Histogram::quantile`]. What the format asks for and this text has not: time stamps (the scraper knows
//! better) and labels of the user's own (add them where the metrics are scraped).
//!
//! What prints is `#[inline]`, so that programs that call it compile it, and not everybody with the crate.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::{Histogram, RuntimeMetrics, WorkerMetrics, WorkerState};

/// Prints the metrics for Prometheus; see [`RuntimeMetrics::prometheus`].
pub(super) struct Text<'a>(pub(super) &'a RuntimeMetrics);

/// What kind of metric a family is.
#[derive(Clone, Copy)]
enum Kind {
    /// Grows, from the start of the runtime on.
    Counter,
    /// Is what it is.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// Writes families of metrics, one after the other.
struct Writer<'a, 'f> {
    /// Where to.
    f: &'a mut fmt::Formatter<'f>,
}

impl Writer<'_, '_> {
    /// Begins a family.
    #[inline]
    fn family(&mut self, name: &str, kind: Kind, help: &str) -> fmt::Result {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        writeln!(self.f, "# HELP {name} {help}\n# TYPE {name} {kind}")
    }

    /// A family with one sample.
    #[inline]
    fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) -> fmt::Result {
        self.family(name, kind, help)?;
        writeln!(self.f, "{name} {value}")
    }

    #[inline]
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, Kind::Counter, help, value)
    }

    #[inline]
    fn gauge(&mut self, name: &str, help: &str, value: usize) -> fmt::Result {
        self.one(name, Kind::Gauge, help, value)
    }

    /// A family with one sample for each value of a label.
    #[inline]
    fn labelled<L: Display, V: Display>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        self.family(name, kind, help)?;
        for (label_value, value) in samples {
            write!(self.f, "{name}{{{label}=\"")?;
            write!(Escaped(self.f), "{label_value}")?;
            writeln!(self.f, "\"}} {value}")?;
        }
        Ok(())
    }

    #[inline]
    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        self.family(name, Kind::Histogram, help)?;
        for (bound, count) in histogram.octaves() {
            if bound == Duration::MAX {
                writeln!(self.f, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
            } else {
                let bound = bound.as_secs_f64();
                writeln!(self.f, "{name}_bucket{{le=\"{bound}\"}} {count}")?;
            }
        }
        writeln!(self.f, "{name}_sum {}", histogram.sum().as_secs_f64())?;
        writeln!(self.f, "{name}_count {}", histogram.count())
    }
}

/// Escapes what is written as the value of a label.
struct Escaped<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaped<'_, '_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match char {
                '\\' => self.0.write_str("\\\\")?,
                '"' => self.0.write_str("\\\"")?,
                '\n' => self.0.write_str("\\n")?,
                other => self.0.write_char(other)?,
            }
        }
        Ok(())
    }
}

impl Display for Text<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics = self.0;
        let to = &mut Writer { f };
        workers(to, metrics)?;
        tasks(to, metrics)?;
        rescue(to, metrics)?;
        reactor(to, metrics)?;
        timers(to, metrics)?;
        blocking(to, metrics)
    }
}

#[inline]
fn workers(to: &mut Writer<'_, '_>, metrics: &RuntimeMetrics) -> fmt::Result {
    to.gauge(
        "runtime_workers",
        "Workers that the runtime was made with.",
        metrics.num_workers(),
    )?;
    to.gauge(
        "runtime_is_crowded",
        "1 while hardly a core is unused and the workers wait for them, so that events of one batch are left to one worker.",
        usize::from(metrics.is_crowded()),
    )?;
    let states = [
        WorkerState::Absent,
        WorkerState::Parked,
        WorkerState::Awake,
        WorkerState::Stuck,
    ];
    let in_state = |state| {
        let workers = metrics.workers().iter();
        workers.filter(|worker| worker.state() == state).count()
    };
    to.labelled(
        "runtime_worker_states",
        Kind::Gauge,
        "Workers, guests and spares that there have been, by what they are doing.",
        "state",
        states.map(|state| (state, in_state(state))),
    )?;
    /// The name of a metric, its help, and its value.
    type Column<V> = (&'static str, &'static str, fn(&WorkerMetrics) -> V);
    let counters: [Column<u64>; 8] = [
        (
            "runtime_worker_polls_total",
            "Polls that the worker has begun.",
            WorkerMetrics::polls,
        ),
        (
            "runtime_worker_parks_total",
            "Times the worker went to sleep.",
            WorkerMetrics::parks,
        ),
        (
            "runtime_worker_steals_total",
            "Batches of tasks that the worker took from another's queue.",
            WorkerMetrics::steals,
        ),
        (
            "runtime_worker_stolen_tasks_total",
            "Tasks in these batches.",
            WorkerMetrics::stolen_tasks,
        ),
        (
            "runtime_worker_lifo_hits_total",
            "Tasks that the worker ran from its LIFO slot.",
            WorkerMetrics::lifo_hits,
        ),
        (
            "runtime_worker_lifo_steals_total",
            "Tasks that the worker took out of others' LIFO slots.",
            WorkerMetrics::lifo_steals,
        ),
        (
            "runtime_worker_injected_tasks_total",
            "Tasks that the worker took from the injector.",
            WorkerMetrics::injected_tasks,
        ),
        (
            "runtime_worker_driver_looks_total",
            "Times the worker looked for I/O and timers without sleeping.",
            WorkerMetrics::driver_looks,
        ),
    ];
    let names = || metrics.workers().iter().map(WorkerMetrics::name);
    for (name, help, get) in counters {
        let values = metrics.workers().iter().map(get);
        to.labelled(name, Kind::Counter, help, "worker", names().zip(values))?;
    }
    let busy = |worker: &WorkerMetrics| worker.busy().as_secs_f64();
    to.labelled(
        "runtime_worker_busy_seconds_total",
        Kind::Counter,
        "Time the worker was awake.",
        "worker",
        names().zip(metrics.workers().iter().map(busy)),
    )?;
    to.labelled(
        "runtime_worker_queue_depth",
        Kind::Gauge,
        "Tasks that wait in the worker's queue.",
        "worker",
        names().zip(metrics.workers().iter().map(WorkerMetrics::queue_depth)),
    )
}

#[inline]
fn tasks(to: &mut Writer<'_, '_>, metrics: &RuntimeMetrics) -> fmt::Result {
    let tasks = metrics.tasks();
    to.gauge(
        "runtime_injector_depth",
        "Tasks that wait in the queue for all workers.",
        metrics.global_queue_depth(),
    )?;
    to.gauge(
        "runtime_tasks_live",
        "Tasks that have not ended.",
        tasks.live(),
    )?;
    to.counter(
        "runtime_tasks_spawned_total",
        "Tasks that were spawned.",
        tasks.spawned(),
    )?;
    to.counter(
        "runtime_tasks_finished_total",
        "Tasks that have ended, in whatever way.",
        tasks.finished(),
    )?;
    to.counter(
        "runtime_tasks_panicked_total",
        "Tasks that ended by a panic.",
        tasks.panicked(),
    )?;
    to.counter(
        "runtime_tasks_aborted_total",
        "Tasks that were aborted.",
        tasks.aborted(),
    )?;
    to.gauge(
        "runtime_sample_interval",
        "Polls of which one is timed, for the two histograms that follow.",
        tasks.sample_interval() as usize,
    )?;
    to.histogram(
        "runtime_poll_seconds",
        "How long polls took; a sample.",
        tasks.poll_time(),
    )?;
    to.histogram(
        "runtime_schedule_latency_seconds",
        "How long tasks that were woken waited to be polled; a sample.",
        tasks.schedule_latency(),
    )
}

#[inline]
fn rescue(to: &mut Writer<'_, '_>, metrics: &RuntimeMetrics) -> fmt::Result {
    let rescue = metrics.rescue();
    to.counter(
        "runtime_slow_polls_total",
        "Polls that lasted as long as one that is reported.",
        rescue.slow_polls(),
    )?;
    to.counter(
        "runtime_slow_polls_unreported_total",
        "Slow polls that were not reported, to keep the rate of reports.",
        rescue.unreported(),
    )?;
    to.counter(
        "runtime_rescues_total",
        "Times a worker was found stuck in a poll.",
        rescue.rescues(),
    )?;
    to.gauge(
        "runtime_stuck_workers",
        "Workers that are stuck in a poll and have been replaced.",
        rescue.stuck_workers(),
    )?;
    to.counter(
        "runtime_spares_started_total",
        "Threads that were started to stand in for a worker.",
        rescue.spares_started(),
    )?;
    to.gauge(
        "runtime_spares_active",
        "Spare threads that stand in for a worker.",
        rescue.active_spares(),
    )?;
    to.counter(
        "runtime_lane_marks_total",
        "Tasks that were sent to the hog lane.",
        rescue.lane_marks(),
    )?;
    to.counter(
        "runtime_lane_returns_total",
        "Tasks that came back from the hog lane.",
        rescue.lane_returns(),
    )?;
    to.counter(
        "runtime_lane_polls_total",
        "Polls in the hog lane.",
        rescue.lane_polls(),
    )?;
    to.gauge(
        "runtime_lane_threads",
        "Threads of the hog lane.",
        rescue.lane_threads(),
    )?;
    to.gauge(
        "runtime_lane_depth",
        "Tasks that wait in the hog lane.",
        rescue.lane_depth(),
    )
}

#[inline]
fn reactor(to: &mut Writer<'_, '_>, metrics: &RuntimeMetrics) -> fmt::Result {
    let reactor = metrics.reactor();
    to.labelled(
        "runtime_reactor_turns_total",
        Kind::Counter,
        "Times somebody asked the system for I/O events, by who did.",
        "by",
        [
            ("worker", reactor.turns_by_workers()),
            ("reactor thread", reactor.turns_by_reactor_thread()),
        ],
    )?;
    to.counter(
        "runtime_reactor_events_total",
        "I/O events that the system has reported.",
        reactor.events(),
    )?;
    to.counter(
        "runtime_reactor_interrupts_total",
        "Times a wait for I/O was cut short, because there was other work.",
        reactor.interrupts(),
    )?;
    to.counter(
        "runtime_reactor_registrations_total",
        "Descriptors that were registered for I/O.",
        reactor.registrations(),
    )?;
    to.gauge(
        "runtime_reactor_sources",
        "Descriptors that are registered for I/O.",
        reactor.sources(),
    )
}

#[inline]
fn timers(to: &mut Writer<'_, '_>, metrics: &RuntimeMetrics) -> fmt::Result {
    let timers = metrics.timers();
    to.counter(
        "runtime_timers_registered_total",
        "Timers that were registered.",
        timers.registered(),
    )?;
    to.counter(
        "runtime_timers_fired_total",
        "Timers that have fired.",
        timers.fired(),
    )?;
    to.counter(
        "runtime_timers_cancelled_total",
        "Timers that were taken back before they fired.",
        timers.cancelled(),
    )?;
    to.gauge(
        "runtime_timers_pending",
        "Timers that wait for their deadline.",
        timers.pending(),
    )?;
    to.histogram(
        "runtime_timer_lateness_seconds",
        "How long after their deadlines timers fired.",
        timers.lateness(),
    )
}

#[inline]
fn blocking(to: &mut Writer<'_, '_>, metrics: &RuntimeMetrics) -> fmt::Result {
    let blocking = metrics.blocking();
    to.gauge(
        "runtime_blocking_threads",
        "Threads of the pool for blocking work.",
        blocking.threads(),
    )?;
    to.gauge(
        "runtime_blocking_threads_max",
        "The most threads that the pool may have.",
        blocking.max_threads(),
    )?;
    to.gauge(
        "runtime_blocking_idle_threads",
        "Threads of the pool that wait for a job.",
        blocking.idle_threads(),
    )?;
    to.gauge(
        "runtime_blocking_queue_depth",
        "Jobs that wait for a thread of the pool.",
        blocking.queue_depth(),
    )?;
    to.counter(
        "runtime_blocking_threads_started_total",
        "Threads of the pool that were started.",
        blocking.threads_started(),
    )?;
    to.counter(
        "runtime_blocking_threads_refused_total",
        "Threads of the pool that the system refused to start.",
        blocking.threads_refused(),
    )?;
    to.counter(
        "runtime_blocking_jobs_total",
        "Jobs that were given to the pool.",
        blocking.jobs(),
    )?;
    to.counter(
        "runtime_blocking_jobs_finished_total",
        "Jobs that are over, run or cancelled.",
        blocking.jobs_finished(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A family with a difficult label.
    struct Difficult;

    impl Display for Difficult {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let samples = [("plain", 1), ("\"a\\b\nc\"", 2)];
            Writer { f }.labelled("x", Kind::Gauge, "Help.", "l", samples)
        }
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(
            Difficult.to_string(),
            "# HELP x Help.\n# TYPE x gauge\nx{l=\"plain\"} 1\nx{l=\"\\\"a\\\\b\\nc\\\"\"} 2\n"
        );
    }
}
