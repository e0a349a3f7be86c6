//! Question: what does a task cost, from spawn to join?
//!
//! Method: the workloads of `benches/src/questions/spawn.rs`, on each contestant with two workers.
//!
//! Read: `thrpt` is tasks per second. Criterion compares a run with the one before; for the ratio
//! between the contestants use `cargo bench --bench ratios -- spawn fork_join_tree`.

mod contestants;
mod harness;

use std::time::Duration;

use contestants::{Ours, Tokio};
use criterion::Criterion;
use runtime_benches::Rt;
use runtime_benches::questions::spawn;

/// A workload: the runtime, how many tasks, how long it took.
type Workload<R> = fn(&R, usize) -> Duration;

fn bench<R: Rt>(criterion: &mut Criterion) {
    let rt = R::start(2);
    let workloads: [(&str, Workload<R>, usize); 4] = [
        ("spawn_inside", spawn::inside, 10_000),
        ("spawn_outside", spawn::outside, 10_000),
        ("spawn_chain", spawn::chain, 1000),
        ("fork_join_tree", spawn::tree, 10_000),
    ];
    for (name, workload, tasks) in workloads {
        harness::measure::<R>(criterion, name, tasks, || workload(&rt, tasks));
    }
}

fn main() {
    harness::run([bench::<Ours>, bench::<Tokio>]);
}
