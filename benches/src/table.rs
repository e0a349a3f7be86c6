//! The interleaved comparison of two runtimes.
//!
//! Each question is asked in rounds: ours, the peer's, ours, the peer's, and so on, so that a slow
//! minute of the machine meets both; what counts is the median of each and the ratio of the
//! medians. Both runtimes have two workers and live as long as the table. A question about what
//! belongs to the whole process ([`Home::Own`]) is measured in a [fresh] one in each round.
//!
//! Other processes on the machine spoil a figure before anything else does: [`quiet`](crate::quiet)
//! says what is done about it.
//!
//! One round before the first is thrown away for questions asked in this process: it warms up
//! allocator, caches and queues alike. A measurement that hangs ends its process after
//! 90 s, with the question's name; a fresh process that fails costs its row and no other.

use std::process::ExitCode;

use crate::fresh::{self, Rescue};
use crate::options::Options;
use crate::questions::{Effort, Home, Question, all};
use crate::quiet::{Measured, in_quiet};
use crate::report::{self, Round, Row};
use crate::{Rt, client};

/// Workers of each runtime.
pub const WORKERS: usize = 2;

/// How many rounds without `--rounds`.
const ROUNDS: u32 = 5;

/// Compares two runtimes as the command line says; the whole `main` of a bench.
///
/// Fails only if a measurement does: whether a goal is reached depends on the machine.
pub fn main<Ours: Rt, Peer: Rt>() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(client::FLAG) => {
            client::run(&arguments[1..]);
            ExitCode::SUCCESS
        }
        Some(fresh::FLAG) if arguments[1] == Ours::NAME => fresh::run::<Ours>(&arguments[2..]),
        Some(fresh::FLAG) => fresh::run::<Peer>(&arguments[2..]),
        _ => compare::<Ours, Peer>(&Options::parse(arguments.into_iter(), ROUNDS)),
    }
}

/// Asks the wanted questions.
fn compare<Ours: Rt, Peer: Rt>(options: &Options) -> ExitCode {
    let pairs = all::<Ours>().into_iter().zip(all::<Peer>());
    let wanted: Vec<_> = pairs
        .filter(|(question, _)| options.want(question.names()))
        .collect();
    if options.is_list {
        for (question, _) in &wanted {
            println!("{}: benchmark", question.name);
        }
        return ExitCode::SUCCESS;
    }
    if wanted.is_empty() {
        return ExitCode::SUCCESS;
    }
    let facts = report::facts("ratios");
    if let Effort::Full { .. } = options.effort {
        for (key, value) in &facts {
            println!("{key}: {value}");
        }
    }
    let (ours, peer) = (Contestant::<Ours>::new(), Contestant::<Peer>::new());
    let mut rows = Vec::new();
    let mut has_failed = false;
    for (question, same) in &wanted {
        if question.home == Home::Shared {
            ours.measure(question, options.effort);
            peer.measure(same, options.effort);
        }
        let rounds: Vec<_> = (0..options.rounds.min(question.rounds_at_most))
            .map(|_| {
                let ours = ours.measure_in_quiet(question, options);
                (ours, peer.measure_in_quiet(same, options))
            })
            .collect();
        let has_all = rounds
            .iter()
            .all(|(ours, peer)| ours.is_some() && peer.is_some());
        has_failed |= !has_all;
        if let Effort::Smoke = options.effort {
            println!(
                "{}: {}",
                question.name,
                if has_all { "works" } else { "FAILED" }
            );
            continue;
        }
        for (index, metric) in question.metrics.iter().enumerate() {
            let values: Vec<_> = rounds
                .iter()
                .filter_map(|(ours, peer)| {
                    let (ours, peer) = (ours.as_ref()?, peer.as_ref()?);
                    Some(Round {
                        ours: ours.value[index],
                        peer: peer.value[index],
                        others: ours.others.max(peer.others),
                    })
                })
                .collect();
            let row = Row::new(metric.clone(), &values);
            println!("{}", row.line(Ours::NAME, Peer::NAME));
            rows.push(row);
        }
        // After each question, so that an interrupted run leaves what it has.
        if let Err(error) = report::save(&facts, Ours::NAME, Peer::NAME, &rows) {
            eprintln!("ratios: the rows could not be saved: {error}");
        }
    }
    if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// A runtime of the table's process.
struct Contestant<R> {
    /// It lives as long as the table.
    rt: R,
}

impl<R: Rt> Contestant<R> {
    fn new() -> Self {
        Self {
            rt: R::start(WORKERS),
        }
    }

    /// Measures until nobody disturbs it or the patience is at an end; `None` if it fails.
    fn measure_in_quiet(
        &self,
        question: &Question<R>,
        options: &Options,
    ) -> Option<Measured<Vec<f64>>> {
        in_quiet(options, || self.measure(question, options.effort))
    }

    /// Measures once, here or in a fresh process; `None` if that fails.
    fn measure(&self, question: &Question<R>, effort: Effort) -> Option<Vec<f64>> {
        let values = match question.home {
            Home::Shared => {
                let _limit = fresh::guard(R::NAME, &question.name);
                (question.measure)(&self.rt, effort)
            }
            Home::Own => fresh::measure(R::NAME, Rescue::On, &question.name, effort)?,
        };
        assert_eq!(
            values.len(),
            question.metrics.len(),
            "{} has other figures",
            question.name
        );
        Some(values)
    }
}
