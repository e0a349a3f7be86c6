//! Memory of cells that have been freed, kept by the thread that freed them for the cells that it makes next.
//!
//! A task that is spawned, polled and joined on one thread needs memory for some microseconds. For that glibc's `malloc` and `free` take a fifth of the task's 650 instructions,
//! since their own cache for a thread holds seven pieces of a size. So each thread keeps what it frees, by size, up to
//! [`LIMIT`] bytes in all, and takes from there. What another thread frees, that one keeps; what is more than the limit goes back to the allocator.
//!
//! - **P1** What lies in a list has the list's layout, came from the global allocator, and belongs to nobody else.
//! - **P2** Its first word is the pointer to the next piece, or null.
//! - **P3** Only the thread itself touches its lists.
//!
//! When the thread ends, its lists are freed; a cell that it frees still later goes straight back.
//!
//! **Cost.** To take or to keep a piece: a look whether the thread ends, three loads and two stores of its own. Where there is never one to take
//! (a thread that only makes cells), a spawn takes 2 % longer than without. Decision 16 has what it gains.

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// The sizes of two lists differ by so many bytes, and the least is this: what fits into the pieces of glibc's `malloc`, which begin with a word of its own.
const STEP: usize = 16;
const LEAST: usize = 24;
/// How many lists there are. Cells of more than a kilobyte are not kept.
const LISTS: usize = 64;
/// So many bytes are kept by a thread. With 16 kB for each size `spawn_outside` gains nothing; more is idle memory.
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
    /// How many bytes more are kept.
    room: Cell<usize>,
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
            room: Cell::new(limit),
        }
    }

    /// Takes a piece from a list; null if there is none.
    #[inline]
    fn take(&self, list: usize) -> *mut u8 {
        let memory = self.first[list].get();
        if !memory.is_null() {
            // SAFETY: it lies in the list, so its first word is a pointer (P2), and nobody else writes it (P1, P3).
            let next = unsafe { memory.cast::<*mut u8>().read() };
            self.first[list].set(next);
            self.room.set(self.room.get() + layout_of(list).size());
        }
        memory
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
            loop {
                let memory = self.take(list);
                if memory.is_null() {
                    break;
                }
                // SAFETY: it came from the global allocator with this layout, and is nobody else's (P1).
                unsafe { alloc::dealloc(memory, layout_of(list)) };
            }
        }
    }
}

/// Memory for a `T`, which has a size: for [`free`] to give back.
#[inline]
pub(super) fn allocate<T>() -> NonNull<T> {
    let list = const { list_of(Layout::new::<T>()) };
    let layout = list.map_or(Layout::new::<T>(), layout_of);
    let kept = list.and_then(|list| POOL.try_with(|pool| pool.take(list)).ok());
    let memory = match kept {
        Some(memory) if !memory.is_null() => memory,
        // SAFETY: a cell has a header, so its size is not zero.
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
    let list = const { list_of(Layout::new::<T>()) };
    let is_kept = list.is_some_and(|list| {
        POOL.try_with(|pool| {
            // SAFETY: `allocate` has made it with the list's layout, and the caller is done with it.
            unsafe { pool.keep(list, memory) }
        })
        .unwrap_or(false)
    });
    if !is_kept {
        let layout = list.map_or(Layout::new::<T>(), layout_of);
        // SAFETY: `allocate` has made it with this layout, and the caller is done with it.
        unsafe { alloc::dealloc(memory, layout) };
    }
}

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests {
    use super::*;
    use std::mem;

    /// A piece for a list, from the allocator.
    fn piece(list: usize) -> *mut u8 {
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc::alloc(layout_of(list)) };
        assert!(!memory.is_null());
        memory
    }

    fn keep(pool: &Pool, list: usize, memory: *mut u8) -> bool {
        // SAFETY: all pieces here come from `piece` with the same list, and are used no more.
        unsafe { pool.keep(list, memory) }
    }

    #[test]
    fn what_is_kept_is_taken_again_last_first_by_its_size_only() {
        let pool = Pool::new(1024);
        let pieces = [piece(3), piece(3), piece(4)];
        for (list, memory) in [3, 3, 4].into_iter().zip(pieces) {
            assert!(keep(&pool, list, memory));
        }
        assert!(pool.take(5).is_null());
        assert_eq!(pool.take(3), pieces[1]);
        assert_eq!(pool.take(3), pieces[0]);
        assert!(pool.take(3).is_null());
        assert_eq!(pool.take(4), pieces[2]);
        assert_eq!(pool.room.get(), 1024);
        for (list, memory) in [3, 3, 4].into_iter().zip(pieces) {
            // The pool frees them; a leak or a second free is for the sanitizer to find.
            assert!(keep(&pool, list, memory));
        }
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let pool = Pool::new(119);
        let pieces = [piece(1), piece(1), piece(1)];
        assert!(keep(&pool, 1, pieces[0]) && keep(&pool, 1, pieces[1]));
        assert!(!keep(&pool, 1, pieces[2]), "3 × 40 bytes are too many");
        assert_eq!(pool.take(1), pieces[1]);
        assert!(keep(&pool, 1, pieces[2]), "there is room again");
        assert!(keep(&Pool::new(40), 1, pieces[1]));
    }

    #[test]
    fn each_layout_has_a_list_that_suits_it_or_none() {
        for size in 1..=2048 {
            for align in [1, 8, 16, 32, 128] {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                let Some(list) = list_of(layout) else {
                    assert!(size > 1024 || align > STEP, "{layout:?}");
                    continue;
                };
                let listed = layout_of(list);
                assert!(listed.size() >= size && listed.size() < size.max(LEAST) + STEP);
                assert!(listed.align() >= align);
                assert!(listed.size() >= mem::size_of::<*mut u8>());
            }
        }
    }

    #[test]
    fn a_thread_uses_again_what_it_has_freed() {
        let first = allocate::<[u64; 20]>();
        // SAFETY: it was made for this type, and is not used any more.
        unsafe { free(first) };
        let second = allocate::<[u64; 20]>();
        assert!(LIMIT == 0 || first == second);
        // SAFETY: as above.
        unsafe { free(second) };
    }
}
