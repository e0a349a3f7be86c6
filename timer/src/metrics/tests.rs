use super::*;

#[test]
fn each_lateness_is_in_the_bucket_that_its_bounds_say() {
    for late in (0..70).chain((7..63).flat_map(|log| [(1 << log) - 1, 1 << log, (1 << log) + 1])) {
        let mut lateness = Lateness::default();
        lateness.record(Ticks(100), Ticks(100 + late));
        let buckets = lateness.buckets();
        let held = buckets.iter().position(|&(_, count)| count == 1);
        let fits = |&(bound, _): &(Duration, u64)| Ticks(late + 1).duration() <= bound;
        assert_eq!(held, buckets.iter().position(fits), "{late} ticks late");
        assert_eq!((lateness.sum, lateness.max), (late + 1, late + 1));
    }
}

#[test]
fn shards_are_added_up() {
    let (mut one, mut other) = (Lateness::default(), Lateness::default());
    one.record(Ticks(5), Ticks(5));
    other.record(Ticks(5), Ticks(5));
    other.record(Ticks(5), Ticks(1_000_000));
    // Found by a thread that read the clock before the one which moved the wheel.
    other.record(Ticks(6), Ticks(5));
    one.add(&other);
    assert_eq!((one.count(), one.max), (4, 999_996));
    assert_eq!(one.sum, 3 + 999_996);
    let buckets = one.buckets();
    assert_eq!(buckets[0], (Duration::from_nanos(15_625), 3));
    assert_eq!(buckets[14], (Duration::from_millis(256), 0));
    assert_eq!(buckets[15], (Duration::MAX, 1));
}
