//! `block_on` and the end of a runtime where they should not be; wakers that stay; forks.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::{Case, boxed, case, in_time, message_of, start};
use crate::peer::{Peer, Settings};
use crate::{Seen, seen};

pub(super) fn all<P: Peer>() -> Vec<Case> {
    vec![
        case(
            "waker_outlives",
            "5",
            "10,000 wakers outlive the runtime and are woken",
            outlives::<P>,
        ),
        case(
            "dropped_in_a_task",
            "6",
            "the runtime is dropped in a task of its own",
            dropped_in_a_task::<P>,
        ),
        case(
            "nested",
            "7",
            "tasks on both workers call `block_on` and wait for another task",
            nested::<P>,
        ),
        case(
            "fork",
            "8",
            "a forked child calls `block_on` of its parent's runtime and waits for a task",
            fork::<P>,
        ),
        case(
            "create_and_drop",
            "28",
            "1,000 runtimes come and go",
            create_and_drop::<P>,
        ),
    ]
}

fn outlives<P: Peer>() -> Seen {
    let peer = start::<P>();
    let wakers = Arc::new(Mutex::new(Vec::<Waker>::new()));
    peer.block_on(async {
        for _ in 0..10_000 {
            let wakers = wakers.clone();
            P::detach(P::spawn(poll_fn(move |cx| {
                wakers
                    .lock()
                    .expect("nobody panics")
                    .push(cx.waker().clone());
                Poll::<()>::Pending
            })));
        }
        while wakers.lock().expect("nobody panics").len() < 10_000 {
            P::sleep(Duration::from_millis(1)).await;
        }
    });
    peer.end(None);
    let wakers = std::mem::take(&mut *wakers.lock().expect("nobody panics"));
    for waker in wakers {
        waker.wake_by_ref();
        waker.wake();
    }
    seen("survived", "nothing happens")
}

fn dropped_in_a_task<P: Peer>() -> Seen {
    if !P::HAS_SHUTDOWN {
        return seen("–", "");
    }
    let peer = Arc::new(start::<P>());
    let inside = peer.clone();
    let (tell, told) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    peer.block_on(async move {
        P::detach(P::spawn(async move {
            gone.recv().expect("sent below");
            let outcome = message_of(|| drop(inside));
            let _ = tell.send(outcome);
        }));
    });
    drop(peer);
    go.send(()).expect("it waits");
    match told.recv_timeout(Duration::from_secs(5)) {
        Ok(Ok(())) => seen("survived", "it shuts down without waiting"),
        Ok(Err(message)) => seen("panicked", format!("\"{}\"", first_sentence(&message))),
        Err(_) => seen("hung", "the drop does not return"),
    }
}

fn first_sentence(message: &str) -> &str {
    message
        .split_inclusive(['.', ';'])
        .next()
        .unwrap_or(message)
}

fn nested<P: Peer>() -> Seen {
    let peer = start::<P>();
    let (tell, told) = mpsc::channel();
    peer.block_on(async {
        for _ in 0..2 {
            let tell = tell.clone();
            P::detach(P::spawn(async move {
                let block_on = P::nested();
                let outcome = message_of(|| {
                    block_on(boxed(async {
                        let _ = P::join(P::spawn(P::sleep(Duration::from_millis(20)))).await;
                    }));
                });
                let _ = tell.send(outcome);
            }));
        }
    });
    let outcomes: Vec<_> = (0..2)
        .map(|_| told.recv_timeout(Duration::from_secs(3)))
        .collect();
    match &outcomes[..] {
        [Ok(Ok(())), Ok(Ok(()))] => seen("survived", "both come through"),
        [Ok(Err(message)), _] => seen("panicked", format!("\"{}\"", first_sentence(message))),
        _ => seen(
            "hung",
            "neither returns: no worker is left for the task that they wait for",
        ),
    }
}

/// How the child of a fork ended.
fn fork<P: Peer>() -> Seen {
    let peer = start::<P>();
    let works = move |peer: &P| {
        peer.block_on(async {
            P::join(P::spawn(P::sleep(Duration::from_millis(5))))
                .await
                .is_ok()
        })
    };
    assert!(works(&peer));
    // SAFETY: the other threads of this process are asleep; the child goes on with this one and leaves with `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets a timer of this process, which ends it if it hangs.
        unsafe { libc::alarm(3) };
        let code = match message_of(|| works(&peer)) {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(_) => 2,
        };
        // SAFETY: ends the child without running anything of its parent's.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: it is our child, and the status is ours.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    let peer = Arc::new(peer);
    let parent = match in_time(&peer, works) {
        Some(true) => "the parent goes on",
        _ => "the parent's own `block_on` does not return any more",
    };
    std::mem::forget(peer);
    if libc::WIFSIGNALED(status) {
        return seen("hung", format!("the child, killed after 3 s; {parent}"));
    }
    match libc::WEXITSTATUS(status) {
        0 => seen("survived", format!("the child's task runs; {parent}")),
        2 => seen(
            "panicked",
            format!("in the child, with the reason; {parent}"),
        ),
        code => seen("reported", format!("in the child, code {code}; {parent}")),
    }
}

fn count_of(directory: &str) -> usize {
    std::fs::read_dir(directory).expect("procfs").count()
}

fn create_and_drop<P: Peer>() -> Seen {
    let count = AtomicUsize::new(0);
    let once = || {
        let peer = P::start(2, Settings::default()).expect("it starts");
        peer.block_on(async {
            P::join(P::spawn(P::sleep(Duration::from_micros(100))))
                .await
                .expect("no panic");
            P::join(P::spawn_blocking(|| ())).await.expect("no panic");
            P::detach(P::spawn(std::future::pending::<()>()));
            P::detach(P::spawn(P::sleep(Duration::from_secs(3_600))));
        });
        peer.end(None);
        count.fetch_add(1, Ordering::Relaxed);
    };
    (0..50).for_each(|_| once());
    let look = || {
        let kilobytes = runtime_benches::process::resident_bytes() / 1024;
        (
            count_of("/proc/self/task"),
            count_of("/proc/self/fd"),
            kilobytes,
        )
    };
    let before = look();
    let start = Instant::now();
    (0..1_000).for_each(|_| once());
    let took = start.elapsed();
    let after = look();
    let text = format!(
        "threads {} → {}, descriptors {} → {}, resident {} → {} kB; {:.0} µs each",
        before.0,
        after.0,
        before.1,
        after.1,
        before.2,
        after.2,
        took.as_micros() as f64 / 1e3
    );
    let grew = after.0 > before.0 + 2 || after.1 > before.1 + 2 || after.2 > before.2 + 4_000;
    seen(if grew { "leaked" } else { "survived" }, text)
}
