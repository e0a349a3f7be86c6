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
    parker.sleep(None);
    assert!(parker.begin(Sleep::Futex), "there was only one");
    assert!(!parker.finish());
}

#[test]
fn a_sleep_ends_with_its_timeout() {
    let parker = Parker::new();
    parker.adopt();
    let timeout = Duration::from_millis(2);
    let start = now();
    parker.sleep(Some(timeout));
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
            parker.sleep(Some(Duration::MAX));
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
