//! The rule, window by window.

use super::*;

/// Per cent of a window for which the workers ran, waited, and cores were unused.
fn window(ran: u32, waited: u32, unused: u32, polls: u64) -> Window {
    let part = |per_cent| WINDOW * per_cent / 100;
    Window {
        length: WINDOW,
        ran: part(ran),
        waited: part(waited),
        unused: part(unused),
        polls,
    }
}

/// Two workers and a client on two cores.
fn crowded() -> Window {
    window(110, 90, 0, 1000)
}

/// One worker and a client on two cores.
fn alone() -> Window {
    window(98, 1, 0, 1100)
}

/// What holds after each of `windows`.
fn run(rule: &mut Rule, windows: impl IntoIterator<Item = Window>) -> Vec<bool> {
    windows
        .into_iter()
        .map(|window| rule.next(&window))
        .collect()
}

/// A rule that has just ended sharing.
fn entered() -> Rule {
    let mut rule = Rule::default();
    assert_eq!(run(&mut rule, [crowded(), crowded()]), [false, true]);
    rule
}

#[test]
fn two_crowded_windows_in_a_row_end_sharing_and_it_stays_so_while_nobody_waits() {
    let mut rule = entered();
    let long = std::iter::repeat_n(alone(), PROVEN as usize - 1);
    assert!(run(&mut rule, long).into_iter().all(|crowded| crowded));
    // Then it is tried anew, at once.
    assert_eq!(
        run(&mut rule, [alone(), crowded(), crowded()]),
        [false, false, true]
    );
}

#[test]
fn two_workers_that_hand_work_to_and_fro_may_leave_much_of_a_core() {
    let mut rule = Rule::default();
    let windows = [window(85, 15, 60, 1000), window(95, 40, 40, 1000)];
    assert_eq!(run(&mut rule, windows), [false, true]);
    // What lets a trial begin does not end it.
    let trial = [window(98, 1, 60, 1100); (SETTLE + TRIAL) as usize];
    assert!(run(&mut rule, trial).into_iter().all(|crowded| crowded));
}

#[test]
fn windows_that_are_not_crowded() {
    for (why, window) in [
        ("each has a core", window(190, 10, 0, 1000)),
        (
            "they share one, but another is unused",
            window(110, 90, 70, 1000),
        ),
        ("nothing runs", window(0, 0, 200, 0)),
        ("the system does not tell", window(0, 0, 0, 1000)),
        ("they hardly wait", window(120, 14, 0, 1000)),
        ("there is little to do", window(40, 30, 0, 1000)),
        (
            "they have more than one core and a half",
            window(200, 200, 0, 1000),
        ),
    ] {
        let mut rule = Rule::default();
        assert!(!run(&mut rule, [window; 100]).contains(&true), "{why}");
        // And one crowded window between is not enough.
        let windows = [crowded(), window, crowded(), window];
        assert!(!run(&mut rule, windows).contains(&true), "{why}");
    }
}

/// Lets a trial go well.
fn prove(rule: &mut Rule) {
    let trial = [alone(); (SETTLE + TRIAL) as usize];
    assert!(run(rule, trial).into_iter().all(|crowded| crowded));
}

#[test]
fn a_core_that_another_worker_could_use_ends_it() {
    let unused = window(98, 1, 70, 1100);
    let mut rule = entered();
    prove(&mut rule);
    assert!(!rule.next(&unused));
    // For the pause, which is twice as long the next time.
    assert_eq!(run(&mut rule, [crowded(); 4]), [false, false, false, true]);
    prove(&mut rule);
    assert!(!rule.next(&unused));
    let windows = run(&mut rule, [crowded(); 8]);
    assert_eq!(windows.iter().position(|&crowded| crowded), Some(7));
}

#[test]
fn less_to_do_ends_it_without_a_pause_once_the_trial_is_over() {
    let less = window(40, 0, 100, 400);
    let mut rule = entered();
    prove(&mut rule);
    assert!(!rule.next(&less));
    assert_eq!(run(&mut rule, [crowded(), crowded()]), [false, true]);
    // Before that it may be the trial that leaves less to do.
    assert_eq!(run(&mut rule, [alone(), less]), [true, false]);
    assert_eq!(rule.pause, PAUSE.0);
}

#[test]
fn a_worker_that_waits_all_the_same_ends_it_once_the_others_should_sleep() {
    let mut rule = entered();
    let windows = run(&mut rule, [window(60, 40, 0, 900); SETTLE as usize + 1]);
    assert_eq!(windows, [true, true, true, true, false]);
    assert_eq!(rule.pause, PAUSE.0);
    // Where a core is unused meanwhile, nobody else takes it: the system has not moved the thread there yet.
    let mut rule = entered();
    let windows = run(&mut rule, [window(60, 40, 20, 900); PROVEN as usize - 1]);
    assert!(windows.into_iter().all(|crowded| crowded));
}

#[test]
fn strangers_who_take_the_cores_end_it_soon_and_for_long() {
    let strangers = window(60, 40, 0, 600);
    let mut rule = entered();
    assert_eq!(run(&mut rule, [strangers; 2]), [true, false]);
    assert_eq!((rule.pause, rule.next_pause), (STRANGERS, 2 * STRANGERS));
    while !rule.next(&crowded()) {}
    assert_eq!(run(&mut rule, [strangers; 2]), [true, false]);
    assert_eq!(rule.pause, 2 * STRANGERS);
    // It was less at first only.
    let mut rule = entered();
    let windows = run(&mut rule, [strangers, window(60, 40, 0, 1200)]);
    assert_eq!(windows, [true, true]);
    // Or two workers still take turns with each other.
    let mut rule = entered();
    let windows = run(&mut rule, [window(60, 70, 0, 600); 2]);
    assert_eq!(windows, [true, true]);
    // Or nobody waits.
    let mut rule = entered();
    assert_eq!(run(&mut rule, [window(98, 2, 0, 600); 2]), [true, true]);
}

#[test]
fn others_are_counted_by_the_time_that_they_take() {
    for (ran, waited, others) in [
        (190, 10, Some(0)),
        (100, 12, Some(0)),
        (100, 13, Some(1)),
        (100, 100, Some(1)),
        (100, 101, Some(2)),
        (50, 150, Some(3)),
        (0, 200, Some(MOST)),
        (12, 12, None),
    ] {
        assert_eq!(window(ran, waited, 0, 0).others(), others, "{ran} {waited}");
    }
}

#[test]
fn far_fewer_polls_than_before_end_it_once_the_trial_is_over() {
    // One stranger with a core of its own: nobody waits, but there is one core less.
    let mut rule = entered();
    let slower = window(99, 0, 0, 790);
    let windows = run(&mut rule, [slower; (SETTLE + TRIAL) as usize]);
    assert_eq!(windows.iter().position(|&crowded| !crowded), Some(6));
    // Somewhat fewer are noise.
    let mut rule = entered();
    let similar = window(99, 0, 0, 800);
    let windows = run(&mut rule, [similar; PROVEN as usize - 1]);
    assert!(windows.into_iter().all(|crowded| crowded));
}

#[test]
fn pauses_double_up_to_a_limit_and_begin_anew_after_a_trial_that_went_well() {
    let mut rule = Rule::default();
    let slower = window(99, 0, 0, 500);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        while !rule.next(&crowded()) {}
        while rule.next(&slower) {}
        pauses.push(rule.pause);
    }
    assert_eq!(pauses, [4, 8, 16, 32, 64, 128, 200, 200, 200, 200]);
    while !rule.next(&crowded()) {}
    while rule.next(&alone()) {}
    assert_eq!((rule.pause, rule.next_pause), (0, PAUSE.0));
}

#[test]
fn a_trial_that_is_cut_short_went_wrong() {
    let mut rule = entered();
    assert!(!rule.turn(false));
    assert_eq!(rule.pause, PAUSE.0);
    let mut rule = entered();
    prove(&mut rule);
    assert!(!rule.turn(false));
    assert_eq!(rule.pause, 0);
}

#[test]
fn threads_that_are_new_do_not_count() {
    let at = |millis| CoreTime {
        ran: Duration::from_millis(millis),
        waited: Duration::from_millis(10 * millis),
    };
    let mut sum = window(0, 0, 0, 0);
    sum.add(&[(2, at(9)), (3, at(1000))], &mut [(2, at(7)), (1, at(5))]);
    assert_eq!(sum.ran, Duration::from_millis(2));
    assert_eq!(sum.waited, Duration::from_millis(20));
}
