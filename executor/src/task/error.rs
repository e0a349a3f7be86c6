//! Why a task gave no output.

use std::any::Any;
use std::fmt;

use parking_lot::Mutex;

use super::Id;

/// What a panic threw.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

/// Tells why a task has no output: it was cancelled, or it panicked.
///
/// # Examples
///
/// ```
/// fn describe(error: executor::task::JoinError) -> String {
///     match error.try_into_panic() {
///         Ok(payload) => match payload.downcast_ref::<&str>() {
///             Some(message) => format!("it said {message}"),
///             None => "it panicked".to_owned(),
///         },
///         Err(cancelled) => cancelled.to_string(),
///     }
/// }
/// ```
pub struct JoinError {
    /// The task concerned.
    id: Id,
    /// What happened to it.
    why: Why,
}

/// The kinds of failure.
enum Why {
    Cancelled(Reason),
    /// Under a lock only because a payload need not be `Sync`, and errors should be.
    Panicked(Mutex<Payload>),
}

/// What made a task end without its doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    /// Somebody aborted it, or the runtime shut down.
    Cancelled,
    /// A blocking job for which no thread could be started.
    NoThread,
}

impl Reason {
    /// The way back from `reason as u8`.
    pub(super) fn from_u8(number: u8) -> Reason {
        if number == Reason::NoThread as u8 {
            Reason::NoThread
        } else {
            Reason::Cancelled
        }
    }
}

impl JoinError {
    /// The error of a cancelled task.
    pub(crate) fn cancelled(id: Id, reason: Reason) -> JoinError {
        JoinError {
            id,
            why: Why::Cancelled(reason),
        }
    }

    /// The error of a task that panicked.
    pub(crate) fn panicked(id: Id, payload: Payload) -> JoinError {
        JoinError {
            id,
            why: Why::Panicked(Mutex::new(payload)),
        }
    }

    /// Returns whether the task was cancelled: by `abort`, or because its runtime shut down.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.why, Why::Cancelled(_))
    }

    /// Returns whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.why, Why::Panicked(_))
    }

    /// Returns what the panic threw, as `std::panic::catch_unwind` would; `std::panic::resume_unwind` throws it again.
    ///
    /// # Panics
    ///
    /// If the task did not panic but was cancelled. See [`try_into_panic`](JoinError::try_into_panic).
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.try_into_panic().expect(
            "`JoinError::into_panic` takes the payload of a panic, and this task was cancelled",
        )
    }

    /// Returns what the panic threw.
    ///
    /// # Errors
    ///
    /// Gives the error back if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match self.why {
            Why::Panicked(payload) => Ok(payload.into_inner()),
            Why::Cancelled(_) => Err(self),
        }
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        self.id
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match &self.why {
            Why::Cancelled(Reason::Cancelled) => write!(f, "task {id} was cancelled"),
            Why::Cancelled(Reason::NoThread) => write!(
                f,
                "task {id} was cancelled: the blocking pool has no thread and could not start one"
            ),
            Why::Panicked(payload) => match message(&payload.lock()) {
                Some(message) => write!(f, "task {id} panicked with message {message:?}"),
                None => write!(f, "task {id} panicked"),
            },
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match &self.why {
            Why::Cancelled(_) => write!(f, "JoinError::Cancelled({id})"),
            Why::Panicked(payload) => match message(&payload.lock()) {
                Some(message) => write!(f, "JoinError::Panic({id}, {message:?}, ...)"),
                None => write!(f, "JoinError::Panic({id}, ...)"),
            },
        }
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> std::io::Error {
        std::io::Error::other(error)
    }
}

/// The text that `panic!` threw, if it threw text.
fn message(payload: &Payload) -> Option<&str> {
    match payload.downcast_ref::<&'static str>() {
        Some(text) => Some(text),
        None => payload.downcast_ref::<String>().map(String::as_str),
    }
}
