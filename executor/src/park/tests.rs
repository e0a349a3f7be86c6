use super::*;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

#[test]
fn a_token_left_before_prevents_the_sleep() {
    let parker = Parker::new();
    parker.adopt();
    for _ in 0..3 {
        assert_eq!(parker.unpark(), Unparked::Done);
    }
    // Would hang without the token.
    assert!(parker.sleep(None));
    assert!(parker.begin(Sleep::Futex), "there was only one");
    assert!(!parker.finish());
}

#[test]
fn a_sleep_ends_with_its_timeout() {
    let parker = Parker::new();
    parker.adopt();
    let timeout = Duration::from_millis(2);
    let start = now();
    assert!(!parker.sleep(Some(timeout)));
    assert!(now().duration_since(start) >= timeout);
    assert!(parker.begin(Sleep::Futex), "a timeout leaves no token");
}

#[test]
fn a_timeout_beyond_the_clock_is_none() {
    let parker = Arc::new(Parker::new());
    let sleeper = {
        let parker = Arc::clone(&parker);
        std::thread::spawn(move || {
            parker.adopt();
            assert!(parker.sleep(Some(Duration::MAX)));
        })
    };
    let _ = parker.unpark();
    sleeper.join().expect("no panic");
}

#[test]
fn a_thread_in_the_driver_is_to_be_interrupted_once() {
    let parker = Parker::new();
    assert!(parker.begin(Sleep::Driver));
    assert_eq!(parker.unpark(), Unparked::InterruptDriver);
    assert_eq!(parker.unpark(), Unparked::Done, "it is on its way");
    assert!(parker.finish());
    assert!(!parker.finish());
}

#[test]
fn a_parker_tells_whether_and_where_its_thread_sleeps() {
    let parker = Parker::new();
    let shows = |state: &str, is_asleep| {
        assert_eq!(format!("{parker:?}"), format!("Parker({state:?})"));
        assert_eq!(parker.is_asleep(), is_asleep, "{state}");
    };
    shows("awake", false);
    assert_eq!(parker.unpark(), Unparked::Done);
    shows("notified", false);
    assert!(!parker.begin(Sleep::Driver), "it takes the token");
    shows("awake", false);
    assert!(parker.begin(Sleep::Driver));
    shows("asleep in the driver", true);
    assert!(!parker.finish());
    assert!(parker.begin(Sleep::Futex));
    shows("asleep", true);
}

#[test]
fn without_io_there_is_nothing_but_sleep() {
    let park = ThreadPark::new(2);
    park.adopt(1);
    assert_eq!(park.look(1), Gathered::Nothing);
    assert_eq!(park.dispatch(1), 0);
    assert_eq!(park.in_driver(), usize::MAX, "nobody waits for events");
    park.unpark(1);
    assert_eq!(park.park(1), Gathered::Nothing, "the token ends it");
    park.retire(1);
}

#[test]
fn two_threads_that_unpark_each_other_never_hang() {
    const ROUNDS: usize = 2_000;
    let parkers = Arc::new([Parker::new(), Parker::new()]);
    let turn = Arc::new(AtomicUsize::new(0));
    let threads = [0, 1].map(|me| {
        let (parkers, turn) = (Arc::clone(&parkers), Arc::clone(&turn));
        std::thread::spawn(move || {
            parkers[me].adopt();
            for _ in 0..ROUNDS {
                while turn.load(Ordering::Relaxed) % 2 != me {
                    parkers[me].sleep(None);
                }
                turn.fetch_add(1, Ordering::Relaxed);
                let _ = parkers[1 - me].unpark();
            }
        })
    });
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(turn.load(Ordering::Relaxed), 2 * ROUNDS);
}
