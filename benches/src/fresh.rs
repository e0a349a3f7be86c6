//! Measurements in a fresh process.
//!
//! What belongs to a whole process (CPU time, memory, threads), and what shall not depend on how one process happens to lie
//! in memory, is measured in a new one: this executable starts itself again with [`FLAG`], the contestant's label, the
//! question and the effort, and prints one line of values. [`measure`] is one end of that, [`run`] the other.
//!
//! Two labels may mean the same contestant with another setting: [`has_rescue`] reads it from the environment, so that both
//! run the same instructions at the same places of the same executable.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::Rt;
use crate::process;
use crate::questions::echo::place;
use crate::questions::{Effort, Home, all, growth};
use crate::stats::median;

/// The first argument of such a process.
pub const FLAG: &str = "--child";

/// The variable of the environment that switches rescue off.
const RESCUE: &str = "RUNTIME_BENCHES_RESCUE";

/// How long one measurement may take.
const LIMIT: Duration = Duration::from_secs(90);

/// How often a question of [`Home::Shared`] is asked in a fresh process, after once as warm-up.
const REPEATS: usize = 5;

/// How our runtime treats tasks that poll too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescue {
    /// As it is by default.
    On,
    /// Switched off on the builder.
    Off,
}

/// Returns whether our runtime shall start with rescue in this process.
pub fn has_rescue() -> bool {
    std::env::var_os(RESCUE).is_none_or(|value| value != "off")
}

/// Returns this executable.
pub fn this() -> PathBuf {
    std::env::current_exe().expect("Linux knows the executable")
}

/// Measures once in a fresh process of `executable`, which passes `contestant` to [`run`]; `None` if it fails.
pub fn measure(
    executable: impl AsRef<Path>,
    contestant: &str,
    rescue: Rescue,
    question: &str,
    effort: Effort,
) -> Option<Vec<f64>> {
    let quiet = match effort {
        Effort::Full { quiet } => quiet.as_secs().to_string(),
        Effort::Smoke => "smoke".into(),
    };
    let rescue = match rescue {
        Rescue::On => "on",
        Rescue::Off => "off",
    };
    let output = Command::new(executable.as_ref())
        .args([FLAG, contestant, question, &quiet])
        .env(RESCUE, rescue)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("the executable starts");
    let values = String::from_utf8(output.stdout)
        .ok()
        .filter(|_| output.status.success())
        .and_then(|line| {
            line.split_whitespace()
                .map(|value| value.parse().ok())
                .collect()
        });
    if values.is_none() {
        eprintln!("{question}: {contestant} failed, {}", output.status);
    }
    values
}

/// Asks the question that the arguments behind [`FLAG`] and the contestant's label name, and ends the process.
///
/// # Panics
///
/// On arguments that [`measure`] does not write.
pub fn run<R: Rt>(arguments: &[String]) -> ExitCode {
    let question = all::<R>()
        .into_iter()
        .chain(growth::questions())
        .find(|question| question.name == arguments[0])
        .expect("the other end knows the questions");
    let effort = effort(&arguments[1]);
    let time = match effort {
        Effort::Full { quiet } => LIMIT + quiet,
        Effort::Smoke => LIMIT,
    };
    let limit = limit(R::NAME, &question.name, time);
    if question.is_pinned {
        process::bind_to_cpu(place().0);
    }
    let rt = R::start(question.workers);
    let values = match (question.home, effort) {
        (Home::Shared, Effort::Full { .. }) => {
            (question.measure)(&rt, effort);
            let runs: Vec<_> = (0..REPEATS)
                .map(|_| (question.measure)(&rt, effort))
                .collect();
            let middle = |at| median(&mut runs.iter().map(|run| run[at]).collect::<Vec<f64>>());
            (0..question.metrics.len()).map(middle).collect()
        }
        _ => (question.measure)(&rt, effort),
    };
    drop(limit);
    answer(&values)
}

/// Reads the effort as [`measure`] writes it.
pub fn effort(argument: &str) -> Effort {
    match argument.parse() {
        Ok(quiet) => Effort::Full {
            quiet: Duration::from_secs(quiet),
        },
        Err(_) => Effort::Smoke,
    }
}

/// Prints the values for the other end and ends this process.
pub fn answer(values: &[f64]) -> ! {
    let values: Vec<String> = values.iter().map(f64::to_string).collect();
    println!("{}", values.join(" "));
    // Leaves servers and hogs running to the end instead of asking the runtime to stop them: that
    // is not what is measured.
    std::process::exit(0)
}

/// Ends this process, saying why, unless the result is dropped within the usual limit.
pub fn guard(contestant: &'static str, question: &str) -> Sender<()> {
    limit(contestant, question, LIMIT)
}

fn limit(contestant: &'static str, question: &str, time: Duration) -> Sender<()> {
    let (alive, watched) = channel();
    let question = question.to_string();
    std::thread::spawn(move || {
        if watched.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{question}: {contestant} hangs, given up after {time:?}");
            std::process::exit(1);
        }
    });
    alive
}
