//! Panics: of tasks, in drops, in wakers, in hooks.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{Bomb, Case, alive, case, in_time, message_of, start, workers_live};
use crate::peer::{Peer, Settings};
use crate::{Seen, seen};

pub(super) fn all<P: Peer>() -> Vec<Case> {
    vec![
        case(
            "panic_in_poll",
            "1",
            "a task panics, 1,000 times",
            in_poll::<P>,
        ),
        case(
            "drop_at_the_end",
            "2",
            "… `Drop` of the future panics when it has ended",
            at_the_end::<P>,
        ),
        case("drop_by_abort", "2", "… when it is aborted", by_abort::<P>),
        case(
            "drop_of_an_output",
            "2",
            "… `Drop` of the output of a detached task panics",
            of_an_output::<P>,
        ),
        case(
            "drop_of_a_payload",
            "2",
            "… `Drop` of the payload with which a detached task panicked",
            of_a_payload::<P>,
        ),
        case(
            "drop_at_shutdown",
            "2",
            "… `Drop` of 7 of 20 futures panics when the runtime is dropped",
            at_shutdown::<P>,
        ),
        case(
            "waker_wake",
            "3",
            "a waker that awaits a task panics when it is woken",
            || in_waker::<P>(Hostile::Wake),
        ),
        case("waker_drop", "3", "… when it is dropped", || {
            in_waker::<P>(Hostile::Drop)
        }),
        case(
            "waker_of_a_timer",
            "3",
            "… a timer's waker panics when it is woken, beside 100 other timers",
            in_timer::<P>,
        ),
        case(
            "hooks",
            "24",
            "hooks panic: start, stop, park, unpark",
            hooks::<P>,
        ),
    ]
}

fn in_poll<P: Peer>() -> Seen {
    let peer = start::<P>();
    let reasons = peer.block_on(async {
        let mut reasons = Vec::new();
        for _ in 0..1_000 {
            let task = P::spawn(async { panic!("a task") });
            let joined: Result<(), _> = P::join(task).await;
            reasons.push(joined.expect_err("it panics"));
        }
        reasons
    });
    alive(&peer, format!("each is told: {}", reasons[0]))
}

/// Ready at once.
struct Ends(#[allow(dead_code)] Bomb);

impl Future for Ends {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

fn at_the_end<P: Peer>() -> Seen {
    let peer = start::<P>();
    let joined = peer.block_on(async { P::join(P::spawn(Ends(Bomb))).await });
    alive(&peer, told(joined))
}

fn told(joined: Result<(), String>) -> String {
    match joined {
        Ok(()) => "the task counts as ended well".to_owned(),
        Err(reason) => format!("told: {reason}"),
    }
}

fn by_abort<P: Peer>() -> Seen {
    let peer = start::<P>();
    let outcome = message_of(|| {
        peer.block_on(async {
            let (tell, told) = mpsc::channel();
            let task = P::spawn(async move {
                let _bomb = Bomb;
                tell.send(()).expect("waited for");
                pending::<()>().await;
            });
            told.recv().expect("it runs");
            P::sleep(Duration::from_millis(20)).await;
            P::abort(task);
            P::sleep(Duration::from_millis(100)).await;
        });
    });
    match outcome {
        Ok(()) => alive(&peer, "contained"),
        Err(message) => seen("panicked", format!("in the one who aborts: \"{message}\"")),
    }
}

fn of_an_output<P: Peer>() -> Seen {
    let peer = start::<P>();
    peer.block_on(async {
        for _ in 0..100 {
            P::detach(P::spawn(async {
                P::sleep(Duration::from_millis(1)).await;
                Bomb
            }));
        }
        P::sleep(Duration::from_millis(200)).await;
    });
    alive(&peer, "contained")
}

fn of_a_payload<P: Peer>() -> Seen {
    let peer = start::<P>();
    peer.block_on(async {
        for _ in 0..100 {
            P::detach(P::spawn(async {
                P::sleep(Duration::from_millis(1)).await;
                std::panic::panic_any(Bomb)
            }));
        }
        P::sleep(Duration::from_millis(200)).await;
    });
    alive(&peer, "contained")
}

fn at_shutdown<P: Peer>() -> Seen {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let peer = start::<P>();
    let count = Arc::new(AtomicUsize::new(0));
    peer.block_on(async {
        for number in 0..20 {
            let counts = Counts(count.clone());
            P::detach(P::spawn(async move {
                let _held = (counts, (number % 3 == 0).then_some(Bomb));
                pending::<()>().await;
            }));
        }
        P::sleep(Duration::from_millis(50)).await;
    });
    let outcome = message_of(|| peer.end(None));
    let dropped = count.load(Ordering::SeqCst);
    let who = match outcome {
        Ok(()) => "contained",
        Err(_) => "it reaches the one who drops the runtime",
    };
    match dropped {
        20 => seen("survived", format!("{who}; all 20 are dropped")),
        _ => seen("leaked", format!("{who}; {dropped} of 20 are dropped")),
    }
}

/// What panics.
#[derive(Clone, Copy, PartialEq)]
enum Hostile {
    Wake,
    Drop,
}

struct HostileWaker(Hostile);

impl Wake for HostileWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.0 == Hostile::Wake {
            panic!("a waker that panics when it is woken");
        }
    }
}

impl Drop for HostileWaker {
    fn drop(&mut self) {
        if self.0 == Hostile::Drop && !std::thread::panicking() {
            panic!("a waker that panics when it is dropped");
        }
    }
}

fn in_waker<P: Peer>(kind: Hostile) -> Seen {
    let peer = start::<P>();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let outcome = peer.block_on(async {
        let mut task = P::spawn(async move {
            may_go_on.recv().expect("sent below");
        });
        let waker = Waker::from(Arc::new(HostileWaker(kind)));
        let is_ready = P::poll_join(&mut task, &mut Context::from_waker(&waker));
        assert!(!is_ready, "it waits");
        // The task has the last one.
        drop(waker);
        go_on.send(()).expect("it waits");
        P::sleep(Duration::from_millis(100)).await;
        (P::is_finished(&task), task)
    });
    match outcome {
        (true, task) => {
            let joined = match message_of(|| peer.block_on(P::join(task))) {
                Ok(joined) => joined,
                Err(message) => {
                    return seen(
                        "panicked",
                        format!("in the next one who awaits the task: \"{message}\""),
                    );
                }
            };
            let text = match joined {
                Ok(()) => "contained; the task has its output".to_owned(),
                Err(reason) => format!("contained; the task's output is lost: {reason}"),
            };
            alive(&peer, text)
        }
        (false, _) => seen("starved", "the task does not end"),
    }
}

fn in_timer<P: Peer>() -> Seen {
    let peer = Arc::new(start::<P>());
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    peer.block_on(async move {
        for _ in 0..100 {
            let ended = count.clone();
            P::detach(P::spawn(async move {
                P::sleep(Duration::from_millis(100)).await;
                ended.fetch_add(1, Ordering::SeqCst);
            }));
        }
        let waker = Waker::from(Arc::new(HostileWaker(Hostile::Wake)));
        let mut hostage = Box::pin(P::sleep(Duration::from_millis(90)));
        let _ = hostage.as_mut().poll(&mut Context::from_waker(&waker));
        // The root waits without a timer of its own, in case none fires any more.
        std::thread::sleep(Duration::from_millis(1_000));
        std::mem::forget(hostage);
    });
    let ended = ended.load(Ordering::SeqCst);
    let later = in_time(&peer, |peer| {
        peer.block_on(async { P::join(P::spawn(P::sleep(Duration::from_millis(10)))).await })
    });
    let workers = in_time(&peer, |peer| workers_live(peer, 2)) == Some(true);
    std::mem::forget(peer);
    match (ended, later.is_some(), workers) {
        (100, true, true) => seen("survived", "all 100 end"),
        (ended, later, workers) => seen(
            "starved",
            format!(
                "{ended} of 100 end; later timers {}; {}",
                if later { "fire" } else { "do not fire" },
                if workers {
                    "both workers live"
                } else {
                    "not both workers live"
                },
            ),
        ),
    }
}

fn hooks<P: Peer>() -> Seen {
    if !P::HAS_HOOKS {
        return seen("–", "");
    }
    let settings = Settings {
        hooks_panic: true,
        ..Settings::default()
    };
    let peer = match message_of(|| P::start(2, settings)) {
        Ok(Ok(peer)) => peer,
        Ok(Err(error)) => return seen("reported", error.to_string()),
        Err(message) => return seen("panicked", message),
    };
    let (tell, told) = mpsc::channel();
    peer.block_on(async {
        P::detach(P::spawn(async move {
            for number in 0..10 {
                P::sleep(Duration::from_millis(5)).await;
                let _ = tell.send(number);
            }
        }));
    });
    let mut ran = 0;
    while told.recv_timeout(Duration::from_secs(3)).is_ok() {
        ran += 1;
    }
    match ran {
        10 => seen("survived", "tasks and timers go on"),
        _ => seen(
            "starved",
            format!("a task that sleeps ten times is polled {ran} times, and then no more"),
        ),
    }
}
