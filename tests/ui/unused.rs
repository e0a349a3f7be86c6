//! Values that a body forgets are found as elsewhere.

#![deny(warnings)]

async fn fails() -> Result<(), ()> {
    Err(())
}

#[runtime::main]
async fn main() {
    fails().await;
    fails();
}
