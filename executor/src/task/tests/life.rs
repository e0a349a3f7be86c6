//! From wake to wake, and to the end: what happens to one task, and to many at once.

use super::*;

#[test]
fn wakes_are_coalesced_and_those_during_a_poll_yield() {
    let bench = bench();
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let slot = waker.clone();
    let mut turns = 0;
    let handle = bench.spawn(poll_fn(move |cx| {
        turns += 1;
        if turns == 2 {
            cx.waker().wake_by_ref();
            cx.waker().clone().wake();
        }
        *slot.lock() = Some(cx.waker().clone());
        if turns == 4 {
            Poll::Ready(turns)
        } else {
            Poll::Pending
        }
    }));
    assert_eq!(bench.drain(), [Polled::Pending]);
    let outside = waker.lock().clone().expect("polled");
    for _ in 0..5 {
        outside.wake_by_ref();
    }
    let (runnable, cause) = bench.pop().expect("woken");
    assert_eq!((cause, runnable.conduct()), (Cause::Woken, 1));
    assert!(bench.pop().is_none());
    assert_eq!(runnable.run(), Polled::Yielded);
    let (runnable, cause) = bench.pop().expect("woke itself");
    assert_eq!((cause, runnable.conduct()), (Cause::Yielded, 3));
    assert_eq!(runnable.run(), Polled::Pending);
    outside.wake();
    assert_eq!(bench.drain(), [Polled::Completed]);
    assert_eq!(now(handle).unwrap(), 4);
    // After the end, for ever.
    let late = waker.lock().take().expect("polled");
    late.wake_by_ref();
    late.clone().wake();
    assert!(bench.pop().is_none());
    drop(bench);
    late.wake();
}

#[test]
fn a_waker_outlives_its_scheduler() {
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let bench = bench();
    let weak: Weak<Queue> = Arc::downgrade(&bench.queue);
    let slot = waker.clone();
    let handle = bench.spawn(poll_fn(move |cx| {
        *slot.lock() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }));
    bench.drain();
    drop(bench);
    assert!(weak.upgrade().is_none());
    let waker = waker.lock().take().expect("polled");
    waker.wake_by_ref();
    waker.clone().wake();
    assert!(handle.is_finished());
    handle.abort();
    assert!(now(handle).unwrap_err().is_cancelled());
    waker.wake();
}

#[test]
fn a_live_task_keeps_its_scheduler_until_it_ends() {
    let queue = Queue::new();
    let weak = Arc::downgrade(&queue);
    drop(queue.spawn(async {}));
    let (runnable, _) = queue.pop().expect("spawned");
    queue.owned.close();
    drop(queue);
    assert!(weak.upgrade().is_some());
    assert_eq!(runnable.run(), Polled::Completed);
    assert!(weak.upgrade().is_none());
}

#[test]
fn the_current_id_is_set_in_polls_and_drops() {
    struct Checks(Arc<Mutex<Vec<Option<Id>>>>);
    impl Drop for Checks {
        fn drop(&mut self) {
            self.0.lock().push(try_id());
        }
    }
    let bench = bench();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let checks = Checks(seen.clone());
    let aborted = bench.spawn(async move {
        checks.0.lock().push(try_id());
        pending::<()>().await;
        drop(checks);
    });
    let checks = Checks(seen.clone());
    let detached = bench.spawn(async move { checks });
    let (first, second) = (aborted.id(), detached.id());
    drop(detached);
    bench.drain();
    aborted.abort();
    bench.drain();
    assert_eq!(*seen.lock(), [Some(first), Some(second), Some(first)]);
    assert_eq!(try_id(), None);
    assert_ne!(first, second);
}

#[test]
fn large_futures_work_from_their_box() {
    let bench = bench();
    let bytes = [7_u8; 3 * BOX_LIMIT];
    let handle = bench.spawn(async move {
        std::future::ready(()).await;
        bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>()
    });
    bench.drain();
    assert_eq!(now(handle).unwrap(), 7 * 3 * BOX_LIMIT);
}

#[test]
fn futures_that_stay_on_their_thread() {
    let bench = bench();
    let shared = Rc::new(Cell::new(0));
    let inner = shared.clone();
    let future = async move {
        inner.set(1);
        pending::<()>().await;
        inner
    };
    // SAFETY: the test has one thread.
    let (handle, runnable) = unsafe {
        bench
            .owned
            .bind_local(future, Meta::new(Location::caller()), 0)
    };
    bench.push(runnable.expect("the list is open"));
    bench.drain();
    assert_eq!((shared.get(), Rc::strong_count(&shared)), (1, 2));
    handle.abort();
    bench.drain();
    assert_eq!(Rc::strong_count(&shared), 1);
}

#[test]
fn jobs_run_once_or_are_cancelled() {
    let here = Location::caller();
    let (handle, runnable) = job(|| 3, Meta::new(here));
    assert_eq!(runnable.run(), Polled::Completed);
    assert_eq!(now(handle).unwrap(), 3);

    let (handle, runnable) = job(|| 3, Meta::new(here));
    handle.abort();
    assert!(!handle.is_finished());
    assert_eq!(runnable.run(), Polled::Cancelled);
    assert!(now(handle).unwrap_err().is_cancelled());

    let (handle, runnable) = job(|| 3, Meta::new(here));
    drop(runnable);
    assert!(now(handle).unwrap_err().is_cancelled());

    let (handle, runnable) = job(|| 3, Meta::new(here));
    runnable.cancel(Reason::NoThread);
    let error = now(handle).unwrap_err();
    assert!(error.is_cancelled() && error.to_string().contains("could not start one"));

    let (handle, runnable) = job(|| panic_any(1_u32), Meta::new(here));
    assert_eq!(quietly(|| runnable.run()), Polled::Panicked);
    let () = quietly(|| {
        now(handle)
            .map_err(|error| assert!(error.is_panic()))
            .unwrap_err()
    });
}

/// Aborts its task when dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[test]
fn a_long_chain_of_tasks_that_end_each_other_takes_no_stack() {
    let links = if cfg!(miri) { 20 } else { 200_000 };
    let work = move || {
        let bench = bench();
        let mut next = bench.spawn(pending());
        for _ in 0..links {
            let link = AbortOnDrop(next);
            next = bench.spawn(async move {
                pending::<()>().await;
                drop(link);
            });
        }
        bench.drain();
        // From now on a runnable is dropped where it is scheduled; the first one draws all others after it.
        let open = bench.tasks.lock().take();
        drop(open);
        next.abort();
        assert!(bench.owned.is_empty());
    };
    let thread = std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(work);
    thread.unwrap().join().unwrap();
}

#[test]
fn a_long_chain_of_detached_handles_takes_no_stack() {
    let links = if cfg!(miri) { 20 } else { 200_000 };
    let work = move || {
        let bench = bench();
        let mut next = bench.spawn(async {});
        for _ in 0..links {
            next = bench.spawn(async move { next.await.unwrap() });
        }
        drop(next);
        // Joined from the last to the first, then cancelled with the handles in them.
        assert!(bench.run().is_some());
        bench.shutdown();
    };
    let thread = std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(work);
    thread.unwrap().join().unwrap();
}

#[test]
fn a_slot_gives_each_runnable_once() {
    let bench = bench();
    let slot = AtomicRunnable::new();
    assert!(slot.is_empty() && slot.take().is_none());
    let first = bench.spawn(async { 1 });
    let second = bench.spawn(async { 2 });
    let third = bench.spawn(async { 3 });
    let next = || bench.pop().expect("spawned").0;
    assert!(slot.put(next()).is_none());
    let displaced = slot.put(next()).expect("the first");
    assert_eq!(displaced.id(), first.id());
    displaced.run();
    slot.take().expect("the second").run();
    assert!(slot.is_empty());
    assert_eq!((now(first).unwrap(), now(second).unwrap()), (1, 2));
    assert!(slot.put(next()).is_none());
    drop(slot);
    assert!(now(third).unwrap_err().is_cancelled());
}

#[test]
fn threads_wake_abort_join_and_shut_down_at_once() {
    for seed in 0..MANY / 500 + 3 {
        let queue = Queue::new();
        let handles: Vec<_> = (0..8)
            .map(|i| {
                let mut left = (seed + i) % 7;
                queue.spawn(poll_fn(move |cx| {
                    if left == 0 {
                        return Poll::Ready(i);
                    }
                    left -= 1;
                    let waker = cx.waker().clone();
                    if left % 2 == 0 {
                        waker.wake();
                    } else {
                        std::thread::spawn(move || waker.wake());
                    }
                    Poll::Pending
                }))
            })
            .collect();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !queue.owned.is_empty() {
                        if queue.run().is_none() {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            handles[seed % 8].abort();
            if seed % 3 == 0 {
                queue.owned.close();
                queue.owned.cancel_all(drop);
            }
        });
        for (i, handle) in handles.into_iter().enumerate() {
            // Its end may still be on its way from another thread's last steps.
            while !handle.is_finished() {
                std::thread::yield_now();
            }
            match now(handle) {
                Ok(output) => assert_eq!(output, i),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        queue.shutdown();
    }
}

#[test]
fn a_job_that_waits_all_the_same_is_cancelled_when_it_is_woken() {
    let task =
        raw::RawTask::allocate::<_, home::Unlisted>(pending::<()>(), Meta::new(Location::caller()));
    // SAFETY: the cell is new; one of its two references is the handle's (T1), the types are those of the future (T6).
    let handle = unsafe { JoinHandle::<()>::from_raw(task) };
    // SAFETY: the cell is new and scheduled, so the runnable exists and is ours (T3).
    let runnable = unsafe { Runnable::from_raw(task) };
    assert_eq!(runnable.run(), Polled::Pending);
    let woken =
        quietly(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handle.abort())));
    assert_eq!(
        woken.is_err(),
        cfg!(debug_assertions),
        "there are no such jobs"
    );
    assert!(now(handle).expect_err("it never ended").is_cancelled());
}
