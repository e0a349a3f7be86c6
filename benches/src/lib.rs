//! How fast the runtime is, beside Tokio, smol, nio and Go.
//!
//! The map:
//!
//! - [`rt`]: what a workload may ask of a runtime ([`Rt`]), and [`contestant!`](crate::contestant!),
//!   which writes the same implementation for each crate.
//! - [`questions`]: one module for each area; its header states the questions, the method and how
//!   to read the results, and it defines each workload once. Criterion's benches and the table use
//!   the same functions.
//! - [`mod@contestant`]: who takes part; [`go`] is the one among them that is no crate.
//! - [`table`]: the interleaved comparison, `cargo bench --bench ratios` and `--bench report`.
//! - [`paired`]: two contestants, two builds, or one runtime with and without rescue, in pairs with an interval:
//!   `ratios -- --paired` and `cargo bench --bench rescue`.
//! - [`floor`]: the echo server written by hand, and how far the others are from it, `cargo bench --bench floor`.
//! - [`growth`]: the cost of an operation as there is more of everything, `cargo bench --bench growth`.
//! - [`fresh`]: a measurement in a process of its own. [`options`]: what the command line asks for.
//! - [`client`]: the load, in a process of its own, and the observer of an idle process.
//! - [`row`], [`report`], [`picture`]: one figure of everybody and its verdicts; what is saved; what is drawn.
//! - [`stats`], [`work`]: quantiles, calibrated CPU work.
//! - [`process`], [`quiet`]: what the kernel says of this process, and of the others meanwhile.
//!
//! What must always hold: a workload never knows whose runtime it runs on, every contestant gets
//! the same number of workers, warm-up and repetitions, and each result is checked, so that nothing
//! can be optimised away. The crate needs Linux: it reads `/proc` and drives its load with epoll.

#![forbid(unsafe_code)]

pub mod client;
pub mod contestant;
pub mod floor;
pub mod fresh;
pub mod go;
pub mod growth;
pub mod options;
pub mod paired;
pub mod picture;
pub mod process;
pub mod questions;
pub mod quiet;
pub mod report;
pub mod row;
pub mod rt;
pub mod stats;
pub mod table;
pub mod work;

pub use rt::Rt;
