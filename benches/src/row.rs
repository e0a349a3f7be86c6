//! One figure of every contestant, and what it says: medians, ratios, verdicts.
//!
//! A [`Row`] keeps the values of all rounds, so that everything printed or drawn can be made again from what was saved. The first
//! contestant is ours, the second the peer to which goals are ratios. There are two verdicts:
//!
//! - the *goal*: met or missed, by the medians;
//! - the *standing*: our median against the best peer's. Closer than [`EVEN`] is even: to tell that apart takes more rounds and an
//!   interval, see [`paired`](crate::paired).

use std::fmt::Write;

use crate::questions::{Better, Goal, Metric};
use crate::quiet::DISTURBED;
use crate::stats::{median, quantile};

/// Medians whose ratio is closer to 1 than this are even.
pub const EVEN: f64 = 0.05;

/// The values of one contestant.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Whose.
    pub name: String,
    /// One for each round; NaN where a measurement failed. None at all: the question has no equivalent there.
    pub values: Vec<f64>,
}

impl Column {
    /// The median of what was measured; NaN without.
    pub fn median(&self) -> f64 {
        let measured = self.values.iter().copied().filter(|value| !value.is_nan());
        median(&mut measured.collect::<Vec<_>>())
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The module of the question.
    pub area: String,
    /// What was measured.
    pub metric: Metric,
    /// When.
    pub date: String,
    /// The median share of the CPUs that other processes used.
    pub others: f64,
    /// Everybody's values: ours, the peer of the goals, further peers.
    pub columns: Vec<Column>,
}

/// How ours compares with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Better.
    Ahead,
    /// Too close to tell.
    Even,
    /// Worse.
    Behind,
}

impl Standing {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Even => "even",
            Self::Behind => "BEHIND",
        }
    }
}

impl Row {
    /// Everybody's values by name; empty for one who takes no part.
    pub fn values(&self, name: &str) -> &[f64] {
        let mut columns = self.columns.iter();
        let column = columns.find(|column| column.name == name);
        column.map_or(&[], |column| &column.values)
    }

    /// The median of a contestant by its place; NaN without.
    fn median(&self, at: usize) -> f64 {
        self.columns.get(at).map_or(f64::NAN, Column::median)
    }

    /// Our median divided by that of the goals' peer.
    pub fn ratio(&self) -> f64 {
        ratio(self.median(0), self.median(1))
    }

    /// The smallest and the largest ratio of one round.
    pub fn spread(&self) -> (f64, f64) {
        let [ours, peer, ..] = self.columns.as_slice() else {
            return (f64::NAN, f64::NAN);
        };
        let rounds = ours.values.iter().zip(&peer.values);
        let mut ratios: Vec<f64> = rounds.map(|(ours, peer)| ratio(*ours, *peer)).collect();
        ratios.retain(|ratio| !ratio.is_nan());
        (quantile(&mut ratios, 0.0), quantile(&mut ratios, 1.0))
    }

    /// The best peer and its median.
    pub fn best_peer(&self) -> Option<(&str, f64)> {
        let peers = self.columns.iter().skip(1);
        let medians = peers.map(|peer| (peer.name.as_str(), peer.median()));
        let measured = medians.filter(|(_, median)| !median.is_nan());
        match self.metric.better() {
            Better::Lower => measured.min_by(|one, other| one.1.total_cmp(&other.1)),
            Better::Higher => measured.max_by(|one, other| one.1.total_cmp(&other.1)),
        }
    }

    /// Our standing beside the best peer; `None` if somebody's value is missing.
    pub fn standing(&self) -> Option<Standing> {
        let ours = self.median(0);
        let (_, best) = self.best_peer()?;
        if ours.is_nan() {
            return None;
        }
        let (better, worse) = match self.metric.better() {
            Better::Lower => (ours, best),
            Better::Higher => (best, ours),
        };
        Some(if ours == best || (ours / best - 1.0).abs() < EVEN {
            Standing::Even
        } else if better < worse {
            Standing::Ahead
        } else {
            Standing::Behind
        })
    }

    /// Whether the goal is reached, or `None` if there is none. A missing value reaches nothing.
    pub fn is_met(&self) -> Option<bool> {
        match self.metric.goal {
            Goal::RatioAtMost(bound) => Some(self.ratio() <= bound),
            Goal::RatioAtLeast(bound) => Some(self.ratio() >= bound),
            Goal::AtMost(bound) => Some(self.median(0) <= bound),
            Goal::AtLeast(bound) => Some(self.median(0) >= bound),
            Goal::Watched => None,
        }
    }

    /// The verdict on the goal in a word.
    pub fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        }
    }

    /// A value, or what it is more than, or a dash.
    pub fn figure(&self, value: f64) -> String {
        if value.is_nan() {
            "–".into()
        } else if value == f64::INFINITY {
            format!(">{}", figure(self.metric.patience))
        } else {
            figure(value)
        }
    }

    /// Our ratio to the goals' peer with its spread, in words.
    pub fn ratio_in_words(&self) -> String {
        match self.spread() {
            (low, _) if low.is_nan() => quotient(self.ratio()),
            (low, high) => format!(
                "{} [{}–{}]",
                quotient(self.ratio()),
                quotient(low),
                quotient(high)
            ),
        }
    }

    /// Our ratio to the best peer in words.
    pub fn standing_in_words(&self) -> String {
        let Some((name, best)) = self.best_peer() else {
            return "–".into();
        };
        let word = self.standing().map_or("", Standing::word);
        format!("{} {name} {word}", quotient(ratio(self.median(0), best)))
    }

    /// The line that is printed as soon as the row is measured.
    pub fn line(&self) -> String {
        let medians: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, self.figure(column.median())))
            .collect();
        let mut line = format!(
            "{}: {} {}",
            self.metric.name,
            medians.join(", "),
            self.metric.unit
        );
        let mut add = |text: &str| line.write_str(text).expect("a string grows");
        if let Some(peer) = self.columns.get(1) {
            add(&format!("; to {} {}", peer.name, self.ratio_in_words()));
        }
        if self.is_met().is_some() {
            add(&format!(" (goal {}: {})", self.metric.goal, self.verdict()));
        }
        if self.columns.len() > 2 {
            add(&format!("; to best {}", self.standing_in_words()));
        }
        if self.others > DISTURBED {
            add(&format!(
                "; disturbed: others used {:.0} % of the CPUs",
                self.others * 100.0
            ));
        }
        line
    }
}

/// One value divided by another; NaN where both are zero, or one was waited for in vain.
pub fn ratio(ours: f64, peer: f64) -> f64 {
    if ours.is_finite() && peer.is_finite() {
        ours / peer
    } else {
        f64::NAN
    }
}

/// Two decimals, more for a small value, or a dash where nothing was to be divided.
pub fn quotient(value: f64) -> String {
    match value {
        value if value.is_nan() => "–".into(),
        value if value < 0.095 => format!("{value:.3}"),
        value => format!("{value:.2}"),
    }
}

/// Three digits that matter, or all of a large number.
pub fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::metric;

    fn row(goal: Goal, columns: &[(&str, &[f64])]) -> Row {
        let columns = columns.iter().map(|(name, values)| Column {
            name: (*name).into(),
            values: values.to_vec(),
        });
        Row {
            area: "area".into(),
            metric: Metric {
                patience: 1500.0,
                ..metric("name", "ns", goal)
            },
            date: "today".into(),
            others: 0.0,
            columns: columns.collect(),
        }
    }

    #[test]
    fn a_row_is_judged_by_its_medians() {
        let columns: [(&str, &[f64]); 3] = [
            ("ours", &[1.0, 100.0, 2.0]),
            ("tokio", &[4.0, 4.0, 4.0]),
            ("nio", &[1.0, 1.0, 9.0]),
        ];
        assert_eq!(
            row(Goal::RatioAtMost(0.5), &columns).line(),
            "name: ours 2.00, tokio 4.00, nio 1.00 ns; to tokio 0.50 [0.25–25.00] (goal ratio ≤ 0.5: met); \
             to best 2.00 nio BEHIND"
        );
        let is_met = |goal| row(goal, &columns).is_met();
        assert_eq!(is_met(Goal::RatioAtLeast(1.0)), Some(false));
        assert_eq!(is_met(Goal::AtMost(1.0)), Some(false));
        assert_eq!(is_met(Goal::AtLeast(1.9)), Some(true));
        assert_eq!(is_met(Goal::Watched), None);
    }

    #[test]
    fn the_best_peer_depends_on_what_is_better() {
        let columns: [(&str, &[f64]); 3] = [("ours", &[2.0]), ("tokio", &[3.0]), ("nio", &[1.0])];
        let cost = row(Goal::RatioAtMost(1.0), &columns);
        assert_eq!(cost.best_peer(), Some(("nio", 1.0)));
        assert_eq!(cost.standing(), Some(Standing::Behind));
        let rate = row(Goal::RatioAtLeast(1.0), &columns);
        assert_eq!(rate.best_peer(), Some(("tokio", 3.0)));
        assert_eq!(rate.standing(), Some(Standing::Behind));
        let columns: [(&str, &[f64]); 2] = [("ours", &[2.0]), ("tokio", &[2.09])];
        assert_eq!(
            row(Goal::Watched, &columns).standing(),
            Some(Standing::Even)
        );
        let columns: [(&str, &[f64]); 2] = [("ours", &[2.0]), ("tokio", &[2.2])];
        assert_eq!(
            row(Goal::Watched, &columns).standing(),
            Some(Standing::Ahead)
        );
    }

    #[test]
    fn who_has_no_equivalent_takes_no_part() {
        let columns: [(&str, &[f64]); 3] = [("ours", &[2.0]), ("tokio", &[4.0]), ("go", &[])];
        let row = row(Goal::RatioAtMost(0.5), &columns);
        assert_eq!(row.best_peer(), Some(("tokio", 4.0)));
        assert!(row.line().contains("go –"), "{}", row.line());
    }

    #[test]
    fn what_was_waited_for_in_vain_is_a_bound_and_no_quotient() {
        let columns: [(&str, &[f64]); 2] = [
            ("ours", &[1.0, 1.0, 1.0]),
            ("tokio", &[f64::INFINITY, 4.0, f64::INFINITY]),
        ];
        let row = row(Goal::AtMost(2.0), &columns);
        assert_eq!(
            row.line(),
            "name: ours 1.00, tokio >1500 ns; to tokio – [0.25–0.25] (goal ≤ 2: met)"
        );
        assert_eq!(row.standing(), Some(Standing::Ahead));
    }

    #[test]
    fn a_missing_value_reaches_no_goal() {
        for goal in [
            Goal::RatioAtMost(9.0),
            Goal::RatioAtLeast(0.0),
            Goal::AtMost(9.0),
        ] {
            let missing: [(&str, &[f64]); 2] = [("ours", &[f64::NAN]), ("tokio", &[1.0])];
            assert_eq!(row(goal, &missing).is_met(), Some(false));
            assert_eq!(row(goal, &missing).standing(), None);
            assert_eq!(row(goal, &[]).is_met(), Some(false));
        }
    }
}
