//! `timeout` and `timeout_at`.

use std::future::{pending, ready};
use std::time::Duration;

use runtime::sync::oneshot;
use runtime::time::{Instant, sleep, timeout, timeout_at};
use runtime_tests::{DropCount, on_each, paused};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_future_in_time_gives_its_output() {
    paused(async {
        let output = timeout(2 * SECOND, async {
            sleep(SECOND).await;
            5
        });
        assert_eq!(output.await.unwrap(), 5);
        assert_eq!(
            timeout_at(Instant::now() + SECOND, ready(6)).await.unwrap(),
            6
        );
    });
}

#[test]
fn a_late_future_gives_elapsed_and_is_dropped() {
    paused(async {
        let count = DropCount::new();
        let token = count.token();
        let start = Instant::now();
        let late = timeout(SECOND, async move {
            let _token = token;
            pending::<()>().await;
        });
        let error = late.await.unwrap_err();
        assert_eq!(error.to_string(), "deadline has elapsed");
        assert_eq!(
            std::io::Error::from(error).kind(),
            std::io::ErrorKind::TimedOut
        );
        assert_eq!(count.dropped(), 1);
        assert!(start.elapsed() >= SECOND && start.elapsed() < 2 * SECOND);
    });
}

#[test]
fn at_the_same_moment_the_future_wins() {
    paused(async {
        assert_eq!(timeout(Duration::ZERO, ready(1)).await.unwrap(), 1);
        assert_eq!(
            timeout_at(Instant::now() - SECOND, ready(2)).await.unwrap(),
            2
        );
        assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
        assert!(timeout(SECOND, sleep(SECOND)).await.is_ok());
    });
}

#[test]
fn the_deadline_holds_for_a_future_that_is_woken_all_the_time() {
    on_each(|| async {
        let start = Instant::now();
        let restless = timeout(Duration::from_millis(5), async {
            loop {
                runtime::task::yield_now().await;
            }
        });
        let output: Result<(), _> = restless.await;
        assert!(output.is_err());
        assert!(start.elapsed() >= Duration::from_millis(5));
    });
}

#[test]
fn the_deadline_holds_for_a_future_that_spends_its_whole_budget() {
    on_each(|| async {
        let greedy = timeout(Duration::from_millis(5), async {
            loop {
                sleep(Duration::ZERO).await;
            }
        });
        let output: Result<(), _> = runtime::spawn(greedy).await.unwrap();
        assert!(output.is_err());
    });
}

#[test]
fn the_future_can_be_had_back() {
    paused(async {
        let (sender, receiver) = oneshot::channel();
        let mut limited = timeout(SECOND, receiver);
        assert!(limited.get_mut().try_recv().is_err());
        let _: &oneshot::Receiver<u32> = limited.get_ref();
        sender.send(7).unwrap();
        assert_eq!(limited.into_inner().await.unwrap(), 7);
    });
}

#[test]
fn nested_timeouts_each_keep_theirs() {
    paused(async {
        let start = Instant::now();
        let inner = timeout(2 * SECOND, pending::<()>());
        let outer = timeout(SECOND, inner).await;
        assert!(outer.is_err());
        let inner = timeout(SECOND, pending::<()>());
        let outer = timeout(2 * SECOND, inner).await;
        assert!(outer.unwrap().is_err());
        assert!(start.elapsed() >= 2 * SECOND && start.elapsed() < 3 * SECOND);
    });
}

#[test]
fn io_that_stalls_ends_at_its_deadline() {
    on_each(|| async {
        let (mut stream, _peer) = runtime::net::UnixStream::pair().unwrap();
        let stalled = timeout(Duration::from_millis(5), stream.read(&mut [0])).await;
        assert!(stalled.is_err());
        // And the stream is none the worse for it.
        stream.writable().await.unwrap();
    });
}
