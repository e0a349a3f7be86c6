//! A task as a `std::task::Waker`: the pointer to its cell and one table for all tasks.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::raw::{Header, RawTask};

/// The functions behind every task's waker.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// A waker for the time of a poll. It is not counted (T1) and must therefore not be dropped.
///
/// # Safety
///
/// The caller holds the right to poll `task` for as long as it uses the waker.
#[inline]
pub(super) unsafe fn borrowed(task: RawTask) -> ManuallyDrop<Waker> {
    // SAFETY: the table's functions keep the contract of `RawWaker`; what they need, the caller promises.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw(task)) })
}

fn raw(task: RawTask) -> RawWaker {
    RawWaker::new(task.as_ptr().cast_const().cast(), &VTABLE)
}

/// The task behind a waker's data pointer.
///
/// # Safety
///
/// `data` is that of a waker made here.
unsafe fn task(data: *const ()) -> RawTask {
    // SAFETY: `raw` made `data` from a task's pointer, which is not null.
    RawTask::from(unsafe { NonNull::new_unchecked(data.cast_mut().cast::<Header>()) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: only wakers made here call this.
    let task = unsafe { task(data) };
    // SAFETY: the waker that is being cloned keeps the cell (T1).
    unsafe { task.header() }.state.retain();
    raw(task)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: only wakers made here call this.
    let task = unsafe { task(data) };
    // SAFETY: the waker ends here and hands its reference over (T1).
    unsafe { task.wake_and_release() }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: only wakers made here call this.
    let task = unsafe { task(data) };
    // SAFETY: the waker keeps the cell (T1).
    unsafe { task.wake() }
}

unsafe fn drop(data: *const ()) {
    // SAFETY: only wakers made here call this.
    let task = unsafe { task(data) };
    // SAFETY: the waker ends here and hands its reference over (T1).
    unsafe { task.release() }
}
