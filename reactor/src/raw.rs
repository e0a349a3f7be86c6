//! All unsafe code of this crate: raw descriptors, one raw system call about them, and a page that does not come along when the process forks.
//!
//! Invariants:
//!
//! - R1. A raw descriptor is lent for the length of one system call that takes a number, answers `EBADF` if nothing is
//!   open under it, and keeps no reference to it. Nothing is read, written or closed through it.
//! - R2. A number is only given to calls about the poller; what the number means by then is for `owners` to know.
//! - R3. The kernel writes at most as many events as it was told there is room for, and says how many it wrote.
//! - R4. The page is a private mapping of at least four bytes, readable, writable, aligned as pages are, zero at first, and never unmapped; it is reached as one `AtomicU32` only.

#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{BorrowedFd, RawFd},
};

/// Lends a raw descriptor to `call`, which must be one system call about the poller.
///
/// # Errors
///
/// Fails with `EBADF` for a negative number, and as `call` does.
pub(crate) fn lend<R>(
    fd: RawFd,
    call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>,
) -> io::Result<R> {
    if fd < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: the number is not -1, and it is used as R1 and R2 say.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    call(borrowed)
}

#[cfg(any(
    rt_portable_wait,
    rt_oneshot,
    not(any(target_os = "linux", target_os = "android"))
))]
pub(crate) mod portable {
    //! For the portable wait.

    use super::*;
    use polling::{Event, PollMode, Poller};

    /// Adds a descriptor to the poller.
    ///
    /// # Errors
    ///
    /// Fails as the system call does.
    pub(crate) fn add(
        poller: &Poller,
        fd: BorrowedFd<'_>,
        event: Event,
        mode: PollMode,
    ) -> io::Result<()> {
        // SAFETY: the poller asks that the descriptor be deleted before it is closed. `Registration` does so when it
        // is dropped; where its owner closes it earlier, epoll and kqueue forget it by themselves, and the poller
        // keeps only the number (R1).
        unsafe { poller.add_with_mode(&fd, event, mode) }
    }
}

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(rt_portable_wait, rt_oneshot))
))]
pub(crate) mod epoll {
    //! For the wait on Linux.

    use super::*;
    use std::{mem::MaybeUninit, os::fd::AsRawFd};

    /// Waits with `epoll_wait`, in milliseconds (-1 = for ever), for at most `ROOM` events, and passes them to `take`.
    ///
    /// # Errors
    ///
    /// Fails as the system call does.
    #[inline]
    pub(crate) fn wait_milliseconds<const ROOM: usize>(
        epoll: BorrowedFd<'_>,
        milliseconds: i32,
        take: impl FnOnce(&[libc::epoll_event]),
    ) -> io::Result<()> {
        let epoll = epoll.as_raw_fd();
        let mut room = [const { MaybeUninit::<libc::epoll_event>::uninit() }; ROOM];
        let (start, limit) = (room.as_mut_ptr().cast(), ROOM as i32);
        // SAFETY: there is room for as many events as we say (R3), and the borrowed descriptor is open.
        let count = unsafe { libc::epoll_wait(epoll, start, limit, milliseconds) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the kernel has written so many (R3).
        take(unsafe { room[..count].assume_init_ref() });
        Ok(())
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod fork {
    //! For the number of this process.

    use std::{
        ptr,
        sync::atomic::{AtomicPtr, AtomicU32, Ordering},
    };

    /// The number on the page, or `NONE`; null until somebody has asked. No lock guards it: another thread may fork at any moment, and its child must
    /// not find it held.
    static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
    /// Stands for the page where the kernel does not wipe any.
    static NONE: AtomicU32 = AtomicU32::new(0);

    /// Returns a number that is zero at first, and is zero again in each child of this process when it begins; `None` where there is no such thing.
    #[inline]
    pub(crate) fn zero_in_children() -> Option<&'static AtomicU32> {
        let none = (&raw const NONE).cast_mut();
        // Ordering: Acquire pairs with the compare-exchange in `publish`: the mapping comes before its address.
        let mut page = PAGE.load(Ordering::Acquire);
        if page.is_null() {
            page = publish(map().unwrap_or(none));
        }
        // SAFETY: it is neither null nor `NONE`, so it is the page that was published (R4).
        (page != none).then(|| unsafe { &*page })
    }

    /// Makes `page` the one, unless another thread was faster: then ours stays mapped and unused.
    #[cold]
    fn publish(page: *mut AtomicU32) -> *mut AtomicU32 {
        match PAGE.compare_exchange(ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => page,
            Err(theirs) => theirs,
        }
    }

    /// Maps such a page; `None` if the kernel does not know `MADV_WIPEONFORK` (from 4.14 on).
    fn map() -> Option<*mut AtomicU32> {
        // Rounded up to a page by both calls.
        let length = size_of::<AtomicU32>();
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping, at an address that the kernel chooses (R4).
        let page = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: there is no such advice, so that nothing is done with the mapping (R4).
        let takes_any = unsafe { libc::madvise(page, length, -1) } == 0;
        // SAFETY: it says what a fork makes of the mapping (R4), which nobody else knows yet.
        let is_taken = unsafe { libc::madvise(page, length, libc::MADV_WIPEONFORK) } == 0;
        // Who takes any advice takes none: qemu's user mode does so.
        (is_taken && !takes_any).then(|| page.cast())
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) mod fork {
    //! For the number of this process.

    /// There is no such thing.
    pub(crate) fn zero_in_children() -> Option<&'static std::sync::atomic::AtomicU32> {
        None
    }
}
