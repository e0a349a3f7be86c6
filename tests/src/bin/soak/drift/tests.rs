use super::*;
use crate::site::Random;

/// An hour of samples: each quantity is 100 with noise, plus what `add` says of the second.
fn samples(seconds: usize, add: impl Fn(usize) -> f64) -> Vec<Sample> {
    let mut random = Random::new(1);
    (0..seconds)
        .map(|second| {
            let mut sample = [0.0; QUANTITIES];
            for value in &mut sample {
                *value = 90.0 + 20.0 * random.unit() + add(second);
                // A burst, now and then.
                if random.below(50) == 0 {
                    *value *= 10.0;
                }
            }
            sample
        })
        .collect()
}

#[test]
fn noise_and_bursts_are_no_drift() {
    let drift = Drift::of(&samples(3600, |_| 0.0));
    assert_eq!(drift.found(), Vec::<String>::new(), "{drift}");
}

#[test]
fn a_slow_leak_is_found() {
    // 0.005 a second: 12 between the middles of the first quarter and the last.
    let drift = Drift::of(&samples(3600, |second| second as f64 * 0.005));
    let found = drift.found();
    assert_eq!(found.len(), 6, "memory and counts: {drift}");
    assert!(found[0].starts_with("resident memory, MiB went from"));
    assert!(drift.to_string().contains("DRIFTS"));
}

#[test]
fn what_becomes_three_times_as_slow_is_found() {
    let drift = Drift::of(&samples(3600, |second| second as f64 / 12.0));
    let judged = RULES.iter().filter(|rule| rule.factor.is_finite()).count();
    assert_eq!(drift.found().len(), judged, "{drift}");
}

#[test]
fn what_was_not_measured_counts_as_drift() {
    let mut samples = samples(3600, |_| 0.0);
    for sample in &mut samples[2700..] {
        sample[Quantity::EchoMedianRatio as usize] = f64::NAN;
    }
    assert_eq!(Drift::of(&samples).found().len(), 1);
}

#[test]
fn a_few_seconds_are_too_short_to_say() {
    let drift = Drift::of(&samples(10, |second| second as f64));
    assert_eq!(drift.found(), Vec::<String>::new());
    assert!(drift.to_string().contains("too short to say"));
    assert_eq!(Drift::of(&[]).found(), Vec::<String>::new());
}

#[test]
fn each_quantity_has_its_rule() {
    for (number, rule) in RULES.iter().enumerate() {
        assert_eq!(rule.quantity as usize, number, "{}", rule.name);
    }
}
