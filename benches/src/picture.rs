//! The report: pictures of a table, as SVG.
//!
//! Each area has a picture of bars, and all rows that have a goal are in one picture of dots, the summary. Both show how many times
//! as fast as the second contestant (Tokio) somebody is, on a logarithmic scale: a cost's ratio turned round, so that right is
//! better everywhere. A tick across a row is the goal, where that is a ratio. An absolute goal is left to the table.
//! What is too fast for the summary is an arrow at its edge.
//!
//! The text is written by hand: rectangles, circles, lines and words on a background of their own, with a second set of
//! colours for readers whose system is dark.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use crate::questions::{Better, Goal};
use crate::report::Table;
use crate::row::{Column, Row, Standing};

/// Width of a picture.
const WIDTH: f64 = 960.0;
/// Where the scale begins; the names of the rows stand before it.
const LEFT: f64 = 230.0;
/// Where it ends; what stands behind it has this much room.
const RIGHT: f64 = 760.0;
/// The slowest and the fastest that the summary has room for.
const LIMITS: (f64, f64) = (0.1, 25.0);
/// The area that the summary leaves out: it has too many rows.
const APART: &str = "hogs";

/// Writes the table, the picture of each area, and the summary to a folder, which is made if need be.
///
/// # Errors
///
/// If the folder cannot be written.
pub fn save(table: &Table, folder: &Path, name: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let has_picture = |area: &str| {
        let mut areas = table.areas().into_iter();
        areas.any(|(other, rows)| other == area && rows.iter().any(|row| is_drawable(row)))
    };
    table.save(folder, name, |area| match has_picture(area) {
        true => format!("\n![{area}: times as fast as the peer]({area}.svg)\n"),
        false => String::new(),
    })?;
    for (area, rows) in table.areas() {
        let rows: Vec<&Row> = rows.into_iter().filter(|row| is_drawable(row)).collect();
        if !rows.is_empty() {
            fs::write(folder.join(format!("{area}.svg")), bars(table, area, &rows))?;
        }
    }
    let rows = table.rows.iter().filter(|row| is_drawable(row));
    let rows: Vec<&Row> = rows
        .filter(|row| row.is_met().is_some() && row.area != APART)
        .collect();
    fs::write(folder.join("summary.svg"), dots(table, &rows))
}

/// Whether a row says how fast anybody is beside the second contestant.
fn is_drawable(row: &Row) -> bool {
    row.columns
        .first()
        .is_some_and(|ours| speed(row, &ours.name).is_some())
}

/// How many times as fast as the second contestant somebody is. What was waited for in vain counts as the time that was waited.
fn speed(row: &Row, name: &str) -> Option<f64> {
    let patient = |column: &Column| column.median().min(row.metric.patience);
    let own = row.columns.iter().find(|column| column.name == name);
    let own = own
        .filter(|column| !column.median().is_nan())
        .map(patient)?;
    let peer = row.columns.get(1).map(patient)?;
    let speed = match row.metric.better() {
        Better::Lower => peer / own,
        Better::Higher => own / peer,
    };
    (speed.is_finite() && speed > 0.0).then_some(speed)
}

/// The goal as a speed.
fn goal(row: &Row) -> Option<f64> {
    match row.metric.goal {
        Goal::RatioAtMost(bound) => Some(1.0 / bound),
        Goal::RatioAtLeast(bound) => Some(bound),
        _ => None,
    }
}

/// The logarithmic scale of a picture.
struct Scale {
    /// The speeds at its ends.
    ends: (f64, f64),
}

impl Scale {
    /// Holds the speeds and goals of these rows, as far as they are within the limits.
    fn new(table: &Table, rows: &[&Row], limits: (f64, f64)) -> Self {
        let names = table.contestants();
        let speeds = rows.iter().flat_map(|row| {
            let speeds = names.iter().filter_map(|name| speed(row, name));
            speeds.chain(goal(row)).collect::<Vec<_>>()
        });
        let (low, high) = speeds.fold((0.8, 1.25), |(low, high): (f64, f64), speed| {
            (low.min(speed), high.max(speed))
        });
        Self {
            ends: (limits.0.max(low / 1.08), limits.1.min(high * 1.08)),
        }
    }

    /// Where a speed is; what is beyond the limits, at the edge.
    fn x(&self, speed: f64) -> f64 {
        let (low, high) = self.ends;
        let speed = speed.clamp(low, high);
        LEFT + (RIGHT - LEFT) * (speed / low).ln() / (high / low).ln()
    }

    /// Where lines are drawn: powers of ten, with 2 and 5 between them where there is room.
    fn lines(&self) -> Vec<f64> {
        let decades = -6..=6;
        let is_wide = self.ends.1 / self.ends.0 > 2000.0;
        let steps: &[f64] = if is_wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = decades.flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
        all.filter(|line| (self.ends.0..=self.ends.1).contains(line))
            .collect()
    }
}

/// The colours, by the place of the contestant: ours stands out.
const COLOURS: [(&str, &str); 6] = [
    ("#0b6e4f", "#3ecf9b"),
    ("#5b6b7b", "#9aa9b8"),
    ("#b5651d", "#e0a060"),
    ("#5a4fcf", "#a49bff"),
    ("#1b7fb5", "#6cc4f5"),
    ("#a03a5a", "#e88aa8"),
];

/// The beginning of a picture: background, title, legend.
fn head(table: &Table, title: &str, subtitle: &str, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{title}\">\n<style>\n"
    );
    let mut sets = [String::new(), String::new()];
    let inks = [
        ["#ffffff", "#1f2328", "#656d76", "#d0d7de"],
        ["#0d1117", "#e6edf3", "#9198a1", "#30363d"],
    ];
    for (set, [paper, ink, soft, line]) in sets.iter_mut().zip(inks) {
        let _ = writeln!(
            set,
            ".paper{{fill:{paper};stroke:{line}}}text{{fill:{ink}}}.soft{{fill:{soft}}}\
             .grid{{stroke:{line}}}.one{{stroke:{soft}}}.goal{{stroke:{ink}}}.halo{{stroke:{paper}}}"
        );
    }
    for (at, (light, dark)) in COLOURS.iter().enumerate() {
        let _ = writeln!(sets[0], ".c{at}{{fill:{light}}}");
        let _ = writeln!(sets[1], ".c{at}{{fill:{dark}}}");
    }
    let [light, dark] = sets;
    let _ = writeln!(
        svg,
        "text{{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}}\
         .title{{font-size:17px;font-weight:600}}.right{{text-anchor:end}}.middle{{text-anchor:middle}}\
         .bold{{font-weight:600}}.small{{font-size:11px}}.goal{{stroke-width:2}}.halo{{paint-order:stroke;stroke-width:3}}\n{light}\
         @media (prefers-color-scheme:dark){{\n{dark}}}\n</style>\n\
         <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"24\" y=\"34\">{title}</text>\n<text class=\"soft\" x=\"24\" y=\"54\">{subtitle}</text>",
        WIDTH - 1.0,
        height - 1.0,
    );
    let mut x = 24.0;
    for (at, name) in table.contestants().iter().enumerate() {
        let _ = writeln!(
            svg,
            "<rect class=\"c{at}\" x=\"{x}\" y=\"67\" width=\"11\" height=\"11\" rx=\"2\"/>\
             <text x=\"{}\" y=\"77\">{name}</text>",
            x + 16.0
        );
        x += 34.0 + 7.0 * name.len() as f64;
    }
    let _ = writeln!(
        svg,
        "<line class=\"goal\" x1=\"{x}\" x2=\"{x}\" y1=\"66\" y2=\"79\"/><text x=\"{}\" y=\"77\">goal</text>",
        x + 7.0
    );
    svg
}

/// The grid of a picture, from `top` to `bottom`.
fn grid(scale: &Scale, top: f64, bottom: f64) -> String {
    let mut svg = String::new();
    for line in scale.lines() {
        let (x, class) = (scale.x(line), if line == 1.0 { "one" } else { "grid" });
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
             <text class=\"soft small middle\" x=\"{x:.1}\" y=\"{}\">{line}×</text>",
            bottom + 15.0,
        );
    }
    svg
}

/// The end of a picture: where and when.
fn foot(table: &Table, height: f64) -> String {
    let fact = |key: &str| {
        let mut facts = table.facts.iter();
        facts.find(|fact| fact.0 == key).map_or("", |fact| &fact.1)
    };
    let text = format!(
        "{} · Linux {} · {} · Tokio {}, smol {}, nio {}, {} · {}",
        fact("cpu"),
        fact("kernel"),
        fact("rustc").split(" (").next().unwrap_or_default(),
        fact("tokio"),
        fact("smol"),
        fact("nio"),
        fact("go"),
        fact("date"),
    );
    format!(
        "<text class=\"soft small\" x=\"24\" y=\"{}\">{}</text>\n</svg>\n",
        height - 14.0,
        escape(&text)
    )
}

/// The picture of one area: for each row a bar for each contestant, from 1 to its speed.
fn bars(table: &Table, area: &str, rows: &[&Row]) -> String {
    const BAR: f64 = 13.0;
    const GAP: f64 = 12.0;
    const TOP: f64 = 96.0;
    let scale = Scale::new(table, rows, (0.0, f64::INFINITY));
    let names = table.contestants();
    let own = |row: &Row| {
        names
            .iter()
            .filter(|name| speed(row, name).is_some())
            .count() as f64
    };
    let bottom = TOP + rows.iter().map(|row| own(row) * BAR + GAP).sum::<f64>();
    let height = bottom + 54.0;
    let peer = names.get(1).copied().unwrap_or("peer");
    let subtitle = format!(
        "Times as fast as {peer}, right is better; logarithmic. Behind each bar its own figure."
    );
    let mut svg = head(table, area, &subtitle, height);
    svg += &grid(&scale, TOP - 6.0, bottom);
    let mut y = TOP;
    for row in rows {
        let _ = writeln!(
            svg,
            "<text class=\"right bold\" x=\"{}\" y=\"{:.1}\">{}</text>\
             <text class=\"right soft small\" x=\"{}\" y=\"{:.1}\">{}</text>",
            LEFT - 12.0,
            y + 11.0,
            escape(&row.metric.name),
            LEFT - 12.0,
            y + 24.0,
            escape(&row.metric.unit),
        );
        for (at, name) in names.iter().enumerate() {
            let Some(speed) = speed(row, name) else {
                continue;
            };
            let (one, end) = (scale.x(1.0), scale.x(speed));
            let (left, right) = (one.min(end), one.max(end));
            let column = row.columns.iter().find(|column| column.name == *name);
            let value = column.map_or(f64::NAN, |column| column.median());
            let _ = writeln!(
                svg,
                "<rect class=\"c{at}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\"/>",
                left - 1.0,
                y + 1.0,
                right - left + 2.0,
                BAR - 2.0,
            );
            let mut label = right;
            if at == 0 {
                svg += &goal_line(&scale, row, y - 2.0, y + BAR + 1.0);
                // Not across the goal.
                let goal = goal(row).map(|goal| scale.x(goal));
                label = goal
                    .filter(|goal| (right..right + 90.0).contains(goal))
                    .unwrap_or(right);
            }
            let _ = writeln!(
                svg,
                "<text class=\"small halo\" x=\"{:.1}\" y=\"{:.1}\">{name} {}</text>",
                label + 6.0,
                y + BAR - 3.0,
                escape(&row.figure(value)),
            );
            y += BAR;
        }
        y += GAP;
    }
    svg + &foot(table, height)
}

/// The goal of a row as a line across it.
fn goal_line(scale: &Scale, row: &Row, from: f64, to: f64) -> String {
    goal(row).map_or_else(String::new, |goal| {
        format!(
            "<line class=\"goal\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{from:.1}\" y2=\"{to:.1}\"/>\n",
            scale.x(goal)
        )
    })
}

/// The summary: for each row a dot for each contestant, ours the largest.
fn dots(table: &Table, rows: &[&Row]) -> String {
    const LINE: f64 = 19.0;
    const TOP: f64 = 104.0;
    let scale = Scale::new(table, rows, LIMITS);
    let names = table.contestants();
    let bottom = TOP + LINE * rows.len() as f64;
    let height = bottom + 54.0;
    let peer = names.get(1).copied().unwrap_or("peer");
    let subtitle = format!(
        "Times as fast as {peer}, right is better; logarithmic. {} figures that have a goal; an arrow is further right.",
        rows.len()
    );
    let mut svg = head(table, "The runtime beside its peers", &subtitle, height);
    let _ = writeln!(
        svg,
        "<text class=\"soft small\" x=\"{}\" y=\"77\">beside the best peer</text>",
        RIGHT + 20.0
    );
    svg += &grid(&scale, TOP - 8.0, bottom);
    let mut area = "";
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + LINE * index as f64;
        let middle = y + LINE / 2.0 - 2.0;
        if area != row.area {
            area = &row.area;
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"24\" x2=\"{}\" y1=\"{1}\" y2=\"{1}\"/>",
                WIDTH - 24.0,
                y - 2.0
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"right\" x=\"{}\" y=\"{:.1}\">{}</text>",
            LEFT - 12.0,
            middle + 4.0,
            escape(&row.metric.name)
        );
        svg += &goal_line(&scale, row, y, y + LINE - 4.0);
        // Ours last, so that it lies on top.
        for (at, name) in names.iter().enumerate().rev() {
            if let Some(speed) = speed(row, name) {
                let size = if at == 0 { 5.5 } else { 4.0 };
                let x = scale.x(speed);
                if speed > scale.ends.1 {
                    // An arrow: it is further to the right than there is room.
                    let _ = writeln!(
                        svg,
                        "<path class=\"c{at}\" d=\"M{:.1} {:.1}l{2} {size}l-{2} {size}z\"><title>{name}: {speed:.0}×</title></path>",
                        x - size,
                        middle - size,
                        2.0 * size
                    );
                    continue;
                }
                let _ = writeln!(
                    svg,
                    "<circle class=\"c{at}\" cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"{size}\"><title>{name}: {speed:.2}×</title></circle>",
                    x
                );
            }
        }
        let weight = match row.standing() {
            Some(Standing::Ahead) => "bold",
            _ => "soft",
        };
        let _ = writeln!(
            svg,
            "<text class=\"small {weight}\" x=\"{}\" y=\"{:.1}\">{}</text>",
            RIGHT + 20.0,
            middle + 4.0,
            escape(&row.standing_in_words()),
        );
    }
    svg + &foot(table, height)
}

/// A text without what SVG would read as its own.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::metric;

    fn table() -> Table {
        let column = |name: &str, value: f64| Column {
            name: name.into(),
            values: vec![value],
        };
        let row = |name: &str, unit, goal, ours, tokio| Row {
            area: "area".into(),
            metric: metric(name, unit, goal),
            date: "today".into(),
            others: 0.0,
            columns: vec![column("ours", ours), column("tokio", tokio)],
        };
        Table {
            facts: vec![("cpu".into(), "a <fast> one".into())],
            rows: vec![
                row("cost", "ns", Goal::RatioAtMost(0.5), 1.0, 4.0),
                row("rate", "requests/s", Goal::RatioAtLeast(1.1), 4.0, 2.0),
                row("zero", "sleeps", Goal::AtMost(0.0), 0.0, 0.0),
            ],
        }
    }

    #[test]
    fn right_is_better_for_costs_and_rates() {
        let table = table();
        let speeds = table.rows.iter().map(|row| speed(row, "ours"));
        assert_eq!(speeds.collect::<Vec<_>>(), [Some(4.0), Some(2.0), None]);
        assert_eq!(goal(&table.rows[0]), Some(2.0));
        assert_eq!(goal(&table.rows[1]), Some(1.1));
    }

    #[test]
    fn each_row_that_can_be_drawn_is_drawn() {
        let table = table();
        let rows: Vec<&Row> = table.rows.iter().filter(|row| is_drawable(row)).collect();
        for svg in [dots(&table, &rows), bars(&table, "area", &rows)] {
            assert!(svg.contains(">cost<") && svg.contains(">rate<"), "{svg}");
            assert!(
                !svg.contains(">zero<") && svg.contains("a &lt;fast&gt; one"),
                "{svg}"
            );
            assert_eq!(
                svg.matches("class=\"goal\"").count(),
                3,
                "two rows and the legend"
            );
        }
    }
}
