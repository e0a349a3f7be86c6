//! Models of a parker: a token against each step of its thread.
//!
//! A token that is lost leaves a thread asleep for ever, which loom reports as a deadlock.

use std::sync::Arc;

use ::loom::thread;

use super::*;
use crate::sync::{AtomicUsize, bounded_model, model};

#[test]
fn token_against_sleep() {
    model(|| {
        let parker = Arc::new(Parker::new());
        // What was written before an unpark must be seen by the one who wakes.
        let pushed = Arc::new(AtomicUsize::new(0));
        let sleeper = {
            let (parker, pushed) = (Arc::clone(&parker), Arc::clone(&pushed));
            thread::spawn(move || {
                parker.adopt();
                parker.sleep(None);
                assert_eq!(pushed.load(Ordering::Relaxed), 1);
            })
        };
        pushed.store(1, Ordering::Relaxed);
        assert_eq!(parker.unpark(), Unparked::Done);
        sleeper.join().expect("no panic");
        // The token has been taken.
        assert!(parker.begin(Sleep::Futex));
    });
}

#[test]
fn two_tokens_against_sleep() {
    bounded_model(|| {
        let parker = Arc::new(Parker::new());
        let pushed = Arc::new(AtomicUsize::new(0));
        let sleeper = {
            let (parker, pushed) = (Arc::clone(&parker), Arc::clone(&pushed));
            thread::spawn(move || {
                parker.adopt();
                // As a worker: look, and sleep if there is nothing.
                while pushed.load(Ordering::Relaxed) < 2 {
                    parker.sleep(None);
                }
            })
        };
        let other = {
            let (parker, pushed) = (Arc::clone(&parker), Arc::clone(&pushed));
            thread::spawn(move || {
                pushed.fetch_add(1, Ordering::Relaxed);
                let _ = parker.unpark();
            })
        };
        pushed.fetch_add(1, Ordering::Relaxed);
        let _ = parker.unpark();
        other.join().expect("no panic");
        sleeper.join().expect("no panic");
    });
}

#[test]
fn token_against_begin_and_finish() {
    model(|| {
        let parker = Arc::new(Parker::new());
        let sleeper = {
            let parker = Arc::clone(&parker);
            thread::spawn(move || {
                let slept = parker.begin(Sleep::Driver);
                // The driver returns because of an event, or of the interrupt: both look the same here.
                let taken = if slept { parker.finish() } else { true };
                (slept, taken)
            })
        };
        let unparked = parker.unpark();
        let (slept, taken) = sleeper.join().expect("no panic");
        let left = parker.finish();
        assert!(taken != left, "one token, taken once");
        if unparked == Unparked::InterruptDriver {
            assert!(
                slept && taken,
                "only a sleeper is interrupted, and it takes the token"
            );
        }
        if slept && taken {
            assert_eq!(
                unparked,
                Unparked::InterruptDriver,
                "a sleeper was not woken"
            );
        }
    });
}
