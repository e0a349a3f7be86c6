//! The list of live tasks.
//!
//! What makes and prints it is `#[inline]`, so that programs that call it compile it, and not everybody with the crate.

use executor::task::Id;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// The tasks of a runtime that had not completed when it was asked, by [`Handle::tasks`](crate::Handle::tasks).
///
/// Printed, it is a table with one row a task, those that are polled first:
///
/// ```text
/// id  state                   age  polls  busy  name            spawned at
/// 12  running 41 ms, lane 0   2 s    ~251  ~1 s  resize (hog)    src/main.rs:31:18
///  9  waiting                 2 s      -     -  accept          src/main.rs:12:5
/// ```
///
/// Polls and busy time are estimates: one poll in 251 is looked at, and the sum multiplied. "-" says that none was looked at so far. The age counts
/// from the end of the first poll.
///
/// # Examples
///
/// ```
/// # runtime::block_on(async {
/// let waiting = runtime::task::Builder::new()
///     .name("patient")
///     .spawn(std::future::pending::<()>())?;
/// let tasks = runtime::Handle::current().tasks();
/// let patient = tasks.iter().find(|task| task.name() == Some("patient"));
/// assert_eq!(patient.map(|task| task.id()), Some(waiting.id()));
/// println!("{tasks}");
/// # Ok::<(), std::io::Error>(())
/// # }).expect("there is a runtime");
/// ```
#[derive(Debug, Clone)]
pub struct TaskList(Vec<TaskInfo>);

/// What was true of a task when the list was made.
#[derive(Debug, Clone)]
pub struct TaskInfo(executor::TaskInfo);

/// What a task was doing when the list was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState<'a> {
    /// It waited to be woken.
    Waiting,
    /// It had been woken and waited for a thread.
    Scheduled,
    /// It was being polled.
    Running {
        /// On which thread, where that could be told: "worker 1", "spare 3", "guest 0", "lane 2", "current thread".
        place: Option<&'a str>,
        /// For how long, at least. Zero if the poll had not been noticed: the watchman looks every 1 to 4 ms, and not on a current-thread
        /// runtime.
        at_least: Duration,
    },
}

impl TaskInfo {
    /// Returns the identity of the task.
    pub fn id(&self) -> Id {
        self.0.id
    }

    /// Returns the name that [`Builder::name`](super::Builder::name) gave it.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Returns where it was spawned.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// Returns what it was doing.
    pub fn state(&self) -> TaskState<'_> {
        match &self.0.state {
            executor::TaskState::Waiting => TaskState::Waiting,
            executor::TaskState::Scheduled => TaskState::Scheduled,
            executor::TaskState::Running { place, at_least } => TaskState::Running {
                place: place.as_deref(),
                at_least: *at_least,
            },
        }
    }

    /// Returns how long ago its first poll was over, to some 30 ms; `None` before that. It wraps after two years.
    pub fn age(&self) -> Option<Duration> {
        self.0.age
    }

    /// Returns about how often it was polled: an estimate from one poll in 251, zero if none of them was looked at.
    pub fn polls(&self) -> u64 {
        self.0.polls
    }

    /// Returns about how long all its polls took together: an estimate from one poll in 251.
    pub fn busy(&self) -> Duration {
        self.0.busy
    }

    /// Returns whether it is polled in the hog lane, because it was caught in a poll that lasted too long.
    pub fn is_hog(&self) -> bool {
        self.0.is_hog
    }

    /// The cells of its row.
    #[inline]
    fn row(&self) -> [String; 7] {
        let state = match self.state() {
            TaskState::Waiting => "waiting".into(),
            TaskState::Scheduled => "scheduled".into(),
            TaskState::Running { place, at_least } => {
                let mut text = String::from("running");
                if !at_least.is_zero() {
                    text += " ";
                    text += &short(at_least);
                }
                if let Some(place) = place {
                    text += ", ";
                    text += place;
                }
                text
            }
        };
        let estimate = |text: String| {
            if self.polls() == 0 {
                "-".into()
            } else {
                format!("~{text}")
            }
        };
        let name = match (self.name(), self.is_hog()) {
            (Some(name), true) => format!("{} (hog)", name.escape_debug()),
            (Some(name), false) => name.escape_debug().to_string(),
            (None, true) => "(hog)".into(),
            (None, false) => String::new(),
        };
        [
            self.id().to_string(),
            state,
            self.age().map_or("new".into(), short),
            estimate(self.polls().to_string()),
            estimate(short(self.busy())),
            name,
            self.location().to_string(),
        ]
    }

    /// Running first, then scheduled, then waiting; each by id.
    #[inline]
    fn rank(&self) -> (u8, Id) {
        let state = match self.0.state {
            executor::TaskState::Running { .. } => 0,
            executor::TaskState::Scheduled => 1,
            executor::TaskState::Waiting => 2,
        };
        (state, self.id())
    }
}

impl TaskList {
    #[inline]
    pub(crate) fn new(tasks: Vec<executor::TaskInfo>) -> TaskList {
        let mut tasks: Vec<TaskInfo> = tasks.into_iter().map(TaskInfo).collect();
        tasks.sort_by_key(TaskInfo::rank);
        TaskList(tasks)
    }

    /// Returns the number of tasks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there was none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Goes through the tasks: those being polled first, then those that wait for a thread, then the others.
    pub fn iter(&self) -> std::slice::Iter<'_, TaskInfo> {
        self.0.iter()
    }
}

impl IntoIterator for TaskList {
    type Item = TaskInfo;
    type IntoIter = std::vec::IntoIter<TaskInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a TaskList {
    type Item = &'a TaskInfo;
    type IntoIter = std::slice::Iter<'a, TaskInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for TaskList {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["id", "state", "age", "polls", "busy", "name", "spawned at"].map(String::from);
        let rows: Vec<_> = std::iter::once(head)
            .chain(self.0.iter().map(TaskInfo::row))
            .collect();
        let width = |column: usize| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: [usize; 7] = std::array::from_fn(width);
        for (number, row) in rows.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            let [id, state, age, polls, busy, name, location] = row;
            let [w_id, w_state, w_age, w_polls, w_busy, w_name, _] = widths;
            write!(
                f,
                "{id:>w_id$}  {state:<w_state$}  {age:>w_age$}  {polls:>w_polls$}  {busy:>w_busy$}  {name:<w_name$}  {location}"
            )?;
        }
        Ok(())
    }
}

/// A duration in one unit, with at most three digits: "850 µs", "12 ms", "3.4 s", "51 min", "7.2 h", "12 d".
#[inline]
fn short(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 60.0 => (s, "s"),
        s if s < 3600.0 => (s / 60.0, "min"),
        s if s < 86400.0 => (s / 3600.0, "h"),
        s => (s / 86400.0, "d"),
    };
    if value < 9.95 && unit != "µs" {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let cases = [
            (Duration::ZERO, "0 µs"),
            (Duration::from_micros(850), "850 µs"),
            (Duration::from_micros(1_240), "1.2 ms"),
            (Duration::from_millis(41), "41 ms"),
            (Duration::from_secs(3), "3.0 s"),
            (Duration::from_secs(51 * 60), "51 min"),
            (Duration::from_secs(26_000), "7.2 h"),
            (Duration::from_secs(86_400 * 12), "12 d"),
        ];
        for (duration, text) in cases {
            assert_eq!(short(duration), text);
        }
    }
}
