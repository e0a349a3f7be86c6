//! Question: what does rescue cost where nobody needs it, and where other processes eat the CPU?
//!
//! Method: pairs of measurements of our runtime with and without rescue, in fresh processes of this executable;
//! `benches/src/paired.rs` says how, and what the interval means.
//!
//! Read: `on / off`, with the 95 % interval of its median. It goes to `target/rescue.md` too.
//!
//! ```text
//! cargo bench --bench rescue                                  everything, 31 rounds
//! cargo bench --bench rescue -- spawn_inside --rounds 101     what has this word in its name, longer
//! ```

mod contestants;

use contestants::Ours;

fn main() -> std::process::ExitCode {
    runtime_benches::paired::main::<Ours>()
}
