//! What we ask the operating system to report about a descriptor.

use std::{fmt, num::NonZeroU8, ops};

/// Kinds of readiness that a registration asks for; never empty.
///
/// That a peer has closed, or that an error is pending, is reported whatever was asked for.
///
/// # Examples
///
/// ```
/// use reactor::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable());
/// assert_eq!(both.remove(Interest::READABLE), Some(Interest::WRITABLE));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(
    /// A set of the bits below.
    NonZeroU8,
);

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
const PRIORITY: u8 = 4;
const ERROR: u8 = 8;

/// Makes a constant of bits that are not all zero.
const fn interest(bits: u8) -> Interest {
    Interest(NonZeroU8::new(bits).expect("the constants below have a bit each"))
}

impl Interest {
    /// Interest in reading: data, a connection to accept, or the end of the stream.
    pub const READABLE: Interest = interest(READABLE);

    /// Interest in writing: room in the buffer, or a connection that has been made.
    pub const WRITABLE: Interest = interest(WRITABLE);

    /// Interest in priority events, such as urgent data of TCP or changes of a file in `/proc` or `/sys`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub const PRIORITY: Interest = interest(PRIORITY);

    /// Interest in errors, such as a message in a socket's error queue.
    pub const ERROR: Interest = interest(ERROR);

    /// Returns whether reading is included.
    pub const fn is_readable(self) -> bool {
        self.0.get() & READABLE != 0
    }

    /// Returns whether writing is included.
    pub const fn is_writable(self) -> bool {
        self.0.get() & WRITABLE != 0
    }

    /// Returns whether priority events are included.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub const fn is_priority(self) -> bool {
        self.has_priority()
    }

    /// Returns whether errors are included.
    pub const fn is_error(self) -> bool {
        self.0.get() & ERROR != 0
    }

    /// Returns both interests together. The operator `|` does the same.
    #[must_use = "this returns the sum and changes neither part"]
    pub const fn add(self, other: Interest) -> Interest {
        interest(self.0.get() | other.0.get())
    }

    /// Returns what is left of this interest without the other, or `None` if that is nothing.
    #[must_use = "this returns the rest and changes neither part"]
    pub const fn remove(self, other: Interest) -> Option<Interest> {
        match NonZeroU8::new(self.0.get() & !other.0.get()) {
            Some(rest) => Some(Interest(rest)),
            None => None,
        }
    }

    /// [`is_priority`](Self::is_priority) on every system; false where there is no such thing.
    pub(crate) const fn has_priority(self) -> bool {
        self.0.get() & PRIORITY != 0
    }
}

impl ops::BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.add(other)
    }
}

impl ops::BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.add(other);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (READABLE, "READABLE"),
            (WRITABLE, "WRITABLE"),
            (PRIORITY, "PRIORITY"),
            (ERROR, "ERROR"),
        ];
        let mut separator = "";
        for (bit, name) in names {
            if self.0.get() & bit != 0 {
                write!(f, "{separator}{name}")?;
                separator = " | ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every interest, with its bits.
    fn all() -> impl Iterator<Item = (u8, Interest)> {
        (1..16).map(|bits| (bits, interest(bits)))
    }

    #[test]
    fn sets_are_what_their_bits_say() {
        for (a, one) in all() {
            assert_eq!(one.is_readable(), a & 1 != 0);
            assert_eq!(one.is_writable(), a & 2 != 0);
            assert_eq!(one.has_priority(), a & 4 != 0);
            #[cfg(any(target_os = "linux", target_os = "android"))]
            assert_eq!(one.is_priority(), a & 4 != 0);
            assert_eq!(one.is_error(), a & 8 != 0);
            for (b, other) in all() {
                let mut sum = one;
                sum |= other;
                assert_eq!((one.add(other), one | other), (sum, sum));
                assert_eq!(sum.0.get(), a | b);
                let rest = one.remove(other).map_or(0, |rest| rest.0.get());
                assert_eq!(rest, a & !b);
            }
        }
    }

    #[test]
    fn all_names_are_printed() {
        let names = format!("{:?}", interest(15));
        assert_eq!(names, "READABLE | WRITABLE | PRIORITY | ERROR");
        assert_eq!(format!("{:?}", Interest::ERROR), "ERROR");
    }

    #[test]
    fn sums_and_rests() {
        let both = Interest::READABLE | Interest::WRITABLE;
        assert!(both.is_readable() && both.is_writable() && !both.is_error());
        assert_eq!(format!("{both:?}"), "READABLE | WRITABLE");
        assert_eq!(both.remove(both), None);
        let mut more = Interest::ERROR;
        more |= Interest::READABLE;
        assert_eq!(more.remove(Interest::ERROR), Some(Interest::READABLE));
    }
}
