//! Signals of this process: every listener hears of every kind it asked for.
//!
//! Signals reach the whole process, so each test uses signals of its own.

use runtime::signal::unix::{Signal, SignalKind, signal};
use runtime::signal::{self, ctrl_c};
use runtime_tests::{
    LIMIT, Watchdog, child, current_thread, multi_thread, on_each, on_multi_thread, poll_once,
};
use rustix::process::{Signal as Number, getpid, kill_process};

fn raise(number: Number) {
    kill_process(getpid(), number).unwrap();
}

async fn heard(signal: &mut Signal) {
    signal
        .recv()
        .await
        .expect("the listener lives as long as its runtime");
}

#[test]
fn a_listener_hears_its_signal() {
    on_each(|| async {
        let mut listener = signal(SignalKind::user_defined1()).unwrap();
        for _ in 0..10 {
            raise(Number::USR1);
            heard(&mut listener).await;
        }
    });
}

#[test]
fn all_listeners_hear_it_in_all_runtimes() {
    let _watchdog = Watchdog::new(LIMIT);
    let (one, other) = (multi_thread(1), current_thread());
    let listen = || async { signal(SignalKind::user_defined2()).unwrap() };
    let mut listeners = vec![one.block_on(listen()), one.block_on(listen())];
    let mut elsewhere = other.block_on(listen());
    raise(Number::USR2);
    for listener in &mut listeners {
        one.block_on(heard(listener));
    }
    other.block_on(heard(&mut elsewhere));
}

#[test]
fn one_that_came_before_the_listener_is_not_heard() {
    on_multi_thread(async {
        let mut early = signal(SignalKind::window_change()).unwrap();
        raise(Number::WINCH);
        heard(&mut early).await;
        let mut late = signal(SignalKind::window_change()).unwrap();
        assert!(poll_once(Box::pin(late.recv())).await.is_pending());
        raise(Number::WINCH);
        heard(&mut late).await;
        heard(&mut early).await;
    });
}

#[test]
fn a_flood_is_coalesced_and_never_lost() {
    on_multi_thread(async {
        let mut listener = signal(SignalKind::io()).unwrap();
        let mut heard = 0;
        let flood = runtime::task::spawn_blocking(|| {
            for _ in 0..20_000 {
                raise(Number::IO);
            }
        });
        let mut flood = std::pin::pin!(flood);
        loop {
            runtime::select! {
                _ = listener.recv() => heard += 1,
                _ = &mut flood => break,
            }
        }
        if heard == 0 {
            // The flood may have ended before we got a turn; then one is still to be had.
            listener.recv().await.unwrap();
            heard = 1;
        }
        assert!(heard <= 20_000, "{heard}");
        raise(Number::IO);
        listener.recv().await.unwrap();
    });
}

#[test]
fn kinds_are_told_apart() {
    on_multi_thread(async {
        let mut hangups = signal(SignalKind::hangup()).unwrap();
        let mut alarms = signal(SignalKind::alarm()).unwrap();
        raise(Number::ALARM);
        heard(&mut alarms).await;
        assert!(poll_once(Box::pin(hangups.recv())).await.is_pending());
        raise(Number::HUP);
        heard(&mut hangups).await;
        assert_eq!(SignalKind::from_raw(1), SignalKind::hangup());
        assert_eq!(SignalKind::interrupt().as_raw_value(), Number::INT.as_raw());
    });
}

#[test]
fn signals_that_cannot_be_caught_are_refused() {
    on_each(|| async {
        for forbidden in [
            Number::KILL,
            Number::STOP,
            Number::SEGV,
            Number::ILL,
            Number::FPE,
        ] {
            let kind = SignalKind::from_raw(forbidden.as_raw());
            assert!(signal(kind).is_err(), "{forbidden:?}");
        }
        assert!(signal(SignalKind::from_raw(4_000)).is_err());
        assert!(signal(SignalKind::from_raw(-1)).is_err());
    });
}

#[test]
fn ctrl_c_is_heard_by_all_who_wait_and_ends_the_process_no_more() {
    child::run(
        "ctrl_c_is_heard_by_all_who_wait_and_ends_the_process_no_more",
        || {
            on_multi_thread(async {
                for _ in 0..3 {
                    let mut first = Box::pin(ctrl_c());
                    let mut second = Box::pin(signal::ctrl_c());
                    assert!(poll_once(first.as_mut()).await.is_pending());
                    assert!(poll_once(second.as_mut()).await.is_pending());
                    raise(Number::INT);
                    first.await.unwrap();
                    second.await.unwrap();
                }
            });
        },
    );
}

#[test]
fn without_a_listener_the_signal_does_what_it_always_did() {
    let body = || {
        on_multi_thread(async {});
        child::say("ready");
        std::thread::park();
    };
    if let Some(mut child) = child::start(
        "without_a_listener_the_signal_does_what_it_always_did",
        body,
    ) {
        child.wait_for("ready");
        kill_process(child.id(), Number::TERM).unwrap();
        assert_eq!(child.ended_by(), Some(Number::TERM.as_raw()));
    }
}

#[test]
fn runtimes_may_come_and_go_beside_their_signals() {
    let _watchdog = Watchdog::new(LIMIT);
    for _ in 0..20 {
        let runtime = multi_thread(1);
        runtime.block_on(async {
            let mut listener = signal(SignalKind::child()).unwrap();
            raise(Number::CHILD);
            heard(&mut listener).await;
        });
        drop(runtime);
        raise(Number::CHILD);
    }
}
