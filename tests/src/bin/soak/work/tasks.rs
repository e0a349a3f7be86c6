//! Tasks: cancelled in every way, panicking at any poll and in their drop, in sets that are emptied or dropped.

use std::future::pending;
use std::sync::Arc;

use runtime::task::{JoinSet, spawn_blocking, yield_now};
use runtime::time::sleep;

use super::Work;
use crate::ledger::{Bomb, Fate, Ledger, panic_as_planned};
use crate::site::{Random, Site};

/// Starts the loops.
pub fn start(site: &Arc<Site>, work: &mut Work) {
    let loops = &mut work.loops;
    let cancels = site.books.open("cancels");
    for _ in 0..4 {
        let cancels = cancels.clone();
        site.every(loops, "cancels", 80.0, move |random| {
            cancel(cancels.clone(), random)
        });
    }
    let detached = site.books.open("detached tasks");
    site.every(loops, "detached tasks", 50.0, move |random| {
        detach(detached.clone(), random)
    });
    let panics = site.books.open("panics");
    site.every(loops, "panics", 25.0, move |random| {
        panic(panics.clone(), random)
    });
    let drops = site.books.open("panics in drop");
    site.every(loops, "panics in drop", 25.0, move |random| {
        panic_in_drop(drops.clone(), random)
    });
    let sets = site.books.open("join sets");
    site.every(loops, "join sets", 15.0, move |random| {
        join_set(sets.clone(), random)
    });
    let chains = site.books.open("wake chains");
    site.every(loops, "wake chains", 50.0, move |random| {
        chain(chains.clone(), random)
    });
}

/// Aborts a task that waits for ever, before its first poll or after; and one that is perhaps done.
async fn cancel(ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin_many(2);
    let token = ledger.token();
    let waits = runtime::spawn(async move {
        let _token = token;
        pending::<()>().await;
    });
    if random.below(2) == 0 {
        sleep(random.micros(500)).await;
    }
    waits.abort();

    let (token, length) = (ledger.token(), random.micros(300));
    let races = runtime::spawn(async move {
        sleep(length).await;
        token
    });
    let aborter = races.abort_handle();
    let delay = random.micros(300);
    match random.below(3) {
        0 => aborter.abort(),
        1 => {
            sleep(delay).await;
            aborter.abort();
        }
        _ => {
            let abort = spawn_blocking(move || {
                std::thread::sleep(delay);
                aborter.abort();
            });
            abort.await.expect("it does not panic");
        }
    }
    ledger.settle(Fate::Cancel, waits.await);
    ledger.settle(Fate::Race, races.await);
}

/// A task whose handle is dropped runs on.
async fn detach(ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin();
    let (done, is_done) = runtime::sync::oneshot::channel();
    let (token, length) = (ledger.token(), random.micros(300));
    drop(runtime::spawn(async move {
        let _token = token;
        sleep(length).await;
        let _ = done.send(());
    }));
    is_done.await.expect("it runs to its end");
    ledger.complete();
}

/// A task that panics at one of its first polls.
async fn panic(ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin();
    let (token, polls) = (ledger.token(), random.below(4));
    let task = runtime::spawn(async move {
        let _token = token;
        for _ in 0..polls {
            yield_now().await;
        }
        panic_as_planned("in a poll");
    });
    ledger.settle(Fate::Panic, task.await);
}

/// A task whose future panics when it is dropped, by abort; and an output that does.
async fn panic_in_drop(ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin_many(2);
    let token = ledger.token();
    let (started, has_started) = runtime::sync::oneshot::channel();
    let bomb = runtime::spawn(async move {
        let _token = token;
        let _bomb = Bomb;
        let _ = started.send(());
        pending::<()>().await;
    });
    has_started.await.expect("it starts");
    bomb.abort();
    ledger.settle(Fate::Panic, bomb.await);

    let token = ledger.token();
    let (done, is_done) = runtime::sync::oneshot::channel::<()>();
    let output = runtime::spawn(async move {
        drop(done);
        (Bomb, token)
    });
    if random.below(2) == 0 {
        let _ = is_done.await;
    }
    // The last who sees the output drops it: the handle, or the worker. Either contains the panic.
    drop(output);
    ledger.panic();
}

/// A set of tasks that end in all ways. Some are joined; the set is then dropped, or told to end.
async fn join_set(ledger: Arc<Ledger>, mut random: Random) {
    let mut set = JoinSet::new();
    for number in 0..12 {
        ledger.begin();
        let (token, length) = (ledger.token(), random.micros(1_000));
        match number % 4 {
            0 => set.spawn(async move {
                sleep(length).await;
                drop(token);
            }),
            1 => set.spawn(async move {
                let _token = token;
                yield_now().await;
                panic_as_planned("in a set");
            }),
            2 => set.spawn(async move {
                let _token = token;
                pending::<()>().await;
            }),
            _ => set.spawn_blocking(move || drop(token)),
        };
    }
    let settle = |result: Result<(), runtime::task::JoinError>| match result {
        Err(error) if error.is_panic() => {
            ledger.settle(Fate::Panic, Err::<(), _>(error));
        }
        result => {
            ledger.settle(Fate::Race, result);
        }
    };
    // Nine of the twelve end by themselves.
    for _ in 0..random.below(10) {
        settle(set.join_next().await.expect("some are left"));
    }
    if random.below(2) == 0 {
        set.abort_all();
        while let Some(result) = set.join_next().await {
            settle(result);
        }
    } else {
        // What became of them nobody is told.
        ledger.cancel(set.len() as u64);
        drop(set);
    }
}

/// Tasks each of which waits for the one before: a wake goes through all.
async fn chain(ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin();
    let length = 1 + random.below(20);
    let (first, mut last) = runtime::sync::oneshot::channel();
    for _ in 0..length {
        let (next, after) = runtime::sync::oneshot::channel();
        let before = std::mem::replace(&mut last, after);
        let token = ledger.token();
        runtime::spawn(async move {
            let value: u64 = before.await.expect("the one before passes it on");
            let _ = next.send(value + 1);
            drop(token);
        });
    }
    first.send(0).expect("it is waited for");
    assert_eq!(last.await, Ok(length), "each has added one");
    ledger.complete();
}
