//! What is counted, and the snapshot of it.
//!
//! Two kinds of counters, by who writes them:
//!
//! - [`SlotCounters`], one set a slot, on cache lines of its own. Only the thread that serves the slot writes them, so counting is a load and
//!   a store ([`bump`]), never a read-modify-write, and no line moves between cores unless somebody takes a snapshot.
//! - [`Counters`], one set an executor, for what happens off the hot paths and on any thread: a read-modify-write each.
//!
//! Neither orders anything, and a reader may see two counters at slightly different times. A counter by itself never goes backwards. Counters are
//! std's atomics in models too: nothing depends on them, and they would only multiply the interleavings.
//!
//! Two counts are kept elsewhere, since they cost less there: polls are a slot's epoch (`slots.rs`), and spawned tasks are counted under the lock that
//! spawning takes anyway (`task/owned.rs`). `measure.rs` copies everything into [`Metrics`].
//!
//! **Histograms** are log-linear: each octave (from one power of two to the next) is cut into [`SUB_BUCKETS`] equal parts, so a value is known to an eighth
//! of itself, from 64 ns to 69 s, in 2 KB that never grow. This is the layout of HdrHistogram with three bits. What is recorded is a sample
//! (`worker.rs`), so an addition to a shared bucket and one to a shared sum are no matter.

#![forbid(unsafe_code)]

mod measure;

use crate::sync::Ordering;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How many parts an octave has: a bucket is then at most 1/8 wider than its lower bound. A power of two.
const SUB_BUCKETS: u64 = 8;
/// Its logarithm.
const SUB_BITS: u32 = SUB_BUCKETS.ilog2();
/// Durations up to `1 << FIRST_OCTAVE` nanoseconds share the first bucket: shorter than two clock reads.
const FIRST_OCTAVE: u32 = 6;
/// Durations beyond `1 << LAST_OCTAVE` nanoseconds (69 s) share the last bucket.
const LAST_OCTAVE: u32 = 36;
/// The first, those of the octaves, the last.
const BUCKETS: usize = 2 + (LAST_OCTAVE - FIRST_OCTAVE) as usize * SUB_BUCKETS as usize;

/// What the threads that served one slot have done; written by the one that serves it now.
#[derive(Debug, Default)]
pub(crate) struct SlotCounters {
    /// How long the thread was awake, up to the last time it parked or looked at the driver.
    pub(crate) busy_nanos: AtomicU64,
    /// How often it parked.
    pub(crate) parks: AtomicU64,
    /// How often it took a batch of tasks from another slot's deque.
    pub(crate) steals: AtomicU64,
    /// How many tasks those were.
    pub(crate) stolen: AtomicU64,
    /// How many tasks it took from its LIFO slot.
    pub(crate) lifo_hits: AtomicU64,
    /// How many tasks it took from others' LIFO slots.
    pub(crate) lifo_steals: AtomicU64,
    /// How many tasks it took from the injector.
    pub(crate) injected: AtomicU64,
    /// How often it looked at the driver without sleeping.
    pub(crate) looks: AtomicU64,
}

/// Adds to a counter that only the calling thread writes.
#[inline]
pub(crate) fn bump(counter: &AtomicU64, n: u64) {
    // Relaxed: a counter with one writer at a time; slots change hands under locks.
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(n),
        Ordering::Relaxed,
    );
}

impl SlotCounters {
    /// Copies the counters; the rest of the entry is the caller's to tell.
    pub(crate) fn snapshot(
        &self,
        name: String,
        state: WorkerState,
        polls: u64,
        depth: usize,
    ) -> WorkerMetrics {
        WorkerMetrics {
            name,
            state,
            polls,
            busy: Duration::from_nanos(read(&self.busy_nanos)),
            parks: read(&self.parks),
            steals: read(&self.steals),
            stolen: read(&self.stolen),
            lifo_hits: read(&self.lifo_hits),
            lifo_steals: read(&self.lifo_steals),
            injected: read(&self.injected),
            looks: read(&self.looks),
            depth,
        }
    }
}

/// What happened outside of hot paths; written by all threads.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Slots found stuck, each time one became so.
    pub(crate) rescues: AtomicU64,
    /// Threads started to stand in for a worker.
    pub(crate) spares_started: AtomicU64,
    /// Tasks sent to the hog lane, each time one was.
    pub(crate) hog_marks: AtomicU64,
    /// Tasks that came back from there.
    pub(crate) hog_returns: AtomicU64,
    /// Polls on threads of the lane.
    pub(crate) lane_polls: AtomicU64,
    /// Polls that lasted as long as one that is reported.
    pub(crate) slow_polls: AtomicU64,
    /// Those of them that were not reported, for the rate or because the reporter had too much to do.
    pub(crate) reports_suppressed: AtomicU64,
    /// Tasks that ended in a panic.
    pub(crate) panicked: AtomicU64,
    /// Tasks that ended without an output, because they were aborted or the executor shut down.
    pub(crate) aborted: AtomicU64,
    /// How long sampled polls took.
    pub(crate) poll_time: Histogram,
    /// How long sampled tasks waited from being woken to being polled.
    pub(crate) schedule_latency: Histogram,
}

impl Counters {
    /// Copies the counters; what is not counted here is zero and empty.
    pub(crate) fn snapshot(&self) -> Metrics {
        Metrics {
            rescues: read(&self.rescues),
            spares_started: read(&self.spares_started),
            hog_marks: read(&self.hog_marks),
            hog_returns: read(&self.hog_returns),
            lane_polls: read(&self.lane_polls),
            slow_polls: read(&self.slow_polls),
            reports_suppressed: read(&self.reports_suppressed),
            panicked: read(&self.panicked),
            aborted: read(&self.aborted),
            poll_time: self.poll_time.snapshot(),
            schedule_latency: self.schedule_latency.snapshot(),
            ..Metrics::default()
        }
    }
}

fn read(counter: &AtomicU64) -> u64 {
    // Relaxed: a counter.
    counter.load(Ordering::Relaxed)
}

/// How many durations there were of about which length.
pub struct Histogram {
    /// How many durations fell into each bucket.
    counts: Box<[AtomicU64; BUCKETS]>,
    /// The sum of all of them in nanoseconds.
    sum: AtomicU64,
}

impl Histogram {
    /// Makes an empty histogram.
    pub fn new() -> Histogram {
        Histogram {
            counts: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a duration. Two relaxed additions.
    #[inline]
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: counters.
        self.counts[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Copies the counts.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts = self.counts.iter().map(read);
        HistogramSnapshot {
            buckets: (0..BUCKETS).map(upper_bound).zip(counts).collect(),
            sum: Duration::from_nanos(read(&self.sum)),
        }
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.counts.iter().map(read).sum::<u64>())
            .field("sum", &Duration::from_nanos(read(&self.sum)))
            .finish_non_exhaustive()
    }
}

/// The bucket for a duration of so many nanoseconds. Upper bounds belong to their buckets, as Prometheus has it.
#[inline]
fn bucket_of(nanos: u64) -> usize {
    let below = nanos.saturating_sub(1);
    let octave = below.checked_ilog2().unwrap_or(0);
    if octave < FIRST_OCTAVE {
        0
    } else if octave >= LAST_OCTAVE {
        BUCKETS - 1
    } else {
        // The bits after the leading one.
        let part = (below >> (octave - SUB_BITS)) % SUB_BUCKETS;
        1 + (octave - FIRST_OCTAVE) as usize * SUB_BUCKETS as usize + part as usize
    }
}

/// The longest duration in a bucket; [`Duration::MAX`] for the last.
fn upper_bound(bucket: usize) -> Duration {
    if bucket == 0 {
        return Duration::from_nanos(1 << FIRST_OCTAVE);
    }
    if bucket == BUCKETS - 1 {
        return Duration::MAX;
    }
    let (octave, part) = (
        (bucket as u64 - 1) / SUB_BUCKETS,
        (bucket as u64 - 1) % SUB_BUCKETS,
    );
    let unit = 1 << (octave + u64::from(FIRST_OCTAVE - SUB_BITS));
    Duration::from_nanos((SUB_BUCKETS + part + 1) * unit)
}

/// A [`Histogram`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// The longest duration that a bucket takes, and how many it holds; in ascending order, the last without a bound ([`Duration::MAX`]).
    pub buckets: Vec<(Duration, u64)>,
    /// The sum of all durations.
    pub sum: Duration,
}

/// What a thread that serves a slot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkerState {
    /// There is no such thread now.
    #[default]
    Absent,
    /// It sleeps until there is work, an event or a deadline.
    Parked,
    /// It runs tasks, or looks for some.
    Awake,
    /// It has been inside one poll for longer than the threshold of the rescue.
    Stuck,
}

/// What the threads that served one slot have done.
#[derive(Debug, Clone, Default)]
pub struct WorkerMetrics {
    /// Which slot it is: "worker 0", "guest 1", "spare 2", "current thread".
    pub name: String,
    /// What its thread does now.
    pub state: WorkerState,
    /// How many polls it has begun.
    pub polls: u64,
    /// How long it was awake, up to the last time it parked or looked at the driver.
    pub busy: Duration,
    /// How often it parked.
    pub parks: u64,
    /// How often it took a batch of tasks from another's deque.
    pub steals: u64,
    /// How many tasks those were.
    pub stolen: u64,
    /// How many tasks it took from its LIFO slot.
    pub lifo_hits: u64,
    /// How many tasks it took from others' LIFO slots.
    pub lifo_steals: u64,
    /// How many tasks it took from the injector.
    pub injected: u64,
    /// How often it looked at the driver without sleeping.
    pub looks: u64,
    /// How many tasks wait in its deque and its LIFO slot.
    pub depth: usize,
}

/// The pool for blocking closures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockingMetrics {
    /// The most threads that it may have.
    pub max_threads: usize,
    /// How many it has, the starting ones included.
    pub threads: usize,
    /// How many of them wait for work.
    pub idle: usize,
    /// How many jobs have not begun.
    pub queued: usize,
    /// How many threads were started in all.
    pub threads_started: u64,
    /// How many threads the system refused to start.
    pub threads_refused: u64,
    /// How many jobs were accepted in all.
    pub jobs: u64,
    /// How many of them are over: run, or cancelled before they began.
    pub jobs_finished: u64,
}

/// An executor at one moment. Counts are since its start; the rest is present.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// The number of workers it was made with.
    pub workers: usize,
    /// Every slot that was ever used: workers first, then guests and spares.
    pub slots: Vec<WorkerMetrics>,
    /// Whether there is no core for a second worker, so that what a driver has woken is not shared.
    pub is_crowded: bool,
    /// How many tasks wait in the injector.
    pub injector_depth: usize,
    /// How many tasks have not completed.
    pub live: usize,
    /// How many tasks were spawned.
    pub spawned: u64,
    /// How many of them are over, however that came about.
    pub finished: u64,
    /// How many of those ended in a panic.
    pub panicked: u64,
    /// How many of those ended without an output because they were aborted or the executor shut down.
    pub aborted: u64,
    /// How often a slot was found stuck.
    pub rescues: u64,
    /// How many slots are stuck and replaced, or wait to be.
    pub stuck: usize,
    /// How many threads were started to stand in for a worker.
    pub spares_started: u64,
    /// How many spare slots are served.
    pub spares_active: usize,
    /// How often a task was sent to the hog lane.
    pub hog_marks: u64,
    /// How often one came back from there.
    pub hog_returns: u64,
    /// How many threads the lane has.
    pub lane_threads: usize,
    /// How many tasks wait in it.
    pub lane_depth: usize,
    /// How many polls there were on its threads.
    pub lane_polls: u64,
    /// How many polls lasted as long as one that is reported.
    pub slow_polls: u64,
    /// How many of them were not reported.
    pub reports_suppressed: u64,
    /// The pool for blocking closures.
    pub blocking: BlockingMetrics,
    /// One poll in so many is in the histograms.
    pub sample_interval: u32,
    /// How long sampled polls took.
    pub poll_time: HistogramSnapshot,
    /// How long sampled tasks waited from being woken to being polled.
    pub schedule_latency: HistogramSnapshot,
}

#[cfg(all(test, not(any(rt_loom, rt_shuttle))))]
mod tests;
