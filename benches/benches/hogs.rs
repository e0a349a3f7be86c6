//! Question: what do tasks that compute or block too long cost their neighbours, in several runtimes?
//!
//! Method: the cells of `benches/src/questions/hogs.rs` for our runtime with and without rescue, Tokio, smol, and Go
//! if it is installed; two workers each, a fresh process each time, in rounds; `benches/src/matrix.rs` has the order
//! of things.
//!
//! Read: a row a cell and contestant, in milliseconds; `>1500` means that nothing came in that time. It goes to
//! `target/hogs.md` too. The goals, and the ratios to Tokio, are in `cargo bench --bench ratios -- hogs`.
//!
//! ```text
//! cargo bench --bench hogs                                   everything, 3 rounds
//! cargo bench --bench hogs -- spin5 hogs_8 --rounds 1        the cells that have one of these words in their name
//! ```

mod contestants;
#[path = "contestants/smol.rs"]
mod smol_contestant;

use contestants::{Ours, Tokio};
use smol_contestant::Smol;

fn main() -> std::process::ExitCode {
    runtime_benches::matrix::main::<Ours, Tokio, Smol>()
}
