//! Mistakes in a body are shown where they are, with the function's own types.

#[derive(Debug)]
struct Failure;

#[runtime::main]
async fn unit() {
    5
}

#[runtime::main]
async fn wrong_output() -> Result<(), Failure> {
    Ok(5)
}

#[runtime::main]
async fn wrong_return() -> Result<(), Failure> {
    if true {
        return 5;
    }
    Ok(())
}

#[runtime::main]
async fn no_output() -> Result<(), Failure> {
    let _ = 5;
}

#[runtime::main]
async fn no_conversion() -> Result<(), Failure> {
    "5".parse::<u32>()?;
    Ok(())
}

#[runtime::main]
async fn main() {
    let text: &str = 5;
    "5".parse::<u32>()?;
}
