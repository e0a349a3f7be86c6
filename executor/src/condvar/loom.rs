//! Models of the condition variable. Of two sleepers the younger wakes first here, since std promises no order; a wait of zero length is over at once, any other lasts
//! until a notification. A notification that is lost leaves a thread asleep: loom reports a deadlock.

use std::sync::Arc;
use std::time::Duration;

use ::loom::thread;

use super::*;
use crate::sync::{Mutex, bounded_model, model};

/// Tokens to wait for.
#[derive(Default)]
struct Tokens {
    left: Mutex<u32>,
    changed: Condvar,
}

impl Tokens {
    fn put(&self) {
        *self.left.lock() += 1;
        self.changed.notify_one();
    }

    fn put_under_the_mutex(&self) {
        let mut left = self.left.lock();
        *left += 1;
        self.changed.notify_one();
    }

    fn take(&self) {
        let mut left = self.left.lock();
        while *left == 0 {
            self.changed.wait(&mut left);
        }
        *left -= 1;
    }

    /// Whether there was one before the time was over.
    fn try_take(&self) -> bool {
        let mut left = self.left.lock();
        while *left == 0 {
            if self.changed.wait_for(&mut left, Duration::ZERO).timed_out() && *left == 0 {
                return false;
            }
        }
        *left -= 1;
        true
    }
}

#[test]
fn notification_vs_falling_asleep() {
    model(|| {
        let tokens = Arc::new(Tokens::default());
        let sleeper = {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.take())
        };
        tokens.put();
        sleeper.join().unwrap();
    });
}

#[test]
fn notification_under_the_mutex_vs_waking() {
    model(|| {
        let tokens = Arc::new(Tokens::default());
        let sleeper = {
            let tokens = tokens.clone();
            thread::spawn(move || {
                tokens.take();
                tokens.take();
            })
        };
        tokens.put_under_the_mutex();
        // The sleeper may be about to wake from the first.
        tokens.put_under_the_mutex();
        sleeper.join().unwrap();
    });
}

#[test]
fn two_notifications_vs_two_sleepers() {
    model(|| {
        let tokens = Arc::new(Tokens::default());
        let sleepers = [(); 2].map(|()| {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.take())
        });
        tokens.put();
        tokens.put();
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}

#[test]
fn notification_vs_timeout() {
    model(|| {
        let tokens = Arc::new(Tokens::default());
        let sleeper = {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.take())
        };
        let hasty = {
            let tokens = tokens.clone();
            thread::spawn(move || tokens.try_take())
        };
        tokens.put();
        // The one whose time was over may have been notified, but then it has what it was notified for.
        if hasty.join().unwrap() {
            tokens.put();
        }
        sleeper.join().unwrap();
    });
}

/// What sleepers that are chosen wait for, one as good as another.
#[derive(Default)]
struct Crew {
    idle: u32,
    chosen: u32,
}

#[test]
fn notification_vs_younger_sleeper() {
    bounded_model(|| {
        let crew = Arc::new((Mutex::new(Crew::default()), Condvar::new()));
        let sleep = |crew: &(Mutex<Crew>, Condvar)| {
            let mut state = crew.0.lock();
            state.idle += 1;
            // Nobody is chosen who is not idle yet: there is no need to look before.
            loop {
                crew.1.wait(&mut state);
                if state.chosen > 0 {
                    state.chosen -= 1;
                    return;
                }
            }
        };
        let [one, other] = [(); 2].map(|()| {
            let crew = crew.clone();
            thread::spawn(move || sleep(&crew))
        });
        for _ in 0..2 {
            loop {
                let mut state = crew.0.lock();
                if state.idle > 0 {
                    state.idle -= 1;
                    state.chosen += 1;
                    break;
                }
                drop(state);
                thread::yield_now();
            }
            // Another may fall asleep before this.
            crew.1.notify_one();
        }
        one.join().unwrap();
        other.join().unwrap();
    });
}
