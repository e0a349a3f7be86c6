//! The live tasks of a scheduler: so that shutdown can drop each of them, and so that they can be listed.
//!
//! A sharded slab of pointers, in pages: it grows by a page, without moving what is there. Each pointer stands for the
//! executor's reference (T1), which the task gives up when it completes; that it is in a list is what keeps its
//! scheduler alive (T4):
//!
//! - [`Owned::adopt`] gives the list an `Arc` of the scheduler that contains it: a cycle, on purpose.
//! - [`Owned::close`] refuses tasks from then on, shard by shard.
//! - The cycle ends when every shard is closed and empty. `occupied` counts the shards that are not; whoever takes it
//!   to zero takes the `Arc` out, and drops it as the last thing it does.
//!
//! **Cost.** To enter and to leave: a lock of one shard each; an allocation for every 128 tasks more than there ever were in
//! the shard since it last was empty. A page is given back only with all others, when its shard is empty.
//!
//! The shard is left (unlocked) before `occupied` is counted down, and that is the last touch of a thread which does not
//! count it to zero: afterwards another may do so, and the list is gone.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::join::JoinHandle;
use super::raw::{Header, RawTask};
use super::runnable::Runnable;
use super::state::{Snapshot, Wakeup};
use super::word::{self, NOWHERE};
use super::{BOX_LIMIT, Id, Listed, Meta, Schedule};
use crate::sync::{AtomicPtr, AtomicUsize, Mutex, Ordering, bug};

use Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The most shards a list can have: the word of a task keeps the number in 16 bits, and [`Place`](super::Place) uses
/// numbers beyond this.
const MAX_SHARDS: usize = 1 << 15;

/// How many places a page has: so many are gone through under one hold of the lock, and so many are added at once. A
/// guess; a page takes 1 KiB.
const PAGE: usize = 128;

/// A shard that has become empty gives its memory back if it has more pages than this.
const KEEP_PAGES: usize = 8;

/// The live tasks of a scheduler `S`, which contains this list.
pub(crate) struct Owned<S> {
    /// The tasks. A power of two, so that a hint becomes a shard by masking.
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    /// How many shards are not yet both closed and empty.
    occupied: AtomicUsize,
    /// The scheduler, for the headers of new tasks; null before [`adopt`](Owned::adopt), which writes it.
    scheduler: AtomicPtr<S>,
    /// Keeps the scheduler until the list is closed and empty.
    keep: Mutex<Option<Arc<S>>>,
}

/// A new task for a list of `S`, in none yet: its runnable.
///
/// The future is in its cell from the beginning, so that what goes from hand to hand is a word. If it is dropped, the
/// task is cancelled.
#[derive(Debug)]
#[must_use = "a task that no list takes is cancelled"]
pub(crate) struct Unbound<S> {
    /// The runnable; its task has no scheduler.
    runnable: Runnable,
    /// The kind of list for which the cell was made.
    list: PhantomData<fn(Arc<S>)>,
}

impl<S: Schedule> Unbound<S> {
    /// Makes a task and its handle.
    #[inline]
    pub(crate) fn new<F>(future: F, meta: Meta) -> (JoinHandle<F::Output>, Unbound<S>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the future and its output are `Send`.
        unsafe { Unbound::new_local(future, meta) }
    }

    /// As [`new`](Unbound::new), for a future that may be tied to this thread.
    ///
    /// # Safety
    ///
    /// If the future or its output is not `Send`, then every runnable of the task is run or dropped on this thread and
    /// nowhere else, or leaked.
    #[inline]
    pub(crate) unsafe fn new_local<F>(future: F, meta: Meta) -> (JoinHandle<F::Output>, Unbound<S>)
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let task = if const { size_of::<F>() > BOX_LIMIT } {
            RawTask::allocate::<_, Listed<S>>(Box::pin(future), meta)
        } else {
            RawTask::allocate::<_, Listed<S>>(future, meta)
        };
        // SAFETY: the cell is new; one of its two references is the handle's (T1), the types agree (T6).
        let handle = unsafe { JoinHandle::from_raw(task) };
        // SAFETY: the cell is new and scheduled, so the runnable exists and is ours (T3).
        let runnable = unsafe { Runnable::from_raw(task) };
        let list = PhantomData;
        (handle, Unbound { runnable, list })
    }

    /// Drops the future, here and now. The handle tells of a cancelled task.
    #[cold]
    pub(crate) fn cancel(self) {
        // It is in no list, and so it does not leave one.
        self.runnable.cancel(super::Reason::Cancelled);
    }
}

/// A part of the list, behind its own lock.
#[derive(Default)]
struct Shard {
    /// Tasks, and between them a chain of free places. A page stays where it is, so that neither the lock's other users
    /// wait for a large copy nor room for twice as many tasks stands empty.
    #[expect(clippy::vec_box, reason = "the boxes keep the pages where they are")]
    pages: Vec<Box<[Entry; PAGE]>>,
    /// The first free place, or the end of the pages.
    free: u32,
    /// How many places hold a task.
    tasks: usize,
    /// How many tasks were ever put in.
    spawned: u64,
    /// Whether new tasks are refused.
    is_closed: bool,
}

/// A task, or, with the lowest bit set, the index of the next free place (or of the end). Headers have an even address.
#[derive(Clone, Copy)]
struct Entry(*mut Header);

// SAFETY: a shard only carries the pointers; what is done with them is made for several threads (T7).
unsafe impl Send for Shard {}

/// A live task, as seen by someone who holds its shard's lock.
#[derive(Clone, Copy)]
pub(crate) struct TaskRef<'a> {
    /// The header, which stays as long as the lock is held (T8).
    header: &'a Header,
}

/// What was true of a live task at one moment.
#[derive(Debug)]
pub(crate) struct TaskInfo {
    /// Its identity.
    pub(crate) id: Id,
    /// What the user calls it.
    pub(crate) name: Option<Box<str>>,
    /// Who spawned it.
    pub(crate) location: &'static Location<'static>,
    /// What it was doing.
    pub(crate) phase: Phase,
    /// Its word: compared by [`Place::is_same`](super::Place::is_same) with what a slot publishes, it tells who polls
    /// it.
    pub(crate) word: u64,
    /// How long ago its first poll was over, to some 30 ms; `None` before that.
    pub(crate) age: Option<Duration>,
    /// About how many of its polls had been sampled.
    pub(crate) sampled_polls: u64,
    /// About how long the sampled polls took.
    pub(crate) sampled_busy: Duration,
}

impl TaskInfo {
    /// The scheduler's bits, see [`Runnable::conduct`].
    pub(crate) fn conduct(&self) -> u8 {
        word::conduct(self.word)
    }
}

/// What a live task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It waits for a wake.
    Idle,
    /// It waits for a thread to poll it.
    Scheduled,
    /// It is being polled.
    Running,
}

impl<S: Schedule> Owned<S> {
    /// An empty list of at least `shards` parts, for about four times as many as there are threads.
    ///
    /// Before it can take tasks it must be given the scheduler that contains it, see [`adopt`](Owned::adopt).
    pub(crate) fn new(shards: usize) -> Owned<S> {
        let shards = shards.clamp(1, MAX_SHARDS).next_power_of_two();
        Owned {
            shards: (0..shards).map(|_| CachePadded::default()).collect(),
            occupied: AtomicUsize::new(shards),
            scheduler: AtomicPtr::new(ptr::null_mut()),
            keep: Mutex::new(None),
        }
    }

    /// Gives the list the scheduler that contains it, which then lives until the list is closed and empty.
    pub(crate) fn adopt(&self, scheduler: Arc<S>) {
        assert!(
            ptr::eq(scheduler.owned(), self),
            "a list is adopted by the scheduler that contains it"
        );
        let pointer = Arc::as_ptr(&scheduler).cast_mut();
        let before = self.keep.lock().replace(scheduler);
        assert!(before.is_none(), "a list is adopted once");
        // Ordering: Release pairs with the Acquire in `scheduler`: the `Arc` is in place.
        self.scheduler.store(pointer, Release);
    }

    #[inline]
    fn scheduler(&self) -> *mut () {
        // Ordering: Acquire pairs with the Release in `adopt`.
        let scheduler = self.scheduler.load(Acquire);
        assert!(
            !scheduler.is_null(),
            "a list is adopted before it takes tasks"
        );
        scheduler.cast()
    }

    /// Takes a task into the shard that `hint` chooses, and returns its runnable for the caller to schedule. Gives the
    /// task back if the list is closed.
    #[inline]
    pub(crate) fn admit(&self, task: Unbound<S>, hint: usize) -> Result<Runnable, Unbound<S>> {
        let shard = hint & (self.shards.len() - 1);
        let raw = task.runnable.as_raw();
        // SAFETY: the runnable keeps the cell (T1).
        let header = unsafe { raw.header() };
        // Relaxed: who reads it has the runnable (T4), and has it from us.
        header.scheduler.store(self.scheduler(), Relaxed);
        // At most 15 bits, see MAX_SHARDS.
        let number = shard as u16;
        if self.shards[shard].lock().insert(raw, number) {
            Ok(task.runnable)
        } else {
            Err(task)
        }
    }

    /// Makes a task, whose future may be tied to this thread, and takes it into the shard that `hint` chooses.
    ///
    /// The runnable is for the caller to schedule. There is none if the list is closed: then the future has been
    /// dropped, and the handle tells of a cancelled task.
    ///
    /// # Safety
    ///
    /// As for [`Unbound::new_local`].
    pub(crate) unsafe fn bind_local<F>(
        &self,
        future: F,
        meta: Meta,
        hint: usize,
    ) -> (JoinHandle<F::Output>, Option<Runnable>)
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        // SAFETY: as the caller says.
        let (handle, task) = unsafe { Unbound::new_local(future, meta) };
        let runnable = self.admit(task, hint);
        (handle, runnable.map_err(Unbound::cancel).ok())
    }

    /// How many tasks are live.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().tasks).sum()
    }

    /// How many tasks are live, and how many were ever put in.
    pub(crate) fn count(&self) -> (u64, u64) {
        let counts = self.shards.iter().map(|shard| {
            let shard = shard.lock();
            (shard.tasks as u64, shard.spawned)
        });
        counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    }

    /// Whether no task is live.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().tasks == 0)
    }

    /// Refuses new tasks. What is in the list stays until it completes.
    pub(crate) fn close(&self) {
        let mut emptied = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            if !shard.is_closed {
                shard.is_closed = true;
                emptied += usize::from(shard.tasks == 0);
            }
        }
        if emptied > 0 {
            // SAFETY: the list is borrowed, and these shards have just been closed and found empty.
            drop(unsafe { Self::count_down(self, emptied) });
        }
    }

    /// Cancels every task in the list.
    ///
    /// Each that waits for a wake becomes a runnable, which `end` is to run or drop; the others are ended by whoever
    /// holds theirs. `end` is called outside of all locks. To get hold of every task, close the list first.
    pub(crate) fn cancel_all(&self, end: impl FnMut(Runnable)) {
        let cancel = |task: RawTask, header: &Header| {
            // SAFETY: if so, we made the runnable (T3).
            (header.state.abort() == Wakeup::Submit).then(|| unsafe { Runnable::from_raw(task) })
        };
        self.in_batches(cancel, end);
    }

    /// Tells `each` of every live task, outside of all locks.
    ///
    /// A shard is locked for a page, 128 places, at a time, so a list of a million tasks delays no spawn for
    /// long. What is told is true of the moment at which it was copied, and that is another one for other tasks. A task
    /// that lives throughout the call is told once; one that begins or ends meanwhile, once or not at all. So two tasks
    /// may seem to run at the same time on one thread, or none although the thread was busy all along.
    pub(crate) fn for_each(&self, each: impl FnMut(TaskInfo)) {
        let now = Instant::now();
        let copy = |_, header: &Header| Some(TaskRef { header }.info(now));
        self.in_batches(copy, each);
    }

    /// Goes through the tasks: what `take` makes of each, under its shard's lock, goes to `each`, outside of the lock.
    fn in_batches<T>(&self, take: impl Fn(RawTask, &Header) -> Option<T>, mut each: impl FnMut(T)) {
        let mut batch = Vec::new();
        for shard in &self.shards {
            for number in 0.. {
                let shard = shard.lock();
                let Some(page) = shard.pages.get(number) else {
                    break;
                };
                let tasks = page.iter().filter_map(|place| place.task());
                batch.extend(tasks.filter_map(|task| {
                    // SAFETY: we hold the shard's lock (T8).
                    take(task, unsafe { task.header() })
                }));
                drop(shard);
                batch.drain(..).for_each(&mut each);
            }
        }
    }

    /// Shows `look` the task with this `word`, if it is in the list and is being polled. Locks its shard: for cold
    /// paths.
    ///
    /// `look` runs under the lock: it must not spawn, wake or end tasks, nor drop foreign values.
    ///
    /// **Which task?** Places in the list are reused. The task that is seen has the word, so it is the one that had the
    /// word when it was read, or else that one has ended and by a chance of 1 in 128 this one is taken for it. It is
    /// also not known whether the poll is the same: a word that a thread has published stays there until that thread
    /// publishes another. So the caller looks once more afterwards whether that thread is still in the poll that it was
    /// in. Even then the task may have left its list before it was looked up, as it does shortly before its last poll
    /// ends. Hence what is done here must be harmless to any task.
    ///
    /// `None` as well for the words of jobs and for the numbers in [`Place`](super::Place) that are no words.
    #[cold]
    pub(crate) fn find<R>(&self, word: u64, look: impl FnOnce(&TaskRef<'_>) -> R) -> Option<R> {
        self.look_up(word, |task| {
            (task.phase() == Phase::Running).then(|| look(task))
        })?
    }

    /// Notes a poll of the task with this `word` that took `busy`, in whatever phase it is now.
    ///
    /// Locks the task's shard: for one poll in many. `random` is a number of which all values are equally likely. If
    /// the task has ended since, nothing happens, or, in 1 of 128 cases in which its place is another's by now, that
    /// one gets the sample.
    #[cold]
    pub(crate) fn sample(&self, word: u64, busy: Duration, random: u32) {
        self.look_up(word, |task| task.sample(busy, random));
    }

    /// Shows `look` the task at the place that `word` names, if there is one.
    fn look_up<R>(&self, word: u64, look: impl FnOnce(&TaskRef<'_>) -> R) -> Option<R> {
        let shard = self.shards.get(usize::from(word::shard(word)))?.lock();
        let task = shard.place(word::index(word))?.task()?;
        let _held = (!bug::CELL_FIND_UNLOCKED.is_on()).then_some(shard);
        // SAFETY: we hold the shard's lock (T8).
        let header = unsafe { task.header() };
        word::is_same(header.word.get(), word).then(|| look(&TaskRef { header }))
    }

    /// Takes a task out, and returns the scheduler if that was the last reason to keep it. The caller drops that when
    /// it needs the scheduler no more.
    ///
    /// # Safety
    ///
    /// A live task of `list` is in that shard, at that place; nobody else takes it out.
    #[inline]
    pub(super) unsafe fn leave(list: *const Owned<S>, shard: u16, index: u32) -> Option<Arc<S>> {
        // SAFETY: a task of the list is live, so the scheduler and with it the list live (T4).
        let shards = unsafe { &(*list).shards };
        let is_over = shards[usize::from(shard)].lock().remove(index);
        if !is_over {
            return None;
        }
        // SAFETY: the shard is closed and empty for the first and last time, and has not been counted yet: so the list
        // still lives.
        unsafe { Self::count_down(list, 1) }
    }

    /// Counts shards that are closed and empty now, and takes the scheduler out if they were the last.
    ///
    /// # Safety
    ///
    /// The list lives, and these shards have not been counted.
    unsafe fn count_down(list: *const Owned<S>, shards: usize) -> Option<Arc<S>> {
        // SAFETY: the shards are not counted yet, so nobody can have counted to zero.
        let occupied = unsafe { &(*list).occupied };
        // Ordering: Release, so that all we did with the list comes before its end; Acquire, so that the one who ends
        // it comes after all others.
        if occupied.fetch_sub(shards, AcqRel) != shards {
            return None;
        }
        // SAFETY: we counted to zero, so the `Arc` is still in place and ours to take.
        let keep = unsafe { &(*list).keep };
        keep.lock().take()
    }
}

impl Shard {
    /// Takes a new task in, unless the shard, whose number is `shard`, is closed.
    #[inline]
    fn insert(&mut self, task: RawTask, shard: u16) -> bool {
        if self.is_closed && !bug::CELL_BIND_CLOSED.is_on() {
            return false;
        }
        let index = self.free;
        let page = match self.pages.get_mut(index as usize / PAGE) {
            Some(page) => page,
            None => self.grow(),
        };
        let place = &mut page[index as usize % PAGE];
        self.free = std::mem::replace(place, Entry(task.as_ptr())).next_free();
        self.tasks += 1;
        self.spawned += 1;
        // SAFETY: the caller has the runnable, which keeps the cell (T1).
        let header = unsafe { task.header() };
        header.word.set_place(shard, index, header.id);
        true
    }

    /// Takes a task out; tells whether the shard is closed and was emptied by that.
    #[inline]
    fn remove(&mut self, index: u32) -> bool {
        self.pages[index as usize / PAGE][index as usize % PAGE] = Entry::free(self.free);
        self.free = index;
        self.tasks -= 1;
        if self.tasks > 0 {
            return false;
        }
        if self.is_closed || self.pages.len() > KEEP_PAGES {
            self.give_back();
        }
        self.is_closed
    }

    /// The place with this index, if there is one.
    fn place(&self, index: u32) -> Option<&Entry> {
        let page = self.pages.get(index as usize / PAGE)?;
        page.get(index as usize % PAGE)
    }

    /// Adds a page, whose places are free one after the other.
    #[cold]
    fn grow(&mut self) -> &mut [Entry; PAGE] {
        let first = self.pages.len() * PAGE;
        assert!(
            first + PAGE <= NOWHERE as usize,
            "a shard has room for 2^32 - 128 tasks"
        );
        let page = std::array::from_fn(|place| Entry::free((first + place + 1) as u32));
        self.pages.push(Box::new(page));
        self.pages.last_mut().expect("a page was pushed")
    }

    /// Frees the pages of an empty shard: what a burst has taken.
    #[cold]
    fn give_back(&mut self) {
        self.pages = Vec::new();
        self.free = 0;
    }
}

impl Entry {
    #[inline]
    fn free(next: u32) -> Entry {
        Entry(ptr::without_provenance_mut((next as usize) << 1 | 1))
    }

    #[inline]
    fn task(self) -> Option<RawTask> {
        if self.0.addr() & 1 == 1 {
            return None;
        }
        NonNull::new(self.0).map(RawTask::from)
    }

    #[inline]
    fn next_free(self) -> u32 {
        debug_assert!(self.task().is_none());
        (self.0.addr() >> 1) as u32
    }
}

impl<'a> TaskRef<'a> {
    /// Its identity.
    pub(crate) fn id(&self) -> Id {
        self.header.id
    }

    /// What the user calls it.
    pub(crate) fn name(&self) -> Option<&'a str> {
        self.header.origin.name()
    }

    /// Who spawned it.
    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.header.origin.location()
    }

    /// What it is doing at this moment.
    pub(crate) fn phase(&self) -> Phase {
        Phase::of(self.header.state.load())
    }

    /// Its word now.
    pub(crate) fn word(&self) -> u64 {
        self.header.word.get()
    }

    /// Sets some of the bits for the scheduler's own use, see [`Runnable::conduct`].
    pub(crate) fn add_conduct(&self, bits: u8) {
        self.header.word.add_conduct(bits);
    }

    /// How long ago, at `now`, its first poll was over, to some 30 ms; `None` before that.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.header.born.age(now)
    }

    /// About how many of its polls have been sampled.
    pub(crate) fn sampled_polls(&self) -> u64 {
        self.header.polls.get()
    }

    /// About how long the sampled polls took.
    pub(crate) fn sampled_busy(&self) -> Duration {
        Duration::from_micros(self.header.busy.get())
    }

    /// All of it, to take away.
    fn info(&self, now: Instant) -> TaskInfo {
        TaskInfo {
            id: self.id(),
            name: self.name().map(Box::from),
            location: self.location(),
            phase: self.phase(),
            word: self.word(),
            age: self.age(now),
            sampled_polls: self.sampled_polls(),
            sampled_busy: self.sampled_busy(),
        }
    }

    /// Notes a sampled poll. Not for [`find`](Owned::find)'s callers alone: every writer of the estimates holds the
    /// shard's lock.
    fn sample(&self, busy: Duration, random: u32) {
        // Rounded to microseconds by chance as well: most polls take less than one.
        let (whole, rest) = (busy.as_micros(), busy.subsec_nanos() % 1000);
        let up = ((u64::from(random >> 16) * 1000) >> 16) < u64::from(rest);
        let micros = u64::try_from(whole)
            .unwrap_or(u64::MAX)
            .saturating_add(u64::from(up));
        self.header.polls.add(1, random);
        // Other bits for the other register; that two of the three choices may hang together biases neither.
        self.header.busy.add(micros, random.rotate_right(16));
    }
}

impl fmt::Debug for TaskRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRef")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("location", &self.location())
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

impl Phase {
    fn of(state: Snapshot) -> Phase {
        if state.is_running() {
            Phase::Running
        } else if state.is_scheduled() {
            Phase::Scheduled
        } else {
            Phase::Idle
        }
    }
}

impl<S> fmt::Debug for Owned<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned")
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}
