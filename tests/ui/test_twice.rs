//! A function that is registered as a test twice would run twice. (The other way round, it is rustc that objects.)

#[runtime::test]
#[test]
async fn below() {}

#[runtime::test]
#[runtime::test]
async fn ours() {}

fn main() {}
