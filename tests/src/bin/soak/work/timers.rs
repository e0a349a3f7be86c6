//! Timers: short and long, reset, given up, and at intervals. None may be early.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use runtime::sync::{mpsc, oneshot};
use runtime::time::{self, MissedTickBehavior, interval, sleep, timeout};

use super::Work;
use crate::control::{PAUSE, SLEEP};
use crate::ledger::Ledger;
use crate::site::{Random, Site};

/// An hour: longer than anybody waits here.
const NEVER: Duration = Duration::from_secs(3600);

/// Starts the loops.
pub fn start(site: &Arc<Site>, work: &mut Work) {
    let loops = &mut work.loops;
    let ledger = site.books.open("reference timer");
    let here = site.clone();
    // The reference timer does what its control does, at the same rate whatever the load.
    let pace = site.pace("reference timer", 200.0);
    loops.spawn(async move {
        while pace.beat() {
            ledger.begin();
            let start = Instant::now();
            sleep(SLEEP).await;
            here.timer.record(check(start, SLEEP));
            ledger.complete();
            sleep(PAUSE).await;
        }
    });

    let short = site.books.open("short timers");
    site.every(loops, "short timers", 60.0, move |random| {
        burst(short.clone(), random)
    });
    let (long, longest) = (site.books.open("long timers"), site.longest);
    for _ in 0..20 {
        let long = long.clone();
        site.every(loops, "long timers", 1.0, move |mut random| {
            let ledger = long.clone();
            async move {
                ledger.begin();
                let length = longest.mul_f64(0.1 + 0.9 * random.unit());
                let start = Instant::now();
                sleep(length).await;
                check(start, length);
                ledger.complete();
            }
        });
    }
    let given_up = site.books.open("timers given up");
    site.every(loops, "timers given up", 100.0, move |random| {
        give_up(given_up.clone(), random)
    });
    let ticks = site.books.open("intervals");
    for _ in 0..4 {
        let ticks = ticks.clone();
        site.every(loops, "intervals", 1.0, move |random| {
            tick(ticks.clone(), random)
        });
    }
    let timeouts = site.books.open("timeouts");
    site.every(loops, "timeouts", 100.0, move |random| {
        time_out(timeouts.clone(), random)
    });
    let selects = site.books.open("selects");
    site.every(loops, "selects", 50.0, move |random| {
        select(selects.clone(), random)
    });
}

/// Returns how late a timer was.
#[track_caller]
fn check(start: Instant, length: Duration) -> Duration {
    start
        .elapsed()
        .checked_sub(length)
        .expect("no timer is early")
}

/// A few tasks that sleep for up to 5 ms, ten of them at the same moment.
async fn burst(ledger: Arc<Ledger>, mut random: Random) {
    let same = random.micros(5_000);
    let tasks: Vec<_> = (0..15)
        .map(|number| {
            let length = if number < 10 {
                same
            } else {
                random.micros(5_000)
            };
            let token = ledger.token();
            ledger.begin();
            runtime::spawn(async move {
                let start = Instant::now();
                sleep(length).await;
                check(start, length);
                drop(token);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no timer is early");
        ledger.complete();
    }
}

/// Timers that are dropped before their time, and one that is moved to and fro.
async fn give_up(ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin_many(3);
    let poll_once = async |sleep: time::Sleep| {
        let mut sleep = pin!(sleep);
        poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_ready())).await
    };
    assert!(!poll_once(sleep(NEVER)).await);
    assert!(!poll_once(sleep(Duration::MAX)).await);
    ledger.cancel(2);
    let mut moved = pin!(sleep(NEVER));
    poll_fn(|cx| {
        assert!(moved.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    let start = Instant::now();
    let length = random.micros(2_000);
    moved.as_mut().reset(time::Instant::now() + length);
    moved.await;
    check(start, length);
    ledger.complete();
}

/// An interval for about a second.
async fn tick(ledger: Arc<Ledger>, mut random: Random) {
    let period = Duration::from_millis(5) + random.micros(20_000);
    let start = Instant::now();
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..1_000_000 / period.as_micros() as u32 {
        ledger.begin();
        interval.tick().await;
        check(start, period * number);
        ledger.complete();
    }
}

/// A future that is in time, and one that is not.
async fn time_out(ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin_many(2);
    let (sender, receiver) = oneshot::channel();
    let delay = random.micros(500);
    let task = runtime::spawn(async move {
        sleep(delay).await;
        let _ = sender.send(());
    });
    timeout(NEVER, receiver)
        .await
        .expect("an hour is enough")
        .expect("it is sent");
    ledger.complete();
    task.await.expect("it does not panic");

    let length = random.micros(1_000);
    let start = Instant::now();
    let late = timeout(length, std::future::pending::<()>()).await;
    assert!(late.is_err(), "nothing came");
    check(start, length);
    ledger.cancel(1);
}

/// Messages and a timer beside each other, each given up for the other many times: no message is lost.
async fn select(ledger: Arc<Ledger>, mut random: Random) {
    const MESSAGES: usize = 8;
    ledger.begin();
    let (sender, mut receiver) = mpsc::channel(2);
    let mut pauses = random.fork();
    let books = ledger.clone();
    let task = runtime::spawn(async move {
        for number in 0..MESSAGES {
            if pauses.below(2) == 0 {
                sleep(pauses.micros(300)).await;
            }
            books.send(1);
            sender.send(number).await.expect("it is received");
        }
    });
    let mut expected = 0;
    loop {
        runtime::select! {
            message = receiver.recv() => match message {
                Some(number) => {
                    assert_eq!(number, expected, "in order");
                    expected += 1;
                    ledger.receive(1);
                }
                None => break,
            },
            () = sleep(random.micros(200)) => {}
        }
    }
    assert_eq!(expected, MESSAGES);
    task.await.expect("it does not panic");
    ledger.complete();
}
