//! Does an idle process ever wake up?
//!
//! `idle_switches`: a process spawns tasks, sleeps, echoes and runs blocking jobs; then a listener
//! and an open connection wait, a task sleeps for an hour, a thread sits in `block_on`. After 15 s
//! of quiet (`--quiet` changes that) another process counts the context switches of all its
//! threads, voluntary and involuntary, within 5 s.
//!
//! Read: switches; the only good figure is 0, so one round is enough.

use std::time::Duration;

use super::{Effort, Goal, Question, metric, spawn, tcp, timers};
use crate::client::Client;
use crate::rt::{Rt, in_task};

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![Question {
        rounds_at_most: 1,
        ..Question::own(
            "idle_switches",
            [metric(
                "idle_switches",
                "switches in 5 s",
                Goal::AtMost(0.0),
            )],
            measure,
        )
    }]
}

fn measure<R: Rt>(rt: &R, effort: Effort) -> Vec<f64> {
    spawn::inside(rt, 1000);
    timers::pending(rt, 2, 100);
    tcp::ping_pong(rt, 100);
    in_task(rt, async {
        let job = R::spawn_blocking(|| 1);
        assert_eq!(job.await.expect("the job does not panic"), 1);
    });
    let address = tcp::serve(rt, 1024);
    let connection = std::net::TcpStream::connect(address).expect("the server listens");
    drop(rt.spawn_io_on(async { R::sleep(Duration::from_secs(3600)).await }));
    let root = rt.clone();
    std::thread::spawn(move || root.block_on(std::future::pending::<()>()));
    let (quiet, window) = match effort {
        Effort::Full { quiet } => (quiet, Duration::from_secs(5)),
        Effort::Smoke => (Duration::from_millis(50), Duration::from_millis(50)),
    };
    // This thread waits on a pipe meanwhile.
    let switches = Client::observe(quiet, window).expect("done");
    drop(connection);
    switches
}
