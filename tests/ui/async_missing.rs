//! Both attributes run async functions only.

#[runtime::main]
fn main() {}

#[runtime::test]
fn it() {}
