//! How many small requests does a server answer, at what cost, and how late?
//!
//! A server process echoes; a client process, the same for all, sends the next request of each connection when it has the
//! whole echo. A row is one of these, and each has the throughput, the server's CPU time per request and
//! the time from a request to its echo, p50 and p99, as the client sees it:
//!
//! - `echo_1`, `echo_2`, `echo_64`, `echo_512`: so many connections, 64 bytes there and back.
//! - `echo_64_16k`: 64 connections, 16 KiB there and back.
//! - `echo_pinned`: `echo_64`, with one worker; the server is bound to one CPU and the client to another one.
//!
//! The [floor](crate::floor), a loop over epoll written by hand, answers these questions too.
//!
//! Read: requests per second, higher is better; microseconds, lower is better. Is the client the bottleneck? It makes as many
//! system calls for a request as the server, and on two cores both want both: where the server has two workers, requests per
//! second say what both cost together, and a server that costs a tenth less shows a twentieth more of them. `_cpu` is the
//! server alone. In `echo_pinned` each has a core; `_client` is the share of its core that the client used: near 1 the
//! row measures the client, and only `_cpu` tells servers apart.

use std::time::Duration;

use super::tcp::{self, Server};
use super::{Effort, Goal, Metric, Question, metric};
use crate::client::{Client, Load};
use crate::process;
use crate::rt::Rt;

/// One question: how many connections, what they carry, and where both sides run.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The question's name.
    pub name: &'static str,
    /// How many connections.
    pub connections: usize,
    /// Bytes of a request, and of its echo.
    pub size: usize,
    /// What throughput shall reach, as a ratio.
    at_least: f64,
    /// Whether the server has one worker and both sides have one CPU each.
    pub is_pinned: bool,
}

/// The questions, in the order of the table.
pub const CASES: [Case; 6] = [
    Case::new("echo_1", 1, 64, 1.0),
    Case::new("echo_2", 2, 64, 1.0),
    Case::new("echo_64", 64, 64, 1.1),
    Case::new("echo_512", 512, 64, 1.25),
    Case::new("echo_64_16k", 64, 16 * 1024, 1.08),
    Case {
        is_pinned: true,
        ..Case::new("echo_pinned", 64, 64, 1.15)
    },
];

impl Case {
    /// A case without a place of its own.
    pub const fn new(name: &'static str, connections: usize, size: usize, at_least: f64) -> Self {
        Self {
            name,
            connections,
            size,
            at_least,
            is_pinned: false,
        }
    }

    /// The figures that [`drive`](Self::drive) gives.
    pub fn metrics(&self) -> Vec<Metric> {
        let name = self.name;
        let mut metrics = vec![
            metric(name, "requests/s", Goal::RatioAtLeast(self.at_least)),
            metric(format!("{name}_cpu"), "µs/request", Goal::RatioAtMost(1.0)),
            metric(format!("{name}_p50"), "µs", Goal::Watched),
            metric(format!("{name}_p99"), "µs", Goal::Watched),
        ];
        if self.is_pinned {
            metrics.push(metric(format!("{name}_client"), "of 1 CPU", Goal::Watched));
        }
        metrics
    }

    /// The bytes that a server reads at most at once: more than a request, so that one read shows that there is no more.
    pub fn buffer(&self) -> usize {
        (2 * self.size).max(1024)
    }

    /// Drives a server and returns the values of [`metrics`](Self::metrics).
    ///
    /// # Panics
    ///
    /// If the client fails, and if there is one CPU where two are asked for.
    pub fn drive(&self, server: &Server, effort: Effort) -> Vec<f64> {
        let mut client = Client::start(
            server.address,
            Load::Closed {
                connections: self.connections,
                size: self.size,
                warm_up: effort.pick(Duration::from_millis(200), Duration::from_millis(10)),
                time: effort.pick(Duration::from_millis(1000), Duration::from_millis(20)),
                cpu: self.is_pinned.then(|| place().1),
            },
        );
        client.expect("start");
        let cpu = process::cpu_time_of(server.pid);
        let done = client.expect("done");
        let cpu = (process::cpu_time_of(server.pid) - cpu).as_secs_f64();
        let [requests, seconds, p50, p99, client] = done[..] else {
            panic!("the client says {done:?}");
        };
        assert!(requests > 0.0, "no request was answered");
        let mut values = vec![requests / seconds, cpu * 1e6 / requests, p50, p99];
        if self.is_pinned {
            values.push(client / seconds);
        }
        values
    }
}

/// The CPUs of a pinned server and of its client.
///
/// # Panics
///
/// If the machine has only one.
pub fn place() -> (usize, usize) {
    static PLACE: std::sync::OnceLock<(usize, usize)> = std::sync::OnceLock::new();
    // Asked for once, before the server is bound.
    *PLACE.get_or_init(|| {
        let cpus = process::cpus();
        assert!(
            cpus.len() > 1,
            "a pinned server and its client need two CPUs"
        );
        (cpus[0], cpus[1])
    })
}

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    let question = |case: Case| {
        let question = Question::own(case.name, case.metrics(), move |rt: &R, effort: Effort| {
            case.drive(&Server::here(tcp::serve(rt, case.buffer())), effort)
        });
        match case.is_pinned {
            true => Question {
                workers: 1,
                is_pinned: true,
                ..question
            },
            false => question,
        }
    };
    CASES.into_iter().map(question).collect()
}
