//! The live tasks of a scheduler: so that shutdown can drop each of them, and so that they can be listed.
//!
//! A sharded slab of pointers. Each pointer stands for the executor's reference (T1), which the task gives up when it
//! completes; that it is in a list is what keeps its scheduler alive (T4):
//!
//! - [`Owned::adopt`] gives the list an `Arc` of the scheduler that contains it: a cycle, on purpose.
//! - [`Owned::close`] refuses tasks from then on, shard by shard.
//! - The cycle ends when every shard is closed and empty. `occupied` counts the shards that are not; whoever takes it
//!   to zero takes the `Arc` out, and drops it as the last thing it does.
//!
//! The shard is left (unlocked) before `occupied` is counted down, and that is the last touch of a thread which does not
//! count it to zero: afterwards another may do so, and the list is gone.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use super::join::JoinHandle;
use super::raw::{Header, RawTask};
use super::runnable::Runnable;
use super::state::{Snapshot, Wakeup};
use super::{BOX_LIMIT, Id, Listed, Meta, Schedule};
use crate::sync::{AtomicPtr, AtomicUsize, Mutex, Ordering, bug};

use Ordering::{AcqRel, Acquire, Release};

/// The index of a task that is in no list.
pub(super) const NOWHERE: u32 = u32::MAX;

/// The most shards a list can have: the header keeps the number in 16 bits.
const MAX_SHARDS: usize = 1 << 15;

/// How many tasks `cancel_all` takes out of a shard under one hold of its lock. A guess.
const CANCEL_BATCH: usize = 128;

/// An empty shard gives its memory back if it had room for more than this.
const KEEP_CAPACITY: usize = 1024;

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

/// A part of the list, behind its own lock.
#[derive(Default)]
struct Shard {
    /// Tasks, and between them a chain of free places.
    places: Vec<Place>,
    /// The first free place, or the end of `places`.
    free: u32,
    /// How many places hold a task.
    tasks: usize,
    /// Whether new tasks are refused.
    is_closed: bool,
}

/// A task, or, with the lowest bit set, the index of the next free place. Headers have an even address.
#[derive(Clone, Copy)]
struct Place(*mut Header);

// SAFETY: a shard only carries the pointers; what is done with them is made for several threads (T7).
unsafe impl Send for Shard {}

/// What can be told of a live task.
#[derive(Debug)]
pub(crate) struct TaskInfo<'a> {
    /// Its identity.
    pub(crate) id: Id,
    /// What the user calls it.
    pub(crate) name: Option<&'a str>,
    /// Who spawned it.
    pub(crate) location: &'static Location<'static>,
    /// What it is doing at this moment.
    pub(crate) phase: Phase,
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
    fn scheduler(&self) -> *const () {
        // Ordering: Acquire pairs with the Release in `adopt`.
        let scheduler = self.scheduler.load(Acquire);
        assert!(
            !scheduler.is_null(),
            "a list is adopted before it takes tasks"
        );
        scheduler.cast_const().cast()
    }

    /// Makes a task and takes it into the shard that `hint` chooses.
    ///
    /// The runnable is for the caller to schedule. There is none if the list is closed: then the future has been
    /// dropped, and the handle tells of a cancelled task.
    #[inline]
    pub(crate) fn bind<F>(
        &self,
        future: F,
        meta: Meta,
        hint: usize,
    ) -> (JoinHandle<F::Output>, Option<Runnable>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the future and its output are `Send`.
        unsafe { self.bind_local(future, meta, hint) }
    }

    /// As [`bind`](Owned::bind), for a future that may be tied to this thread.
    ///
    /// # Safety
    ///
    /// If the future or its output is not `Send`, then every runnable of the task is run or dropped on this thread and
    /// nowhere else, or leaked.
    #[inline]
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
        let shard = hint & (self.shards.len() - 1);
        let scheduler = self.scheduler();
        // At most 15 bits, see MAX_SHARDS.
        let number = shard as u16;
        let task = if const { size_of::<F>() > BOX_LIMIT } {
            RawTask::allocate::<_, Listed<S>>(Box::pin(future), scheduler, meta, number)
        } else {
            RawTask::allocate::<_, Listed<S>>(future, scheduler, meta, number)
        };
        // SAFETY: the cell is new; one of its two references is the handle's (T1), the types agree (T6).
        let handle = unsafe { JoinHandle::from_raw(task) };
        // SAFETY: the cell is new and scheduled, so the runnable exists and is ours (T3).
        let runnable = unsafe { Runnable::from_raw(task) };
        let is_bound = self.shards[shard].lock().insert(task);
        if is_bound {
            return (handle, Some(runnable));
        }
        // It is in no list, and so it does not leave one.
        runnable.cancel(super::Reason::Cancelled);
        (handle, None)
    }

    /// How many tasks are live.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().tasks).sum()
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
    pub(crate) fn cancel_all(&self, mut end: impl FnMut(Runnable)) {
        let mut batch = Vec::new();
        for shard in &self.shards {
            let mut next = 0;
            loop {
                let more = shard.lock().cancel_from(&mut next, &mut batch);
                batch.drain(..).for_each(&mut end);
                if !more {
                    break;
                }
            }
        }
    }

    /// Shows every live task to `look`, which must not spawn, wake or end tasks: it runs under a shard's lock.
    pub(crate) fn for_each(&self, mut look: impl FnMut(TaskInfo<'_>)) {
        for shard in &self.shards {
            let shard = shard.lock();
            for task in shard.places.iter().filter_map(|place| place.task()) {
                // SAFETY: a task in the list is not complete, so the executor's reference keeps it (T1); it cannot
                // leave while we have the lock.
                let header = unsafe { task.header() };
                look(TaskInfo {
                    id: header.id,
                    name: header.name(),
                    location: header.location,
                    phase: Phase::of(header.state.load()),
                });
            }
        }
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
    /// Takes a task in, unless the shard is closed.
    #[inline]
    fn insert(&mut self, task: RawTask) -> bool {
        if self.is_closed && !bug::CELL_BIND_CLOSED.is_on() {
            return false;
        }
        let index = self.free;
        let place = Place(task.as_ptr());
        match self.places.get_mut(index as usize) {
            Some(free) => self.free = std::mem::replace(free, place).next_free(),
            None => {
                assert!(index < NOWHERE, "a shard has room for 2^32 - 1 tasks");
                self.places.push(place);
                self.free = index + 1;
            }
        }
        self.tasks += 1;
        // SAFETY: the caller has just made the task.
        // Relaxed: others come to know the task by its runnable or through this shard, under its lock.
        unsafe { task.header() }.index.store(index, Relaxed);
        true
    }

    /// Takes a task out; tells whether the shard is closed and was emptied by that.
    #[inline]
    fn remove(&mut self, index: u32) -> bool {
        self.places[index as usize] = Place::free(self.free);
        self.free = index;
        self.tasks -= 1;
        if self.tasks > 0 {
            return false;
        }
        // Start again at the front; and give back what a burst has taken.
        self.places.clear();
        self.free = 0;
        if self.is_closed || self.places.capacity() > KEEP_CAPACITY {
            self.places = Vec::new();
        }
        self.is_closed
    }

    /// Cancels up to a batch of tasks from the place `next` on, and moves that on; those that were idle go to `idle`.
    /// Tells whether there are more.
    fn cancel_from(&mut self, next: &mut usize, idle: &mut Vec<Runnable>) -> bool {
        let rest = self.places.get(*next..).unwrap_or_default();
        for task in rest
            .iter()
            .take(CANCEL_BATCH)
            .filter_map(|place| place.task())
        {
            // SAFETY: a task in the list is not complete, so the executor's reference keeps it (T1); it cannot leave
            // while we have the lock.
            let header = unsafe { task.header() };
            if header.state.abort() == Wakeup::Submit {
                // SAFETY: we made the runnable (T3).
                idle.push(unsafe { Runnable::from_raw(task) });
            }
        }
        *next += CANCEL_BATCH;
        rest.len() > CANCEL_BATCH
    }
}

impl Place {
    #[inline]
    fn free(next: u32) -> Place {
        Place(ptr::without_provenance_mut((next as usize) << 1 | 1))
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
