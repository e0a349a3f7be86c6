//! Models of the protocols in the header of `timer.rs`, each named after the race that it is about.
//!
//! Run with `RUSTFLAGS="--cfg rt_loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release -p timer loom`.

use std::task::Wake;

use ::loom::sync::atomic::AtomicUsize;
use ::loom::thread;

use super::*;
use crate::sync::model;
use crate::{Entry, Pausable};

/// Counts its wakes.
struct Count(AtomicUsize);

impl Count {
    fn new() -> Arc<Count> {
        Arc::new(Count(AtomicUsize::new(0)))
    }

    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Timers of one shard with a paused clock.
fn timers() -> Handle {
    let clock = Clock::new(Pausable::Yes);
    clock.pause();
    Handle::new(1, clock, |_| Poll::Ready(()))
}

fn poll(entry: &mut Entry, count: &Arc<Count>) -> Poll<Result<(), crate::Shutdown>> {
    entry.poll_elapsed(&mut Context::from_waker(&Waker::from(count.clone())))
}

/// An entry that waits for a millisecond, registered, with the clock moved past its deadline.
fn due(handle: &Handle, count: &Arc<Count>) -> Entry {
    let mut entry = Entry::after(handle.clone(), Duration::from_millis(1));
    assert!(poll(&mut entry, count).is_pending());
    handle.clock().advance(Duration::from_millis(2));
    entry
}

fn fire(handle: &Handle) -> usize {
    handle.fire(0, handle.clock().now(), &mut Waker::wake)
}

/// A thread that may be parked: looked at with a load, and claimed only if it is.
struct Parked {
    state: AtomicUsize,
    thread: ::loom::sync::Mutex<Option<thread::Thread>>,
}

impl Rouse for Parked {
    fn outside_shard(&self) -> usize {
        0
    }

    fn earlier(&self, _shard: usize) {
        // Relaxed: the fences of the protocol are what is tested.
        if self.state.load(Relaxed) == 1 && self.state.swap(0, Relaxed) == 1 {
            let thread = self.thread.lock().unwrap();
            thread
                .as_ref()
                .expect("it published that it is parked")
                .unpark();
        }
    }
}

#[test]
fn registering_from_outside_against_parking() {
    model(|| {
        let handle = timers();
        let parked = Arc::new(Parked {
            state: AtomicUsize::new(0),
            thread: ::loom::sync::Mutex::new(None),
        });
        handle.set_rouse(parked.clone());
        let sleeper = thread::spawn({
            let handle = handle.clone();
            move || {
                *parked.thread.lock().unwrap() = Some(thread::current());
                loop {
                    parked.state.store(1, Relaxed);
                    if handle.park_timeout(0, handle.clock().now()).is_some() {
                        return;
                    }
                    // Without a timeout: if nobody rouses it, loom reports a deadlock.
                    thread::park();
                }
            }
        });
        let mut entry = Entry::after(handle.clone(), Duration::from_millis(1));
        assert!(poll(&mut entry, &Count::new()).is_pending());
        sleeper.join().unwrap();
    });
}

#[test]
fn registering_against_closing() {
    model(|| {
        let handle = timers();
        let closer = thread::spawn({
            let handle = handle.clone();
            move || handle.close()
        });
        let count = Count::new();
        let mut entry = Entry::after(handle.clone(), Duration::from_millis(1));
        let registered = poll(&mut entry, &count).is_pending();
        closer.join().unwrap();
        // What was registered was woken.
        assert_eq!(count.get(), usize::from(registered));
        assert!(matches!(poll(&mut entry, &count), Poll::Ready(Err(_))));
        assert_eq!(handle.pending(), 0);
    });
}

#[test]
fn cancelling_against_firing() {
    model(|| {
        let handle = timers();
        let count = Count::new();
        let entry = due(&handle, &count);
        let other = due(&handle, &count);
        let firer = thread::spawn({
            let handle = handle.clone();
            move || fire(&handle)
        });
        drop(entry);
        let fired = firer.join().unwrap() + fire(&handle);
        assert!(fired == 1 || fired == 2);
        assert_eq!((count.get(), handle.pending()), (fired, 0));
        assert_eq!(handle.next(0), None);
        drop(other);
    });
}

#[test]
fn firing_against_firing() {
    model(|| {
        let handle = timers();
        let count = Count::new();
        let entries = [due(&handle, &count), due(&handle, &count)];
        let firer = thread::spawn({
            let handle = handle.clone();
            move || fire(&handle)
        });
        let fired = fire(&handle);
        let fired = fired + firer.join().unwrap();
        assert_eq!((fired, count.get()), (2, 2));
        assert_eq!(handle.next(0), None);
        drop(entries);
    });
}

#[test]
fn reset_and_waker_change_against_firing() {
    model(|| {
        let handle = timers();
        let (first, second) = (Count::new(), Count::new());
        let mut entry = due(&handle, &first);
        let firer = thread::spawn({
            let handle = handle.clone();
            move || fire(&handle)
        });
        let is_fired = poll(&mut entry, &second).is_ready();
        if !is_fired {
            // It waits for the second waker; a reset moves it to a time that has come too.
            entry.reset(entry.deadline());
        }
        firer.join().unwrap();
        if is_fired {
            assert_eq!(first.get(), 1, "the waker that it knew then");
        }
        handle.clock().advance(Duration::from_millis(1));
        fire(&handle);
        assert_eq!(first.get() + second.get(), 1);
        assert!(poll(&mut entry, &second).is_ready());
        assert_eq!(handle.pending(), 0);
    });
}

#[test]
fn registering_against_firing() {
    model(|| {
        let handle = timers();
        let count = Count::new();
        let entry = due(&handle, &count);
        let firer = thread::spawn({
            let handle = handle.clone();
            move || fire(&handle)
        });
        // Whatever `fire` publishes meanwhile, the new deadline is not lost.
        let mut later = Entry::after(handle.clone(), Duration::from_millis(1));
        assert!(poll(&mut later, &count).is_pending());
        assert_eq!(firer.join().unwrap(), 1);
        let next = handle.next(0).expect("a timer is registered");
        assert!(next <= later.deadline().unwrap() + Duration::from_micros(17));
        handle.clock().advance(Duration::from_millis(2));
        assert_eq!((fire(&handle), count.get()), (1, 2));
        drop((entry, later));
    });
}

#[test]
fn registering_against_refreshing() {
    model(|| {
        let handle = timers();
        let count = Count::new();
        let mut cancelled = Entry::after(handle.clone(), Duration::from_millis(1));
        assert!(poll(&mut cancelled, &count).is_pending());
        // From here on the shard is stale.
        drop(cancelled);
        let parker = thread::spawn({
            let handle = handle.clone();
            move || handle.park_timeout(0, handle.clock().now())
        });
        let mut entry = Entry::after(handle.clone(), Duration::from_millis(2));
        assert!(poll(&mut entry, &count).is_pending());
        let seen = parker.join().unwrap();
        // Nothing, or the new deadline, or the old one if nobody has brought it up to date yet.
        assert!(seen.is_none_or(|timeout| !timeout.is_zero()));
        let next = handle.next(0).expect("a timer is registered");
        assert_eq!(Some(next), entry.deadline());
    });
}
