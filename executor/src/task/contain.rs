//! Keeps panics of user code from crossing code of ours that must go on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::Payload;

/// Runs `user`, and ends a panic there. The panic hook has reported it by then.
///
/// Returns whether it panicked, as `Err`.
pub(crate) fn contain<R>(user: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(user)).map_err(|payload| {
        discard(payload);
        Panicked
    })
}

/// Says that user code panicked, after its payload has been dropped.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Drops what a panic threw. If that panics as well, the second payload is leaked: it has shown what its kind does.
pub(crate) fn discard(payload: Payload) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}
