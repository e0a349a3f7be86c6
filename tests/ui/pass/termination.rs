//! A program whose `main` hides the type that it returns.

use std::process::{ExitCode, Termination};

#[runtime::main]
async fn main() -> impl Termination {
    runtime::spawn(async { ExitCode::SUCCESS }).await.unwrap()
}
