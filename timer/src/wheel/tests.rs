use std::time::{SystemTime, UNIX_EPOCH};

use super::*;

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

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
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

/// How many random programs are run, short and long ones.
const PROGRAMS: u64 = if cfg!(miri) { 5 } else { 1_000 };

fn random_programs(seed: u64) {
    let _seed = Seed(seed);
    let mut random = Random(seed);
    for round in 0..PROGRAMS {
        // One in 250 goes on for long.
        let length = if round.is_multiple_of(250) {
            5_000
        } else {
            random.below(200)
        };
        model::run(&random.bytes(length));
    }
}

#[test]
fn agrees_with_a_map() {
    if let Ok(seed) = std::env::var("TIMER_SEED") {
        return random_programs(seed.parse().expect("a number"));
    }
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    random_programs(0);
    random_programs(fresh.as_nanos() as u64);
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
            .map(|_| {
                let bits = random.below(45);
                wheel.insert(Ticks(wheel.now.0 + 1 + random.below(1 << bits)), noop())
            })
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
