//! Question: how many instructions does an operation of the scheduler take?
//!
//! Method: one workload on one worker, COUNT operations, nothing printed; `benches/instructions` runs it under
//! callgrind with two counts, and divides the difference of what the busiest thread, the worker, executed.
//! Instructions do not depend on what else the machine does, so that two versions of the runtime can be compared to a
//! percent.
//!
//! Under callgrind everything is some fifty times slower: each poll here is short enough not to look stuck for all
//! that. The file needs nothing but the runtime and Tokio's channels, because that script builds it against other
//! checkouts too.
//!
//! ```text
//! benches/instructions                        this checkout
//! benches/instructions . .:off ../other       rescue on and off, and another checkout
//! ```

use std::pin::Pin;
use std::sync::mpsc as thread_channel;
use std::task::{Context, Poll};

use runtime::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

/// What a workload is: a future of so many operations.
type Workload = fn(usize) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The workloads by name.
const WORKLOADS: [(&str, Workload); 4] = [
    ("spawn", |count| Box::pin(spawn(count))),
    ("chain", |count| Box::pin(chain(count))),
    ("yield", |count| Box::pin(yields(count))),
    ("ping", |count| Box::pin(ping(count))),
];

/// What is called on a builder that has no such method: in checkouts from before it. A method of the type itself goes
/// before one of a trait.
trait WithoutRescue {
    /// Changes nothing.
    #[allow(dead_code)]
    fn rescue(&mut self, _rescue: bool) -> &mut Self {
        self
    }
}

impl WithoutRescue for Builder {}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [name, count, rescue] if !name.starts_with('-') => {
            let workload = WORKLOADS.iter().find(|workload| workload.0 == name);
            let (_, workload) = workload.expect("the workload has a known name");
            run(*workload, count.parse().expect("a number"), rescue != "off");
        }
        // Cargo asks for a trial.
        _ => {
            for (name, workload) in WORKLOADS {
                run(workload, 100, true);
                println!("{name}: works");
            }
        }
    }
}

/// Runs a workload as a task on one worker. This thread waits outside the runtime, so that it runs no tasks.
fn run(workload: Workload, count: usize, rescue: bool) {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().rescue(rescue);
    let runtime = builder.build().expect("a runtime starts");
    let (end, ended) = thread_channel::channel();
    drop(runtime.spawn(async move {
        workload(count).await;
        end.send(()).expect("the thread waits");
    }));
    ended.recv().expect("the workload does not panic");
}

/// An operation: spawn an empty task and join it; eight at a time.
async fn spawn(count: usize) {
    for batch in 0..count / 8 {
        let handles: [_; 8] = std::array::from_fn(|at| runtime::spawn(async move { batch + at }));
        for (at, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.await.expect("the task does not panic"), batch + at);
        }
    }
}

/// An operation: a task spawns the next one and ends.
async fn chain(count: usize) {
    let (end, ended) = oneshot::channel();
    link(count, end);
    ended.await.expect("the last task says so");
}

fn link(left: usize, end: oneshot::Sender<()>) {
    drop(runtime::spawn(async move {
        match left {
            0 => end.send(()).expect("the first task waits"),
            _ => link(left - 1, end),
        }
    }));
}

/// Wakes the task that polls it, once.
#[derive(Default)]
struct SelfWake {
    /// Set by the first poll.
    woken: bool,
}

impl Future for SelfWake {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.woken {
            return Poll::Ready(());
        }
        self.woken = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// An operation: one of eight tasks wakes itself and is polled again.
async fn yields(count: usize) {
    let storm = || async move {
        for _ in 0..count / 8 {
            SelfWake::default().await;
        }
    };
    let handles: [_; 8] = std::array::from_fn(|_| runtime::spawn(storm()));
    for handle in handles {
        handle.await.expect("the task does not panic");
    }
}

/// An operation: a message to another task and back.
async fn ping(count: usize) {
    let (ping, mut pinged) = mpsc::channel(1);
    let (pong, mut ponged) = mpsc::channel(1);
    let echo = runtime::spawn(async move {
        while let Some(value) = pinged.recv().await {
            pong.send(value).await.expect("the other task receives");
        }
    });
    for value in 0..count {
        ping.send(value).await.expect("the new task receives");
        assert_eq!(ponged.recv().await, Some(value));
    }
    drop(ping);
    echo.await.expect("the task does not panic");
}
