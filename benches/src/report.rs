//! What is saved of a run, and the same for people.
//!
//! A [`Table`] is the facts of the machine and the [rows](Row). [`Table::save`] writes it as a TSV file, from which
//! [`Table::load`] reads it again, and as Markdown. A line of the TSV file is one contestant's values of one row, in the order
//! of the rounds: names, unit, goal and date stand before them; `NaN` is a failed round, `inf` one that was waited for in vain.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::questions::{Goal, Metric};
pub use crate::row::figure;
use crate::row::{Column, Row, Standing};

/// The columns of the TSV file before the values.
const HEAD: [&str; 8] = [
    "area",
    "name",
    "unit",
    "goal",
    "patience",
    "date",
    "others",
    "contestant",
];

/// Everything that one run, or several, have measured.
#[derive(Debug, Default)]
pub struct Table {
    /// What one must know to compare.
    pub facts: Vec<(String, String)>,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Table {
    /// Adds a row in the place of one of the same name.
    pub fn put(&mut self, row: Row) {
        let mut rows = self.rows.iter_mut();
        match rows.find(|old| old.metric.name == row.metric.name) {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
    }

    /// Puts the rows into the order of these names; others are dropped.
    pub fn sort(&mut self, names: &[String]) {
        let place = |row: &Row| names.iter().position(|name| *name == row.metric.name);
        self.rows.retain(|row| place(row).is_some());
        self.rows.sort_by_key(place);
    }

    /// The contestants of all rows, in the order of the columns.
    pub fn contestants(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for column in self.rows.iter().flat_map(|row| &row.columns) {
            if !names.contains(&column.name.as_str()) {
                names.push(&column.name);
            }
        }
        names
    }

    /// The areas, in order, each with its rows.
    pub fn areas(&self) -> Vec<(&str, Vec<&Row>)> {
        let mut areas: Vec<(&str, Vec<&Row>)> = Vec::new();
        for row in &self.rows {
            match areas.iter_mut().find(|(area, _)| *area == row.area) {
                Some((_, rows)) => rows.push(row),
                None => areas.push((&row.area, vec![row])),
            }
        }
        areas
    }

    /// The table as Markdown, one section for each area; `after` adds what follows an area's title.
    pub fn markdown(&self, after: impl Fn(&str) -> String) -> String {
        let mut text = markdown_facts(&self.facts);
        let count = |is: fn(&Row) -> bool| self.rows.iter().filter(|row| is(row)).count();
        let standing = |wanted: Standing| {
            let rows = self.rows.iter();
            rows.filter(|row| row.standing() == Some(wanted)).count()
        };
        let _ = write!(
            text,
            "\n{} figures: {} goals met, {} missed; ahead of the best peer {}, even (within 5 %) {}, behind {}.\n",
            self.rows.len(),
            count(|row| row.is_met() == Some(true)),
            count(|row| row.is_met() == Some(false)),
            standing(Standing::Ahead),
            standing(Standing::Even),
            standing(Standing::Behind),
        );
        for (area, rows) in self.areas() {
            let names = self.contestants();
            let _ = write!(text, "\n### {area}\n{}\n| figure | unit |", after(area));
            for name in &names {
                let _ = write!(text, " {name} |");
            }
            let peer = names.get(1).unwrap_or(&"peer");
            let _ = write!(
                text,
                " to {peer} [rounds] | goal | | to the best peer | rounds | others |\n|---|---|"
            );
            text += &"---:|".repeat(names.len());
            text += "---|---|---|---|---:|---:|\n";
            for row in rows {
                let _ = write!(text, "| `{}` | {} |", row.metric.name, row.metric.unit);
                for name in &names {
                    let values = row.values(name).to_vec();
                    let column = Column {
                        name: String::new(),
                        values,
                    };
                    let _ = write!(text, " {} |", row.figure(column.median()));
                }
                let _ = writeln!(
                    text,
                    " {} | {} | {} | {} | {} | {:.0} % |",
                    row.ratio_in_words(),
                    row.metric.goal,
                    row.verdict(),
                    row.standing_in_words(),
                    row.columns.first().map_or(0, |ours| ours.values.len()),
                    row.others * 100.0,
                );
            }
        }
        text
    }

    /// The table for machines.
    fn tsv(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.facts {
            let _ = writeln!(text, "# {key}\t{value}");
        }
        let _ = writeln!(text, "{}\tvalues", HEAD.join("\t"));
        for row in &self.rows {
            let Metric {
                name,
                unit,
                goal,
                patience,
            } = &row.metric;
            for column in &row.columns {
                let values: Vec<String> = column.values.iter().map(f64::to_string).collect();
                let _ = writeln!(
                    text,
                    "{}\t{name}\t{unit}\t{goal}\t{patience}\t{}\t{:.3}\t{}\t{}",
                    row.area,
                    row.date,
                    row.others,
                    column.name,
                    values.join(" "),
                );
            }
        }
        text
    }

    /// Reads what [`Table::tsv`] writes; `None` if it is something else.
    fn parse(text: &str) -> Option<Self> {
        let mut table = Self::default();
        for line in text.lines() {
            if let Some(fact) = line.strip_prefix("# ") {
                let (key, value) = fact.split_once('\t')?;
                table.facts.push((key.into(), value.into()));
                continue;
            }
            if line.starts_with(&HEAD.join("\t")) {
                continue;
            }
            let fields: Vec<&str> = line.split('\t').collect();
            let &[
                area,
                name,
                unit,
                goal,
                patience,
                date,
                others,
                contestant,
                values,
            ] = fields.as_slice()
            else {
                return None;
            };
            let numbers = values.split_whitespace().map(str::parse);
            let column = Column {
                name: contestant.into(),
                values: numbers.collect::<Result<_, _>>().ok()?,
            };
            match table.rows.last_mut() {
                Some(row) if row.metric.name == name => row.columns.push(column),
                _ => table.rows.push(Row {
                    area: area.into(),
                    metric: Metric {
                        name: name.into(),
                        unit: unit.to_string().into(),
                        goal: Goal::parse(goal)?,
                        patience: patience.parse().ok()?,
                    },
                    date: date.into(),
                    others: others.parse().ok()?,
                    columns: vec![column],
                }),
            }
        }
        Some(table)
    }

    /// Reads a saved TSV file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is something else.
    pub fn load(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        Self::parse(&text).ok_or_else(|| io::Error::other("it is no table of this bench"))
    }

    /// Writes `name.tsv` and, with what `after` adds to each area, `name.md` to a folder.
    ///
    /// # Errors
    ///
    /// If the folder cannot be written.
    pub fn save(
        &self,
        folder: &Path,
        name: &str,
        after: impl Fn(&str) -> String,
    ) -> io::Result<()> {
        fs::write(folder.join(format!("{name}.md")), self.markdown(after))?;
        fs::write(folder.join(format!("{name}.tsv")), self.tsv())
    }
}

/// What a reader must know to compare two runs of this bench, as keys and values.
pub fn facts(bench: &str) -> Vec<(String, String)> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let facts = [
        ("date", date()),
        ("cpu", format!("{}, {cpus} cores", cpu_model())),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("rustc", output("rustc", &["--version"])),
        ("runtime", locked_version("runtime")),
        ("commit", output("git", &["rev-parse", "--short", "HEAD"])),
        ("tokio", locked_version("tokio")),
        ("smol", locked_version("smol")),
        ("nio", locked_version("nio")),
        ("go", output("go", &["env", "GOVERSION"])),
        ("load average", read("/proc/loadavg")),
        (
            "command",
            format!("cargo bench --bench {bench} -- {}", own_arguments()),
        ),
    ];
    facts.map(|(key, value)| (key.to_string(), value)).into()
}

/// Returns the date and time of day.
pub fn date() -> String {
    output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
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
pub fn markdown_facts(facts: &[(String, String)]) -> String {
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
    use crate::questions::metric;

    fn row(name: &str, ours: &[f64]) -> Row {
        let column = |name: &str, values: &[f64]| Column {
            name: name.into(),
            values: values.to_vec(),
        };
        Row {
            area: "area".into(),
            metric: metric(name, "ns", Goal::RatioAtMost(0.5)),
            date: "2026-01-01".into(),
            others: 0.125,
            columns: vec![
                column("ours", ours),
                column("tokio", &[f64::INFINITY, 2.0]),
                column("go", &[]),
            ],
        }
    }

    #[test]
    fn what_is_saved_can_be_read() {
        let table = Table {
            facts: vec![("cpu".into(), "some, 2 cores".into())],
            rows: vec![row("one", &[1.5, f64::NAN]), row("two", &[3.0])],
        };
        let read = Table::parse(&table.tsv()).expect("it is a table");
        assert_eq!(read.tsv(), table.tsv());
        assert_eq!(read.facts, table.facts);
        assert_eq!(
            read.markdown(|_| String::new()),
            table.markdown(|_| String::new())
        );
        assert!(Table::parse("name\tratio\n").is_none());
    }

    #[test]
    fn a_row_that_is_measured_again_keeps_its_place() {
        let mut table = Table::default();
        for (name, value) in [("one", 1.0), ("two", 2.0), ("one", 3.0), ("gone", 1.0)] {
            table.put(row(name, &[value]));
        }
        assert_eq!(table.rows[0].values("ours"), [3.0]);
        table.sort(&["two".into(), "one".into()]);
        let names: Vec<&str> = table
            .rows
            .iter()
            .map(|row| row.metric.name.as_str())
            .collect();
        assert_eq!(names, ["two", "one"]);
    }
}
