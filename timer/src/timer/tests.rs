use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::Wake;
use std::thread;

use super::*;
use crate::{Entry, Pausable};

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A rouse hook that remembers what it was told.
struct Told {
    outside: usize,
    earlier: std::sync::Mutex<Vec<usize>>,
}

impl Rouse for Told {
    fn outside_shard(&self) -> usize {
        self.outside
    }

    fn earlier(&self, shard: usize) {
        self.earlier.lock().unwrap().push(shard);
    }
}

fn free(_: &mut Context<'_>) -> Poll<()> {
    Poll::Ready(())
}

/// Timers with a paused clock.
fn timers(shards: usize) -> Handle {
    let clock = Clock::new(Pausable::Yes);
    clock.pause();
    Handle::new(shards, clock, free)
}

fn told(handle: &Handle, outside: usize) -> Arc<Told> {
    let told = Arc::new(Told {
        outside,
        earlier: Default::default(),
    });
    handle.set_rouse(told.clone());
    told
}

fn wait(handle: &Handle, millis: u64, count: &Arc<Count>) -> Entry {
    let mut entry = Entry::after(handle.clone(), Duration::from_millis(millis));
    assert!(poll(&mut entry, count).is_pending());
    entry
}

fn poll(entry: &mut Entry, count: &Arc<Count>) -> Poll<Result<(), crate::Shutdown>> {
    entry.poll_elapsed(&mut Context::from_waker(&Waker::from(count.clone())))
}

fn fire(handle: &Handle, shard: usize) -> usize {
    handle.fire(shard, handle.clock().now(), &mut |waker| waker.wake())
}

#[test]
fn the_served_shard_takes_the_timer_and_nobody_is_roused() {
    let handle = timers(3);
    let told = told(&handle, 1);
    let count = Arc::default();
    let serving = handle.serve(2);
    let inside = wait(&handle, 5, &count);
    assert!(handle.next(2).is_some() && handle.next(1).is_none());
    assert!(told.earlier.lock().unwrap().is_empty());
    drop(serving);

    // Outside, the shard that the hook names; only an earlier deadline rouses.
    let later = wait(&handle, 5, &count);
    let latest = wait(&handle, 9, &count);
    let earliest = wait(&handle, 2, &count);
    assert_eq!(*told.earlier.lock().unwrap(), [1, 1]);
    assert_eq!(handle.next(1), earliest.deadline());
    assert_eq!(handle.pending(), 4);
    drop((inside, later, latest, earliest));
    assert_eq!(handle.pending(), 0);
    assert_eq!([0, 1, 2].map(|shard| handle.next(shard)), [None; 3]);
}

#[test]
fn guards_nest_and_foreign_handles_do_not_confuse() {
    let (ours, theirs) = (timers(2), timers(2));
    let count = Arc::default();
    assert!(Handle::try_current().is_none());
    let entered = ours.enter();
    let serving = ours.serve(1);
    {
        assert!(Arc::ptr_eq(Handle::current().timers(), ours.timers()));
        let _entered = theirs.enter();
        assert!(Arc::ptr_eq(Handle::current().timers(), theirs.timers()));
        // Ours still go to the served shard, theirs to no shard of this thread.
        let _ours = wait(&ours, 1, &count);
        let _theirs = wait(&theirs, 1, &count);
        assert!(ours.next(1).is_some() && theirs.next(0).is_some());
        {
            let _serving = theirs.serve(1);
            let _theirs = wait(&theirs, 1, &count);
            assert!(theirs.next(1).is_some());
            let _ours = wait(&ours, 1, &count);
            assert!(
                ours.next(0).is_some(),
                "this thread serves another shard now"
            );
        }
        let _again = wait(&ours, 1, &count);
        assert_eq!(ours.pending(), 2);
    }
    assert!(Arc::ptr_eq(Handle::current().timers(), ours.timers()));
    // Out of order: each guard undoes what it did, and no more.
    let other = ours.serve(0);
    drop(serving);
    assert_eq!(context::served_shard(ours.timers()), Some(0));
    drop(entered);
    assert!(Handle::try_current().is_none());
    assert_eq!(context::served_shard(ours.timers()), Some(0));
    drop(other);
    assert_eq!(context::served_shard(ours.timers()), None);
}

#[test]
#[should_panic(expected = "there is no runtime running on this thread")]
fn no_current_handle() {
    Handle::current();
}

#[test]
fn fires_when_due_and_not_before() {
    let handle = timers(1);
    let _serving = handle.serve(0);
    let count = Arc::default();
    let mut entry = wait(&handle, 10, &count);
    let deadline = entry.deadline().unwrap();
    let until = handle.until_next(0, handle.clock().now()).unwrap();
    assert!(until == Duration::from_millis(10));
    handle
        .clock()
        .advance_to(deadline - Duration::from_nanos(1));
    assert!(!handle.is_due(0, handle.clock().now()) && fire(&handle, 0) == 0);
    assert!(poll(&mut entry, &count).is_pending());
    handle.clock().advance(Duration::from_nanos(1));
    assert!(handle.is_due(0, handle.clock().now()));
    assert_eq!(
        handle.until_next(0, handle.clock().now()),
        Some(Duration::ZERO)
    );
    assert_eq!((fire(&handle, 0), count.get()), (1, 1));
    assert_eq!(poll(&mut entry, &count), Poll::Ready(Ok(())));
    assert_eq!((handle.next(0), handle.pending()), (None, 0));
}

#[test]
fn cancelling_the_earliest_publishes_the_next() {
    let handle = timers(1);
    let _serving = handle.serve(0);
    let count = Arc::default();
    let early = wait(&handle, 10, &count);
    let late = wait(&handle, 3_600_000, &count);
    let next = handle.next(0).unwrap();
    drop(early);
    let after = handle.next(0).unwrap();
    assert!(
        after >= late.deadline().unwrap() && after > next,
        "no wake-up for what was cancelled"
    );
    drop(late);
    assert_eq!(handle.next(0), None);
}

#[test]
fn a_crowd_fires_in_bounded_calls() {
    const CROWD: usize = if cfg!(miri) { 1_000 } else { 1_000_000 };
    let handle = timers(1);
    let _serving = handle.serve(0);
    let count: Arc<Count> = Arc::default();
    let deadline = handle.clock().now() + Duration::from_secs(2);
    let mut entries: Vec<Entry> = (0..CROWD)
        .map(|_| Entry::new(handle.clone(), Some(deadline)))
        .collect();
    for entry in &mut entries {
        assert!(poll(entry, &count).is_pending());
    }
    assert!(
        handle
            .next(0)
            .is_some_and(|next| next <= deadline + Duration::from_micros(17))
    );
    handle.clock().advance(Duration::from_secs(3));
    let mut fired = 0;
    while handle.is_due(0, handle.clock().now()) {
        let batch = fire(&handle, 0);
        assert!(batch <= FIRE_LIMIT);
        fired += batch;
    }
    assert_eq!((fired, count.get(), handle.pending()), (CROWD, CROWD, 0));
    assert!(
        entries
            .iter_mut()
            .all(|entry| poll(entry, &count).is_ready())
    );
}

#[test]
fn a_panicking_waker_loses_no_other() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics, as this test wants it");
        }
    }
    let handle = timers(1);
    let _serving = handle.serve(0);
    let count = Arc::default();
    let before = wait(&handle, 1, &count);
    let mut entry = Entry::after(handle.clone(), Duration::from_millis(1));
    let panics = Waker::from(Arc::new(Panics));
    assert!(
        entry
            .poll_elapsed(&mut Context::from_waker(&panics))
            .is_pending()
    );
    let after = wait(&handle, 1, &count);
    handle.clock().advance(Duration::from_millis(2));
    assert_eq!((fire(&handle, 0), count.get()), (3, 2));
    drop((before, entry, after));
}

#[test]
fn what_a_panicking_waker_throws_is_dropped_and_may_panic_again() {
    /// Counts its drop, and panics in it.
    struct Thrown(Arc<Count>);
    impl Drop for Thrown {
        fn drop(&mut self) {
            self.0.clone().wake();
            panic!("what a waker throws panics when it is dropped, as this test wants it");
        }
    }
    struct Throws(Arc<Count>);
    impl Wake for Throws {
        fn wake(self: Arc<Self>) {
            std::panic::panic_any(Thrown(self.0.clone()));
        }
    }
    let handle = timers(1);
    let _serving = handle.serve(0);
    let (count, thrown) = (Arc::default(), Arc::<Count>::default());
    let throws = Waker::from(Arc::new(Throws(thrown.clone())));
    let mut entries =
        [1, 9].map(|millis| Entry::after(handle.clone(), Duration::from_millis(millis)));
    for entry in &mut entries {
        let poll = entry.poll_elapsed(&mut Context::from_waker(&throws));
        assert!(poll.is_pending());
    }
    let others = [wait(&handle, 1, &count), wait(&handle, 9, &count)];
    handle.clock().advance(Duration::from_millis(2));
    assert_eq!((fire(&handle, 0), count.get(), thrown.get()), (2, 1, 1));
    handle.close();
    assert_eq!((count.get(), thrown.get()), (2, 2));
    drop((entries, others));
}

#[test]
fn while_a_waker_blocks_another_thread_fires_the_rest() {
    struct Blocks {
        reached: std::sync::Barrier,
        release: std::sync::Barrier,
    }
    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            self.reached.wait();
            self.release.wait();
        }
    }
    let handle = timers(1);
    let count = Arc::default();
    let blocks = Arc::new(Blocks {
        reached: std::sync::Barrier::new(2),
        release: std::sync::Barrier::new(2),
    });
    let mut entry = Entry::after(handle.clone(), Duration::from_millis(1));
    let waker = Waker::from(blocks.clone());
    assert!(
        entry
            .poll_elapsed(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let others = [1, 1, 2].map(|millis| wait(&handle, millis, &count));
    handle.clock().advance(Duration::from_millis(3));
    thread::scope(|scope| {
        let stuck = scope.spawn(|| fire(&handle, 0));
        blocks.reached.wait();
        assert_eq!((fire(&handle, 0), count.get()), (3, 3));
        blocks.release.wait();
        assert_eq!(stuck.join().unwrap(), 1);
    });
    drop(others);
}

#[test]
fn many_timers_make_parks_long_and_few_do_not() {
    let handle = timers(1);
    let _serving = handle.serve(0);
    let count = Arc::default();
    let clock = handle.clock().clone();
    let timeout = || handle.park_timeout(0, clock.now());
    // A thousand in ten milliseconds.
    let crowd: Vec<Entry> = (0..1000)
        .map(|at| wait(&handle, 1 + at % 10, &count))
        .collect();
    for _ in 0..11 {
        clock.advance(Duration::from_millis(1));
        fire(&handle, 0);
    }
    assert_eq!(count.get(), crowd.len());
    assert_eq!(timeout(), None);
    let mut lone = Entry::after(handle.clone(), Duration::from_micros(40));
    assert!(poll(&mut lone, &count).is_pending());
    assert_eq!(timeout(), Some(COALESCED));
    assert!(handle.until_next(0, clock.now()).unwrap() < Duration::from_micros(60));
    clock.advance(Duration::from_micros(100));
    assert_eq!(timeout(), Some(Duration::ZERO), "what is due does not wait");
    fire(&handle, 0);
    // A while later, all is calm.
    clock.advance(Duration::from_millis(3));
    lone.reset(Some(clock.now() + Duration::from_micros(40)));
    assert!(poll(&mut lone, &count).is_pending());
    assert!(timeout().unwrap() < Duration::from_micros(60));
}

#[test]
fn closing_wakes_all_and_refuses_more() {
    let handle = timers(2);
    let count = Arc::default();
    let mut never = Entry::new(handle.clone(), None);
    assert!(poll(&mut never, &count).is_pending());
    let mut waits = wait(&handle, 60_000, &count);
    let mut fired = wait(&handle, 1, &count);
    handle.clock().advance(Duration::from_millis(2));
    assert_eq!(fire(&handle, 0), 1);
    handle.close();
    assert_eq!(
        (count.get(), handle.pending(), handle.next(0)),
        (3, 0, None)
    );
    assert!(matches!(poll(&mut never, &count), Poll::Ready(Err(_))));
    assert!(matches!(poll(&mut waits, &count), Poll::Ready(Err(_))));
    assert_eq!(
        poll(&mut fired, &count),
        Poll::Ready(Ok(())),
        "it was in time"
    );
    let mut late = Entry::after(handle.clone(), Duration::from_millis(1));
    assert!(matches!(poll(&mut late, &count), Poll::Ready(Err(_))));
    let mut past = Entry::new(handle.clone(), Some(handle.clock().now()));
    assert_eq!(poll(&mut past, &count), Poll::Ready(Ok(())));
    handle.close();
}

/// Threads register, cancel and reset across shards while others fire: nothing is lost or early.
#[test]
fn threads_at_once() {
    const TIMERS: u64 = if cfg!(miri) { 20 } else { 20_000 };
    let handle = Handle::new(2, Clock::new(Pausable::No), free);
    let done = AtomicBool::new(false);
    let count: Arc<Count> = Arc::default();
    thread::scope(|scope| {
        let fires = scope.spawn(|| {
            while !done.load(Relaxed) || handle.pending() > 0 {
                for shard in 0..2 {
                    fire(&handle, shard);
                }
                thread::yield_now();
            }
        });
        let registers: Vec<_> = (0..2)
            .map(|shard| {
                let (handle, count) = (&handle, &count);
                scope.spawn(move || {
                    let _serving = handle.serve(shard);
                    let mut kept = Vec::new();
                    for at in 0..TIMERS {
                        let after = Duration::from_micros(1 + at * 7919 % 3000);
                        let mut entry = Entry::after(handle.clone(), after);
                        let _ = poll(&mut entry, count);
                        match at % 4 {
                            0 => drop(entry),
                            1 => {
                                entry.reset(Some(handle.clock().now() + after));
                                kept.push(entry);
                            }
                            _ => kept.push(entry),
                        }
                    }
                    kept
                })
            })
            .collect();
        let mut kept: Vec<Entry> = Vec::new();
        for thread in registers {
            kept.extend(thread.join().unwrap());
        }
        // Each is ready in the end, and none before its time.
        while !kept.is_empty() {
            kept.retain_mut(|entry| {
                let pending = poll(entry, &count).is_pending();
                assert!(pending || handle.clock().now() >= entry.deadline().unwrap());
                pending
            });
            thread::yield_now();
        }
        done.store(true, Relaxed);
        fires.join().unwrap();
    });
    assert_eq!(handle.pending(), 0);
}

/// Every timer is counted once among those that are pending, or under what became of it.
fn balanced(handle: &Handle) -> Metrics {
    let metrics = handle.metrics();
    let accounted = metrics.fired + metrics.cancelled + metrics.ended + metrics.pending as u64;
    assert_eq!(metrics.registered, accounted, "{metrics:?}");
    assert_eq!(
        metrics.fired,
        metrics.lateness.iter().map(|&(_, count)| count).sum()
    );
    metrics
}

#[test]
fn what_becomes_of_timers_is_counted() {
    let handle = timers(2);
    let count = Arc::default();
    let tick = Ticks(1).duration();
    let mut entries: Vec<_> = (1..=8)
        .map(|millis| wait(&handle, millis, &count))
        .collect();
    {
        let _serving = handle.serve(1);
        entries.push(wait(&handle, 20, &count));
    }
    let metrics = balanced(&handle);
    assert_eq!((metrics.registered, metrics.pending), (9, 9));
    assert_eq!(metrics.lateness_max, Duration::ZERO);

    // One that is dropped, one that waits anew, and one that never waits.
    drop(entries.remove(0));
    let later = handle.clock().now() + Duration::from_millis(30);
    entries[0].reset(Some(later));
    drop(Entry::after(handle.clone(), Duration::from_secs(1)));
    let metrics = balanced(&handle);
    assert_eq!((metrics.registered, metrics.cancelled), (10, 2));

    // Those of 3 and 4 ms in time, the others late by a second or so.
    for millis in [3, 1, 1002] {
        handle.clock().advance(Duration::from_millis(millis));
        fire(&handle, 0);
    }
    let metrics = balanced(&handle);
    assert_eq!((metrics.fired, metrics.pending), (7, 1));
    assert_eq!(metrics.lateness[0], (tick, 2));
    assert_eq!(metrics.lateness[15], (Duration::MAX, 5));
    assert_eq!(metrics.lateness_max, Duration::from_millis(1001) + tick);
    // 5 to 8 ms, and the one that was to come after 30 ms.
    let late = Duration::from_millis(1001 + 1000 + 999 + 998 + 976);
    assert_eq!(metrics.lateness_sum, late + 7 * tick);

    handle.close();
    let metrics = balanced(&handle);
    assert_eq!((metrics.ended, metrics.pending), (1, 0));
    drop(entries);
    assert_eq!(balanced(&handle), metrics);
}
