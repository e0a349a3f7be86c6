//! Where the timers of a wheel live: nodes in pages, found by index and generation.
//!
//! Nodes come in pages of 64. A page whose last timer leaves gives its memory back, except for one
//! that is kept, so that a lone timer that comes and goes allocates nothing. Growing never moves a
//! node: inserting under the shard's lock costs at worst the allocation of one page, while a growing
//! `Vec` would copy a million timers. A timer that stays pins its page, 2.5 KiB; what stays for ever is
//! the page's header (1% of it), which is used again.
//!
//! What must always hold: a page is in the list of vacant pages exactly if it has memory and a free
//! node. A generation is given out once in 2^48 insertions, which take a month without a pause at 10 ns each: a key to a
//! timer that is gone finds nothing, whatever became of its node or page.

use std::task::Waker;

use crate::clock::Ticks;
use crate::level::Bucket;

/// No node, no page.
pub(crate) const NIL: u32 = u32::MAX;

/// log2 of the nodes in a page: a guess between the memory that one timer can pin and the number of
/// allocations that a burst of them makes.
const PAGE_LOG2: u32 = 6;
const PAGE: u32 = 1 << PAGE_LOG2;

/// A timer, or a free node.
#[derive(Debug)]
pub(crate) struct Node {
    /// When the timer is due.
    pub(crate) deadline: Ticks,
    /// Whom to wake; `None` in a free node.
    waker: Option<Waker>,
    /// The timer before this one in its bucket, or `NIL`.
    pub(crate) previous: u32,
    /// The timer after this one in its bucket, or `NIL`; in a free node, the next free node of the page.
    pub(crate) next: u32,
    /// The low half of the timer's generation. Apart from the high one, lest the node be 48 bytes.
    generation: u32,
    /// The high half, of 16 bits.
    generation_high: u16,
    /// The list that the timer is in.
    pub(crate) bucket: Bucket,
}

// What a sleeping task costs in the wheel.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Node>() == 40 && size_of::<Key>() == 12);

/// 64 nodes, or the header of a page that has given its memory back.
#[derive(Debug)]
struct Page {
    /// The nodes; `None` if the memory was given back.
    nodes: Option<Box<[Node; PAGE as usize]>>,
    /// The first free node.
    free: u32,
    /// How many nodes hold a timer.
    used: u32,
    /// The vacant page before this one.
    previous: u32,
    /// The vacant page after this one; in a page without memory, the next one without.
    next: u32,
}

impl Page {
    #[inline]
    fn node(&self, index: u32) -> &Node {
        let nodes = self.nodes.as_ref().expect(HAS_MEMORY);
        &nodes[(index % PAGE) as usize]
    }

    #[inline]
    fn node_mut(&mut self, index: u32) -> &mut Node {
        let nodes = self.nodes.as_mut().expect(HAS_MEMORY);
        &mut nodes[(index % PAGE) as usize]
    }
}

const HAS_MEMORY: &str = "a page that is vacant, or holds a timer, has memory";

/// Says which timer: where it lives, and which of those that lived there it is.
///
/// A key stays harmless when its timer is gone: it then finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The node.
    index: u32,
    /// The halves of the timer's generation.
    generation: u32,
    generation_high: u16,
}

impl Key {
    #[inline]
    pub(crate) fn index(self) -> u32 {
        self.index
    }
}

/// The timers of one wheel.
#[derive(Debug)]
pub(crate) struct Slab {
    /// All pages; a node's page is the high part of its index.
    pages: Vec<Page>,
    /// The first page with a free node.
    vacant: u32,
    /// The first page without memory.
    returned: u32,
    /// The one page that keeps its memory though no timer is in it, or `NIL`.
    spare: u32,
    /// How many timers there are.
    len: usize,
    /// How many timers were ever inserted. The low 48 bits are the generation given out last.
    inserted: u64,
}

impl Slab {
    pub(crate) fn new() -> Slab {
        Slab {
            pages: Vec::new(),
            vacant: NIL,
            returned: NIL,
            spare: NIL,
            len: 0,
            inserted: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns how many timers were ever inserted.
    pub(crate) fn inserted(&self) -> u64 {
        self.inserted
    }

    /// Returns the number of pages that have memory.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn pages(&self) -> usize {
        self.pages.iter().filter(|p| p.nodes.is_some()).count()
    }

    #[inline]
    pub(crate) fn node(&self, index: u32) -> &Node {
        self.pages[(index >> PAGE_LOG2) as usize].node(index)
    }

    #[inline]
    pub(crate) fn node_mut(&mut self, index: u32) -> &mut Node {
        self.pages[(index >> PAGE_LOG2) as usize].node_mut(index)
    }

    /// Returns the node of the timer that `key` means, if it is still there.
    #[inline]
    pub(crate) fn find(&self, key: Key) -> Option<u32> {
        let page = self.pages.get((key.index >> PAGE_LOG2) as usize)?;
        let node = &page.nodes.as_ref()?[(key.index % PAGE) as usize];
        let is_same = node.generation == key.generation
            && node.generation_high == key.generation_high
            && node.waker.is_some();
        is_same.then_some(key.index)
    }

    pub(crate) fn waker_mut(&mut self, index: u32) -> &mut Waker {
        self.node_mut(index)
            .waker
            .as_mut()
            .expect("only nodes that hold a timer are linked or found")
    }

    /// Puts a timer into a free node; it is in no list yet.
    #[inline]
    pub(crate) fn insert(&mut self, deadline: Ticks, waker: Waker) -> Key {
        let number = match self.vacant {
            NIL => self.add_page(),
            number => number,
        };
        self.len += 1;
        self.inserted += 1;
        let (generation, generation_high) = (self.inserted as u32, (self.inserted >> 32) as u16);
        let page = &mut self.pages[number as usize];
        page.used += 1;
        let index = page.free;
        let node = page.node_mut(index);
        node.deadline = deadline;
        node.generation = generation;
        node.generation_high = generation_high;
        node.waker = Some(waker);
        page.free = page.node(index).next;
        if self.spare == number {
            self.spare = NIL;
        }
        if page.free == NIL {
            self.unlink_vacant(number);
        }
        Key {
            index,
            generation,
            generation_high,
        }
    }

    /// Frees the node of a timer that is in no list, and returns the timer's waker.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) -> Waker {
        self.len -= 1;
        let number = index >> PAGE_LOG2;
        let page = &mut self.pages[number as usize];
        let free = page.free;
        let node = page.node_mut(index);
        let waker = node
            .waker
            .take()
            .expect("only nodes that hold a timer are removed");
        node.next = free;
        let was_full = free == NIL;
        page.free = index;
        page.used -= 1;
        let is_empty = page.used == 0;
        if was_full {
            self.link_vacant(number);
        }
        if is_empty {
            if self.spare == NIL {
                self.spare = number;
            } else {
                self.return_page(number);
            }
        }
        waker
    }

    /// Allocates a page, under the number of one that was given back if there is one.
    ///
    /// # Panics
    ///
    /// Panics beyond 2^32 - 64 timers, which would take 170 GB.
    #[cold]
    #[inline(never)]
    fn add_page(&mut self) -> u32 {
        let number = match self.returned {
            NIL => self.pages.len() as u32,
            number => number,
        };
        // Leaves out the very last page, so that no index is `NIL`.
        let (first, last) = number
            .checked_mul(PAGE)
            .and_then(|first| Some((first, first.checked_add(PAGE)? - 1)))
            .expect("fewer than 2^32 timers");
        let nodes = Box::new(std::array::from_fn(|at| {
            let index = first + at as u32;
            Node {
                deadline: Ticks::NEVER,
                waker: None,
                previous: NIL,
                next: if index == last { NIL } else { index + 1 },
                generation: 0,
                generation_high: 0,
                bucket: Bucket::NEVER,
            }
        }));
        let page = Page {
            nodes: Some(nodes),
            free: first,
            used: 0,
            previous: NIL,
            next: NIL,
        };
        if self.returned == NIL {
            self.pages.push(page);
        } else {
            self.returned = self.pages[number as usize].next;
            self.pages[number as usize] = page;
        }
        self.link_vacant(number);
        number
    }

    /// Gives back the memory of a vacant page without timers.
    fn return_page(&mut self, number: u32) {
        self.unlink_vacant(number);
        let returned = self.returned;
        let page = &mut self.pages[number as usize];
        page.nodes = None;
        page.free = NIL;
        page.next = returned;
        self.returned = number;
    }

    fn link_vacant(&mut self, number: u32) {
        let first = self.vacant;
        let page = &mut self.pages[number as usize];
        page.previous = NIL;
        page.next = first;
        if first != NIL {
            self.pages[first as usize].previous = number;
        }
        self.vacant = number;
    }

    fn unlink_vacant(&mut self, number: u32) {
        let page = &self.pages[number as usize];
        let (previous, next) = (page.previous, page.next);
        if previous == NIL {
            self.vacant = next;
        } else {
            self.pages[previous as usize].next = next;
        }
        if next != NIL {
            self.pages[next as usize].previous = previous;
        }
    }
}

#[cfg(all(test, not(rt_loom)))]
mod tests;
