//! The printed rows, and the same for machines.
//!
//! A row is one figure of one question: our median and the peer's, their ratio, and whether the
//! goal is reached. [`save`] writes all rows of a run to `ratios.tsv` and, as a table for people,
//! to `ratios.md` in Cargo's target folder, with what one must know to compare them.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::{fs, io};

use crate::questions::{Goal, Metric};
use crate::quiet::DISTURBED;
use crate::stats::{median, quantile};

/// The values of one round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Ours.
    pub ours: f64,
    /// The peer's.
    pub peer: f64,
    /// Which share of the CPUs other processes used meanwhile.
    pub others: f64,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    metric: Metric,
    /// How many rounds gave a value for both.
    rounds: usize,
    /// Our median.
    ours: f64,
    /// The peer's median.
    peer: f64,
    /// The smallest and the largest ratio of one round.
    spread: (f64, f64),
    /// The median share of the CPUs that other processes used.
    others: f64,
}

impl Row {
    /// Condenses the values of all rounds.
    pub fn new(metric: Metric, rounds: &[Round]) -> Self {
        let column = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
        let mut ratios = column(|round| ratio(round.ours, round.peer));
        Self {
            metric,
            rounds: rounds.len(),
            ours: median(&mut column(|round| round.ours)),
            peer: median(&mut column(|round| round.peer)),
            spread: (quantile(&mut ratios, 0.0), quantile(&mut ratios, 1.0)),
            others: median(&mut column(|round| round.others)),
        }
    }

    /// Our median divided by the peer's.
    fn ratio(&self) -> f64 {
        ratio(self.ours, self.peer)
    }

    /// A value, or what it is more than.
    fn figure(&self, value: f64) -> String {
        if value == f64::INFINITY {
            format!(">{}", figure(self.metric.patience))
        } else {
            figure(value)
        }
    }

    /// The smallest and the largest ratio in words.
    fn spread(&self) -> String {
        match self.spread {
            (low, high) if low.is_nan() || high.is_nan() => quotient(f64::NAN),
            (low, high) => format!("{}–{}", quotient(low), quotient(high)),
        }
    }

    /// Whether the goal is reached, or `None` if there is none. A missing value reaches nothing.
    fn is_met(&self) -> Option<bool> {
        match self.metric.goal {
            Goal::RatioAtMost(bound) => Some(self.ratio() <= bound),
            Goal::RatioAtLeast(bound) => Some(self.ratio() >= bound),
            Goal::AtMost(bound) => Some(self.ours <= bound),
            Goal::AtLeast(bound) => Some(self.ours >= bound),
            Goal::Watched => None,
        }
    }

    /// The goal in words.
    fn goal(&self) -> String {
        match self.metric.goal {
            Goal::RatioAtMost(bound) => format!("ratio ≤ {bound:.2}"),
            Goal::RatioAtLeast(bound) => format!("ratio ≥ {bound:.2}"),
            Goal::AtMost(bound) => format!("≤ {}", figure(bound)),
            Goal::AtLeast(bound) => format!("≥ {}", figure(bound)),
            Goal::Watched => "–".into(),
        }
    }

    /// The verdict in a word.
    fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        }
    }

    /// The line that is printed as soon as the row is measured.
    pub fn line(&self, ours: &str, peer: &str) -> String {
        let mut line = format!(
            "{}: {ours} {}, {peer} {} {}, ratio {} [{}]",
            self.metric.name,
            self.figure(self.ours),
            self.figure(self.peer),
            self.metric.unit,
            quotient(self.ratio()),
            self.spread(),
        );
        if self.is_met().is_some() {
            write!(line, " (goal {}: {})", self.goal(), self.verdict()).expect("a string grows");
        }
        if self.others > DISTURBED {
            write!(
                line,
                " (disturbed: others used {:.0} % of the CPUs)",
                self.others * 100.0
            )
            .expect("a string grows");
        }
        line
    }

    fn tsv(&self) -> String {
        format!(
            "{}\t{}\t{}\t{}\t{:.4}\t{:.4}\t{:.4}\t{}\t{:.3}\t{}\t{}",
            self.metric.name,
            self.metric.unit,
            self.ours,
            self.peer,
            self.ratio(),
            self.spread.0,
            self.spread.1,
            self.rounds,
            self.others,
            self.goal(),
            self.verdict(),
        )
    }

    fn markdown(&self) -> String {
        format!(
            "| `{}` | {} | {} | {} | {} | {} | {:.0} % | {} | {} |",
            self.metric.name,
            self.metric.unit,
            self.figure(self.ours),
            self.figure(self.peer),
            quotient(self.ratio()),
            self.spread(),
            self.others * 100.0,
            self.goal(),
            self.verdict(),
        )
    }
}

/// One value divided by another; NaN where both are zero, or one was waited for in vain.
fn ratio(ours: f64, peer: f64) -> f64 {
    if ours.is_finite() && peer.is_finite() {
        ours / peer
    } else {
        f64::NAN
    }
}

/// Two decimals, or a dash where nothing was to be divided.
fn quotient(value: f64) -> String {
    if value.is_nan() {
        "–".into()
    } else {
        format!("{value:.2}")
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

/// What a reader must know to compare two runs of this bench, as keys and values.
pub fn facts(bench: &str) -> Vec<(&'static str, String)> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        ("date", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("cpu", format!("{}, {cpus} cores", cpu_model())),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("rustc", output("rustc", &["--version"])),
        ("runtime", locked_version("runtime")),
        ("tokio", locked_version("tokio")),
        ("load average", read("/proc/loadavg")),
        (
            "command",
            format!("cargo bench --bench {bench} -- {}", own_arguments()),
        ),
    ]
}

/// Writes the rows to the target folder.
///
/// # Errors
///
/// If the folder cannot be found or written.
pub fn save(facts: &[(&str, String)], ours: &str, peer: &str, rows: &[Row]) -> io::Result<()> {
    let target = target()?;
    let mut tsv = String::new();
    for (key, value) in facts {
        tsv += &format!("# {key}\t{value}\n");
    }
    let mut markdown = markdown_facts(facts);
    tsv += &format!(
        "name\tunit\t{ours}\t{peer}\tratio\tlowest\thighest\trounds\tothers\tgoal\tverdict\n"
    );
    markdown +=
        &format!("\n| figure | unit | {ours} | {peer} | ratio | spread | others | goal | |\n");
    markdown += "|---|---|---:|---:|---:|---|---:|---|---|\n";
    for row in rows {
        tsv += &format!("{}\n", row.tsv());
        markdown += &format!("{}\n", row.markdown());
    }
    fs::write(target.join("ratios.md"), markdown)?;
    fs::write(target.join("ratios.tsv"), tsv)
}

/// Returns Cargo's target folder.
///
/// # Errors
///
/// If this executable is not in one.
pub fn target() -> io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    // <target>/<profile>/deps/<executable>
    let target = executable.ancestors().nth(3).map(PathBuf::from);
    target.ok_or_else(|| io::Error::other("the executable is not in a target folder"))
}

/// The facts as a list.
pub fn markdown_facts(facts: &[(&str, String)]) -> String {
    facts
        .iter()
        .map(|(key, value)| format!("- {key}: {value}\n"))
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".into(), |text| text.trim().into())
}

fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".into(), |text| text.trim().into())
}

fn cpu_model() -> String {
    read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or_else(|| "unknown".into(), |(_, model)| model.trim().into())
}

/// The version of a package in the workspace's lock file.
fn locked_version(package: &str) -> String {
    let lock = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines
        .find_map(|line| line.strip_prefix("version = "))
        .map_or_else(
            || "unknown".into(),
            |version| version.trim_matches('"').into(),
        )
}

/// What followed `--` on Cargo's command line.
fn own_arguments() -> String {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    arguments.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(goal: Goal, rounds: &[(f64, f64)]) -> Row {
        let rounds: Vec<_> = rounds
            .iter()
            .map(|&(ours, peer)| Round {
                ours,
                peer,
                others: 0.0,
            })
            .collect();
        Row::new(
            Metric {
                name: "name".into(),
                unit: "ns",
                goal,
                patience: 1500.0,
            },
            &rounds,
        )
    }

    #[test]
    fn a_row_is_judged_by_its_medians() {
        let rounds = [(1.0, 4.0), (100.0, 4.0), (2.0, 4.0)];
        let at_most = row(Goal::RatioAtMost(0.5), &rounds);
        assert_eq!(at_most.is_met(), Some(true));
        assert_eq!(
            at_most.line("ours", "tokio"),
            "name: ours 2.00, tokio 4.00 ns, ratio 0.50 [0.25–25.00] (goal ratio ≤ 0.50: met)"
        );
        assert_eq!(row(Goal::RatioAtLeast(1.0), &rounds).is_met(), Some(false));
        assert_eq!(row(Goal::AtMost(1.0), &rounds).is_met(), Some(false));
        assert_eq!(row(Goal::AtLeast(1.9), &rounds).is_met(), Some(true));
        assert_eq!(row(Goal::Watched, &rounds).is_met(), None);
    }

    #[test]
    fn what_was_waited_for_in_vain_is_a_bound_and_no_quotient() {
        let row = row(
            Goal::AtMost(2.0),
            &[(1.0, f64::INFINITY), (1.0, 4.0), (1.0, f64::INFINITY)],
        );
        assert_eq!(
            row.line("ours", "tokio"),
            "name: ours 1.00, tokio >1500 ns, ratio – [–] (goal ≤ 2.00: met)"
        );
    }

    #[test]
    fn a_missing_value_reaches_no_goal() {
        for goal in [
            Goal::RatioAtMost(9.0),
            Goal::RatioAtLeast(0.0),
            Goal::AtMost(9.0),
        ] {
            assert_eq!(row(goal, &[(f64::NAN, 1.0)]).is_met(), Some(false));
            assert_eq!(row(goal, &[]).is_met(), Some(false));
        }
    }
}
