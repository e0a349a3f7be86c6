//! Every transition in every state in which it may happen, against the table in the header; and the end of the count.

use super::*;

/// A state in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    scheduled: bool,
    running: bool,
    complete: bool,
    cancelled: bool,
    join_interest: bool,
    join_waker: bool,
    references: usize,
}

impl Said {
    /// All that a task can be in while it has up to four references.
    fn all() -> impl Iterator<Item = Said> {
        (0..1 << 6).flat_map(|flags| {
            let has = move |bit: u32| flags & (1 << bit) != 0;
            (1..=4)
                .map(move |references| Said {
                    scheduled: has(0),
                    running: has(1),
                    complete: has(2),
                    cancelled: has(3),
                    join_interest: has(4),
                    join_waker: has(5),
                    references,
                })
                .filter(|said| {
                    !(said.running && said.complete)
                        && (said.join_interest || !said.join_waker)
                        && said.references >= said.least()
                })
        })
    }

    /// How many references there must be: the executor's until completion, and that of the join handle, which gave it up
    /// for good if it did not wait for the completion.
    fn least(self) -> usize {
        usize::from(!self.complete) + usize::from(self.join_interest)
    }

    fn is_idle(self) -> bool {
        !self.scheduled && !self.running && !self.complete
    }

    /// The word as the drawing at [`State`] has it.
    fn state(self) -> State {
        let flags = [
            self.scheduled,
            self.running,
            self.complete,
            self.cancelled,
            self.join_interest,
            self.join_waker,
        ];
        let flags = (0..)
            .zip(flags)
            .map(|(bit, is_set)| usize::from(is_set) << bit);
        State(AtomicUsize::new(
            self.references * 64 + flags.sum::<usize>(),
        ))
    }

    fn of(state: &State) -> Said {
        let seen = state.load();
        Said {
            scheduled: seen.is_scheduled(),
            running: seen.is_running(),
            complete: seen.is_complete(),
            cancelled: seen.is_cancelled(),
            join_interest: seen.has_join_interest(),
            join_waker: seen.has_join_waker(),
            references: seen.references(),
        }
    }
}

/// Checks one transition: `expected` says of a state whether it may happen there, and then what comes of it.
fn check<A: PartialEq + fmt::Debug>(
    transition: fn(&State) -> A,
    expected: fn(Said) -> Option<(Said, A)>,
) {
    let mut tried = 0;
    for before in Said::all() {
        let Some((after, answer)) = expected(before) else {
            continue;
        };
        let state = before.state();
        assert_eq!(Said::of(&state), before);
        assert_eq!(transition(&state), answer, "{before:?}");
        assert_eq!(Said::of(&state), after, "{before:?}");
        tried += 1;
    }
    assert!(tried >= 8, "{tried}");
}

#[test]
fn a_new_task_is_scheduled_and_has_a_handle() {
    let new = Said {
        scheduled: true,
        running: false,
        complete: false,
        cancelled: false,
        join_interest: true,
        join_waker: false,
        references: 2,
    };
    assert_eq!(Said::of(&State::new()), new);
    assert_eq!(
        format!("{:?}", State::new().load()),
        "State { scheduled: true, running: false, complete: false, cancelled: false, join_interest: true, \
         join_waker: false, references: 2 }"
    );
}

#[test]
fn polls_begin_and_end() {
    check(State::start_poll, |before| {
        (before.scheduled && !before.running && !before.complete).then(|| {
            let after = Said {
                scheduled: false,
                running: true,
                ..before
            };
            let answer = match before.cancelled {
                false => Start::Poll,
                true => Start::Cancel,
            };
            (after, answer)
        })
    });
    check(State::end_poll, |before| {
        before.running.then(|| {
            let after = Said {
                running: false,
                ..before
            };
            let answer = match (before.scheduled, before.cancelled) {
                (false, _) => End::Idle,
                (true, false) => End::Woken,
                (true, true) => End::Cancelled,
            };
            (after, answer)
        })
    });
}

#[test]
fn a_task_completes_for_its_handle_or_alone() {
    check(State::complete, |before| {
        if !before.running {
            return None;
        }
        let complete = Said {
            running: false,
            complete: true,
            ..before
        };
        Some(match (before.join_interest, before.join_waker) {
            (false, _) if before.references == 1 => (before, Joiner::Alone),
            (false, _) => (complete, Joiner::Gone),
            (true, true) => (complete, Joiner::Waiting),
            (true, false) => {
                let references = before.references - 1;
                let after = Said {
                    references,
                    ..complete
                };
                (after, Joiner::Quiet)
            }
        })
    });
}

#[test]
fn who_wakes_an_idle_task_submits_it() {
    check(State::wake, |before| {
        let after = Said {
            scheduled: true,
            ..before
        };
        let answer = match before.is_idle() {
            true => Wakeup::Submit,
            false => Wakeup::Nothing,
        };
        Some((after, answer))
    });
    check(State::wake_and_release, |before| {
        // The waker has a reference of its own.
        (before.references > before.least()).then(|| {
            let references = before.references - 1;
            let after = Said {
                scheduled: true,
                references,
                ..before
            };
            let answer = match (before.is_idle(), references) {
                (true, _) => Wakeup::Submit,
                (false, 0) => Wakeup::Free,
                (false, _) => Wakeup::Nothing,
            };
            (after, answer)
        })
    });
}

#[test]
fn a_task_is_aborted_once() {
    check(State::abort, |before| {
        if before.complete || before.cancelled {
            return Some((before, Wakeup::Nothing));
        }
        let after = Said {
            scheduled: true,
            cancelled: true,
            ..before
        };
        let answer = match before.is_idle() {
            true => Wakeup::Submit,
            false => Wakeup::Nothing,
        };
        Some((after, answer))
    });
    check(State::mark_cancelled, |before| {
        let after = Said {
            cancelled: true,
            ..before
        };
        Some((after, ()))
    });
}

#[test]
fn the_join_waker_changes_until_completion() {
    /// What comes of setting it, or unsetting it.
    fn changed(before: Said, join_waker: bool) -> Option<(Said, JoinWaker)> {
        if !before.join_interest || before.join_waker == join_waker {
            return None;
        }
        if before.complete {
            return Some((before, JoinWaker::Complete));
        }
        let after = Said {
            join_waker,
            ..before
        };
        Some((after, JoinWaker::Changed))
    }
    check(State::set_join_waker, |before| changed(before, true));
    check(State::unset_join_waker, |before| changed(before, false));
}

#[test]
fn the_join_handle_leaves_what_it_has_to_clear() {
    check(State::drop_join, |before| {
        if !before.join_interest {
            return None;
        }
        let gone = Said {
            join_interest: false,
            join_waker: false,
            ..before
        };
        Some(match (before.complete, before.join_waker) {
            (true, _) => (before, Leftover::Output),
            (false, true) => (gone, Leftover::Waker),
            (false, false) => {
                let references = before.references - 1;
                let after = Said { references, ..gone };
                (after, Leftover::Nothing)
            }
        })
    });
}

#[test]
fn references_are_counted() {
    check(State::retain, |before| {
        let references = before.references + 1;
        let after = Said {
            references,
            ..before
        };
        Some((after, ()))
    });
    check(State::release, |before| match before.references {
        // Who has the last one just looks.
        1 => Some((before, Released::Last)),
        _ => {
            let references = before.references - 1;
            let after = Said {
                references,
                ..before
            };
            Some((after, Released::Shared))
        }
    });
}

/// Half of what the count can hold.
const HALF: usize = if cfg!(target_pointer_width = "64") {
    (1 << 57) - 1
} else {
    (1 << 25) - 1
};

#[test]
#[cfg(not(miri))]
fn the_process_ends_before_the_count_does() {
    const NAME: &str = "RT_TEST_REFERENCES";
    if let Ok(references) = std::env::var(NAME) {
        // The child.
        let references: usize = references.parse().expect("a number");
        State(AtomicUsize::new(references * 64)).retain();
        return;
    }
    for (references, is_fine) in [(1000, true), (HALF, true), (HALF + 1, false)] {
        let output = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args([
                "--exact",
                "task::state::tests::the_process_ends_before_the_count_does",
            ])
            .env(NAME, references.to_string())
            .output()
            .expect("it starts");
        assert_eq!(output.status.success(), is_fine, "{references}: {output:?}");
    }
}
