//! Work that touches threads: blocking jobs, `block_in_place`, tasks that compute or block in a poll, and wakes from threads that
//! do not belong to the runtime.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use runtime::sync::mpsc;
use runtime::task::{Builder, block_in_place, spawn_blocking};
use runtime_tests::{Flag, spin};

use super::Work;
use crate::ledger::{Fate, Ledger, panic_as_planned};
use crate::site::{Random, Site};

/// How many wakers of tasks that are long gone a foreign thread keeps, to call them.
const OLD_WAKERS: usize = 50;

/// Starts the loops.
pub fn start(site: &Arc<Site>, work: &mut Work) {
    let jobs = site.books.open("blocking jobs");
    for _ in 0..2 {
        let jobs = jobs.clone();
        site.every(&mut work.loops, "blocking jobs", 10.0, move |random| {
            block(jobs.clone(), random)
        });
    }
    let in_place = site.books.open("in place");
    site.every(&mut work.loops, "in place", 4.0, move |random| {
        step_aside(in_place.clone(), random)
    });
    let hogs = site.books.open("hogs");
    site.every(&mut work.loops, "hogs", 0.7, move |random| {
        hog(hogs.clone(), random)
    });

    let roots = site.books.open("roots");
    let mut pace = site.pace("roots", 20.0);
    let handle = runtime::Handle::current();
    work.threads.push(thread::spawn(move || {
        while pace.next_blocking() {
            be_a_guest(&handle, &roots, pace.random.fork());
        }
    }));

    let foreign = site.books.open("foreign wakes");
    let (sender, doors) = channel();
    let random = site.random();
    work.threads
        .push(thread::spawn(move || open_doors(doors, random)));
    for _ in 0..2 {
        let (foreign, sender) = (foreign.clone(), sender.clone());
        site.every(&mut work.loops, "foreign wakes", 75.0, move |_| {
            wait_at_door(foreign.clone(), sender.clone())
        });
    }
}

/// Jobs that compute, sleep, panic, or are aborted before they may have begun.
async fn block(ledger: Arc<Ledger>, mut random: Random) {
    let jobs: Vec<_> = (0..6)
        .map(|_| {
            ledger.begin();
            let (token, length) = (ledger.token(), random.micros(3_000));
            match random.below(6) {
                0 => {
                    let job = spawn_blocking(move || {
                        let _token = token;
                        panic_as_planned("in a job");
                    });
                    (Fate::Panic, job)
                }
                1 => {
                    let job = spawn_blocking(move || drop(token));
                    job.abort();
                    (Fate::Race, job)
                }
                2 | 3 => {
                    let job = spawn_blocking(move || {
                        thread::sleep(length);
                        drop(token);
                    });
                    (Fate::Complete, job)
                }
                _ => {
                    let job = spawn_blocking(move || {
                        spin(length / 30);
                        drop(token);
                    });
                    (Fate::Complete, job)
                }
            }
        })
        .collect();
    for (fate, job) in jobs {
        ledger.settle(fate, job.await);
    }
}

/// A future inside `block_on` of a thread that is not the runtime's, and a task that exchanges messages with it.
fn be_a_guest(handle: &runtime::Handle, ledger: &Arc<Ledger>, mut random: Random) {
    ledger.begin();
    let messages = 1 + random.below(20) as usize;
    let pause = random.micros(500);
    handle.block_on(async {
        let (to_task, mut at_task) = mpsc::channel(1);
        let (to_root, mut at_root) = mpsc::channel(1);
        let task = runtime::spawn(async move {
            while let Some(number) = at_task.recv().await {
                to_root.send(number).await.expect("the root receives");
            }
        });
        for number in 0..messages {
            to_task.send(number).await.expect("the task receives");
            ledger.send(1);
            assert_eq!(at_root.recv().await, Some(number));
            ledger.receive(1);
        }
        drop(to_task);
        task.await.expect("it does not panic");
        runtime::time::sleep(pause).await;
    });
    ledger.complete();
}

/// A task that says that it blocks, and does.
async fn step_aside(ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin();
    let (token, length, kind) = (ledger.token(), random.micros(4_000), random.below(4));
    let task = runtime::spawn(async move {
        block_in_place(|| match kind {
            0 => spin(length / 4),
            1 => panic_as_planned("in place"),
            2 => {
                let inner = runtime::Handle::current();
                inner.block_on(runtime::time::sleep(length));
            }
            _ => thread::sleep(length),
        });
        drop(token);
    });
    let fate = if kind == 1 {
        Fate::Panic
    } else {
        Fate::Complete
    };
    ledger.settle(fate, task.await);
}

/// Tasks that compute or block in a poll, without saying so: one, or as many as would hold every worker.
async fn hog(ledger: Arc<Ledger>, mut random: Random) {
    let count = if random.below(4) == 0 { 3 } else { 1 };
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            ledger.begin();
            let token = ledger.token();
            let computes = random.below(2) == 0;
            let polls = 1 + random.below(3);
            let length = Duration::from_millis(2) + random.micros(4_000);
            Builder::new()
                .name("hog")
                .spawn(async move {
                    let _token = token;
                    for _ in 0..polls {
                        if computes {
                            spin(length);
                        } else {
                            thread::sleep(3 * length);
                        }
                        runtime::task::yield_now().await;
                    }
                })
                .expect("the runtime is there")
        })
        .collect();
    for task in tasks {
        ledger.settle(Fate::Complete, task.await);
    }
}

/// What a task waits at until a foreign thread opens it.
#[derive(Debug, Default)]
struct Door {
    /// Whether it is open.
    open: Flag,
    /// Who waits.
    waiting: Mutex<Option<Waker>>,
}

/// Waits until the foreign thread says so.
async fn wait_at_door(ledger: Arc<Ledger>, sender: Sender<Arc<Door>>) {
    ledger.begin();
    let token = ledger.token();
    let task = runtime::spawn(async move {
        let _token = token;
        let door = Arc::new(Door::default());
        sender.send(door.clone()).expect("the thread receives");
        poll_fn(|cx| {
            let mut waiting = door.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if door.open.is_set() {
                return Poll::Ready(());
            }
            *waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    });
    ledger.settle(Fate::Complete, task.await);
}

/// Opens doors, wakes who waits once or several times, and keeps wakers to call them when their tasks are gone.
fn open_doors(doors: Receiver<Arc<Door>>, mut random: Random) {
    let mut old = VecDeque::new();
    for door in doors {
        if random.below(4) == 0 {
            thread::sleep(random.micros(200));
        }
        let mut waiting = door.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        door.open.set();
        let waker = waiting.take();
        drop(waiting);
        if let Some(waker) = waker {
            for _ in 0..=random.below(3) {
                waker.wake_by_ref();
            }
            old.push_back(waker);
        }
        if old.len() > OLD_WAKERS {
            for waker in old.drain(..OLD_WAKERS / 2) {
                waker.wake();
            }
        }
    }
}
