//! When a task was polled first, in four bytes.

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The unit: an age is right to two of these, one for the unit and less than one for the clock. The number wraps after 2^32 of them, 2.17 years; the age of an older task is too
/// small by as many wraps.
const UNIT: u64 = 16;

/// So much may a task seem to be born after it is looked at, in units, because the clock was read before the look: 17
/// minutes.
const SKEW: u32 = 1 << 16;

/// What the units are counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Where the coarse clock was then, or a little earlier.
static COARSE_START: LazyLock<Duration> = LazyLock::new(|| {
    let start = *START;
    // The later the second look comes, the earlier the answer: one of three that were not held up.
    let [one, two, three] = [(); 3].map(|()| coarse() - start.elapsed());
    one.max(two).max(three)
});

/// The time of the system's last tick, which is 1 to 10 ms ago. Reading it takes a fifth of the time that the exact one takes, and every task that
/// lives beyond its first poll does so.
#[inline]
fn coarse() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::MonotonicCoarse;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    // Since the system's start: the parts are never negative.
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// The time of the end of a task's first poll, or that there was none yet: 0.
#[derive(Default)]
pub(super) struct Born(AtomicU32);

impl Born {
    /// Not polled yet.
    #[inline]
    pub(super) const fn new() -> Born {
        Born(AtomicU32::new(0))
    }

    /// Notes that it is now. Reads the coarse clock.
    #[inline]
    pub(super) fn set(&self) {
        // The start before the clock: it may be made here.
        let start = *COARSE_START;
        // Relaxed: a number by itself, written once.
        self.0.store(units(coarse().saturating_sub(start)), Relaxed);
    }

    /// How long ago it was at `now`, to some 30 ms; `None` if it is still to come.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        // Relaxed: as in `set`.
        let born = self.0.load(Relaxed);
        if born == 0 {
            return None;
        }
        let age = units(now.saturating_duration_since(*START)).wrapping_sub(born);
        let age = if age > u32::MAX - SKEW { 0 } else { age };
        Some(Duration::from_millis(UNIT * u64::from(age)))
    }
}

/// The units in the time since the start, wrapped, and never 0.
#[inline]
fn units(since_start: Duration) -> u32 {
    let millis = since_start.as_secs() * 1000 + u64::from(since_start.subsec_millis());
    // Counted from 1; where the wrap comes to 0, that unit is as long as two.
    ((millis / UNIT) as u32).wrapping_add(1).max(1)
}

impl fmt::Debug for Born {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Born")
            .field(&self.age(Instant::now()))
            .finish()
    }
}
