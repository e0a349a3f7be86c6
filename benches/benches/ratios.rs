//! Question: how do we compare with Tokio, in everything that has a goal?
//!
//! Method: each workload in interleaved rounds, two workers each, in one process or in fresh ones;
//! `benches/src/questions/` has the workloads and their headers, `benches/src/table.rs` the order
//! of things.
//!
//! Read: `name: ours X, tokio Y unit, ratio Z [lowest–highest of a round] (goal …)`. It goes to
//! `target/ratios.tsv` and `target/ratios.md` too.
//!
//! ```text
//! cargo bench --bench ratios                                   everything, 5 rounds
//! cargo bench --bench ratios -- spawn_inside echo --rounds 9   what has these words in its name
//! cargo bench --bench ratios -- idle --quiet 3                 with a shorter quiet
//! ```

mod contestants;

use contestants::{Ours, Tokio};

fn main() -> std::process::ExitCode {
    runtime_benches::table::main::<Ours, Tokio>()
}
