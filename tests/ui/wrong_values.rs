//! Values of the wrong kind, and what is no argument at all.

#[runtime::test(flavor = 1)]
async fn flavor_as_number() {}

#[runtime::test(flavor = "single_thread")]
async fn unknown_flavor() {}

#[runtime::test(flavor = multi_thread)]
async fn flavor_as_path() {}

#[runtime::test(flavor = "multi_thread", worker_threads = "4")]
async fn workers_as_string() {}

#[runtime::test(flavor = "multi_thread", worker_threads = 1.5)]
async fn workers_as_float() {}

#[runtime::test(flavor = "multi_thread", worker_threads = 0)]
async fn no_workers() {}

#[runtime::test(flavor = "multi_thread", worker_threads = -1)]
async fn less_than_no_workers() {}

#[runtime::test(start_paused = "yes")]
async fn paused_as_string() {}

#[runtime::test(name = 7)]
async fn name_as_number() {}

#[runtime::test(crate = 7)]
async fn crate_as_number() {}

#[runtime::test(crate = "not a path")]
async fn crate_as_words() {}

#[runtime::test(start_paused)]
async fn no_value() {}

#[runtime::test(start_paused =)]
async fn empty_value() {}

#[runtime::test("current_thread")]
async fn no_name() {}

#[runtime::test(flavor = "current_thread" start_paused = true)]
async fn no_comma() {}

fn main() {}
