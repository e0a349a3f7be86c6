//! What the four bytes promise: ages to a unit where both clocks agree, over the wrap, and zero for what is not there.

use super::*;

/// A task born so many milliseconds after the start of all.
fn born(millis: u64) -> Born {
    Born(AtomicU32::new(units(Duration::from_millis(millis))))
}

/// The age at so many milliseconds after the start of all.
fn age(born: &Born, millis: u64) -> Option<u128> {
    let age = born.age(*START + Duration::from_millis(millis))?;
    Some(age.as_millis())
}

#[test]
fn what_was_not_polled_has_no_age() {
    assert_eq!(age(&Born::new(), 1_000_000), None);
    assert_eq!(Born::new().age(Instant::now()), None);
}

#[test]
fn ages_are_right_to_a_unit() {
    for at in [0, 5, 16, 1_000_000, 123_456_789] {
        let born = born(at);
        for later in [0, 1, 15, 16, 17, 31, 1000, 86_400_000] {
            let age = age(&born, at + later).expect("born") as u64;
            assert!(age.abs_diff(later) <= UNIT, "{at} {later} {age}");
        }
    }
}

#[test]
fn a_look_from_before_the_birth_says_zero() {
    for skew in [1, 16, 17, 60_000, 1_000_000] {
        assert_eq!(age(&born(2_000_000), 2_000_000 - skew), Some(0));
    }
}

#[test]
fn the_number_wraps_and_is_never_zero() {
    let wrap = UNIT << 32;
    for at in (wrap - 5 * UNIT..wrap + 5 * UNIT).step_by(16) {
        let born = born(at);
        assert_ne!(born.0.load(Relaxed), 0);
        let age = age(&born, at + 60_000).expect("born") as u64;
        assert!(age.abs_diff(60_000) <= UNIT, "{at} {age}");
    }
}

#[test]
fn the_clock_is_read_when_it_is_set() {
    let born = Born::new();
    let before = Instant::now();
    born.set();
    let after = Instant::now();
    let age = born.age(after).expect("born");
    assert!(age <= after - before + Duration::from_millis(2 * UNIT));
}

#[test]
fn the_coarse_clock_runs_beside_the_exact_one() {
    // Longer than the tick of any kernel: each look must find both within a unit of one another, however long it takes.
    let (start, end) = (*COARSE_START, Instant::now() + Duration::from_millis(50));
    while Instant::now() < end {
        let before = START.elapsed();
        let coarse = coarse().saturating_sub(start);
        let after = START.elapsed();
        assert!(coarse + Duration::from_millis(UNIT) > before, "too early");
        assert!(coarse <= after + Duration::from_millis(UNIT), "too late");
        std::hint::spin_loop();
    }
}
