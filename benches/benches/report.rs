//! Question: how do we compare, for people who would rather look than read?
//!
//! Method: the table of `ratios`, with all peers.
//!
//! Read: `benches/report/report.md`, which has the pictures in it; `summary.svg` is the picture of all rows that have a goal.
//!
//! ```text
//! cargo bench --bench report                    measures everything, 5 rounds, and draws
//! cargo bench --bench report -- spawn wake      measures what has these words in its name again, keeps the other rows
//! cargo bench --bench report -- --redraw        draws what report.tsv has
//! ```

mod contestants;

use contestants::Ours;
use runtime_benches::table::{self, Book};

fn main() -> std::process::ExitCode {
    table::main::<Ours>(contestants::all(), Book::Report)
}
