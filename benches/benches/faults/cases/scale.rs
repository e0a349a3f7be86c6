//! A million of something.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::{Case, case, start};
use crate::peer::{Peer, Settings};
use crate::{Seen, seen};

pub(super) fn all<P: Peer>() -> Vec<Case> {
    vec![
        case(
            "million_timers",
            "14",
            "a million timers at one deadline, beside a task that is always ready",
            timers::<P>,
        ),
        case(
            "chain_of_owners",
            "21",
            "a million tasks own each other; the last is aborted; stacks of 128 KiB",
            chain_of_owners::<P>,
        ),
        case(
            "chain_at_shutdown",
            "21",
            "… and the runtime is dropped",
            chain_at_shutdown::<P>,
        ),
        case(
            "chain_of_wakes",
            "21",
            "… wait for each other",
            chain_of_wakes::<P>,
        ),
        case(
            "storm",
            "23",
            "four threads wake a task a million times each",
            storm::<P>,
        ),
    ]
}

const MANY: usize = 1_000_000;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn timers<P: Peer>() -> Seen {
    let peer = P::start(1, Settings::default()).expect("it starts");
    let (tell, told) = mpsc::channel();
    peer.block_on(async {
        P::detach(P::spawn(async move {
            let count = Arc::new(Count::default());
            let waker = Waker::from(count.clone());
            let length = Duration::from_secs(4);
            let end = Instant::now() + length;
            let mut sleeps: Vec<_> = (0..MANY)
                .map(|_| Box::pin(P::sleep(end.saturating_duration_since(Instant::now()))))
                .collect();
            for sleep in &mut sleeps {
                let _ = sleep.as_mut().poll(&mut Context::from_waker(&waker));
            }
            let is_early = count.0.load(Ordering::Relaxed) == 0;
            let (mut longest, mut last) = (Duration::ZERO, Instant::now());
            while count.0.load(Ordering::Relaxed) < MANY {
                yield_now().await;
                let now = Instant::now();
                longest = longest.max(now - last);
                last = now;
            }
            let late = last.saturating_duration_since(end);
            let _ = tell.send((is_early, longest, late));
            drop(sleeps);
        }));
    });
    match told.recv_timeout(Duration::from_secs(25)) {
        Ok((is_early, longest, late)) => {
            let text = format!(
                "the ready task waits {} ms at most, the last timer is {} ms late{}",
                longest.as_millis(),
                late.as_millis(),
                if is_early {
                    ""
                } else {
                    " (some fired while others were made)"
                },
            );
            seen("survived", text)
        }
        Err(_) => seen("hung", "they have not fired after 25 s"),
    }
}

async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

const STACK: usize = 128 << 10;

/// Runs `body` with a runtime on small stacks, on a thread with a small stack.
fn on_small_stacks<P: Peer>(body: fn(P) -> Seen) -> Seen {
    let small = move || {
        let settings = Settings {
            stack: Some(STACK),
            ..Settings::default()
        };
        body(P::start(2, settings).expect("it starts"))
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(small);
    thread.expect("there is room").join().expect("no panic")
}

/// Ends its task when it is dropped.
struct Owner<P: Peer>(Option<P::Join<()>>, Arc<AtomicUsize>);

impl<P: Peer> Drop for Owner<P> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            P::abort(task);
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn chain<P: Peer>(peer: &P, count: &Arc<AtomicUsize>) -> Owner<P> {
    peer.block_on(async {
        let mut last = Owner(None, count.clone());
        for _ in 0..MANY {
            let held = last;
            let task = P::spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
            last = Owner(Some(task), count.clone());
        }
        last
    })
}

fn all_of(count: &AtomicUsize) -> Seen {
    let end = Instant::now() + Duration::from_secs(15);
    while count.load(Ordering::Relaxed) < MANY - 1 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    match count.load(Ordering::Relaxed) {
        dropped if dropped >= MANY - 1 => seen("survived", "all are dropped"),
        dropped => seen("leaked", format!("{dropped} are dropped")),
    }
}

fn chain_of_owners<P: Peer>() -> Seen {
    on_small_stacks::<P>(|peer| {
        let count = Arc::default();
        drop(chain(&peer, &count));
        all_of(&count)
    })
}

fn chain_at_shutdown<P: Peer>() -> Seen {
    on_small_stacks::<P>(|peer| {
        let count = Arc::default();
        std::mem::forget(chain(&peer, &count));
        peer.end(None);
        all_of(&count)
    })
}

fn chain_of_wakes<P: Peer>() -> Seen {
    on_small_stacks::<P>(|peer| {
        let (tell, told) = mpsc::channel();
        peer.block_on(async {
            let mut last = P::spawn(P::sleep(Duration::from_millis(500)));
            for _ in 0..MANY {
                last = P::spawn(async move {
                    let _ = P::join(last).await;
                });
            }
            P::detach(P::spawn(async move {
                let _ = P::join(last).await;
                let _ = tell.send(());
            }));
        });
        match told.recv_timeout(Duration::from_secs(20)) {
            Ok(()) => seen("survived", "all end"),
            Err(_) => seen("hung", "they do not end within 20 s"),
        }
    })
}

fn storm<P: Peer>() -> Seen {
    let peer = start::<P>();
    let (give, given) = mpsc::channel();
    let (polls, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (inside, is_over) = (polls.clone(), over.clone());
    let (tell, told) = mpsc::channel();
    peer.block_on(async {
        P::detach(P::spawn(async move {
            poll_fn(move |cx| {
                if inside.fetch_add(1, Ordering::SeqCst) == 0 {
                    let _ = give.send(cx.waker().clone());
                }
                match is_over.load(Ordering::SeqCst) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            let _ = tell.send(());
        }));
    });
    let waker = given.recv().expect("it is polled");
    let before = runtime_benches::process::resident_bytes();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let waker = waker.clone();
            scope.spawn(move || (0..MANY).for_each(|_| waker.wake_by_ref()));
        }
    });
    let grew = runtime_benches::process::resident_bytes().saturating_sub(before) >> 10;
    over.store(true, Ordering::SeqCst);
    waker.wake();
    match told.recv_timeout(Duration::from_secs(5)) {
        Ok(()) => {
            let polls = polls.load(Ordering::SeqCst);
            seen("survived", format!("{polls} polls; {grew} kB"))
        }
        Err(_) => seen("hung", "the last wake is lost"),
    }
}
