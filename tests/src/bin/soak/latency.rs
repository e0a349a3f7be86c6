//! A histogram of durations that many threads write and one empties once a second.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Steps to a doubling: a step is 3 %, far below what the rules of [`drift`](crate::drift) can tell apart.
const STEPS: u64 = 32;

/// Doublings, from 1 ns to more than an hour.
const DOUBLINGS: u64 = 42;

/// How long something took, since the last look.
#[derive(Debug)]
pub struct Latency(Box<[AtomicU64]>);

/// What a look at a [`Latency`] shows, in µs; NaN if nothing was measured.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The median.
    pub p50: f64,
    /// What 99 of 100 do not exceed.
    pub p99: f64,
}

impl Latency {
    /// Makes an empty one.
    pub fn new() -> Latency {
        Latency((0..STEPS * DOUBLINGS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Notes a duration.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0[bucket(nanos).min(self.0.len() - 1)].fetch_add(1, Relaxed);
    }

    /// Takes out what was noted since the last time.
    pub fn take(&self) -> Window {
        let counts: Vec<u64> = self.0.iter().map(|count| count.swap(0, Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let quantile = |rank: f64| {
            let mut below = 0;
            let wanted = (total as f64 * rank).ceil() as u64;
            for (bucket, count) in counts.iter().enumerate() {
                below += count;
                if *count > 0 && below >= wanted {
                    return lower_bound(bucket) / 1e3;
                }
            }
            f64::NAN
        };
        Window {
            p50: quantile(0.5),
            p99: quantile(0.99),
        }
    }
}

/// Exact below [`STEPS`], then `STEPS` buckets to a doubling.
fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - STEPS.ilog2();
    (u64::from(shift) * STEPS + (nanos >> shift)) as usize
}

fn lower_bound(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket as f64;
    }
    let shift = bucket / STEPS - 1;
    ((bucket - shift * STEPS) << shift) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_found_again_within_a_step() {
        for nanos in (0..40).map(|power| (1_u64 << power) * 5 / 3) {
            let latency = Latency::new();
            latency.record(Duration::from_nanos(nanos));
            let found = latency.take().p50 * 1e3;
            let error = (nanos as f64 - found) / (nanos as f64).max(1.0);
            assert!(
                (0.0..=1.0 / STEPS as f64).contains(&error),
                "{nanos}: {found}"
            );
            assert!(latency.take().p50.is_nan(), "it was taken out");
        }
    }
}
