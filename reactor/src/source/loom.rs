//! Models of a source, each named after the race it explores. Events are injected; there is no poller.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Wake, Waker},
};

use ::loom::{cell::UnsafeCell, sync::atomic::AtomicBool, thread};

use super::*;
use crate::sync::model;
use crate::{slab::Slab, token::Token};

/// Counts its wakes. A plain counter: the models look at it after joining.
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

/// The number of wakes.
fn wakes(count: &Count) -> usize {
    count.0.load(SeqCst)
}

/// Polls once like `Registration::poll_ready`; true if ready.
fn poll(source: &Source, direction: Direction, waker: &Waker) -> bool {
    let mask = direction.mask();
    source.load().ends(mask) || source.watch(direction, waker).ends(mask)
}

/// Polls once like `Registration::ready`; true if ready.
fn poll_place(source: &Source, place: &mut Place, waker: &Waker) -> bool {
    let mask = Direction::Read.mask();
    source.load().ends(mask) || source.enlist(place, mask, waker).ends(mask)
}

/// A source in its slab.
struct Taken(Arc<Slab>, Token);

impl Deref for Taken {
    type Target = Source;

    fn deref(&self) -> &Source {
        self.0.taken(self.1)
    }
}

/// Takes a slot.
fn take(slab: &Arc<Slab>, initially: Ready) -> std::io::Result<(Taken, Token)> {
    let token = slab.take(3, initially)?;
    Ok((Taken(Arc::clone(slab), token), token))
}

/// A slab with one registration, and its token.
fn registered(initially: Ready) -> (Arc<Slab>, Taken, Token) {
    let slab = Arc::new(Slab::new());
    let (source, token) = take(&slab, initially).expect("open");
    (slab, source, token)
}

/// Dispatches one event.
fn event(slab: &Slab, token: Token, ready: Ready) {
    let source = slab.get(token).expect("the slot exists");
    source.event(token.generation, ready, &mut |waker| waker.wake());
}

#[test]
fn register_against_event() {
    model(|| {
        let (slab, source, token) = registered(Ready::EMPTY);
        let events = Arc::clone(&slab);
        let other = thread::spawn(move || event(&events, token, Ready::READABLE));
        let (waker, count) = waker();
        let is_ready = poll(&source, Direction::Read, &waker);
        other.join().expect("no panic");
        assert!(is_ready || wakes(&count) == 1, "lost wake-up");
        assert!(source.load().ready().is_readable());
    });
}

#[test]
fn readiness_publishes_what_came_before() {
    model(|| {
        let (slab, source, token) = registered(Ready::EMPTY);
        // Plain memory that the other end of a pipe within this process has filled, say.
        let data = Arc::new(UnsafeCell::new(()));
        let (events, filled) = (Arc::clone(&slab), Arc::clone(&data));
        let other = thread::spawn(move || {
            filled.with_mut(|_| ());
            event(&events, token, Ready::READABLE);
        });
        // Until it is ready: of a load that comes too soon loom explores no other order, for the mark loads first, too.
        while !source.load().ends(Direction::Read.mask()) {
            thread::yield_now();
        }
        // loom sees a race if what was done before is not ordered by the word.
        data.with(|_| ());
        other.join().expect("no panic");
    });
}

#[test]
fn replaced_waker_against_event() {
    model(|| {
        let (slab, source, token) = registered(Ready::EMPTY);
        let (first, _) = waker();
        assert!(!poll(&source, Direction::Read, &first));
        let events = Arc::clone(&slab);
        let other = thread::spawn(move || event(&events, token, Ready::READABLE));
        let (second, count) = waker();
        let is_ready = poll(&source, Direction::Read, &second);
        other.join().expect("no panic");
        assert!(
            is_ready || wakes(&count) == 1,
            "the task moved, and its wake-up was lost"
        );
    });
}

#[test]
fn clear_against_event() {
    model(|| {
        let (slab, source, token) = registered(Ready::READABLE);
        let seen = source.load();
        let events = Arc::clone(&slab);
        let other = thread::spawn(move || event(&events, token, Ready::READABLE));
        // The call said `WouldBlock` before the data came.
        let _ = source.clear(seen, Ready::READABLE);
        other.join().expect("no panic");
        assert!(source.load().ready().is_readable(), "the edge was lost");
    });
}

#[test]
fn two_clears_against_event() {
    model(|| {
        let (slab, source, token) = registered(Ready::READABLE | Ready::WRITABLE);
        let seen = source.load();
        let events = Arc::clone(&slab);
        let marking = thread::spawn(move || event(&events, token, Ready::WRITABLE));
        let clears = Arc::clone(&slab);
        let clearing = thread::spawn(move || {
            let _ = clears
                .get(token)
                .expect("the slot exists")
                .clear(seen, Ready::READABLE);
        });
        let _ = source.clear(seen, Ready::WRITABLE);
        marking.join().expect("no panic");
        clearing.join().expect("no panic");
        assert!(source.load().ready().is_writable(), "the edge was lost");
    });
}

#[test]
fn operation_against_data_and_event() {
    model(|| {
        let (slab, source, token) = registered(Ready::READABLE);
        // What the kernel's buffer holds.
        let data = Arc::new(AtomicBool::new(false));
        let (events, arriving) = (Arc::clone(&slab), Arc::clone(&data));
        let other = thread::spawn(move || {
            arriving.store(true, SeqCst);
            event(&events, token, Ready::READABLE);
        });
        let (waker, count) = waker();
        // One round of `Registration::poll_io`: try, clear, wait.
        let seen = source.load();
        let has_read = data.load(SeqCst);
        let is_ready = has_read || {
            let _ = source.clear(seen, Ready::READABLE);
            poll(&source, Direction::Read, &waker)
        };
        other.join().expect("no panic");
        assert!(is_ready || wakes(&count) == 1, "the data is never read");
    });
}

#[test]
fn late_event_against_reuse() {
    model(|| {
        let (slab, _source, old) = registered(Ready::EMPTY);
        let events = Arc::clone(&slab);
        let other = thread::spawn(move || event(&events, old, Ready::READABLE));
        // Deregistered, and the slot taken by someone else.
        slab.release(old);
        let (source, new) = take(&slab, Ready::EMPTY).expect("open");
        assert_eq!(old.index, new.index);
        let (waker, count) = waker();
        let is_ready = poll(&source, Direction::Read, &waker);
        other.join().expect("no panic");
        assert!(!is_ready && wakes(&count) == 0, "the wrong owner was woken");
        assert!(
            source.load().ready().is_empty(),
            "the wrong source was marked"
        );
        // And its own event still arrives.
        event(&slab, new, Ready::READABLE);
        assert_eq!(wakes(&count), 1);
    });
}

#[test]
fn close_against_register() {
    model(|| {
        let slab = Arc::new(Slab::new());
        let closing = Arc::clone(&slab);
        let other = thread::spawn(move || closing.close(&mut |waker| waker.wake()));
        let (waker, count) = waker();
        let taken = take(&slab, Ready::EMPTY);
        let is_ready = match &taken {
            Ok((source, _)) => poll(source, Direction::Read, &waker),
            Err(_) => true,
        };
        other.join().expect("no panic");
        assert!(is_ready || wakes(&count) == 1, "waits for ever");
        if let Ok((source, _)) = &taken {
            assert!(source.load().is_gone());
        }
    });
}

#[test]
fn close_against_wait_and_event() {
    model(|| {
        let (slab, source, token) = registered(Ready::EMPTY);
        let closing = Arc::clone(&slab);
        let other = thread::spawn(move || closing.close(&mut |waker| waker.wake()));
        let events = Arc::clone(&slab);
        let third = thread::spawn(move || event(&events, token, Ready::WRITABLE));
        let (waker, count) = waker();
        let is_ready = poll(&source, Direction::Read, &waker);
        other.join().expect("no panic");
        third.join().expect("no panic");
        assert!(is_ready || wakes(&count) == 1);
        assert!(source.load().is_gone() && source.load().ready().is_writable());
    });
}

#[test]
fn two_waiters_and_an_event() {
    model(|| {
        let (slab, source, token) = registered(Ready::EMPTY);
        let events = Arc::clone(&slab);
        let marking = thread::spawn(move || event(&events, token, Ready::READABLE));
        let waits = Arc::clone(&slab);
        let waiting = thread::spawn(move || {
            let (waker, count) = waker();
            let mut place = Place::default();
            let source = waits.get(token).expect("the slot exists");
            (poll_place(source, &mut place, &waker), count)
        });
        let (waker, count) = waker();
        let mut place = Place::default();
        let is_ready = poll_place(&source, &mut place, &waker);
        let (other_is_ready, other_count) = waiting.join().expect("no panic");
        marking.join().expect("no panic");
        assert!(is_ready || wakes(&count) == 1);
        assert!(other_is_ready || wakes(&other_count) == 1);
    });
}

#[test]
fn cancelled_waiter_against_event() {
    model(|| {
        let (slab, source, token) = registered(Ready::EMPTY);
        let (gone, _) = waker();
        let mut cancelled = Place::default();
        assert!(!poll_place(&source, &mut cancelled, &gone));
        let (stays, count) = waker();
        let mut place = Place::default();
        assert!(!poll_place(&source, &mut place, &stays));
        let events = Arc::clone(&slab);
        let other = thread::spawn(move || event(&events, token, Ready::READABLE));
        source.forget(&mut cancelled);
        other.join().expect("no panic");
        assert_eq!(wakes(&count), 1, "the one who stays is woken");
        source.forget(&mut place);
        assert!(
            source
                .waiters
                .lock()
                .others
                .as_ref()
                .is_none_or(|others| others.list.is_empty()),
            "nobody is left in the list"
        );
    });
}

#[test]
fn cancelled_waiter_leaves_no_waker() {
    model(|| {
        let (_slab, source, _token) = registered(Ready::EMPTY);
        let (gone, count) = waker();
        let mut place = Place::default();
        assert!(!poll_place(&source, &mut place, &gone));
        source.forget(&mut place);
        drop(gone);
        assert_eq!(Arc::strong_count(&count), 1, "its waker is kept");
    });
}
