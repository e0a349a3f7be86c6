//! A reference model: entries and the shards behind them, beside plain records that do the same, driven by a string of bytes.
//!
//! [`run`] reads the bytes as a program, as that of `wheel/model.rs` does. One thread polls, resets and drops entries,
//! serves now this shard and now that, lets the time pass, fires, closes, and asks for the next deadline.
//!
//! What is compared: what each operation returns; afterwards how often each waker was woken and how many clones of it are kept, when each
//! shard is due, whom registering roused, and what is counted. There are few enough entries for the next deadline to be exact whenever it
//! is asked for, however many timers were cancelled before; it is brought up to date only then.

use std::cell::Cell;
use std::iter::Copied;
use std::slice::Iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::Entry;
use crate::clock::{Clock, Pausable, Ticks};
use crate::context::ServeGuard;
use crate::timer::{Handle, Rouse};

/// Nanoseconds in a tick.
const TICK: i64 = 15_625;

/// So many shards; the last one is for threads that serve none.
const SHARDS: usize = 3;

/// So many entries at most: few enough for an exact deadline of each shard.
const ENTRIES: usize = 8;

/// How many wakers there are.
const WAKERS: usize = 3;

thread_local! {
    /// How many waits that are over the budget refuses to end.
    static REFUSED: Cell<u8> = const { Cell::new(0) };
}

fn charge(cx: &mut Context<'_>) -> Poll<()> {
    let refused = REFUSED.get();
    if refused == 0 {
        return Poll::Ready(());
    }
    REFUSED.set(refused - 1);
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Counts wakes.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Counts how often it is told of an earlier deadline.
#[derive(Default)]
struct Told(AtomicUsize);

impl Rouse for Told {
    fn outside_shard(&self) -> usize {
        SHARDS - 1
    }

    fn earlier(&self, shard: usize) {
        assert_eq!(shard, SHARDS - 1);
        self.0.fetch_add(1, Relaxed);
    }
}

/// What is left of the program.
struct Program<'a>(Copied<Iter<'a, u8>>);

impl Program<'_> {
    /// An argument.
    fn byte(&mut self) -> u8 {
        self.0.next().unwrap_or(0)
    }

    /// One of so many.
    fn choose(&mut self, from: usize) -> usize {
        usize::from(self.byte()) % from
    }

    /// A length of time of any order of magnitude up to 2^47 ticks, in nanoseconds: whole ticks or a little less.
    fn nanos(&mut self) -> i64 {
        let magnitude = self.byte();
        let ticks = (0x100 | i64::from(self.byte())) << (magnitude % 47) >> 8;
        ticks * TICK - i64::from(magnitude / 47)
    }
}

/// An entry and what must be true of it.
struct Item {
    entry: Entry,
    /// What it waits for, in nanoseconds from the start; `None` never comes.
    deadline: Option<i64>,
    state: State,
}

/// Where an entry stands.
enum State {
    Unregistered,
    /// Its timer is in the shard, or was.
    Registered {
        shard: usize,
        timer: Option<Timer>,
    },
    Elapsed,
}

/// A timer in a wheel.
#[derive(Clone, Copy)]
struct Timer {
    /// When it was to be due.
    deadline: Ticks,
    /// When it is: what was past counts as the tick after the hand.
    counted: Ticks,
    /// Its waker, by number.
    waker: usize,
}

/// What is known of a shard.
struct Shard {
    /// What it has published.
    next: Ticks,
    is_stale: bool,
    hand: u64,
}

/// The timers beside their records.
struct Pair {
    handle: Handle,
    told: Arc<Told>,
    wakers: [(Waker, Arc<Count>); WAKERS],
    /// How often each was to be woken.
    woken: [usize; WAKERS],
    items: Vec<Item>,
    shards: [Shard; SHARDS],
    serving: Option<(usize, ServeGuard)>,
    /// The start, which is a whole tick, and the time since.
    start: Instant,
    now: i64,
    is_closed: bool,
    /// How many timers were registered, fired, cancelled and ended by closing, and how often somebody was to be roused.
    registered: u64,
    fired: u64,
    cancelled: u64,
    ended: u64,
    earlier: usize,
}

/// Runs a program on both.
///
/// # Panics
///
/// Panics where they differ.
pub fn run(program: &[u8]) {
    let mut program = Program(program.iter().copied());
    REFUSED.set(0);
    let clock = Clock::new(Pausable::Yes);
    clock.pause();
    let start = clock.now();
    let handle = Handle::new(SHARDS, clock, charge);
    let told = Arc::new(Told::default());
    handle.set_rouse(told.clone());
    let mut pair = Pair {
        handle,
        told,
        wakers: std::array::from_fn(|_| {
            let count = Arc::new(Count::default());
            (count.clone().into(), count)
        }),
        woken: [0; WAKERS],
        items: Vec::new(),
        shards: std::array::from_fn(|_| Shard {
            next: Ticks::NEVER,
            is_stale: false,
            hand: 0,
        }),
        serving: None,
        start,
        now: 0,
        is_closed: false,
        registered: 0,
        fired: 0,
        cancelled: 0,
        ended: 0,
        earlier: 0,
    };
    while let Some(operation) = program.0.next() {
        pair.step(operation % 16, operation / 16, &mut program);
        pair.check();
    }
    while !pair.items.is_empty() {
        pair.drop_entry(0);
        pair.check();
    }
}

impl Pair {
    /// One operation; `detail` is a small number which is there for what it may need.
    fn step(&mut self, operation: u8, detail: u8, program: &mut Program<'_>) {
        let shard = usize::from(detail) % SHARDS;
        match operation {
            0 | 1 => self.create(detail, program),
            2..=4 if !self.items.is_empty() => {
                let at = program.choose(self.items.len());
                self.poll(at, usize::from(detail) % WAKERS);
            }
            5 | 6 if !self.items.is_empty() => {
                let at = program.choose(self.items.len());
                let deadline = self.deadline(detail, program);
                self.reset(at, deadline);
            }
            7 if !self.items.is_empty() => {
                let at = program.choose(self.items.len());
                self.drop_entry(at);
            }
            8 | 9 => {
                let leap = program.nanos().rem_euclid((3 << 36) * TICK);
                self.now += leap;
                assert!(
                    self.handle
                        .clock()
                        .advance(Duration::from_nanos(leap as u64))
                );
            }
            10 | 11 => self.fire(shard),
            12 => self.next(shard),
            13 => {
                // In any order: the older guard ends after the younger one began.
                self.serving = match detail % 4 {
                    3 => None,
                    shard => Some((shard.into(), self.handle.serve(shard.into()))),
                };
            }
            14 => REFUSED.set(detail / 4),
            15 if detail == 15 => self.close(),
            _ => {}
        }
    }

    /// The tick of a point in time, rounded up.
    fn tick(&self, deadline: Option<i64>) -> Ticks {
        let start = self.handle.clock().ticks_after(self.start).0 as i64;
        let tick =
            |nanos: i64| start + nanos.div_euclid(TICK) + i64::from(nanos.rem_euclid(TICK) > 0);
        deadline.map_or(Ticks::NEVER, |nanos| Ticks(tick(nanos).max(0) as u64))
    }

    /// The tick of the present.
    fn present(&self) -> u64 {
        self.tick(Some(self.now - self.now % TICK)).0
    }

    fn has_passed(&self, deadline: Option<i64>) -> bool {
        deadline.is_some_and(|deadline| deadline <= self.now)
    }

    /// Some deadline.
    fn deadline(&self, detail: u8, program: &mut Program<'_>) -> Option<i64> {
        match detail % 8 {
            0 => None,
            1 => Some(self.now),
            2 => Some(self.now.saturating_sub(program.nanos())),
            _ => Some(self.now + program.nanos()),
        }
    }

    fn instant(&self, deadline: i64) -> Instant {
        let distance = Duration::from_nanos(deadline.unsigned_abs());
        let instant = match deadline < 0 {
            true => self.start.checked_sub(distance),
            false => self.start.checked_add(distance),
        };
        // The system's clock may be younger than that.
        instant.unwrap_or(self.start)
    }

    fn create(&mut self, detail: u8, program: &mut Program<'_>) {
        if self.items.len() == ENTRIES {
            return;
        }
        let mut deadline = self.deadline(detail, program);
        let entry = if detail < 8 {
            let instant = deadline.map(|deadline| self.instant(deadline));
            Entry::new(self.handle.clone(), instant)
        } else {
            let after = deadline.map(|deadline| (deadline - self.now).max(0));
            deadline = after.map(|after| self.now + after);
            let after = after.map_or(Duration::MAX, |after| Duration::from_nanos(after as u64));
            Entry::after(self.handle.clone(), after)
        };
        self.items.push(Item {
            entry,
            deadline,
            state: State::Unregistered,
        });
    }

    /// Records that a timer is registered; returns where, unless the timers are closed.
    fn insert(&mut self, deadline: Option<i64>, waker: usize) -> Option<State> {
        if self.is_closed {
            return None;
        }
        let deadline = self.tick(deadline);
        let outside = self.serving.is_none();
        let shard = self
            .serving
            .as_ref()
            .map_or(SHARDS - 1, |serving| serving.0);
        let Shard { next, hand, .. } = &mut self.shards[shard];
        if deadline < *next {
            *next = deadline;
            self.earlier += usize::from(outside);
        }
        self.registered += 1;
        let counted = deadline.max(Ticks(*hand + 1));
        let timer = Some(Timer {
            deadline,
            counted,
            waker,
        });
        Some(State::Registered { shard, timer })
    }

    /// Records that an entry leaves its shard; returns the waker that it had there.
    fn cancel(&mut self, at: usize) -> Option<usize> {
        let state = std::mem::replace(&mut self.items[at].state, State::Unregistered);
        let State::Registered {
            shard,
            timer: Some(timer),
        } = state
        else {
            return None;
        };
        self.cancelled += 1;
        // The wheel knows the counted deadline only.
        self.shards[shard].is_stale |= timer.counted <= self.shards[shard].next;
        Some(timer.waker)
    }

    fn poll(&mut self, at: usize, waker: usize) {
        let was_refused = REFUSED.get() > 0;
        let mut cx = Context::from_waker(&self.wakers[waker].0);
        let polled = self.items[at].entry.poll_elapsed(&mut cx);
        let deadline = self.items[at].deadline;
        let is_over = self.has_passed(deadline);
        let mut is_ready = true;
        match &mut self.items[at].state {
            State::Elapsed => {}
            State::Registered {
                timer: Some(timer), ..
            } => {
                timer.waker = waker;
                is_ready = false;
            }
            State::Registered { timer: None, .. } if !self.is_closed || is_over => {
                assert!(is_over, "it has fired early");
                self.items[at].state = State::Elapsed;
            }
            State::Unregistered if is_over => self.items[at].state = State::Elapsed,
            State::Registered { .. } => {}
            State::Unregistered => {
                if let Some(state) = self.insert(deadline, waker) {
                    self.items[at].state = state;
                    is_ready = false;
                }
            }
        }
        let has_elapsed = matches!(self.items[at].state, State::Elapsed);
        match polled {
            Poll::Pending if !is_ready => {}
            Poll::Pending => {
                assert!(was_refused, "it is over");
                self.woken[waker] += 1;
            }
            Poll::Ready(outcome) => {
                assert!(is_ready && !was_refused);
                assert_eq!(outcome.is_ok(), has_elapsed);
            }
        }
        let entry = &self.items[at].entry;
        assert_eq!(entry.is_elapsed(), has_elapsed || is_over);
    }

    fn reset(&mut self, at: usize, deadline: Option<i64>) {
        let instant = deadline.map(|deadline| self.instant(deadline));
        // Of a deadline before the system's clock began, what remains.
        let deadline = instant.map(|instant| match instant.checked_duration_since(self.start) {
            Some(after) => after.as_nanos() as i64,
            None => -((self.start - instant).as_nanos() as i64),
        });
        self.items[at].entry.reset(instant);
        let before = std::mem::replace(&mut self.items[at].deadline, deadline);
        let Some(waker) = self.cancel(at) else {
            return;
        };
        let moves_back = deadline.unwrap_or(i64::MAX) < before.unwrap_or(i64::MAX);
        let state = match moves_back && self.has_passed(deadline) {
            true => None,
            false => self.insert(deadline, waker),
        };
        match state {
            Some(state) => self.items[at].state = state,
            None => self.woken[waker] += 1,
        }
    }

    fn drop_entry(&mut self, at: usize) {
        self.cancel(at);
        self.items.swap_remove(at);
    }

    /// The timers of a shard.
    fn timers(&self, shard: usize) -> impl Iterator<Item = &Timer> {
        self.items.iter().filter_map(move |item| match &item.state {
            State::Registered {
                shard: other,
                timer,
            } if *other == shard => timer.as_ref(),
            _ => None,
        })
    }

    /// Brings the published deadline of a shard up to date.
    fn publish(&mut self, shard: usize) {
        let earliest = self.timers(shard).map(|timer| timer.counted).min();
        self.shards[shard].next = earliest.unwrap_or(Ticks::NEVER);
        self.shards[shard].is_stale = false;
    }

    fn fire(&mut self, shard: usize) {
        let clock = self.handle.clock().now();
        let mut fired = 0;
        let wakes = self.handle.fire(shard, clock, &mut |waker| {
            fired += 1;
            waker.wake();
        });
        assert_eq!(wakes, fired);
        let present = self.present();
        if self.shards[shard].next > Ticks(present) {
            return assert_eq!(fired, 0);
        }
        self.shards[shard].hand = present;
        for item in &mut self.items {
            if let State::Registered {
                shard: other,
                timer,
            } = &mut item.state
                && *other == shard
                && let Some(due) = timer.take_if(|timer| timer.counted.0 <= present)
            {
                self.woken[due.waker] += 1;
                self.fired += 1;
                fired -= 1;
            }
        }
        assert_eq!(fired, 0, "others have fired");
        self.publish(shard);
    }

    /// Asks for the next deadline, which brings it up to date.
    fn next(&mut self, shard: usize) {
        let next = self.handle.next(shard);
        if self.shards[shard].is_stale {
            self.publish(shard);
        }
        let clock = self.handle.clock();
        let tick = next.map_or(Ticks::NEVER, |next| clock.ticks_after(next));
        assert_eq!(tick, self.shards[shard].next);
        let until = next.map(|next| next.saturating_duration_since(clock.now()));
        assert_eq!(self.handle.until_next(shard, clock.now()), until);
    }

    fn close(&mut self) {
        self.handle.close();
        self.is_closed = true;
        for item in &mut self.items {
            if let State::Registered { timer, .. } = &mut item.state
                && let Some(timer) = timer.take()
            {
                self.woken[timer.waker] += 1;
                self.ended += 1;
            }
        }
        (0..SHARDS).for_each(|shard| self.publish(shard));
    }

    /// Compares what both show.
    fn check(&self) {
        let present = self.handle.clock().now();
        let mut kept = [0; WAKERS];
        let mut pending = 0;
        for (number, shard) in self.shards.iter().enumerate() {
            let is_due = shard.next != Ticks::NEVER && shard.next.0 <= self.present();
            assert_eq!(self.handle.is_due(number, present), is_due);
            for timer in self.timers(number) {
                // P1: nobody sleeps longer.
                assert!(shard.next <= timer.counted || shard.next <= timer.deadline);
                kept[timer.waker] += 1;
                pending += 1;
            }
        }
        for ((waker, kept), woken) in self.wakers.iter().zip(kept).zip(self.woken) {
            assert_eq!(waker.1.0.load(Relaxed), woken, "wakes");
            assert_eq!(Arc::strong_count(&waker.1), 2 + kept, "clones");
        }
        assert_eq!(self.told.0.load(Relaxed), self.earlier);
        let metrics = self.handle.metrics();
        assert_eq!(
            (metrics.registered, metrics.pending),
            (self.registered, pending)
        );
        assert_eq!((metrics.fired, metrics.ended), (self.fired, self.ended));
        assert_eq!(metrics.cancelled, self.cancelled);
        assert_eq!(self.handle.pending(), pending);
    }
}
