//! How many requests does a server answer beside tasks that keep its workers?
//!
//! - `echo_hogs`: the server of [`echo`](super::echo) with 16 connections of 64 bytes, in a closed loop, while four tasks of the same
//!   runtime spin for 5 ms in each poll and yield. The load starts half a second after the hogs. Requests per second, and the
//!   time from a request to its echo, p50 and p99, as the client sees it.
//! - `echo_chunks`: the same beside four tasks that spin for 200 µs in each poll, as a program does that cuts its work into pieces.
//!
//! Read: requests per second, higher is better; microseconds, lower is better. A scheduler that leaves a worker to whoever holds it
//! answers each connection once in a round of the hogs, 10 ms on two workers; the client's own CPU time is taken from the hogs. What
//! else happens beside hogs, and what they lose by it, is asked by [`hogs`](super::hogs).

use std::time::Duration;

use super::wake::SelfWake;
use super::{Goal, Question, metric, tcp};
use crate::client::{Client, Load};
use crate::rt::Rt;
use crate::work;

/// Tasks that spin.
const HOGS: usize = 4;

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    let goals = [Goal::RatioAtLeast(10.0), Goal::AtMost(2000.0)];
    vec![
        question("echo_hogs", Duration::from_millis(5), goals),
        question(
            "echo_chunks",
            Duration::from_micros(200),
            [Goal::RatioAtLeast(1.0), Goal::Watched],
        ),
    ]
}

/// Requests beside tasks that spin for `poll` at a time; the goals are those of their number and of their p99.
fn question<R: Rt>(name: &'static str, poll: Duration, goals: [Goal; 2]) -> Question<R> {
    let [most, late] = goals;
    let metrics = [
        metric(name, "requests/s", most),
        metric(format!("{name}_p50"), "µs", Goal::Watched),
        metric(format!("{name}_p99"), "µs", late),
    ];
    Question::own(name, metrics, move |rt: &R, effort| {
        work::calibrate();
        let address = tcp::serve(rt, 1024);
        for _ in 0..HOGS {
            drop(rt.spawn_on(hog(poll)));
        }
        let load = Load::Closed {
            connections: 16,
            size: 64,
            warm_up: effort.pick(Duration::from_millis(500), Duration::from_millis(50)),
            time: effort.pick(Duration::from_millis(2000), Duration::from_millis(50)),
            cpu: None,
        };
        let mut client = Client::start(address, load);
        client.expect("start");
        let done = client.expect("done");
        let [requests, seconds, p50, p99, _] = done[..] else {
            panic!("the client says {done:?}");
        };
        vec![requests / seconds, p50, p99]
    })
}

/// Spins, yields, and does it again, for ever.
async fn hog(poll: Duration) {
    loop {
        work::compute(poll);
        SelfWake::default().await;
    }
}
