//! A reference model: the wheel beside a `BTreeMap` that does the same, driven by a string of bytes.
//!
//! [`run`] reads the bytes as a program: each operation takes one byte and, for its arguments, one to three more; where
//! they end, zeros follow. So every string is a program and a small change of the bytes is a small change of it.
//! The tests run random programs, the fuzzer (`fuzz/`) those that reach new code.
//!
//! What is compared after each operation: how many timers there are, and how many wakers live; that what leaves is due,
//! is the earliest, and leaves with the waker that it was given last; that the next deadline is never late, never past,
//! and exact while there are few timers; that keys of timers that are gone find nothing; that pages without timers have given their memory
//! back.

use std::collections::BTreeMap;
use std::iter::Copied;
use std::slice::Iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Wake, Waker};

use super::{Progress, RANGE_BITS, SHORT_LIST, Wheel};
use crate::clock::Ticks;
use crate::level::{DIGIT_BITS, LEVELS};
use crate::slab::Key;

/// The hand goes no further at a time: after each range, it looks at all timers that lie beyond.
const LEAP: u64 = 3 << RANGE_BITS;

/// Crowds come only while there are fewer timers than this.
const MANY: usize = 70;

/// A waker that knows which timer it belongs to: waking it tells its number.
struct Numbered {
    number: u64,
    /// The number of the waker that was woken last. Its count of references is one for each waker, and one more.
    woken: Arc<AtomicU64>,
}

impl Wake for Numbered {
    fn wake(self: Arc<Self>) {
        self.woken.store(self.number, Relaxed);
    }
}

/// What is left of the program.
struct Program<'a>(Copied<Iter<'a, u8>>);

impl Program<'_> {
    /// An argument.
    fn byte(&mut self) -> u8 {
        self.0.next().unwrap_or(0)
    }

    /// A length of time of any order of magnitude up to 2^48, in two bytes.
    fn ticks(&mut self) -> u64 {
        match self.byte() {
            240.. => 0,
            magnitude => (0x100 | u64::from(self.byte())) << (magnitude % 48) >> 8,
        }
    }

    /// One of so many.
    fn choose(&mut self, from: usize) -> usize {
        usize::from(self.byte()) % from
    }
}

/// A wheel beside a plain map.
struct Pair {
    wheel: Wheel,
    /// Deadline and number of each timer, and its key. The number is that of its present waker.
    map: BTreeMap<(Ticks, u64), Key>,
    /// Keys of timers that are gone.
    gone: Vec<Key>,
    /// The number of the youngest waker.
    number: u64,
    /// The latest present that the wheel was told.
    now: Ticks,
    /// See [`Numbered`].
    woken: Arc<AtomicU64>,
}

/// Runs a program on both.
///
/// # Panics
///
/// Panics where they differ.
pub fn run(program: &[u8]) {
    let mut program = Program(program.iter().copied());
    let mut pair = Pair {
        wheel: Wheel::new(),
        map: BTreeMap::new(),
        gone: Vec::new(),
        number: 0,
        now: Ticks(0),
        woken: Arc::default(),
    };
    while let Some(operation) = program.0.next() {
        pair.step(operation % 16, operation / 16, &mut program);
        pair.check();
    }
    pair.end();
}

impl Pair {
    /// One operation; `detail` is a small number which is there for what it may need.
    fn step(&mut self, operation: u8, detail: u8, program: &mut Program<'_>) {
        let now = self.now.0;
        match operation {
            0..=2 => {
                self.insert(Ticks(now + program.ticks()));
            }
            // Where the next bucket of some level begins, and beside it.
            3 => {
                let shift = DIGIT_BITS * (u32::from(detail) % (LEVELS as u32 + 1));
                let begin = ((now >> shift) + 1) << shift;
                self.insert(Ticks(begin + u64::from(program.byte() % 3) - 1));
            }
            4 => {
                self.insert(Ticks(now.saturating_sub(program.ticks())));
            }
            5 => {
                self.insert(match detail % 4 {
                    0 => Ticks::NEVER,
                    1 => Ticks(u64::MAX - 1 - program.ticks()),
                    _ => Ticks((u64::from(program.byte()) << RANGE_BITS) + u64::from(detail / 8)),
                });
            }
            6 => {
                if let Some((deadline, _)) = self.any(program) {
                    self.insert(deadline);
                }
            }
            7 => {
                let deadline = Ticks(now + program.ticks());
                let crowd = if self.map.len() < MANY {
                    5 + 4 * detail
                } else {
                    1
                };
                for _ in 0..crowd {
                    self.insert(deadline);
                }
            }
            8 | 9 => {
                if let Some(timer) = self.any(program) {
                    self.remove(timer);
                }
            }
            10 => {
                if let Some(timer) = self.any(program) {
                    self.replace_waker(timer);
                }
            }
            11 => {
                if !self.gone.is_empty() {
                    let key = self.gone[program.choose(self.gone.len())];
                    self.find_nothing(key);
                }
            }
            12 => {
                let ticks = program.ticks();
                let steps = program.choose(24);
                self.advance(Ticks(now + ticks), steps, usize::from(detail));
            }
            // To the very deadline, or a tick before it.
            13 => {
                if let Some((&(first, _), _)) = self.map.first_key_value() {
                    let now = first.0.saturating_sub(u64::from(detail % 2));
                    self.advance(Ticks(now), usize::MAX, usize::MAX);
                }
            }
            14 => {
                let every_second: Vec<_> = self.map.keys().copied().step_by(2).collect();
                for timer in every_second {
                    self.remove(timer);
                }
            }
            _ => self.pop_any(),
        }
    }

    /// A waker with a fresh number.
    fn waker(&mut self) -> Waker {
        self.number += 1;
        let (number, woken) = (self.number, self.woken.clone());
        Waker::from(Arc::new(Numbered { number, woken }))
    }

    /// Wakes a waker, and tells its number.
    fn number_of(&self, waker: Waker) -> u64 {
        waker.wake();
        self.woken.load(Relaxed)
    }

    /// Some timer, if there is one.
    fn any(&self, program: &mut Program<'_>) -> Option<(Ticks, u64)> {
        let len = self.map.len();
        (len > 0).then(|| {
            *self
                .map
                .keys()
                .nth(program.choose(len))
                .expect("there are so many")
        })
    }

    fn insert(&mut self, deadline: Ticks) {
        let waker = self.waker();
        // What is past counts as the tick after the hand.
        let counted = deadline.max(Ticks(self.wheel.hand().0 + 1));
        let key = self.wheel.insert(deadline, waker);
        self.map.insert((counted, self.number), key);
    }

    fn remove(&mut self, timer: (Ticks, u64)) {
        let key = self.map.remove(&timer).expect("it is in the map");
        let (deadline, waker) = self.wheel.remove(key).expect("it is in the wheel");
        assert_eq!((deadline, self.number_of(waker)), timer);
        self.gone.push(key);
    }

    fn replace_waker(&mut self, timer: (Ticks, u64)) {
        let key = self.map.remove(&timer).expect("it is in the map");
        let waker = self.waker();
        let known = self.wheel.waker_mut(key).expect("it is in the wheel");
        let before = std::mem::replace(known, waker);
        assert_eq!(self.number_of(before), timer.1);
        self.map.insert((timer.0, self.number), key);
    }

    fn find_nothing(&mut self, key: Key) {
        assert!(self.wheel.remove(key).is_none());
        assert!(self.wheel.waker_mut(key).is_none());
    }

    /// Advances by up to `steps` steps; everything that leaves must be due, and be the earliest.
    fn advance(&mut self, now: Ticks, steps: usize, limit: usize) {
        let now = now.min(Ticks(self.now.0 + LEAP));
        self.now = self.now.max(now);
        for _ in 0..steps {
            let before = self.wheel.hand();
            match self.wheel.advance(now, limit) {
                Progress::Due => {
                    let waker = self.wheel.pop_due().expect("one is due");
                    let number = self.number_of(waker);
                    let (&(first, _), _) = self.map.first_key_value().expect("one is known");
                    let key = self.map.remove(&(first, number));
                    self.gone.push(key.expect("the earliest fires first"));
                    assert_eq!(self.wheel.hand(), first);
                    assert!(first <= self.now, "fired early");
                }
                Progress::Unfinished => {
                    assert_ne!(limit, usize::MAX, "there was no limit");
                }
                Progress::Done => {
                    assert!(self.wheel.pop_due().is_none());
                    assert_eq!(self.wheel.hand(), before.max(now));
                    let earliest = self.map.keys().next();
                    assert!(earliest.is_none_or(|&(first, _)| first > now));
                    return;
                }
            }
        }
    }

    fn pop_any(&mut self) {
        let Some(waker) = self.wheel.pop_any() else {
            assert!(self.map.is_empty());
            return;
        };
        let number = self.number_of(waker);
        let timer = self.map.keys().find(|timer| timer.1 == number).copied();
        let key = self.map.remove(&timer.expect("it is in the map"));
        self.gone.extend(key);
    }

    /// Compares what both show.
    fn check(&mut self) {
        let len = self.map.len();
        assert_eq!((self.wheel.len(), self.wheel.is_empty()), (len, len == 0));
        assert_eq!(Arc::strong_count(&self.woken), len + 1, "one waker a timer");
        assert_eq!(self.wheel.inserted(), (len + self.gone.len()) as u64);
        let pages = self.wheel.slab.pages();
        assert!(
            len.div_ceil(64) <= pages && pages <= len + 1,
            "one page is kept"
        );
        assert!(self.wheel.hand() <= self.now);
        let first = self.map.keys().next().map(|&(first, _)| first);
        match self.wheel.next_deadline() {
            None => assert!(first.is_none_or(|first| first == Ticks::NEVER)),
            Some(next) => {
                assert!(next <= first.expect("the wheel is not empty"));
                if self.wheel.open_front().is_some() {
                    assert_eq!(next, self.wheel.hand());
                } else {
                    assert!(next > self.wheel.hand(), "a wake-up for nothing");
                    assert!(
                        len > SHORT_LIST || Some(next) == first,
                        "few timers are exact"
                    );
                }
            }
        }
        if let Some(&key) = self.gone.last() {
            self.find_nothing(key);
        }
    }

    /// Empties the wheel, or drops it as it is.
    fn end(mut self) {
        if self.number.is_multiple_of(2) {
            while !self.map.is_empty() {
                self.pop_any();
            }
            self.pop_any();
            self.check();
        }
        let Pair { wheel, woken, .. } = self;
        drop(wheel);
        assert_eq!(Arc::strong_count(&woken), 1, "a waker is left");
    }
}
