//! The settings of the rescue and of its reports: what is refused and in which words, what is accepted, and what the ends of the
//! ranges mean.

use std::io::ErrorKind;
use std::sync::mpsc;
use std::time::Duration;

use runtime::runtime::{Builder, Runtime};
use runtime::task::yield_now;
use runtime::time::sleep;
use runtime_tests::{Flag, LIMIT, Watchdog, spin};

/// The shortest threshold of either kind.
const LEAST: Duration = Duration::from_millis(1);
/// The longest of the rescue.
const MOST: Duration = Duration::from_secs(60);
/// As little as a duration can be above or below.
const TINY: Duration = Duration::from_nanos(1);

/// Makes one setting.
type Set = fn(&mut Builder) -> &mut Builder;

/// Each setting out of its range, with what is said of it.
const REFUSED: [(Set, &str); 9] = [
    (
        |builder| builder.rescue_threshold(Duration::ZERO),
        "rescue_threshold is 0ns, but must be from 1ms to 60s",
    ),
    (
        |builder| builder.rescue_threshold(LEAST - TINY),
        "rescue_threshold is 999.999µs, but must be from 1ms to 60s",
    ),
    (
        |builder| builder.rescue_threshold(MOST + TINY),
        "rescue_threshold is 60.000000001s, but must be from 1ms to 60s",
    ),
    (
        |builder| builder.rescue_threshold(Duration::MAX),
        "rescue_threshold is 18446744073709551615.999999999s, but must be from 1ms to 60s",
    ),
    (
        |builder| builder.rescue_spares(129),
        "rescue_spares is 129, but must be from 0 to 128",
    ),
    (
        |builder| builder.hog_lane(1_025),
        "hog_lane is 1025, but must be from 0 to 1024",
    ),
    (
        |builder| builder.hog_lane(9_999_999),
        "hog_lane is 9999999, but must be from 0 to 1024",
    ),
    (
        |builder| builder.slow_poll_threshold(Duration::ZERO),
        "slow_poll_threshold is 0ns, but must be at least 1ms",
    ),
    (
        |builder| builder.slow_poll_threshold(LEAST - TINY),
        "slow_poll_threshold is 999.999µs, but must be at least 1ms",
    ),
];

/// Each setting at the ends of its range.
const ACCEPTED: [(&str, Set); 11] = [
    ("rescue", |builder| builder.rescue(true)),
    ("no rescue", |builder| builder.rescue(false)),
    ("shortest threshold", |builder| {
        builder.rescue_threshold(LEAST)
    }),
    ("longest threshold", |builder| {
        builder.rescue_threshold(MOST)
    }),
    ("no spares", |builder| builder.rescue_spares(0)),
    ("most spares", |builder| builder.rescue_spares(128)),
    ("no lane", |builder| builder.hog_lane(0)),
    ("narrow lane", |builder| builder.hog_lane(1)),
    ("widest lane", |builder| builder.hog_lane(1_024)),
    ("shortest report", |builder| {
        builder.slow_poll_threshold(LEAST)
    }),
    ("no reports", |builder| {
        builder.slow_poll_threshold(Duration::MAX)
    }),
];

/// A builder of each flavor; the settings of the rescue have the same ranges on both.
fn each_flavor() -> [Builder; 2] {
    let mut multi_thread = Builder::new_multi_thread();
    multi_thread.worker_threads(2);
    [multi_thread, Builder::new_current_thread()]
}

#[test]
fn settings_out_of_range_are_refused_with_name_value_and_range() {
    for (set, message) in REFUSED {
        for mut builder in each_flavor() {
            let error = set(&mut builder).build().expect_err(message);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert_eq!(error.to_string(), message);
        }
    }
}

#[test]
fn the_largest_number_is_refused_and_not_taken_for_another() {
    let sets: [(&str, Set); 2] = [
        ("rescue_spares", |builder| builder.rescue_spares(usize::MAX)),
        ("hog_lane", |builder| builder.hog_lane(usize::MAX)),
    ];
    for (name, set) in sets {
        let error = set(&mut Builder::new_multi_thread())
            .build()
            .expect_err(name);
        let start = format!("{name} is {}, ", usize::MAX);
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

#[test]
fn a_range_holds_where_the_rescue_is_off_too() {
    for (set, message) in REFUSED {
        let mut builder = Builder::new_multi_thread();
        let error = set(builder.rescue(false)).build().expect_err(message);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_refused_setting_can_be_corrected() {
    let _watchdog = Watchdog::new(LIMIT);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).rescue_spares(129);
    assert!(builder.build().is_err());
    let runtime = builder.rescue_spares(128).build().expect("corrected");
    assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).ok(), Some(1));
}

/// A task is slow, others run beside it; what the setting means for that is no matter here.
fn works(runtime: &Runtime) {
    runtime.block_on(async {
        let slow = runtime::spawn(async {
            for _ in 0..3 {
                spin(Duration::from_millis(4));
                yield_now().await;
            }
            "slow"
        });
        let quick = runtime::spawn(async {
            sleep(Duration::from_millis(1)).await;
            "quick"
        });
        assert_eq!(slow.await.expect("no panic"), "slow");
        assert_eq!(quick.await.expect("no panic"), "quick");
    });
}

#[test]
fn settings_at_the_ends_of_their_ranges_work() {
    let _watchdog = Watchdog::new(LIMIT);
    for (name, set) in ACCEPTED {
        for mut builder in each_flavor() {
            let builder = set(&mut builder).on_slow_poll(|_| ());
            works(&builder.build().expect(name));
        }
    }
}

#[test]
fn all_extremes_at_once_work() {
    let _watchdog = Watchdog::new(LIMIT);
    let smallest = |builder: &mut Builder| {
        let builder = builder.rescue_threshold(LEAST).rescue_spares(0).hog_lane(0);
        builder.slow_poll_threshold(LEAST).build()
    };
    let largest = |builder: &mut Builder| {
        let builder = builder.rescue_threshold(MOST).rescue_spares(128);
        let builder = builder.hog_lane(1_024).slow_poll_threshold(Duration::MAX);
        builder.build()
    };
    for mut builder in each_flavor() {
        builder.on_slow_poll(|_| ());
        works(&smallest(&mut builder).expect("in range"));
        works(&largest(&mut builder).expect("in range"));
    }
}

/// How many timers of 2 ms must fire beside a stuck worker until nobody waits for a rescue that must come: they take 10 s at least.
const PATIENCE: usize = 5_000;
/// How many must fire until one that must not come has not come.
const ENOUGH: usize = 100;

/// Holds the only worker, and returns whether a task spawned from outside is run before `timers` of the root have fired, one after
/// the other.
fn is_rescued(builder: &mut Builder, timers: usize) -> bool {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = builder
        .worker_threads(1)
        .on_slow_poll(|_| ())
        .build()
        .expect("in range");
    let (enter, entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let stuck = runtime.spawn(async move {
        enter.send(()).expect("the test waits");
        let _ = released.recv();
    });
    entered.recv().expect("it is polled");
    let ran = Flag::new();
    let sets = ran.clone();
    let other = runtime.spawn(async move { sets.set() });
    let rescued = runtime.block_on(async {
        for _ in 0..timers {
            sleep(Duration::from_millis(2)).await;
            if ran.is_set() {
                return true;
            }
        }
        false
    });
    assert!(!stuck.is_finished());
    drop(release);
    runtime.block_on(async {
        stuck.await.expect("no panic");
        other.await.expect("no panic");
    });
    rescued
}

#[test]
fn a_stuck_worker_is_replaced() {
    let cases: [(&str, Set); 4] = [
        ("by default", |builder| builder),
        ("at the shortest threshold", |builder| {
            builder.rescue_threshold(LEAST)
        }),
        ("by the only spare", |builder| builder.rescue_spares(1)),
        ("without a lane", |builder| builder.hog_lane(0)),
    ];
    for (name, set) in cases {
        let mut builder = Builder::new_multi_thread();
        assert!(is_rescued(set(&mut builder), PATIENCE), "{name}");
    }
}

#[test]
fn a_stuck_worker_is_not_replaced() {
    let cases: [(&str, Set); 3] = [
        ("if switched off", |builder| builder.rescue(false)),
        ("without spares", |builder| builder.rescue_spares(0)),
        ("before the threshold", |builder| {
            builder.rescue_threshold(MOST)
        }),
    ];
    for (name, set) in cases {
        let mut builder = Builder::new_multi_thread();
        assert!(!is_rescued(set(&mut builder), ENOUGH), "{name}");
    }
}

#[test]
fn the_last_value_set_counts() {
    let mut builder = Builder::new_multi_thread();
    builder
        .rescue(false)
        .rescue_spares(0)
        .rescue_threshold(MOST);
    builder
        .rescue(true)
        .rescue_spares(64)
        .rescue_threshold(LEAST);
    assert!(is_rescued(&mut builder, PATIENCE));
}

#[test]
fn settings_are_shown_for_debugging() {
    let mut builder = Builder::new_multi_thread();
    builder.rescue(false).rescue_spares(7).hog_lane(3);
    builder.rescue_threshold(Duration::from_millis(4));
    builder.slow_poll_threshold(Duration::from_millis(50));
    let text = format!("{builder:?}");
    for part in [
        "rescue: false",
        "rescue_spares: 7",
        "hog_lane: Some(3)",
        "rescue_threshold: 4ms",
        "slow_poll_threshold: 50ms",
    ] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}
