use super::*;

/// Nobody to avoid.
const NOBODY: usize = usize::MAX;

#[test]
fn nobody_is_chosen_while_nobody_sleeps_or_somebody_searches() {
    let idle = Idle::new(4);
    assert_eq!(idle.choose(|| NOBODY), None);
    assert_eq!(idle.park(0, false), Parked::Recheck);
    assert!(idle.try_search(4));
    assert_eq!(idle.choose(|| NOBODY), None);
    assert!(idle.found_work(), "it was the last one");
    assert_eq!(idle.choose(|| NOBODY), Some(0));
}

#[test]
fn a_burst_of_pushes_wakes_one() {
    let idle = Idle::new(4);
    for slot in 0..4 {
        let _ = idle.park(slot, false);
    }
    assert_eq!(idle.choose(|| NOBODY), Some(3), "the one that parked last");
    for _ in 0..10 {
        assert_eq!(
            idle.choose(|| NOBODY),
            None,
            "the chosen one counts as searching"
        );
    }
    assert!(idle.found_work());
    assert_eq!(idle.choose(|| NOBODY), Some(2));
}

#[test]
fn the_holder_of_the_duty_is_chosen_last() {
    let idle = Idle::new(3);
    for slot in 0..3 {
        let _ = idle.park(slot, false);
    }
    let chosen: Vec<_> = (0..3)
        .map(|_| {
            let chosen = idle.choose(|| 2);
            idle.found_work();
            chosen
        })
        .collect();
    assert_eq!(chosen, [Some(1), Some(0), Some(2)]);
}

#[test]
fn at_most_half_of_those_awake_search() {
    let idle = Idle::new(8);
    let searching = (0..8).filter(|_| idle.try_search(8)).count();
    assert_eq!(searching, 4);
    for slot in 0..4 {
        let _ = idle.park(slot, true);
    }
    // Four are awake.
    let searching = (0..8).filter(|_| idle.try_search(8)).count();
    assert_eq!(searching, 2);
}

#[test]
fn one_worker_alone_may_search() {
    let idle = Idle::new(1);
    assert!(idle.try_search(1));
    assert_eq!(idle.park(0, true), Parked::Recheck);
}

#[test]
fn only_the_last_to_park_looks_again() {
    let idle = Idle::new(3);
    assert!(idle.try_search(8));
    assert!(idle.try_search(8));
    assert_eq!(idle.park(0, false), Parked::Covered);
    assert_eq!(idle.park(1, true), Parked::Covered);
    assert_eq!(idle.park(2, true), Parked::Recheck);
}

#[test]
fn who_leaves_learns_whether_it_was_chosen() {
    let idle = Idle::new(2);
    let _ = idle.park(0, false);
    let _ = idle.park(1, false);
    assert_eq!(idle.parked(), 2);
    assert_eq!(idle.choose(|| NOBODY), Some(1));
    assert!(!idle.is_parked(1));
    assert_eq!(idle.leave(1), Left::Chosen);
    assert_eq!(idle.parked(), 1);
    assert!(idle.is_parked(0));
    assert_eq!(idle.leave(0), Left::ByItself);
    assert_eq!(idle.parked(), 0);
}

#[test]
fn one_lingers_and_does_not_count_as_searching() {
    let idle = Idle::new(8);
    assert!(idle.try_search(8) && idle.try_search(8) && idle.try_search(8));
    assert_eq!(idle.begin_linger(), Lingers::Covered, "two others search");
    assert_eq!(idle.begin_linger(), Lingers::Not, "one lingers");
    assert!(!idle.found_work(), "who does not linger searches on");
    assert!(idle.found_work());
    idle.end_linger();
    assert!(idle.try_search(8));
    assert_eq!(idle.begin_linger(), Lingers::Recheck, "it was the last one");
    // Nobody counts as searching: half of the eight may.
    assert_eq!((0..8).filter(|_| idle.try_search(8)).count(), 4);
}

#[test]
fn a_batch_is_for_others_if_it_takes_5_us_200_beside_hogs_or_5_ms_in_a_crowd() {
    const ALWAYS: &[Cores] = &[Cores::Free, Cores::Hogs, Cores::Crowded];
    const UNLESS_CROWDED: &[Cores] = &[Cores::Free, Cores::Hogs];
    const IF_FREE: &[Cores] = &[Cores::Free];
    const NEVER: &[Cores] = &[];
    for (tasks, poll_nanos, expected) in [
        (0, u64::MAX, NEVER),
        (1, 10_000_000, NEVER),
        (2, 2_499, NEVER),
        (2, 2_500, IF_FREE),
        (2, 99_999, IF_FREE),
        (2, 100_000, UNLESS_CROWDED),
        (4, 1_249, NEVER),
        (4, 1_250, IF_FREE),
        (10, 1_000, IF_FREE),
        (400, 500, UNLESS_CROWDED),
        // Each is better run where it is.
        (200, 999, NEVER),
        (200, 1_000, UNLESS_CROWDED),
        (201, 999, UNLESS_CROWDED),
        (200, 24_999, UNLESS_CROWDED),
        (200, 25_000, ALWAYS),
        // Nothing is known of the polls.
        (2, u64::MAX, ALWAYS),
    ] {
        let mut found = ALWAYS.to_vec();
        found.retain(|cores| is_for_others(tasks, poll_nanos, || *cores));
        assert_eq!(found, expected, "{tasks} tasks, {poll_nanos} ns");
    }
}

#[test]
fn a_batch_of_tasks_that_take_less_than_1_us_was_not_worth_taking() {
    for (tasks, polls, nanos, expected) in [
        (5, 5, 4_999, false),
        (5, 5, 5_000, true),
        (32, 32, 3_200, false),
        // Some were polled again.
        (32, 64, 3_200, false),
        // They brought forth others.
        (32, 65, 3_200, true),
        // Half of them were stolen again.
        (32, 16, 15_999, false),
        (32, 16, 16_000, true),
        // A clock that stands still.
        (2, 2, 0, false),
    ] {
        let was_worth_it = is_worth_taking(tasks, polls, Duration::from_nanos(nanos));
        assert_eq!(
            was_worth_it, expected,
            "{tasks} tasks, {polls} polls, {nanos} ns"
        );
    }
}

#[test]
fn one_worker_at_a_time_rests_or_lingers() {
    let idle = Idle::new(3);
    assert!(idle.begin_rest());
    assert!(!idle.begin_rest());
    assert!(idle.try_search(3));
    assert_eq!(idle.begin_linger(), Lingers::Not);
    idle.end_linger();
    assert_eq!(idle.begin_linger(), Lingers::Recheck);
    assert!(!idle.begin_rest());
    idle.end_linger();
    assert!(idle.begin_rest());
}

#[test]
fn what_was_gathered_is_told_once() {
    let idle = Idle::new(1);
    assert!(!idle.take_gathered());
    idle.note_gathered();
    idle.note_gathered();
    assert!(idle.take_gathered());
    assert!(!idle.take_gathered());
}

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// What a slot does, in the oracle.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Does {
    Work,
    Search,
    Sleep,
}

#[test]
fn random_operations_on_512_slots_agree_with_an_oracle() {
    const SLOTS: usize = 512;
    let seed = 0x5EED_0BAD_CAFE;
    let mut random = Random(seed);
    let idle = Idle::new(SLOTS);
    let mut does = [Does::Work; SLOTS];
    for step in 0..50_000 {
        let slot = random.below(SLOTS);
        let count = |what: Does| does.iter().filter(|&&does| does == what).count();
        let (searching, parked) = (count(Does::Search), count(Does::Sleep));
        let context = format!("seed {seed:#x}, step {step}, slot {slot}");
        match does[slot] {
            Does::Work if random.below(2) == 0 => {
                let may = 2 * searching < (SLOTS - parked).max(1);
                assert_eq!(idle.try_search(SLOTS), may, "{context}");
                if may {
                    does[slot] = Does::Search;
                }
            }
            Does::Search if random.below(2) == 0 => {
                assert_eq!(idle.found_work(), searching == 1, "{context}");
                does[slot] = Does::Work;
            }
            Does::Work | Does::Search => {
                let was_searching = does[slot] == Does::Search;
                let others = searching - usize::from(was_searching);
                let recheck = idle.park(slot, was_searching) == Parked::Recheck;
                assert_eq!(recheck, others == 0, "{context}");
                does[slot] = Does::Sleep;
            }
            Does::Sleep if random.below(2) == 0 => {
                assert!(idle.is_parked(slot), "{context}");
                assert_eq!(idle.leave(slot), Left::ByItself, "{context}");
                does[slot] = Does::Work;
            }
            Does::Sleep => {
                let avoid = random.below(SLOTS);
                let chosen = idle.choose(|| avoid);
                assert_eq!(chosen.is_some(), searching == 0, "{context}");
                if let Some(chosen) = chosen {
                    assert_eq!(does[chosen], Does::Sleep, "{context}");
                    assert!(chosen != avoid || parked == 1, "{context}");
                    assert!(!idle.is_parked(chosen), "{context}");
                    does[chosen] = Does::Search;
                }
            }
        }
    }
    for (slot, does) in does.iter().enumerate() {
        assert_eq!(idle.is_parked(slot), *does == Does::Sleep);
    }
}
