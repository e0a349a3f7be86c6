//! A program whose `main` returns a `Result`, with errors of several types.

#![forbid(unsafe_code, unused, unreachable_code)]

use std::error::Error;

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl Error for Refused {}

#[runtime::main(worker_threads = 2, name = "program")]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().count() > 1000 {
        return Err(Box::new(Refused));
    }
    let number = runtime::spawn(async { "5".parse::<u32>() }).await??;
    assert_eq!(number, 5);
    Ok(())
}
