//! How fast the runtime is, beside Tokio.
//!
//! The map:
//!
//! - [`rt`]: what a workload may ask of a runtime ([`Rt`]), and [`contestant!`](crate::contestant),
//!   which writes the same implementation for each crate.
//! - [`questions`]: one module for each area; its header states the questions, the method and how
//!   to read the results, and it defines each workload once. Criterion's benches and the table use
//!   the same functions.
//! - [`table`]: the interleaved comparison, `cargo bench --bench ratios`.
//! - [`matrix`]: bad neighbours beside more contestants, `cargo bench --bench hogs`; [`go`] is the one among them that is
//!   no crate.
//! - [`paired`]: one runtime with and without rescue, `cargo bench --bench rescue`.
//! - [`fresh`]: a measurement in a process of its own. [`options`]: what the command line asks for.
//! - [`client`]: the load, in a process of its own, and the observer of an idle process.
//! - [`report`], [`stats`], [`work`]: the printed rows, quantiles, calibrated CPU work.
//! - [`process`], [`quiet`]: what the kernel says of this process, and of the others meanwhile.
//!
//! What must always hold: a workload never knows whose runtime it runs on, every contestant gets
//! the same number of workers, warm-up and repetitions, and each result is checked, so that nothing
//! can be optimised away. The crate needs Linux: it reads `/proc` and drives its load with epoll.

#![forbid(unsafe_code)]

pub mod client;
pub mod fresh;
pub mod go;
pub mod matrix;
pub mod options;
pub mod paired;
pub mod process;
pub mod questions;
pub mod quiet;
pub mod report;
pub mod rt;
pub mod stats;
pub mod table;
pub mod work;

pub use rt::Rt;
