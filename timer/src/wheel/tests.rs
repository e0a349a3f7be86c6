use super::*;
use crate::random::{Random, run_programs};

#[test]
fn agrees_with_a_map() {
    run_programs(model::run);
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
    let epoch = 1 << 36;
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
fn the_levels_reach_twelve_days() {
    for level in 1..6 {
        let mut wheel = Wheel::new();
        // More than can be looked at for an exact deadline.
        for deadline in 0..=SHORT_LIST as u64 {
            wheel.insert(Ticks((3 << (6 * level)) + 1 + deadline), noop());
        }
        assert_eq!(wheel.next_deadline(), Some(Ticks(3 << (6 * level))));
    }
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
