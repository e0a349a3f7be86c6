//! Question: what does the future inside `block_on` pay?
//!
//! Method: the workloads of `benches/src/questions/root.rs`, on each contestant with two workers.
//!
//! Read: `thrpt` is round trips or tasks per second. Criterion compares a run with the one before;
//! for the ratio between the contestants use `cargo bench --bench ratios -- root`.

mod contestants;
mod harness;

use contestants::{Nio, Ours, Smol, Tokio};
use criterion::Criterion;
use runtime_benches::Rt;
use runtime_benches::questions::root;

fn bench<R: Rt>(criterion: &mut Criterion) {
    let rt = R::start(2);
    harness::measure::<R>(criterion, "root_round_trip", 1000, || {
        root::round_trip(&rt, 1000)
    });
    harness::measure::<R>(criterion, "root_spawn", 1000, || {
        root::spawn_and_await(&rt, 1000)
    });
    harness::measure::<R>(criterion, "root_echo", 1000, || {
        root::echo(&rt, 1000).iter().sum()
    });
    harness::measure::<R>(criterion, "root_client", 1000, || {
        root::client(&rt, 1000).iter().sum()
    });
    let requests = root::THREADS * 250;
    harness::measure::<R>(criterion, "root_threads", requests, || {
        root::threads(&rt, 250)
    });
}

fn main() {
    harness::run([bench::<Ours>, bench::<Tokio>, bench::<Smol>, bench::<Nio>]);
}
