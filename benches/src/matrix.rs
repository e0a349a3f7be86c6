//! Bad neighbours beside more contestants than two: `cargo bench --bench hogs`.
//!
//! The cells of [`hogs`](crate::questions::hogs), each contestant in turn, in rounds, each time in a [fresh] process;
//! a figure is the median of the rounds. Our runtime takes part twice, with rescue and without. What is printed goes
//! to `hogs.md` in Cargo's target folder too.

use std::fs;
use std::process::ExitCode;

use crate::fresh::{self, Rescue};
use crate::go::Go;
use crate::options::Options;
use crate::questions::Effort;
use crate::questions::hogs::{Cell, PATIENCE, cells};
use crate::quiet::in_quiet;
use crate::report;
use crate::stats::median;
use crate::{Rt, client};

/// How many rounds without `--rounds`.
const ROUNDS: u32 = 3;

/// Who takes part.
enum Contestant {
    /// A crate, by the label of its implementation of [`Rt`], and with which setting.
    Crate(&'static str, Rescue),
    /// The program in Go.
    Go(Go),
}

impl Contestant {
    fn name(&self) -> &'static str {
        match self {
            Self::Crate(name, Rescue::On) => name,
            Self::Crate(_, Rescue::Off) => "rescue off",
            Self::Go(_) => "go",
        }
    }

    fn measure(&self, cell: Cell, effort: Effort) -> Option<Vec<f64>> {
        match self {
            Self::Crate(name, rescue) => fresh::measure(name, *rescue, &cell.to_string(), effort),
            Self::Go(go) => go.measure(cell, effort),
        }
    }
}

/// Measures what the command line asks for; the whole `main` of a bench.
///
/// Fails only if a measurement does.
pub fn main<Ours: Rt, Peer: Rt, Other: Rt>() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(client::FLAG) => {
            client::run(&arguments[1..]);
            ExitCode::SUCCESS
        }
        Some(fresh::FLAG) => match arguments[1].as_str() {
            name if name == Ours::NAME => fresh::run::<Ours>(&arguments[2..]),
            name if name == Peer::NAME => fresh::run::<Peer>(&arguments[2..]),
            _ => fresh::run::<Other>(&arguments[2..]),
        },
        _ => {
            let options = Options::parse(arguments.into_iter(), ROUNDS);
            let crates = [
                Contestant::Crate(Ours::NAME, Rescue::On),
                Contestant::Crate(Ours::NAME, Rescue::Off),
                Contestant::Crate(Peer::NAME, Rescue::On),
                Contestant::Crate(Other::NAME, Rescue::On),
            ];
            compare(crates.into(), &options)
        }
    }
}

/// Asks for the wanted cells.
fn compare(mut contestants: Vec<Contestant>, options: &Options) -> ExitCode {
    let wanted: Vec<_> = cells()
        .filter(|cell| options.want([cell.to_string().as_str()]))
        .collect();
    if options.is_list || wanted.is_empty() {
        for cell in wanted {
            println!("{cell}: benchmark");
        }
        return ExitCode::SUCCESS;
    }
    let target = report::target().expect("Cargo runs this");
    let mut facts = report::facts("hogs");
    match Go::build(&target) {
        Ok(go) => {
            facts.push(("go", go.version().into()));
            contestants.push(Contestant::Go(go));
        }
        Err(reason) => eprintln!("go: left out, {reason}"),
    }
    let is_full = matches!(options.effort, Effort::Full { .. });
    let mut text = report::markdown_facts(&facts);
    text += "\nMilliseconds; work in milliseconds per second.\n\n";
    text +=
        "| hogs | contestant | echo p50 | p99 | tick p50 | p99 | first 200 ms | work | others |\n";
    text += "|---|---|---:|---:|---:|---:|---:|---:|---:|\n";
    if is_full {
        print!("{text}");
    }
    let mut has_failed = false;
    for cell in wanted {
        let mut rounds: Vec<Vec<_>> = contestants.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds {
            for (contestant, values) in contestants.iter().zip(&mut rounds) {
                match in_quiet(options, || contestant.measure(cell, options.effort)) {
                    Some(measured) => values.push(measured),
                    None => has_failed = true,
                }
            }
        }
        for (contestant, rounds) in contestants.iter().zip(&rounds) {
            let middle =
                |at: usize| median(&mut column(rounds.iter().map(|round| round.value[at])));
            let mut line = format!("| {cell} | {} |", contestant.name());
            for at in 0..5 {
                line += &format!(" {} |", millis(middle(at)));
            }
            let others = median(&mut column(rounds.iter().map(|round| round.others)));
            line += &format!(" {:.0} | {:.0} % |\n", middle(5), others * 100.0);
            if is_full {
                print!("{line}");
            } else {
                let verdict = ["FAILED", "works"][usize::from(!rounds.is_empty())];
                println!("{cell}: {}: {verdict}", contestant.name());
            }
            text += &line;
        }
        // After each cell, so that an interrupted run leaves what it has.
        if is_full && let Err(error) = fs::write(target.join("hogs.md"), &text) {
            eprintln!("hogs: the table could not be saved: {error}");
        }
    }
    if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn column(values: impl Iterator<Item = f64>) -> Vec<f64> {
    values.collect()
}

/// Microseconds in milliseconds, or what it is more than.
fn millis(micros: f64) -> String {
    if micros == f64::INFINITY {
        format!(">{}", PATIENCE.as_millis())
    } else {
        report::figure(micros / 1000.0)
    }
}
