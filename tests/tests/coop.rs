//! The cooperative budget: a task whose awaits are always ready gives way all the same.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runtime::net::{UdpSocket, UnixStream};
use runtime::task::coop::{cooperative, has_budget_remaining};
use runtime::task::{JoinHandle, consume_budget, unconstrained, yield_now};
use runtime::time::sleep;
use runtime_tests::{Flag, on_current_thread, yield_until};

/// Far more than a budget.
const OPERATIONS: usize = 2_000;

/// On one thread, runs `operations`, a future that performs at most [`OPERATIONS`] operations
/// which are all ready and counts them, beside a task that looks at the counter when it gets
/// a turn. Returns what that saw.
async fn seen_beside<F: Future<Output = ()>>(
    operations: impl FnOnce(Arc<AtomicUsize>) -> F,
) -> usize {
    let done = Arc::new(AtomicUsize::new(0));
    let looks = done.clone();
    let other = runtime::spawn(async move { looks.load(Ordering::SeqCst) });
    operations(done.clone()).await;
    assert_eq!(done.load(Ordering::SeqCst), OPERATIONS);
    other.await.unwrap()
}

/// Runs `root` as a spawned task, since only tasks have a budget of their own.
fn in_task<F: Future<Output = ()> + Send + 'static>(root: F) {
    on_current_thread(async { runtime::spawn(root).await.unwrap() });
}

async fn finished_tasks() -> Vec<JoinHandle<()>> {
    let tasks: Vec<_> = (0..OPERATIONS).map(|_| runtime::spawn(async {})).collect();
    yield_until(|| tasks.iter().all(|task| task.is_finished())).await;
    tasks
}

#[test]
fn join_handles_spend_it() {
    in_task(async {
        let tasks = finished_tasks().await;
        let seen = seen_beside(|done| async move {
            for task in tasks {
                task.await.unwrap();
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        let seen = seen.await;
        assert!(seen < OPERATIONS, "the other task waited for all");
    });
}

#[test]
fn elapsed_sleeps_spend_it() {
    in_task(async {
        let seen = seen_beside(|done| async move {
            for _ in 0..OPERATIONS {
                sleep(Duration::ZERO).await;
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        assert!(seen.await < OPERATIONS);
    });
}

#[test]
fn reads_and_writes_spend_it() {
    in_task(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(&[7; OPERATIONS]).await.unwrap();
        let seen = seen_beside(|done| async move {
            for _ in 0..OPERATIONS {
                let mut byte = [0];
                other.read_exact(&mut byte).await.unwrap();
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        assert!(seen.await < OPERATIONS, "reads");

        let (mut writer, reader) = UnixStream::pair().unwrap();
        let seen = seen_beside(|done| async move {
            for _ in 0..OPERATIONS {
                if done.load(Ordering::SeqCst) < 100 {
                    writer.write_all(b"x").await.unwrap();
                } else {
                    // Without bytes the socket's buffer cannot fill up.
                    writer.writable().await.unwrap();
                }
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        assert!(seen.await < OPERATIONS, "writes");
        drop(reader);
    });
}

#[test]
fn readiness_and_datagrams_spend_it() {
    in_task(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let seen = seen_beside(|done| {
            let socket = &socket;
            async move {
                for _ in 0..OPERATIONS {
                    socket.writable().await.unwrap();
                    done.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        assert!(seen.await < OPERATIONS, "readiness");
        let own = socket.local_addr().unwrap();
        let seen = seen_beside(|done| {
            let socket = &socket;
            async move {
                for _ in 0..OPERATIONS {
                    socket.send_to(b"x", own).await.unwrap();
                    done.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        assert!(seen.await < OPERATIONS, "datagrams");
    });
}

#[test]
fn a_loop_over_ready_operations_without_end_lets_the_others_end_it() {
    in_task(async {
        let over = Flag::new();
        let inside = over.clone();
        let (mut one, other) = UnixStream::pair().unwrap();
        one.write_all(b"x").await.unwrap();
        runtime::spawn(async move { inside.set() });
        while !over.is_set() {
            other.readable().await.unwrap();
        }
    });
}

#[test]
fn consume_budget_gives_way_after_a_budget() {
    in_task(async {
        let seen = seen_beside(|done| async move {
            for _ in 0..OPERATIONS {
                consume_budget().await;
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        let seen = seen.await;
        assert!(
            (2..OPERATIONS).contains(&seen),
            "{seen}: neither at once nor never"
        );
    });
}

#[test]
fn unconstrained_gives_way_never() {
    in_task(async {
        let tasks = finished_tasks().await;
        let seen = seen_beside(|done| {
            unconstrained(async move {
                for task in tasks {
                    task.await.unwrap();
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        assert_eq!(seen.await, OPERATIONS);
    });
}

#[test]
fn the_budget_is_renewed_at_each_poll() {
    in_task(async {
        let done = Arc::new(AtomicUsize::new(0));
        let looks = done.clone();
        let other = runtime::spawn(async move {
            let mut seen = Vec::new();
            while seen.last() != Some(&OPERATIONS) {
                seen.push(looks.load(Ordering::SeqCst));
                yield_now().await;
            }
            seen
        });
        for _ in 0..OPERATIONS {
            consume_budget().await;
            done.fetch_add(1, Ordering::SeqCst);
        }
        let seen = other.await.unwrap();
        let turns = seen.len();
        let longest = seen.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(turns >= 5 && longest < OPERATIONS / 2, "{seen:?}");
    });
}

#[test]
fn the_root_future_has_a_budget_too() {
    on_current_thread(async {
        let seen = seen_beside(|done| async move {
            for _ in 0..OPERATIONS {
                sleep(Duration::ZERO).await;
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        assert!(seen.await < OPERATIONS);
    });
}

#[test]
fn a_cooperative_future_spends_it() {
    in_task(async {
        let (sender, mut receiver) = runtime::sync::mpsc::unbounded_channel();
        (0..OPERATIONS).for_each(|number| sender.send(number).unwrap());
        let seen = seen_beside(|done| async move {
            for number in 0..OPERATIONS {
                assert_eq!(cooperative(receiver.recv()).await, Some(number));
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        assert!(seen.await < OPERATIONS);
    });
}

#[test]
fn a_cooperative_future_that_spends_the_rest_itself_loses_nothing() {
    in_task(async {
        let greedy = cooperative(async {
            while has_budget_remaining() {
                consume_budget().await;
            }
            "the output"
        });
        assert_eq!(greedy.await, "the output");
    });
}
