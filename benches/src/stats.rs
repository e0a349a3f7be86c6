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

/// Returns the median.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
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
        assert!(median(&mut []).is_nan());
    }
}
