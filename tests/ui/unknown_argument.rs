//! An unknown argument is told from a wrong value, and each error is shown.

#[runtime::main(threads = 4, worker_threads = 0, multi_thread)]
async fn main() {}
