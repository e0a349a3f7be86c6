//! Which process this is, without a system call.
//!
//! A child of `fork` must be told that it has none of its parent's threads, wherever it would wait for them: before a registration and after
//! it, before `block_on`. `getpid` takes 0.14 µs, a quarter of a `block_on` of what is ready. So the number is kept on a page
//! that the kernel wipes in each child (`MADV_WIPEONFORK`, madvise(2)); who finds zero there asks. A child that shares its parent's memory
//! (`vfork`) finds its parent's number: it may do nothing but `exec`. (`pthread_atfork` tells of forks through the C library only.)

use crate::raw;
use std::process;
use std::sync::atomic::Ordering;

/// Returns the number of this process; on Linux, but for the first time, without a system call.
///
/// # Examples
///
/// ```
/// assert_eq!(reactor::process_id(), std::process::id());
/// ```
#[inline]
pub fn process_id() -> u32 {
    let Some(known) = raw::fork::zero_in_children() else {
        return process::id();
    };
    // Relaxed: whoever finds zero asks, and all are told the same.
    match known.load(Ordering::Relaxed) {
        0 => {
            let id = process::id();
            known.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}
