//! `#[runtime::main]` and `#[runtime::test]`: what they build, and how they answer misuse.

use std::error::Error;
use std::num::ParseIntError;
use std::thread;
use std::time::Duration;

use runtime::runtime::{Handle, RuntimeFlavor};
use runtime::time::{Instant, sleep};

/// Longer than any test may take.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Every misuse under `ui` is answered with the errors beside it, and every program under `ui/pass`
/// compiles and runs. `TRYBUILD=overwrite` writes the errors anew, after a change of messages here or
/// in a new compiler.
#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*.rs");
    cases.pass("ui/pass/*.rs");
}

/// Functions that look like the `main` of a program.
mod programs {
    use super::*;

    /// Says on which flavor it runs.
    #[runtime::main]
    pub(super) async fn main() -> RuntimeFlavor {
        Handle::current().runtime_flavor()
    }

    #[runtime::main(flavor = "current_thread")]
    pub(super) async fn current_thread() -> RuntimeFlavor {
        Handle::current().runtime_flavor()
    }

    #[runtime::main(worker_threads = 3, flavor = "multi_thread")]
    pub(super) async fn three_workers() -> usize {
        Handle::current().metrics().num_workers()
    }

    #[runtime::main(worker_threads = { let more = 1; count + more })]
    pub(super) async fn workers_by_expression(count: usize) -> usize {
        Handle::current().metrics().num_workers()
    }

    #[runtime::main(worker_threads = 1, name = concat!("macro", "-test"))]
    pub(super) async fn thread_name() -> Option<String> {
        let named = runtime::spawn(async { thread::current().name().map(str::to_owned) });
        named.await.expect("the task does not panic")
    }

    #[runtime::main(flavor = "current_thread")]
    pub(super) async fn parse(text: &str) -> Result<u32, ParseIntError> {
        runtime::task::yield_now().await;
        let number = text.parse::<u32>()?;
        Ok(number)
    }

    #[runtime::main(flavor = "current_thread")]
    pub(super) async fn boxed(text: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
        if text.is_empty() {
            return Err("nothing there".into());
        }
        if text == "-" {
            return Err(Box::new(std::fmt::Error));
        }
        Ok(text.parse()?)
    }

    #[runtime::main(flavor = "current_thread", start_paused = true)]
    pub(super) async fn paused() -> Duration {
        let start = Instant::now();
        sleep(LONG).await;
        start.elapsed()
    }

    #[runtime::main(crate = runtime)]
    pub(super) async fn crate_as_path() {}

    #[runtime::main(crate = "::runtime")]
    pub(super) async fn crate_as_string() {}

    /// Has receivers, generics and borrowed arguments.
    pub(super) struct Client {
        pub(super) name: String,
    }

    impl Client {
        #[runtime::main(flavor = "current_thread")]
        pub(super) async fn new(name: String) -> Self {
            runtime::task::yield_now().await;
            Self { name }
        }

        #[runtime::main(flavor = "current_thread")]
        pub(super) async fn name(&self) -> &str {
            &self.name
        }

        #[runtime::main(flavor = "current_thread")]
        pub(super) async fn append<'a, T>(&'a mut self, mut more: Vec<T>) -> &'a mut String
        where
            T: AsRef<str> + Ord,
        {
            more.sort();
            self.name.extend(more.iter().map(AsRef::as_ref));
            &mut self.name
        }
    }
}

#[test]
fn main_is_multi_thread_by_default() {
    assert_eq!(programs::main(), RuntimeFlavor::MultiThread);
    assert_eq!(programs::current_thread(), RuntimeFlavor::CurrentThread);
}

#[test]
fn workers_are_as_many_as_asked_for() {
    assert_eq!(programs::three_workers(), 3);
    assert_eq!(programs::workers_by_expression(1), 2);
}

#[test]
fn threads_bear_the_name() {
    let name = programs::thread_name().expect("the thread has a name");
    assert!(name.starts_with("macro-test"), "{name}");
}

#[test]
fn main_returns_what_the_body_returns() {
    assert_eq!(programs::parse("7"), Ok(7));
    assert!(programs::parse("seven").is_err());
    assert!(programs::boxed("").is_err());
    assert!(programs::boxed("-").is_err_and(|error| error.is::<std::fmt::Error>()));
    assert_eq!(programs::boxed("7").expect("a number"), 7);
}

#[test]
fn a_paused_clock_jumps_to_the_deadline() {
    assert!(programs::paused() >= LONG);
}

#[test]
fn the_crate_may_be_named() {
    programs::crate_as_path();
    programs::crate_as_string();
}

#[test]
fn methods_may_be_marked() {
    let mut client = programs::Client::new("a".to_owned());
    assert_eq!(client.append(vec!["c", "b"]), "abc");
    assert_eq!(client.name(), "abc");
}

#[runtime::test]
async fn a_test_is_current_thread_by_default() {
    assert_eq!(
        Handle::current().runtime_flavor(),
        RuntimeFlavor::CurrentThread
    );
}

#[runtime::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_may_have_workers() {
    assert_eq!(
        Handle::current().runtime_flavor(),
        RuntimeFlavor::MultiThread
    );
    assert_eq!(Handle::current().metrics().num_workers(), 2);
}

#[runtime::test(start_paused = true)]
async fn a_test_may_pause_its_clock() {
    let start = Instant::now();
    sleep(LONG).await;
    assert!(start.elapsed() >= LONG);
}

#[runtime::test]
async fn a_test_may_return_a_result() -> Result<(), Box<dyn Error>> {
    let number = runtime::spawn(async { "5".parse::<u32>() }).await??;
    assert_eq!(number, 5);
    Ok(())
}

#[runtime::test]
#[should_panic(expected = "as it should")]
async fn a_test_may_be_expected_to_panic() {
    runtime::task::yield_now().await;
    panic!("as it should");
}

/// The attribute may come in under a name of its own, even that of std's.
mod shadowing {
    use runtime::test;

    #[test]
    async fn test_may_be_imported() {
        runtime::task::yield_now().await;
    }
}

/// A macro of a library may say where the runtime is.
macro_rules! runs_on {
    ($facade:path, $workers:expr) => {
        #[runtime::test(flavor = "multi_thread", worker_threads = $workers, crate = $facade)]
        async fn arguments_may_come_from_a_macro() {
            assert_eq!(Handle::current().metrics().num_workers(), 2);
        }
    };
}

runs_on!(::runtime, 2);
