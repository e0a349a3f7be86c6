//! Where sources live: pages that are allocated on demand and stay until the reactor goes.
//!
//! An event carries a [`Token`]; finding its source takes no lock, for a page never moves once it exists and its
//! slots are reused, not freed. Whether the slot still belongs to the token's registration is for the source's
//! generation to say. Only taking and releasing a slot lock the list of free ones; the registrations are counted there.
//!
//! Pages come in groups of [`PARTS`], each group twice as large as the one before: a fixed table holds every index, the page of an
//! index takes a shift to find, and from 200 sources on at most a quarter of the room stands empty. A source is one cache line, and nothing
//! else is kept for a registration but its owner's number, and the number of its slot once that is free.
//!
//! # Closing
//!
//! 1. Under the lock: refuse every later `take`.
//! 2. Visit all slots and end their waits.
//!
//! A registration either took its slot before step 1, and step 2 finds it, or is refused.

use std::{io, os::fd::RawFd, sync::OnceLock, task::Waker};

use crate::{
    Ready,
    source::Source,
    sync::{Mutex, bug},
    token::Token,
};

/// Slots of the first group: 4 KiB. A guess at what a small program needs.
#[cfg(not(rt_loom))]
const FIRST: u64 = 64;
/// Models stay small: a lock and an atomic for each slot.
#[cfg(rt_loom)]
const FIRST: u64 = 1;

/// Pages of a group: what may stand empty is one part of so many.
#[cfg(not(rt_loom))]
const PARTS: u64 = 4;
/// As small as the first group.
#[cfg(rt_loom)]
const PARTS: u64 = 1;

/// Pages enough for every index of a [`Token`].
const PAGES: usize = (33 - FIRST.ilog2() as usize) * PARTS as usize;

/// Some slots.
type Page = Box<[Source]>;

/// All sources of one reactor.
#[derive(Debug)]
pub(crate) struct Slab {
    /// Those of group n hold `FIRST << n` slots together. Written once, by whoever takes its first slot, under the lock.
    pages: [OnceLock<Page>; PAGES],
    /// Which slots are free.
    free: Mutex<Free>,
}

/// The slots that nobody has.
#[derive(Debug)]
struct Free {
    /// Slots that have been released; the last one is the warmest.
    released: Vec<u32>,
    /// The first slot that has never been taken.
    fresh: u32,
    /// How many slots have been taken, each time one was.
    taken: u64,
    /// Whether new registrations are refused.
    is_closed: bool,
}

impl Slab {
    /// Creates a slab without pages.
    pub(crate) fn new() -> Self {
        Self {
            pages: [const { OnceLock::new() }; PAGES],
            free: Mutex::new(Free {
                released: Vec::new(),
                fresh: 0,
                taken: 0,
                is_closed: false,
            }),
        }
    }

    /// Takes a slot and begins a registration of `fd` in it.
    ///
    /// # Errors
    ///
    /// Fails if the slab is closed, or full at 2³² - 2 sources.
    pub(crate) fn take(&self, fd: RawFd, initially: Ready) -> io::Result<Token> {
        let mut free = self.free.lock();
        if free.is_closed {
            return Err(shutdown_error());
        }
        let index = match free.released.pop() {
            Some(index) => index,
            None if free.fresh < Token::END => {
                free.fresh += 1;
                free.fresh - 1
            }
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::OutOfMemory,
                    "too many I/O sources",
                ));
            }
        };
        free.taken += 1;
        let (page, offset) = place(index);
        let page =
            self.pages[page].get_or_init(|| (0..page_len(page)).map(|_| Source::new()).collect());
        // Still under the lock: closing must find every registration that it does not refuse.
        let generation = page[offset].open(fd, initially);
        Ok(Token { generation, index })
    }

    /// Ends a registration and makes its slot free.
    pub(crate) fn release(&self, token: Token) {
        let left = self.taken(token).retire();
        self.free.lock().released.push(token.index);
        // Last: a waker may panic when it is dropped.
        drop(left);
    }

    /// The source of a registration that has not ended.
    #[inline]
    pub(crate) fn taken(&self, token: Token) -> &Source {
        self.get(token)
            .expect("the page of a slot that was taken stays")
    }

    /// Finds the source that a token points at, whosever it is by now.
    #[inline]
    pub(crate) fn get(&self, token: Token) -> Option<&Source> {
        let (page, offset) = place(token.index);
        let source = self.pages.get(page)?.get()?.get(offset)?;
        Some(source)
    }

    /// Ends every wait, present and future, and hands out the wakers. A second call does nothing.
    pub(crate) fn close(&self, wake: &mut dyn FnMut(Waker)) {
        if bug::CLOSE_REFUSES_LATE.is_on() {
            self.expel_all(wake);
        }
        // 1.
        let was_closed = std::mem::replace(&mut self.free.lock().is_closed, true);
        // 2.
        if !was_closed && !bug::CLOSE_REFUSES_LATE.is_on() {
            self.expel_all(wake);
        }
    }

    /// Whether new registrations are refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.free.lock().is_closed
    }

    /// The number of slots taken now, and how often one was taken.
    pub(crate) fn counts(&self) -> (usize, u64) {
        let free = self.free.lock();
        (free.fresh as usize - free.released.len(), free.taken)
    }

    /// The number of slots taken.
    pub(crate) fn len(&self) -> usize {
        self.counts().0
    }

    /// Ends the waits of every slot, taken or not.
    fn expel_all(&self, wake: &mut dyn FnMut(Waker)) {
        for source in self
            .pages
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|page| page.iter())
        {
            source.expel(wake);
        }
    }
}

/// What every wait for I/O gets once the reactor has closed.
pub(crate) fn shutdown_error() -> io::Error {
    io::Error::other("the runtime that served this I/O has shut down")
}

/// The page of an index, and the place in it.
#[inline]
fn place(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + FIRST;
    // The highest bit tells the group, those below it the part, the others the place.
    let part_bits = shifted.ilog2() - PARTS.ilog2();
    let group = u64::from(shifted.ilog2() - FIRST.ilog2());
    let page = group * PARTS + (shifted >> part_bits) - PARTS;
    let offset = shifted & ((1 << part_bits) - 1);
    (page as usize, offset as usize)
}

/// How many slots a page holds.
fn page_len(page: usize) -> usize {
    (FIRST as usize / PARTS as usize) << (page / PARTS as usize)
}

#[cfg(all(test, not(rt_loom)))]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_every_index_once() {
        let mut expected = (0, 0);
        let mut room = 0;
        for index in 0..10_000 {
            assert_eq!(place(index), expected);
            if expected.1 == 0 {
                room += page_len(expected.0);
                let taken = index as usize + 1;
                assert!(
                    taken < 193 || room - taken <= room / 4,
                    "more than a quarter stands empty at {taken} sources"
                );
            }
            expected.1 += 1;
            if expected.1 == page_len(expected.0) {
                expected = (expected.0 + 1, 0);
            }
        }
        for index in [Token::END - 1, Token::END, u32::MAX] {
            let (page, offset) = place(index);
            assert!(page < PAGES && offset < page_len(page));
            assert!(PAGES - page <= PARTS as usize, "the table is too large");
        }
    }

    #[test]
    fn a_released_slot_is_taken_again_with_another_generation() {
        let slab = Slab::new();
        let old = slab.take(3, Ready::EMPTY).expect("open");
        let other = slab.take(4, Ready::EMPTY).expect("open");
        assert_ne!(old.index, other.index);
        assert_eq!(slab.len(), 2);
        slab.release(old);
        let new = slab.take(3, Ready::EMPTY).expect("open");
        assert_eq!(new.index, old.index);
        assert_ne!(new.generation, old.generation);
        assert_eq!(slab.counts(), (2, 3));
    }

    #[test]
    fn unknown_tokens_find_nothing() {
        let slab = Slab::new();
        assert!(slab.get(Token::from_key(0)).is_none());
        assert!(slab.get(Token::from_key(u64::MAX)).is_none());
        assert!(slab.get(Token::from_key(u64::MAX - 1)).is_none());
    }

    #[test]
    fn a_full_slab_refuses() {
        let slab = Slab::new();
        slab.free.lock().fresh = Token::END;
        let error = slab.take(3, Ready::EMPTY).expect_err("full");
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }

    #[test]
    fn a_closed_slab_refuses() {
        let slab = Slab::new();
        let token = slab.take(3, Ready::ALL).expect("open");
        slab.close(&mut |_| panic!("nobody waits"));
        assert!(slab.taken(token).load().is_gone());
        let error = slab.take(4, Ready::EMPTY).expect_err("closed");
        assert_eq!(error.to_string(), shutdown_error().to_string());
    }
}
