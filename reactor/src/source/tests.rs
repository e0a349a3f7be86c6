//! Single-threaded checks of a source; the races are in `loom.rs`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{RawWaker, RawWakerVTable, Wake, Waker},
};

use super::*;

/// Counts its wakes.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A waker and its counter.
fn waker() -> (Waker, Arc<Count>) {
    let count = Arc::new(Count::default());
    (Waker::from(Arc::clone(&count)), count)
}

/// Records an event and wakes.
fn event(source: &Source, generation: u32, ready: Ready) {
    source.event(generation, ready, &mut |waker| waker.wake());
}

/// How many wait in the list.
fn listed(source: &Source) -> usize {
    let waiters = source.waiters.lock();
    waiters
        .others
        .as_ref()
        .map_or(0, |others| others.list.len())
}

#[test]
fn an_event_wakes_its_direction_only() {
    let source = Source::new();
    let generation = source.open(3, Ready::EMPTY);
    let (reader, reads) = waker();
    let (writer, writes) = waker();
    assert!(
        !source
            .watch(Direction::Read, &reader)
            .ends(Direction::Read.mask())
    );
    assert!(
        !source
            .watch(Direction::Write, &writer)
            .ends(Direction::Write.mask())
    );
    event(&source, generation, Ready::WRITABLE);
    assert_eq!((reads.0.load(SeqCst), writes.0.load(SeqCst)), (0, 1));
    event(&source, generation, Ready::READ_CLOSED);
    assert_eq!((reads.0.load(SeqCst), writes.0.load(SeqCst)), (1, 1));
}

#[test]
fn closing_is_sticky_and_an_error_is_cleared_by_name() {
    let source = Source::new();
    let generation = source.open(3, Ready::EMPTY);
    event(&source, generation, Ready::ALL);
    let seen = source.load();
    assert_eq!(
        source.clear(seen, Direction::Read.mask() | Direction::Write.mask()),
        Clear::Done
    );
    let left = source.load().ready();
    assert!(left.is_read_closed() && left.is_write_closed() && left.is_error());
    assert!(!left.contains(Ready::READABLE) && !left.contains(Ready::WRITABLE));
    assert_eq!(source.clear(seen, Ready::ERROR), Clear::Done);
    assert!(!source.load().ready().is_error());
    assert_eq!(
        source.clear(seen, Ready::ALL - Ready::URGENT),
        Clear::Kept,
        "nothing is left to take back"
    );
}

#[test]
fn a_clear_from_before_an_event_does_nothing() {
    let source = Source::new();
    let generation = source.open(3, Ready::READABLE);
    let seen = source.load();
    event(&source, generation, Ready::READABLE);
    assert_eq!(source.clear(seen, Ready::READABLE), Clear::Kept);
    assert!(source.load().ready().is_readable());
}

#[test]
fn the_stamp_wraps_without_touching_the_generation() {
    let source = Source::new();
    let generation = source.open(3, Ready::EMPTY);
    for _ in 0..(1 << 24) + 3 {
        assert_eq!(source.state.mark(generation, Ready::EMPTY), Mark::Done);
    }
    assert_eq!(source.load().generation(), generation);
    assert!(source.load().ready().is_empty() && !source.load().is_gone());
}

#[test]
fn a_retired_source_forgets_everything() {
    let source = Source::new();
    let old = source.open(3, Ready::ALL);
    source.expel(&mut drop);
    let (waker, count) = waker();
    source.watch(Direction::Read, &waker);
    drop(source.retire());
    let new = source.open(3, Ready::EMPTY);
    assert_ne!(old, new);
    assert!(source.load().ready().is_empty() && !source.load().is_gone());
    event(&source, old, Ready::READABLE);
    assert!(
        source.load().ready().is_empty(),
        "a late event changes nothing"
    );
    drop(waker);
    assert_eq!((count.0.load(SeqCst), Arc::strong_count(&count)), (0, 1));
}

#[test]
fn whoever_asks_first_gets_the_descriptor() {
    let source = Source::new();
    for fd in [0, 3] {
        source.open(fd, Ready::EMPTY);
        assert_eq!((source.take_fd(), source.take_fd()), (Some(fd), None));
        drop(source.retire());
    }
    source.open(-1, Ready::EMPTY);
    assert_eq!(source.take_fd(), None, "it is no descriptor");
}

#[test]
fn a_snapshot_is_printed_in_its_parts() {
    let source = Source::new();
    source.open(3, Ready::EMPTY);
    drop(source.retire());
    let generation = source.open(3, Ready::EMPTY);
    event(&source, generation, Ready::READABLE);
    event(&source, generation, Ready::EMPTY);
    let text = format!("{:?}", source.load());
    assert!(text.contains("generation: 1, stamp: 2, ready"), "{text}");
    assert!(text.contains("is_gone: false"), "{text}");
}

#[test]
fn a_registration_begins_with_nothing_of_before() {
    let source = Source::new();
    source.expel(&mut drop);
    source.event(0, Ready::ALL, &mut drop);
    source.open(3, Ready::WRITABLE);
    assert!(
        !source.load().is_gone(),
        "the slot was free when all were expelled"
    );
    assert_eq!(source.load().ready(), Ready::WRITABLE);
}

#[test]
fn all_waiters_of_a_long_list_are_woken_once() {
    let source = Source::new();
    let generation = source.open(3, Ready::EMPTY);
    let mask = Ready::from_interest(Interest::READABLE);
    let (waker, count) = waker();
    let (other, others) = self::waker();
    let mut places: Vec<Place> = (0..100).map(|_| Place::default()).collect();
    for (at, place) in places.iter_mut().enumerate() {
        match at % 2 {
            0 => source.enlist(place, mask, &waker),
            _ => source.enlist(place, Ready::from_interest(Interest::WRITABLE), &other),
        };
    }
    // Whoever comes while wakers are being handed out has seen the mark, and need not be woken.
    let mut late = Place::default();
    source.event(generation, Ready::READABLE, &mut |waker| {
        source.enlist(&mut late, mask, &waker);
        waker.wake();
    });
    assert_eq!((count.0.load(SeqCst), others.0.load(SeqCst)), (50, 0));
    assert_eq!(listed(&source), 51);
    places.iter_mut().for_each(|place| source.forget(place));
    source.forget(&mut late);
    assert_eq!(listed(&source), 0);
}

#[test]
fn a_hostile_waker_leaves_the_source_valid() {
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        |_| panic!("clone"),
        |_| panic!("wake"),
        |_| panic!("wake by reference"),
        |_| {},
    );
    #[allow(unsafe_code)]
    // SAFETY: the functions of the table use no data.
    let hostile = unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &TABLE)) };
    let source = Source::new();
    let generation = source.open(3, Ready::EMPTY);
    let (waker, count) = waker();
    let mut place = Place::default();
    source.watch(Direction::Read, &waker);
    let watch = catch_unwind(AssertUnwindSafe(|| source.watch(Direction::Read, &hostile)));
    assert!(watch.is_err());
    let enlist = catch_unwind(AssertUnwindSafe(|| {
        source.enlist(&mut place, Ready::READABLE, &hostile)
    }));
    assert!(enlist.is_err());
    event(&source, generation, Ready::READABLE);
    assert_eq!(
        count.0.load(SeqCst),
        1,
        "the waker from before is still in its place"
    );
    assert_eq!(listed(&source), 0);
}

#[test]
fn a_one_shot_source_is_armed_for_what_is_missing() {
    let source = Source::new();
    let generation = source.open(3, Ready::WRITABLE);
    let both = Interest::READABLE | Interest::WRITABLE;
    let armed = |generation| {
        let mut armed = None;
        source.rearm(generation, |fd, interest| armed = Some((fd, interest)));
        armed
    };
    assert_eq!(armed(generation), None, "nobody has said what to arm");
    source.set_armed(both);
    assert_eq!(armed(generation), Some((3, Interest::READABLE)));
    assert_eq!(armed(generation + 1), None);
    event(&source, generation, Ready::READABLE);
    assert_eq!(armed(generation), None, "everything is known to be ready");
    let seen = source.load();
    assert_eq!(
        source.clear(seen, Ready::READABLE | Ready::WRITABLE),
        Clear::Done
    );
    assert_eq!(armed(generation), Some((3, both)));
}
