//! Does the cost of an operation stay the same as there is more of everything?
//!
//! Each series is one operation at several sizes; what is measured is the cost of one operation, so that a flat series means that the
//! whole grows no faster than the work.
//!
//! - `growth_spawn`, `growth_yield`, `growth_wake`: 1000 to 1,000,000 tasks. Spawn and join all of them; each yields, twenty times
//!   or more, without the time that it takes to spawn them; a thread wakes all of them. Nanoseconds.
//! - `growth_pending`, `growth_sleeping`: [bytes](super::memory) for each of 10,000 to 1,000,000 tasks.
//! - `growth_echo`: [echo](super::echo) on 1000 to 9500 connections, requests per second. Two processes with as many descriptors
//!   each, which is what a limit of 10,000 allows.
//! - `growth_workers_…`: 1 to 64 worker threads, on as few cores as there are: spawn and join 10,000 tasks, fork and join a tree of
//!   10,000 leaves, one pair of tasks that answer each other (nanoseconds), `echo_64` (requests per second). More workers than cores
//!   cannot help; they must not hurt either.
//!
//! Read: along a row. Caches explain a factor of about two from 1000 tasks, which fit into them, to a million, which do not; a
//! structure that is searched or rebuilt would show a factor of hundreds.

use super::echo::Case;
use super::tcp::{self, Server};
use super::{Effort, Goal, Question, memory, metric, spawn, wake};
use crate::process;
use crate::rt::Rt;
use crate::stats::median_ns;

/// Tasks.
const TASKS: [usize; 4] = [1000, 10_000, 100_000, 1_000_000];

/// Tasks whose memory is measured.
const KEPT: [usize; 3] = [10_000, 100_000, 1_000_000];

/// Connections.
const CONNECTIONS: [usize; 3] = [1000, 4000, 9500];

/// Worker threads.
const WORKERS: [usize; 5] = [1, 2, 4, 16, 64];

/// Operations of one measurement, at least, however many tasks share them.
const OPERATIONS: usize = 1_000_000;

/// The sizes of one operation.
#[derive(Debug)]
pub struct Series {
    /// What it is called.
    pub name: &'static str,
    /// What a figure is in.
    pub unit: &'static str,
    /// The sizes.
    pub sizes: &'static [usize],
}

/// All series, in the order of the table.
pub const SERIES: [Series; 10] = [
    Series::new("growth_spawn", "ns/task", &TASKS),
    Series::new("growth_yield", "ns/yield", &TASKS),
    Series::new("growth_wake", "ns/task", &TASKS),
    Series::new("growth_pending", "bytes/task", &KEPT),
    Series::new("growth_sleeping", "bytes/task", &KEPT),
    Series::new("growth_echo", "requests/s", &CONNECTIONS),
    Series::new("growth_workers_spawn", "ns/task", &WORKERS),
    Series::new("growth_workers_tree", "ns/leaf", &WORKERS),
    Series::new("growth_workers_ping", "ns/round trip", &WORKERS),
    Series::new("growth_workers_echo", "requests/s", &WORKERS),
];

impl Series {
    const fn new(name: &'static str, unit: &'static str, sizes: &'static [usize]) -> Self {
        Self { name, unit, sizes }
    }

    /// The name of the question at one size.
    pub fn question(&self, size: usize) -> String {
        format!("{}_{size}", self.name)
    }
}

/// The questions of this module; they are no part of the big table.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    let at_each = |series: &'static Series| {
        series.sizes.iter().map(move |&size| {
            let name = series.question(size);
            let metrics = [metric(&name, series.unit, Goal::Watched)];
            let question = Question::own(name, metrics, move |rt: &R, effort: Effort| {
                vec![measure(rt, series.name, size, effort)]
            });
            match series.name.starts_with("growth_workers") {
                true => Question {
                    workers: size,
                    ..question
                },
                false => question,
            }
        })
    };
    SERIES.iter().flat_map(at_each).collect()
}

/// Measures one size of one series.
fn measure<R: Rt>(rt: &R, series: &str, size: usize, effort: Effort) -> f64 {
    // Trying it needs no million.
    let tasks = effort.pick(size, size.min(1000));
    let times = effort.pick((OPERATIONS / tasks).clamp(1, 21), 1);
    match series {
        "growth_spawn" => per_operation(times, tasks, || spawn::inside(rt, tasks)),
        "growth_yield" => {
            let each = (2 * OPERATIONS / tasks).max(20);
            let each = effort.pick(each, 2);
            // Less the same tasks with a single yield, so that spawning them does not count.
            per_operation(effort.pick(3, 1), tasks * each, || {
                let all = wake::yields(rt, tasks, 1 + each);
                all.saturating_sub(wake::yields(rt, tasks, 1))
            })
        }
        "growth_wake" => per_operation(times, tasks, || wake::remote_wake(rt, tasks)),
        "growth_pending" => memory::pending(rt, tasks),
        "growth_sleeping" => memory::sleeping(rt, tasks),
        "growth_echo" => {
            process::raise_descriptors();
            echo(rt, effort.pick(size, 64), effort)
        }
        "growth_workers_spawn" => {
            let tasks = effort.pick(10_000, 100);
            per_operation(21, tasks, || spawn::inside(rt, tasks))
        }
        "growth_workers_tree" => {
            let leaves = effort.pick(10_000, 100);
            per_operation(21, leaves, || spawn::tree(rt, leaves))
        }
        "growth_workers_ping" => {
            let trips = effort.pick(2000, 10);
            per_operation(21, trips, || wake::ping_pair(rt, trips))
        }
        "growth_workers_echo" => echo(rt, 64, effort),
        other => unreachable!("there is no series {other}"),
    }
}

/// Once as warm-up, then the median in nanoseconds for one of `count` operations.
fn per_operation(
    times: usize,
    count: usize,
    mut workload: impl FnMut() -> std::time::Duration,
) -> f64 {
    workload();
    median_ns(times, workload) / count as f64
}

/// Requests per second.
fn echo<R: Rt>(rt: &R, connections: usize, effort: Effort) -> f64 {
    let case = Case::new("", connections, 64, 1.0);
    case.drive(&Server::here(tcp::serve(rt, case.buffer())), effort)[0]
}
