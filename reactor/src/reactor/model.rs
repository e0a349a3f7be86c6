//! A reference model: registrations beside plain records that do the same, driven by a string of bytes.
//!
//! [`run`] reads the bytes as a program: each operation takes one byte and, for its arguments, a few more; where they
//! end, zeros follow. So every string is a program and a small change of the bytes is a small change of it. The tests
//! run random programs, the fuzzer (`fuzz/`) those that reach new code.
//!
//! The operating system has no part in it: the registrations are of nothing, and the program makes up the events, with any
//! readiness and for any token, also one of the past or of the future. One thread does it all; what several threads may
//! do to each other is in the models of `source/loom.rs`.
//!
//! What is compared: what each operation returns; afterwards the state of every source, how many there are, how often each waker was woken, and
//! how many clones of it are kept.

use std::{
    cell::Cell,
    future::Future,
    io,
    iter::Copied,
    ops::Not,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    slice::Iter,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::{Events, Handle};
use crate::{
    Direction, Interest, Ready, ReadyEvent, Registration, slab::Slab, source::Place, token::Token,
    wait::Wait,
};

/// So many wakers there are; the last one panics when it is woken.
const WAKERS: usize = 4;

/// No more registrations at a time: the second page is in use then.
const MANY: usize = 20;

thread_local! {
    /// The reactor of this thread's programs, as good as new before each.
    static HANDLE: Cell<Option<Handle>> = const { Cell::new(None) };
    /// How many operations the budget refuses.
    static REFUSED: Cell<u8> = const { Cell::new(0) };
}

/// A budget that is spent for the next `REFUSED` operations.
fn charge(cx: &mut Context<'_>) -> Poll<()> {
    let refused = REFUSED.get();
    if refused == 0 {
        return Poll::Ready(());
    }
    REFUSED.set(refused - 1);
    quietly(|| cx.waker().wake_by_ref());
    Poll::Pending
}

/// Runs what may call a waker that panics.
fn quietly(work: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(work));
}

/// What a waker wakes.
struct Count {
    /// How often it was woken.
    woken: AtomicUsize,
    /// Whether it panics then.
    is_hostile: bool,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.fetch_add(1, Relaxed);
        if self.is_hostile {
            resume_unwind(Box::new(()));
        }
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
}

/// One of the wakers, and what must have become of it.
struct Tracked {
    waker: Waker,
    count: Arc<Count>,
    /// How often it must have been woken.
    woken: usize,
}

/// What a source must show.
#[derive(Clone, Default)]
struct Record {
    generation: u32,
    /// All events that it has ever seen.
    stamp: u32,
    ready: Ready,
    is_gone: bool,
    /// The wakers of the two directions, by number.
    reader: Option<usize>,
    writer: Option<usize>,
}

/// A registration and those who wait for it with `ready`.
struct Taken {
    waits: Vec<Pending>,
    registration: Arc<Registration>,
    token: Token,
}

/// A pending `ready().await`.
struct Pending {
    /// `None` if it was leaked: then its entry is all that there is.
    future: Option<Pin<Box<dyn Future<Output = io::Result<ReadyEvent>>>>>,
    mask: Ready,
    /// The waker that it has in the list, by number.
    entry: Option<usize>,
}

/// Readiness that an operation was given, and the record at that time.
type Seen = (ReadyEvent, Record);

/// What an operation must return.
enum Expected {
    Pending,
    Gone,
    Ready(Record),
}

/// A reactor beside its records.
struct Pair {
    handle: Handle,
    wakers: [Tracked; WAKERS],
    taken: Vec<Taken>,
    /// What is known of each slot that was ever taken, and perhaps of others.
    records: Vec<Record>,
    /// Slots that have been released, the last one on top.
    released: Vec<u32>,
    /// How many slots were ever taken, and how often one was.
    fresh: u32,
    registered: u64,
    is_closed: bool,
    seen: Vec<Seen>,
    events: Events,
}

/// Runs a program on both.
///
/// # Panics
///
/// Panics where they differ.
pub fn run(program: &[u8]) {
    let mut program = Program(program.iter().copied());
    REFUSED.set(0);
    let mut pair = Pair {
        handle: Handle::renewed(),
        wakers: std::array::from_fn(|number| {
            let count = Arc::new(Count {
                woken: AtomicUsize::new(0),
                is_hostile: number == WAKERS - 1,
            });
            Tracked {
                waker: Waker::from(Arc::clone(&count)),
                count,
                woken: 0,
            }
        }),
        taken: Vec::new(),
        records: Vec::new(),
        released: Vec::new(),
        fresh: 0,
        registered: 0,
        is_closed: false,
        seen: Vec::new(),
        events: Events::new(),
    };
    while let Some(operation) = program.0.next() {
        pair.step(operation % 16, operation / 16, &mut program);
        pair.check();
    }
    while !pair.taken.is_empty() {
        pair.drop_registration(0);
        pair.check();
    }
    HANDLE.set(Some(pair.handle));
}

impl Handle {
    /// A reactor that is as good as new. Creating one for each program would be most of the work.
    fn renewed() -> Handle {
        let mut handle = HANDLE
            .take()
            .unwrap_or_else(|| Handle::new(charge).expect("there are descriptors left"));
        let reactor = Arc::get_mut(&mut handle.reactor);
        reactor.expect("no registration is left").slab = Slab::new();
        handle
    }
}

impl Pair {
    /// One operation; `detail` is a small number which is there for what it may need.
    fn step(&mut self, operation: u8, detail: u8, program: &mut Program<'_>) {
        if operation == 0 || self.taken.is_empty() {
            return self.register(Ready::from_bits(detail));
        }
        let at = program.choose(self.taken.len());
        let direction = match detail % 2 {
            0 => Direction::Read,
            _ => Direction::Write,
        };
        let waker = usize::from(detail / 2) % WAKERS;
        match operation {
            1 | 2 => self.poll_ready(at, direction, waker),
            3 => self.poll_io(at, direction, waker, program.byte()),
            4 => {
                let interest = interest(program.byte());
                self.try_io(at, interest, detail);
            }
            5 => {
                let interest = interest(program.byte());
                self.begin_wait(at, interest, waker);
            }
            // More than a batch.
            6 => {
                let interest = interest(program.byte());
                for more in 0..=detail {
                    self.begin_wait(at, interest, (waker + usize::from(more)) % WAKERS);
                }
            }
            7 if !self.taken[at].waits.is_empty() => {
                let wait = program.choose(self.taken[at].waits.len());
                self.poll_wait(at, wait, waker);
            }
            8 if !self.taken[at].waits.is_empty() => {
                let wait = program.choose(self.taken[at].waits.len());
                self.end_wait(at, wait);
            }
            9 | 10 => {
                let token = self.taken[at].token;
                self.dispatch(&[(token, Ready::from_bits(program.byte()))]);
            }
            // Several at once, for any slot and any of its registrations.
            11 => {
                let events: Vec<_> = (0..=detail % 4)
                    .map(|_| {
                        let index = u32::from(program.byte());
                        let what = program.byte();
                        let known = self.records.get(index as usize);
                        let generation = known.map_or(0, |record| record.generation);
                        let token = Token {
                            index,
                            generation: generation
                                .wrapping_add(u32::from(what % 4))
                                .wrapping_sub(1),
                        };
                        (token, Ready::from_bits(what / 4))
                    })
                    .collect();
                self.dispatch(&events);
            }
            12 if !self.seen.is_empty() => {
                let seen = self.seen[program.choose(self.seen.len())].clone();
                self.clear(at, seen, direction, program.byte());
            }
            13 => self.deregister(at),
            14 => self.drop_registration(at),
            15 if detail == 15 => self.close(),
            15 if detail > 11 => self.leak_wait(at, interest(program.byte()), waker),
            _ => REFUSED.set(detail / 4),
        }
    }

    /// The record of a registration.
    fn record(&mut self, at: usize) -> &mut Record {
        &mut self.records[self.taken[at].token.index as usize]
    }

    fn register(&mut self, initially: Ready) {
        if self.taken.len() == MANY {
            return;
        }
        let initially = initially & (Ready::READABLE | Ready::WRITABLE);
        let token = match self.handle.reactor.slab.take(-1, initially) {
            Ok(token) => token,
            Err(error) => {
                assert!(self.is_closed, "{error}");
                return;
            }
        };
        assert!(!self.is_closed, "it is refused after the closing");
        let index = self.released.pop().unwrap_or_else(|| {
            self.fresh += 1;
            self.fresh - 1
        });
        self.registered += 1;
        let registration = Arc::new(Registration::of(&self.handle, token));
        let waits = Vec::new();
        self.taken.push(Taken {
            waits,
            registration,
            token,
        });
        self.known(index);
        let record = &mut self.records[index as usize];
        record.ready = initially;
        record.is_gone = false;
        let generation = record.generation;
        assert_eq!(token, Token { generation, index });
    }

    /// Makes a record for a slot that has none.
    fn known(&mut self, index: u32) {
        let len = self.records.len().max(index as usize + 1);
        self.records.resize(len, Record::default());
    }

    /// What a wait for `mask` must return now, apart from what it leaves if it is pending.
    fn expected(&mut self, at: usize, mask: Ready) -> Expected {
        let record = self.record(at);
        if record.is_gone {
            Expected::Gone
        } else if record.ready.intersects(mask) {
            Expected::Ready(record.clone())
        } else {
            Expected::Pending
        }
    }

    /// Compares what a wait has returned, and keeps the readiness that it gave.
    fn compare(
        &mut self,
        polled: Poll<io::Result<ReadyEvent>>,
        expected: Expected,
        mask: Ready,
        waker: usize,
        was_refused: bool,
    ) {
        match (polled, expected) {
            (Poll::Pending, Expected::Pending) => {}
            (Poll::Pending, Expected::Ready(_)) => {
                assert!(was_refused, "it is ready");
                self.wakers[waker].woken += 1;
            }
            (Poll::Ready(Err(error)), Expected::Gone) => {
                self.compare_error(&error);
            }
            (Poll::Ready(Ok(event)), Expected::Ready(record)) => {
                assert!(!was_refused, "the budget is spent");
                assert_eq!(event.ready, record.ready & mask);
                assert!(!event.ready.is_empty());
                if self.seen.len() == 8 {
                    self.seen.remove(0);
                }
                self.seen.push((event, record));
            }
            (polled, expected) => panic!(
                "{polled:?} instead of {}",
                match expected {
                    Expected::Pending => "pending",
                    Expected::Gone => "an error",
                    Expected::Ready(_) => "readiness",
                }
            ),
        }
    }

    fn compare_error(&self, error: &io::Error) {
        let text = error.to_string();
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert_eq!(text.contains("shut down"), self.is_closed);
        assert_eq!(text.contains("deregistered"), !self.is_closed);
    }

    fn poll_ready(&mut self, at: usize, direction: Direction, waker: usize) {
        let was_refused = REFUSED.get() > 0;
        let expected = self.expected(at, direction.mask());
        if matches!(expected, Expected::Pending) {
            self.watch(at, direction, waker);
        }
        let mut cx = Context::from_waker(&self.wakers[waker].waker);
        let polled = self.taken[at].registration.poll_ready(&mut cx, direction);
        self.compare(polled, expected, direction.mask(), waker, was_refused);
    }

    /// Records that a waker stays.
    fn watch(&mut self, at: usize, direction: Direction, waker: usize) {
        let record = self.record(at);
        match direction {
            Direction::Read => record.reader = Some(waker),
            Direction::Write => record.writer = Some(waker),
        }
    }

    /// An operation that would block some times, and then succeeds or fails.
    fn poll_io(&mut self, at: usize, direction: Direction, waker: usize, course: u8) {
        let mut blocks = course % 4;
        let fails = course & 4 != 0;
        let mut left = blocks;
        let mut cx = Context::from_waker(&self.wakers[waker].waker);
        let refusals = REFUSED.get();
        let polled = self.taken[at].registration.poll_io(&mut cx, direction, || {
            if left > 0 {
                left -= 1;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            fails
                .not()
                .then_some(7)
                .ok_or_else(|| io::Error::from_raw_os_error(5))
        });
        let mut refusals = refusals;
        loop {
            match self.expected(at, direction.mask()) {
                Expected::Pending => {
                    self.watch(at, direction, waker);
                    assert!(polled.is_pending());
                    break;
                }
                Expected::Gone => {
                    let Poll::Ready(Err(error)) = polled else {
                        panic!("{polled:?} of what is gone");
                    };
                    self.compare_error(&error);
                    break;
                }
                Expected::Ready(_) if refusals > 0 => {
                    refusals -= 1;
                    self.wakers[waker].woken += 1;
                    assert!(polled.is_pending());
                    break;
                }
                Expected::Ready(record) if blocks > 0 => {
                    blocks -= 1;
                    self.take_back(at, record.stamp, direction.open());
                }
                Expected::Ready(_) => {
                    match polled {
                        Poll::Ready(Ok(output)) => assert!(output == 7 && !fails),
                        Poll::Ready(Err(error)) => {
                            assert!(error.raw_os_error() == Some(5) && fails);
                        }
                        Poll::Pending => panic!("it was ready"),
                    }
                    break;
                }
            }
        }
        assert_eq!((left, REFUSED.get()), (blocks, refusals));
    }

    fn try_io(&mut self, at: usize, interest: Interest, outcome: u8) {
        let outcome = outcome % 3;
        let mask = Ready::from_interest(interest);
        let mut called = false;
        let result = self.taken[at].registration.try_io(interest, || {
            called = true;
            match outcome {
                0 => Ok(()),
                1 => Err(io::ErrorKind::WouldBlock.into()),
                _ => Err(io::Error::from_raw_os_error(5)),
            }
        });
        match (self.expected(at, mask), result) {
            (Expected::Pending, Err(error)) => {
                assert!(!called && error.kind() == io::ErrorKind::WouldBlock);
            }
            (Expected::Gone, Err(error)) => {
                assert!(!called);
                self.compare_error(&error);
            }
            (Expected::Ready(_), Ok(())) => assert!(called && outcome == 0),
            (Expected::Ready(record), Err(error)) if outcome == 1 => {
                assert!(called && error.kind() == io::ErrorKind::WouldBlock);
                self.take_back(at, record.stamp, mask);
            }
            (Expected::Ready(_), Err(error)) => {
                assert!(called && error.raw_os_error() == Some(5));
            }
            (_, Ok(())) => panic!("it was not ready"),
        }
    }

    fn begin_wait(&mut self, at: usize, interest: Interest, waker: usize) {
        let registration = Arc::clone(&self.taken[at].registration);
        let future = Box::pin(async move { registration.ready(interest).await });
        self.taken[at].waits.push(Pending {
            future: Some(future),
            mask: Ready::from_interest(interest),
            entry: None,
        });
        self.poll_wait(at, self.taken[at].waits.len() - 1, waker);
    }

    fn poll_wait(&mut self, at: usize, wait: usize, waker: usize) {
        let was_refused = REFUSED.get() > 0;
        let mask = self.taken[at].waits[wait].mask;
        let expected = self.expected(at, mask);
        let pending = &mut self.taken[at].waits[wait];
        let Some(future) = &mut pending.future else {
            return;
        };
        if matches!(expected, Expected::Pending) {
            pending.entry = Some(waker);
        }
        let mut cx = Context::from_waker(&self.wakers[waker].waker);
        let polled = future.as_mut().poll(&mut cx);
        if polled.is_ready() {
            self.end_wait(at, wait);
        }
        self.compare(polled, expected, mask, waker, was_refused);
    }

    /// Drops a wait, whether or not it is over. One that was leaked stays.
    fn end_wait(&mut self, at: usize, wait: usize) {
        let waits = &mut self.taken[at].waits;
        if waits[wait].future.is_some() {
            waits.swap_remove(wait);
        }
    }

    /// What a pending wait leaves that is forgotten without being dropped.
    fn leak_wait(&mut self, at: usize, interest: Interest, waker: usize) {
        let mask = Ready::from_interest(interest);
        let taken = &mut self.taken[at];
        let source = self.handle.source(taken.token);
        source.enlist(&mut Place::default(), mask, &self.wakers[waker].waker);
        taken.waits.push(Pending {
            future: None,
            mask,
            entry: Some(waker),
        });
    }

    fn dispatch(&mut self, events: &[(Token, Ready)]) {
        for &(token, ready) in events {
            // The slots of a page are there with the first of them.
            if self.handle.reactor.slab.get(token).is_none() {
                assert!(token.index >= self.fresh);
                continue;
            }
            self.known(token.index);
            let record = &mut self.records[token.index as usize];
            if record.generation == token.generation {
                record.stamp += 1;
                record.ready |= ready;
                self.wake(token.index, ready);
            }
        }
        self.events.buffer.refill(events.iter().copied());
        let mut wake = |waker: Waker| quietly(|| waker.wake());
        self.handle.dispatch(&mut self.events, &mut wake);
        assert!(self.events.is_empty());
    }

    /// Records that everyone is woken who waits for any of `ready`.
    fn wake(&mut self, index: u32, ready: Ready) {
        let record = &mut self.records[index as usize];
        let mut woken = Vec::new();
        if ready.intersects(Direction::Read.mask()) {
            woken.extend(record.reader.take());
        }
        if ready.intersects(Direction::Write.mask()) {
            woken.extend(record.writer.take());
        }
        if let Some(taken) = self
            .taken
            .iter_mut()
            .find(|taken| taken.token.index == index)
        {
            let waits = taken.waits.iter_mut();
            woken.extend(
                waits
                    .filter(|wait| wait.mask.intersects(ready))
                    .filter_map(|wait| wait.entry.take()),
            );
        }
        for waker in woken {
            self.wakers[waker].woken += 1;
        }
    }

    /// Takes readiness back in the name of an operation that may have been of another registration.
    fn clear(&mut self, at: usize, (event, before): Seen, direction: Direction, which: u8) {
        let registration = &self.taken[at].registration;
        if which & 0x40 == 0 {
            let which = Ready::from_bits(which);
            registration.clear(event, which);
            self.take_back(at, before.stamp, which);
            return;
        }
        registration.clear_after_short_transfer(event, direction);
        if Wait::REPORTS_CLOSING && !before.ready.intersects(direction.closed()) {
            self.take_back(at, before.stamp, direction.open());
        }
    }

    /// Records that readiness is taken back, unless there were events.
    fn take_back(&mut self, at: usize, stamp: u32, which: Ready) {
        let record = self.record(at);
        if record.stamp == stamp {
            record.ready = record.ready - (which - Ready::STICKY);
        }
    }

    fn deregister(&mut self, at: usize) {
        let taken = &mut self.taken[at];
        // They borrow it.
        taken.waits.clear();
        let registration = Arc::get_mut(&mut taken.registration).expect("nobody waits");
        registration.deregister().expect("there is nothing to fail");
        let record = self.record(at);
        record.stamp += 1;
        record.is_gone = true;
        (record.reader, record.writer) = (None, None);
    }

    fn drop_registration(&mut self, at: usize) {
        let Taken { token, .. } = self.taken.swap_remove(at);
        let record = &mut self.records[token.index as usize];
        let Record {
            generation, stamp, ..
        } = *record;
        *record = Record {
            generation: generation + 1,
            stamp,
            ..Record::default()
        };
        self.released.push(token.index);
    }

    fn close(&mut self) {
        if !self.is_closed {
            for index in 0..self.records.len() as u32 {
                let record = &mut self.records[index as usize];
                record.stamp += 1;
                record.is_gone = true;
                self.wake(index, Ready::ALL);
            }
        }
        self.is_closed = true;
        self.handle.close();
    }

    /// Compares what both show.
    fn check(&self) {
        assert_eq!(self.handle.is_closed(), self.is_closed);
        let counts = (self.taken.len(), self.registered);
        assert_eq!(self.handle.reactor.slab.counts(), counts);
        let mut kept = [0; WAKERS];
        for taken in &self.taken {
            let record = &self.records[taken.token.index as usize];
            let now = self.handle.source(taken.token).load();
            assert_eq!(now.generation(), record.generation);
            assert_eq!(now.is_gone(), record.is_gone);
            assert_eq!(now.ready(), record.ready);
            let entries = taken.waits.iter().filter_map(|wait| wait.entry);
            for waker in record
                .reader
                .into_iter()
                .chain(record.writer)
                .chain(entries)
            {
                kept[waker] += 1;
            }
        }
        for (tracked, kept) in self.wakers.iter().zip(kept) {
            assert_eq!(tracked.count.woken.load(Relaxed), tracked.woken, "wakes");
            assert_eq!(Arc::strong_count(&tracked.count), 2 + kept, "clones");
        }
    }
}

/// An interest in anything.
fn interest(bits: u8) -> Interest {
    let parts = [Interest::READABLE, Interest::WRITABLE, Interest::ERROR];
    let chosen = parts
        .into_iter()
        .enumerate()
        .filter(|(at, _)| bits >> at & 1 == 1);
    let some = chosen.map(|(_, part)| part).reduce(Interest::add);
    let some = some.unwrap_or(parts[usize::from(bits / 8) % 3]);
    #[cfg(target_os = "linux")]
    let some = if bits & 0x80 == 0 {
        some
    } else {
        some | Interest::PRIORITY
    };
    some
}
