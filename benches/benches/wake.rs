//! Question: what does it cost to make a task run again?
//!
//! Method: the workloads of `benches/src/questions/wake.rs`, on each contestant with two workers.
//!
//! Read: `thrpt` is wakes or round trips per second. Criterion compares a run with the one before;
//! for the ratio between the contestants use `cargo bench --bench ratios -- ping yield_storm
//! remote_wake`.

mod contestants;
mod harness;

use contestants::{Nio, Ours, Smol, Tokio};
use criterion::Criterion;
use runtime_benches::Rt;
use runtime_benches::questions::wake;

fn bench<R: Rt>(criterion: &mut Criterion) {
    let rt = R::start(2);
    harness::measure::<R>(criterion, "ping_pairs", 1000, || {
        wake::ping_pairs(&rt, 1000)
    });
    harness::measure::<R>(criterion, "ping_pair", 1000, || wake::ping_pair(&rt, 1000));
    harness::measure::<R>(criterion, "ping_100_pairs", wake::PAIRS * 100, || {
        wake::ping_100_pairs(&rt, 100)
    });
    harness::measure::<R>(criterion, "yield_storm", 1000 * wake::YIELDS, || {
        wake::yield_storm(&rt, 1000)
    });
    harness::measure::<R>(criterion, "remote_wake", 10_000, || {
        wake::remote_wake(&rt, 10_000)
    });
}

fn main() {
    harness::run([bench::<Ours>, bench::<Tokio>, bench::<Smol>, bench::<Nio>]);
}
