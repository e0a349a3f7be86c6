//! What becomes of tasks on a thread that is a guest (`guest.rs`): it keeps a few of those that its events wake, and leaves the others to the workers.

use super::Worker;
use crate::guest;
use crate::task::Runnable;

impl Worker {
    /// A task that a guest does not run, unless it is one of the few that an event woke. The workers take it from the deque, which costs both sides less than the injector; what is left goes there.
    #[inline]
    pub(super) fn keep_or_leave(&self, task: Runnable) {
        if self.dispatching.get() {
            let places = self.places.get();
            if places > 0 && guest::may_run(task.conduct()) {
                self.places.set(places - 1);
                self.kept.set(self.kept.get() + 1);
                self.has_company.set(true);
                self.deque.push(task);
            } else {
                self.sent_away.set(self.sent_away.get() + 1);
                self.shared.injector().push(task);
            }
        } else {
            self.has_left.set(true);
            self.deque.push(task);
            self.notify();
        }
    }

    /// As `dispatch`: a guest keeps a few tasks, and the workers get the others.
    pub(super) fn dispatch_as_guest(&self) {
        let park = &self.shared.park;
        let places = if park.keeps_company(self.slot) {
            guest::KEPT
        } else {
            0
        };
        self.places.set(places);
        self.dispatching.set(true);
        park.dispatch(self.slot);
        self.dispatching.set(false);
        if self.sent_away.replace(0) > 0 {
            park.passed_on(self.slot);
            self.shared.injected();
        }
    }

    /// Whether there is one more task that a guest has kept.
    pub(crate) fn take_kept(&self) -> bool {
        let kept = self.kept.get();
        self.kept.set(kept.saturating_sub(1));
        kept > 0
    }

    /// The task that has been in the deque for longest.
    pub(crate) fn pop_deque(&self) -> Option<Runnable> {
        self.deque.pop()
    }

    /// Whether a guest has kept tasks that were woken by its dispatches since it was last asked.
    pub(crate) fn take_company(&self) -> bool {
        self.has_company.replace(false)
    }

    /// Whether a guest has left tasks to the workers since it was last asked.
    pub(crate) fn take_left(&self) -> bool {
        self.has_left.replace(false)
    }
}
