//! What rescue costs: one runtime with and without it, `cargo bench --bench rescue`.
//!
//! A pair is one measurement with rescue and one without, one right after the other, each in a [fresh] process of the
//! same executable, which learns from its environment what to do: so both run the very same instructions, and a lucky
//! place in memory does not last for more than one measurement. Every other pair is asked the other way round. A
//! figure is the median of the pairs' ratios, on by off, with the 95 % interval of the [sign test](median_interval),
//! which supposes nothing about how the ratios are distributed. A goal is *met* if the whole interval lies within it,
//! *missed* if the whole interval lies beyond it, and else *open*: more rounds are needed, or a quieter machine.
//!
//! The rows `busy_…` are measured while two further processes compute for ever, so that each core is wanted by two,
//! and a worker that was preempted looks like one that is stuck. Nobody asks then whether the machine is quiet.
//!
//! The rows go to `rescue.md` in Cargo's target folder too.

use std::fs;
use std::process::ExitCode;

use crate::client::Client;
use crate::fresh::{self, Rescue};
use crate::options::Options;
use crate::questions::{Effort, Metric, Question, all};
use crate::quiet::in_quiet;
use crate::report::{self, figure};
use crate::stats::{median, median_interval};
use crate::table::WORKERS;
use crate::{Rt, client};

/// How many rounds without `--rounds`.
const ROUNDS: u32 = 31;

/// What else the machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    /// Nothing, one hopes.
    Quiet,
    /// A process for each worker computes.
    Busy,
}

/// What a ratio, on by off, shall be.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// At most this: what is measured is a cost.
    AtMost(f64),
    /// At least this: what is measured is a rate.
    AtLeast(f64),
}

/// What is asked: a question, its first figure's bound, and where.
const ASKED: [(&str, Bound, Machine); 13] = [
    ("spawn_inside", Bound::AtMost(1.02), Machine::Quiet),
    ("spawn_outside", Bound::AtMost(1.02), Machine::Quiet),
    ("spawn_chain", Bound::AtMost(1.02), Machine::Quiet),
    ("ping_pairs", Bound::AtMost(1.02), Machine::Quiet),
    ("ping_pair", Bound::AtMost(1.02), Machine::Quiet),
    ("yield_storm", Bound::AtMost(1.02), Machine::Quiet),
    ("echo_1", Bound::AtLeast(0.98), Machine::Quiet),
    ("echo_64", Bound::AtLeast(0.98), Machine::Quiet),
    ("cpu_burst", Bound::AtMost(1.03), Machine::Quiet),
    // At least 0.95 of the throughput.
    ("spawn_inside", Bound::AtMost(1.0 / 0.95), Machine::Busy),
    ("ping_pairs", Bound::AtMost(1.0 / 0.95), Machine::Busy),
    ("yield_storm", Bound::AtMost(1.0 / 0.95), Machine::Busy),
    ("echo_64", Bound::AtLeast(0.95), Machine::Busy),
];

/// A row of the table.
struct Row {
    /// What selects it.
    name: String,
    /// What is measured.
    metric: Metric,
    /// What it shall be.
    bound: Bound,
    /// The question.
    question: String,
    /// Where it is asked.
    machine: Machine,
}

/// Measures what the command line asks for; the whole `main` of a bench.
///
/// Fails only if a measurement does: whether a goal is reached depends on the machine.
pub fn main<Ours: Rt>() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(client::FLAG) => {
            client::run(&arguments[1..]);
            ExitCode::SUCCESS
        }
        Some(fresh::FLAG) => fresh::run::<Ours>(&arguments[2..]),
        _ => {
            let options = Options::parse(arguments.into_iter(), ROUNDS);
            compare(&rows(&all::<Ours>(), &options), Ours::NAME, &options)
        }
    }
}

/// The rows that the command line wants.
fn rows<R>(questions: &[Question<R>], options: &Options) -> Vec<Row> {
    let row = |(asked, bound, machine)| {
        let mut found = questions.iter();
        let found = found.find(|question| question.name == asked);
        let question = found.expect("a question has this name");
        let name = match machine {
            Machine::Quiet => question.name.clone(),
            Machine::Busy => format!("busy_{}", question.name),
        };
        Row {
            name,
            metric: question.metrics[0].clone(),
            bound,
            question: question.name.clone(),
            machine,
        }
    };
    ASKED
        .map(row)
        .into_iter()
        .filter(|row| options.want([row.name.as_str()]))
        .collect()
}

/// Measures the rows.
fn compare(rows: &[Row], contestant: &str, options: &Options) -> ExitCode {
    if options.is_list || rows.is_empty() {
        for row in rows {
            println!("{}: benchmark", row.name);
        }
        return ExitCode::SUCCESS;
    }
    let is_full = matches!(options.effort, Effort::Full { .. });
    let mut text = report::markdown_facts(&report::facts("rescue"));
    text +=
        "\n| figure | unit | on | off | on / off | 95 % interval | rounds | others | goal | |\n";
    text += "|---|---|---:|---:|---:|---|---:|---:|---|---|\n";
    if is_full {
        print!("{text}");
    }
    let target = report::target().expect("Cargo runs this");
    let mut has_failed = false;
    for row in rows {
        let pairs = row.measure(contestant, options);
        has_failed |= pairs.len() < options.rounds;
        if !is_full {
            let verdict = ["FAILED", "works"][usize::from(!pairs.is_empty())];
            println!("{}: {verdict}", row.name);
            continue;
        }
        let line = row.line(&pairs);
        print!("{line}");
        text += &line;
        // After each row, so that an interrupted run leaves what it has.
        if let Err(error) = fs::write(target.join("rescue.md"), &text) {
            eprintln!("rescue: the table could not be saved: {error}");
        }
    }
    if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The values of one round.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// With rescue.
    on: f64,
    /// Without.
    off: f64,
    /// Which share of the CPUs other processes used meanwhile.
    others: f64,
}

impl Row {
    /// Measures all rounds; those that fail are left out.
    fn measure(&self, contestant: &str, options: &Options) -> Vec<Pair> {
        let one = |rescue| {
            let values = fresh::measure(contestant, rescue, &self.question, options.effort)?;
            Some(values[0])
        };
        let both = |round: usize| {
            let order = [Rescue::On, Rescue::Off];
            let first = one(order[round % 2])?;
            let second = one(order[1 - round % 2])?;
            Some([[first, second], [second, first]][round % 2])
        };
        let round = |round: usize| {
            let (value, others) = match self.machine {
                Machine::Quiet => {
                    let measured = in_quiet(options, || both(round))?;
                    (measured.value, measured.others)
                }
                Machine::Busy => {
                    let _burners = [(); WORKERS].map(|()| Client::burn());
                    // Others are there on purpose.
                    (both(round)?, f64::NAN)
                }
            };
            Some(Pair {
                on: value[0],
                off: value[1],
                others,
            })
        };
        (0..options.rounds).filter_map(round).collect()
    }

    /// The row of the table.
    fn line(&self, pairs: &[Pair]) -> String {
        let column = |value: fn(&Pair) -> f64| pairs.iter().map(value).collect::<Vec<f64>>();
        let mut ratios = column(|pair| pair.on / pair.off);
        let interval = median_interval(&mut ratios);
        let goal = match self.bound {
            Bound::AtMost(bound) => format!("≤ {bound:.3}"),
            Bound::AtLeast(bound) => format!("≥ {bound:.3}"),
        };
        let others = match self.machine {
            Machine::Quiet => format!("{:.0} %", 100.0 * median(&mut column(|pair| pair.others))),
            Machine::Busy => format!("{WORKERS} processes"),
        };
        format!(
            "| `{}` | {} | {} | {} | {:.3} | {} | {} | {others} | {goal} | {} |\n",
            self.name,
            self.metric.unit,
            figure(median(&mut column(|pair| pair.on))),
            figure(median(&mut column(|pair| pair.off))),
            median(&mut ratios),
            interval.map_or("–".into(), |(low, high)| format!("{low:.3}–{high:.3}")),
            pairs.len(),
            verdict(self.bound, interval),
        )
    }
}

/// What the interval says about the goal.
fn verdict(bound: Bound, interval: Option<(f64, f64)>) -> &'static str {
    let Some((low, high)) = interval else {
        return "open";
    };
    let (is_met, is_missed) = match bound {
        Bound::AtMost(bound) => (high <= bound, low > bound),
        Bound::AtLeast(bound) => (low >= bound, high < bound),
    };
    match (is_met, is_missed) {
        (true, _) => "met",
        (_, true) => "MISSED",
        _ => "open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_or_missed_by_the_whole_interval() {
        let cost = Bound::AtMost(1.02);
        assert_eq!(verdict(cost, Some((0.99, 1.02))), "met");
        assert_eq!(verdict(cost, Some((0.99, 1.03))), "open");
        assert_eq!(verdict(cost, Some((1.03, 1.05))), "MISSED");
        let rate = Bound::AtLeast(0.95);
        assert_eq!(verdict(rate, Some((0.96, 1.1))), "met");
        assert_eq!(verdict(rate, Some((0.9, 1.1))), "open");
        assert_eq!(verdict(rate, Some((0.9, 0.94))), "MISSED");
        assert_eq!(verdict(rate, None), "open");
    }
}
