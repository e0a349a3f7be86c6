//! Tasks and jobs that do not come back.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Case, case, start};
use crate::peer::{Peer, Settings};
use crate::{Seen, seen};

pub(super) fn all<P: Peer>() -> Vec<Case> {
    let mut saturated = case(
        "saturated",
        "20",
        "the blocking pool has one thread and 10,000 jobs of 0.1 ms",
        saturated::<P>,
    );
    // What smol's pool reads.
    saturated.environment = &[("BLOCKING_MAX_THREADS", "1")];
    vec![
        saturated,
        case(
            "never_yields",
            "22",
            "a task on each worker computes without end",
            || bad_tasks::<P>(spin),
        ),
        case(
            "blocks",
            "22",
            "… sleeps without end, as in a system call",
            || bad_tasks::<P>(block),
        ),
        case(
            "shutdown_task",
            "25",
            "a task is stuck at a shutdown with a timeout of 100 ms",
            || shutdown::<P>(false),
        ),
        case("shutdown_job", "25", "… a blocking job is", || {
            shutdown::<P>(true)
        }),
    ]
}

fn saturated<P: Peer>() -> Seen {
    let settings = Settings {
        blocking: Some(1),
        ..Settings::default()
    };
    let peer = P::start(2, settings).expect("it starts");
    let (worst, done) = peer.block_on(async {
        let jobs: Vec<_> = (0..10_000)
            .map(|_| P::spawn_blocking(|| std::thread::sleep(Duration::from_micros(100))))
            .collect();
        let ticks = P::spawn(async {
            let mut worst = Duration::ZERO;
            for _ in 0..100 {
                let start = Instant::now();
                P::sleep(Duration::from_millis(1)).await;
                worst = worst.max(start.elapsed());
            }
            worst
        });
        let worst = P::join(ticks).await.expect("no panic");
        let mut done = 0;
        for job in jobs {
            done += usize::from(P::join(job).await.is_ok());
        }
        (worst, done)
    });
    let text = format!(
        "{done} are done; a sleep of 1 ms beside them takes {} ms at most",
        worst.as_millis()
    );
    seen(
        if done == 10_000 {
            "survived"
        } else {
            "starved"
        },
        text,
    )
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

fn block() {
    std::thread::sleep(Duration::from_secs(3_600));
}

fn bad_tasks<P: Peer>(bad: fn()) -> Seen {
    let peer = start::<P>();
    let (begun, has_begun) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    // Spawned from a task, and there is no root any more: so no thread but the runtime's own helps.
    let end = Instant::now() + Duration::from_secs(2);
    peer.block_on(async move {
        P::detach(P::spawn(async move {
            P::detach(P::spawn(async move {
                while Instant::now() < end {
                    let start = Instant::now();
                    P::sleep(Duration::from_millis(5)).await;
                    let _ = tell.send(start.elapsed());
                }
            }));
            P::sleep(Duration::from_millis(50)).await;
            for _ in 0..2 {
                let begun = begun.clone();
                P::detach(P::spawn(async move {
                    let _ = begun.send(());
                    bad();
                }));
            }
        }));
    });
    for _ in 0..2 {
        if has_begun.recv_timeout(Duration::from_secs(2)).is_err() {
            // Only the first one has found a worker: as bad for the others.
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    while told.try_recv().is_ok() {}
    // From now on they are stuck.
    let mut lengths = Vec::new();
    while let Ok(length) = told.recv_timeout(Duration::from_secs(3)) {
        lengths.push(length);
    }
    // Its drop would wait for them.
    std::mem::forget(peer);
    match lengths.iter().max() {
        Some(longest) => {
            let times = lengths.len();
            let text = format!(
                "another task sleeps 5 ms {times} times in 1.5 s, {} ms at most",
                longest.as_millis()
            );
            seen("survived", text)
        }
        None => seen("starved", "no other task runs any more"),
    }
}

/// The file that spawns for the cases.
const SPAWNED_IN: &str = "faults/peer.rs";

fn shutdown<P: Peer>(in_job: bool) -> Seen {
    if !P::HAS_SHUTDOWN {
        return seen("–", "");
    }
    let peer = start::<P>();
    let (begun, has_begun) = mpsc::channel();
    peer.block_on(async move {
        let stuck = move || {
            let _ = begun.send(());
            block();
        };
        if in_job {
            P::detach(P::spawn_blocking(stuck));
        } else {
            P::detach(P::spawn(async move { stuck() }));
        }
    });
    has_begun.recv().expect("it begins");
    // What is written to standard error meanwhile.
    let (reads, writes) = std::io::pipe().expect("two descriptors");
    let own = rustix::io::dup(rustix::stdio::stderr()).expect("descriptors are left");
    rustix::stdio::dup2_stderr(&writes).expect("both are open");
    let start = Instant::now();
    peer.end(Some(Duration::from_millis(100)));
    let took = start.elapsed();
    rustix::stdio::dup2_stderr(&own).expect("both are open");
    drop(writes);
    let said = std::io::read_to_string(reads).unwrap_or_default();
    let names = match said.lines().find(|line| line.contains(SPAWNED_IN)) {
        Some(_) => "names what is stuck and where it was spawned",
        None => "does not name what is stuck",
    };
    seen(
        "survived",
        format!("it returns after {} ms, and {names}", took.as_millis()),
    )
}
