//! For whom the events are, as told by the dispatches of one thread.

use super::*;

/// What a worker's thread does from one dispatch to the next.
#[derive(Clone, Copy)]
enum Seen {
    /// An event for the root.
    Root,
    /// An event for a task that wakes the root when it runs.
    TaskThenRoot,
    /// Events for so many tasks, none of which wakes the root.
    Tasks(usize),
    /// Events that wake nobody.
    Nobody,
}
use Seen::{Nobody, Root, TaskThenRoot, Tasks};

const GUEST: usize = 7;

fn dispatch(favour: &Favour, seen: Seen) -> Option<usize> {
    let learning = favour.begin_dispatch();
    let woken = match seen {
        Root => {
            favour.note_roused(GUEST);
            1
        }
        TaskThenRoot => 1,
        Tasks(tasks) => tasks,
        Nobody => 0,
    };
    let newly = favour.end_dispatch(learning, woken);
    if let TaskThenRoot = seen {
        favour.note_roused(GUEST);
    }
    newly
}

/// Whether the guest is favoured after each of so many rounds of `seen`.
fn favoured(seen: &[Seen], rounds: u32) -> Vec<bool> {
    let favour = Favour::new();
    let round = |_| {
        for &seen in seen {
            let _ = dispatch(&favour, seen);
        }
        favour.guest() == Some(GUEST)
    };
    (0..rounds).map(round).collect()
}

fn ends_favoured(seen: &[Seen]) -> bool {
    favoured(seen, 1000)[999]
}

#[test]
fn a_guest_is_favoured_once_enough_events_were_for_its_root() {
    let rounds = favoured(&[Root], FAVOUR_AFTER);
    assert_eq!(rounds.iter().position(|&is_so| is_so), Some(7));
    assert!(ends_favoured(&[Root, Nobody]));
}

#[test]
fn and_once_enough_were_for_tasks_that_woke_it() {
    let rounds = favoured(&[TaskThenRoot], FAVOUR_AFTER + 1);
    // The wake-up of a task's poll is known at the next dispatch.
    assert_eq!(rounds.iter().position(|&is_so| is_so), Some(8));
    assert!(ends_favoured(&[TaskThenRoot, Nobody, Nobody]));
}

#[test]
fn or_if_every_other_one_is_for_the_peer_of_its_root() {
    assert!(ends_favoured(&[Root, Tasks(1)]));
    assert!(ends_favoured(&[Root, Tasks(COMPANY)]));
    assert!(ends_favoured(&[TaskThenRoot, Tasks(1)]));
}

#[test]
fn a_server_is_left_to_the_workers() {
    assert!(!ends_favoured(&[Tasks(1)]));
    assert!(!ends_favoured(&[Nobody]));
    // The root accepts a connection now and then.
    assert!(!ends_favoured(&[Root, Tasks(1), Tasks(1)]));
    assert!(!ends_favoured(&[Root, Tasks(COMPANY + 1)]));
    assert!(!ends_favoured(&[TaskThenRoot, Tasks(1), Tasks(1)]));
}

#[test]
fn a_guest_that_spawns_or_computes_gets_no_company_but_keeps_what_is_its_own() {
    for (seen, expected) in [(Root, true), (TaskThenRoot, false)] {
        let favour = Favour::new();
        for _ in 0..1000 {
            dispatch(&favour, seen);
            favour.no_company(GUEST);
        }
        assert_eq!(favour.guest() == Some(GUEST), expected);
    }
}

#[test]
fn guests_that_are_woken_by_turns_are_left_to_the_workers() {
    let favour = Favour::new();
    for turn in 0..1000 {
        let learning = favour.begin_dispatch();
        favour.note_roused(turn % 2);
        assert_eq!(favour.end_dispatch(learning, 1), None);
    }
}

/// A guest that is favoured.
fn with_favour() -> Favour {
    let favour = Favour::new();
    for _ in 1..FAVOUR_AFTER {
        assert_eq!(dispatch(&favour, Root), None);
    }
    assert_eq!(dispatch(&favour, Root), Some(GUEST), "it must be unparked");
    assert_eq!(dispatch(&favour, Root), None, "but once");
    favour
}

#[test]
fn a_guest_that_wakes_another_one_is_favoured_no_more() {
    let favour = with_favour();
    let learning = favour.begin_dispatch();
    assert!(!favour.end_dispatch_of_guest(learning, GUEST));
    let learning = favour.begin_dispatch();
    favour.note_roused(GUEST + 1);
    assert!(favour.end_dispatch_of_guest(learning, GUEST));
    assert_eq!(favour.guest(), None);
    // A task that it runs does so.
    let favour = with_favour();
    favour.note_roused(GUEST + 1);
    let learning = favour.begin_dispatch();
    assert!(favour.end_dispatch_of_guest(learning, GUEST));
}

#[test]
fn nobody_ends_the_favour_of_another_guest() {
    let favour = with_favour();
    assert!(!favour.leave(GUEST + 1));
    assert!(!favour.passed_on(GUEST + 1));
    favour.no_company(GUEST + 1);
    assert_eq!(favour.guest(), Some(GUEST));
    assert!(favour.leave(GUEST));
    assert_eq!(favour.guest(), None);
}

#[test]
fn guests_that_leave_after_each_event_are_left_to_the_workers() {
    // After the dispatch that woke it, and before its end.
    let favour = Favour::new();
    for _ in 0..1000 {
        dispatch(&favour, Root);
        assert!(!favour.leave(GUEST));
    }
    for _ in 0..1000 {
        let learning = favour.begin_dispatch();
        favour.note_roused(GUEST);
        assert!(!favour.leave(GUEST));
        assert_eq!(favour.end_dispatch(learning, 1), None);
    }
    // While a task that it woke is dispatched for.
    for _ in 0..1000 {
        dispatch(&favour, TaskThenRoot);
        let learning = favour.begin_dispatch();
        assert!(!favour.leave(GUEST));
        assert_eq!(favour.end_dispatch(learning, 1), None);
    }
}

#[test]
fn the_root_of_another_runtime_speaks_for_nobody() {
    let (favour, other) = (Favour::new(), Favour::new());
    for _ in 0..1000 {
        let learning = favour.begin_dispatch();
        other.note_roused(GUEST);
        assert_eq!(favour.end_dispatch(learning, 1), None);
    }
}

#[test]
fn what_was_learned_is_forgotten_when_the_favour_ends() {
    for seen in [Root, TaskThenRoot] {
        let favour = Favour::new();
        for _ in 0..=FAVOUR_AFTER {
            dispatch(&favour, seen);
        }
        assert_eq!(favour.guest(), Some(GUEST));
        favour.withdraw();
        dispatch(&favour, seen);
        assert_eq!(favour.guest(), None);
    }
}
