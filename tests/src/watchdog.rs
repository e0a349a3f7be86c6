//! Ends the process when a test takes too long.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Aborts the process, naming the test, unless it is dropped within its limit.
///
/// The name is that of the thread which made it, which under the test harness is the test's.
#[derive(Debug)]
pub struct Watchdog {
    /// Dropped to end the watching thread.
    cancel: Option<Sender<()>>,
    /// The watching thread, joined so that it never outlives the test.
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to watch the calling test.
    pub fn new(limit: Duration) -> Watchdog {
        Watchdog::over(thread::current().name().unwrap_or("?"), limit)
    }

    /// Starts to watch one step of a test, which it names.
    pub fn over(name: &str, limit: Duration) -> Watchdog {
        let name = name.to_owned();
        let (cancel, cancelled) = channel::<()>();
        let thread = thread::spawn(move || {
            if cancelled.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // Not `eprintln!`, which the harness would keep for a report it never makes.
                let text = format!("test {name} did not end within {limit:?}: it hangs\n");
                let _ = std::io::stderr().write_all(text.as_bytes());
                std::process::abort();
            }
        });
        Watchdog {
            cancel: Some(cancel),
            thread: Some(thread),
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.cancel.take());
        if let Some(thread) = self.thread.take() {
            // Its only panic would be one while it prints, which changes nothing here.
            let _ = thread.join();
        }
    }
}
