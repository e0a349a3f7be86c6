//! A histogram as users see it.
//!
//! What prints is `#[inline]`, so that programs that call it compile it, and not everybody with the crate.

use std::fmt;
use std::time::Duration;

use super::short;

/// How long something took, how often: counts of durations between bounds.
///
/// The counters behind it have fixed bounds, so nothing is lost and nothing grows, whatever is recorded. Two histograms
/// of the same thing, taken at different times, can be subtracted bucket by bucket.
///
/// # Examples
///
/// ```
/// # runtime::block_on(async {
/// let metrics = runtime::Handle::current().metrics();
/// let polls = metrics.tasks().poll_time();
/// if let Some(p99) = polls.quantile(0.99) {
///     println!("99 of 100 polls took {p99:?} or less, on average {:?}", polls.mean());
/// }
/// # });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Upper bounds, ascending, and how many durations are not above that but above the one before. The last bound is
    /// [`Duration::MAX`].
    buckets: Box<[(Duration, u64)]>,
    /// The sum of all of them.
    sum: Duration,
}

impl Histogram {
    pub(super) fn new(buckets: Vec<(Duration, u64)>, sum: Duration) -> Histogram {
        debug_assert!(buckets.is_sorted_by(|before, after| before.0 < after.0));
        debug_assert!(buckets.last().is_some_and(|last| last.0 == Duration::MAX));
        Histogram {
            buckets: buckets.into(),
            sum,
        }
    }

    /// Returns how many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|&(_, count)| count).sum()
    }

    /// Returns the sum of all of them.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Returns their mean; `None` if there are none.
    pub fn mean(&self) -> Option<Duration> {
        let nanos = self.sum.as_nanos().checked_div(self.count().into())?;
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    /// Returns a duration that the given part of them does not exceed: 0.5 for the median, 0.99 for what one in a
    /// hundred exceeds.
    ///
    /// It is the upper bound of the bucket in which that duration lies: [`Duration::MAX`] for what is above all bounds.
    /// `None` if there are no durations. Parts below 0 count as 0, above 1 as 1.
    #[inline]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        // The rank of that duration, from 1 on. Above 2^53 a float rounds the count, which moves the rank by less than
        // one part in 10^15.
        let rank = ((count as f64 * part.clamp(0.0, 1.0)).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let bucket = self.buckets.iter().find(|&&(_, count)| {
            seen += count;
            seen >= rank
        });
        bucket.map(|&(bound, _)| bound)
    }

    /// Returns each bucket: its upper bound, and how many durations are not above that but above the bound before. The
    /// last bound is [`Duration::MAX`].
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (Duration, u64)> + '_ {
        self.buckets.iter().copied()
    }

    /// The bounds from the first in steps of a factor of two, and how many durations are not above each; the last bound
    /// is [`Duration::MAX`].
    #[inline]
    pub(super) fn octaves(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let mut wanted = self.buckets.first().map_or(Duration::ZERO, |first| first.0);
        let mut seen = 0;
        self.buckets.iter().filter_map(move |&(bound, count)| {
            seen += count;
            if bound == Duration::MAX {
                return Some((bound, seen));
            }
            if bound < wanted {
                return None;
            }
            wanted = bound * 2;
            Some((bound, seen))
        })
    }
}

impl fmt::Debug for Histogram {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("mean", &self.mean())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Histogram {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(mean), Some(median), Some(p99), Some(p999)) = (
            self.mean(),
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(0.999),
        ) else {
            return f.write_str("none");
        };
        let bound = |bound: Duration| {
            if bound == Duration::MAX {
                "more".into()
            } else {
                short(bound)
            }
        };
        write!(
            f,
            "mean {}, p50 {}, p99 {}, p99.9 {}",
            short(mean),
            bound(median),
            bound(p99),
            bound(p999)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(u64, u64)], above: u64) -> Histogram {
        let bounded = buckets
            .iter()
            .map(|&(micros, count)| (Duration::from_micros(micros), count));
        let buckets = bounded.chain([(Duration::MAX, above)]).collect();
        Histogram::new(buckets, Duration::from_micros(1_000))
    }

    #[test]
    fn quantiles_are_upper_bounds() {
        let micros = |n| Some(Duration::from_micros(n));
        let some = histogram(&[(10, 50), (20, 0), (30, 49)], 1);
        assert_eq!(some.count(), 100);
        assert_eq!(some.mean(), micros(10));
        assert_eq!(some.quantile(-1.0), micros(10));
        assert_eq!(some.quantile(0.5), micros(10));
        assert_eq!(some.quantile(0.501), micros(30));
        assert_eq!(some.quantile(0.99), micros(30));
        assert_eq!(some.quantile(0.991), Some(Duration::MAX));
        assert_eq!(some.quantile(7.0), Some(Duration::MAX));
        assert_eq!(some.quantile(f64::NAN), micros(10));
        assert_eq!(
            some.to_string(),
            "mean 10 µs, p50 10 µs, p99 30 µs, p99.9 more"
        );
    }

    /// xorshift64: Marsaglia, "Xorshift RNGs", 2003.
    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_durations() {
        let since_1970 = std::time::UNIX_EPOCH
            .elapsed()
            .expect("it is later than 1970");
        let seed = since_1970.as_nanos() as u64 | 1;
        let mut state = seed;
        for round in 0..200 {
            let recorder = executor::Histogram::new();
            let count = 1 + random(&mut state) % 500;
            let mut durations: Vec<_> = (0..count)
                .map(|_| {
                    // Of all lengths from 1 ns to 146 s: up to 37 bits, each number of bits as often.
                    let bits = 64 - random(&mut state) % 37;
                    Duration::from_nanos(random(&mut state) >> (bits - 1))
                })
                .collect();
            durations
                .iter()
                .for_each(|&duration| recorder.record(duration));
            durations.sort();
            let snapshot = recorder.snapshot();
            let histogram = Histogram::new(snapshot.buckets, snapshot.sum);
            let context = format!("seed {seed}, round {round}");
            assert_eq!(histogram.count(), count, "{context}");
            assert_eq!(histogram.sum(), durations.iter().sum(), "{context}");
            for part in [0.0, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
                let rank = ((part * count as f64).ceil() as usize).max(1);
                let exact = durations[rank - 1];
                let bound = histogram.quantile(part).expect("there are some");
                assert!(exact <= bound, "{context}: {exact:?} > {bound:?}");
                let is_near = bound <= Duration::from_nanos(64) || bound <= exact + exact / 8;
                let is_beyond = bound == Duration::MAX && exact > Duration::from_nanos(1 << 36);
                assert!(
                    is_near || is_beyond,
                    "{context}: {exact:?} is far below {bound:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_has_no_quantiles() {
        let none = histogram(&[(10, 0)], 0);
        assert_eq!((none.mean(), none.quantile(0.5)), (None, None));
        assert_eq!(none.to_string(), "none");
    }

    #[test]
    fn octaves_keep_the_counts() {
        let fine = histogram(
            &[
                (8, 1),
                (10, 2),
                (12, 4),
                (14, 8),
                (16, 16),
                (20, 32),
                (32, 64),
            ],
            128,
        );
        let octaves: Vec<_> = fine
            .octaves()
            .map(|(bound, count)| (bound.as_micros().min(1_000), count))
            .collect();
        assert_eq!(octaves, [(8, 1), (16, 31), (32, 127), (1_000, 255)]);
    }
}
