//! Tests that need a process of their own.
//!
//! [`run`] starts the test binary again, with a filter that picks the same test and an
//! environment variable that tells it that it is the child; there the same call runs the
//! body. So a test that lowers a resource limit, stops itself or counts its threads is
//! written like any other:
//!
//! ```text
//! #[test]
//! fn too_many_files() {
//!     child::run("too_many_files", || { … });
//! }
//! ```
//!
//! The child runs its test on its main thread, so it starts with exactly one thread.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{LIMIT, Watchdog};

/// Names, in the child's environment, the test whose body it is to run.
const VARIABLE: &str = "RUNTIME_TESTS_CHILD";

/// Runs `body` in a process of its own and panics unless it succeeds within [`LIMIT`].
///
/// `test` is the full name of the calling test, as the harness prints it.
#[track_caller]
pub fn run(test: &str, body: impl FnOnce()) {
    run_with(test, |_| {}, body);
}

/// As [`run`], with a chance to change the child's environment before it starts.
#[track_caller]
pub fn run_with(test: &str, prepare: impl FnOnce(&mut Command), body: impl FnOnce()) {
    if let Some(mut child) = start_with(test, prepare, body) {
        child.succeeds();
    }
}

/// Starts `body` in a process of its own, for a test that has something to do to it.
///
/// Returns `None` in the child, after `body` has run.
#[track_caller]
pub fn start(test: &str, body: impl FnOnce()) -> Option<Process> {
    start_with(test, |_| {}, body)
}

#[track_caller]
fn start_with(
    test: &str,
    prepare: impl FnOnce(&mut Command),
    body: impl FnOnce(),
) -> Option<Process> {
    if is(test) {
        body();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().expect("a process knows its file"));
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(VARIABLE, test)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    prepare(&mut command);
    let mut child = command.spawn().expect("the test binary can be started");
    let output = BufReader::new(child.stdout.take().expect("it was piped"));
    let errors = BufReader::new(child.stderr.take().expect("it was piped"));
    Some(Process {
        child,
        output,
        errors: Some(errors),
        said: String::new(),
    })
}

/// Returns whether this process is the one in which the body of `test` runs.
pub fn is(test: &str) -> bool {
    std::env::var(VARIABLE).is_ok_and(|name| name == test)
}

/// Says `line` to the parent, which waits for it with [`Process::wait_for`].
pub fn say(line: &str) {
    println!("\n{line}");
}

/// A test's own process, seen from its parent.
#[derive(Debug)]
pub struct Process {
    /// The process.
    child: Child,
    /// Its standard output.
    output: BufReader<std::process::ChildStdout>,
    /// Its standard error; `None` once it is being read to its end.
    errors: Option<BufReader<std::process::ChildStderr>>,
    /// What was read of its output so far.
    said: String,
}

impl Process {
    /// Returns the process' id, for signals.
    pub fn id(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Returns the pipe to the child's standard input.
    pub fn input(&mut self) -> &mut std::process::ChildStdin {
        self.child.stdin.as_mut().expect("it was piped")
    }

    /// Closes the pipe to the child's standard input.
    pub fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for the end of the child and returns the signal that ended it.
    pub fn ended_by(&mut self) -> Option<i32> {
        let _watchdog = Watchdog::new(LIMIT);
        let status = self.child.wait().expect("it is our child");
        status.signal()
    }

    /// Waits until the child says `line`.
    ///
    /// # Panics
    ///
    /// When the child ends without having said it.
    #[track_caller]
    pub fn wait_for(&mut self, line: &str) {
        let _watchdog = Watchdog::new(LIMIT);
        loop {
            let mut next = String::new();
            let length = self.output.read_line(&mut next).expect("a pipe");
            self.said.push_str(&next);
            if next.trim_end() == line {
                return;
            }
            assert!(length > 0, "it ended before it said {line}: {self:?}");
        }
    }

    /// Waits until the child writes a line that contains `part` to standard error, and returns what it wrote
    /// there up to the end of that line.
    ///
    /// # Panics
    ///
    /// When the child ends without having written one.
    #[track_caller]
    pub fn wait_for_error(&mut self, part: &str) -> String {
        let _watchdog = Watchdog::new(LIMIT);
        let errors = self.errors.as_mut().expect("it has not ended");
        let mut text = String::new();
        loop {
            let before = text.len();
            let length = errors.read_line(&mut text).expect("a pipe");
            if text[before..].contains(part) {
                return text;
            }
            assert!(length > 0, "it ended before it wrote {part}:\n{text}");
        }
    }

    /// Waits for the end of the child, panics unless it succeeded within [`LIMIT`], and returns
    /// what it wrote to standard error, after what [`wait_for_error`](Process::wait_for_error) has read.
    #[track_caller]
    pub fn succeeds(&mut self) -> String {
        // Its output is read by a thread, so that a full pipe cannot hold it up.
        let mut errors = self.errors.take().expect("it has not ended");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break Some(status);
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let _ = self.output.read_to_string(&mut self.said);
        let errors = reader.join().expect("reading does not panic");
        match status {
            Some(status) if status.success() && self.said.contains("1 passed") => errors,
            Some(status) => panic!("the child failed: {status}\n{}\n{errors}", self.said),
            None => panic!(
                "the child did not end within {LIMIT:?}: it hangs\n{}\n{errors}",
                self.said
            ),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless the parent's test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
