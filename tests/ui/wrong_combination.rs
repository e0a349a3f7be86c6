//! Arguments that the flavor has no use for, given or by default.

#[runtime::test(worker_threads = 4)]
async fn workers_by_default() {}

#[runtime::test(flavor = "current_thread", worker_threads = 4)]
async fn workers_of_one_thread() {}

#[runtime::test(flavor = "multi_thread", start_paused = true)]
async fn paused_workers() {}

#[runtime::main(start_paused = true)]
async fn main() {}
