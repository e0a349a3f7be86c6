//! What is looked at once a second.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime_tests::process::{cpu_time, descriptors, threads};

use crate::control::Control;
use crate::drift::{QUANTITIES, Quantity};
use crate::site::Site;

/// What both sides of a quotient of latencies are lengthened by, in µs: differences below it are of no interest to anybody, and must
/// not make a quotient large.
const FLOOR: f64 = 20.0;

/// One number for each [`Quantity`].
pub type Sample = [f64; QUANTITIES];

/// What the samples need to know of the one before.
pub struct Sampler {
    /// Where the work is done.
    site: Arc<Site>,
    /// The runtime.
    handle: runtime::Handle,
    /// When the last sample was taken.
    at: Instant,
    /// What CPU time had been used by then.
    cpu: Duration,
    /// How much work had been done by then.
    ended: u64,
}

impl Sampler {
    /// Begins now.
    pub fn new(site: &Arc<Site>, handle: &runtime::Handle) -> Sampler {
        Sampler {
            site: site.clone(),
            handle: handle.clone(),
            at: Instant::now(),
            cpu: cpu_time(),
            ended: site.books.ended(),
        }
    }

    /// Takes a sample of what has been since the last one.
    ///
    /// # Errors
    ///
    /// What the runtime's own books say, if they do not balance.
    pub fn take(&mut self, control: &Control) -> Result<Sample, String> {
        let (at, cpu, ended) = (Instant::now(), cpu_time(), self.site.books.ended());
        let seconds = (at - self.at).as_secs_f64();
        let metrics = self.handle.metrics();
        let (tasks, timers) = (metrics.tasks(), metrics.timers());
        if tasks.spawned() != tasks.finished() + tasks.live() as u64
            || timers.registered() != timers.fired() + timers.cancelled() + timers.pending() as u64
        {
            return Err(format!("the runtime's books do not balance:\n{metrics}"));
        }
        let (echo, plain_echo) = (self.site.echo.take(), control.echo.take());
        let (timer, plain_timer) = (self.site.timer.take(), control.timer.take());
        let quotient = |ours: f64, plain: f64| (ours + FLOOR) / (plain + FLOOR);
        let mut sample = [f64::NAN; QUANTITIES];
        let mut set = |quantity: Quantity, value: f64| sample[quantity as usize] = value;
        set(Quantity::Resident, resident_mebibytes());
        set(Quantity::Descriptors, descriptors() as f64);
        set(Quantity::Threads, threads() as f64);
        set(Quantity::Tasks, tasks.live() as f64);
        set(Quantity::Timers, timers.pending() as f64);
        set(Quantity::Sources, metrics.reactor().sources() as f64);
        set(
            Quantity::Cpu,
            (cpu - self.cpu).as_secs_f64() * 1e3 / seconds,
        );
        set(Quantity::Operations, (ended - self.ended) as f64 / seconds);
        set(Quantity::EchoMedian, echo.p50);
        set(Quantity::EchoTail, echo.p99);
        set(Quantity::TimerMedian, timer.p50);
        set(Quantity::TimerTail, timer.p99);
        set(
            Quantity::EchoMedianRatio,
            quotient(echo.p50, plain_echo.p50),
        );
        set(Quantity::EchoTailRatio, quotient(echo.p99, plain_echo.p99));
        set(
            Quantity::TimerMedianRatio,
            quotient(timer.p50, plain_timer.p50),
        );
        set(
            Quantity::TimerTailRatio,
            quotient(timer.p99, plain_timer.p99),
        );
        (self.at, self.cpu, self.ended) = (at, cpu, ended);
        Ok(sample)
    }
}

/// Counted page by page: the counters in `/proc/self/status` are summed up for each CPU only now and then.
fn resident_mebibytes() -> f64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has /proc");
    let kibibytes: f64 = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .expect("the kernel says how much is resident");
    kibibytes / 1024.0
}
