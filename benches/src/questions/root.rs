//! What does the future inside `block_on` pay?
//!
//! - `root_round_trip`: the root future and a task send each other 2,000 messages.
//! - `root_spawn`: the root future spawns an empty task and awaits it, 1,000 times.
//! - `root_echo`: the client of a TCP echo is the root future, the server is a task. Median.
//!
//! Read: lower is better. Where the thread inside `block_on` only sleeps and wakes, each round trip
//! costs two hand-overs between threads, ten microseconds and more.

use std::time::{Duration, Instant};

use super::{Goal, Question, metric, tcp, wake};
use crate::Rt;
use crate::stats::{all_micros, median, median_ns};

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::shared(
            "root_round_trip",
            [metric("root_round_trip", "ns", Goal::RatioAtMost(0.05))],
            |rt, effort| {
                let trips = effort.pick(2000, 20);
                vec![median_ns(effort.pick(11, 1), || round_trip(rt, trips)) / trips as f64]
            },
        ),
        Question::shared(
            "root_spawn",
            [metric("root_spawn", "ns", Goal::Watched)],
            |rt, effort| {
                let tasks = effort.pick(1000, 20);
                vec![median_ns(effort.pick(11, 1), || spawn_and_await(rt, tasks)) / tasks as f64]
            },
        ),
        Question::shared(
            "root_echo",
            [metric("root_echo", "µs p50", Goal::RatioAtMost(1.0))],
            |rt, effort| {
                let trips = effort.pick(10_000, 20);
                vec![median(&mut all_micros(echo(rt, trips)))]
            },
        ),
    ]
}

/// Messages between the root future and a task.
pub fn round_trip<R: Rt>(rt: &R, trips: usize) -> Duration {
    rt.block_on(wake::round_trips::<R>(trips))
}

/// Spawns tasks from the root future and awaits each one.
pub fn spawn_and_await<R: Rt>(rt: &R, tasks: usize) -> Duration {
    rt.block_on(async {
        let start = Instant::now();
        for index in 0..tasks {
            let output = R::spawn(async move { index }).await;
            assert_eq!(output.expect("the task does not panic"), index);
        }
        start.elapsed()
    })
}

/// TCP round trips of the root future with a task; returns the time of each one.
pub fn echo<R: Rt>(rt: &R, trips: usize) -> Vec<Duration> {
    rt.block_on(tcp::round_trips::<R>(trips))
}
