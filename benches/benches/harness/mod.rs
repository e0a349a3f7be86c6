//! How Criterion is set up in every micro benchmark here.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use runtime_benches::Rt;

/// Runs the benches of all contestants, each short enough for a whole `cargo bench` within minutes.
pub(crate) fn run(benches: [fn(&mut Criterion); 4]) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
        .configure_from_args();
    for bench in benches {
        bench(&mut criterion);
    }
    criterion.final_summary();
}

/// Benches `workload`, which says itself how long it took for `elements` operations.
pub(crate) fn measure<R: Rt>(
    criterion: &mut Criterion,
    name: &str,
    elements: usize,
    mut workload: impl FnMut() -> Duration,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(elements as u64));
    group.bench_function(R::NAME, |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| workload()).sum());
    });
    group.finish();
}
