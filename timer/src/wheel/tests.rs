use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Wake;
use std::time::{SystemTime, UNIX_EPOCH};

use super::*;

/// A waker that knows which timer it belongs to: waking adds its number to a list.
struct Numbered {
    number: u64,
    woken: Arc<AtomicU64>,
}

impl Wake for Numbered {
    fn wake(self: Arc<Self>) {
        self.woken.store(self.number, Ordering::Relaxed);
    }
}

/// A wheel beside a plain map that does the same.
struct Pair {
    wheel: Wheel,
    /// Deadline and number of each timer, and its key.
    map: BTreeMap<(Ticks, u64), Key>,
    /// Keys of timers that are gone.
    gone: Vec<Key>,
    next_number: u64,
    now: Ticks,
    woken: Arc<AtomicU64>,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            wheel: Wheel::new(),
            map: BTreeMap::new(),
            gone: Vec::new(),
            next_number: 0,
            now: Ticks(0),
            woken: Arc::default(),
        }
    }

    fn insert(&mut self, deadline: Ticks) {
        self.next_number += 1;
        let waker = Waker::from(Arc::new(Numbered {
            number: self.next_number,
            woken: self.woken.clone(),
        }));
        let key = self.wheel.insert(deadline, waker);
        // What is past counts as the tick after the hand.
        let counted = deadline.max(Ticks(self.wheel.now.0 + 1));
        self.map.insert((counted, self.next_number), key);
    }

    fn remove(&mut self, at: usize) {
        let &(deadline, number) = self.map.keys().nth(at).unwrap();
        let key = self.map.remove(&(deadline, number)).unwrap();
        let (removed, waker) = self.wheel.remove(key).expect("the timer is there");
        waker.wake();
        assert_eq!((removed, self.woken()), (deadline, number));
        self.gone.push(key);
    }

    fn woken(&self) -> u64 {
        self.woken.load(Ordering::Relaxed)
    }

    /// Advances by up to `steps` steps; everything that leaves must be due, and be the earliest.
    fn advance(&mut self, now: Ticks, steps: usize, limit: usize) {
        self.now = self.now.max(now);
        for _ in 0..steps {
            match self.wheel.advance(self.now, limit) {
                Progress::Due => {
                    self.wheel.pop_due().expect("one is due").wake();
                    let number = self.woken();
                    let (&(first, _), _) = self.map.first_key_value().expect("one is known");
                    let key = self.map.remove(&(first, number));
                    self.gone.push(key.expect("the earliest fires first"));
                    assert!(first <= self.now, "fired early");
                }
                Progress::Unfinished => {}
                Progress::Done => {
                    assert!(self.wheel.pop_due().is_none());
                    let earliest = self.map.keys().next();
                    assert!(earliest.is_none_or(|&(first, _)| first > self.now));
                    return;
                }
            }
        }
    }

    fn check(&mut self) {
        assert_eq!(self.wheel.len(), self.map.len());
        let earliest = self.map.keys().next().map(|&(first, _)| first);
        match (self.wheel.next_deadline(), earliest) {
            (None, first) => assert!(first.is_none_or(|first| first == Ticks::NEVER)),
            (Some(next), first) => {
                assert!(next <= first.expect("the wheel is not empty"));
                if self.wheel.open_front().is_none() {
                    assert!(next > self.wheel.now, "a wake-up for nothing");
                }
                if self.map.len() <= SHORT_LIST && self.wheel.open_front().is_none() {
                    assert_eq!(Some(next), first, "few timers have an exact deadline");
                }
            }
        }
        if let Some(&key) = self.gone.last() {
            assert!(self.wheel.remove(key).is_none() && self.wheel.waker_mut(key).is_none());
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): enough for test inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A length of time of any order of magnitude.
    fn ticks(&mut self) -> u64 {
        let bits = self.below(45);
        self.below(1 << bits)
    }
}

/// Prints the seed if the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}: run again with TIMER_SEED={0}", self.0);
        }
    }
}

const ROUNDS: u64 = if cfg!(miri) { 2 } else { 60 };
const OPERATIONS: u64 = if cfg!(miri) { 200 } else { 4_000 };

fn random_operations(seed: u64) {
    let _seed = Seed(seed);
    let mut random = Random(seed);
    let mut pair = Pair::new();
    // Each run has its own mix of inserting and removing, and starts anywhere.
    let keep = 1 + random.below(6);
    let start = random.ticks();
    pair.advance(Ticks(start), 1, 0);
    for _ in 0..OPERATIONS {
        match random.below(10) {
            0..=3 => {
                let deadline = match random.below(20) {
                    0 => Ticks::NEVER,
                    1 => Ticks(pair.now.0.saturating_sub(random.ticks())),
                    2 => Ticks(u64::MAX - 1 - random.ticks()),
                    3 => Ticks((pair.now.0 | 0xfff) + random.below(3)),
                    _ => Ticks(pair.now.0 + random.ticks()),
                };
                for _ in 0..=random.below(3) * random.below(5) {
                    pair.insert(deadline);
                }
            }
            4..=6 if random.below(6) > keep && !pair.map.is_empty() => {
                let at = random.below(pair.map.len() as u64) as usize;
                pair.remove(at);
            }
            7 => {
                let steps = random.below(20) as usize;
                let now = Ticks(pair.now.0 + random.ticks() / (1 + random.below(4)));
                pair.advance(now, steps, random.below(5) as usize);
            }
            8 => {
                // To the very deadline, or a tick before it.
                let first = pair.map.keys().map(|&(first, _)| first.0).next();
                let first = first.filter(|&first| first < u64::MAX >> 10);
                let now = first.unwrap_or(0).saturating_sub(random.below(2));
                pair.advance(Ticks(now), usize::MAX, usize::MAX);
            }
            _ => {}
        }
        pair.check();
    }
    while let Some(waker) = pair.wheel.pop_any() {
        drop(waker);
    }
    assert!(pair.wheel.is_empty());
}

#[test]
fn agrees_with_a_map() {
    if let Ok(seed) = std::env::var("TIMER_SEED") {
        return random_operations(seed.parse().expect("a number"));
    }
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for round in 0..ROUNDS {
        random_operations(round);
        random_operations(fresh.as_nanos() as u64 ^ round << 40);
    }
}

fn noop() -> Waker {
    Waker::noop().clone()
}

fn fire(wheel: &mut Wheel, now: Ticks) -> usize {
    let mut fired = 0;
    loop {
        match wheel.advance(now, usize::MAX) {
            Progress::Due => fired += usize::from(wheel.pop_due().is_some()),
            Progress::Unfinished => unreachable!("there is no limit"),
            Progress::Done => return fired,
        }
    }
}

#[test]
fn every_distance_fires_on_its_tick() {
    for bits in 0..50 {
        for deadline in [1_u64 << bits, (1 << bits) + 1, (2 << bits) - 1] {
            let mut wheel = Wheel::new();
            wheel.insert(Ticks(deadline), noop());
            assert_eq!(wheel.next_deadline(), Some(Ticks(deadline)));
            assert_eq!(fire(&mut wheel, Ticks(deadline - 1)), 0);
            assert_eq!(wheel.next_deadline(), Some(Ticks(deadline)));
            assert_eq!(fire(&mut wheel, Ticks(deadline)), 1);
            assert_eq!(wheel.next_deadline(), None);
        }
    }
}

#[test]
fn beyond_the_range_is_looked_at_once_an_epoch() {
    let mut wheel = Wheel::new();
    let epoch = 1 << RANGE_BITS;
    for deadline in 0..100 {
        wheel.insert(Ticks(3 * epoch + deadline), noop());
    }
    assert_eq!(wheel.next_deadline(), Some(Ticks(epoch)));
    assert_eq!(fire(&mut wheel, Ticks(2 * epoch + 5)), 0);
    assert_eq!(wheel.next_deadline(), Some(Ticks(3 * epoch)));
    assert_eq!(fire(&mut wheel, Ticks(3 * epoch + 49)), 50);
    assert_eq!(fire(&mut wheel, Ticks(9 * epoch)), 50);
}

#[test]
fn never_is_never_and_may_be_removed() {
    let mut wheel = Wheel::new();
    let key = wheel.insert(Ticks::NEVER, noop());
    assert_eq!(wheel.next_deadline(), None);
    assert_eq!(fire(&mut wheel, Ticks(u64::MAX >> 14)), 0);
    assert_eq!(wheel.len(), 1);
    assert!(wheel.remove(key).is_some() && wheel.is_empty());
}

#[test]
fn what_is_past_fires_at_the_next_tick() {
    let mut wheel = Wheel::new();
    assert_eq!(fire(&mut wheel, Ticks(1000)), 0);
    wheel.insert(Ticks(3), noop());
    wheel.insert(Ticks(1000), noop());
    assert_eq!(wheel.next_deadline(), Some(Ticks(1001)));
    assert_eq!(fire(&mut wheel, Ticks(1001)), 2);
}

#[test]
fn a_hand_that_is_told_an_earlier_time_stays() {
    let mut wheel = Wheel::new();
    assert_eq!(fire(&mut wheel, Ticks(1000)), 0);
    wheel.insert(Ticks(1010), noop());
    assert_eq!(fire(&mut wheel, Ticks(500)), 0);
    assert_eq!(fire(&mut wheel, Ticks(1010)), 1);
}

#[test]
fn a_crowd_at_one_deadline_moves_in_bounded_steps() {
    const CROWD: usize = if cfg!(miri) { 1_000 } else { 1_000_000 };
    const LIMIT: usize = 100;
    let mut wheel = Wheel::new();
    for _ in 0..CROWD {
        wheel.insert(Ticks(300_000), noop());
    }
    let (mut unfinished, mut fired) = (0, 0);
    loop {
        match wheel.advance(Ticks(300_000), LIMIT) {
            Progress::Unfinished => unfinished += 1,
            Progress::Due => fired += usize::from(wheel.pop_due().is_some()),
            Progress::Done => break,
        }
        assert_eq!(wheel.len(), CROWD - fired);
    }
    assert_eq!(fired, CROWD);
    // From level 3 down to level 0, 100 at a time.
    assert!(unfinished >= 3 * (CROWD / LIMIT - 1), "{unfinished}");
}

#[test]
fn memory_comes_back_after_a_mass_cancel() {
    const CROWD: usize = if cfg!(miri) { 1_000 } else { 200_000 };
    let mut wheel = Wheel::new();
    for round in 0..3 {
        let mut random = Random(round);
        let mut keys: Vec<Key> = (0..CROWD)
            .map(|_| wheel.insert(Ticks(wheel.now.0 + 1 + random.ticks()), noop()))
            .collect();
        assert!(wheel.slab.pages() >= CROWD / 64);
        // Cancel in random order, all but a few.
        for at in (1..CROWD).rev() {
            keys.swap(at, random.below(at as u64 + 1) as usize);
        }
        for key in keys.drain(10..) {
            assert!(wheel.remove(key).is_some());
        }
        assert!(
            wheel.slab.pages() <= 11,
            "{} pages for 10 timers",
            wheel.slab.pages()
        );
        for key in keys {
            assert!(wheel.remove(key).is_some());
        }
        assert_eq!((wheel.len(), wheel.slab.pages()), (0, 1));
    }
    // A lone timer that comes and goes allocates nothing.
    let pages = wheel.slab.pages();
    for _ in 0..1_000 {
        let key = wheel.insert(Ticks(wheel.now.0 + 1_000), noop());
        assert!(wheel.remove(key).is_some());
        assert_eq!(wheel.slab.pages(), pages);
    }
}
