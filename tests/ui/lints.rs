//! Lints see the body as if it stood in an ordinary function, and nothing of the expansion.

#![deny(warnings, clippy::all)]

#[runtime::main(worker_threads = 1)]
async fn main() -> Result<(), std::num::ParseIntError> {
    let unused = 5;
    "5".parse::<u32>()?;
    return Ok(());
    println!("never");
}
