use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;
use crate::{Clock, Pausable};

#[test]
fn agrees_with_records() {
    crate::random::run_programs(model::run);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Timers of one shard with a paused clock, and a waker that counts.
struct Stage {
    handle: Handle,
    count: Arc<Count>,
}

impl Stage {
    fn new() -> Stage {
        let clock = Clock::new(Pausable::Yes);
        clock.pause();
        Stage {
            handle: Handle::new(1, clock, |_| Poll::Ready(())),
            count: Arc::default(),
        }
    }

    fn poll(&self, entry: &mut Entry) -> Poll<Result<(), Shutdown>> {
        let waker = Waker::from(self.count.clone());
        entry.poll_elapsed(&mut Context::from_waker(&waker))
    }

    fn after(&self, millis: u64) -> Entry {
        Entry::after(self.handle.clone(), Duration::from_millis(millis))
    }

    /// Moves the clock, fires, and returns how often the waker was woken by that.
    fn pass(&self, millis: u64) -> usize {
        let before = self.count.0.load(Ordering::Relaxed);
        let clock = self.handle.clock();
        clock.advance(Duration::from_millis(millis));
        self.handle.fire(0, clock.now(), &mut Waker::wake);
        self.count.0.load(Ordering::Relaxed) - before
    }
}

#[test]
fn is_registered_by_the_first_pending_poll_only() {
    let stage = Stage::new();
    let mut entry = stage.after(10);
    assert_eq!(stage.handle.pending(), 0);
    assert!(stage.poll(&mut entry).is_pending() && stage.poll(&mut entry).is_pending());
    assert_eq!(stage.handle.pending(), 1);
    drop(entry);
    assert_eq!(stage.handle.pending(), 0);
}

#[test]
fn what_is_past_is_ready_without_registering() {
    let stage = Stage::new();
    stage.pass(10);
    let now = stage.handle.clock().now();
    for deadline in [now, now - Duration::from_millis(5)] {
        let mut entry = Entry::new(stage.handle.clone(), Some(deadline));
        assert!(entry.is_elapsed());
        assert_eq!(stage.poll(&mut entry), Poll::Ready(Ok(())));
    }
    let mut zero = stage.after(0);
    assert_eq!(stage.poll(&mut zero), Poll::Ready(Ok(())));
    assert_eq!(stage.handle.pending(), 0);
}

#[test]
fn polled_first_after_its_deadline() {
    // Under a paused clock it is ready, as no time may pass for it.
    let stage = Stage::new();
    let mut entry = stage.after(1);
    stage.pass(50);
    assert_eq!(stage.poll(&mut entry), Poll::Ready(Ok(())));
    // Under a running one it may be fired by the next look at the shard.
    let stage = Stage::new();
    stage.handle.clock().resume();
    let mut entry = Entry::after(stage.handle.clone(), Duration::from_nanos(1));
    while !entry.is_elapsed() {}
    while stage.poll(&mut entry).is_pending() {
        stage
            .handle
            .fire(0, stage.handle.clock().now(), &mut Waker::wake);
    }
}

#[test]
fn durations_that_overflow_never_end() {
    let stage = Stage::new();
    let mut entries = [Duration::MAX, Duration::from_secs(u64::MAX / 2)]
        .map(|duration| Entry::after(stage.handle.clone(), duration));
    for entry in &mut entries {
        assert_eq!(entry.deadline(), None);
        assert!(stage.poll(entry).is_pending() && !entry.is_elapsed());
    }
    assert_eq!(stage.handle.next(0), None);
    assert_eq!(stage.pass(u64::from(u32::MAX)), 0);
    // The farthest that an `Instant` holds, but not the wheel.
    let far = stage.handle.clock().now() + Duration::from_secs(1 << 40);
    entries[0].reset(Some(far));
    assert!(stage.poll(&mut entries[0]).is_pending());
    assert_eq!(stage.handle.next(0), None);
    entries[0].reset(Some(stage.handle.clock().now() + Duration::from_millis(1)));
    assert_eq!(stage.pass(2), 1);
}

#[test]
fn reset_wakes_at_the_new_deadline_without_a_poll() {
    let stage = Stage::new();
    let mut entry = stage.after(10);
    assert!(stage.poll(&mut entry).is_pending());
    let now = stage.handle.clock().now();
    entry.reset(Some(now + Duration::from_millis(30)));
    assert_eq!(stage.handle.pending(), 1);
    assert_eq!(stage.pass(20), 0);
    assert_eq!(stage.pass(11), 1);
    assert!(stage.poll(&mut entry).is_ready() && stage.poll(&mut entry).is_ready());
    // After it has elapsed, it waits for its next poll.
    entry.reset(Some(now + Duration::from_millis(60)));
    assert!(!entry.is_elapsed());
    assert_eq!(stage.handle.pending(), 0);
    assert!(stage.poll(&mut entry).is_pending());
    // Brought forward, into the past: ready without a turn of the wheel.
    entry.reset(Some(now));
    assert_eq!(stage.handle.pending(), 0);
    assert!(stage.poll(&mut entry).is_ready());
}

#[test]
fn reset_of_one_that_fired_unseen() {
    let stage = Stage::new();
    let mut entry = stage.after(1);
    assert!(stage.poll(&mut entry).is_pending());
    assert_eq!(stage.pass(2), 1);
    entry.reset(Some(stage.handle.clock().now() + Duration::from_millis(5)));
    assert!(stage.poll(&mut entry).is_pending());
    assert_eq!(stage.pass(6), 1);
    assert!(stage.poll(&mut entry).is_ready());
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let stage = Stage::new();
    let mut entry = stage.after(1);
    let first = Arc::new(Count::default());
    let waker = Waker::from(first.clone());
    assert!(
        entry
            .poll_elapsed(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    assert!(stage.poll(&mut entry).is_pending());
    assert_eq!(Arc::strong_count(&first), 1, "the first waker was let go");
    assert_eq!(stage.pass(2), 1);
    assert_eq!(first.0.load(Ordering::Relaxed), 0);
}

#[test]
fn a_spent_budget_delays_the_outcome_only() {
    static SPENT: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(true);
    let handle = Handle::new(1, Clock::new(Pausable::No), |cx| {
        if SPENT.swap(false, Ordering::Relaxed) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    });
    let mut entry = Entry::after(handle, Duration::ZERO);
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(entry.poll_elapsed(&mut cx).is_pending());
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(entry.poll_elapsed(&mut cx).is_ready());
}

#[test]
fn bounds() {
    fn is<T: Send + Sync + Unpin>() {}
    is::<Entry>();
    is::<Handle>();
}
