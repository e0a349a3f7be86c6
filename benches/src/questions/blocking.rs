//! What does a blocking job cost?
//!
//! - `blocking_burst`: a task hands 50,000 empty jobs to the blocking pool, then awaits them.
//! - `blocking_serial`: a task hands over one job and awaits it, 10,000 times.
//!
//! Read: nanoseconds per job, lower is better. The pools keep their default bound of threads, and
//! both live in a fresh process, because their threads would outlast the measurement.

use std::time::{Duration, Instant};

use super::{Goal, Question, metric};
use crate::rt::{Rt, in_task};
use crate::stats::nanos;

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::own(
            "blocking_burst",
            [metric("blocking_burst", "ns/job", Goal::RatioAtMost(0.20))],
            |rt, effort| {
                let jobs = effort.pick(50_000, 100);
                burst(rt, jobs / 10);
                vec![nanos(burst(rt, jobs)) / jobs as f64]
            },
        ),
        Question::own(
            "blocking_serial",
            [metric("blocking_serial", "ns/job", Goal::RatioAtMost(0.75))],
            |rt, effort| {
                let jobs = effort.pick(10_000, 20);
                serial(rt, jobs / 10);
                vec![nanos(serial(rt, jobs)) / jobs as f64]
            },
        ),
    ]
}

/// All jobs at once.
pub fn burst<R: Rt>(rt: &R, jobs: usize) -> Duration {
    in_task(rt, async move {
        let start = Instant::now();
        let handles: Vec<_> = (0..jobs)
            .map(|index| R::spawn_blocking(move || index))
            .collect();
        for (index, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.await.expect("the job does not panic"), index);
        }
        start.elapsed()
    })
}

/// One job after the other.
pub fn serial<R: Rt>(rt: &R, jobs: usize) -> Duration {
    in_task(rt, async move {
        let start = Instant::now();
        for index in 0..jobs {
            let output = R::spawn_blocking(move || index).await;
            assert_eq!(output.expect("the job does not panic"), index);
        }
        start.elapsed()
    })
}
