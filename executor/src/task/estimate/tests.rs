//! What the counter promises: exact, unbiased, and an end.

use super::super::tests::Random;
use super::*;

#[test]
fn registers_stand_for_growing_numbers() {
    assert_eq!((value(0), value(1)), (0, 1));
    assert!((0..u16::MAX).all(|register| value(register) < value(register + 1)));
    assert_eq!(value(u16::MAX), (4095 << 31) - 2048);
}

#[test]
fn numbers_that_a_register_stands_for_are_exact_whatever_the_dice() {
    for register in 0..=u16::MAX {
        for random in [0, u32::MAX] {
            assert_eq!(add(0, value(register), random), register);
            assert_eq!(add(register, 0, random), register);
        }
    }
}

#[test]
fn small_counts_are_exact() {
    let estimate = Estimate::new();
    for count in 0..2048 {
        assert_eq!(estimate.get(), count);
        estimate.add(1, 0);
    }
}

#[test]
fn it_stays_at_its_end() {
    let estimate = Estimate::new();
    for amount in [u64::MAX, 1, u64::MAX] {
        for random in [0, u32::MAX] {
            estimate.add(amount, random);
            assert_eq!(estimate.get(), value(u16::MAX));
        }
    }
    assert_eq!(add(u16::MAX - 1, (1 << 31) + 1, 0), u16::MAX);
    assert_eq!(add(u16::MAX, (1 << 31) - 1, 0), u16::MAX);
}

#[test]
fn a_sum_between_two_registers_goes_up_as_often_as_it_should() {
    // Every value of the dice that matters, so that the expected value is computed rather than sampled.
    for (register, amount) in [
        (2047, 2),
        (5000, 1),
        (5000, 7),
        (0, 123_457),
        (12_345, 54_321),
    ] {
        let exact = value(register) + amount;
        let exponent = (exact + ONE).ilog2() - MANTISSA;
        let sum: u64 = (0..1 << exponent)
            .map(|random| value(add(register, amount, random)))
            .sum();
        assert_eq!(sum, exact << exponent, "{register} + {amount}");
    }
}

#[test]
fn large_counts_are_right_on_average() {
    let (runs, ones) = if cfg!(miri) {
        (2, 3_000)
    } else {
        (20, 200_000)
    };
    let mut random = Random::new(0x9E37_79B9_7F4A_7C15);
    let mut sum = 0;
    for _ in 0..runs {
        let estimate = Estimate::new();
        for _ in 0..ones {
            estimate.add(1, random.next());
        }
        let error = estimate.get() as f64 / f64::from(ones) - 1.0;
        assert!(error.abs() < 0.08, "six standard deviations: {error}");
        sum += estimate.get();
    }
    let mean = sum as f64 / f64::from(runs) / f64::from(ones);
    assert!((mean - 1.0).abs() < 0.02, "{mean}");
}

#[test]
fn mixed_amounts_are_right_on_average() {
    let (runs, times) = if cfg!(miri) {
        (2, 1_000)
    } else {
        (20, 100_000)
    };
    let mut random = Random::new(0x0123_4567_89AB_CDEF);
    let (mut estimated, mut exact) = (0, 0);
    for _ in 0..runs {
        let estimate = Estimate::new();
        for _ in 0..times {
            // From 0 to about a minute in microseconds, small ones far more often.
            let amount = u64::from(random.next()) >> (6 + random.next() % 26);
            estimate.add(amount, random.next());
            exact += amount;
        }
        estimated += estimate.get();
    }
    let ratio = estimated as f64 / exact as f64;
    assert!((ratio - 1.0).abs() < 0.02, "{ratio}");
}
