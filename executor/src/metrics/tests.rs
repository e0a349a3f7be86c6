use super::*;

/// The bucket of a number of nanoseconds, found the slow way.
fn bucket_by_search(nanos: u64) -> usize {
    (0..BUCKETS)
        .find(|&bucket| Duration::from_nanos(nanos) <= upper_bound(bucket))
        .expect("the last bucket has no bound")
}

#[test]
fn bounds_ascend_and_are_an_eighth_apart() {
    assert_eq!(upper_bound(0), Duration::from_nanos(64));
    assert_eq!(upper_bound(BUCKETS - 2), Duration::from_nanos(1 << 36));
    assert_eq!(upper_bound(BUCKETS - 1), Duration::MAX);
    for bucket in 1..BUCKETS - 1 {
        let (lower, upper) = (upper_bound(bucket - 1), upper_bound(bucket));
        assert!(lower < upper, "bucket {bucket}");
        assert!(upper - lower <= lower / 8, "bucket {bucket}");
    }
}

#[test]
fn every_duration_is_in_the_bucket_that_its_bounds_say() {
    for nanos in 0..3000 {
        assert_eq!(bucket_of(nanos), bucket_by_search(nanos), "{nanos} ns");
    }
    for octave in 0..64 {
        for offset in [-3, -2, -1, 0, 1, 2, 3] {
            let nanos = (1_u64 << octave).saturating_add_signed(offset);
            assert_eq!(bucket_of(nanos), bucket_by_search(nanos), "{nanos} ns");
        }
    }
    for bucket in 0..BUCKETS - 1 {
        let nanos = upper_bound(bucket).as_nanos() as u64;
        assert_eq!(bucket_of(nanos), bucket);
        assert_eq!(bucket_of(nanos + 1), bucket + 1);
    }
    assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
}

#[test]
fn what_is_recorded_is_in_the_snapshot() {
    let histogram = Histogram::new();
    let durations = [0, 64, 65, 1000, 1000, 1 << 36, (1 << 36) + 1].map(Duration::from_nanos);
    durations.iter().for_each(|&one| histogram.record(one));
    let snapshot = histogram.snapshot();
    assert_eq!(snapshot.sum, durations.iter().sum());
    let filled: Vec<_> = snapshot
        .buckets
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .collect();
    let nanos = Duration::from_nanos;
    assert_eq!(
        filled,
        [
            (nanos(64), 2),
            (nanos(72), 1),
            (nanos(1024), 2),
            (nanos(1 << 36), 1),
            (Duration::MAX, 1)
        ]
    );
}

#[test]
fn a_duration_beyond_all_bounds_is_counted() {
    let histogram = Histogram::new();
    histogram.record(Duration::MAX);
    assert_eq!(
        histogram.snapshot().buckets.last(),
        Some(&(Duration::MAX, 1))
    );
}

#[test]
fn counters_are_copied_to_their_own_fields() {
    let counters = SlotCounters::default();
    bump(&counters.busy_nanos, 1_000);
    bump(&counters.busy_nanos, 500);
    bump(&counters.parks, 2);
    bump(&counters.steals, 3);
    bump(&counters.stolen, 4);
    bump(&counters.lifo_hits, 5);
    bump(&counters.lifo_steals, 6);
    bump(&counters.injected, 7);
    bump(&counters.looks, 8);
    let copy = counters.snapshot("worker 0".into(), WorkerState::Parked, 9, 10);
    assert_eq!(copy.busy, Duration::from_nanos(1_500));
    let counts = [
        copy.parks,
        copy.steals,
        copy.stolen,
        copy.lifo_hits,
        copy.lifo_steals,
        copy.injected,
        copy.looks,
        copy.polls,
        copy.depth as u64,
    ];
    assert_eq!(counts, [2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(
        (copy.name.as_str(), copy.state),
        ("worker 0", WorkerState::Parked)
    );
}
