//! Lines for whoever watches the terminal.
//!
//! Writing to a terminal can block (somebody pressed Ctrl-S, a pipe is full), and no task may wait
//! for that. So lines go through a bounded queue to a thread of their own; if it cannot keep up,
//! lines are lost and counted instead of holding up the chat.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::protocol::unix_millis;

/// How many lines may wait for the terminal.
const LINES: usize = 1024;

/// Takes lines. Clones write to the same terminal.
#[derive(Clone, Debug)]
pub struct Log {
    /// To the thread that writes.
    lines: mpsc::SyncSender<String>,
    /// How many lines did not fit since the last one that did.
    lost: Arc<AtomicU64>,
}

/// Ends when every [`Log`] is dropped and all lines are written.
#[derive(Debug)]
pub struct Writer {
    /// Disconnected when the last line is written.
    done: mpsc::Receiver<()>,
}

impl Log {
    /// Starts the thread that writes.
    pub fn start() -> io::Result<(Log, Writer)> {
        let (lines, incoming) = mpsc::sync_channel::<String>(LINES);
        let (finished, done) = mpsc::channel();
        thread::Builder::new().name("log".into()).spawn(move || {
            for line in incoming {
                // Nobody may be reading any more: that is no reason to end the chat.
                let _ = io::stdout().write_all(line.as_bytes());
            }
            drop(finished);
        })?;
        let lost = Arc::new(AtomicU64::new(0));
        Ok((Log { lines, lost }, Writer { done }))
    }

    /// Writes a line, with the time of day (UTC) before it.
    pub fn line(&self, text: impl std::fmt::Display) {
        let seconds = unix_millis() / 1000 % 86_400;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        // Relaxed: a plain counter.
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let gap = match lost {
            0 => String::new(),
            lost => format!("          ({lost} lines lost)\n"),
        };
        let line = format!("{gap}{hours:02}:{minutes:02}:{seconds:02}  {text}\n");
        if self.lines.try_send(line).is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Waits until all lines are written, but not for a terminal that stands still.
    pub fn finish(self) {
        let _ = self.done.recv_timeout(Duration::from_secs(1));
    }
}
