//! Waiting: the duty, timeouts, interruptions.

mod support;

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use reactor::{Events, Handle, Look, ReactorThread, Watch};
use support::*;

#[test]
fn one_thread_at_a_time_has_the_duty() {
    let handle = reactor();
    assert!(!handle.is_held());
    let duty = handle.try_hold().expect("free");
    assert!(handle.is_held());
    assert!(handle.try_hold().is_none());
    assert!(
        handle.is_held() && handle.try_hold().is_none(),
        "a failed attempt must not give up another's duty"
    );
    drop(duty);
    assert!(!handle.is_held());
    assert!(handle.try_hold().is_some());
}

#[test]
fn timeouts_are_never_early() {
    let handle = reactor();
    let mut events = Events::new();
    for nanoseconds in [0, 1, 999, 50_000, 250_000, 999_999, 1_000_001, 3_300_000] {
        let timeout = Duration::from_nanos(nanoseconds);
        let mut duty = handle.try_hold().expect("free");
        for _ in 0..20 {
            let start = Instant::now();
            assert_eq!(duty.wait(&mut events, Some(timeout)).expect("waits"), 0);
            assert!(start.elapsed() >= timeout);
        }
    }
    assert_eq!(handle.turns(), 160);
}

/// The one upper bound: of many waits of 100 µs the shortest shows that timeouts are not rounded to milliseconds.
#[test]
fn timeouts_are_counted_in_nanoseconds() {
    let handle = reactor();
    let mut events = Events::new();
    let mut duty = handle.try_hold().expect("free");
    let shortest = (0..200)
        .map(|_| {
            let start = Instant::now();
            duty.wait(&mut events, Some(Duration::from_micros(100)))
                .expect("waits");
            start.elapsed()
        })
        .min();
    assert!(shortest < Some(Duration::from_millis(1)));
}

#[test]
fn an_interruption_cuts_the_present_wait_short() {
    let handle = reactor();
    let (sender, receiver) = mpsc::channel();
    let waiting = handle.clone();
    let thread = thread::spawn(move || {
        let mut events = Events::new();
        let mut duty = waiting.try_hold().expect("free");
        for _ in 0..100 {
            sender.send(()).expect("the test is there");
            assert_eq!(duty.wait(&mut events, Some(HANG)).expect("waits"), 0);
            assert!(events.is_empty());
        }
    });
    // Each interruption comes before the wait or during it, as chance will have it.
    let start = Instant::now();
    while receiver.recv().is_ok() {
        handle.interrupt();
    }
    thread.join().expect("no panic");
    assert!(start.elapsed() < HANG, "an interruption was lost");
    assert_eq!(handle.turns(), 100);
}

#[test]
fn an_interruption_with_nobody_waiting_cuts_the_next_wait_short() {
    let handle = reactor();
    let mut events = Events::new();
    handle.interrupt();
    handle.interrupt();
    let mut duty = handle.try_hold().expect("free");
    assert_eq!(duty.wait(&mut events, None).expect("waits"), 0);
    // Both counted as one.
    let start = Instant::now();
    let timeout = Duration::from_millis(5);
    duty.wait(&mut events, Some(timeout)).expect("waits");
    assert!(start.elapsed() >= timeout);
}

#[test]
fn events_and_an_interruption_come_together() {
    let handle = reactor();
    let (reader, writer) = pipe();
    let _reader = Io::new(&handle, reader);
    settle(&handle);
    handle.interrupt();
    rustix::io::write(&writer, b"x").expect("room");
    assert_eq!(turn(&handle, HANG), 1, "the interruption is not counted");
}

#[test]
fn a_timeout_without_end_is_one() {
    let handle = reactor();
    let waiting = handle.clone();
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut events = Events::new();
        let mut duty = waiting.try_hold().expect("free");
        sender.send(()).expect("the test is there");
        duty.wait(&mut events, Some(Duration::MAX)).expect("waits")
    });
    receiver.recv().expect("the thread has begun");
    handle.interrupt();
    assert_eq!(thread.join().expect("no panic"), 0);
}

#[test]
fn a_wait_with_events_left_does_not_wait() {
    let handle = reactor();
    let (reader, writer) = pipe();
    let _reader = Io::new(&handle, reader);
    settle(&handle);
    rustix::io::write(&writer, b"x").expect("room");
    let mut events = Events::new();
    let mut duty = handle.try_hold().expect("free");
    assert_eq!(duty.wait(&mut events, None).expect("waits"), 1);
    assert_eq!(duty.wait(&mut events, None).expect("returns"), 1);
    handle.dispatch(&mut events, &mut |waker| waker.wake());
    assert!(events.is_empty());
}

#[test]
fn turns_events_and_sources_are_counted() {
    let handle = reactor();
    let before = handle.metrics();
    assert_eq!(
        (before.slot_turns, before.events, before.registered),
        (0, 0, 0)
    );
    let (reader, writer) = pipe();
    let io = Io::new(&handle, reader);
    let other = Io::new(&handle, writer);
    settle(&handle);
    let settled = handle.metrics();
    assert_eq!((settled.registered, settled.sources), (2, 2));
    assert!(!settled.is_held);

    rustix::io::write(&other.fd, b"x").expect("room");
    assert_eq!(turn(&handle, HANG), 1);
    handle.interrupt();
    let mut events = Events::new();
    let mut duty = handle.try_hold().expect("free");
    assert_eq!(duty.wait(&mut events, Some(HANG)).expect("waits"), 0);
    assert!(handle.metrics().is_held);
    drop((duty, io, other));
    let after = handle.metrics();
    assert_eq!(after.slot_turns, settled.slot_turns + 2);
    assert_eq!(after.events, settled.events + 1);
    assert_eq!((after.thread_turns, after.interrupts), (0, 1));
    assert_eq!((after.registered, after.sources), (2, 0));
    assert_eq!(after.slot_turns, handle.turns());
}

/// What the reactor thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It looks after stuck slots.
    Look,
    /// It wakes the tasks behind events.
    Dispatch,
}

/// Everybody is busy, and nothing is ever due.
struct Busy {
    /// What the reactor thread dispatches on.
    handle: Handle,
    /// Is told of each step.
    steps: mpsc::Sender<Step>,
}

impl Busy {
    /// Starts a reactor thread for `handle`, and tells what it does.
    fn start(handle: &Handle) -> (ReactorThread, mpsc::Receiver<Step>) {
        let (steps, told) = mpsc::channel();
        let watch = Busy {
            handle: handle.clone(),
            steps,
        };
        let thread = ReactorThread::start(thread::Builder::new(), handle.clone(), watch)
            .expect("a thread can be had");
        (thread, told)
    }
}

impl Watch for Busy {
    fn look(&mut self, _: Instant) -> Look {
        // The test may have seen enough, here and below.
        let _ = self.steps.send(Step::Look);
        Look {
            soon: false,
            alert: true,
            deadline: None,
        }
    }

    fn is_idle(&self) -> bool {
        false
    }

    fn has_parked(&self) -> bool {
        false
    }

    fn rouse_one(&self) {}

    fn dispatch(&mut self, events: &mut Events) {
        self.handle.dispatch(events, &mut |waker| waker.wake());
        let _ = self.steps.send(Step::Dispatch);
    }
}

#[test]
fn turns_of_the_reactor_thread_are_counted_apart() {
    let handle = reactor();
    let (reader, writer) = pipe();
    let _reader = Io::new(&handle, reader);
    settle(&handle);
    let before = handle.metrics();
    let (thread, told) = Busy::start(&handle);
    rustix::io::write(&writer, b"x").expect("room");
    while told.recv_timeout(HANG).expect("the event is dispatched") != Step::Dispatch {}
    thread.stop();
    thread.join();
    let after = handle.metrics();
    assert!(after.thread_turns > before.thread_turns);
    assert_eq!(after.events, before.events + 1);
    assert_eq!(after.slot_turns, before.slot_turns);
}

#[test]
fn after_events_it_looks_whether_the_workers_get_on() {
    let handle = reactor();
    let (reader, writer) = pipe();
    let reader = Io::new(&handle, reader);
    settle(&handle);
    let (thread, told) = Busy::start(&handle);
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    // It looks 100 µs after the last time: once for two of the first events, and seldom for the others.
    let (apart, close) = (Duration::from_micros(150), Duration::from_micros(5));
    let (mut looks, mut in_a_row) = (0, 0);
    let start = Instant::now();
    for gap in [apart; 100].into_iter().chain([close; 400]) {
        // Until there is nothing, so that the next event is told.
        while reader.poll_read(cx, &mut [0; 8]).is_ready() {}
        rustix::io::write(&writer, b"x").expect("room");
        while told.recv_timeout(HANG).expect("the event is dispatched") != Step::Dispatch {
            (looks, in_a_row) = (looks + 1, 0);
        }
        in_a_row += 1;
        assert!(gap == close || in_a_row <= 2, "it does not look");
        let dispatched = Instant::now();
        while dispatched.elapsed() < gap {
            std::hint::spin_loop();
        }
    }
    let at_most = start.elapsed().as_micros() / 100 + 5;
    assert!(looks <= at_most, "{looks} looks, not {at_most}");
    thread.stop();
    thread.join();
}

/// Threads that write, read and dispatch at once, until every byte has come through.
#[test]
fn no_edge_is_lost_between_threads() {
    const BYTES: usize = 20_000;
    let handle = reactor();
    let (reader, writer) = pipe();
    let reader = Io::new(&handle, reader);
    let source = thread::spawn(move || {
        for _ in 0..BYTES {
            while rustix::io::write(&writer, b"x").is_err() {
                thread::yield_now();
            }
        }
    });
    let polling = handle.clone();
    let (stop, stopped) = mpsc::channel::<()>();
    let turns = thread::spawn(move || {
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            turn(&polling, Duration::from_millis(50));
        }
    });
    // The reading thread has no part in the turns: it sleeps until its waker unparks it.
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(thread::current())));
    let cx = &mut std::task::Context::from_waker(&waker);
    let mut left = BYTES;
    let mut buffer = [0; 7];
    let start = Instant::now();
    while left > 0 {
        match reader.poll_read(cx, &mut buffer) {
            std::task::Poll::Ready(count) => left -= count.expect("reads"),
            std::task::Poll::Pending => {
                thread::park_timeout(HANG);
                assert!(
                    start.elapsed() < HANG,
                    "an edge was lost with {left} bytes to go"
                );
            }
        }
    }
    source.join().expect("no panic");
    drop(stop);
    handle.interrupt();
    turns.join().expect("no panic");
}
