//! Question: what does a timeout cost that never comes?
//!
//! Method: the workloads of `benches/src/questions/timers.rs`, on each contestant with two workers.
//!
//! Read: `thrpt` is sleeps per second and task. Criterion compares a run with the one before; for
//! the ratio between the contestants use `cargo bench --bench ratios -- timer`.

mod contestants;
mod harness;

use contestants::{Nio, Ours, Smol, Tokio};
use criterion::Criterion;
use runtime_benches::Rt;
use runtime_benches::questions::timers;

fn bench<R: Rt>(criterion: &mut Criterion) {
    let rt = R::start(2);
    for tasks in [1, 2] {
        let name = format!("timer_dropped_{tasks}");
        harness::measure::<R>(criterion, &name, 10_000, || {
            timers::dropped(&rt, tasks, 10_000)
        });
        let name = format!("timer_pending_{tasks}");
        harness::measure::<R>(criterion, &name, 10_000, || {
            timers::pending(&rt, tasks, 10_000)
        });
    }
}

fn main() {
    harness::run([bench::<Ours>, bench::<Tokio>, bench::<Smol>, bench::<Nio>]);
}
