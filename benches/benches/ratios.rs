//! Question: how do we compare with Tokio, smol, nio and Go, in everything that has a goal?
//!
//! Method: each workload in interleaved rounds, two workers each, in one process or in fresh ones;
//! `benches/src/questions/` has the workloads and their headers, `benches/src/table.rs` the order
//! of things.
//!
//! Read: `name: ours X, tokio Y, smol …, nio …, go … unit; to tokio RATIO [lowest–highest of a round] (goal …); to best
//! RATIO PEER ahead, even or BEHIND`. It goes to `target/ratios.tsv` and `target/ratios.md` too.
//!
//! ```text
//! cargo bench --bench ratios                                   everything, 5 rounds
//! cargo bench --bench ratios -- spawn_inside echo --rounds 9   what has these words in its name
//! cargo bench --bench ratios -- yield --peers tokio,nio        beside these peers only
//! cargo bench --bench ratios -- yield --paired 31              31 paired rounds in fresh processes, with an interval
//! cargo bench --bench ratios -- yield --against FILE           the same beside another build's executable of this bench
//! cargo bench --bench ratios -- idle --quiet 3                 with a shorter quiet
//! ```

mod contestants;

use contestants::Ours;
use runtime_benches::table::{self, Book};

fn main() -> std::process::ExitCode {
    table::main::<Ours>(contestants::all(), Book::Target)
}
