//! What a program does, one operation after the other.

use super::*;

/// One operation, of a task that is being polled if there is a context.
pub(super) fn step(cx: Option<(usize, &Waker)>) {
    check();
    let operation = byte();
    let detail = operation / 16;
    match operation % 16 {
        0 => spawn(detail),
        1 | 2 => {
            if let Some((task, runnable)) = with(|w| w.queue.as_mut()?.pop_front()) {
                run_task(task, runnable);
            }
        }
        3 => {
            if let Some((task, runnable)) = with(|w| w.queue.as_mut()?.pop_back()) {
                drop_runnable(task, runnable);
            }
        }
        4 => clone_waker(cx),
        5 => match cx {
            Some((task, waker)) if detail.is_multiple_of(2) => {
                wakes(task);
                waker.wake_by_ref();
            }
            _ => {
                if let Some((task, waker)) = take_waker() {
                    wakes(task);
                    waker.wake_by_ref();
                    with(|w| w.wakers.push((task, waker)));
                }
            }
        },
        6 => {
            if let Some((task, waker)) = take_waker() {
                wakes(task);
                of(task, Record::release);
                waker.wake();
            }
        }
        7 => {
            if let Some((task, waker)) = take_waker() {
                of(task, Record::release);
                drop(waker);
            }
        }
        8 => abort(detail),
        9 => {
            if let Some((task, handle)) = take_handle() {
                of(task, |r| r.references += 1);
                let abort = handle.abort_handle();
                let more = (detail % 2 == 1).then(|| abort.clone());
                of(task, |r| r.references += usize::from(more.is_some()));
                with(|w| w.aborts.extend(more.map(|more| (task, more))));
                with(|w| w.aborts.push((task, abort)));
                give_back(task, handle);
            }
        }
        10 => {
            if let Some((task, abort)) = take_abort() {
                of(task, Record::release);
                drop(abort);
            }
        }
        11 | 12 => join(usize::from(detail) % JOINERS),
        13 => {
            if let Some((task, handle)) = take_handle() {
                drop_handle(task, handle);
            }
        }
        14 => use_slot(detail),
        _ => match detail {
            0..4 => {
                let output = with(|w| w.outputs.pop());
                caught(|| drop(output));
            }
            4..6 => close_queue(),
            6..12 => shut_down(detail),
            _ => list(),
        },
    }
    check();
}

fn spawn(detail: u8) {
    if with(|w| w.records.len() == TASKS) {
        return;
    }
    let task = with(|w| {
        w.records.push(Record {
            is_scheduled: true,
            has_join_handle: true,
            references: 2,
            ..Record::default()
        });
        w.records.len() - 1
    });
    let mut meta = Meta::new(Location::caller());
    if detail.is_multiple_of(2) {
        meta = meta.name("named");
    }
    let (handle, unbound) = Unbound::new(Script(task), meta);
    of(task, |r| r.id = Some(handle.id()));
    let scheduler = with(|w| w.scheduler.clone()).expect("the world has one");
    match scheduler.owned.admit(unbound, 0) {
        Ok(runnable) => {
            assert!(with(|w| !w.is_closed));
            of(task, |r| {
                r.raw = Some(runnable.as_raw());
                r.is_listed = true;
                r.place = Place::Hand;
            });
            match with(|w| w.queue.is_some()) {
                true => push(task, runnable),
                false => drop_runnable(task, runnable),
            }
        }
        Err(unbound) => {
            assert!(with(|w| w.is_closed));
            of(task, |r| r.place = Place::Dropped);
            unbound.cancel();
            assert!(handle.is_finished());
        }
    }
    give_back(task, handle);
}

/// Puts a runnable into the open queue.
pub(super) fn push(task: usize, runnable: Runnable) {
    of(task, |r| r.place = Place::Queue);
    with(|w| {
        w.queue
            .as_mut()
            .expect("it is open")
            .push_back((task, runnable))
    });
}

pub(super) fn run_task(task: usize, runnable: Runnable) {
    of(task, |r| r.place = Place::Hand);
    assert_eq!(
        runnable.id(),
        of(task, |r| r.id).expect("it has been spawned")
    );
    assert_eq!(runnable.is_cancelled(), of(task, |r| r.is_cancelled));
    let polled = runnable.run();
    assert_eq!(Some(polled), of(task, |r| r.polled));
    assert_ne!(of(task, |r| r.place), Place::Hand);
}

pub(super) fn drop_runnable(task: usize, runnable: Runnable) {
    if with(|w| w.is_dropping) {
        of(task, |r| r.place = Place::Deferred);
        with(|w| w.deferred.push(task));
        drop(runnable);
        assert_eq!(of(task, |r| r.place), Place::Deferred);
        return;
    }
    of(task, |r| r.place = Place::Dropped);
    with(|w| w.is_dropping = true);
    drop(runnable);
    with(|w| w.is_dropping = false);
    assert!(with(|w| w.deferred.is_empty()));
}

/// A runnable that user code has made: to be run, dropped or queued.
fn use_runnable(task: usize, runnable: Runnable, how: u8) {
    of(task, |r| r.place = Place::Hand);
    match how % 3 {
        0 => run_task(task, runnable),
        1 if with(|w| w.queue.is_some()) => push(task, runnable),
        _ => drop_runnable(task, runnable),
    }
}

fn use_slot(detail: u8) {
    let slot = with(|w| w.slot.clone()).expect("the world has one");
    let taken = if detail.is_multiple_of(2) {
        let Some((task, runnable)) = with(|w| w.queue.as_mut()?.pop_front()) else {
            return;
        };
        let before = with(|w| w.records.iter().position(|r| r.place == Place::Slot));
        of(task, |r| r.place = Place::Slot);
        before.zip(slot.put(runnable))
    } else {
        let before = with(|w| w.records.iter().position(|r| r.place == Place::Slot));
        before.zip(slot.take())
    };
    match taken {
        Some((task, runnable)) => use_runnable(task, runnable, detail / 2),
        None => assert_eq!(slot.is_empty(), detail % 2 == 1),
    }
}

fn clone_waker(cx: Option<(usize, &Waker)>) {
    match cx {
        Some((task, waker)) => {
            of(task, |r| r.references += 1);
            with(|w| w.wakers.push((task, waker.clone())));
        }
        None => {
            if let Some((task, waker)) = take_waker() {
                of(task, |r| r.references += 1);
                let clone = waker.clone();
                assert!(clone.will_wake(&waker));
                with(|w| w.wakers.extend([(task, waker), (task, clone)]));
            }
        }
    }
}

fn take_waker() -> Option<(usize, Waker)> {
    let at = choose(with(|w| w.wakers.len()))?;
    Some(with(|w| w.wakers.swap_remove(at)))
}

fn take_abort() -> Option<(usize, AbortHandle)> {
    let at = choose(with(|w| w.aborts.len()))?;
    Some(with(|w| w.aborts.swap_remove(at)))
}

/// The handle of a task, unless it is gone or in use.
fn take_handle() -> Option<(usize, JoinHandle<Output>)> {
    let task = choose(with(|w| w.records.len()))?;
    Some((task, of(task, |r| r.handle.take())?))
}

fn give_back(task: usize, handle: JoinHandle<Output>) {
    of(task, |r| r.handle = Some(handle));
}

/// Records a wake.
fn wakes(task: usize) {
    of(task, |r| r.is_scheduled = true);
}

fn abort(detail: u8) {
    if detail.is_multiple_of(2) {
        if let Some((task, handle)) = take_handle() {
            of(task, Record::abort);
            handle.abort();
            assert_eq!(handle.is_finished(), of(task, |r| r.is_complete));
            give_back(task, handle);
        }
    } else if let Some((task, handle)) = take_abort() {
        of(task, Record::abort);
        handle.abort();
        assert_eq!(handle.is_finished(), of(task, |r| r.is_complete));
        assert_eq!(Some(handle.id()), of(task, |r| r.id));
        with(|w| w.aborts.push((task, handle)));
    }
}

fn join(joiner: usize) {
    let Some((task, mut handle)) = take_handle() else {
        return;
    };
    // Polled again after the output, it would panic.
    if of(task, |r| r.is_complete && r.outcome.is_none()) {
        return give_back(task, handle);
    }
    let is_same = of(task, |r| r.join_waker == Some(joiner));
    let was_complete = of(task, |r| r.is_complete);
    with(|w| w.joiners[joiner] += 1);
    // SAFETY: the table's functions keep the contract of `RawWaker`: they use the data as a number only.
    let waker = unsafe { Waker::from_raw(raw_waker(joiner)) };
    with(|w| {
        w.joins.push(Join {
            task,
            is_ready: was_complete,
            has_cloned: false,
        });
    });
    let polled = caught(|| Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)));
    let join = with(|w| w.joins.pop()).expect("it was pushed");
    // A waker that is left already is left alone.
    assert_eq!(join.has_cloned, !was_complete && !is_same);
    let is_ready = join.is_ready;
    match polled {
        // The join waker panicked when it was cloned, or the one before it when it was dropped.
        None => assert!(join.has_cloned),
        Some(Poll::Pending) => assert!(!is_ready),
        Some(Poll::Ready(result)) => {
            assert!(is_ready);
            let outcome = of(task, |r| r.outcome.take()).expect("it was not taken before");
            compare(task, outcome, result);
        }
    }
    give_back(task, handle);
    caught(|| drop(waker));
}

/// Compares what a join handle tells with how the task has ended.
fn compare(task: usize, outcome: Outcome, result: Result<Output, JoinError>) {
    match result {
        Ok(output) => {
            assert_eq!((outcome, output.0), (Outcome::Output, task));
            with(|w| w.outputs.push(output));
        }
        Err(error) if error.is_panic() => {
            assert_eq!(Some(error.id()), of(task, |r| r.id));
            let payload: Box<dyn Any + Send> = error.into_panic();
            let payload = payload.downcast::<Payload>().expect("the program's");
            assert_eq!(outcome, Outcome::Panicked(payload.0));
        }
        Err(error) => {
            assert!(error.is_cancelled());
            assert_eq!(outcome, Outcome::Cancelled);
        }
    }
}

pub(super) fn drop_handle(task: usize, handle: JoinHandle<Output>) {
    let holds = of(task, |r| {
        let holds = r.is_complete || r.join_waker.is_some();
        if !r.is_complete {
            r.has_join_handle = false;
            r.join_waker = None;
        }
        if !holds {
            r.release();
        }
        holds
    });
    // Contained: nobody asked for what it drops.
    drop(handle);
    if holds {
        of(task, Record::release);
    }
}

/// From now on runnables are dropped where they are scheduled.
fn close_queue() {
    for (task, runnable) in with(|w| w.queue.take()).into_iter().flatten() {
        drop_runnable(task, runnable);
    }
}

pub(super) fn shut_down(how: u8) {
    let scheduler = with(|w| w.scheduler.clone()).expect("the world has one");
    with(|w| w.is_closed = true);
    scheduler.owned.close();
    cancel_all(&scheduler, how);
}

/// Cancels everything in the list.
fn cancel_all(scheduler: &Queue, how: u8) {
    // Those that wait for a wake become runnables, all of them before the first is used.
    with(|w| {
        for record in w.records.iter_mut().filter(|record| record.is_listed) {
            let was_idle = record.is_idle();
            record.abort();
            if was_idle && !record.is_idle() {
                record.place = Place::Hand;
            }
        }
    });
    scheduler.owned.cancel_all(|runnable| {
        let task = find(&runnable);
        assert_eq!(of(task, |r| r.place), Place::Hand);
        use_runnable(task, runnable, how);
    });
}

/// Compares the list with the records.
fn list() {
    let scheduler = with(|w| w.scheduler.clone()).expect("the world has one");
    let mut listed = Vec::new();
    scheduler
        .owned
        .for_each(|info| listed.push((info.id, info.phase)));
    let mut expected: Vec<_> = with(|w| {
        let live = w.records.iter().filter(|r| r.is_listed);
        live.map(|r| {
            let phase = match (r.is_running, r.is_scheduled) {
                (true, _) => Phase::Running,
                (false, true) => Phase::Scheduled,
                (false, false) => Phase::Idle,
            };
            (r.id.expect("it has been spawned"), phase)
        })
        .collect()
    });
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}
