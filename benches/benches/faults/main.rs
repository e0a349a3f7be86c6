//! Question: what happens in our runtime, in Tokio and in smol when a task, a thread or the system misbehaves?
//!
//! Method: each fault of `cases/` is made once in each runtime, with two workers and default settings unless the case says otherwise, in a fresh
//! process with a time limit. The case says what it has seen; a process that says nothing has been ended by a signal or is killed
//! when its time is over, and the last words of its standard error are what was seen.
//!
//! Read: **survived**, all that was asked for went on; **reported**, an error value said what was wrong; **panicked**, a panic did, in the one who
//! asked; **starved**, others had to wait; **leaked**, something stayed; **aborted**, **hung**: the process. It measures nothing
//! but rough times, and is not part of CI: `docs/reliability.md` has the table, with versions and date.
//!
//! ```text
//! cargo bench --bench faults                     all faults
//! cargo bench --bench faults -- drop fork        those that have one of these words in their name
//! cargo bench --bench faults -- --list           their names
//! ```

mod cases;
mod peer;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cases::Case;
use peer::{Ours, Peer, Smol, Tokio};

/// The first argument of a process that makes one fault.
const FLAG: &str = "--case";
/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Begins the line in which a case says what it has seen.
const SEEN: &str = "@seen ";

/// What came of a fault.
pub(crate) struct Seen {
    /// One word, as the header explains them.
    outcome: &'static str,
    /// What was observed.
    text: String,
}

/// Makes a [`Seen`].
pub(crate) fn seen(outcome: &'static str, text: impl Into<String>) -> Seen {
    let text = text.into();
    Seen { outcome, text }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let [flag, case, peer] = &arguments[..]
        && flag == FLAG
    {
        return make(case, peer);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for case in cases::all::<Ours>() {
            println!("{}", case.name);
        }
        return ExitCode::SUCCESS;
    }
    println!("| fault | ours | Tokio | smol |\n|---|---|---|---|");
    for case in cases::all::<Ours>() {
        let is_wanted = |word: &String| case.name.contains(word.as_str());
        if arguments.is_empty() || arguments.iter().any(is_wanted) {
            let cells = [Ours::NAME, Tokio::NAME, Smol::NAME].map(|peer| cell(&case, peer));
            println!("| {} {} | {} |", case.row, case.text, cells.join(" | "));
        }
    }
    ExitCode::SUCCESS
}

/// Makes the fault in this process.
fn make(name: &str, peer: &str) -> ExitCode {
    let seen = match peer {
        Ours::NAME => run(cases::all::<Ours>(), name),
        Tokio::NAME => run(cases::all::<Tokio>(), name),
        _ => run(cases::all::<Smol>(), name),
    };
    println!("{SEEN}{}|{}", seen.outcome, seen.text);
    // Without what is left of the runtime: some cases have it stuck.
    std::process::exit(0)
}

fn run(cases: Vec<Case>, name: &str) -> Seen {
    let case = cases.into_iter().find(|case| case.name == name);
    (case.expect("the parent knows its name").make)()
}

/// Makes the fault in a process of its own, and returns the cell of the table.
fn cell(case: &Case, peer: &str) -> String {
    let executable = std::env::current_exe().expect("Linux knows the executable");
    let mut child = Command::new(executable)
        .args([FLAG, case.name, peer])
        .envs(case.environment.iter().copied())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this executable can be started");
    let mut output = child.stdout.take().expect("it is piped");
    let mut errors = child.stderr.take().expect("it is piped");
    let errors = thread::spawn(move || text_of(&mut errors));
    let output = thread::spawn(move || text_of(&mut output));
    let end = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait().expect("it is our child") {
            Some(status) => break Some(status),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let output = output.join().expect("reading does not panic");
    let errors = errors.join().expect("reading does not panic");
    if let Some((outcome, text)) = output
        .lines()
        .find_map(|line| line.strip_prefix(SEEN)?.split_once('|'))
    {
        return match outcome {
            "–" => "–".to_owned(),
            _ => format!("**{outcome}**: {text}"),
        };
    }
    let last = errors
        .lines()
        .rfind(|line| !line.is_empty() && !line.starts_with("note:"))
        .unwrap_or("without a word");
    match status {
        None => format!("**hung**: killed after {} s, \"{last}\"", LIMIT.as_secs()),
        Some(status) => match status.signal() {
            Some(signal) => format!("**aborted**: signal {signal}, \"{last}\""),
            None => format!("**panicked**: {status}, \"{last}\""),
        },
    }
}

fn text_of(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
