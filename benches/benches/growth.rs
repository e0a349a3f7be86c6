//! Question: does the cost of an operation stay the same as there are more tasks, connections, workers?
//!
//! Method: the series of `benches/src/questions/growth.rs` for our runtime and Tokio, a fresh process for each size, in rounds;
//! `benches/src/growth.rs` has the order of things.
//!
//! Read: along a row; `last / first` is the largest size divided by the smallest. It goes to `target/growth.md` too.
//!
//! ```text
//! cargo bench --bench growth                                     everything, 3 rounds
//! cargo bench --bench growth -- growth_workers --rounds 1        the series that have this word in their name
//! ```

mod contestants;

use contestants::{Ours, Tokio};
use runtime_benches::contestant::Contestants;

fn main() -> std::process::ExitCode {
    runtime_benches::growth::main(Contestants::default().with::<Ours>().with::<Tokio>())
}
