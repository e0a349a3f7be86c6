//! Parks of one slot, without an executor, by a clock that the test may move.

use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;

use timer::{Clock, Entry, Pausable};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A driver with one slot, in whose shard a timer is due after `duration`.
fn driver(duration: Duration) -> (Arc<Driver>, Entry) {
    let reactor = reactor::Handle::new(|_| Poll::Ready(())).expect("there are descriptors left");
    let timer = timer::Handle::new(1, Clock::new(Pausable::Yes), |_| Poll::Ready(()));
    let mut entry = Entry::after(timer.clone(), duration);
    // Before the driver is there, since it would be told, and leave a token.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(entry.poll_elapsed(&mut cx).is_pending());
    (Driver::new(reactor, timer, 1, 1..1), entry)
}

fn set_lead(driver: &Driver, lead: Duration) {
    let nanos = lead.as_nanos().try_into().expect("a short lead");
    driver.leads[0].store(nanos, Ordering::Relaxed);
}

/// Parks on a thread of its own, which sends what came of it.
fn park(driver: &Arc<Driver>) -> mpsc::Receiver<Gathered> {
    let (sender, receiver) = mpsc::channel();
    let driver = Arc::clone(driver);
    thread::spawn(move || {
        driver.adopt(0);
        sender.send(driver.park(0))
    });
    receiver
}

/// The unpark comes when the first wait's time is up, and the deadline is not there yet.
#[test]
fn an_unpark_at_the_end_of_the_first_wait_is_not_slept_over() {
    // In the reactor's wait, then on the futex.
    for held_by_another in [false, true] {
        let (driver, entry) = driver(100_000 * MS);
        set_lead(&driver, 1000 * MS);
        let duty = held_by_another.then(|| driver.reactor.try_hold().expect("nobody has it"));
        let parked = park(&driver);
        while !driver.parkers[0].is_asleep() {
            thread::yield_now();
        }
        let clock = driver.timer.clock();
        clock.pause();
        clock.advance(99_500 * MS);
        clock.resume();
        // A second wait would have no end.
        drop(entry);
        driver.unpark(0);
        let gathered = parked.recv_timeout(10_000 * MS);
        assert_eq!(
            gathered.expect("the unpark ends the park"),
            Gathered::Nothing
        );
        drop(duty);
    }
}

#[test]
fn what_a_lead_leaves_is_waited_for() {
    for held_by_another in [false, true] {
        let (driver, entry) = driver(100 * MS);
        set_lead(&driver, 40 * MS);
        let duty = held_by_another.then(|| driver.reactor.try_hold().expect("nobody has it"));
        let gathered = park(&driver).recv().expect("the thread does not panic");
        assert_eq!(gathered, Gathered::Something);
        assert!(entry.is_elapsed());
        drop(duty);
    }
}

#[test]
fn the_lead_follows_the_least_at_once_and_more_slowly() {
    let (driver, _entry) = driver(MS);
    let lead = || driver.lead(0, Some(1000 * MS));
    assert_eq!(lead(), Duration::ZERO);
    let micros = Duration::from_micros;
    driver.learn_lead(0, micros(40));
    assert_eq!(lead(), micros(5));
    for _ in 0..100 {
        driver.learn_lead(0, micros(40));
    }
    assert!(lead() > micros(39) && lead() <= micros(40));
    driver.learn_lead(0, micros(10));
    assert_eq!(lead(), micros(10));
    for _ in 0..100 {
        driver.learn_lead(0, 10_000 * MS);
    }
    assert!(lead() > micros(99) && lead() <= LEAD_LIMIT);
    assert_eq!(
        driver.lead(0, Some(micros(150))),
        Duration::ZERO,
        "a short wait is not split"
    );
    assert_eq!(driver.lead(0, None), Duration::ZERO);
}
