//! The interleaved comparison of runtimes.
//!
//! Each question is asked in rounds: ours, a peer, another peer, ours, and so on, so that a slow minute of the machine meets all;
//! each round begins with another contestant. What counts is the median of each and the ratio of the medians. All have two
//! workers; a runtime starts when it is first asked and lives as long as the table. A question about what belongs to the whole
//! process ([`Home::Own`]) is measured in a [fresh](crate::fresh) one in each round.
//!
//! Other processes on the machine spoil a figure before anything else does: [`quiet`](crate::quiet)
//! says what is done about it.
//!
//! One round before the first is thrown away for questions asked in this process: it warms up
//! allocator, caches and queues alike. A measurement that hangs ends its process after
//! 90 s, with the question's name; a fresh process that fails costs its value and no other.
//!
//! The rows go to `ratios.tsv` and `ratios.md` in Cargo's target folder, or to the [`picture`] book `benches/report/`, after each
//! question, so that an interrupted run leaves what it has. There, a run of some questions replaces their rows only.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::contestant::{Contestant, Contestants};
use crate::options::Options;
use crate::questions::{Effort, Home, Question, all};
use crate::quiet::{Measured, in_quiet};
use crate::report::{self, Table};
use crate::row::{Column, Row};
use crate::stats::median;
use crate::{Rt, paired, picture};

/// Workers of each runtime.
pub const WORKERS: usize = 2;

/// How many rounds without `--rounds`.
const ROUNDS: u32 = 5;

/// Where the rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Book {
    /// To Cargo's target folder.
    Target,
    /// To `benches/report/`, with pictures.
    Report,
}

impl Book {
    /// The name of the bench and of the files.
    fn name(self) -> &'static str {
        match self {
            Self::Target => "ratios",
            Self::Report => "report",
        }
    }

    fn folder(self) -> PathBuf {
        match self {
            Self::Target => report::target().expect("Cargo runs this"),
            Self::Report => concat!(env!("CARGO_MANIFEST_DIR"), "/report").into(),
        }
    }

    /// Writes everything.
    fn save(self, table: &Table) {
        let folder = self.folder();
        let saved = match self {
            Self::Target => table.save(&folder, self.name(), |_| String::new()),
            Self::Report => picture::save(table, &folder, self.name()),
        };
        if let Err(error) = saved {
            eprintln!("{}: the rows could not be saved: {error}", self.name());
        }
    }
}

/// Compares runtimes as the command line says; the whole `main` of a bench. `R` is any of the contestants, to list the
/// questions.
///
/// Fails only if a measurement of ours does: whether a goal is reached depends on the machine.
pub fn main<R: Rt>(mut contestants: Contestants, book: Book) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = contestants.serve(&arguments) {
        return code;
    }
    let options = Options::parse(arguments.into_iter(), ROUNDS);
    contestants.keep(&options.peers);
    let questions = all::<R>();
    if options.is_redraw {
        return redraw(book);
    }
    if options.is_list {
        for question in wanted(&questions, &options) {
            println!("{}: benchmark", question.name);
        }
        return ExitCode::SUCCESS;
    }
    if options.is_paired {
        return paired::compare_contestants(&contestants, &questions, &options);
    }
    compare(&contestants, &questions, &options, book)
}

/// The questions that the command line names.
pub fn wanted<'a, R: Rt>(
    questions: &'a [Question<R>],
    options: &'a Options,
) -> impl Iterator<Item = &'a Question<R>> {
    let questions = questions.iter();
    questions.filter(|question| options.want(question.names()))
}

/// Writes tables and pictures of a saved TSV file again.
fn redraw(book: Book) -> ExitCode {
    match Table::load(&book.folder().join(format!("{}.tsv", book.name()))) {
        Ok(table) => {
            book.save(&table);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: nothing to draw: {error}", book.name());
            ExitCode::FAILURE
        }
    }
}

/// Asks the wanted questions.
fn compare<R: Rt>(
    contestants: &Contestants,
    questions: &[Question<R>],
    options: &Options,
    book: Book,
) -> ExitCode {
    let is_full = matches!(options.effort, Effort::Full { .. });
    let mut table = Table {
        facts: report::facts(book.name()),
        rows: Vec::new(),
    };
    if is_full {
        for (key, value) in &table.facts {
            println!("{key}: {value}");
        }
    }
    if book == Book::Report && !options.names.is_empty() {
        let saved = Table::load(&book.folder().join("report.tsv"));
        table.rows = saved.map_or_else(|_| Vec::new(), |saved| saved.rows);
    }
    let order: Vec<String> = questions
        .iter()
        .flat_map(|question| question.metrics.iter().map(|metric| metric.name.clone()))
        .collect();
    let mut has_failed = false;
    for question in wanted(questions, options) {
        let rounds = ask(contestants, question, options);
        has_failed |= !rounds[0].iter().all(Option::is_some);
        if !is_full {
            for (contestant, rounds) in contestants.iter().zip(&rounds) {
                let verdict = match rounds.iter().all(Option::is_some) {
                    _ if rounds.is_empty() => "no equivalent",
                    true => "works",
                    false => "FAILED",
                };
                println!("{}: {}: {verdict}", question.name, contestant.name());
            }
            continue;
        }
        let names = contestants.iter().map(Contestant::name);
        let columns: Vec<_> = names.zip(rounds).collect();
        for row in rows(question, &columns) {
            println!("{}", row.line());
            table.put(row);
        }
        table.sort(&order);
        book.save(&table);
    }
    if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The values of one contestant, of one question: by round, `None` where it failed.
type Rounds = Vec<Option<Measured<Vec<f64>>>>;

/// Asks one question in rounds; for each contestant, its rounds.
fn ask<R: Rt>(contestants: &Contestants, question: &Question<R>, options: &Options) -> Vec<Rounds> {
    let all: Vec<&dyn Contestant> = contestants.iter().collect();
    let mut rounds: Vec<Rounds> = all.iter().map(|_| Rounds::new()).collect();
    let knows: Vec<usize> = (0..all.len())
        .filter(|&at| all[at].knows(&question.name))
        .collect();
    if question.home == Home::Shared {
        for &at in &knows {
            all[at].measure(&question.name, options.effort);
        }
    }
    for round in 0..options.rounds.min(question.rounds_at_most) {
        for turn in 0..knows.len() {
            let at = knows[(round + turn) % knows.len()];
            let measured = in_quiet(options, || all[at].measure(&question.name, options.effort));
            rounds[at].push(measured);
        }
    }
    rounds
}

/// The rows of a question.
fn rows<R>(question: &Question<R>, columns: &[(&'static str, Rounds)]) -> Vec<Row> {
    let others = columns.iter().flat_map(|(_, rounds)| rounds);
    let mut others: Vec<f64> = others.flatten().map(|measured| measured.others).collect();
    let others = median(&mut others);
    let date = report::date();
    let row = |(index, metric): (usize, &crate::questions::Metric)| Row {
        area: question.area.into(),
        metric: metric.clone(),
        date: date.clone(),
        others,
        columns: columns
            .iter()
            .map(|(name, rounds)| Column {
                name: (*name).into(),
                values: rounds
                    .iter()
                    .map(|round| round.as_ref().map_or(f64::NAN, |round| round.value[index]))
                    .collect(),
            })
            .collect(),
    };
    question.metrics.iter().enumerate().map(row).collect()
}
