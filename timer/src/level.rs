//! The lists of a wheel: six levels of 64 buckets, and three more; with a bitmap of those that hold timers.
//!
//! A bucket is a doubly linked list through the slab: unlinking takes constant time, and timers of
//! one bucket leave in the order in which they came. Appending touches one other timer, and so does taking the
//! first: with many timers each touch is a cache miss.
//!
//! What must always hold: bit `i` of word `w` of the bitmap is set exactly if bucket `64 w + i` is not empty.

use crate::slab::{NIL, Slab};

/// Six levels of 2^6 buckets.
pub(crate) const LEVELS: usize = 6;
/// The number of buckets of a level: as many as a word has bits, so that the next occupied one is
/// found by one instruction.
const SPAN: usize = 1 << DIGIT_BITS;
/// How many bits of a deadline choose the bucket in a level.
pub(crate) const DIGIT_BITS: u32 = 6;

/// Which list of the wheel a timer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket(
    /// The level times 64 and the position in it; what follows the levels is not on a ring.
    u16,
);

impl Bucket {
    /// The timers whose deadline never comes.
    pub(crate) const NEVER: Bucket = Bucket((LEVELS * SPAN) as u16 + 2);

    /// Returns a bucket of a level.
    #[inline]
    pub(crate) fn ring(level: u32, position: u32) -> Bucket {
        debug_assert!(level < LEVELS as u32 && position < SPAN as u32);
        Bucket((level << DIGIT_BITS | position) as u16)
    }

    /// Returns one of the two lists, 0 and 1, of timers beyond the range of the levels.
    pub(crate) fn far(turn: u8) -> Bucket {
        Bucket((LEVELS * SPAN) as u16 + u16::from(turn))
    }

    /// Returns whether this is a bucket of level 0: all of its timers have one deadline.
    pub(crate) fn is_lowest(self) -> bool {
        usize::from(self.0) < SPAN
    }
}

/// A doubly linked list of timers; first in, first out.
#[derive(Clone, Copy, Debug)]
struct List {
    /// The first timer, or `NIL`.
    head: u32,
    /// The last timer, or `NIL`.
    tail: u32,
}

/// All buckets, and the bitmap of those that are not empty.
#[derive(Debug)]
pub(crate) struct Buckets {
    /// A word for each level, and one for the lists beside the levels.
    occupied: [u64; LEVELS + 1],
    /// The lists, a level after the other.
    lists: [List; (LEVELS + 1) * SPAN],
}

impl Buckets {
    pub(crate) fn new() -> Buckets {
        const EMPTY: List = List {
            head: NIL,
            tail: NIL,
        };
        Buckets {
            occupied: [0; LEVELS + 1],
            lists: [EMPTY; (LEVELS + 1) * SPAN],
        }
    }

    /// Returns the lowest level that holds a timer, and the first of its occupied positions.
    #[inline]
    pub(crate) fn first(&self) -> Option<(u32, u32)> {
        let level = self.occupied[..LEVELS].iter().position(|&word| word != 0)?;
        Some((level as u32, self.occupied[level].trailing_zeros()))
    }

    /// Returns the first timer of `bucket`.
    #[inline]
    pub(crate) fn front(&self, bucket: Bucket) -> Option<u32> {
        let head = self.lists[usize::from(bucket.0)].head;
        (head != NIL).then_some(head)
    }

    /// Appends timer `index`, which is in no list, to `bucket`.
    #[inline]
    pub(crate) fn push_back(&mut self, bucket: Bucket, slab: &mut Slab, index: u32) {
        let list = &mut self.lists[usize::from(bucket.0)];
        let tail = std::mem::replace(&mut list.tail, index);
        let node = slab.node_mut(index);
        node.previous = tail;
        node.next = NIL;
        node.bucket = bucket;
        if tail == NIL {
            list.head = index;
            self.occupied[usize::from(bucket.0) / SPAN] |= 1 << (bucket.0 % SPAN as u16);
        } else {
            slab.node_mut(tail).next = index;
        }
    }

    /// Takes timer `index` out of the list that it is in.
    #[inline]
    pub(crate) fn unlink(&mut self, slab: &mut Slab, index: u32) {
        let node = slab.node(index);
        let (bucket, previous, next) = (node.bucket, node.previous, node.next);
        let list = &mut self.lists[usize::from(bucket.0)];
        if next == NIL {
            list.tail = previous;
        } else {
            slab.node_mut(next).previous = previous;
        }
        if previous != NIL {
            slab.node_mut(previous).next = next;
            return;
        }
        list.head = next;
        if next == NIL {
            self.occupied[usize::from(bucket.0) / SPAN] &= !(1 << (bucket.0 % SPAN as u16));
        }
    }

    /// Returns the indices of the timers of `bucket`, in order.
    pub(crate) fn iter(&self, bucket: Bucket, slab: &Slab) -> impl Iterator<Item = u32> {
        std::iter::successors(self.front(bucket), |&index| {
            let next = slab.node(index).next;
            (next != NIL).then_some(next)
        })
    }
}
