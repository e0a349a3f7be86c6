//! Which process this is, without a system call.
//!
//! A child of `fork` must be told that it has none of its parent's threads, wherever it would wait for them: before a registration and after
//! it, before `block_on`. `getpid` takes 0.14 µs, a quarter of a `block_on` of what is ready. So the number is kept on a page
//! that the kernel wipes in each child (`MADV_WIPEONFORK`, madvise(2)); who finds zero there asks. A child that shares its parent's memory
//! (`vfork`) finds its parent's number: it may do nothing but `exec`.

use std::process;

/// Returns the number of this process; one load, but for the first time.
///
/// # Examples
///
/// ```
/// assert_eq!(reactor::process_id(), std::process::id());
/// ```
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub fn process_id() -> u32 {
    use crate::raw;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// `None` where the kernel does not wipe pages.
    static KNOWN: OnceLock<Option<&AtomicU32>> = OnceLock::new();

    let Some(known) = KNOWN.get_or_init(|| raw::fork::zero_in_children().ok()) else {
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

/// Returns the number of this process.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn process_id() -> u32 {
    process::id()
}
