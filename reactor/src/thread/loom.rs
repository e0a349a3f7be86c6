//! Models of the reactor thread's sleep, each named after the race it explores (`duty.md`).
//!
//! The thread's loop is reduced to R6 and its sleep: a token that is lost leaves the thread asleep for ever, which loom reports
//! as a deadlock. Loom takes a `SeqCst` access for an `AcqRel` one. Where the proof rests on the total order of
//! such accesses, on the side of those who wake the thread, a fence stands for that order.

use std::sync::Arc;

use ::loom::sync::atomic::{AtomicBool, fence};
use ::loom::thread;

use super::*;
use crate::sync::model;

/// R6: falls asleep if everybody is parked; whether it may go on with the next period.
fn sleep_if_idle(state: &State, is_idle: impl FnOnce() -> bool) {
    if state.fall_asleep(is_idle) {
        thread::park();
        state.must_wake();
    }
}

#[test]
fn leave_against_falling_asleep() {
    model(|| {
        let state = Arc::new(State::default());
        // Whether everybody is parked.
        let is_idle = Arc::new(AtomicBool::new(true));
        let guarantor = {
            let (state, is_idle) = (Arc::clone(&state), Arc::clone(&is_idle));
            thread::spawn(move || sleep_if_idle(&state, || is_idle.load(Ordering::SeqCst)))
        };
        // A worker leaves the parked state.
        is_idle.swap(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if state.must_wake() {
            guarantor.thread().unpark();
        }
        guarantor.join().expect("no panic");
    });
}

#[test]
fn two_leave_against_falling_asleep() {
    model(|| {
        let state = Arc::new(State::default());
        let is_idle = Arc::new(AtomicBool::new(true));
        let guarantor = {
            let (state, is_idle) = (Arc::clone(&state), Arc::clone(&is_idle));
            thread::spawn(move || sleep_if_idle(&state, || is_idle.load(Ordering::SeqCst)))
        };
        let leave = |thread: ::loom::thread::Thread| {
            let (state, is_idle) = (Arc::clone(&state), Arc::clone(&is_idle));
            move || {
                is_idle.swap(false, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                if state.must_wake() {
                    thread.unpark();
                }
            }
        };
        let other = thread::spawn(leave(guarantor.thread().clone()));
        leave(guarantor.thread().clone())();
        other.join().expect("no panic");
        guarantor.join().expect("no panic");
        assert!(!state.must_wake(), "nobody is asleep");
    });
}

#[test]
fn stop_against_falling_asleep() {
    model(|| {
        let state = Arc::new(State::default());
        let guarantor = {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                sleep_if_idle(&state, || true);
                assert!(state.is_stopped());
            })
        };
        state.stop();
        guarantor.thread().unpark();
        guarantor.join().expect("no panic");
    });
}
