//! Models of the task cell: each test is named after the race that it explores.
//!
//! Run with `RUSTFLAGS="--cfg rt_loom" LOOM_MAX_PREEMPTIONS=3 cargo test -p executor --lib --release loom`. A use after
//! the free is a race on the header's `Alive`, a cell that is never freed is a leak, and a wake that is lost leaves a
//! task unfinished, which `Queue::finish` checks. What they are made of is in `loom/parts.rs`.

use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::loom::alloc::Track;
use ::loom::cell::UnsafeCell;
use ::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use ::loom::thread;

use super::runnable::Polled;
use super::*;
use crate::sync::{Mutex, bounded_model, model};
use parts::{Gate, Happened, Looks, MARK, POLLED, Queue, counting, noop_poll, through, waiting};

mod parts;

#[test]
fn wake_vs_poll_end() {
    model(|| {
        let queue = Queue::new();
        let (gate, mut handle) = waiting(&queue);
        // The second poll goes on while the gate opens.
        gate.waker().wake();
        let waker = gate.take();
        let other = {
            let gate = gate.clone();
            thread::spawn(move || {
                gate.open();
                waker.wake();
            })
        };
        queue.run();
        other.join().unwrap();
        queue.drain();
        assert!(noop_poll(&mut handle).is_ready());
        drop(handle);
        queue.finish();
    });
}

#[test]
fn poll_vs_next_poll() {
    model(|| {
        let queue = Queue::new();
        let gate = Gate::new();
        let inner = gate.clone();
        // Nothing but the task's state orders one poll's write after the other's.
        let written = UnsafeCell::new(0);
        let handle = queue.spawn(std::future::poll_fn(move |cx| {
            written.with_mut(|polls| {
                // SAFETY: the future is polled by one thread at a time; loom checks it.
                unsafe { *polls += 1 }
            });
            if inner.polls.fetch_add(1, Relaxed) == 0 {
                *inner.waker.lock() = Some(cx.waker().clone());
            }
            Poll::<()>::Pending
        }));
        queue.run();
        gate.waker().wake();
        let waker = gate.take();
        let other = {
            let queue = queue.clone();
            thread::spawn(move || {
                waker.wake();
                queue.run();
            })
        };
        queue.run();
        other.join().unwrap();
        drop(handle);
        queue.finish();
    });
}

#[test]
fn two_wakers() {
    bounded_model(|| {
        let queue = Queue::new();
        let gate = [Gate::new(), Gate::new()];
        let inner = gate.clone();
        let slot = Arc::new(Mutex::new(None));
        let first = slot.clone();
        let mut handle = queue.spawn(std::future::poll_fn(move |cx| {
            if inner.iter().all(|gate| gate.open.load(Relaxed)) {
                return Poll::Ready(());
            }
            first.lock().get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        }));
        queue.run();
        let others: Vec<_> = gate
            .iter()
            .map(|gate| {
                let (gate, waker) = (gate.clone(), slot.lock().clone().expect("polled"));
                thread::spawn(move || {
                    gate.open();
                    waker.wake_by_ref();
                })
            })
            .collect();
        // No lock and no join between the wakes and the poll but the queue's, which the second waker never touches.
        queue.run();
        for other in others {
            other.join().unwrap();
        }
        queue.drain();
        slot.lock().take();
        assert!(noop_poll(&mut handle).is_ready());
        drop(handle);
        queue.finish();
    });
}

#[test]
fn the_wake_that_schedules_nothing_still_publishes() {
    model(|| {
        let queue = Queue::new();
        let (gate, handle) = waiting(&queue);
        let (first, second) = (gate.waker(), gate.take());
        // Scheduled already when the other thread writes and wakes; polled without joining it.
        first.wake();
        let done = Arc::new(AtomicBool::new(false));
        let other = {
            let (gate, done) = (gate.clone(), done.clone());
            thread::spawn(move || {
                gate.open();
                second.wake_by_ref();
                done.store(true, Relaxed);
                second
            })
        };
        let was_woken_before = done.load(Relaxed);
        let polled = queue.run();
        if was_woken_before {
            // The wake came before the poll began: in the state's order of changes, so the poll sees what preceded it.
            assert!(polled == Some(Polled::Completed) || handle_is_rescheduled(&queue));
        }
        drop(other.join().unwrap());
        queue.drain();
        assert!(handle.is_finished());
        drop(handle);
        queue.finish();
    });
}

fn handle_is_rescheduled(queue: &Queue) -> bool {
    !queue.tasks.lock().is_empty()
}

#[test]
fn wake_vs_completion() {
    model(|| {
        let queue = Queue::new();
        let (gate, handle) = waiting(&queue);
        drop(handle);
        gate.open();
        gate.waker().wake();
        let waker = gate.take();
        let other = thread::spawn(move || waker.wake());
        assert_eq!(queue.run(), Some(Polled::Completed));
        assert!(queue.run().is_none());
        other.join().unwrap();
        assert!(queue.run().is_none());
        queue.finish();
    });
}

#[test]
fn last_waker_drop_vs_completion() {
    bounded_model(|| {
        let queue = Queue::new();
        let (gate, handle) = waiting(&queue);
        drop(handle);
        gate.open();
        let waker = gate.take();
        waker.wake_by_ref();
        let clone = waker.clone();
        let other = thread::spawn(move || drop(waker));
        let third = thread::spawn(move || drop(clone));
        assert_eq!(queue.run(), Some(Polled::Completed));
        other.join().unwrap();
        third.join().unwrap();
        queue.finish();
    });
}

#[test]
fn abort_vs_run() {
    model(|| {
        let queue = Queue::new();
        let (gate, mut handle) = waiting(&queue);
        gate.open();
        gate.take().wake();
        let abort = handle.abort_handle();
        let other = thread::spawn(move || abort.abort());
        queue.drain();
        other.join().unwrap();
        queue.drain();
        match noop_poll(&mut handle) {
            Poll::Ready(Ok((polls, _))) => assert_eq!(polls, 2),
            Poll::Ready(Err(error)) => assert!(error.is_cancelled()),
            Poll::Pending => panic!("neither ready nor cancelled"),
        }
        drop(handle);
        queue.finish();
    });
}

#[test]
fn abort_vs_drop_of_the_future() {
    model(|| {
        let queue = Queue::new();
        let (gate, saw_it_open) = (Gate::new(), Arc::new(AtomicBool::new(false)));
        let handle = queue.spawn(Looks {
            gate: gate.clone(),
            saw_it_open: saw_it_open.clone(),
        });
        let abort = handle.abort_handle();
        let other = thread::spawn(move || {
            gate.open();
            abort.abort();
        });
        // Scheduled already when it is aborted; dropped without joining the other thread.
        if queue.run() == Some(Polled::Cancelled) {
            assert!(saw_it_open.load(Relaxed), "the abort publishes");
        }
        other.join().unwrap();
        drop(handle);
        queue.finish();
    });
}

#[test]
fn abort_vs_wake_of_an_idle_task() {
    bounded_model(|| {
        let queue = Queue::new();
        let (gate, mut handle) = waiting(&queue);
        let waker = gate.take();
        let abort = handle.abort_handle();
        let other = thread::spawn(move || abort.abort());
        let third = thread::spawn(move || waker.wake());
        queue.drain();
        other.join().unwrap();
        third.join().unwrap();
        queue.drain();
        let Poll::Ready(Err(error)) = noop_poll(&mut handle) else {
            panic!("not cancelled");
        };
        assert!(error.is_cancelled());
        drop(handle);
        queue.finish();
    });
}

#[test]
fn join_poll_vs_completion() {
    model(|| {
        let queue = Queue::new();
        let mut handle = queue.spawn(async { UnsafeCell::new(7) });
        let other = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(queue.run(), Some(Polled::Completed)))
        };
        let woken = Arc::new(AtomicUsize::new(0));
        let waker = counting(&woken);
        let mut cx = Context::from_waker(&waker);
        let polled = Pin::new(&mut handle).poll(&mut cx);
        let output = match polled {
            Poll::Ready(output) => output,
            Poll::Pending => {
                other.join().unwrap();
                assert_eq!(woken.load(SeqCst), 1, "the join waker is woken");
                let Poll::Ready(output) = noop_poll(&mut handle) else {
                    panic!("complete");
                };
                output
            }
        };
        output.unwrap().with_mut(|value| {
            // SAFETY: the output is ours; loom checks that its writer is ordered before us.
            assert_eq!(unsafe { *value }, 7);
        });
        drop(handle);
        ::loom::skip_branch();
        drop(waker);
        // The completing thread may still be busy with the list.
        while Arc::strong_count(&queue) > 2 {
            thread::yield_now();
        }
        queue.finish();
    });
}

#[test]
fn join_waker_replacement_vs_completion() {
    model(|| {
        let queue = Queue::new();
        let mut handle = queue.spawn(async { Track::new(7) });
        let woken = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let wakers = [counting(&woken[0]), counting(&woken[1])];
        let first = Pin::new(&mut handle).poll(&mut Context::from_waker(&wakers[0]));
        assert!(first.is_pending());
        let other = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(queue.run(), Some(Polled::Completed)))
        };
        let second = Pin::new(&mut handle).poll(&mut Context::from_waker(&wakers[1]));
        let same = second.is_pending()
            && Pin::new(&mut handle)
                .poll(&mut Context::from_waker(&wakers[1]))
                .is_pending();
        other.join().unwrap();
        if same {
            assert_eq!(woken[1].load(SeqCst), 1, "the last join waker is woken");
        }
        if second.is_pending() && !handle.is_finished() {
            panic!("complete");
        }
        drop(wakers);
        for woken in &woken {
            assert_eq!(Arc::strong_count(woken), 1, "no join waker is left");
        }
        drop(handle);
        queue.finish();
    });
}

#[test]
fn join_drop_vs_completion() {
    model(|| {
        let queue = Queue::new();
        let mut handle = queue.spawn(async { Track::new(7) });
        let woken = Arc::new(AtomicUsize::new(0));
        let waker = counting(&woken);
        assert!(
            Pin::new(&mut handle)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(waker);
        let other = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(queue.run(), Some(Polled::Completed)))
        };
        drop(handle);
        other.join().unwrap();
        assert_eq!(
            Arc::strong_count(&woken),
            1,
            "the join waker is dropped once"
        );
        queue.finish();
    });
}

#[test]
fn join_drop_vs_abort_vs_run() {
    bounded_model(|| {
        let queue = Queue::new();
        let handle = queue.spawn(async { Track::new(7) });
        let abort = handle.abort_handle();
        let other = {
            let queue = queue.clone();
            thread::spawn(move || queue.drain())
        };
        let third = thread::spawn(move || abort.abort());
        drop(handle);
        other.join().unwrap();
        third.join().unwrap();
        queue.finish();
    });
}

#[test]
fn find_vs_completion_and_reuse() {
    // It does not find the first task, or finds it.
    let outcomes: Arc<[Happened; 2]> = Arc::default();
    let counted = outcomes.clone();
    model(move || {
        let queue = Queue::new();
        // Without handles and wakers: the end of the poll frees the cell, and the second task gets its place.
        let (handle, first) = queue.bind(async { Track::new(()) });
        drop(handle);
        let first = first.expect("the list is open");
        let (id, word) = (first.id(), first.word());
        let watchman = {
            let queue = queue.clone();
            let look = |task: &TaskRef<'_>| {
                task.add_conduct(MARK);
                task.id()
            };
            thread::spawn(move || queue.owned.find(word, look))
        };
        assert_eq!(first.run(), Polled::Completed);
        let (handle, second) = queue.bind(async { Track::new(()) });
        drop(handle);
        let second = second.expect("the list is open");
        assert_eq!(
            word::index(second.word()),
            word::index(word),
            "the place is reused"
        );
        assert_eq!(second.conduct(), 0);
        assert_eq!(second.run(), Polled::Completed);
        let found = watchman.join().unwrap();
        assert!(
            found.is_none() || found == Some(id),
            "and the second task not taken for the first"
        );
        counted[usize::from(found.is_some())].count();
        queue.finish();
    });
    assert!(outcomes.iter().all(Happened::did), "both");
}

#[test]
fn mark_vs_the_end_of_the_first_poll() {
    let outcomes: Arc<[Happened; 2]> = Arc::default();
    let counted = outcomes.clone();
    model(move || {
        let queue = Queue::new();
        let gate = Gate::new();
        let handle = queue.spawn(through(&gate));
        let word = queue.tasks.lock()[0].word();
        let watchman = {
            let queue = queue.clone();
            thread::spawn(move || queue.owned.find(word, |task| task.add_conduct(MARK)))
        };
        assert_eq!(queue.run(), Some(Polled::Pending));
        let is_marked = watchman.join().unwrap().is_some();
        counted[usize::from(is_marked)].count();
        gate.take().wake();
        let conduct = queue.tasks.lock()[0].conduct();
        let expected = if is_marked { POLLED | MARK } else { POLLED };
        assert_eq!(conduct, expected, "neither change is lost");
        drop(handle);
        queue.finish();
    });
    assert!(outcomes.iter().all(Happened::did), "both");
}

#[test]
fn list_vs_completion() {
    model(|| {
        let queue = Queue::new();
        let first = queue.spawn(async { Track::new(()) });
        let second = queue.spawn(std::future::pending::<()>());
        let (gone, stays) = (first.id(), second.id());
        drop(first);
        let lister = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut seen = Vec::new();
                queue.owned.for_each(|task| seen.push(task.id));
                seen
            })
        };
        queue.drain();
        let seen = lister.join().unwrap();
        assert!(seen == [gone, stays] || seen == [stays], "{seen:?}");
        drop(second);
        queue.finish();
    });
}

#[test]
fn shutdown_vs_wake() {
    model(|| {
        let queue = Queue::new();
        let (gate, handle) = waiting(&queue);
        let waker = gate.take();
        let other = thread::spawn(move || waker.wake());
        queue.owned.close();
        queue.owned.cancel_all(|runnable| {
            assert_eq!(runnable.run(), Polled::Cancelled);
        });
        queue.drain();
        other.join().unwrap();
        queue.drain();
        assert!(handle.is_finished());
        drop(handle);
        queue.finish();
    });
}

#[test]
fn shutdown_vs_spawn() {
    model(|| {
        let queue = Queue::new();
        let other = {
            let queue = queue.clone();
            thread::spawn(move || {
                let gate = Gate::new();
                gate.open();
                let (handle, runnable) = queue.bind(through(&gate));
                // A worker that has found the injector closed drops what it has.
                drop(runnable);
                assert!(handle.is_finished());
            })
        };
        queue.owned.close();
        queue.owned.cancel_all(drop);
        other.join().unwrap();
        assert!(queue.owned.is_empty());
        queue.finish();
    });
}

#[test]
fn spawn_after_close_is_refused() {
    model(|| {
        let queue = Queue::new();
        let closer = {
            let queue = queue.clone();
            thread::spawn(move || queue.owned.close())
        };
        closer.join().unwrap();
        let (handle, runnable) = queue.bind(async { Track::new(()) });
        assert!(runnable.is_none());
        assert!(handle.is_finished());
        drop(handle);
        queue.finish();
    });
}

#[test]
fn two_last_tasks_end_a_closed_list() {
    model(|| {
        let queue = Arc::new(Queue {
            owned: Owned::new(2),
            tasks: Mutex::new(Vec::new()),
        });
        queue.owned.adopt(queue.clone());
        let weak = Arc::downgrade(&queue);
        let mut runnables: Vec<_> = (0..2)
            .map(|hint| {
                let future = async { drop(Track::new(())) };
                let (_, runnable) = queue
                    .owned
                    .bind(future, Meta::new(Location::caller()), hint);
                runnable.expect("the list is open")
            })
            .collect();
        let [first, second] = [runnables.remove(0), runnables.remove(0)];
        let other = thread::spawn(move || first.run());
        queue.owned.close();
        drop(queue);
        second.run();
        other.join().unwrap();
        assert!(
            weak.upgrade().is_none(),
            "the list has let go of its scheduler"
        );
    });
}

#[test]
fn slot_steal_vs_put() {
    model(|| {
        let queue = Queue::new();
        let slot = Arc::new(AtomicRunnable::new());
        // Two cells that only their runnables lead to: the thief learns of them through the slot.
        let thief = {
            let slot = slot.clone();
            thread::spawn(move || slot.take().map(Runnable::run))
        };
        let mut handles = Vec::new();
        let mut polled = Vec::new();
        for _ in 0..2 {
            let (handle, runnable) = queue.bind(async { Track::new(()) });
            handles.push(handle);
            polled.extend(
                slot.put(runnable.expect("the list is open"))
                    .map(Runnable::run),
            );
        }
        polled.extend(slot.take().map(Runnable::run));
        polled.extend(thief.join().unwrap());
        assert_eq!(polled, [Polled::Completed; 2], "each is run once");
        handles.clear();
        drop(slot);
        queue.finish();
    });
}

#[test]
fn waker_clone_vs_the_free_of_the_cell() {
    model(|| {
        let queue = Queue::new();
        let (gate, handle) = waiting(&queue);
        let waker = gate.take();
        let other = thread::spawn(move || {
            let clone = waker.clone();
            waker.wake();
            drop(clone);
        });
        handle.abort();
        drop(handle);
        queue.drain();
        other.join().unwrap();
        queue.finish();
    });
}
