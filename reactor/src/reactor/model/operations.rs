//! What a program does, one operation after the other, and what each must return.

use std::ops::Not;

use super::*;
use crate::{Direction, Interest, source::Place, wait::Wait};

impl Pair {
    /// One operation; `detail` is a small number which is there for what it may need.
    pub(super) fn step(&mut self, operation: u8, detail: u8, program: &mut Program<'_>) {
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

    pub(super) fn drop_registration(&mut self, at: usize) {
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
