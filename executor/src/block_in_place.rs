//! Lets the running task block its thread without stopping the tasks behind it.

use crate::budget;
use crate::context;
use crate::scheduler::Flavor;
use crate::task;
use std::rc::Rc;

/// Runs a closure that blocks, on this thread, while another thread takes over its place as a worker.
///
/// What the worker had queued goes to the other workers first. Afterwards the thread is a worker again if there is room;
/// otherwise it finishes the poll it is in, and then stands by as a spare. At most 128 workers are replaced at a time. Outside a task, and on threads that run no
/// tasks, the closure is just called.
///
/// # Panics
///
/// On a current-thread runtime, and inside a `LocalSet`: no other thread could take over.
#[track_caller]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    assert!(
        !task::is_local_set_running(),
        "cannot call `block_in_place` inside a `LocalSet`: its tasks are bound to this thread, and would all wait. \
         Use `spawn_blocking`"
    );
    let worker = context::with_worker(|worker| worker.cloned());
    let Some(worker) = worker else {
        // Not on a worker, or on one that has stepped aside already.
        let _allowed = context::set_polling(false);
        return budget::without(f);
    };
    assert!(
        worker.flavor() == Flavor::MultiThread,
        "cannot call `block_in_place` on a current-thread runtime: no other thread could run its tasks meanwhile. \
         Use `spawn_blocking`, or a multi-thread runtime"
    );

    /// Comes back to the slot, after a panic too.
    struct StepBack(Option<Rc<crate::worker::Worker>>);
    impl Drop for StepBack {
        fn drop(&mut self) {
            let worker = self.0.take().expect("taken only here");
            if worker.step_back() {
                context::set_worker(Some(worker));
            }
        }
    }

    worker.mark_blocker();
    context::set_worker(None);
    let step_back = StepBack(Some(worker));
    if let Some(worker) = &step_back.0 {
        worker.step_aside();
    }
    let _allowed = context::set_polling(false);
    budget::without(f)
}
