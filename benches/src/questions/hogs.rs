//! Does I/O go on beside tasks that compute too long?
//!
//! `echo_beside_hogs`: four tasks compute for 5 ms in each poll, on two workers, for ever. One
//! client, in a process of its own, asks for an echo of 64 bytes, thinks for 3 ms on average, and
//! asks again.
//!
//! Read: how long an echo takes, median and 99th percentile, in microseconds; lower is better. A
//! runtime that only looks at sockets when a worker is free, or after so many polls, needs hundreds
//! of milliseconds.

use std::time::Duration;

use super::wake::SelfWake;
use super::{Goal, Question, metric, tcp};
use crate::Rt;
use crate::client::{Client, Load};
use crate::work;

/// How long each poll of a hog computes.
const POLL: Duration = Duration::from_millis(5);

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![Question::own(
        "echo_beside_hogs",
        [
            metric("echo_beside_hogs_p50", "µs", Goal::AtMost(3000.0)),
            metric("echo_beside_hogs_p99", "µs", Goal::AtMost(20_000.0)),
        ],
        |rt, effort| {
            work::calibrate();
            let address = tcp::serve(rt);
            for _ in 0..4 {
                drop(rt.spawn_on(async {
                    loop {
                        work::compute(POLL);
                        SelfWake::default().await;
                    }
                }));
            }
            let load = Load::Thinking {
                warm_up: effort.pick(Duration::from_millis(300), Duration::from_millis(20)),
                time: effort.pick(Duration::from_millis(2000), Duration::from_millis(100)),
            };
            let done = Client::start(address, load).expect("done");
            assert!(done[0] > 0.0, "no request was answered");
            vec![done[1], done[2]]
        },
    )]
}
