//! The attributes `#[runtime::main]` and `#[runtime::test]`.
//!
//! Programs reach them through the crate `runtime`, which re-exports them; this crate has nothing else
//! to offer. Each turns an async function into a plain one that builds a runtime, runs the body on it
//! with `block_on`, and returns what the body returns.
//!
//! - `args` reads what stands in the parentheses,
//! - `entry` takes the function apart and puts the new one together,
//! - `errors` collects what is wrong, so that one build shows all of it.
//!
//! The expansion consists of calls that a user could write, on the public builder. It names the facade
//! by the path `::runtime` (or what `crate` says), so this crate depends on no other of the workspace,
//! except for its examples.

#![forbid(unsafe_code)]

mod args;
mod entry;
mod errors;

use proc_macro::TokenStream;

use entry::{Entry, expand};

/// Runs an async function on a runtime of its own; meant for `main`.
///
/// The function becomes a plain one, which builds a runtime with everything enabled, runs the body on
/// it as `Runtime::block_on` does, shuts the runtime down and returns what the body returned: `()`,
/// a `Result`, anything `main` may return. Other functions than `main` may be marked too, also with
/// arguments and generics; they then block whoever calls them, and so must not be called from async
/// code.
///
/// The body is the root future. It runs on the calling thread, not on a worker; what is to run in
/// parallel goes to `runtime::spawn`. Tasks that still run when the body returns are dropped with the
/// runtime.
///
/// # Arguments
///
/// | argument | value | by default |
/// |---|---|---|
/// | `flavor` | `"multi_thread"` or `"current_thread"` | `"multi_thread"` |
/// | `worker_threads` | the number of workers, from 1: an integer, or any expression of type `usize`; not with `"current_thread"` | what the builder chooses: one for each core, or `RUNTIME_WORKER_THREADS` |
/// | `start_paused` | `true` or `false`: whether the clock stands still from the start, and jumps from deadline to deadline; only with `"current_thread"` | `false` |
/// | `name` | the name of the runtime's threads: a string, or any expression that converts into one | what the builder chooses |
/// | `crate` | where to find the crate `runtime`, if it goes by another name: a path, bare or in a string | `::runtime` |
///
/// What they do not reach is reached with `runtime::runtime::Builder`.
///
/// # Examples
///
/// ```no_run
/// #[runtime::main]
/// async fn main() -> std::io::Result<()> {
///     let listener = runtime::net::TcpListener::bind("127.0.0.1:8080").await?;
///     let (_stream, peer) = listener.accept().await?;
///     println!("{peer} was here");
///     Ok(())
/// }
/// ```
///
/// The same function without the attribute, give or take the message:
///
/// ```no_run
/// fn main() -> std::io::Result<()> {
///     runtime::runtime::Builder::new_multi_thread()
///         .enable_all()
///         .build()
///         .unwrap_or_else(|error| panic!("failed to start the runtime: {error}"))
///         .block_on(async {
///             let listener = runtime::net::TcpListener::bind("127.0.0.1:8080").await?;
///             let (_stream, peer) = listener.accept().await?;
///             println!("{peer} was here");
///             Ok(())
///         })
/// }
/// ```
///
/// Two workers, whose threads bear the program's name:
///
/// ```
/// #[runtime::main(worker_threads = 2, name = env!("CARGO_PKG_NAME"))]
/// async fn main() {
///     let sum = runtime::spawn(async { 1 + 2 }).await;
///     assert_eq!(sum.ok(), Some(3));
/// }
/// ```
///
/// All on one thread:
///
/// ```
/// #[runtime::main(flavor = "current_thread")]
/// async fn main() {
///     println!("hello");
/// }
/// ```
///
/// With the crate under another name:
///
/// ```
/// extern crate runtime as engine;
///
/// #[engine::main(crate = engine)]
/// async fn main() {
///     println!("hello");
/// }
/// ```
///
/// # Panics
///
/// Panics with "failed to start the runtime: …" if the runtime cannot be built, for instance because
/// no thread can be started; and, as every `block_on`, when called on a thread that runs async code.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Entry::Main, arguments.into(), item.into()).into()
}

/// Makes an async function a test that runs on a runtime of its own.
///
/// It is a `#[test]` besides: `#[should_panic]`, `#[ignore]` and a `Result` as return type work as
/// usual. A test has no arguments and is not generic.
///
/// # Arguments
///
/// Those of [`macro@main`]; but here the flavor is `"current_thread"` by default, so `worker_threads`
/// needs `flavor = "multi_thread"` beside it, and `start_paused` needs nothing.
///
/// # Examples
///
/// ```no_run
/// #[runtime::test]
/// async fn a_task_returns_its_output() {
///     assert_eq!(runtime::spawn(async { 5 }).await.ok(), Some(5));
/// }
/// ```
///
/// An hour passes at once:
///
/// ```no_run
/// use std::time::Duration;
///
/// #[runtime::test(start_paused = true)]
/// async fn an_hour_passes() {
///     let start = runtime::time::Instant::now();
///     runtime::time::sleep(Duration::from_secs(3600)).await;
///     assert!(start.elapsed() >= Duration::from_secs(3600));
/// }
/// ```
///
/// With workers:
///
/// ```no_run
/// #[runtime::test(flavor = "multi_thread", worker_threads = 2)]
/// async fn tasks_run_on_workers() -> Result<(), runtime::task::JoinError> {
///     runtime::spawn(async {}).await
/// }
/// ```
///
/// # Panics
///
/// The test panics with "failed to start the runtime: …" if the runtime cannot be built.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Entry::Test, arguments.into(), item.into()).into()
}
