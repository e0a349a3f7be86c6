//! Question: how fast do two tasks of one runtime answer each other over TCP?
//!
//! Method: the workloads of `benches/src/questions/tcp.rs`, on each contestant with two workers.
//!
//! Read: `thrpt` is round trips per second. Criterion compares a run with the one before; for the
//! ratio between the contestants use `cargo bench --bench ratios -- tcp_ping_pong`.

mod contestants;
mod harness;

use contestants::{Nio, Ours, Smol, Tokio};
use criterion::Criterion;
use runtime_benches::Rt;
use runtime_benches::questions::tcp;

fn bench<R: Rt>(criterion: &mut Criterion) {
    let rt = R::start(2);
    harness::measure::<R>(criterion, "tcp_ping_pong", 1000, || {
        tcp::ping_pong(&rt, 1000).iter().sum()
    });
}

fn main() {
    harness::run([bench::<Ours>, bench::<Tokio>, bench::<Smol>, bench::<Nio>]);
}
