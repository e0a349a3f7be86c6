//! Runtimes that are made, used a little, and ended in every way, while the large one goes on.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use runtime::net::UnixStream;
use runtime::runtime::{Builder, Runtime};
use runtime::task::{LocalSet, block_in_place, spawn_local};
use runtime::time::sleep;

use super::Work;
use crate::ledger::{Bomb, Ledger};
use crate::site::{Random, Site};

/// How long a future may be held by a thread of a runtime that was ended without waiting for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the loops, each on a thread of its own.
pub fn start(site: &Arc<Site>, work: &mut Work) {
    let ledger = site.books.open("runtimes");
    let mut pace = site.pace("runtimes", 3.0);
    work.threads.push(thread::spawn(move || {
        while pace.next_blocking() {
            one(&ledger, pace.random.fork());
        }
    }));
}

/// Makes a runtime, uses it, ends it, and sees to it that it has dropped everything.
pub fn one(ledger: &Arc<Ledger>, mut random: Random) {
    ledger.begin();
    let multi = random.below(2) == 0;
    let mut builder = if multi {
        Builder::new_multi_thread()
    } else {
        Builder::new_current_thread()
    };
    let runtime = builder
        .worker_threads(1 + random.below(3) as usize)
        .on_slow_poll(|_| {})
        .build()
        .expect("there are threads and descriptors");
    runtime.block_on(use_it(ledger.clone(), multi));
    for number in 0..8 {
        let token = ledger.token();
        runtime.spawn(async move {
            let _token = token;
            let _bomb = (number == 7).then_some(Bomb);
            match number % 4 {
                0 => sleep(Duration::from_secs(3600)).await,
                1 => {
                    let (one, _other) = UnixStream::pair().expect("descriptors are left");
                    let _ = one.readable().await;
                }
                _ => pending().await,
            }
        });
    }
    let outside = ledger.tokens_out();
    end(runtime, &mut random);
    let start = Instant::now();
    while ledger.tokens_out() > 0 {
        // Whoever ends a runtime without waiting leaves a poll to its thread, for as long as that takes.
        assert!(
            start.elapsed() < PATIENCE,
            "{} of {outside} futures were not dropped by the end of their runtime",
            ledger.tokens_out()
        );
        thread::sleep(Duration::from_micros(100));
    }
    ledger.complete();
}

/// A bit of everything.
async fn use_it(ledger: Arc<Ledger>, multi: bool) {
    let (mut one, mut other) = UnixStream::pair().expect("descriptors are left");
    let echo = runtime::spawn(async move {
        let mut byte = [0];
        while other.read(&mut byte).await.expect("it is connected") == 1 {
            other.write_all(&byte).await.expect("it is connected");
        }
    });
    for number in 0..5 {
        let mut byte = [0];
        one.write_all(&[number]).await.expect("it is connected");
        ledger.send(1);
        one.read_exact(&mut byte).await.expect("it is answered");
        ledger.receive(1);
        assert_eq!(byte, [number]);
    }
    drop(one);
    echo.await.expect("it does not panic");
    let token = ledger.token();
    runtime::task::spawn_blocking(move || drop(token))
        .await
        .expect("it does not panic");
    if multi {
        runtime::spawn(async { block_in_place(|| thread::sleep(Duration::from_micros(200))) })
            .await
            .expect("it does not panic");
    }
    let token = ledger.token();
    LocalSet::new()
        .run_until(async move {
            let local = std::rc::Rc::new(token);
            let task = spawn_local(async move {
                sleep(Duration::from_micros(200)).await;
                drop(local);
            });
            task.await.expect("it does not panic");
        })
        .await;
}

/// Ends it in one of five ways. The panic of the bomb may come out, or not.
fn end(runtime: Runtime, random: &mut Random) {
    let way = random.below(5);
    let handle = runtime.handle().clone();
    let _ = catch_unwind(AssertUnwindSafe(|| match way {
        0 => drop(runtime),
        1 => runtime.shutdown_timeout(Duration::from_secs(10)),
        2 => runtime.shutdown_background(),
        3 => thread::scope(|scope| {
            // Somebody goes on spawning meanwhile.
            scope.spawn(|| {
                for _ in 0..50 {
                    drop(handle.spawn(async {}));
                }
            });
            drop(runtime);
        }),
        _ => {
            // In a blocking job of its own.
            let job = handle.spawn_blocking(move || drop(runtime));
            while !job.is_finished() {
                thread::sleep(Duration::from_micros(50));
            }
        }
    }));
}
