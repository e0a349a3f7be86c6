//! Slots apart from threads: what a thread works with, and which slots are live.
//!
//! A *slot* holds everything that running tasks needs: a deque, a LIFO slot, an epoch line, counters, and by its
//! index a timer shard and a parker in the driver. Threads take and leave slots: the workers, spare
//! threads that stand in for a worker which is stuck or inside `block_in_place`, and the guest inside `block_on`.
//! Nothing that a slot owns can be reached by one thread alone: others steal from the deque, from the tasks that yielded and, when the owner
//! computes for long, from the LIFO slot.
//!
//! Indices: `0..workers` are served from the start, then come the slots for guests (8), then those for spares (128). Most programs need one or two of these,
//! and each is 2 kB; so a slot is made when it first becomes live, or when somebody asks for it before.
//!
//! A slot is *live* while a thread serves it; a guest's only while that thread is awake. Stealing and the
//! last look before parking go over the live slots. The rule that makes it safe to skip the others: **the
//! queues and the LIFO slot of a slot that is not live are empty, or about to be** (its thread clears the bit, then drains them to the
//! injector and notifies, and pushes nothing after).

use crate::metrics::SlotCounters;
use crate::scheduler::pop;
use crate::sync::deque::{Injector, Steal, Stealer, Worker as Deque};
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, bug};
use crate::task::{AtomicRunnable, Place, Runnable};
use crossbeam_utils::CachePadded;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

/// Set in [`Slot::signal`]: the runtime shuts down.
pub(crate) const SHUTDOWN: u32 = 1;
/// Set in [`Slot::signal`]: the slot's epoch stood still for longer than a poll should take.
pub(crate) const STUCK: u32 = 2;

/// What a thread works with.
pub(crate) struct Slot {
    /// Advanced by the owner before each poll (relaxed); the watchman compares. So it counts the polls, too, and times of dispatching.
    pub(crate) epoch: AtomicU64,
    /// The word of the task that is polled, or that was polled last: whom to name if the epoch stands still. Written by the owner.
    pub(crate) polling: AtomicU64,
    /// The system's identity of the thread that serves the slot.
    pub(crate) thread: AtomicU64,
    /// How long the epoch has stood still.
    pub(crate) stillness: Stillness,
    /// What others want the owner to look at before its next poll: SHUTDOWN, STUCK.
    pub(crate) signal: AtomicU32,
    /// The task to run next; stealable.
    pub(crate) lifo: AtomicRunnable,
    /// The handle through which others steal from the deque.
    pub(crate) stealer: Stealer<Runnable>,
    /// Tasks that yielded, where these come last.
    pub(crate) yielded: Yielded,
    /// The deque, while no thread serves the slot.
    deque: Mutex<Option<Deque<Runnable>>>,
    /// What its threads have done; written by the owner. On lines of its own.
    pub(crate) counters: CachePadded<SlotCounters>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("epoch", &self.epoch.load(Ordering::Relaxed))
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

impl Slot {
    fn new() -> Slot {
        let deque = Deque::new_fifo();
        Slot {
            epoch: AtomicU64::new(0),
            polling: AtomicU64::new(Place::IDLE.0),
            thread: AtomicU64::new(0),
            stillness: Stillness::default(),
            signal: AtomicU32::new(0),
            lifo: AtomicRunnable::new(),
            stealer: deque.stealer(),
            yielded: Yielded::default(),
            deque: Mutex::new(Some(deque)),
            counters: CachePadded::default(),
        }
    }

    /// How many polls its threads have made; times of dispatching wakers count too.
    pub(crate) fn polls(&self) -> u64 {
        // Relaxed: a counter.
        self.epoch.load(Ordering::Relaxed)
    }

    /// How many tasks others may take, besides the one in the LIFO slot.
    pub(crate) fn queued(&self) -> usize {
        self.stealer.len() + self.yielded.len()
    }

    /// Sets `bit` in the signal word, and tells whether it was clear.
    pub(crate) fn raise(&self, bit: u32) -> bool {
        // Ordering: SeqCst, so that an unpark that follows cannot be seen before the bit.
        self.signal.fetch_or(bit, Ordering::SeqCst) & bit == 0
    }
}

/// Tasks that yielded on a slot and come after all others there (`worker/yields.rs`). Pushed by the owner; most programs need none, so the queue is made for the first.
#[derive(Default)]
pub(crate) struct Yielded(OnceLock<Box<Injector<Runnable>>>);

impl Yielded {
    pub(crate) fn push(&self, task: Runnable) {
        self.0.get_or_init(|| Box::new(Injector::new())).push(task);
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<Runnable> {
        let queue = self.0.get()?;
        if queue.is_empty() { None } else { pop(queue) }
    }

    /// Takes some at once, one of them to be run now.
    pub(crate) fn pop_batch(&self, into: &Deque<Runnable>) -> Option<Runnable> {
        let queue = self.0.get()?;
        while !queue.is_empty() {
            match queue.steal_batch_and_pop(into) {
                Steal::Success(task) => return Some(task),
                Steal::Empty => break,
                Steal::Retry => {}
            }
        }
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.get().is_none_or(|queue| queue.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.get().map_or(0, |queue| queue.len())
    }
}

/// Since when an epoch has stood still, as the watchman has seen it and told those who list tasks.
#[derive(Debug, Default)]
pub(crate) struct Stillness(AtomicU64);

/// What [`Stillness`] counts from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Stillness {
    /// Tells that it has stood still `since` then.
    pub(crate) fn begin(&self, since: Instant) {
        let nanos = since.saturating_duration_since(*START).as_nanos() as u64;
        // Relaxed: a number by itself.
        self.0.store(nanos.max(1), Ordering::Relaxed);
    }

    /// Tells that it moves.
    pub(crate) fn end(&self) {
        // Relaxed: a number by itself.
        self.0.store(0, Ordering::Relaxed);
    }

    /// How long it has stood still at `now`; zero if it moves.
    pub(crate) fn for_how_long(&self, now: Instant) -> Duration {
        // Relaxed: a number by itself.
        match self.0.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.saturating_duration_since(*START + Duration::from_nanos(since)),
        }
    }
}

/// Which kind of thread asks for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    /// A worker or a spare in a worker's place.
    Worker,
    /// A thread inside `block_on`.
    Guest,
}

/// All slots, and which of them are live.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Never changes its length; who first asks for a slot makes it ([`made`](Slots::made)). Each in an `Arc`, so that its owner reaches it without looking it up.
    slots: Box<[OnceLock<Arc<CachePadded<Slot>>>]>,
    /// One bit a slot. Written by read-modify-writes only.
    live: Box<[CachePadded<AtomicU64>]>,
    /// Slots that no thread has.
    free: Mutex<Free>,
    /// One more than the highest slot that was ever taken: those who look at all slots stop there.
    used: AtomicUsize,
}

/// Slots that no thread has.
#[derive(Debug)]
struct Free {
    /// For workers' stand-ins, and for guests.
    slots: [Vec<usize>; 2],
    /// No slot is given away any more.
    closed: bool,
}

impl Slots {
    /// Creates `workers` slots that are spoken for, and `spares` and `guests` that are free.
    pub(crate) fn new(workers: usize, spares: usize, guests: usize) -> Slots {
        let total = workers + spares + guests;
        // Before anything can stand still.
        LazyLock::force(&START);
        let descending = |from: usize, to: usize| (from..to).rev().collect();
        Slots {
            slots: (0..total).map(|_| OnceLock::new()).collect(),
            live: (0..total.div_ceil(64))
                .map(|_| CachePadded::new(AtomicU64::new(0)))
                .collect(),
            free: Mutex::new(Free {
                slots: [
                    descending(workers + guests, total),
                    descending(workers, workers + guests),
                ],
                closed: false,
            }),
            used: AtomicUsize::new(workers),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot, made now if nobody has asked for it before.
    #[inline]
    fn made(&self, slot: usize) -> &Arc<CachePadded<Slot>> {
        self.slots[slot].get_or_init(|| Arc::new(CachePadded::new(Slot::new())))
    }

    /// How many have been made.
    #[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
    pub(crate) fn count_made(&self) -> usize {
        (self.slots.iter())
            .filter(|slot| slot.get().is_some())
            .count()
    }

    #[inline]
    pub(crate) fn get(&self, slot: usize) -> &Slot {
        self.made(slot)
    }

    /// The slot itself, for its owner.
    pub(crate) fn share(&self, slot: usize) -> Arc<CachePadded<Slot>> {
        Arc::clone(self.made(slot))
    }

    /// Takes a slot that no thread has; none once they are closed.
    pub(crate) fn take(&self, seat: Seat) -> Option<usize> {
        let mut free = self.free.lock();
        if free.closed {
            return None;
        }
        let slot = free.slots[seat as usize].pop()?;
        // Relaxed: `close` reads it under the same lock; whoever else must know of a slot that has just been taken is told in other ways (the live
        // bit, an unpark).
        self.used.fetch_max(slot + 1, Ordering::Relaxed);
        Some(slot)
    }

    /// Gives no slot away any more, and returns how many of them, from the first, have ever been taken.
    pub(crate) fn close(&self) -> usize {
        let mut free = self.free.lock();
        free.closed = !bug::SHUTDOWN_FRESH_SLOT_MISSED.is_on();
        self.used()
    }

    /// How many slots, from the first, have ever been taken.
    pub(crate) fn used(&self) -> usize {
        // Relaxed: see `take`.
        self.used.load(Ordering::Relaxed)
    }

    /// Gives a slot back; its deque must have been put back before.
    pub(crate) fn give_back(&self, slot: usize, seat: Seat) {
        debug_assert!(self.get(slot).deque.lock().is_some());
        self.free.lock().slots[seat as usize].push(slot);
    }

    /// Takes the deque of a slot that no thread serves.
    pub(crate) fn take_deque(&self, slot: usize) -> Deque<Runnable> {
        let deque = self.get(slot).deque.lock().take();
        deque.expect("a slot is taken by one thread at a time")
    }

    /// Puts the deque back when a thread leaves the slot.
    pub(crate) fn put_deque(&self, slot: usize, deque: Deque<Runnable>) {
        debug_assert!(deque.is_empty(), "a slot is left with tasks in it");
        *self.get(slot).deque.lock() = Some(deque);
    }

    /// Makes `slot` live.
    pub(crate) fn enliven(&self, slot: usize) {
        // A live slot is made: whoever finds it through its bit makes none.
        let _made = self.made(slot);
        // Ordering: SeqCst, one total order with the last look before parking (idle.md, P3) and
        // with the reactor thread's look before it sleeps.
        self.live[slot / 64].fetch_or(1 << (slot % 64), Ordering::SeqCst);
    }

    /// Makes `slot` no longer live; its thread drains it next, and notifies.
    pub(crate) fn retire(&self, slot: usize) {
        // Ordering: SeqCst, as in `enliven`.
        self.live[slot / 64].fetch_and(!(1 << (slot % 64)), Ordering::SeqCst);
    }

    /// Whether `slot` is live.
    pub(crate) fn is_live(&self, slot: usize) -> bool {
        // Ordering: SeqCst, as in `enliven`.
        self.live[slot / 64].load(Ordering::SeqCst) & (1 << (slot % 64)) != 0
    }

    /// Whether `slot` holds no task at this moment.
    #[cfg(all(test, rt_shuttle))]
    pub(crate) fn is_empty(&self, slot: usize) -> bool {
        let slot = self.get(slot);
        slot.queued() == 0 && slot.lifo.is_empty()
    }

    /// How many slots are live.
    pub(crate) fn count_live(&self) -> usize {
        // Ordering: SeqCst, as in `enliven`.
        let ones =
            |word: &CachePadded<AtomicU64>| word.load(Ordering::SeqCst).count_ones() as usize;
        self.live.iter().map(ones).sum()
    }

    /// The live slots, beginning with the first at or after `start`, which is one of all slots, and going round.
    #[inline]
    pub(crate) fn live_from(&self, start: usize) -> LiveSlots<'_> {
        let word = start / 64;
        let below_start = (1 << (start % 64)) - 1;
        LiveSlots {
            words: &self.live,
            word,
            bits: live_bits(&self.live[word]) & !below_start,
            left: self.live.len(),
            below_start,
        }
    }
}

/// The live slots among 64.
#[inline]
fn live_bits(word: &AtomicU64) -> u64 {
    // Relaxed suffices for stealing; the look before parking comes after a fence. The slot itself is published by its `OnceLock`.
    word.load(Ordering::Relaxed)
}

/// Goes round the live slots ([`Slots::live_from`]). Written by hand: every search walks here three times, and adapters took twice the instructions.
pub(crate) struct LiveSlots<'a> {
    /// The bits of all slots.
    words: &'a [CachePadded<AtomicU64>],
    /// The word at hand.
    word: usize,
    /// What is left of it.
    bits: u64,
    /// How many words come after it. The first one comes twice: its upper part first, its lower part last.
    left: usize,
    /// The lower part.
    below_start: u64,
}

impl Iterator for LiveSlots<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.left = self.left.checked_sub(1)?;
            self.word += 1;
            if self.word == self.words.len() {
                self.word = 0;
            }
            self.bits = live_bits(&self.words[self.word]);
            if self.left == 0 {
                self.bits &= self.below_start;
            }
        }
        let bit = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some(self.word * 64 + bit as usize)
    }
}

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn live_slots_are_visited_once_from_any_start() {
        let slots = Slots::new(130, 40, 30);
        let live = [0, 1, 63, 64, 100, 128, 199];
        for slot in live {
            slots.enliven(slot);
        }
        for start in 0..200 {
            let mut seen: Vec<_> = slots.live_from(start).collect();
            assert!(
                seen.first()
                    .is_some_and(|&first| first >= start || start > 199)
            );
            seen.sort_unstable();
            assert_eq!(seen, live, "from {start}");
        }
        slots.retire(64);
        assert_eq!(slots.count_live(), 6);
        assert!(!slots.is_live(64) && slots.is_live(63));
    }

    #[test]
    fn seats_are_apart() {
        let slots = Slots::new(2, 1, 1);
        assert_eq!(slots.used(), 2);
        assert_eq!(slots.take(Seat::Worker), Some(3));
        assert_eq!(slots.take(Seat::Worker), None);
        assert_eq!(slots.take(Seat::Guest), Some(2));
        assert_eq!(slots.used(), 4);
        slots.give_back(3, Seat::Worker);
        assert_eq!(slots.take(Seat::Worker), Some(3));
    }

    #[test]
    fn a_slot_is_made_when_it_is_asked_for() {
        let slots = Slots::new(2, 100, 8);
        assert_eq!(slots.count_made(), 0);
        let _one = slots.share(1);
        let guest = slots.take(Seat::Guest).expect("all are free");
        drop(slots.take_deque(guest));
        slots.enliven(guest);
        assert_eq!(slots.count_made(), 2);
        slots.enliven(0);
        assert_eq!(slots.count_made(), 3, "a live slot is made");
    }

    #[test]
    fn closed_slots_are_not_given_away() {
        let slots = Slots::new(2, 1, 1);
        let guest = slots.take(Seat::Guest).expect("it is free");
        assert_eq!(slots.close(), 3);
        slots.give_back(guest, Seat::Guest);
        assert_eq!(slots.take(Seat::Guest), None);
        assert_eq!(slots.take(Seat::Worker), None);
    }
}
