//! How much memory does waiting take?
//!
//! - `memory_pending`: 100,000 tasks that wait to be woken. Their future has no size; it stores its waker, as everything does
//!   that waits, in a table whose memory is there and touched beforehand.
//! - `memory_sleeping`: 100,000 tasks asleep for an hour and more, each with a deadline of its own.
//! - `memory_connection`: 8000 connections of another process, each with a task that has echoed one byte and waits for the
//!   next one. Fewer if the limit of open files demands it.
//!
//! Tasks are spawned by a task with the handle dropped at once, a few at a time, each lot polled before the next one, so that queues
//! stay as short as they are in a program that has been running for long; a hundredth of them is made beforehand and not counted.
//!
//! Read: growth of the process's resident memory in bytes per task or connection; lower is better. Counted is everything that
//! the runtime keeps for it, as shipped: cell, list of tasks, timer entry, registration, counters, the stream itself and what
//! the allocator rounds up; and one byte of buffer. Not counted: the handle, the memory of the kernel (for sockets some
//! kilobytes), and the client's, which is a process of its own.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::wake::SelfWake;
use super::{Effort, Goal, Question, metric};
use crate::client::{Client, Load};
use crate::process;
use crate::rt::{Rt, in_io_task};

/// Tasks that are spawned before they are waited for.
const LOT: usize = 64;

/// Connections, if there are descriptors for them.
const CONNECTIONS: usize = 8000;

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::own(
            "memory_pending",
            [metric("memory_pending", "bytes/task", Goal::AtMost(140.0))],
            |rt, effort| vec![pending(rt, effort.pick(100_000, 1000))],
        ),
        Question::own(
            "memory_sleeping",
            [metric("memory_sleeping", "bytes/task", Goal::AtMost(220.0))],
            |rt, effort| vec![sleeping(rt, effort.pick(100_000, 1000))],
        ),
        Question::own(
            "memory_connection",
            [metric(
                "memory_connection",
                "bytes/connection",
                Goal::AtMost(400.0),
            )],
            |rt, effort| vec![connections(rt, effort)],
        ),
    ]
}

/// Bytes per task that waits to be woken.
pub fn pending<R: Rt>(rt: &R, tasks: usize) -> f64 {
    {
        let mut wakers = lock();
        // Written once, so that the pages are there.
        wakers.resize(tasks + tasks / 100, Waker::noop().clone());
        wakers.clear();
    }
    let bytes = grow(rt, tasks, || Pending, || lock().len());
    assert_eq!(lock().len(), tasks + tasks / 100, "each task waits");
    bytes
}

/// The wakers of the tasks that wait.
static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

fn lock() -> std::sync::MutexGuard<'static, Vec<Waker>> {
    WAKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for ever, and does not mind a spurious poll; nobody wakes it.
struct Pending;

impl Future for Pending {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        lock().push(cx.waker().clone());
        Poll::Pending
    }
}

/// Tasks that have begun to sleep.
static ASLEEP: AtomicUsize = AtomicUsize::new(0);

/// Bytes per task that sleeps.
pub fn sleeping<R: Rt>(rt: &R, tasks: usize) -> f64 {
    let mut millis = 3_600_000;
    let sleep = move || {
        millis += 1;
        let duration = Duration::from_millis(millis);
        async move {
            ASLEEP.fetch_add(1, Ordering::Relaxed);
            R::sleep(duration).await;
        }
    };
    grow(rt, tasks, sleep, || ASLEEP.load(Ordering::Relaxed))
}

/// Spawns tasks, waits until each one has begun, and returns by how many bytes a task the memory has grown. At most one
/// task a worker has said that it begins and not yet come to its wait, which is nothing beside thousands.
fn grow<R: Rt, F>(
    rt: &R,
    tasks: usize,
    mut future: impl FnMut() -> F + Send + 'static,
    begun: fn() -> usize,
) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    in_io_task(rt, async move {
        let warm_up = tasks / 100;
        let mut before = 0;
        let mut spawned = 0;
        for count in [warm_up, tasks] {
            before = process::resident_bytes();
            let end = spawned + count;
            while spawned < end {
                let lot = LOT.min(end - spawned);
                for _ in 0..lot {
                    drop(R::spawn_io(future()));
                }
                spawned += lot;
                while begun() < spawned {
                    SelfWake::default().await;
                }
            }
        }
        process::resident_bytes().saturating_sub(before) as f64 / tasks as f64
    })
}

/// Connections that have been answered.
static ANSWERED: AtomicUsize = AtomicUsize::new(0);

/// Bytes per idle connection.
fn connections<R: Rt>(rt: &R, effort: Effort) -> f64 {
    let descriptors = process::raise_descriptors();
    // Some belong to the runtime and the standard streams.
    let most = descriptors.saturating_sub(100).min(CONNECTIONS);
    let (warm_up, count) = effort.pick((most / 100, most - most / 100), (4, 40));
    let address = serve(rt);
    let connect = |connections| {
        let mut client = Client::start(address, Load::Idle { connections });
        client.expect("start");
        client
    };
    let first = connect(warm_up);
    let before = process::resident_bytes();
    let second = connect(count);
    let growth = process::resident_bytes().saturating_sub(before);
    assert_eq!(ANSWERED.load(Ordering::Relaxed), warm_up + count);
    drop((first, second));
    growth as f64 / count as f64
}

/// Starts a server whose connections take as little memory as they can.
fn serve<R: Rt>(rt: &R) -> std::net::SocketAddr {
    super::tcp::serve_each(rt, |mut stream| async move {
        let mut byte = [0];
        while let Ok(1) = R::read(&mut stream, &mut byte).await {
            ANSWERED.fetch_add(1, Ordering::Relaxed);
            if R::write_all(&mut stream, &byte).await.is_err() {
                return;
            }
        }
    })
}
