//! Go as a contestant.
//!
//! `benches/peers/micro.go` answers the questions that goroutines have an equivalent of, and serves echoes to the same client;
//! `benches/peers/hogs.go` does what [`hogs`] does: the same server, tick, hogs and course. Both run on two threads. They
//! are built when the first question is asked, with the `go` on the path; without one, Go takes no part.

use std::cell::OnceCell;
use std::io::{BufRead, BufReader, ErrorKind, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use crate::client::Client;
use crate::contestant::Contestant;
use crate::questions::echo::CASES;
use crate::questions::hogs::{self, Cell, Course, Habit, Observed};
use crate::questions::{Effort, tcp};
use crate::report;

/// The contestant.
#[derive(Debug, Default)]
pub struct Go {
    /// Built when first wanted; `None`: there is no Go.
    programs: OnceCell<Option<Programs>>,
}

/// The programs, built.
#[derive(Debug)]
struct Programs {
    /// From `micro.go`.
    micro: PathBuf,
    /// From `hogs.go`.
    hogs: PathBuf,
    /// The questions that `micro` answers.
    questions: Vec<String>,
}

impl Contestant for Go {
    fn name(&self) -> &'static str {
        "go"
    }

    fn knows(&self, question: &str) -> bool {
        self.programs().is_some_and(|programs| {
            programs.questions.iter().any(|known| known == question)
                || served(question).is_some()
                || cell(question).is_some()
        })
    }

    fn measure(&self, question: &str, effort: Effort) -> Option<Vec<f64>> {
        let values = self.try_measure(question, effort);
        if values.is_none() {
            eprintln!("{question}: go failed");
        }
        values
    }

    fn measure_fresh(&self, question: &str, effort: Effort) -> Option<Vec<f64>> {
        self.measure(question, effort)
    }

    fn run_fresh(&self, _: &[String]) -> ExitCode {
        unreachable!("its programs are other executables")
    }
}

impl Go {
    fn programs(&self) -> Option<&Programs> {
        let built = self.programs.get_or_init(|| match Programs::build() {
            Ok(programs) => Some(programs),
            Err(reason) => {
                eprintln!("go: left out, {reason}");
                None
            }
        });
        built.as_ref()
    }

    fn try_measure(&self, question: &str, effort: Effort) -> Option<Vec<f64>> {
        let programs = self.programs()?;
        if let Some(cell) = cell(question) {
            return programs.measure_hogs(cell, effort);
        }
        if let Some(served) = served(question) {
            let mut program = Program::start(
                Command::new(&programs.micro).args(["serve", &served.buffer.to_string()]),
            )?;
            let server = tcp::Server {
                address: program.line("listening ")?.parse().ok()?,
                pid: program.child.id(),
            };
            return Some((served.drive)(&server, effort));
        }
        let effort = effort.pick("full", "smoke");
        let mut program = Program::start(Command::new(&programs.micro).args([question, effort]))?;
        let values = program.line("")?;
        let values = values.split_whitespace().map(|value| value.parse().ok());
        values.collect()
    }
}

/// Drives a server and returns a question's figures.
type Drive = Box<dyn Fn(&tcp::Server, Effort) -> Vec<f64>>;

/// How a question that has a server asks it.
struct Served {
    /// What the server reads at most at once.
    buffer: usize,
    /// How it is asked.
    drive: Drive,
}

/// How the question of this name asks its server; `None` for questions without one, and for that of a bound server, since
/// the program has two threads.
fn served(question: &str) -> Option<Served> {
    let lanes = question.strip_prefix("accept_churn_");
    if let Some(lanes) = lanes.and_then(|lanes| lanes.parse().ok()) {
        return Some(Served {
            buffer: 1024,
            drive: Box::new(move |server, effort| tcp::churn(server, effort, lanes)),
        });
    }
    let mut cases = CASES.into_iter().filter(|case| !case.is_pinned);
    let case = cases.find(|case| case.name == question)?;
    Some(Served {
        buffer: case.buffer(),
        drive: Box::new(move |server, effort| case.drive(server, effort)),
    })
}

/// The cell of the matrix of hogs that has this name.
fn cell(question: &str) -> Option<Cell> {
    hogs::cells().find(|cell| cell.to_string() == question)
}

impl Programs {
    /// Builds the programs in Cargo's target folder.
    ///
    /// # Errors
    ///
    /// Says why there are none: most often because there is no Go.
    fn build() -> Result<Self, String> {
        let target = report::target().map_err(|error| error.to_string())?;
        let build = |name: &str| {
            let executable = target.join(format!("{name}-go"));
            let source = format!("{}/peers/{name}.go", env!("CARGO_MANIFEST_DIR"));
            let mut command = Command::new("go");
            command.args(["build", "-o"]).arg(&executable).arg(source);
            match command.output() {
                Ok(output) if output.status.success() => Ok(executable),
                Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Err("it is not on the path".to_string())
                }
                Err(error) => Err(error.to_string()),
            }
        };
        let (micro, hogs) = (build("micro")?, build("hogs")?);
        let list = Command::new(&micro).arg("list").output();
        let list = list.map_err(|error| error.to_string())?;
        let questions = String::from_utf8_lossy(&list.stdout);
        Ok(Self {
            questions: questions.lines().map(String::from).collect(),
            micro,
            hogs,
        })
    }

    /// Runs one cell and returns its values; `None` if the program fails.
    fn measure_hogs(&self, cell: Cell, effort: Effort) -> Option<Vec<f64>> {
        let course = Course::new(effort);
        let habit = match cell.habit {
            Habit::Spin => "spin",
            Habit::Sleep => "sleep",
        };
        let times = [
            cell.poll,
            course.alone,
            course.settle,
            course.window,
            course.patience,
        ];
        let mut command = Command::new(&self.hogs);
        command
            .args([&cell.hogs.to_string(), habit])
            .args(times.map(|time| time.as_millis().to_string()));
        Program::start(&mut command)?.run_hogs(course)
    }
}

/// The running program.
struct Program {
    /// It is killed on drop: its hogs never end.
    child: Child,
    /// What it prints.
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(command: &mut Command) -> Option<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let stdout = child.stdout.take().expect("it is piped");
        Some(Self {
            child,
            lines: BufReader::new(stdout).lines(),
        })
    }

    fn run_hogs(&mut self, course: Course) -> Option<Vec<f64>> {
        let address = self.line("listening ")?.parse().ok()?;
        let mut client = Client::start(address, course.load());
        client.expect("start");
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(b"go\n").ok()?;
        let done: Vec<f64> = self
            .line("done ")?
            .split_whitespace()
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let echoes = client.expect("done");
        let spans = |ends: &[f64]| {
            ends.chunks_exact(2)
                .map(|span| (span[0], span[1]))
                .collect()
        };
        let [hogs_at, start, end, work, ticks @ ..] = done.as_slice() else {
            return None;
        };
        let observed = Observed {
            hogs_at: *hogs_at,
            window: (*start, *end),
            work: *work,
            echoes: spans(&echoes),
            ticks: spans(ticks),
        };
        Some(observed.values())
    }

    /// What follows `word` on the next line.
    fn line(&mut self, word: &str) -> Option<String> {
        let line = self.lines.next()?.ok()?;
        Some(line.strip_prefix(word)?.to_string())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
