//! Question: what does a task cost, from spawn to join?
//!
//! Method: the workloads of `benches/src/questions/spawn.rs`, on each contestant with two workers.
//!
//! Read: `thrpt` is tasks per second. Criterion compares a run with the one before; for the ratio
//! between the contestants use `cargo bench --bench ratios -- spawn fork_join_tree`.

mod contestants;
mod harness;

use contestants::{Nio, Ours, Smol, Tokio};
use criterion::Criterion;
use runtime_benches::Rt;
use runtime_benches::questions::spawn::{self, Workload};

fn bench<R: Rt>(criterion: &mut Criterion) {
    let rt = R::start(2);
    let workloads: [(&str, Workload<R>, usize); 7] = [
        ("spawn_inside", spawn::inside, 10_000),
        ("spawn_inside_100k", spawn::inside, 100_000),
        ("spawn_outside", spawn::outside, 10_000),
        ("spawn_outside_100k", spawn::outside, 100_000),
        ("spawn_chain", spawn::chain, 1000),
        ("fork_join_tree", spawn::tree, 10_000),
        ("fork_join_tree_100k", spawn::tree, 100_000),
    ];
    for (name, workload, tasks) in workloads {
        harness::measure::<R>(criterion, name, tasks, || workload(&rt, tasks));
    }
}

fn main() {
    harness::run([bench::<Ours>, bench::<Tokio>, bench::<Smol>, bench::<Nio>]);
}
