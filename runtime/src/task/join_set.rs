//! A group of tasks that are joined together.
//!
//! The set keeps its join handles in a table. Each handle that had to be waited for was polled with a waker of its own, which
//! puts the handle's index on the *ready list* and wakes whoever awaits the set. So a completion costs the same however
//! many tasks the set holds; nothing ever goes through all of them. A handle that was never polled is *fresh*: its task may have
//! completed long before anybody asks, and then it costs no waker at all.
//!
//! What always holds: the index of every entry is on the fresh list, or its waker is registered with its task, or its index is
//! on the ready list. An index on the ready list may be stale (a waker was slower than the join); a look at the entry
//! then finds nothing and does no harm.

use super::{AbortHandle, Id, JoinError, JoinHandle, LocalSet};
use crate::runtime::Handle;
use executor::budget;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

/// A set of tasks that are joined in the order in which they complete, and aborted when the set is dropped.
///
/// All tasks have the same output type `T`.
///
/// # Examples
///
/// ```
/// use runtime::task::JoinSet;
///
/// runtime::block_on(async {
///     let mut set = JoinSet::new();
///     for number in 0..10 {
///         set.spawn(async move { number * number });
///     }
///     let mut sum = 0;
///     while let Some(result) = set.join_next().await {
///         sum += result.expect("no task panics");
///     }
///     assert_eq!(sum, 285);
/// });
/// ```
pub struct JoinSet<T> {
    /// The tasks that have not been joined; `None` where there is none.
    entries: Vec<Option<JoinHandle<T>>>,
    /// The places in `entries` that are free.
    free: Vec<usize>,
    /// The places whose handle has never been polled, the oldest first. May hold one that is free by now, or
    /// taken again: a stale place on the ready list can be that of a fresh task.
    fresh: VecDeque<usize>,
    /// Shared with the wakers of the entries.
    ready: Arc<Ready>,
}

/// The places of tasks that have completed, and whom to tell.
#[derive(Default)]
struct Ready {
    /// What the lock protects.
    list: Mutex<ReadyList>,
}

#[derive(Default)]
struct ReadyList {
    /// Places in the set, the one that completed first at the front.
    places: VecDeque<usize>,
    /// Who awaits the set; present only while `places` is empty.
    waiter: Option<Waker>,
}

/// The waker of one entry.
struct EntryWaker {
    /// The entry's place in the set.
    place: usize,
    /// Where to report it.
    ready: Arc<Ready>,
}

impl Wake for EntryWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiter = {
            let mut list = self.ready.list.lock();
            list.places.push_back(self.place);
            list.waiter.take()
        };
        // A waker is foreign code: outside the lock.
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl Ready {
    /// Takes the first place off the list; if there is none, `waiter` is woken when one comes.
    fn pop_or_wait(&self, waiter: &Waker) -> Option<usize> {
        let mut list = self.list.lock();
        let place = list.places.pop_front();
        let mut replaced = None;
        if place.is_none()
            && !list
                .waiter
                .as_ref()
                .is_some_and(|old| old.will_wake(waiter))
        {
            replaced = list.waiter.replace(waiter.clone());
        }
        drop(list);
        drop(replaced);
        place
    }

    fn pop(&self) -> Option<usize> {
        self.list.lock().places.pop_front()
    }

    fn put_back(&self, place: usize) {
        self.list.lock().places.push_front(place);
    }
}

impl<T> JoinSet<T> {
    /// Makes an empty set.
    pub fn new() -> JoinSet<T> {
        JoinSet {
            entries: Vec::new(),
            free: Vec::new(),
            fresh: VecDeque::new(),
            ready: Arc::default(),
        }
    }

    /// Returns the number of tasks that have not been joined, whether they still run or not.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Returns whether every task has been joined.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn handles(&self) -> impl Iterator<Item = &JoinHandle<T>> {
        self.entries.iter().flatten()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Begins a task that has a name.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # runtime::block_on(async {
    /// let mut set = runtime::task::JoinSet::new();
    /// set.build_task().name("answer").spawn(async { 6 * 7 })?;
    /// assert_eq!(set.join_all().await, [42]);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn build_task(&mut self) -> Builder<'_, T> {
        Builder {
            set: self,
            builder: super::Builder::new(),
        }
    }

    /// Spawns a task of the set on the current runtime; see [`spawn`](fn@crate::task::spawn).
    ///
    /// The task runs whether the set is awaited or not. The handle that is returned can abort this one task.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(super::spawn(task))
    }

    /// Spawns a task of the set on the runtime of `handle`.
    #[track_caller]
    pub fn spawn_on<F>(&mut self, task: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn(task))
    }

    /// Spawns a task of the set on the current [`LocalSet`]; see [`spawn_local`](super::spawn_local).
    ///
    /// # Panics
    ///
    /// Outside a `LocalSet`.
    #[track_caller]
    pub fn spawn_local<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(super::spawn_local(task))
    }

    /// Spawns a task of the set on `local_set`; it runs when that set is driven.
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, task: F, local_set: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(local_set.spawn_local(task))
    }

    /// Runs a closure that blocks, as a member of the set; see [`spawn_blocking`](super::spawn_blocking).
    ///
    /// Once it has begun it cannot be aborted: dropping the set does not end it.
    ///
    /// # Examples
    ///
    /// ```
    /// runtime::block_on(async {
    ///     let mut set = runtime::task::JoinSet::new();
    ///     for part in 0..4_u64 {
    ///         set.spawn_blocking(move || (part * 1000..(part + 1) * 1000).sum::<u64>());
    ///     }
    ///     assert_eq!(set.join_all().await.iter().sum::<u64>(), 7_998_000);
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(super::spawn_blocking(f))
    }

    /// Runs a closure that blocks on the pool of the runtime of `handle`, as a member of the set.
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn_blocking(f))
    }

    /// Waits until a task of the set completes, and returns its output; `None` if the set is empty.
    ///
    /// Tasks that complete while the set is awaited come in the order of completion. Those that had completed before come in no
    /// particular order.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task panicked or was aborted.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped: no task leaves the set before its output is returned.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// Waits as [`join_next`](JoinSet::join_next), and returns the id of the task that completed, too.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use runtime::task::JoinSet;
    ///
    /// runtime::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     let mut names = HashMap::new();
    ///     for name in ["one", "three"] {
    ///         names.insert(set.spawn(async move { name.len() }).id(), name);
    ///     }
    ///     while let Some(result) = set.join_next_with_id().await {
    ///         let (id, length) = result.expect("no task panics");
    ///         assert_eq!(length, names[&id].len());
    ///     }
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task panicked or was aborted; the error knows the id.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped: no task leaves the set before its output is returned.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// Returns the output of a task that has completed, without waiting; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task panicked or was aborted.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        Some(without_id(self.try_join_next_with_id()?))
    }

    /// Returns what [`try_join_next`](JoinSet::try_join_next) does, and the id of the task that completed.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task panicked or was aborted; the error knows the id.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        while let Some(place) = self.ready.pop() {
            if let Some(result) = self.take_if_finished(place) {
                return Some(result);
            }
        }
        while let Some(place) = self.fresh.pop_front() {
            if let Poll::Ready(result) = self.look_at_fresh(place) {
                return Some(result);
            }
        }
        None
    }

    /// Polls for a task of the set that has completed.
    ///
    /// `Ready(None)` means that the set is empty. After `Pending`, the task of `cx` is woken when some task of the set completes, or, if
    /// its [budget](super::coop) is used up, at once; only the `cx` of the last call counts.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let result = ready!(self.poll_join_next_with_id(cx));
        Poll::Ready(result.map(without_id))
    }

    /// Polls as [`poll_join_next`](JoinSet::poll_join_next), for the id of the task that completed, too.
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        // What has completed since it was looked at.
        while let Some(place) = self.ready.pop_or_wait(cx.waker()) {
            if self.is_finished(place) {
                if budget::spend(cx).is_pending() {
                    self.ready.put_back(place);
                    return Poll::Pending;
                }
                return Poll::Ready(self.take_if_finished(place));
            }
        }
        // What has never been looked at.
        while let Some(place) = self.fresh.pop_front() {
            if self.is_finished(place) && budget::spend(cx).is_pending() {
                self.fresh.push_front(place);
                return Poll::Pending;
            }
            if let Poll::Ready(result) = self.look_at_fresh(place) {
                return Poll::Ready(Some(result));
            }
        }
        Poll::Pending
    }

    /// Waits for all tasks of the set, and returns their outputs in no particular order.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::task::JoinSet;
    ///
    /// runtime::block_on(async {
    ///     let set: JoinSet<u32> = (0..4).map(|number| async move { number }).collect();
    ///     let mut outputs = set.join_all().await;
    ///     outputs.sort_unstable();
    ///     assert_eq!(outputs, [0, 1, 2, 3]);
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// If a task panicked, with its payload; if one was aborted. The other tasks are aborted then.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, so is the set: outputs are lost, and tasks that still run are aborted.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result {
                Ok(output) => outputs.push(output),
                Err(error) => match error.try_into_panic() {
                    Ok(payload) => panic::resume_unwind(payload),
                    Err(error) => panic!("{error}"),
                },
            }
        }
        outputs
    }

    /// Aborts all tasks of the set, which stay in it until they are joined.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::task::JoinSet;
    ///
    /// runtime::block_on(async {
    ///     let mut set: JoinSet<()> = (0..3).map(|_| std::future::pending()).collect();
    ///     set.abort_all();
    ///     while let Some(result) = set.join_next().await {
    ///         assert!(result.expect_err("aborted").is_cancelled());
    ///     }
    /// });
    /// ```
    pub fn abort_all(&mut self) {
        self.handles().for_each(JoinHandle::abort);
    }

    /// Lets all tasks go: they run on, and the set is empty.
    pub fn detach_all(&mut self) {
        // Wakers of these tasks go on to report to the old list, which nobody reads.
        self.ready = Arc::default();
        self.fresh.clear();
        self.free.clear();
        // A handle that is dropped detaches its task.
        self.entries.clear();
    }

    /// Aborts all tasks and waits until their futures have been dropped. Their outputs are dropped, panics included.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::task::JoinSet;
    ///
    /// runtime::block_on(async {
    ///     let mut set: JoinSet<()> = (0..3).map(|_| std::future::pending()).collect();
    ///     set.shutdown().await;
    ///     assert!(set.is_empty());
    /// });
    /// ```
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the tasks are aborted but perhaps not yet joined; they stay in the set.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place] = Some(handle);
                place
            }
            None => {
                self.entries.push(Some(handle));
                self.entries.len() - 1
            }
        };
        self.fresh.push_back(place);
        abort
    }

    /// Whether there is a task at `place`, and it has completed.
    fn is_finished(&self, place: usize) -> bool {
        self.entries[place]
            .as_ref()
            .is_some_and(JoinHandle::is_finished)
    }

    fn take_if_finished(&mut self, place: usize) -> Option<Result<(Id, T), JoinError>> {
        if !self.is_finished(place) {
            return None;
        }
        match self.poll_entry(place, Waker::noop()) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => unreachable!("a handle whose task has completed is ready"),
        }
    }

    /// Takes the output, or registers the entry's waker.
    fn look_at_fresh(&mut self, place: usize) -> Poll<Result<(Id, T), JoinError>> {
        if let Some(result) = self.take_if_finished(place) {
            return Poll::Ready(result);
        }
        if self.entries[place].is_none() {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::new(EntryWaker {
            place,
            ready: Arc::clone(&self.ready),
        }));
        self.poll_entry(place, &waker)
    }

    /// Polls the handle at `place`, which must be there, at no charge; frees the place if it is ready.
    fn poll_entry(&mut self, place: usize, waker: &Waker) -> Poll<Result<(Id, T), JoinError>> {
        let handle = self.entries[place].as_mut().expect("the place is taken");
        let id = handle.id();
        let polled = pin!(budget::unconstrained(Pin::new(handle)));
        let result = ready!(polled.poll(&mut Context::from_waker(waker)));
        self.entries[place] = None;
        self.free.push(place);
        Poll::Ready(result.map(|output| (id, output)))
    }
}

fn without_id<T>(result: Result<(Id, T), JoinError>) -> Result<T, JoinError> {
    result.map(|(_, output)| output)
}

impl<T> Drop for JoinSet<T> {
    /// Aborts all tasks.
    fn drop(&mut self) {
        self.handles().for_each(JoinHandle::abort);
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> JoinSet<T> {
        JoinSet::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

/// Spawns each future on the current runtime; panics outside a runtime.
impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> JoinSet<T> {
        let mut set = JoinSet::new();
        set.extend(futures);
        set
    }
}

/// Spawns each future on the current runtime; panics outside a runtime.
impl<T, F> Extend<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        for future in futures {
            self.spawn(future);
        }
    }
}

/// Starts a task of a [`JoinSet`] with a name; made by [`JoinSet::build_task`].
#[must_use = "nothing is spawned before one of the `spawn` methods is called"]
pub struct Builder<'a, T> {
    /// Where the task is to be.
    set: &'a mut JoinSet<T>,
    /// What it is made with.
    builder: super::Builder<'a>,
}

impl<T> fmt::Debug for Builder<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("join_set::Builder")
            .field("set", &self.set)
            .field("builder", &self.builder)
            .finish()
    }
}

impl<'a, T: 'static> Builder<'a, T> {
    /// Names the task.
    pub fn name(self, name: &'a str) -> Builder<'a, T> {
        Builder {
            builder: self.builder.name(name),
            ..self
        }
    }

    /// Spawns the task; see [`JoinSet::spawn`].
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn(future)?))
    }

    /// Spawns the task on the runtime of `handle`; see [`JoinSet::spawn_on`].
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_on(future, handle)?))
    }

    /// Runs a closure that blocks; see [`JoinSet::spawn_blocking`].
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(self, f: F) -> io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_blocking(f)?))
    }

    /// Runs a closure that blocks on the pool of the runtime of `handle`; see [`JoinSet::spawn_blocking_on`].
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    #[track_caller]
    pub fn spawn_blocking_on<F>(self, f: F, handle: &Handle) -> io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_blocking_on(f, handle)?))
    }

    /// Spawns the task on the current [`LocalSet`]; see [`JoinSet::spawn_local`].
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    ///
    /// # Panics
    ///
    /// Outside a `LocalSet`.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self.set.insert(self.builder.spawn_local(future)?))
    }

    /// Spawns the task on `local_set`; see [`JoinSet::spawn_local_on`].
    ///
    /// # Errors
    ///
    /// None today; the signature is Tokio's.
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, local_set: &LocalSet) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        let _current = local_set.enter();
        self.spawn_local(future)
    }
}
