//! The questions, one module for each area.
//!
//! A module defines its workloads, generic over [`Rt`], and lists its questions: how to measure
//! each one once, and which goal the result has. [`crate::table`] asks them.

pub mod blocking;
pub mod echo;
pub mod echo_hogs;
pub mod growth;
pub mod guards;
pub mod hogs;
pub mod http;
pub mod idle;
pub mod memory;
pub mod root;
pub mod spawn;
pub mod tcp;
pub mod timers;
pub mod wake;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::Rt;
use crate::table::WORKERS;

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

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtMost(bound) => write!(f, "ratio ≤ {bound}"),
            Self::RatioAtLeast(bound) => write!(f, "ratio ≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::Watched => f.write_str("–"),
        }
    }
}

impl Goal {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let bound = text.rsplit(' ').next()?.parse().ok();
        match text {
            "–" => Some(Self::Watched),
            text if text.starts_with("ratio ≤") => bound.map(Self::RatioAtMost),
            text if text.starts_with("ratio ≥") => bound.map(Self::RatioAtLeast),
            text if text.starts_with('≤') => bound.map(Self::AtMost),
            text if text.starts_with('≥') => bound.map(Self::AtLeast),
            _ => None,
        }
    }
}

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The lower one: a cost, a delay.
    Lower,
    /// The higher one: a rate, a speed-up.
    Higher,
}

/// One figure of a question.
#[derive(Clone, Debug)]
pub struct Metric {
    /// The row's name in the table.
    pub name: String,
    /// The figure's unit.
    pub unit: Cow<'static, str>,
    /// What it shall reach.
    pub goal: Goal,
    /// How long was waited for it, in its unit: an infinite value stands for "more than that".
    pub patience: f64,
}

impl Metric {
    /// Returns which figure is the better one: as the goal says, else the higher one of what is counted per second or is a
    /// factor, and the lower one of everything else.
    pub fn better(&self) -> Better {
        match self.goal {
            Goal::RatioAtLeast(_) | Goal::AtLeast(_) => Better::Higher,
            Goal::RatioAtMost(_) | Goal::AtMost(_) => Better::Lower,
            Goal::Watched if self.unit.ends_with("/s") || self.unit == "×" => Better::Higher,
            Goal::Watched => Better::Lower,
        }
    }
}

/// Builds a [`Metric`].
pub fn metric(name: impl Into<String>, unit: &'static str, goal: Goal) -> Metric {
    Metric {
        name: name.into(),
        unit: unit.into(),
        goal,
        patience: f64::INFINITY,
    }
}

/// Something that can be measured on any runtime.
pub struct Question<R> {
    /// What selects it on the command line, together with its metrics' names.
    pub name: String,
    /// Its module.
    pub area: &'static str,
    /// Where it is measured.
    pub home: Home,
    /// How many workers its runtime has; at home in the table's process, as many as there.
    pub workers: usize,
    /// Whether its process has [one CPU](echo::place).
    pub is_pinned: bool,
    /// How many rounds are useful.
    pub rounds_at_most: usize,
    /// The figures that one measurement gives.
    pub metrics: Vec<Metric>,
    /// Measures once: one value for each metric.
    pub measure: Measure<R>,
}

/// How a question is asked once.
pub type Measure<R> = Box<dyn Fn(&R, Effort) -> Vec<f64>>;

impl<R> fmt::Debug for Question<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<R> Question<R> {
    /// Returns what selects it on the command line.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let metrics = self.metrics.iter().map(|metric| metric.name.as_str());
        metrics.chain([self.name.as_str()])
    }

    /// A question asked in the table's process.
    fn shared(
        name: impl Into<String>,
        metrics: impl Into<Vec<Metric>>,
        measure: impl Fn(&R, Effort) -> Vec<f64> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            area: "",
            home: Home::Shared,
            workers: WORKERS,
            is_pinned: false,
            rounds_at_most: usize::MAX,
            metrics: metrics.into(),
            measure: Box::new(measure),
        }
    }

    /// A question asked in a fresh process.
    fn own(
        name: impl Into<String>,
        metrics: impl Into<Vec<Metric>>,
        measure: impl Fn(&R, Effort) -> Vec<f64> + 'static,
    ) -> Self {
        Self {
            home: Home::Own,
            ..Self::shared(name, metrics, measure)
        }
    }
}

/// Lists every question of the table, in its order.
pub fn all<R: Rt>() -> Vec<Question<R>> {
    let areas = [
        ("spawn", spawn::questions()),
        ("wake", wake::questions()),
        ("root", root::questions()),
        ("timers", timers::questions()),
        ("blocking", blocking::questions()),
        ("echo", echo::questions()),
        ("tcp", tcp::questions()),
        ("http", http::questions()),
        ("echo_hogs", echo_hogs::questions()),
        ("hogs", hogs::questions()),
        ("memory", memory::questions()),
        ("idle", idle::questions()),
        ("guards", guards::questions()),
    ];
    let in_area = |(area, questions): (&'static str, Vec<Question<R>>)| {
        questions
            .into_iter()
            .map(move |question| Question { area, ..question })
    };
    areas.into_iter().flat_map(in_area).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_read_as_it_is_written() {
        let goals = [
            Goal::RatioAtMost(0.3),
            Goal::RatioAtLeast(1.25),
            Goal::AtMost(100.0),
            Goal::AtLeast(1.9),
            Goal::Watched,
        ];
        for goal in goals {
            let read = Goal::parse(&goal.to_string()).expect("it is a goal");
            assert_eq!(read.to_string(), goal.to_string());
        }
        assert!(Goal::parse("less").is_none());
    }
}
