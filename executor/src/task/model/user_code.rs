//! The user's code: futures, outputs, payloads and join wakers, which go on with the program wherever they are called.

use super::*;

impl Future for Script {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let task = self.0;
        of(task, |r| {
            claim(r.place == Place::Hand, "only a runnable polls");
            claim(!r.is_cancelled, "a cancelled task is not polled");
            claim(r.future_drops == 0, "a dropped future is not polled");
            r.start();
        });
        let how = user_code(Some((task, cx.waker())));
        match how >> 6 {
            2 => {
                of(task, |r| r.has_output = true);
                Poll::Ready(Output(task))
            }
            3 => {
                let panic = panics(0x30).expect("it was told to");
                of(task, |r| r.panic = Some(panic));
                throw(panic)
            }
            _ => {
                with(|w| w.polled[1] += 1);
                Poll::Pending
            }
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let task = self.0;
        with(|w| {
            let record = &mut w.records[task];
            record.future_drops += 1;
            if record.is_running {
                return;
            }
            // A runnable was used up without a poll: run after a cancel, or dropped.
            let may_end = match record.place {
                Place::Hand => record.is_cancelled,
                Place::Dropped => true,
                Place::Deferred => w.deferred.pop() == Some(task),
                Place::Nowhere | Place::Queue | Place::Slot => false,
            };
            claim(may_end, "only a runnable ends a task");
            record.is_cancelled = true;
            record.start();
        });
        let how = user_code(None);
        let panic = panics(how);
        let is_ready = of(task, |r| {
            r.outcome = Some(match (r.panic, panic) {
                (Some(first), _) | (None, Some(first)) => Outcome::Panicked(first),
                (None, None) if r.has_output => Outcome::Output,
                (None, None) => Outcome::Cancelled,
            });
            r.has_output
        });
        if is_ready && panic.is_some() {
            of(task, |r| r.then = Then::Complete);
        } else {
            complete(task);
        }
        if let Some(panic) = panic {
            throw(panic);
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let task = self.0;
        of(task, |r| r.output_drops += 1);
        let how = user_code(None);
        match of(task, |r| std::mem::take(&mut r.then)) {
            Then::Nothing => {}
            Then::Complete => complete(task),
            Then::Release => of(task, Record::release),
        }
        if let Some(panic) = panics(how) {
            throw(panic);
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        with(|w| w.payloads -= 1);
    }
}

/// The functions behind the join wakers, whose data is their number.
static JOINER: RawWakerVTable = RawWakerVTable::new(
    clone_joiner,
    wake_joiner,
    |_| claim(false, "a join waker is woken by value"),
    drop_joiner,
);

pub(super) fn raw_waker(joiner: usize) -> RawWaker {
    RawWaker::new(ptr::without_provenance(joiner), &JOINER)
}

/// Only the poll of a join handle clones a join waker.
unsafe fn clone_joiner(data: *const ()) -> RawWaker {
    let joiner = data.addr();
    with(|w| {
        let join = w.joins.last_mut().expect("a handle is polled");
        join.has_cloned = true;
    });
    let how = user_code(None);
    if let Some(panic) = panics(how) {
        throw(panic);
    }
    with(|w| {
        w.joiners[joiner] += 1;
        // What the handle does before it calls user code again. If the task is complete by now, the clone is dropped.
        let join = w.joins.last_mut().expect("a handle is polled");
        let record = &mut w.records[join.task];
        join.is_ready = record.is_complete;
        if !record.is_complete {
            record.join_waker = Some(joiner);
        }
    });
    raw_waker(joiner)
}

/// Only the end of a task wakes a join waker.
unsafe fn wake_joiner(data: *const ()) {
    let joiner = data.addr();
    let task = with(|w| w.waking.take());
    let is_due = task.is_some_and(|task| of(task, |r| r.join_waker == Some(joiner)));
    claim(is_due, "only the end of its task wakes a join waker");
    with(|w| w.joiners[joiner] -= 1);
    let how = user_code(None);
    if let Some(task) = task {
        of(task, Record::release);
    }
    if let Some(panic) = panics(how) {
        throw(panic);
    }
}

unsafe fn drop_joiner(data: *const ()) {
    with(|w| w.joiners[data.addr()] -= 1);
    let how = user_code(None);
    if let Some(panic) = panics(how) {
        throw(panic);
    }
}
