//! The clock: `Instant` to [`Ticks`] and back, and a time that tests can stop and push on.
//!
//! This is the only file of the crate that reads the time; everything else takes `now` as an
//! argument. A clock that nobody ever paused reads `Instant::now()` after one relaxed load and a
//! branch that is always predicted. Once paused, it keeps a *face*: either it stands still at an
//! instant, or it runs at an offset from the real time (after `resume`, time goes on from where it
//! stood). Whatever is done to it, it never goes backwards.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

// Not through the loom seam: clocks are not part of the models, and a paused one is not fast.
use parking_lot::Mutex;

use crate::context;

/// A tick is 1/64 ms. Close to the 16 µs that measured best; a whole number of milliseconds is a whole
/// number of ticks, so that under a paused clock a sleep of one second takes one second sharp; and the
/// lowest level of the wheel covers one millisecond. (2^14 ns would spare a multiplication and lose
/// that.)
const NANOS_PER_TICK: u64 = 15_625;

/// Whether a clock of this process was ever paused. While not, the present is the same by each clock.
static ANY_PAUSED: AtomicBool = AtomicBool::new(false);

/// Returns the present by the clock of the handle that is current on this thread, or the real time if
/// there is none.
///
/// # Examples
///
/// ```
/// let earlier = timer::now();
/// assert!(timer::now() >= earlier);
/// ```
#[inline]
pub fn now() -> Instant {
    // Relaxed: as in `Clock::now`.
    if ANY_PAUSED.load(Ordering::Relaxed) {
        context::now().unwrap_or_else(Instant::now)
    } else {
        Instant::now()
    }
}

/// A point in time as the wheel counts it: units of 1/64 ms (15.625 µs) since the clock was made.
///
/// # Examples
///
/// ```
/// use timer::{Clock, Pausable, Ticks};
///
/// let clock = Clock::new(Pausable::No);
/// let now = clock.now();
/// assert!(clock.ticks_before(now) <= clock.ticks_after(now));
/// assert!(clock.ticks_after(now) < Ticks::NEVER);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub u64);

impl Ticks {
    /// Later than every point in time: what waits for it is never fired.
    pub const NEVER: Ticks = Ticks(u64::MAX);

    /// How long so many ticks are; at most 584 years.
    pub(crate) fn duration(self) -> Duration {
        Duration::from_nanos(self.0.saturating_mul(NANOS_PER_TICK))
    }
}

/// A point in time that an entry waits for: nanoseconds since the clock was made, negative before that.
///
/// It gives back the very `Instant` that it was made of, in half the bytes, and its ticks for a multiplication. 292 years
/// away or more is never; what is further in the past than that counts as that far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(i64);

impl Deadline {
    /// What never comes.
    pub(crate) const NEVER: Deadline = Deadline(i64::MAX);

    /// Returns the first tick that is not before this.
    #[inline]
    pub(crate) fn ticks(self) -> Ticks {
        match self {
            Deadline::NEVER => Ticks::NEVER,
            Deadline(nanos) => Ticks(nanos.max(0).cast_unsigned().div_ceil(NANOS_PER_TICK)),
        }
    }
}

/// Says whether a clock may be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pausable {
    /// Tests may stop the clock: a single thread looks at it.
    Yes,
    /// The clock always runs.
    No,
}

/// Tells the time, and can be paused, advanced and resumed.
///
/// Clones show the same time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use timer::{Clock, Pausable};
///
/// let clock = Clock::new(Pausable::Yes);
/// assert!(clock.pause());
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now() - before, Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct Clock {
    /// Tick 0. Never changes.
    base: Instant,
    /// What clones share.
    shared: Arc<Shared>,
}

struct Shared {
    /// Whether the clock may be paused. Never changes.
    pausable: Pausable,
    /// Set by the first `pause`, never cleared: from then on `face` tells the time.
    touched: AtomicBool,
    /// What the clock shows once it was paused.
    face: Mutex<Face>,
}

/// How to tell the time of a clock.
#[derive(Clone, Copy, Debug)]
enum Face {
    /// As the operating system says.
    Real,
    /// The clock stands still here.
    Stopped(Instant),
    /// The clock showed `shown` at the real time `since`, and runs.
    Shifted { shown: Instant, since: Instant },
}

impl Face {
    fn now(self) -> Instant {
        match self {
            Face::Real => Instant::now(),
            Face::Stopped(at) => at,
            Face::Shifted { shown, since } => shown + since.elapsed(),
        }
    }
}

impl Clock {
    /// Creates a clock that shows the real time.
    pub fn new(pausable: Pausable) -> Clock {
        Clock {
            base: Instant::now(),
            shared: Arc::new(Shared {
                pausable,
                touched: AtomicBool::new(false),
                face: Mutex::new(Face::Real),
            }),
        }
    }

    /// Returns the present.
    #[inline]
    pub fn now(&self) -> Instant {
        // Relaxed: a thread that learned of the pause from the thread that paused also sees the
        // flag; to any other the pause happens at some time, and until then the real time is right.
        if self.shared.touched.load(Ordering::Relaxed) {
            self.face_now()
        } else {
            Instant::now()
        }
    }

    #[cold]
    fn face_now(&self) -> Instant {
        self.shared.face.lock().now()
    }

    /// Returns whether this clock was made to be paused.
    pub fn may_pause(&self) -> bool {
        self.shared.pausable == Pausable::Yes
    }

    /// Returns whether the clock stands still.
    #[inline]
    pub fn is_paused(&self) -> bool {
        // Relaxed: as in `now`.
        self.shared.touched.load(Ordering::Relaxed)
            && matches!(*self.shared.face.lock(), Face::Stopped(_))
    }

    /// Stops the clock; returns false if it stood still already.
    ///
    /// It stops at the beginning of the next tick, so that deadlines in whole milliseconds from then
    /// on are not rounded.
    ///
    /// # Panics
    ///
    /// Panics if the clock was made with [`Pausable::No`].
    #[track_caller]
    pub fn pause(&self) -> bool {
        assert!(self.may_pause(), "this clock was not made to be paused");
        let mut face = self.shared.face.lock();
        if let Face::Stopped(_) = *face {
            return false;
        }
        let now = face.now();
        let at = self.instant(self.ticks_after(now)).unwrap_or(now);
        *face = Face::Stopped(at);
        // Relaxed: see `now`; the lock orders everything else.
        self.shared.touched.store(true, Ordering::Relaxed);
        ANY_PAUSED.store(true, Ordering::Relaxed);
        true
    }

    /// Lets a paused clock run on from where it stands; returns false if it was running.
    pub fn resume(&self) -> bool {
        let mut face = self.shared.face.lock();
        let Face::Stopped(shown) = *face else {
            return false;
        };
        *face = Face::Shifted {
            shown,
            since: Instant::now(),
        };
        true
    }

    /// Moves a paused clock on by `duration`; returns false, and does nothing, if it is running.
    ///
    /// # Panics
    ///
    /// Panics if an `Instant` cannot hold the new time.
    #[track_caller]
    pub fn advance(&self, duration: Duration) -> bool {
        let mut face = self.shared.face.lock();
        let Face::Stopped(at) = *face else {
            return false;
        };
        let Some(later) = at.checked_add(duration) else {
            drop(face);
            panic!("the clock cannot be advanced by {duration:?}: the new time is out of range");
        };
        *face = Face::Stopped(later);
        true
    }

    /// Moves a paused clock on to `instant`; returns false, and does nothing, if it is running or
    /// shows a later time.
    ///
    /// This is for a runtime with nothing to do: it skips the time to its next deadline.
    pub fn advance_to(&self, instant: Instant) -> bool {
        let mut face = self.shared.face.lock();
        match *face {
            Face::Stopped(at) if at <= instant => {
                *face = Face::Stopped(instant);
                true
            }
            _ => false,
        }
    }

    /// Returns the deadline at `instant`.
    #[inline]
    pub(crate) fn deadline_at(&self, instant: Instant) -> Deadline {
        let nanos = match self.nanos(instant) {
            Some(0) => {
                let before = self.base.saturating_duration_since(instant);
                i64::try_from(before.as_nanos()).map_or(i64::MIN, |nanos| -nanos)
            }
            Some(nanos) => i64::try_from(nanos).unwrap_or(i64::MAX),
            None => i64::MAX,
        };
        Deadline(nanos)
    }

    /// Returns the deadline `duration` from now.
    #[inline]
    pub(crate) fn deadline_after(&self, duration: Duration) -> Deadline {
        let nanos = || {
            let more = nanos(duration)?;
            i64::try_from(self.nanos(self.now())?.checked_add(more)?).ok()
        };
        nanos().map_or(Deadline::NEVER, Deadline)
    }

    /// Returns whether the clock shows `deadline` or later.
    #[inline]
    pub(crate) fn has_come(&self, deadline: Deadline) -> bool {
        deadline != Deadline::NEVER && self.deadline_at(self.now()) >= deadline
    }

    /// Returns the instant of `deadline`, or `None` if it never comes.
    pub(crate) fn instant_of(&self, deadline: Deadline) -> Option<Instant> {
        if deadline == Deadline::NEVER {
            return None;
        }
        let distance = Duration::from_nanos(deadline.0.unsigned_abs());
        if deadline.0 < 0 {
            self.base.checked_sub(distance)
        } else {
            self.base.checked_add(distance)
        }
    }

    /// Returns the first tick that is not before `deadline`: what to wait for.
    ///
    /// An instant more than 584 years after the clock was made gives [`Ticks::NEVER`].
    #[inline]
    pub fn ticks_after(&self, deadline: Instant) -> Ticks {
        match self.nanos(deadline) {
            Some(nanos) => Ticks(nanos.div_ceil(NANOS_PER_TICK)),
            None => Ticks::NEVER,
        }
    }

    /// Returns the last tick that is not after `now`: what has come.
    #[inline]
    pub fn ticks_before(&self, now: Instant) -> Ticks {
        let nanos = self.nanos(now).unwrap_or(u64::MAX);
        Ticks(nanos / NANOS_PER_TICK)
    }

    /// Returns the instant at which `ticks` begins, or `None` if it never does.
    pub fn instant(&self, ticks: Ticks) -> Option<Instant> {
        let nanos = ticks.0.checked_mul(NANOS_PER_TICK)?;
        self.base.checked_add(Duration::from_nanos(nanos))
    }

    /// Returns the nanoseconds from tick 0 to `instant`: 0 if it is earlier, `None` if a u64 cannot
    /// hold them.
    #[inline]
    fn nanos(&self, instant: Instant) -> Option<u64> {
        nanos(instant.saturating_duration_since(self.base))
    }
}

/// Returns the nanoseconds of `duration`, `None` if a u64 cannot hold them.
#[inline]
fn nanos(duration: Duration) -> Option<u64> {
    duration
        .as_secs()
        .checked_mul(1_000_000_000)?
        .checked_add(u64::from(duration.subsec_nanos()))
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("pausable", &self.shared.pausable)
            .field("face", &*self.shared.face.lock())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_never_makes_a_deadline_early() {
        let clock = Clock::new(Pausable::No);
        for nanos in [0, 1, 15_624, 15_625, 15_626, 1 << 40, (1 << 40) + 1] {
            let deadline = clock.base + Duration::from_nanos(nanos);
            let fires = clock.instant(clock.ticks_after(deadline)).unwrap();
            assert!(fires >= deadline && fires - deadline < Duration::from_nanos(NANOS_PER_TICK));
            let begun = clock.instant(clock.ticks_before(deadline)).unwrap();
            assert!(begun <= deadline && deadline - begun < Duration::from_nanos(NANOS_PER_TICK));
        }
    }

    #[test]
    fn whole_milliseconds_are_exact_once_paused() {
        let clock = Clock::new(Pausable::Yes);
        clock.pause();
        for millis in [1, 7, 1000, 86_400_000] {
            let deadline = clock.now() + Duration::from_millis(millis);
            assert_eq!(clock.instant(clock.ticks_after(deadline)), Some(deadline));
        }
    }

    #[test]
    fn out_of_range_is_clamped() {
        let clock = Clock::new(Pausable::No);
        let past = clock.base.checked_sub(Duration::from_nanos(5)).unwrap();
        assert_eq!(clock.ticks_after(past), Ticks(0));
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        assert!(clock.ticks_after(clock.base + century) < Ticks::NEVER);
        assert_eq!(clock.ticks_after(clock.base + 10 * century), Ticks::NEVER);
        assert!(clock.ticks_before(clock.base + 10 * century) < Ticks::NEVER);
        assert_eq!(clock.instant(Ticks::NEVER), None);
    }

    #[test]
    fn deadlines_give_their_instants_back() {
        let clock = Clock::new(Pausable::No);
        let year = Duration::from_secs(365 * 24 * 3600);
        for distance in [Duration::ZERO, Duration::from_nanos(1), year, 291 * year] {
            let later = clock.base + distance;
            let deadline = clock.deadline_at(later);
            assert_eq!(clock.instant_of(deadline), Some(later));
            assert_eq!(deadline.ticks(), clock.ticks_after(later));
        }
        let distance = Duration::from_nanos(77);
        let earlier = clock.base.checked_sub(distance).unwrap();
        let deadline = clock.deadline_at(earlier);
        assert_eq!(clock.instant_of(deadline), Some(earlier));
        assert_eq!(deadline.ticks(), Ticks(0));
        assert!(clock.has_come(deadline) && deadline < clock.deadline_at(clock.base));
        // Not every system has instants so far back.
        if let Some(ages) = clock.base.checked_sub(400 * year) {
            let deadline = clock.deadline_at(ages);
            assert_eq!(deadline, Deadline(i64::MIN));
            assert!(clock.has_come(deadline) && deadline.ticks() == Ticks(0));
            assert!(clock.instant_of(deadline) > Some(ages));
        }
    }

    #[test]
    fn deadlines_out_of_range_never_come() {
        let clock = Clock::new(Pausable::No);
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        assert_eq!(clock.deadline_at(clock.base + 3 * century), Deadline::NEVER);
        for duration in [3 * century, 10 * century, Duration::MAX] {
            assert_eq!(clock.deadline_after(duration), Deadline::NEVER);
        }
        assert!(clock.deadline_after(2 * century) < Deadline::NEVER);
        assert!(!clock.has_come(Deadline::NEVER));
        assert_eq!(Deadline::NEVER.ticks(), Ticks::NEVER);
        let last = Deadline(i64::MAX - 1);
        assert!(last.ticks() < Ticks::NEVER && clock.instant_of(last).is_some());
        assert_eq!(clock.deadline_at(clock.instant_of(last).unwrap()), last);
        assert_eq!(clock.instant_of(Deadline::NEVER), None);
    }

    #[test]
    fn pause_advance_resume() {
        let clock = Clock::new(Pausable::Yes);
        assert!(!clock.is_paused());
        assert!(!clock.advance(Duration::from_secs(1)) && !clock.resume());
        assert!(clock.pause() && clock.is_paused() && !clock.pause());
        let stopped = clock.now();
        assert_eq!(clock.now(), stopped);
        assert!(clock.advance(Duration::from_secs(9)));
        assert_eq!(clock.now() - stopped, Duration::from_secs(9));
        assert!(!clock.advance_to(stopped), "time went backwards");
        assert!(clock.advance_to(stopped + Duration::from_secs(10)));
        assert!(clock.resume() && !clock.is_paused());
        assert!(clock.now() >= stopped + Duration::from_secs(10));
        assert!(clock.pause());
        assert!(clock.clone().now() >= stopped + Duration::from_secs(10));
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn advance_too_far() {
        let clock = Clock::new(Pausable::Yes);
        clock.pause();
        clock.advance(Duration::MAX);
    }

    #[test]
    #[should_panic(expected = "not made to be paused")]
    fn pause_refused() {
        Clock::new(Pausable::No).pause();
    }
}
