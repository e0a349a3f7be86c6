//! All unsafe code of this crate: raw descriptors, one raw system call, and a page that does not come along when the process forks.
//!
//! Invariants:
//!
//! - R1. A raw descriptor is lent for the length of one system call that takes a number, answers `EBADF` if nothing is
//!   open under it, and keeps no reference to it. Nothing is read, written or closed through it.
//! - R2. A number is only given to calls about the poller; what the number means by then is for `owners` to know.
//! - R3. The kernel writes at most as many events as it was told there is room for, and says how many it wrote.
//! - R4. The page is private to this process, zero at first, aligned as pages are, and never given back.

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

    use super::*;
    use std::{ptr, sync::atomic::AtomicU32};

    /// Returns a number that is zero now, and is zero again in each child of this process when it begins.
    ///
    /// # Errors
    ///
    /// Fails as the system calls do: the kernel knows `MADV_WIPEONFORK` from 4.14 on.
    pub(crate) fn zero_in_children() -> io::Result<&'static AtomicU32> {
        let length = size_of::<AtomicU32>();
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let page = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it says what a fork makes of that page, which nobody else knows yet.
        if unsafe { libc::madvise(page, length, libc::MADV_WIPEONFORK) } != 0 {
            // The page stays: this happens once in a process.
            return Err(io::Error::last_os_error());
        }
        // SAFETY: R4; and all access is atomic.
        Ok(unsafe { AtomicU32::from_ptr(page.cast()) })
    }
}
