//! Wakers of tasks: kept too long, called from anywhere, called too often.
#![expect(clippy::waker_clone_wake, reason = "a wake by value is what is tested")]

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};

use runtime::runtime::Builder;
use runtime_tests::{
    DropCount, Flag, LIMIT, Watchdog, current_thread, multi_thread, on_each, yield_until,
};

/// Returns a waker of the task that awaits this.
async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

#[test]
fn wakes_after_completion_do_nothing() {
    on_each(|| async {
        let waker = runtime::spawn(own_waker()).await.unwrap();
        for _ in 0..10 {
            waker.wake_by_ref();
            waker.clone().wake();
        }
        drop(waker);
        runtime::spawn(async {}).await.unwrap();
    });
}

#[test]
fn wakes_after_abort_do_nothing() {
    on_each(|| async {
        let (sender, receiver) = runtime::sync::oneshot::channel();
        let count = DropCount::new();
        let token = count.token();
        let task = runtime::spawn(async move {
            let _token = token;
            sender.send(own_waker().await).unwrap();
            pending::<()>().await;
        });
        let waker = receiver.await.unwrap();
        task.abort();
        waker.wake_by_ref();
        assert!(task.await.unwrap_err().is_cancelled());
        waker.wake_by_ref();
        assert_eq!(count.dropped(), 1);
    });
}

#[test]
fn clones_of_a_tasks_waker_will_wake_the_same_task_and_no_other() {
    on_each(|| async {
        let (one, clone) = runtime::spawn(async {
            let one = own_waker().await;
            (one.clone(), one)
        })
        .await
        .unwrap();
        let other = runtime::spawn(own_waker()).await.unwrap();
        assert!(one.will_wake(&clone));
        assert!(!one.will_wake(&other));
    });
}

#[test]
fn a_waker_may_outlive_its_runtime() {
    let _watchdog = Watchdog::new(LIMIT);
    static KEPT: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
    let count = DropCount::new();
    for runtime in [current_thread(), multi_thread(2)] {
        let pending_token = count.token();
        let finished_token = count.token();
        runtime.block_on(async {
            runtime::spawn(async move {
                let _token = finished_token;
                let waker = own_waker().await;
                KEPT.lock().unwrap().push(waker);
            })
            .await
            .unwrap();
            let before = KEPT.lock().unwrap().len();
            runtime::spawn(async move {
                let _token = pending_token;
                let waker = own_waker().await;
                KEPT.lock().unwrap().push(waker);
                pending::<()>().await;
            });
            yield_until(|| KEPT.lock().unwrap().len() > before).await;
        });
        drop(runtime);
    }
    assert_eq!(count.dropped(), 4, "shutdown drops futures, wakers or not");
    let kept = std::mem::take(&mut *KEPT.lock().unwrap());
    assert_eq!(kept.len(), 4);
    std::thread::spawn(move || {
        for waker in kept {
            waker.wake_by_ref();
            waker.clone().wake();
        }
    })
    .join()
    .unwrap();
}

/// Says each step of a foreign thread's dialogue with a task.
#[derive(Default)]
struct Dialogue {
    turn: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

#[test]
fn no_wake_from_a_foreign_thread_is_lost() {
    const TURNS: usize = 5_000;
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [current_thread(), multi_thread(1), multi_thread(2)] {
        let dialogue = Arc::new(Dialogue::default());
        let (answer, answers) = mpsc::channel();
        let inside = dialogue.clone();
        let task = runtime.spawn(async move {
            for turn in 1..=TURNS {
                poll_fn(|cx| {
                    *inside.waker.lock().unwrap() = Some(cx.waker().clone());
                    match inside.turn.load(Ordering::SeqCst) {
                        now if now >= turn => Poll::Ready(()),
                        _ => Poll::Pending,
                    }
                })
                .await;
                answer.send(turn).unwrap();
            }
        });
        let thread = std::thread::spawn(move || {
            for turn in 1..=TURNS {
                dialogue.turn.store(turn, Ordering::SeqCst);
                if let Some(waker) = dialogue.waker.lock().unwrap().take() {
                    waker.wake();
                }
                assert_eq!(answers.recv().unwrap(), turn);
            }
        });
        runtime.block_on(task).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn a_storm_of_wakes_is_coalesced_and_ends() {
    const WAKES: usize = 50_000;
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(2);
    let polls = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    let task = {
        let (polls, over) = (polls.clone(), over.clone());
        runtime.spawn(poll_fn(move |cx| {
            if polls.fetch_add(1, Ordering::SeqCst) == 0 {
                sender.send(cx.waker().clone()).unwrap();
            }
            if over.load(Ordering::SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    };
    let waker = receiver.recv().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let waker = waker.clone();
            scope.spawn(move || {
                for _ in 0..WAKES {
                    waker.wake_by_ref();
                }
            });
        }
    });
    over.store(true, Ordering::SeqCst);
    waker.wake();
    runtime.block_on(task).unwrap();
    let polls = polls.load(Ordering::SeqCst);
    assert!((2..=4 * WAKES + 2).contains(&polls), "{polls} polls");
}

#[test]
fn a_wake_during_the_poll_leads_to_another_poll() {
    on_each(|| async {
        let polls = Arc::new(AtomicUsize::new(0));
        let inside = polls.clone();
        runtime::spawn(poll_fn(move |cx| {
            if inside.fetch_add(1, Ordering::SeqCst) == 99 {
                return Poll::Ready(());
            }
            // Several wakes, by value and by reference, are one.
            cx.waker().wake_by_ref();
            cx.waker().clone().wake();
            Poll::Pending
        }))
        .await
        .unwrap();
        assert_eq!(polls.load(Ordering::SeqCst), 100);
    });
}

#[test]
fn a_wake_from_the_drop_of_the_future_is_harmless() {
    struct WakesOnDrop(Option<Waker>);
    impl Future for WakesOnDrop {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.0 = Some(cx.waker().clone());
            Poll::Ready(())
        }
    }
    impl Drop for WakesOnDrop {
        fn drop(&mut self) {
            if let Some(waker) = self.0.take() {
                waker.wake_by_ref();
                waker.wake();
            }
        }
    }
    on_each(|| async {
        runtime::spawn(WakesOnDrop(None)).await.unwrap();
        let task = runtime::spawn(async {
            let mut inner = WakesOnDrop(None);
            Pin::new(&mut inner).await;
            pending::<()>().await;
        });
        runtime::task::yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_task_stays_with_its_runtime_whoever_wakes_it() {
    let _watchdog = Watchdog::new(LIMIT);
    let named = |name: &str| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .unwrap()
    };
    let is_here = || std::thread::current().name() == Some("home");
    let (home, away) = (named("home"), named("away"));
    for ends in [true, false] {
        let dropped = Flag::new();
        let (sender, receiver) = mpsc::channel();
        let (polls, over) = (Arc::new(AtomicUsize::new(0)), Flag::new());
        let (inside, is_over, at_drop) = (polls.clone(), over.clone(), dropped.clone());
        let held = OnDrop(Some(move || {
            assert!(is_here(), "dropped on a foreign thread");
            at_drop.set();
        }));
        let task = home.spawn(async move {
            let _held = held;
            poll_fn(|cx| {
                assert!(is_here(), "polled on a foreign thread");
                if inside.fetch_add(1, Ordering::SeqCst) == 0 {
                    sender.send(cx.waker().clone()).unwrap();
                }
                match is_over.is_set() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
        });
        let waker = receiver.recv().unwrap();
        // From tasks, from a root and from a job of the other runtime.
        away.block_on(async {
            for number in 0..1_000 {
                let waker = waker.clone();
                match number % 3 {
                    0 => runtime::spawn(async move { waker.wake() }).await.unwrap(),
                    1 => runtime::task::spawn_blocking(move || waker.wake())
                        .await
                        .unwrap(),
                    _ => waker.wake(),
                }
            }
            match ends {
                true => over.set(),
                false => task.abort(),
            }
            runtime::spawn(async move { waker.wake() }).await.unwrap();
            // Awaited there too.
            assert_eq!(runtime::spawn(task).await.unwrap().is_ok(), ends);
        });
        assert!(dropped.is_set() && polls.load(Ordering::SeqCst) > 1);
    }
}

/// Calls its function when it is dropped.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

#[test]
fn a_wake_by_a_task_of_another_runtime_arrives() {
    let _watchdog = Watchdog::new(LIMIT);
    let (one, other) = (multi_thread(1), multi_thread(1));
    let (to_other, mut at_other) = runtime::sync::mpsc::channel::<u32>(1);
    let (to_one, mut at_one) = runtime::sync::mpsc::channel::<u32>(1);
    let echo = other.spawn(async move {
        while let Some(number) = at_other.recv().await {
            to_one.send(number + 1).await.unwrap();
        }
    });
    one.block_on(async {
        runtime::spawn(async move {
            for number in 0..2_000 {
                to_other.send(number).await.unwrap();
                assert_eq!(at_one.recv().await, Some(number + 1));
            }
        })
        .await
        .unwrap();
    });
    other.block_on(echo).unwrap();
}
