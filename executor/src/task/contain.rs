//! Keeps panics of user code from crossing code of ours that must go on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::Payload;

/// Runs `user`, and ends a panic there. The panic hook has reported it by then.
///
/// Returns whether it panicked, as `Err`.
#[inline]
pub(crate) fn contain<R>(user: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(user)).map_err(|payload| {
        discard(payload);
        Panicked
    })
}

/// Says that user code panicked, after its payload has been dropped.
#[derive(Debug)]
pub(crate) struct Panicked;

/// How many payloads in a row may panic when they are dropped.
const PATIENCE: usize = 8;

/// Drops what a panic threw. If that panics as well, drops what that threw, and so on; whoever goes on for ever like
/// this leaks one payload.
pub(crate) fn discard(mut payload: Payload) {
    for _ in 0..PATIENCE {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    std::mem::forget(payload);
}
