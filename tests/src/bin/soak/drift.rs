//! Whether anything drifts: the medians of the first quarter of the samples, after a warm-up, against those of the last.
//!
//! A median forgets bursts, the machine's as well as ours, and keeps what lasts. A leak, a list that grows, a thread that slows down
//! would raise the median of the last quarter; how much is too much each [`Rule`] says, with its reason.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::samples::Sample;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Resident memory of the process, MiB.
    Resident,
    /// Open descriptors.
    Descriptors,
    /// Threads.
    Threads,
    /// Live tasks of the large runtime.
    Tasks,
    /// Its pending timers.
    Timers,
    /// Its registered descriptors.
    Sources,
    /// CPU time, ms a second.
    Cpu,
    /// Pieces of work that ended, a second.
    Operations,
    /// An exchange over TCP, µs: the median of a second.
    EchoMedian,
    /// The same, 99th percentile.
    EchoTail,
    /// How late the reference timer was, µs: the median of a second.
    TimerMedian,
    /// The same, 99th percentile.
    TimerTail,
    /// An exchange over TCP, as a multiple of what it takes plain threads: the median of a second.
    EchoMedianRatio,
    /// The same, 99th percentile.
    EchoTailRatio,
    /// How late the reference timer was, as a multiple of a plain thread's sleep: the median of a second.
    TimerMedianRatio,
    /// The same, 99th percentile.
    TimerTailRatio,
}

/// How many there are.
pub const QUANTITIES: usize = Quantity::TimerTailRatio as usize + 1;

/// How much the last quarter may differ from the first.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Of what.
    pub quantity: Quantity,
    /// How it is called in the table.
    pub name: &'static str,
    /// The last median may be at most the first one times this…
    pub factor: f64,
    /// … plus this.
    pub slack: f64,
    /// How many samples a quarter must have for the rule to hold.
    pub least: usize,
}

const fn rule(
    quantity: Quantity,
    name: &'static str,
    factor: f64,
    slack: f64,
    least: usize,
) -> Rule {
    Rule {
        quantity,
        name,
        factor,
        slack,
        least,
    }
}

/// For what is only shown.
const ANY: f64 = f64::INFINITY;

/// The rules.
///
/// - *Memory*: 3 MiB. An allocator keeps some pages more or less, threads that come and go leave it arenas, and each thread that lives
///   long gathers up to 64 pieces of 2 kB that are no longer used, before `crossbeam-epoch` frees them; with threads that steal now and then it takes most
///   of an hour until that is full (1.5 MiB were seen). In an hour 3 MiB is 1 kB a second between the middles of the two quarters, or one byte for three pieces of work.
/// - *Counts* vary by what is under way at the moment, but their medians by less than the slack: in an hour, a descriptor that is
///   lost every ten minutes is found. Threads of the pools come and go with the machine's load: medians of 23 to 26 were seen. Whatever
///   is lost for good is found at the end, too.
/// - *Latencies* are quotients against the control, and their medians over minutes still differ by a quarter for the medians of a
///   second and by half for the 99th percentiles when the machine's other work changes (seen beside compilations on two cores). A queue that grows
///   shows as a multiple.
/// - *CPU time* for the same work varies with what the other work leaves in the caches, by up to a third.
pub const RULES: [Rule; QUANTITIES] = [
    rule(Quantity::Resident, "resident memory, MiB", 1.0, 3.0, 120),
    rule(Quantity::Descriptors, "descriptors", 1.0, 4.0, 30),
    rule(Quantity::Threads, "threads", 1.0, 6.0, 30),
    rule(Quantity::Tasks, "live tasks", 1.0, 10.0, 30),
    rule(Quantity::Timers, "pending timers", 1.0, 10.0, 30),
    rule(Quantity::Sources, "registered sources", 1.0, 4.0, 30),
    rule(Quantity::Cpu, "CPU time, ms/s", 1.5, 0.0, 60),
    rule(Quantity::Operations, "pieces of work, 1/s", ANY, 0.0, 0),
    rule(Quantity::EchoMedian, "echo p50, µs", ANY, 0.0, 0),
    rule(Quantity::EchoTail, "echo p99, µs", ANY, 0.0, 0),
    rule(Quantity::TimerMedian, "timer p50, µs", ANY, 0.0, 0),
    rule(Quantity::TimerTail, "timer p99, µs", ANY, 0.0, 0),
    rule(
        Quantity::EchoMedianRatio,
        "echo p50 : control",
        1.5,
        0.0,
        60,
    ),
    rule(Quantity::EchoTailRatio, "echo p99 : control", 2.0, 0.0, 60),
    rule(
        Quantity::TimerMedianRatio,
        "timer p50 : control",
        1.5,
        0.0,
        60,
    ),
    rule(
        Quantity::TimerTailRatio,
        "timer p99 : control",
        2.0,
        0.0,
        60,
    ),
];

/// What the samples say.
#[derive(Debug)]
pub struct Drift {
    /// How many samples there are in a quarter.
    length: usize,
    /// For each rule the medians of the quarters.
    quarters: Vec<(Rule, [f64; 4])>,
}

impl Drift {
    /// Looks at the samples, but for the first tenth, at most two minutes.
    pub fn of(samples: &[Sample]) -> Drift {
        let warm_up = (samples.len() / 10).min(120);
        let length = (samples.len() - warm_up) / 4;
        let quarters = RULES.iter().map(|rule| {
            let median_of = |quarter: usize| {
                let start = warm_up + quarter * length;
                median(
                    samples[start..start + length]
                        .iter()
                        .map(|sample| sample[rule.quantity as usize]),
                )
            };
            (*rule, [0, 1, 2, 3].map(median_of))
        });
        Drift {
            length,
            quarters: quarters.collect(),
        }
    }

    /// Returns what has drifted.
    pub fn found(&self) -> Vec<String> {
        self.quarters
            .iter()
            .filter(|(rule, medians)| self.is_judged(rule) && exceeds(rule, medians))
            .map(|(rule, [first, _, _, last])| {
                format!("{} went from {first:.2} to {last:.2}", rule.name)
            })
            .collect()
    }

    fn is_judged(&self, rule: &Rule) -> bool {
        rule.factor.is_finite() && self.length >= rule.least
    }
}

/// A median that cannot be had, since nothing was measured, exceeds every bound.
fn exceeds(rule: &Rule, [first, _, _, last]: &[f64; 4]) -> bool {
    let within = *last <= first * rule.factor + rule.slack;
    !within
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22} {:>9} {:>9} {:>9} {:>9} {:>9}  median of each quarter, {} s",
            "", "first", "second", "third", "last", "at most", self.length
        )?;
        for (number, (rule, medians)) in self.quarters.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{:<22}", rule.name)?;
            for median in medians {
                write!(f, " {median:>9.2}")?;
            }
            if rule.factor.is_infinite() {
                continue;
            }
            let most = medians[0] * rule.factor + rule.slack;
            let verdict = match (self.is_judged(rule), exceeds(rule, medians)) {
                (false, _) => "too short to say",
                (true, true) => "DRIFTS",
                (true, false) => "ok",
            };
            write!(f, " {most:>9.2}  {verdict}")?;
        }
        Ok(())
    }
}

/// Returns the median of those values that are numbers; NaN if there are none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
