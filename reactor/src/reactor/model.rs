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
use crate::{Ready, ReadyEvent, Registration, slab::Slab, token::Token};

mod operations;

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
