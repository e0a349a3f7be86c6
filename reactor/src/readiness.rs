//! What the operating system has told us about a descriptor.

use std::{fmt, ops};

use crate::Interest;

/// One of the two directions in which data flows through a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards us: read, accept, receive.
    Read,
    /// Away from us: write, connect, send.
    Write,
}

impl Direction {
    /// The readiness that ends a wait in this direction.
    pub const fn mask(self) -> Ready {
        match self {
            Direction::Read => Ready(Ready::READABLE.0 | Ready::READ_CLOSED.0),
            Direction::Write => Ready(Ready::WRITABLE.0 | Ready::WRITE_CLOSED.0),
        }
    }

    /// The readiness that an operation of this direction uses up.
    pub(crate) const fn open(self) -> Ready {
        match self {
            Direction::Read => Ready::READABLE,
            Direction::Write => Ready::WRITABLE,
        }
    }

    /// The readiness that says that this direction has ended.
    pub(crate) const fn closed(self) -> Ready {
        match self {
            Direction::Read => Ready::READ_CLOSED,
            Direction::Write => Ready::WRITE_CLOSED,
        }
    }
}

/// A set of kinds of readiness.
///
/// It may be out of date: an operation on a ready descriptor can still answer `WouldBlock`.
///
/// # Examples
///
/// ```
/// use reactor::Ready;
///
/// let ready = Ready::READABLE | Ready::READ_CLOSED;
/// assert!(ready.is_readable());
/// assert!((ready - Ready::READABLE).is_readable(), "reading gives the end of the stream");
/// assert!(!ready.is_writable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ready(
    /// A set of the bits below; never more than six.
    u8,
);

impl Ready {
    /// No readiness.
    pub const EMPTY: Ready = Ready(0);

    /// There is something to read.
    pub const READABLE: Ready = Ready(1);

    /// There is room to write.
    pub const WRITABLE: Ready = Ready(1 << 1);

    /// The peer will send no more. What it sent before may still be there to read.
    pub const READ_CLOSED: Ready = Ready(1 << 2);

    /// Nothing more can be written.
    pub const WRITE_CLOSED: Ready = Ready(1 << 3);

    /// There is a priority event.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub const PRIORITY: Ready = Ready::URGENT;

    /// An error is pending.
    pub const ERROR: Ready = Ready(1 << 5);

    /// All kinds of readiness.
    pub const ALL: Ready = Ready((1 << 6) - 1);

    /// `PRIORITY`, on every system.
    pub(crate) const URGENT: Ready = Ready(1 << 4);

    /// What stays once it is known: no operation takes it back.
    pub(crate) const STICKY: Ready = Ready(Ready::READ_CLOSED.0 | Ready::WRITE_CLOSED.0);

    /// Returns whether nothing is ready.
    pub fn is_empty(self) -> bool {
        self == Ready::EMPTY
    }

    /// Returns whether a read would not block: there is data, or the stream has ended.
    pub fn is_readable(self) -> bool {
        self.intersects(Direction::Read.mask())
    }

    /// Returns whether a write would not block: there is room, or nothing more can be written.
    pub fn is_writable(self) -> bool {
        self.intersects(Direction::Write.mask())
    }

    /// Returns whether the peer has closed its sending side.
    pub fn is_read_closed(self) -> bool {
        self.contains(Ready::READ_CLOSED)
    }

    /// Returns whether nothing more can be written.
    pub fn is_write_closed(self) -> bool {
        self.contains(Ready::WRITE_CLOSED)
    }

    /// Returns whether there is a priority event.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn is_priority(self) -> bool {
        self.contains(Ready::PRIORITY)
    }

    /// Returns whether an error is pending.
    pub fn is_error(self) -> bool {
        self.contains(Ready::ERROR)
    }

    /// Returns whether all of `other` is in this set.
    pub fn contains(self, other: Ready) -> bool {
        self & other == other
    }

    /// Returns the readiness that ends a wait with this interest: what was asked for, and the closing of it.
    pub fn from_interest(interest: Interest) -> Ready {
        let mut mask = Ready::EMPTY;
        if interest.is_readable() {
            mask |= Direction::Read.mask();
        }
        if interest.is_writable() {
            mask |= Direction::Write.mask();
        }
        if interest.has_priority() {
            mask |= Ready::URGENT | Ready::READ_CLOSED;
        }
        if interest.is_error() {
            mask |= Ready::ERROR;
        }
        mask
    }

    /// Whether the two sets have anything in common.
    pub(crate) fn intersects(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits, as they lie in a source's state.
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    /// The set of those bits that have a meaning here.
    pub(crate) fn from_bits(bits: u8) -> Ready {
        Ready(bits & Ready::ALL.0)
    }
}

impl ops::BitOr for Ready {
    type Output = Ready;

    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl ops::BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

impl ops::BitAnd for Ready {
    type Output = Ready;

    fn bitand(self, other: Ready) -> Ready {
        Ready(self.0 & other.0)
    }
}

impl ops::Sub for Ready {
    type Output = Ready;

    fn sub(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("is_readable", &self.is_readable())
            .field("is_writable", &self.is_writable())
            .field("is_read_closed", &self.is_read_closed())
            .field("is_write_closed", &self.is_write_closed())
            .field("is_priority", &self.contains(Ready::URGENT))
            .field("is_error", &self.is_error())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_ends_a_wait_in_its_direction() {
        let read = Ready::from_interest(Interest::READABLE);
        assert!(read.intersects(Ready::READ_CLOSED) && !read.intersects(Ready::WRITE_CLOSED));
        let write = Ready::from_interest(Interest::WRITABLE);
        assert!(write.intersects(Ready::WRITE_CLOSED) && !write.intersects(Ready::ERROR));
        assert_eq!(Ready::from_interest(Interest::ERROR), Ready::ERROR);
    }

    #[test]
    fn each_interest_is_ended_by_its_own() {
        let parts = [
            (Interest::READABLE, Ready::READABLE | Ready::READ_CLOSED),
            (Interest::WRITABLE, Ready::WRITABLE | Ready::WRITE_CLOSED),
            (Interest::ERROR, Ready::ERROR),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            (Interest::PRIORITY, Ready::PRIORITY | Ready::READ_CLOSED),
        ];
        for (interest, ready) in parts {
            assert_eq!(Ready::from_interest(interest), ready);
            for (other, more) in parts {
                assert_eq!(Ready::from_interest(interest | other), ready | more);
            }
        }
        for direction in [Direction::Read, Direction::Write] {
            assert_eq!(direction.open() | direction.closed(), direction.mask());
            assert!(!direction.open().intersects(direction.closed()));
            assert!(Ready::STICKY.contains(direction.closed()));
        }
        assert_eq!(Direction::Read.open(), Ready::READABLE);
        assert_eq!(Direction::Write.open(), Ready::WRITABLE);
    }

    #[test]
    fn sets_are_what_their_bits_say() {
        for a in 0..=Ready::ALL.bits() {
            let ready = Ready::from_bits(a);
            let has = |bit: u8| a & bit != 0;
            assert_eq!(ready.is_empty(), a == 0);
            assert_eq!(ready.is_readable(), has(1 | 4));
            assert_eq!(ready.is_writable(), has(2 | 8));
            assert_eq!(ready.is_read_closed(), has(4));
            assert_eq!(ready.is_write_closed(), has(8));
            assert_eq!(ready.is_error(), has(32));
            #[cfg(any(target_os = "linux", target_os = "android"))]
            assert_eq!(ready.is_priority(), has(16));
            for b in 0..=Ready::ALL.bits() {
                let other = Ready::from_bits(b);
                let mut sum = ready;
                sum |= other;
                assert_eq!((ready | other, sum.bits()), (sum, a | b));
                assert_eq!((ready & other).bits(), a & b);
                assert_eq!((ready - other).bits(), a & !b);
                assert_eq!(ready.contains(other), a & b == b);
                assert_eq!(ready.intersects(other), a & b != 0);
            }
        }
    }

    #[test]
    fn what_is_ready_is_printed() {
        let text = format!("{:?}", Ready::READABLE | Ready::ERROR);
        assert!(text.contains("is_readable: true") && text.contains("is_error: true"));
        assert!(text.contains("is_writable: false"));
    }

    #[test]
    fn bits_come_back() {
        for bits in 0..=Ready::ALL.bits() {
            assert_eq!(Ready::from_bits(bits).bits(), bits);
        }
        assert_eq!(Ready::from_bits(0xff), Ready::ALL);
    }
}
