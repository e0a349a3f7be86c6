//! Parks of one slot, without an executor, by a clock that the test may move.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake};
use std::thread;

use reactor::{Direction, Ready, Registration};
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
    driver.slots[0].lead.store(nanos, Ordering::Relaxed);
}

/// Parks on a thread of its own, which sends what came of it.
fn park(driver: &Arc<Driver>) -> mpsc::Receiver<Gathered> {
    park_in(driver, 0)
}

/// The same in this slot.
fn park_in(driver: &Arc<Driver>, slot: usize) -> mpsc::Receiver<Gathered> {
    let (sender, receiver) = mpsc::channel();
    let driver = Arc::clone(driver);
    thread::spawn(move || {
        driver.adopt(slot);
        sender.send(driver.park(slot))
    });
    receiver
}

fn wait_until(is_so: impl Fn() -> bool) {
    let end = Instant::now() + 10_000 * MS;
    while !is_so() {
        assert!(Instant::now() < end, "it has not come to that");
        thread::yield_now();
    }
}

/// Says that a guest was woken, and nothing else.
struct WakesGuest(Arc<Driver>);

impl Wake for WakesGuest {
    fn wake(self: Arc<Self>) {
        self.0.favour.note_roused(GUEST);
    }
}

/// The slot of a guest, and that of another one.
const GUEST: usize = 1;
const OTHER: usize = 2;

/// A driver with a worker in slot 0 and two guests, the first of which it has come to favour.
fn driver_with_favoured_guest() -> Arc<Driver> {
    let reactor = reactor::Handle::new(|_| Poll::Ready(())).expect("there are descriptors left");
    let timer = timer::Handle::new(3, Clock::new(Pausable::No), |_| Poll::Ready(()));
    let driver = Driver::new(reactor, timer, 3, GUEST..OTHER + 1);
    favour(&driver);
    driver
}

/// Has it come to favour the first guest.
fn favour(driver: &Arc<Driver>) {
    while driver.favour.guest().is_none() {
        assert!(!driver.parkers[GUEST].finish(), "no token before");
        let waker = Waker::from(Arc::new(WakesGuest(Arc::clone(driver))));
        driver.slots[0].batch.lock().wakers.push_back(waker);
        assert_eq!(driver.dispatch(0), 1);
    }
}

/// The same when the guest has found the duty taken, and sleeps on its futex.
fn driver_with_favoured_guest_asleep() -> (Arc<Driver>, mpsc::Receiver<Gathered>) {
    let driver = driver_with_favoured_guest();
    assert!(driver.parkers[GUEST].finish(), "a token");
    let duty = driver.reactor.try_hold().expect("nobody has it");
    let guest = park_in(&driver, GUEST);
    wait_until(|| driver.parkers[GUEST].is_asleep());
    drop(duty);
    (driver, guest)
}

#[test]
fn a_guest_that_is_newly_favoured_is_unparked_so_that_it_takes_the_duty() {
    let driver = driver_with_favoured_guest();
    assert!(driver.parkers[GUEST].finish(), "a token");
    let guest = park_in(&driver, GUEST);
    wait_until(|| driver.reactor.is_held());
    driver.unpark(GUEST);
    let gathered = guest.recv_timeout(10_000 * MS).expect("it was unparked");
    assert_eq!(gathered, Gathered::Nothing);
}

#[test]
fn a_worker_that_parks_rouses_a_favoured_guest_that_sleeps_without_the_duty() {
    let (driver, guest) = driver_with_favoured_guest_asleep();
    let worker = park_in(&driver, 0);
    let gathered = guest.recv_timeout(10_000 * MS).expect("it was roused");
    assert_eq!(gathered, Gathered::Nothing);
    wait_until(|| driver.parkers[0].is_asleep());
    assert!(
        !driver.reactor.is_held(),
        "the worker leaves it to the guest"
    );
    driver.unpark(0);
    let gathered = worker.recv_timeout(10_000 * MS).expect("it was unparked");
    assert_eq!(gathered, Gathered::Nothing);
}

/// A waker that blocks its thread in place.
struct Blocks {
    driver: Arc<Driver>,
    /// Woken by the same batch.
    other: Arc<Flag>,
    /// Whether that one had been woken when the thread began to block.
    came_first: AtomicBool,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        assert!(!self.0.swap(true, Ordering::Relaxed), "woken twice");
    }
}

impl Wake for Blocks {
    fn wake(self: Arc<Self>) {
        // As `block_in_place` does.
        self.driver.retire(0);
        let was_woken = self.other.0.load(Ordering::Relaxed);
        self.came_first.store(was_woken, Ordering::Relaxed);
        self.driver.adopt(0);
    }
}

#[test]
fn what_an_event_came_with_does_not_wait_for_a_waker_that_blocks_in_place() {
    let reactor = reactor::Handle::new(|_| Poll::Ready(())).expect("there are descriptors left");
    let timer = timer::Handle::new(1, Clock::new(Pausable::No), |_| Poll::Ready(()));
    let driver = Driver::new(reactor, timer, 1, 0..0);
    driver.adopt(0);
    let other = Arc::new(Flag::default());
    let blocks = Arc::new(Blocks {
        driver: Arc::clone(&driver),
        other: Arc::clone(&other),
        came_first: AtomicBool::new(false),
    });
    let wakers = [Waker::from(Arc::clone(&blocks)), Waker::from(other)];
    driver.slots[0].batch.lock().wakers.extend(wakers);
    assert_eq!(driver.dispatch(0), 1, "the other one was woken on the way");
    assert!(blocks.came_first.load(Ordering::Relaxed));
    driver.retire(0);
}

#[test]
fn a_look_before_parking_finds_events_unless_others_are_to_wait_for_them() {
    let reactor = reactor::Handle::new(|_| Poll::Ready(())).expect("there are descriptors left");
    let timer = timer::Handle::new(3, Clock::new(Pausable::No), |_| Poll::Ready(()));
    let driver = Driver::new(reactor, timer, 3, GUEST..OTHER + 1);
    assert_eq!(driver.look_first(0), Gathered::Nothing);

    // A socket with room to write: there is an event as soon as it is registered.
    let (socket, _peer) = UnixStream::pair().expect("there are descriptors left");
    let registered = || {
        let interest = reactor::Interest::WRITABLE;
        Registration::new(socket.as_fd(), interest, Ready::EMPTY, &driver.reactor)
    };
    let event = registered().expect("it can be waited for");
    let duty = driver.reactor.try_hold().expect("nobody has it");
    assert_eq!(driver.look_first(0), Gathered::Nothing);
    drop(duty);
    assert_eq!(driver.look_first(GUEST), Gathered::Nothing);
    assert_eq!(driver.look_first(0), Gathered::Something);
    assert!(!driver.reactor.is_held());
    assert_eq!(driver.dispatch(0), 0);
    let mut cx = Context::from_waker(Waker::noop());
    let ready = event.poll_ready(&mut cx, Direction::Write);
    assert!(ready.is_ready());
    drop(event);

    let _event = registered().expect("it can be waited for");
    favour(&driver);
    assert_eq!(driver.look_first(0), Gathered::Nothing);
    assert_eq!(driver.look_first(GUEST), Gathered::Something);
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

#[test]
fn a_guest_that_has_looked_rouses_the_favoured_one_that_sleeps_without_the_duty() {
    let (driver, guest) = driver_with_favoured_guest_asleep();
    // Long ago enough for it to look again.
    driver.slots[OTHER].batch.lock().last_look -= LOOK_INTERVAL;
    assert_eq!(driver.look(OTHER), Gathered::Nothing);
    let gathered = guest.recv_timeout(10_000 * MS).expect("it was roused");
    assert_eq!(gathered, Gathered::Nothing);
}
