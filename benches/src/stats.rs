//! Medians and other quantiles.

use std::time::Duration;

/// Sorts `values` and returns the one at `rank` (0 the smallest, 1 the largest); NaN if there are
/// none.
pub fn quantile(values: &mut [f64], rank: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * rank).round() as usize]
}

/// Sorts `values` and returns the median: the one in the middle, or the mean of the two there; NaN if there are none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

/// Returns an interval that holds the median of what `values` were drawn from, with a probability of at least 95 %; `None`
/// for less than six values.
///
/// It is that of the sign test. Each value lies below that median with the probability 1/2, so how many do is binomial,
/// whatever the distribution of the values; the ends are the k-th smallest and the k-th largest value, where less than k of n lie on
/// one given side with a probability of at most 2.5 %. For 30 values k is 10.
pub fn median_interval(values: &mut [f64]) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    // The probability that exactly `below` of n lie below.
    let mut exactly = 0.5_f64.powi(i32::try_from(n).expect("nobody has that many values"));
    let mut at_most = exactly;
    let mut below = 0;
    while below < n && at_most <= 0.025 {
        exactly *= (n - below) as f64 / (below + 1) as f64;
        below += 1;
        at_most += exactly;
    }
    // `below` is k: at most k - 1 lie below with a probability of 2.5 % or less.
    let first = below.checked_sub(1)?;
    Some((values[first], values[n - 1 - first]))
}

/// Runs `measure` this many times and returns the median in nanoseconds.
pub fn median_ns(times: usize, mut measure: impl FnMut() -> Duration) -> f64 {
    let mut values: Vec<f64> = (0..times).map(|_| nanos(measure())).collect();
    median(&mut values)
}

/// Returns a duration in nanoseconds.
pub fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// Returns a duration in microseconds.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Returns durations in microseconds.
pub fn all_micros(durations: impl IntoIterator<Item = Duration>) -> Vec<f64> {
    durations.into_iter().map(micros).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_unsorted_values() {
        let mut values = [3.0, 1.0, 2.0, 5.0, 4.0];
        assert_eq!(median(&mut values), 3.0);
        assert_eq!(quantile(&mut values, 0.0), 1.0);
        assert_eq!(quantile(&mut values, 1.0), 5.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 9.0]), 3.0);
        assert!(median(&mut []).is_nan());
    }

    #[test]
    fn the_interval_has_the_ranks_of_the_sign_tests_table() {
        let ranks = |count: u32| {
            let mut values: Vec<f64> = (1..=count).rev().map(f64::from).collect();
            median_interval(&mut values)
        };
        assert_eq!(ranks(5), None);
        assert_eq!(ranks(6), Some((1.0, 6.0)));
        assert_eq!(ranks(8), Some((1.0, 8.0)));
        assert_eq!(ranks(9), Some((2.0, 8.0)));
        assert_eq!(ranks(20), Some((6.0, 15.0)));
        assert_eq!(ranks(30), Some((10.0, 21.0)));
        assert_eq!(ranks(50), Some((18.0, 33.0)));
    }
}
