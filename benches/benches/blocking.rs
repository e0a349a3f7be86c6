//! Question: what does a blocking job cost?
//!
//! Method: the workloads of `benches/src/questions/blocking.rs`, on each contestant with two workers.
//!
//! Read: `thrpt` is jobs per second. Criterion compares a run with the one before; for the ratio
//! between the contestants use `cargo bench --bench ratios -- blocking`.

mod contestants;
mod harness;

use contestants::{Nio, Ours, Smol, Tokio};
use criterion::Criterion;
use runtime_benches::Rt;
use runtime_benches::questions::blocking;

fn bench<R: Rt>(criterion: &mut Criterion) {
    let rt = R::start(2);
    harness::measure::<R>(criterion, "blocking_serial", 1000, || {
        blocking::serial(&rt, 1000)
    });
    harness::measure::<R>(criterion, "blocking_burst", 10_000, || {
        blocking::burst(&rt, 10_000)
    });
}

fn main() {
    harness::run([bench::<Ours>, bench::<Tokio>, bench::<Smol>, bench::<Nio>]);
}
