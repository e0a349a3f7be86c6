//! The interleaved comparison of two runtimes.
//!
//! Each question is asked in rounds: ours, the peer's, ours, the peer's, and so on, so that a slow
//! minute of the machine meets both; what counts is the median of each and the ratio of the
//! medians. Both runtimes have two workers and live as long as the table. A question about what
//! belongs to the whole process ([`Home::Own`]) is measured in a fresh process in each round: this
//! executable starts itself again with `--child` and reads one line of values.
//!
//! Other processes on the machine spoil a figure before anything else does. A measurement beside
//! which they used more than a twentieth of the CPUs is repeated, `--patience` times at most, and
//! the one that they disturbed least counts.
//!
//! One round before the first is thrown away for questions asked in this process: it warms up
//! allocator, caches and queues alike. A measurement that hangs ends its process after
//! 90 s, with the question's name; a fresh process that fails costs its row and no other.

use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::questions::{Effort, Home, Question, all};
use crate::quiet::Watch;
use crate::report::{self, Round, Row};
use crate::{Rt, client};

/// The first argument of a process that measures one question once.
const CHILD: &str = "--child";

/// Workers of each runtime.
pub const WORKERS: usize = 2;

/// How long one measurement may take.
const LIMIT: Duration = Duration::from_secs(90);

/// How long the machine is watched before a measurement.
const SETTLE: Duration = Duration::from_millis(50);

/// Which share of the CPUs others may use before a measurement is repeated.
pub const DISTURBED: f64 = 0.05;

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    /// Parts of the names of wanted questions or figures; none: all.
    names: Vec<String>,
    /// How many rounds.
    rounds: usize,
    /// How often a disturbed measurement is repeated.
    patience: u32,
    /// How much work each.
    effort: Effort,
    /// Only say what could be measured.
    is_list: bool,
}

impl Options {
    /// Reads what Cargo and the user pass. Cargo passes `--bench` for `cargo bench` only; without
    /// it, as under `cargo test --benches`, each question is only tried, as Criterion does it.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Self {
        let (mut is_bench, mut is_test, mut is_list) = (false, false, false);
        let (mut names, mut rounds, mut quiet, mut patience) = (Vec::new(), 5, 15, 1);
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse::<u32>().ok());
                value.unwrap_or_else(|| panic!("{argument} needs a number behind it"))
            };
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--test" => is_test = true,
                "--list" => is_list = true,
                "--rounds" => rounds = number().max(1) as usize,
                "--quiet" => quiet = number(),
                "--patience" => patience = number(),
                other if other.starts_with('-') => eprintln!("ratios: {other} means nothing here"),
                _ => names.push(argument),
            }
        }
        let effort = match is_bench && !is_test {
            true => Effort::Full {
                quiet: Duration::from_secs(quiet.into()),
            },
            false => Effort::Smoke,
        };
        Self {
            names,
            rounds: effort.pick(rounds, 1),
            patience: effort.pick(patience, 0),
            effort,
            is_list,
        }
    }

    /// Whether the command line names this question, one of its figures, or nothing at all.
    fn wants<R>(&self, question: &Question<R>) -> bool {
        let mut known = question
            .metrics
            .iter()
            .map(|metric| metric.name)
            .chain([question.name]);
        self.names.is_empty()
            || known.any(|known| self.names.iter().any(|name| known.contains(name.as_str())))
    }
}

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
        Some(CHILD) if arguments[1] == Ours::NAME => child::<Ours>(&arguments[2..]),
        Some(CHILD) => child::<Peer>(&arguments[2..]),
        _ => compare::<Ours, Peer>(&Options::parse(arguments.into_iter())),
    }
}

/// Asks the wanted questions.
fn compare<Ours: Rt, Peer: Rt>(options: &Options) -> ExitCode {
    let pairs = all::<Ours>().into_iter().zip(all::<Peer>());
    let wanted: Vec<_> = pairs
        .filter(|(question, _)| options.wants(question))
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
    let facts = report::facts();
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
                        ours: ours.values[index],
                        peer: peer.values[index],
                        others: ours.others.max(peer.others),
                    })
                })
                .collect();
            let row = Row::new(*metric, &values);
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

/// What one measurement gave.
struct Measured {
    /// One value for each of the question's metrics.
    values: Vec<f64>,
    /// Which share of the CPUs others used meanwhile.
    others: f64,
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
    fn measure_in_quiet(&self, question: &Question<R>, options: &Options) -> Option<Measured> {
        let mut best: Option<Measured> = None;
        for attempt in 0..=options.patience {
            // A neighbour's burst of work may be over soon.
            std::thread::sleep(Duration::from_millis(500) * attempt.min(4));
            let watch = Watch::start();
            // What runs now goes on beside a short measurement, whose own time the kernel's
            // counters are too coarse to tell.
            std::thread::sleep(options.effort.pick(SETTLE, Duration::ZERO));
            let values = self.measure(question, options.effort)?;
            let others = watch.share_of_others();
            if best.as_ref().is_none_or(|best| others < best.others) {
                best = Some(Measured { values, others });
            }
            if others <= DISTURBED {
                break;
            }
        }
        best
    }

    /// Measures once, here or in a fresh process; `None` if that fails.
    fn measure(&self, question: &Question<R>, effort: Effort) -> Option<Vec<f64>> {
        let values = match question.home {
            Home::Shared => {
                let _limit = limit(R::NAME, question.name, LIMIT);
                (question.measure)(&self.rt, effort)
            }
            Home::Own => in_child::<R>(question, effort)?,
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

/// Measures once in a fresh process.
fn in_child<R: Rt>(question: &Question<R>, effort: Effort) -> Option<Vec<f64>> {
    let quiet = match effort {
        Effort::Full { quiet } => quiet.as_secs().to_string(),
        Effort::Smoke => "smoke".into(),
    };
    let output = Command::new(std::env::current_exe().expect("Linux knows the executable"))
        .args([CHILD, R::NAME, question.name, &quiet])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("the executable started once already");
    let values = String::from_utf8(output.stdout)
        .ok()
        .filter(|_| output.status.success())
        .and_then(|line| {
            line.split_whitespace()
                .map(|value| value.parse().ok())
                .collect()
        });
    if values.is_none() {
        eprintln!("{}: {} failed, {}", question.name, R::NAME, output.status);
    }
    values
}

/// The other end of [`in_child`].
fn child<R: Rt>(arguments: &[String]) -> ExitCode {
    let question = all::<R>()
        .into_iter()
        .find(|question| question.name == arguments[0])
        .expect("the table knows its questions");
    let effort = match arguments[1].parse() {
        Ok(quiet) => Effort::Full {
            quiet: Duration::from_secs(quiet),
        },
        Err(_) => Effort::Smoke,
    };
    let limit = match effort {
        Effort::Full { quiet } => limit(R::NAME, question.name, LIMIT + quiet),
        Effort::Smoke => limit(R::NAME, question.name, LIMIT),
    };
    let rt = R::start(WORKERS);
    let values = (question.measure)(&rt, effort);
    drop(limit);
    let values: Vec<String> = values.iter().map(f64::to_string).collect();
    println!("{}", values.join(" "));
    // Leaves servers and hogs running to the end instead of asking the runtime to stop them: that
    // is not what is measured.
    std::process::exit(0)
}

/// Ends this process, saying why, unless the result is dropped in time.
fn limit(contestant: &'static str, question: &'static str, time: Duration) -> Sender<()> {
    let (alive, watched) = channel();
    std::thread::spawn(move || {
        if watched.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{question}: {contestant} hangs, given up after {time:?}");
            std::process::exit(1);
        }
    });
    alive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Options {
        Options::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn without_cargo_bench_it_is_a_trial() {
        assert!(matches!(parse("--rounds 9").effort, Effort::Smoke));
        assert!(matches!(parse("--bench --test").effort, Effort::Smoke));
        assert!(matches!(parse("--bench").effort, Effort::Full { .. }));
    }

    #[test]
    fn names_and_numbers_are_told_apart() {
        let options = parse("yield_storm --bench --rounds 9 --quiet 1");
        assert_eq!(options.names, ["yield_storm"]);
        assert_eq!(options.rounds, 9);
        assert!(matches!(options.effort, Effort::Full { quiet } if quiet.as_secs() == 1));
    }
}
