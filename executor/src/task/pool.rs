//! Memory of cells that have been freed, kept by the thread that freed them for the cells that it makes next.
//!
//! A task that is spawned, polled and joined on one thread needs memory for some microseconds, for which glibc's `malloc` and `free` take 130 of its 670 instructions, and more where many
//! tasks come and go at once. So each thread keeps what it frees, by size, and takes from there (decision 16). It keeps as much as it has had to ask the allocator for, up to
//! [`LIMIT`] bytes: a thread that only frees, as one of the blocking pool does, keeps nothing. What is more goes back to the allocator.
//!
//! - **P1** What lies in a list has the list's layout, came from the global allocator, and belongs to nobody else.
//! - **P2** Its first word is the pointer to the next piece, or null.
//! - **P3** Only the thread itself touches its lists.
//!
//! When the thread ends, its lists are freed; a cell that it frees still later goes straight back.
//!
//! **Cost.** To take or to keep a piece: a look whether the thread ends, and five loads and stores of its own. Where there is none to take, one or two more, besides the allocator's.

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// The sizes of two lists differ by so many bytes, and the least is this: what fits into the pieces of glibc's `malloc`, which begin with a word of its own.
const STEP: usize = 16;
const LEAST: usize = 24;
/// How many lists there are. Cells of more than 1,032 bytes are not kept.
const LISTS: usize = 64;
/// So many bytes are kept by a thread: some thousand cells. With 16 KiB for each size 100,000 tasks of a root took 1.1 times as long as with none; more is idle memory.
/// Tools that look for the use of freed memory want it to be given back.
const LIMIT: usize = if cfg!(any(miri, fuzzing, rt_loom, rt_shuttle, rt_unpooled)) {
    0
} else {
    256 * 1024
};

thread_local! {
    /// What this thread keeps.
    static POOL: Pool = const { Pool::new(LIMIT) };
}

/// Lists of freed memory, by size.
struct Pool {
    /// The first piece of each list, or null.
    first: [Cell<*mut u8>; LISTS],
    /// How many bytes more may be kept by now.
    room: Cell<usize>,
    /// By how many bytes that may still grow.
    growth: Cell<usize>,
}

/// The list for cells of this layout, if they are kept.
const fn list_of(layout: Layout) -> Option<usize> {
    let list = layout.size().saturating_sub(LEAST).div_ceil(STEP);
    if list < LISTS && layout.align() <= STEP {
        Some(list)
    } else {
        None
    }
}

/// The list for a `T`, if it is kept, and the layout to ask the allocator for.
const fn list_for<T>() -> (Option<usize>, Layout) {
    let layout = Layout::new::<T>();
    assert!(layout.size() > 0, "the allocator is not asked for nothing");
    match list_of(layout) {
        Some(list) if LIMIT > 0 => (Some(list), layout_of(list)),
        _ => (None, layout),
    }
}

/// The layout of what lies in a list.
const fn layout_of(list: usize) -> Layout {
    match Layout::from_size_align(LEAST + list * STEP, STEP) {
        Ok(layout) => layout,
        Err(_) => panic!("the size is small and the alignment a power of two"),
    }
}

impl Pool {
    const fn new(limit: usize) -> Pool {
        Pool {
            first: [const { Cell::new(ptr::null_mut()) }; LISTS],
            room: Cell::new(0),
            growth: Cell::new(limit),
        }
    }

    /// Takes a piece from a list; null if there is none.
    #[inline]
    fn take(&self, list: usize) -> *mut u8 {
        let memory = self.first[list].get();
        if memory.is_null() {
            self.miss(list);
        } else {
            self.unlink(list, memory);
        }
        memory
    }

    /// Takes the first piece off its list.
    #[inline]
    fn unlink(&self, list: usize, memory: *mut u8) {
        // SAFETY: it lies in the list, so its first word is a pointer (P2), and nobody else writes it (P1, P3).
        let next = unsafe { memory.cast::<*mut u8>().read() };
        self.first[list].set(next);
        self.room.set(self.room.get() + layout_of(list).size());
    }

    /// There was no piece: one more may be kept, if need be in the place of another size.
    #[inline]
    fn miss(&self, list: usize) {
        let size = layout_of(list).size();
        if let Some(growth) = self.growth.get().checked_sub(size) {
            self.growth.set(growth);
            self.room.set(self.room.get() + size);
        } else if self.room.get() < size {
            self.evict();
        }
    }

    /// Gives a piece back that nobody has asked for.
    #[cold]
    fn evict(&self) {
        let first = |list: &usize| self.first[*list].get();
        if let Some(list) = (0..LISTS).find(|list| !first(list).is_null()) {
            self.give_back(list, first(&list));
        }
    }

    /// Gives the first piece of a list back to the allocator.
    fn give_back(&self, list: usize, memory: *mut u8) {
        self.unlink(list, memory);
        // SAFETY: it came from the global allocator with this layout, and is nobody else's (P1).
        unsafe { alloc::dealloc(memory, layout_of(list)) };
    }

    /// Keeps a piece, if there is room; returns whether there was.
    ///
    /// # Safety
    ///
    /// P1 holds for the piece, and the caller is done with it if it is kept.
    #[inline]
    unsafe fn keep(&self, list: usize, memory: *mut u8) -> bool {
        let Some(room) = self.room.get().checked_sub(layout_of(list).size()) else {
            return false;
        };
        debug_assert_ne!(self.first[list].get(), memory, "a cell is freed twice");
        // SAFETY: the memory is ours, and has the list's layout (P1): room for a pointer.
        unsafe { memory.cast::<*mut u8>().write(self.first[list].get()) };
        self.first[list].set(memory);
        self.room.set(room);
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for list in 0..LISTS {
            while let memory = self.first[list].get()
                && !memory.is_null()
            {
                self.give_back(list, memory);
            }
        }
    }
}

/// Memory for a `T`, for [`free`] to give back.
#[inline]
pub(super) fn allocate<T>() -> NonNull<T> {
    let (list, layout) = const { list_for::<T>() };
    let kept = list.and_then(|list| POOL.try_with(|pool| pool.take(list)).ok());
    let memory = match kept {
        Some(memory) if !memory.is_null() => memory,
        // SAFETY: `list_for` has seen that the size is not zero.
        _ => unsafe { alloc::alloc(layout) },
    };
    let Some(memory) = NonNull::new(memory.cast()) else {
        alloc::handle_alloc_error(layout)
    };
    memory
}

/// Gives back the memory of a `T`, which has been dropped.
///
/// # Safety
///
/// The memory came from [`allocate`] for this type, and nobody uses it any more.
#[inline]
pub(super) unsafe fn free<T>(memory: NonNull<T>) {
    let memory = memory.as_ptr().cast::<u8>();
    let (list, layout) = const { list_for::<T>() };
    let is_kept = list.is_some_and(|list| {
        POOL.try_with(|pool| {
            // SAFETY: `allocate` has made it with the list's layout, and the caller is done with it.
            unsafe { pool.keep(list, memory) }
        })
        .unwrap_or(false)
    });
    if !is_kept {
        // SAFETY: `allocate` has made it with this layout, and the caller is done with it.
        unsafe { alloc::dealloc(memory, layout) };
    }
}

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests {
    use super::*;
    use std::mem;

    /// Makes room for a piece, and has it from the allocator, as who finds none.
    fn piece(pool: &Pool, list: usize) -> *mut u8 {
        assert!(pool.take(list).is_null());
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc::alloc(layout_of(list)) };
        assert!(!memory.is_null());
        memory
    }

    /// Keeps a piece, or gives it back to the allocator; returns whether it is kept.
    fn keep(pool: &Pool, list: usize, memory: *mut u8) -> bool {
        // SAFETY: all pieces here come from `piece` with the same list, and are used no more.
        let is_kept = unsafe { pool.keep(list, memory) };
        if !is_kept {
            // SAFETY: as above.
            unsafe { alloc::dealloc(memory, layout_of(list)) };
        }
        is_kept
    }

    #[test]
    fn what_is_kept_is_taken_again_last_first_by_its_size_only() {
        let pool = Pool::new(1024);
        let pieces = [3, 3, 4].map(|list| (list, piece(&pool, list)));
        for (list, memory) in pieces {
            assert!(keep(&pool, list, memory));
        }
        assert!(pool.take(5).is_null());
        assert_eq!(pool.take(3), pieces[1].1);
        assert_eq!(pool.take(3), pieces[0].1);
        assert!(pool.take(3).is_null());
        assert_eq!(pool.take(4), pieces[2].1);
        for (list, memory) in pieces {
            // The pool frees them; a leak or a second free is for the sanitizer to find.
            assert!(keep(&pool, list, memory));
        }
    }

    #[test]
    fn a_thread_keeps_as_much_as_it_has_asked_for_up_to_the_limit() {
        let pool = Pool::new(119);
        let other = Pool::new(119);
        let freed_elsewhere = piece(&other, 1);
        assert!(!keep(&pool, 1, freed_elsewhere), "it has asked for nothing");
        let pieces = [(); 3].map(|()| piece(&pool, 1));
        assert!(keep(&pool, 1, pieces[0]) && keep(&pool, 1, pieces[1]));
        assert!(!keep(&pool, 1, pieces[2]), "3 × 40 bytes are too many");
        assert_eq!(pool.take(1), pieces[1]);
        assert!(keep(&pool, 1, pieces[1]), "there is room again");
    }

    #[test]
    fn what_nobody_asks_for_gives_way() {
        let pool = Pool::new(100);
        let pieces = [(); 2].map(|()| piece(&pool, 1));
        assert!(pieces.iter().all(|&memory| keep(&pool, 1, memory)));
        let other = piece(&pool, 2);
        assert!(!keep(&pool, 2, other), "one of 40 bytes has gone, for 56");
        let other = piece(&pool, 2);
        assert!(keep(&pool, 2, other), "the other one, too");
        assert!(pool.first[1].get().is_null());
    }

    #[test]
    fn each_layout_has_a_list_that_suits_it_or_none() {
        for size in 1..=2048 {
            for align in [1, 8, 16, 32, 128] {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                let Some(list) = list_of(layout) else {
                    assert!(size > 1032 || align > STEP, "{layout:?}");
                    continue;
                };
                assert!(list < LISTS && size <= 1032 && align <= STEP);
                let listed = layout_of(list);
                assert!(listed.size() >= size && listed.size() < size.max(LEAST) + STEP);
                assert!(listed.align() >= align);
                assert!(listed.size() >= mem::size_of::<*mut u8>());
            }
        }
    }

    #[test]
    fn a_thread_uses_again_what_it_has_freed() {
        let (list, _) = list_for::<[u64; 20]>();
        let room = || POOL.with(|pool| pool.room.get());
        // What other tests have left on this thread.
        let before = room();
        let first = allocate::<[u64; 20]>();
        let while_used = room();
        // SAFETY: it was made for this type, and is not used any more.
        unsafe { free(first) };
        if let Some(list) = list {
            assert_eq!(while_used, before + 168);
            assert_eq!(room(), before);
            assert_eq!(
                POOL.with(|pool| pool.first[list].get()),
                first.as_ptr().cast()
            );
            let second = allocate::<[u64; 20]>();
            assert_eq!((second, room()), (first, while_used));
            // SAFETY: as above.
            unsafe { free(second) };
        } else {
            assert_eq!((LIMIT, before, while_used), (0, 0, 0));
        }
    }
}
