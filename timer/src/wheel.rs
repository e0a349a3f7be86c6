//! The wheel: six levels of 64 buckets, with the present as an argument.
//!
//! # How it works
//!
//! The wheel has a hand, `now`. A timer goes to the level of the highest base-64 digit in which its
//! deadline differs from the hand, and there to the bucket of its own digit. So
//!
//! - W1: every timer in a level is due later than the hand, agrees with it in all higher digits, and
//!   has a greater digit in this level: a level never wraps around, and whatever is in a lower level
//!   is due before everything in a higher one. The earliest timer is in the first bucket of the
//!   lowest occupied level.
//! - W2: the hand never passes the beginning of an occupied bucket without emptying it.
//!
//! Advancing takes the first bucket: if it begins in the future, the hand moves to the present and
//! that is all. Else the hand moves to the bucket's beginning, and the bucket is *open*: its timers
//! are taken one by one; a timer whose deadline is the hand is due, others move to a lower level (a
//! cascade). Nothing enters an open bucket, because a deadline in its span now differs from the hand
//! in a lower digit only; so emptying ends, and it may be interrupted after each timer. This is what
//! makes a step of bounded length out of a bucket of a million timers.
//!
//! - W3: the open bucket is emptied before the hand moves again.
//!
//! Timers beyond the range (a digit above the sixth differs) wait in a *far* list. It is opened like
//! a bucket whenever the hand enters the next 2^36 ticks, every 12 days; what is still too far goes
//! to a second far list meanwhile, and the two change places. Timers at [`Ticks::NEVER`] wait in a
//! list that is never looked at.
//!
//! # Due order
//!
//! Timers leave in the order of their deadlines, and as a rule in the order of insertion among
//! equals.

use std::task::Waker;

use crate::clock::Ticks;
use crate::level::{Bucket, Buckets, DIGIT_BITS, LEVELS};
use crate::slab::{Key, Slab};

/// The levels reach 2^36 ticks.
const RANGE_BITS: u32 = LEVELS as u32 * DIGIT_BITS;

/// `next_deadline` reads the deadlines of a bucket of up to this many timers. So a few timers never
/// cause a wake-up that only cascades; with more of them, such a wake-up serves many. A guess.
const SHORT_LIST: usize = 8;

/// Keeps timers by deadline, and hands out the wakers of those that are due.
///
/// Reads no clock and takes no lock.
///
/// # Examples
///
/// ```
/// use std::task::Waker;
/// use timer::{Progress, Ticks, Wheel};
///
/// let mut wheel = Wheel::new();
/// let early = wheel.insert(Ticks(100), Waker::noop().clone());
/// let late = wheel.insert(Ticks(90_000), Waker::noop().clone());
/// assert_eq!(wheel.next_deadline(), Some(Ticks(100)));
///
/// assert_eq!(wheel.advance(Ticks(100), usize::MAX), Progress::Due);
/// assert!(wheel.pop_due().is_some());
/// assert!(wheel.remove(early).is_none(), "it has fired");
/// assert!(wheel.remove(late).is_some());
/// assert_eq!(wheel.advance(Ticks(200), usize::MAX), Progress::Done);
/// ```
#[derive(Debug)]
pub struct Wheel {
    /// The hand: every timer outside the open bucket is due later.
    now: Ticks,
    /// The bucket being emptied, which began when the hand came here; `None` between advances.
    open: Option<Bucket>,
    /// Which far list takes new timers; the other one holds timers only while it is open.
    far_turn: u8,
    /// The levels, shortest spans first; the far lists; and the timers that are never due.
    buckets: Buckets,
    /// Where the timers live.
    slab: Slab,
}

/// How far an advance came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// A timer is due: take it with [`Wheel::pop_due`], then advance again.
    Due,
    /// The limit is reached: advance again.
    Unfinished,
    /// The hand has come to the present and nothing is due.
    Done,
}

impl Default for Wheel {
    fn default() -> Wheel {
        Wheel::new()
    }
}

impl Wheel {
    /// Creates a wheel without timers, with its hand at tick 0. It allocates with the first timer.
    pub fn new() -> Wheel {
        Wheel {
            now: Ticks(0),
            open: None,
            far_turn: 0,
            buckets: Buckets::new(),
            slab: Slab::new(),
        }
    }

    /// Returns the number of timers.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns the number of timers that were ever inserted.
    pub fn inserted(&self) -> u64 {
        self.slab.inserted()
    }

    /// Returns whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a timer, in constant time.
    ///
    /// A deadline that the hand has passed counts as the next tick.
    #[inline]
    pub fn insert(&mut self, deadline: Ticks, waker: Waker) -> Key {
        let deadline = deadline.max(Ticks(self.now.0 + 1));
        let bucket = self.bucket_of(deadline);
        let key = self.slab.insert(deadline, waker);
        self.buckets.push_back(bucket, &mut self.slab, key.index());
        key
    }

    /// Removes a timer, in constant time; returns its deadline and waker, or `None` if it has been
    /// fired or removed.
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<(Ticks, Waker)> {
        let index = self.slab.find(key)?;
        let deadline = self.slab.node(index).deadline;
        self.buckets.unlink(&mut self.slab, index);
        Some((deadline, self.slab.remove(index)))
    }

    /// Returns the waker of a timer, or `None` if the timer has been fired or removed.
    #[inline]
    pub fn waker_mut(&mut self, key: Key) -> Option<&mut Waker> {
        let index = self.slab.find(key)?;
        Some(self.slab.waker_mut(index))
    }

    /// Returns when to advance next, or `None` if nothing will ever be due.
    ///
    /// This is the earliest deadline; if more than a few timers crowd at the front, it may be a point
    /// in time before it at which they have to be moved.
    #[inline]
    pub fn next_deadline(&self) -> Option<Ticks> {
        if self.open_front().is_some() {
            return Some(self.now);
        }
        let (begin, bucket) = self.first_bucket()?;
        if bucket.is_lowest() {
            return Some(begin);
        }
        let mut earliest = Ticks::NEVER;
        for (count, index) in self.buckets.iter(bucket, &self.slab).enumerate() {
            if count == SHORT_LIST {
                return Some(begin);
            }
            earliest = earliest.min(self.slab.node(index).deadline);
        }
        Some(earliest)
    }

    /// Moves the hand towards `now`, as far as nothing is due, moving at most `limit` timers.
    pub fn advance(&mut self, now: Ticks, limit: usize) -> Progress {
        let mut left = limit;
        loop {
            while let Some(index) = self.open_front() {
                let deadline = self.slab.node(index).deadline;
                if deadline <= self.now {
                    return Progress::Due;
                }
                if left == 0 {
                    return Progress::Unfinished;
                }
                left -= 1;
                let bucket = self.bucket_of(deadline);
                self.buckets.unlink(&mut self.slab, index);
                self.buckets.push_back(bucket, &mut self.slab, index);
            }
            self.open = None;
            match self.first_bucket() {
                Some((begin, bucket)) if begin <= now => {
                    self.now = begin;
                    self.open = Some(bucket);
                    if bucket == Bucket::far(self.far_turn) {
                        self.far_turn = 1 - self.far_turn;
                    }
                }
                _ => {
                    self.now = self.now.max(now);
                    return Progress::Done;
                }
            }
        }
    }

    /// Takes a timer that [`advance`](Wheel::advance) found due, and returns its waker. Its deadline is the
    /// [`hand`](Wheel::hand).
    pub fn pop_due(&mut self) -> Option<Waker> {
        let index = self.open_front()?;
        let deadline = self.slab.node(index).deadline;
        (deadline <= self.now).then(|| {
            debug_assert_eq!(deadline, self.now, "the hand stops at each deadline");
            self.buckets.unlink(&mut self.slab, index);
            self.slab.remove(index)
        })
    }

    /// Returns how far the wheel has come: the deadline of the timers that are due now, or else the present of the last
    /// advance.
    pub fn hand(&self) -> Ticks {
        self.now
    }

    /// Takes any timer, and returns its waker: empties the wheel without regard to time.
    pub fn pop_any(&mut self) -> Option<Waker> {
        let open = self.open_front();
        let first = || self.buckets.front(self.first_bucket()?.1);
        let index = open
            .or_else(first)
            .or_else(|| self.buckets.front(Bucket::NEVER))?;
        self.buckets.unlink(&mut self.slab, index);
        Some(self.slab.remove(index))
    }

    /// Returns the first timer of the open bucket.
    #[inline]
    fn open_front(&self) -> Option<u32> {
        self.buckets.front(self.open?)
    }

    /// Returns the bucket in which the next timers are, and when it begins (W1).
    #[inline]
    fn first_bucket(&self) -> Option<(Ticks, Bucket)> {
        if let Some((level, position)) = self.buckets.first() {
            let shift = DIGIT_BITS * level;
            let higher = self.now.0 >> shift >> DIGIT_BITS << DIGIT_BITS;
            let begin = Ticks((higher | u64::from(position)) << shift);
            return Some((begin, Bucket::ring(level, position)));
        }
        // The other far list is empty: timers are in it only while it is open, and then this is
        // not asked.
        let far = Bucket::far(self.far_turn);
        self.buckets.front(far)?;
        Some((Ticks(((self.now.0 >> RANGE_BITS) + 1) << RANGE_BITS), far))
    }

    /// Returns the bucket for a deadline that is later than the hand.
    #[inline]
    fn bucket_of(&self, deadline: Ticks) -> Bucket {
        debug_assert!(
            deadline > self.now,
            "{deadline:?} is not after {:?}",
            self.now
        );
        let differing = deadline.0 ^ self.now.0;
        if differing >> RANGE_BITS != 0 {
            if deadline == Ticks::NEVER {
                return Bucket::NEVER;
            }
            return Bucket::far(self.far_turn);
        }
        let level = differing.ilog2() / DIGIT_BITS;
        let digit = deadline.0 >> (level * DIGIT_BITS);
        Bucket::ring(level, digit as u32 % (1 << DIGIT_BITS))
    }
}

#[cfg(any(test, fuzzing))]
pub mod model;
#[cfg(test)]
mod tests;
