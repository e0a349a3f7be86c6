//! Go as a contestant of the matrix of hogs.
//!
//! `benches/peers/hogs.go` does what [`hogs`](crate::questions::hogs) does: the same server, tick, hogs and course on two
//! threads, with the same client. It is built when it is wanted, with the `go` on the path.

use std::io::{BufRead, BufReader, ErrorKind, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::client::Client;
use crate::questions::Effort;
use crate::questions::hogs::{Cell, Course, Habit, Observed};

/// The program, built.
#[derive(Debug)]
pub struct Go {
    /// Where it is.
    executable: PathBuf,
    /// What built it.
    version: String,
}

impl Go {
    /// Builds the program in the folder `target`.
    ///
    /// # Errors
    ///
    /// Says why there is none: most often because there is no Go.
    pub fn build(target: &Path) -> Result<Self, String> {
        let version = match Command::new("go").arg("version").output() {
            Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_string(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err("it is not on the path".into());
            }
            Err(error) => return Err(error.to_string()),
        };
        let executable = target.join("hogs-go");
        let build = Command::new("go")
            .args(["build", "-o"])
            .arg(&executable)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/hogs.go"))
            .output()
            .map_err(|error| error.to_string())?;
        if !build.status.success() {
            return Err(String::from_utf8_lossy(&build.stderr).into_owned());
        }
        Ok(Self {
            executable,
            version,
        })
    }

    /// Returns which Go it is.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs one cell and returns its values; `None` if the program fails.
    pub fn measure(&self, cell: Cell, effort: Effort) -> Option<Vec<f64>> {
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
        let mut child = Command::new(&self.executable)
            .args([&cell.hogs.to_string(), habit])
            .args(times.map(|time| time.as_millis().to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let stdout = child.stdout.take().expect("it is piped");
        let mut program = Program {
            child,
            lines: BufReader::new(stdout).lines(),
        };
        let values = program.run(course);
        if values.is_none() {
            eprintln!("{cell}: go failed");
        }
        values
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
    fn run(&mut self, course: Course) -> Option<Vec<f64>> {
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
