//! Nobody calls a test with arguments, nor chooses its types.

#[runtime::test]
async fn argument(_: u32) {}

#[runtime::test]
async fn generic<T>() {}

#[runtime::test(start_paused = 1)]
fn many_mistakes<'a>(_: &'a str) {}

fn main() {}
