//! The books: for each kind of work, what was begun and what became of it.
//!
//! Everything that is begun ends in one of three ways, every [`Token`] that is made is dropped once, every byte that is sent is
//! received. While the program runs, differences are what is under way; at the end there are none.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use runtime::task::JoinError;
use runtime_tests::panic_text;

/// How every panic begins that the program means to happen.
const PLANNED: &str = "planned:";

/// How many panics were planned and have begun.
static PLANNED_PANICS: AtomicU64 = AtomicU64::new(0);

/// How many planned panics the hook has seen.
static SEEN_PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics as planned.
pub fn panic_as_planned(why: &'static str) -> ! {
    PLANNED_PANICS.fetch_add(1, Relaxed);
    panic!("{PLANNED} {why}");
}

/// Returns whether a panic with this message was planned, and counts it.
pub fn was_planned(message: &str) -> bool {
    let planned = message.starts_with(PLANNED);
    if planned {
        SEEN_PANICS.fetch_add(1, Relaxed);
    }
    planned
}

/// Panics as planned when it is dropped.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // A second panic during the first would abort the process, by the language's rule.
        if !std::thread::panicking() {
            panic_as_planned("in a drop");
        }
    }
}

/// What has to become of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It gives its output.
    Complete,
    /// It panics as planned.
    Panic,
    /// It is cancelled.
    Cancel,
    /// It is asked to stop while it may be at its end: it completes or is cancelled.
    Race,
}

/// The books of one kind of work.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What kind.
    name: &'static str,
    /// Pieces of work begun.
    begun: AtomicU64,
    /// Those that gave their output.
    completed: AtomicU64,
    /// Those that were cancelled; of connections, those that were reset.
    cancelled: AtomicU64,
    /// Those that panicked, as planned.
    panicked: AtomicU64,
    /// Tokens made.
    made: AtomicU64,
    /// Tokens dropped.
    dropped: AtomicU64,
    /// Bytes or messages sent.
    sent: AtomicU64,
    /// Bytes or messages received.
    received: AtomicU64,
}

impl Ledger {
    /// Notes that a piece of work begins.
    pub fn begin(&self) {
        self.begin_many(1);
    }

    /// Notes that several begin.
    pub fn begin_many(&self, count: u64) {
        self.begun.fetch_add(count, Relaxed);
    }

    /// Notes that one has given its output.
    pub fn complete(&self) {
        self.completed.fetch_add(1, Relaxed);
    }

    /// Notes that some were cancelled.
    pub fn cancel(&self, count: u64) {
        self.cancelled.fetch_add(count, Relaxed);
    }

    /// Notes that one has panicked as planned.
    pub fn panic(&self) {
        self.panicked.fetch_add(1, Relaxed);
    }

    /// Notes what became of a task, which must be what was meant to.
    #[track_caller]
    pub fn settle<T>(&self, fate: Fate, result: Result<T, JoinError>) -> Option<T> {
        match result {
            Ok(output) => {
                assert!(
                    matches!(fate, Fate::Complete | Fate::Race),
                    "{}: completed, though meant to {fate:?}",
                    self.name
                );
                self.complete();
                return Some(output);
            }
            Err(error) if error.is_cancelled() => {
                assert!(
                    matches!(fate, Fate::Cancel | Fate::Race),
                    "{}: cancelled, though meant to {fate:?}",
                    self.name
                );
                self.cancel(1);
            }
            Err(error) => {
                let message = panic_text(&*error.into_panic());
                assert!(
                    fate == Fate::Panic && message.starts_with(PLANNED),
                    "{}: panicked, though meant to {fate:?}: {message}",
                    self.name
                );
                self.panic();
            }
        }
        None
    }

    /// Makes a value that must be dropped once.
    pub fn token(self: &Arc<Self>) -> Token {
        self.made.fetch_add(1, Relaxed);
        Token(self.clone())
    }

    /// Returns how many tokens are yet to be dropped.
    pub fn tokens_out(&self) -> i64 {
        self.made.load(Relaxed) as i64 - self.dropped.load(Relaxed) as i64
    }

    /// Notes bytes or messages that were sent.
    pub fn send(&self, count: usize) {
        self.sent.fetch_add(count as u64, Relaxed);
    }

    /// Notes bytes or messages that have arrived.
    pub fn receive(&self, count: usize) {
        self.received.fetch_add(count as u64, Relaxed);
    }

    /// Returns how many pieces of work have ended.
    pub fn ended(&self) -> u64 {
        self.completed.load(Relaxed) + self.cancelled.load(Relaxed) + self.panicked.load(Relaxed)
    }

    fn is_balanced(&self) -> bool {
        self.begun.load(Relaxed) == self.ended()
            && self.tokens_out() == 0
            && self.sent.load(Relaxed) == self.received.load(Relaxed)
    }
}

/// Must be dropped once.
#[derive(Debug)]
pub struct Token(Arc<Ledger>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Relaxed);
    }
}

/// All ledgers.
#[derive(Debug, Default)]
pub struct Books(Mutex<Vec<Arc<Ledger>>>);

impl Books {
    /// Opens a ledger for a kind of work.
    pub fn open(&self, name: &'static str) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger {
            name,
            ..Ledger::default()
        });
        self.all().push(ledger.clone());
        ledger
    }

    /// Returns how many pieces of work of all kinds have ended.
    pub fn ended(&self) -> u64 {
        self.all().iter().map(|ledger| ledger.ended()).sum()
    }

    /// Returns whether nothing of the kind of that name is under way.
    pub fn is_balanced(&self, name: &str) -> bool {
        let all = self.all();
        let mut named = all.iter().filter(|ledger| ledger.name == name);
        named.all(|ledger| ledger.is_balanced())
    }

    /// Returns what does not balance, which at the end is nothing.
    pub fn unbalanced(&self) -> Vec<String> {
        let mut wrong: Vec<_> = self
            .all()
            .iter()
            .filter(|ledger| !ledger.is_balanced())
            .map(|ledger| format!("the books of \"{}\" do not balance", ledger.name))
            .collect();
        let (planned, seen) = (PLANNED_PANICS.load(Relaxed), SEEN_PANICS.load(Relaxed));
        if planned != seen {
            wrong.push(format!("{planned} panics were planned, {seen} were seen"));
        }
        wrong
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Ledger>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>12} {:>12}",
            "kind of work",
            "begun",
            "completed",
            "cancelled",
            "panicked",
            "made",
            "dropped",
            "sent",
            "received"
        )?;
        for ledger in self.all().iter() {
            writeln!(
                f,
                "{:<20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>12} {:>12}{}",
                ledger.name,
                ledger.begun.load(Relaxed),
                ledger.completed.load(Relaxed),
                ledger.cancelled.load(Relaxed),
                ledger.panicked.load(Relaxed),
                ledger.made.load(Relaxed),
                ledger.dropped.load(Relaxed),
                ledger.sent.load(Relaxed),
                ledger.received.load(Relaxed),
                if ledger.is_balanced() {
                    ""
                } else {
                    "  under way"
                },
            )?;
        }
        write!(f, "planned panics: {}", PLANNED_PANICS.load(Relaxed))
    }
}
