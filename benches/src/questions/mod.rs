//! The questions, one module for each area.
//!
//! A module defines its workloads, generic over [`Rt`], and lists its questions: how to measure
//! each one once, and which goal the result has. [`crate::table`] asks them.

pub mod blocking;
pub mod guards;
pub mod hogs;
pub mod idle;
pub mod memory;
pub mod root;
pub mod spawn;
pub mod tcp;
pub mod timers;
pub mod wake;

use std::time::Duration;

use crate::Rt;

/// How much work a measurement does.
#[derive(Clone, Copy, Debug)]
pub enum Effort {
    /// Enough for a figure; an idle process is left alone for `quiet` before it is looked at.
    Full {
        /// The quiet before the idle question's window.
        quiet: Duration,
    },
    /// Enough to see that it works: for CI.
    Smoke,
}

impl Effort {
    /// Chooses a size.
    pub fn pick<T>(self, full: T, smoke: T) -> T {
        match self {
            Self::Full { .. } => full,
            Self::Smoke => smoke,
        }
    }
}

/// Where a measurement runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the table's process, on a runtime that lives as long as the table.
    Shared,
    /// In a fresh process, because what is measured belongs to the whole process.
    Own,
}

/// What a figure shall reach.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Ours divided by the peer's, at most.
    RatioAtMost(f64),
    /// Ours divided by the peer's, at least.
    RatioAtLeast(f64),
    /// Our figure, at most.
    AtMost(f64),
    /// Our figure, at least.
    AtLeast(f64),
    /// It is watched only.
    Watched,
}

/// One figure of a question.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The row's name in the table.
    pub name: &'static str,
    /// The figure's unit.
    pub unit: &'static str,
    /// What it shall reach.
    pub goal: Goal,
}

/// Builds a [`Metric`].
fn metric(name: &'static str, unit: &'static str, goal: Goal) -> Metric {
    Metric { name, unit, goal }
}

/// Something that can be measured on any runtime.
pub struct Question<R> {
    /// What selects it on the command line, together with its metrics' names.
    pub name: &'static str,
    /// Where it is measured.
    pub home: Home,
    /// How many rounds are useful.
    pub rounds_at_most: usize,
    /// The figures that one measurement gives.
    pub metrics: Vec<Metric>,
    /// Measures once: one value for each metric.
    pub measure: fn(&R, Effort) -> Vec<f64>,
}

impl<R> std::fmt::Debug for Question<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<R> Question<R> {
    /// A question asked in the table's process.
    fn shared(
        name: &'static str,
        metrics: impl Into<Vec<Metric>>,
        measure: fn(&R, Effort) -> Vec<f64>,
    ) -> Self {
        Self {
            name,
            home: Home::Shared,
            rounds_at_most: usize::MAX,
            metrics: metrics.into(),
            measure,
        }
    }

    /// A question asked in a fresh process.
    fn own(
        name: &'static str,
        metrics: impl Into<Vec<Metric>>,
        measure: fn(&R, Effort) -> Vec<f64>,
    ) -> Self {
        Self {
            home: Home::Own,
            ..Self::shared(name, metrics, measure)
        }
    }
}

/// Lists every question, in the order of the table.
pub fn all<R: Rt>() -> Vec<Question<R>> {
    [
        spawn::questions(),
        wake::questions(),
        tcp::questions(),
        hogs::questions(),
        root::questions(),
        guards::questions(),
        timers::questions(),
        blocking::questions(),
        memory::questions(),
        idle::questions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
