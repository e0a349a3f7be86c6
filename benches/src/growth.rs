//! The table of growth: `cargo bench --bench growth`.
//!
//! A row is one [series](crate::questions::growth) of one contestant, a column a size. Each size is measured in a fresh process, the
//! contestants in turn, in rounds; a figure is the median. What is printed goes to `growth.md` in Cargo's target folder too.

use std::fs;
use std::process::ExitCode;

use crate::contestant::Contestants;
use crate::options::Options;
use crate::questions::Effort;
use crate::questions::growth::{SERIES, Series};
use crate::quiet::{Measured, in_quiet};
use crate::report;
use crate::row::figure;
use crate::stats::median;

/// How many rounds without `--rounds`.
const ROUNDS: u32 = 3;

/// Measures what the command line asks for; the whole `main` of a bench.
///
/// Fails only if a measurement does.
pub fn main(mut contestants: Contestants) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = contestants.serve(&arguments) {
        return code;
    }
    let options = Options::parse(arguments.into_iter(), ROUNDS);
    contestants.keep(&options.peers);
    let wanted: Vec<_> = SERIES
        .iter()
        .filter(|series| options.want([series.name]))
        .collect();
    if options.is_list {
        for series in wanted {
            println!("{}: benchmark", series.name);
        }
        return ExitCode::SUCCESS;
    }
    let is_full = matches!(options.effort, Effort::Full { .. });
    let mut text = report::markdown_facts(&report::facts("growth"));
    if is_full {
        print!("{text}");
    }
    let mut has_failed = false;
    for series in wanted {
        let rows = ask(series, &contestants, &options);
        has_failed |= rows.iter().any(|row| row.has_failed(options.rounds));
        if is_full {
            let table = table(series, &rows);
            print!("{table}");
            text += &table;
        } else {
            for row in rows {
                let verdict = ["works", "FAILED"][usize::from(row.has_failed(1))];
                println!("{}: {}: {verdict}", series.name, row.name);
            }
        }
    }
    let target = report::target().expect("Cargo runs this");
    if is_full && let Err(error) = fs::write(target.join("growth.md"), &text) {
        eprintln!("growth: the table could not be saved: {error}");
    }
    if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Asks everybody for every size, in rounds.
fn ask(series: &Series, contestants: &Contestants, options: &Options) -> Vec<Row> {
    let empty = |name| Row {
        name,
        sizes: series.sizes.iter().map(|_| Vec::new()).collect(),
    };
    let mut rows: Vec<_> = contestants.iter().map(|one| empty(one.name())).collect();
    for _ in 0..options.rounds {
        for (at, &size) in series.sizes.iter().enumerate() {
            let question = series.question(size);
            for (contestant, row) in contestants.iter().zip(&mut rows) {
                let measure = || contestant.measure_fresh(&question, options.effort);
                row.sizes[at].extend(in_quiet(options, measure));
            }
        }
    }
    rows
}

/// One contestant's figures.
struct Row {
    /// Whose they are.
    name: &'static str,
    /// For each size what the rounds gave.
    sizes: Vec<Vec<Measured<Vec<f64>>>>,
}

impl Row {
    /// Whether a size lacks a round.
    fn has_failed(&self, rounds: usize) -> bool {
        self.sizes.iter().any(|size| size.len() < rounds)
    }
}

/// One series as a table: a column for each size, the largest divided by the smallest, and what others did meanwhile.
fn table(series: &Series, rows: &[Row]) -> String {
    let mut text = format!("\n| `{}`, {} |", series.name, series.unit);
    for size in series.sizes {
        text += &format!(" {size} |");
    }
    text += " last / first | others |\n|---|";
    text += &"---:|".repeat(series.sizes.len() + 2);
    text += "\n";
    for row in rows {
        let middle = |values: &[Measured<Vec<f64>>]| {
            median(&mut values.iter().map(|one| one.value[0]).collect::<Vec<_>>())
        };
        let medians: Vec<f64> = row.sizes.iter().map(|values| middle(values)).collect();
        text += &format!("| {} |", row.name);
        for &value in &medians {
            text += &format!(" {} |", figure(value));
        }
        let others = row.sizes.iter().flatten().map(|one| one.others);
        text += &format!(
            " {:.2} | {:.0} % |\n",
            medians[medians.len() - 1] / medians[0],
            median(&mut others.collect::<Vec<_>>()) * 100.0
        );
    }
    text
}
