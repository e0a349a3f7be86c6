//! Models of the duty's flag, each named after the race it explores (`duty.md`).

use std::sync::Arc;

use ::loom::{cell::UnsafeCell, sync::atomic::AtomicU64, thread};

use super::*;
use crate::sync::model;

/// The flag, and what belongs to whoever has the duty: loom sees if two have it at once, or if one does not come after the other.
#[derive(Default)]
struct Line {
    held: Held,
    turns: AtomicU64,
    poller: UnsafeCell<()>,
}

/// Counts a turn, as `metrics::bump` does, if the duty is free.
fn turn(line: &Line) -> u64 {
    if !line.held.try_take() {
        return 0;
    }
    line.poller.with_mut(|_| ());
    line.turns.store(line.turns.load(Relaxed) + 1, Relaxed);
    line.held.give_up();
    1
}

#[test]
fn duty_against_duty() {
    model(|| {
        let line = Arc::new(Line::default());
        let other = {
            let line = Arc::clone(&line);
            thread::spawn(move || turn(&line) + turn(&line))
        };
        let turns = turn(&line) + turn(&line);
        let turns = turns + other.join().expect("no panic");
        assert!(turns >= 2, "who finds it taken leaves it to the other");
        assert_eq!(line.turns.load(Relaxed), turns, "a turn was not counted");
        assert!(!line.held.is_taken());
    });
}

#[test]
fn duty_handed_from_thread_to_thread() {
    model(|| {
        let line = Arc::new(Line::default());
        assert!(line.held.try_take());
        let waiting = Arc::clone(&line);
        // A thread that parks when it finds the duty free, and leaves it alone otherwise.
        let other = thread::spawn(move || turn(&waiting));
        line.poller.with_mut(|_| ());
        line.held.give_up();
        other.join().expect("no panic");
        // Free again, whoever had it last.
        assert_eq!(turn(&line), 1);
    });
}
