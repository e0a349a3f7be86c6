//! Child processes, all at the same time, each with a limit; Ctrl-C ends them all.
//!
//! The runtime has no `process` module yet, and `std::process::Child::wait` would hold a thread that
//! nothing can call back. So `ended` listens for `SIGCHLD`, which the system sends whenever a
//! child has ended, and asks std which one. It costs no thread, and may be given up at any time.
//!
//! ```text
//! cargo run --release --example children [COMMAND]...      (three of its own; each is run by sh)
//! ```

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use runtime::signal::unix::{SignalKind, signal};
use runtime::task::JoinSet;
use runtime::time::timeout;
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(2);

#[runtime::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut commands: Vec<String> = std::env::args().skip(1).collect();
    if commands.is_empty() {
        commands = ["echo hello", "exit 3", "sleep 60"].map(Into::into).into();
    }
    // One listener for the whole time: `ctrl_c()` in the loop would miss a signal between two calls.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut running = JoinSet::new();
    for command in commands {
        running.spawn(async move { (run(&command).await, command) });
    }
    loop {
        runtime::select! {
            joined = running.join_next() => match joined {
                Some(result) => {
                    let (outcome, command) = result.expect("no task panics or is aborted");
                    println!("{command:?}: {}", outcome.unwrap_or_else(|error| error.to_string()));
                }
                None => break,
            },
            Some(()) = interrupt.recv() => {
                println!("interrupted: ending what still runs ({})", running.len());
                // Drops the futures, and with them the children's owners.
                running.shutdown().await;
            }
        }
    }
    Ok(())
}

/// Runs a command and tells how it ended.
async fn run(command: &str) -> io::Result<String> {
    let child = Command::new("sh")
        .args(["-c", command])
        // With a group of their own, whatever the shell has started ends with it.
        .process_group(0)
        .spawn()?;
    let mut owner = Owner(child);
    match timeout(LIMIT, ended(&mut owner.0)).await {
        Ok(status) => Ok(status?.to_string()),
        Err(_) => Ok(format!("took longer than {LIMIT:?}")),
    }
}

/// Waits until a child has ended.
async fn ended(child: &mut Child) -> io::Result<ExitStatus> {
    // Before the first look, so that no end falls in between.
    let mut signals = signal(SignalKind::child())?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if signals.recv().await.is_none() {
            return Err(io::Error::other("the runtime has shut down"));
        }
    }
}

/// Ends a child that has not ended, when it is dropped; std lets it run on.
struct Owner(Child);

impl Drop for Owner {
    fn drop(&mut self) {
        // `None`: its number is still its own.
        if let Ok(None) = self.0.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            // Killed as it is, this does not take long.
            let _ = self.0.wait();
        }
    }
}
