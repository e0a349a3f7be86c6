//! Where sources live: pages that are allocated on demand and stay until the reactor goes.
//!
//! An event carries a [`Token`]; finding its source takes no lock, for a page never moves once it exists and its
//! slots are reused, not freed. Whether the slot still belongs to the token's registration is for the source's
//! generation to say. Each page is twice as large as the one before, so that 27 of them hold every index. Only taking
//! and releasing a slot lock the list of free ones; the registrations are counted there.
//!
//! # Closing
//!
//! 1. Under the lock: refuse every later `take`.
//! 2. Visit all slots and end their waits.
//!
//! A registration either took its slot before step 1, and step 2 finds it, or is refused.

use std::{
    io,
    ops::Deref,
    sync::{Arc, OnceLock},
    task::Waker,
};

use crossbeam_utils::CachePadded;

use crate::{
    Ready,
    source::Source,
    sync::{Mutex, bug},
    token::Token,
};

/// Slots of the first page: 4 KiB. A guess at what a small program needs.
#[cfg(not(rt_loom))]
const FIRST: u64 = 32;
/// Models stay small: a lock and an atomic for each slot.
#[cfg(rt_loom)]
const FIRST: u64 = 1;

/// Pages enough for every index of a [`Token`].
const PAGES: usize = 33 - FIRST.ilog2() as usize;

/// Some slots, each on cache lines of its own: neighbours are used by different threads.
type Page = Arc<[CachePadded<Source>]>;

/// All sources of one reactor.
#[derive(Debug)]
pub(crate) struct Slab {
    /// Page n holds `FIRST << n` slots. Written once, by whoever takes its first slot, under the lock.
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

/// A taken slot. Keeps its page, so that it may be used without asking the slab.
#[derive(Debug)]
pub(crate) struct SourceRef {
    /// The page that the slot is in.
    page: Page,
    /// Its place in that page.
    offset: usize,
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

    /// Takes a slot and begins a registration in it.
    ///
    /// # Errors
    ///
    /// Fails if the slab is closed, or full at 2³² - 2 sources.
    pub(crate) fn take(&self, initially: Ready) -> io::Result<(SourceRef, Token)> {
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
        let page = self.pages[page].get_or_init(|| {
            let slots = FIRST << page;
            (0..slots)
                .map(|_| CachePadded::new(Source::new()))
                .collect()
        });
        let source = SourceRef {
            page: Arc::clone(page),
            offset,
        };
        // Still under the lock: closing must find every registration that it does not refuse.
        let generation = source.open(initially);
        Ok((source, Token { generation, index }))
    }

    /// Ends a registration and makes its slot free.
    pub(crate) fn release(&self, source: &SourceRef, token: Token) {
        let left = source.retire();
        self.free.lock().released.push(token.index);
        // Last: a waker may panic when it is dropped.
        drop(left);
    }

    /// Finds the source that a token points at, whosever it is by now.
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

impl Deref for SourceRef {
    type Target = Source;

    fn deref(&self) -> &Source {
        &self.page[self.offset]
    }
}

/// What every wait for I/O gets once the reactor has closed.
pub(crate) fn shutdown_error() -> io::Error {
    io::Error::other("the runtime that served this I/O has shut down")
}

/// The page of an index, and the place in it.
fn place(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + FIRST;
    let page = shifted.ilog2() - FIRST.ilog2();
    (page as usize, (shifted - (FIRST << page)) as usize)
}

#[cfg(all(test, not(rt_loom)))]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_every_index_once() {
        let mut expected = (0, 0);
        for index in 0..10_000 {
            assert_eq!(place(index), expected);
            expected.1 += 1;
            if expected.1 as u64 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(place(Token::END).0 < PAGES);
    }

    #[test]
    fn a_released_slot_is_taken_again_with_another_generation() {
        let slab = Slab::new();
        let (first, old) = slab.take(Ready::EMPTY).expect("open");
        let (_second, other) = slab.take(Ready::EMPTY).expect("open");
        assert_ne!(old.index, other.index);
        assert_eq!(slab.len(), 2);
        slab.release(&first, old);
        let (_third, new) = slab.take(Ready::EMPTY).expect("open");
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
    fn a_closed_slab_refuses() {
        let slab = Slab::new();
        let (source, _token) = slab.take(Ready::ALL).expect("open");
        slab.close(&mut |_| panic!("nobody waits"));
        assert!(source.load().is_gone());
        let error = slab.take(Ready::EMPTY).expect_err("closed");
        assert_eq!(error.to_string(), shutdown_error().to_string());
    }
}
