//! Two sides in pairs: our runtime and a peer, two builds, or one runtime with and without rescue.
//!
//! A pair is one measurement of each side, one right after the other, each in a [fresh] process: so a lucky
//! place in memory does not last for more than one measurement. Every other pair is asked the other way round. A
//! figure is the median of the pairs' ratios, first by second, with the 95 % interval of the [sign test](median_interval),
//! which supposes nothing about how the ratios are distributed. A goal is *met* if the whole interval lies within it,
//! *missed* if the whole interval lies beyond it, and else *open*: more rounds are needed, or a quieter machine. In the same way the
//! first side is *ahead* or *behind*.
//!
//! `cargo bench --bench ratios -- --paired 31 ROW` asks for ours against Tokio, or the peers behind `--peers`; `--against FILE` for
//! this build against the same bench's executable of another one. The rows go to `paired.md` in Cargo's target folder.
//!
//! `cargo bench --bench rescue` asks what rescue costs, to `rescue.md`: the processes learn from their environment what to do,
//! so that both run the very same instructions. The rows `busy_…` are measured while two further processes compute for ever, so
//! that each core is wanted by two, and a worker that was preempted looks like one that is stuck. Nobody asks then whether the
//! machine is quiet.

use std::fs;
use std::process::ExitCode;

use crate::client::Client;
use crate::contestant::{Contestant, Contestants};
use crate::fresh::{self, Rescue};
use crate::options::Options;
use crate::questions::{Better, Effort, Goal, Metric, Question, all};
use crate::quiet::in_quiet;
use crate::report;
use crate::row::figure;
use crate::stats::{median, median_interval};
use crate::table::{self, WORKERS};
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

/// What a ratio, first by second, shall be.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// At most this: what is measured is a cost.
    AtMost(f64),
    /// At least this: what is measured is a rate.
    AtLeast(f64),
}

/// What is asked of rescue: a question, its first figure's bound, on by off, and where.
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

/// One of the two that are compared.
struct Side<'a> {
    /// Its name in the table.
    label: String,
    /// Asks it a question once.
    measure: Box<Measure<'a>>,
}

/// Measures a question by its name.
type Measure<'a> = dyn Fn(&str, Effort) -> Option<Vec<f64>> + 'a;

impl<'a> Side<'a> {
    /// A contestant.
    fn contestant(contestant: &'a dyn Contestant) -> Self {
        Self {
            label: contestant.name().into(),
            measure: Box::new(|question, effort| contestant.measure_fresh(question, effort)),
        }
    }

    /// Our runtime with or without rescue.
    fn rescue(name: &'static str, rescue: Rescue) -> Self {
        let label = match rescue {
            Rescue::On => "on",
            Rescue::Off => "off",
        };
        let measure = move |question: &str, effort| {
            fresh::measure(fresh::this(), name, rescue, question, effort)
        };
        Self {
            label: label.into(),
            measure: Box::new(measure),
        }
    }
}

/// Rows of the table: figures of one question.
struct Asked<'a> {
    /// What selects it.
    name: String,
    /// The question.
    question: String,
    /// Which of its figures, and what they shall be.
    figures: Vec<(usize, Metric, Option<Bound>)>,
    /// Where it is asked.
    machine: Machine,
    /// Who is asked.
    sides: &'a [Side<'a>; 2],
}

/// Measures what rescue costs, as the command line says; the whole `main` of a bench.
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
            let sides = [Rescue::On, Rescue::Off].map(|rescue| Side::rescue(Ours::NAME, rescue));
            let asked = asked_of_rescue(&all::<Ours>(), &sides);
            let wanted = |asked: &Asked| options.want([asked.name.as_str()]);
            compare(asked.into_iter().filter(wanted), "rescue", &options)
        }
    }
}

/// What is asked of rescue.
fn asked_of_rescue<'a, R>(questions: &[Question<R>], sides: &'a [Side<'a>; 2]) -> Vec<Asked<'a>> {
    let asked = |(asked, bound, machine)| {
        let mut found = questions.iter();
        let found = found.find(|question| question.name == asked);
        let question = found.expect("a question has this name");
        let name = match machine {
            Machine::Quiet => question.name.clone(),
            Machine::Busy => format!("busy_{}", question.name),
        };
        let metric = Metric {
            name: name.clone(),
            ..question.metrics[0].clone()
        };
        Asked {
            name,
            question: question.name.clone(),
            figures: vec![(0, metric, Some(bound))],
            machine,
            sides,
        }
    };
    ASKED.map(asked).into()
}

/// Compares the first contestant with each other one, or with another build of itself.
pub fn compare_contestants<R: Rt>(
    contestants: &Contestants,
    questions: &[Question<R>],
    options: &Options,
) -> ExitCode {
    let mut all = contestants.iter();
    let ours = all.next().expect("ours is the first");
    let peers: Vec<_> = match &options.against {
        Some(executable) => vec![Side {
            label: "other build".into(),
            measure: Box::new(move |question, effort| {
                fresh::measure(executable, ours.name(), Rescue::On, question, effort)
            }),
        }],
        // All of them only if they are named: it takes long.
        None if options.peers.is_empty() => all.take(1).map(Side::contestant).collect(),
        None => {
            let is_named =
                |peer: &&dyn Contestant| options.peers.iter().any(|name| name == peer.name());
            all.filter(is_named).map(Side::contestant).collect()
        }
    };
    let pairs: Vec<_> = peers
        .into_iter()
        .map(|peer| [Side::contestant(ours), peer])
        .collect();
    let knows = |label: &str, question: &str| {
        let mut all = contestants.iter();
        all.find(|contestant| contestant.name() == label)
            .is_none_or(|contestant| contestant.knows(question))
    };
    let second = contestants.iter().nth(1).map(Contestant::name);
    let mut asked = Vec::new();
    for question in table::wanted(questions, options) {
        for sides in &pairs {
            let label = sides[1].label.as_str();
            if !knows(label, &question.name) {
                continue;
            }
            // Goals are ratios to the second contestant of all.
            let bound = |metric: &Metric| match metric.goal {
                Goal::RatioAtMost(bound) if Some(label) == second => Some(Bound::AtMost(bound)),
                Goal::RatioAtLeast(bound) if Some(label) == second => Some(Bound::AtLeast(bound)),
                _ => None,
            };
            let metrics = question.metrics.iter().cloned().enumerate();
            asked.push(Asked {
                name: question.name.clone(),
                question: question.name.clone(),
                figures: metrics
                    .map(|(at, metric)| (at, metric.clone(), bound(&metric)))
                    .collect(),
                machine: Machine::Quiet,
                sides,
            });
        }
    }
    compare(asked.into_iter(), "paired", options)
}

/// Measures the rows.
fn compare<'a>(asked: impl Iterator<Item = Asked<'a>>, name: &str, options: &Options) -> ExitCode {
    let is_full = matches!(options.effort, Effort::Full { .. }) && !options.is_list;
    let mut text = report::markdown_facts(&report::facts(name));
    text += "\n| figure | unit | pair | first | second | ratio | 95 % interval | | rounds | others | goal | |\n";
    text += "|---|---|---|---:|---:|---:|---|---|---:|---:|---|---|\n";
    if is_full {
        print!("{text}");
    }
    let target = report::target().expect("Cargo runs this");
    let mut has_failed = false;
    for asked in asked {
        if options.is_list {
            println!("{}: benchmark", asked.name);
            continue;
        }
        let pairs = asked.measure(options);
        has_failed |= pairs.len() < options.rounds;
        if !is_full {
            let verdict = ["FAILED", "works"][usize::from(!pairs.is_empty())];
            println!("{}: {verdict}", asked.name);
            continue;
        }
        for (at, metric, bound) in &asked.figures {
            let line = asked.line(&pairs, *at, metric, *bound);
            print!("{line}");
            text += &line;
        }
        // After each question, so that an interrupted run leaves what it has.
        if let Err(error) = fs::write(target.join(format!("{name}.md")), &text) {
            eprintln!("{name}: the table could not be saved: {error}");
        }
    }
    if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The values of one round.
#[derive(Clone, Debug)]
struct Pair {
    /// The figures of both sides.
    values: [Vec<f64>; 2],
    /// Which share of the CPUs other processes used meanwhile.
    others: f64,
}

impl Asked<'_> {
    /// Measures all rounds; those that fail are left out.
    fn measure(&self, options: &Options) -> Vec<Pair> {
        let one = |side: usize| (self.sides[side].measure)(&self.question, options.effort);
        let both = |round: usize| {
            let first = one(round % 2)?;
            let second = one(1 - round % 2)?;
            Some(match round % 2 {
                0 => [first, second],
                _ => [second, first],
            })
        };
        let round = |round: usize| {
            let (values, others) = match self.machine {
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
            Some(Pair { values, others })
        };
        (0..options.rounds).filter_map(round).collect()
    }

    /// The row of the table for one of the figures.
    fn line(&self, pairs: &[Pair], at: usize, metric: &Metric, bound: Option<Bound>) -> String {
        let side = |side: usize| pairs.iter().map(move |pair| pair.values[side][at]);
        let mut ratios: Vec<f64> = side(0)
            .zip(side(1))
            .map(|(first, second)| first / second)
            .collect();
        let interval = median_interval(&mut ratios);
        let middle = |of: usize| figure(median(&mut side(of).collect::<Vec<_>>()));
        let goal = match bound {
            Some(Bound::AtMost(bound)) => format!("≤ {bound:.3}"),
            Some(Bound::AtLeast(bound)) => format!("≥ {bound:.3}"),
            None => "–".into(),
        };
        let others = match self.machine {
            Machine::Quiet => {
                let mut others: Vec<f64> = pairs.iter().map(|pair| pair.others).collect();
                format!("{:.0} %", 100.0 * median(&mut others))
            }
            Machine::Busy => format!("{WORKERS} processes"),
        };
        format!(
            "| `{}` | {} | {} / {} | {} | {} | {:.3} | {} | {} | {} | {others} | {goal} | {} |\n",
            metric.name,
            metric.unit,
            self.sides[0].label,
            self.sides[1].label,
            middle(0),
            middle(1),
            median(&mut ratios),
            interval.map_or("–".into(), |(low, high)| format!("{low:.3}–{high:.3}")),
            standing(metric.better(), interval),
            pairs.len(),
            bound.map_or("", |bound| verdict(bound, interval)),
        )
    }
}

/// What the interval says about who is better.
fn standing(better: Better, interval: Option<(f64, f64)>) -> &'static str {
    let bound = match better {
        Better::Lower => Bound::AtMost(1.0),
        Better::Higher => Bound::AtLeast(1.0),
    };
    match verdict(bound, interval) {
        "met" => "ahead",
        "MISSED" => "BEHIND",
        open => open,
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

    #[test]
    fn who_is_ahead_depends_on_what_is_better() {
        let below = Some((0.9, 0.97));
        assert_eq!(standing(Better::Lower, below), "ahead");
        assert_eq!(standing(Better::Higher, below), "BEHIND");
        assert_eq!(standing(Better::Lower, Some((0.9, 1.1))), "open");
    }
}
