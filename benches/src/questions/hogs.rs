//! Does everything else go on beside tasks that compute or block too long?
//!
//! - `hogs_2_spin5` and so on: 2, 4 or 8 tasks on two workers compute for 5 ms, compute for 50 ms or block for 100 ms in each
//!   poll, yield, and go on, for ever. Beside them one task sleeps for 1 ms again and again, and a client, in a process of its
//!   own, asks for an echo of 64 bytes, thinks for 3 ms on average, and asks again.
//! - `cpu_burst`: 200 tasks of 5 ms of CPU work, one poll each, spawned at once by a task.
//!
//! The course of a cell of that matrix: 150 ms with the tick and the echo alone; the hogs start; for 500 ms the runtime may find
//! out about them; 1,500 ms count as steady state. Client and server read one clock, so that each request and each tick is a
//! span of time, and those that overlap a window belong to it. A request or a tick that is still open at the end is waited
//! for until it is 1.5 s old; then it counts as infinite, which is printed as `>1500000` µs.
//!
//! Read:
//!
//! - `…_echo_p50`, `…_echo_p99`, `…_tick_p50`, `…_tick_p99`: how long an echo takes, and how much later than due the tick
//!   comes, in steady state, in microseconds; lower is better. A runtime that only looks at sockets when a worker is free, or
//!   after so many polls, needs hundreds of milliseconds.
//! - `…_first`: the longest echo or the latest tick of the first 200 ms: what the discovery costs.
//! - `…_work`: what the hogs themselves get done in steady state, in milliseconds per second: CPU work, at most 2000 on two
//!   cores, or time spent blocked. Higher is better.
//! - `cpu_burst`: milliseconds until all are joined; 500 is perfect on two cores.

use std::fmt;
use std::sync::mpsc as thread_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::wake::SelfWake;
use super::{Effort, Goal, Metric, Question, metric, tcp};
use crate::Rt;
use crate::client::{Client, Load};
use crate::process::monotonic_micros;
use crate::stats::{median, micros, quantile};
use crate::work;

/// How long an open request or tick is waited for.
pub const PATIENCE: Duration = Duration::from_millis(1500);

/// The tick's sleep.
pub const TICK: Duration = Duration::from_millis(1);

/// How long after the hogs' start a delay counts as discovery.
const DISCOVERY: Duration = Duration::from_millis(200);

/// CPU work of a hog between two notes of what it has done: a 50 ms poll would be too coarse.
const SLICE: Duration = Duration::from_micros(500);

/// What a hog does in a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// It computes.
    Spin,
    /// It blocks its thread.
    Sleep,
}

/// A cell of the matrix.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// How many hogs.
    pub hogs: usize,
    /// What each one does.
    pub habit: Habit,
    /// For how long in each poll.
    pub poll: Duration,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let habit = match self.habit {
            Habit::Spin => "spin",
            Habit::Sleep => "sleep",
        };
        write!(f, "hogs_{}_{habit}{}", self.hogs, self.poll.as_millis())
    }
}

/// The cells, in the order of the table.
pub fn cells() -> impl Iterator<Item = Cell> {
    let habits = [(Habit::Spin, 5), (Habit::Spin, 50), (Habit::Sleep, 100)];
    habits.into_iter().flat_map(|(habit, millis)| {
        [2, 4, 8].map(|hogs| Cell {
            hogs,
            habit,
            poll: Duration::from_millis(millis),
        })
    })
}

/// How long each part of a cell lasts.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// Tick and echo alone.
    pub alone: Duration,
    /// From the hogs' start to the window.
    pub settle: Duration,
    /// The steady state that counts.
    pub window: Duration,
    /// How long an open request or tick is waited for.
    pub patience: Duration,
}

impl Course {
    /// Chooses the lengths.
    pub fn new(effort: Effort) -> Self {
        let millis = |full, smoke| Duration::from_millis(effort.pick(full, smoke));
        Self {
            alone: millis(150, 20),
            settle: millis(500, 50),
            window: millis(1500, 50),
            patience: effort.pick(PATIENCE, Duration::from_millis(100)),
        }
    }

    /// What the client does meanwhile.
    pub fn load(self) -> Load {
        Load::Thinking {
            time: self.alone + self.settle + self.window,
            patience: self.patience,
        }
    }
}

/// A request or a tick: when it began and ended, in microseconds of the common clock.
pub type Span = (f64, f64);

/// What was seen in one cell.
#[derive(Debug)]
pub struct Observed {
    /// When the hogs started, in microseconds of the common clock.
    pub hogs_at: f64,
    /// When the window began and ended.
    pub window: Span,
    /// What the hogs did in the window, in milliseconds per second.
    pub work: f64,
    /// The requests.
    pub echoes: Vec<Span>,
    /// The ticks.
    pub ticks: Vec<Span>,
}

impl Observed {
    /// Condenses it to the values of [`metrics`].
    ///
    /// # Panics
    ///
    /// If nothing was asked in one of the windows, or a sleep ended early.
    pub fn values(&self) -> Vec<f64> {
        let first = (self.hogs_at, self.hogs_at + micros(DISCOVERY));
        let within = |spans: &[Span], window: Span, due: f64| -> Vec<f64> {
            let overlaps = |span: &&Span| span.0 < window.1 && span.1 > window.0;
            let spans: Vec<_> = spans.iter().filter(overlaps).collect();
            assert!(!spans.is_empty(), "nothing was asked for in {window:?}");
            spans.iter().map(|(from, to)| to - from - due).collect()
        };
        let due = micros(TICK);
        let mut echo = within(&self.echoes, self.window, 0.0);
        let mut tick = within(&self.ticks, self.window, due);
        let mut found = within(&self.echoes, first, 0.0);
        found.extend(within(&self.ticks, first, due));
        let earliest = quantile(&mut tick, 0.0);
        // The clock of the sleep and ours are rounded, each by less than a microsecond.
        assert!(earliest > -2.0, "a sleep ended {} µs early", -earliest);
        vec![
            median(&mut echo),
            quantile(&mut echo, 0.99),
            median(&mut tick),
            quantile(&mut tick, 0.99),
            quantile(&mut found, 1.0),
            self.work,
        ]
    }
}

/// The figures of a cell.
pub fn metrics(cell: Cell) -> Vec<Metric> {
    let latency = |name: &str, bound| Metric {
        patience: micros(PATIENCE),
        ..metric(format!("{cell}_{name}"), "µs", Goal::AtMost(bound))
    };
    vec![
        latency("echo_p50", 100.0),
        latency("echo_p99", 2000.0),
        latency("tick_p50", 300.0),
        latency("tick_p99", 1000.0),
        latency("first", 10_000.0),
        metric(format!("{cell}_work"), "ms/s", Goal::RatioAtLeast(0.95)),
    ]
}

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    let matrix = cells().map(|cell| Question {
        rounds_at_most: 3,
        ..Question::own(
            cell.to_string(),
            metrics(cell),
            move |rt: &R, effort: Effort| observe(rt, cell, Course::new(effort)).values(),
        )
    });
    let burst = Question::own(
        "cpu_burst",
        [metric("cpu_burst", "ms", Goal::Watched)],
        |rt: &R, effort: Effort| {
            work::calibrate();
            let tasks = effort.pick(200, 4);
            vec![burst(rt, tasks, Duration::from_millis(5)).as_secs_f64() * 1e3]
        },
    );
    matrix.chain([burst]).collect()
}

/// Tasks of CPU work, one poll each, spawned and joined by a task. The thread that waits is outside the runtime, so that a
/// guest worker does not count as a third.
pub fn burst<R: Rt>(rt: &R, tasks: usize, work: Duration) -> Duration {
    let (tell, told) = thread_channel::channel();
    drop(rt.spawn_on(async move {
        let start = Instant::now();
        let handles: Vec<_> = (0..tasks)
            .map(|index| {
                R::spawn(async move {
                    work::compute(work);
                    index
                })
            })
            .collect();
        for (index, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.await.expect("the task does not panic"), index);
        }
        tell.send(start.elapsed()).expect("the thread waits");
    }));
    told.recv().expect("the task tells its time")
}

/// Runs one cell.
fn observe<R: Rt>(rt: &R, cell: Cell, course: Course) -> Observed {
    work::calibrate();
    let address = tcp::serve(rt, 1024);
    let mut client = Client::start(address, course.load());
    client.expect("start");
    let ticks = Arc::new(Ticks::default());
    ticks.note();
    drop(rt.spawn_io_on(tick::<R>(ticks.clone())));
    std::thread::sleep(course.alone);

    let hogs_at = monotonic_micros();
    let hogs: Vec<_> = (0..cell.hogs)
        .map(|_| {
            let done = Arc::new(Mutex::new(Done::default()));
            drop(rt.spawn_on(hog(cell, done.clone())));
            done
        })
        .collect();
    let done = || hogs.iter().map(|hog| lock(hog).millis()).sum::<f64>();

    std::thread::sleep(course.settle);
    let (start, before) = (monotonic_micros(), done());
    std::thread::sleep(course.window);
    let (end, after) = (monotonic_micros(), done());
    let ticks = ticks.close(end, course.patience);
    let echoes = client.expect("done");
    Observed {
        hogs_at,
        window: (start, end),
        work: (after - before) / (end - start) * 1e6,
        echoes: echoes
            .chunks_exact(2)
            .map(|span| (span[0], span[1]))
            .collect(),
        ticks,
    }
}

/// What a hog has done.
#[derive(Debug, Default)]
struct Done {
    /// Complete slices.
    slices: Duration,
    /// Since when it has blocked its thread.
    blocked: Option<Instant>,
}

impl Done {
    /// In milliseconds, up to now.
    fn millis(&self) -> f64 {
        let blocked = self.blocked.map_or(Duration::ZERO, |since| since.elapsed());
        (self.slices + blocked).as_secs_f64() * 1e3
    }
}

/// A task that keeps its thread, yields, and does it again, for ever.
async fn hog(cell: Cell, done: Arc<Mutex<Done>>) {
    loop {
        match cell.habit {
            Habit::Spin => {
                for _ in 0..cell.poll.as_micros() / SLICE.as_micros() {
                    work::compute(SLICE);
                    lock(&done).slices += SLICE;
                }
            }
            Habit::Sleep => {
                let since = Instant::now();
                lock(&done).blocked = Some(since);
                std::thread::sleep(cell.poll);
                let mut done = lock(&done);
                done.blocked = None;
                done.slices += since.elapsed();
            }
        }
        SelfWake::default().await;
    }
}

/// A task that sleeps for 1 ms again and again, until the log is closed.
async fn tick<R: Rt>(log: Arc<Ticks>) {
    loop {
        R::sleep(TICK).await;
        if !log.note() {
            return;
        }
    }
}

/// The log of the tick: each entry ends one sleep and begins the next. The first is made before the task is spawned.
#[derive(Debug, Default)]
struct Ticks {
    /// When the task ran.
    stamps: Mutex<Stamps>,
    /// Notified of each entry after the end of the window.
    noted: Condvar,
}

/// See [`Ticks`].
#[derive(Debug, Default)]
struct Stamps {
    /// The entries, in microseconds of the common clock.
    all: Vec<f64>,
    /// Whether somebody waits for the last entry.
    is_closing: bool,
    /// Whether entries are refused.
    is_closed: bool,
}

impl Ticks {
    /// Makes an entry; `false` if there is no need for more.
    fn note(&self) -> bool {
        let mut stamps = lock(&self.stamps);
        if !stamps.is_closed {
            stamps.all.push(monotonic_micros());
        }
        if stamps.is_closing {
            self.noted.notify_one();
        }
        !stamps.is_closed
    }

    /// Waits for the tick that is open at `end`, until it is overdue by `patience`, and returns all that began before.
    fn close(&self, end: f64, patience: Duration) -> Vec<Span> {
        let mut stamps = lock(&self.stamps);
        stamps.is_closing = true;
        loop {
            let last = *stamps.all.last().expect("the log begins before the task");
            let left = last + micros(TICK + patience) - monotonic_micros();
            if last > end || left <= 0.0 {
                stamps.is_closed = true;
                let next = stamps.all.iter().skip(1).copied();
                let next = next.chain([f64::INFINITY]);
                let spans = stamps.all.iter().copied().zip(next);
                return spans.filter(|span| span.0 < end).collect();
            }
            let left = Duration::from_secs_f64(left / 1e6);
            let waited = self.noted.wait_timeout(stamps, left);
            stamps = waited.expect("the tick does not panic").0;
        }
    }
}

/// Locks what only tasks that do not panic lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("neither hogs nor ticks panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_belongs_to_each_window_that_it_overlaps() {
        let observed = Observed {
            hogs_at: 0.0,
            window: (500_000.0, 2_000_000.0),
            work: 1900.0,
            echoes: vec![
                (-10_000.0, 20.0),
                (100_000.0, 400_000.0),
                (450_000.0, 600_000.0),
            ],
            ticks: vec![(0.0, 1_250.0), (1_250.0, f64::INFINITY)],
        };
        let values = observed.values();
        assert_eq!(values[..2], [150_000.0, 150_000.0]);
        assert_eq!(values[2..5], [f64::INFINITY; 3]);
        assert_eq!(values[5], 1900.0);
    }

    #[test]
    #[should_panic(expected = "nothing was asked")]
    fn a_window_without_requests_is_no_result() {
        let observed = Observed {
            hogs_at: 0.0,
            window: (500_000.0, 2_000_000.0),
            work: 0.0,
            echoes: vec![(0.0, 10.0)],
            ticks: vec![(0.0, f64::INFINITY)],
        };
        observed.values();
    }

    #[test]
    fn the_log_of_the_tick_ends_with_an_open_sleep() {
        let ticks = Ticks::default();
        assert!(ticks.note() && ticks.note());
        let spans = ticks.close(monotonic_micros(), Duration::from_millis(5));
        assert_eq!(spans.len(), 2);
        assert_eq!(spans[0].1, spans[1].0);
        assert_eq!(spans[1].1, f64::INFINITY);
        assert!(!ticks.note());
    }
}
