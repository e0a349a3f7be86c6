//! One level of the wheel: 64 buckets and a bitmap of those that hold timers.
//!
//! A bucket is a doubly linked list through the slab: unlinking takes constant time, and timers of
//! one bucket leave in the order in which they came. The list is circular: the head's `previous` is
//! the tail, so that one index is all that a bucket stores.
//!
//! What must always hold: bit `i` of the bitmap is set exactly if bucket `i` is not empty.

use crate::slab::{NIL, Slab};

/// The number of buckets of a level: as many as a word has bits, so that the next occupied one is
/// found by one instruction.
pub(crate) const BUCKETS: usize = 64;

/// A circular doubly linked list of timers; first in, first out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    /// The first timer, or `NIL`.
    head: u32,
}

impl List {
    pub(crate) const EMPTY: List = List { head: NIL };

    pub(crate) fn front(self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }

    /// Appends timer `index`, which is in no list.
    #[inline]
    pub(crate) fn push_back(&mut self, slab: &mut Slab, index: u32) {
        if self.head == NIL {
            self.head = index;
            let node = slab.node_mut(index);
            node.previous = index;
            node.next = index;
            return;
        }
        let head = self.head;
        let tail = std::mem::replace(&mut slab.node_mut(head).previous, index);
        slab.node_mut(tail).next = index;
        let node = slab.node_mut(index);
        node.previous = tail;
        node.next = head;
    }

    /// Takes out timer `index`, which is in this list.
    #[inline]
    pub(crate) fn unlink(&mut self, slab: &mut Slab, index: u32) {
        let node = slab.node(index);
        let (previous, next) = (node.previous, node.next);
        if next == index {
            debug_assert_eq!(self.head, index, "a lone timer is the head of its list");
            self.head = NIL;
            return;
        }
        slab.node_mut(previous).next = next;
        slab.node_mut(next).previous = previous;
        if self.head == index {
            self.head = next;
        }
    }

    /// Returns the indices of the list's timers, in order.
    pub(crate) fn iter(self, slab: &Slab) -> impl Iterator<Item = u32> {
        let mut following = self.front();
        std::iter::from_fn(move || {
            let index = following?;
            let next = slab.node(index).next;
            following = (next != self.head).then_some(next);
            Some(index)
        })
    }
}

/// 64 buckets and the bitmap of those that are not empty.
#[derive(Debug)]
pub(crate) struct Level {
    /// Bit `i`: bucket `i` holds a timer.
    occupied: u64,
    /// The buckets.
    buckets: [List; BUCKETS],
}

impl Level {
    pub(crate) fn new() -> Level {
        Level {
            occupied: 0,
            buckets: [List::EMPTY; BUCKETS],
        }
    }

    /// Returns the lowest occupied bucket.
    pub(crate) fn first(&self) -> Option<u8> {
        (self.occupied != 0).then(|| self.occupied.trailing_zeros() as u8)
    }

    pub(crate) fn bucket(&self, position: u8) -> List {
        self.buckets[usize::from(position)]
    }

    pub(crate) fn push_back(&mut self, position: u8, slab: &mut Slab, index: u32) {
        self.occupied |= 1 << position;
        self.buckets[usize::from(position)].push_back(slab, index);
    }

    pub(crate) fn unlink(&mut self, position: u8, slab: &mut Slab, index: u32) {
        let bucket = &mut self.buckets[usize::from(position)];
        bucket.unlink(slab, index);
        if bucket.front().is_none() {
            self.occupied &= !(1 << position);
        }
    }
}
