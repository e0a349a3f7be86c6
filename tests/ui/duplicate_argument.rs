//! Each argument is given once.

#[runtime::main(worker_threads = 2, name = "a", worker_threads = 3, crate = runtime, name = "b")]
async fn main() {}
