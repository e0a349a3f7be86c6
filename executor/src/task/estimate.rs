//! A counter in 16 bits that goes up to about 9·10¹² and is right on average.
//!
//! R. Morris, "Counting large numbers of events in small registers", CACM 21 (1978), counts only every so many events,
//! by chance, the fewer the more there were. Here in the form of M. Csűrös, "Approximate counting with a floating-point
//! counter", COCOON 2010: the register is a small floating-point number, exact up to [`ONE`].
//!
//! With exponent `e` and mantissa `m` the register stands for `(ONE + m)·2^e - ONE`. To add, the exact sum is rounded
//! to one of the two numbers between which it lies, up with the probability that makes the expected value the sum. So
//! the estimate is unbiased whatever is added and however often. Its relative standard deviation is at most √(3 /
//! (8·[`ONE`])), 1.4%: at the exponent `e` an addition of 1 adds a variance of less than 2^e, there are [`ONE`]·2^e of
//! them, and the sum is worst, relative to the square of the count, a third of the way through an exponent.
//!
//! **Cost.** A dozen instructions, one load and one store.

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// How many bits the mantissa has; the other five are the exponent.
const MANTISSA: u32 = 11;
/// The mantissa's leading one, which is not stored.
const ONE: u64 = 1 << MANTISSA;

/// The counter. Any thread may read it; those who add to it take turns.
///
/// ```text
///  15 ...... 11   10 ..... 0
///  exponent       mantissa
/// ```
#[derive(Default)]
pub(super) struct Estimate(AtomicU16);

impl Estimate {
    /// Zero.
    #[inline]
    pub(super) const fn new() -> Estimate {
        Estimate(AtomicU16::new(0))
    }

    /// About how much has been added; exactly, below 2,048. Once it has come to its end, about 8.8·10¹², it stays
    /// there.
    pub(super) fn get(&self) -> u64 {
        // Relaxed: a number by itself.
        value(self.0.load(Relaxed))
    }

    /// Adds `amount`, with the help of a `random` number of which all values are equally likely.
    ///
    /// The caller sees to it that nobody else does so at the same time: of two additions that meet, one would be lost.
    pub(super) fn add(&self, amount: u64, random: u32) {
        // Relaxed: a number by itself, written by one thread at a time.
        let register = self.0.load(Relaxed);
        self.0.store(add(register, amount, random), Relaxed);
    }
}

/// What a register stands for.
fn value(register: u16) -> u64 {
    let (exponent, mantissa) = (register >> MANTISSA, u64::from(register) & (ONE - 1));
    ((ONE + mantissa) << exponent) - ONE
}

/// The register after an addition.
fn add(register: u16, amount: u64, random: u32) -> u16 {
    let sum = value(register).saturating_add(amount).saturating_add(ONE);
    // The sum has at least 12 bits; those after the first 12 are what does not fit.
    let exponent = sum.ilog2() - MANTISSA;
    if exponent > 31 {
        return u16::MAX;
    }
    let rest = sum & ((1 << exponent) - 1);
    let dice = u64::from(random) & ((1 << exponent) - 1);
    let floor = (u64::from(exponent) << MANTISSA) + ((sum >> exponent) - ONE);
    // The next register is the next number, also where the mantissa overflows into the exponent.
    let rounded = floor + u64::from(dice < rest);
    u16::try_from(rounded).unwrap_or(u16::MAX)
}

impl fmt::Debug for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Estimate").field(&self.get()).finish()
    }
}
