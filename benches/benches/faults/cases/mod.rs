//! The faults, each written once for all runtimes. The numbers are those of the table in `docs/reliability.md`.

mod panics;
mod roots;
mod scale;
mod stuck;
mod system;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::peer::{Peer, Settings};
use crate::{Seen, seen};

/// A fault and how to make it.
pub(crate) struct Case {
    /// On the command line.
    pub(crate) name: &'static str,
    /// The row of the table.
    pub(crate) row: &'static str,
    /// What happens, in words.
    pub(crate) text: &'static str,
    /// Makes it.
    pub(crate) make: fn() -> Seen,
    /// Of the process.
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

fn case(name: &'static str, row: &'static str, text: &'static str, make: fn() -> Seen) -> Case {
    let environment = &[];
    Case {
        name,
        row,
        text,
        make,
        environment,
    }
}

/// All of them, in the order of the table.
pub(crate) fn all<P: Peer>() -> Vec<Case> {
    let mut cases = panics::all::<P>();
    cases.extend(roots::all::<P>());
    cases.extend(system::all::<P>());
    cases.extend(scale::all::<P>());
    cases.extend(stuck::all::<P>());
    // By number; a stable sort keeps the parts of a row together.
    cases.sort_by_key(|case| case.row.parse::<u32>().unwrap_or(u32::MAX));
    cases
}

/// Panics when it is dropped, unless a panic is under way.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a bomb was dropped");
        }
    }
}

/// Starts the usual runtime of two workers.
fn start<P: Peer>() -> P {
    P::start(2, Settings::default()).expect("it starts")
}

/// Whether `workers` tasks run at the same time, after some others have been polled.
fn workers_live<P: Peer>(peer: &P, workers: usize) -> bool {
    let (sender, receiver) = mpsc::channel();
    let together = Arc::new(std::sync::Barrier::new(workers));
    peer.block_on(async {
        for _ in 0..workers {
            let (sender, together) = (sender.clone(), together.clone());
            P::detach(P::spawn(async move {
                together.wait();
                let _ = sender.send(());
            }));
        }
    });
    (0..workers).all(|_| receiver.recv_timeout(Duration::from_secs(5)).is_ok())
}

/// What came of it if the two workers decide.
fn alive<P: Peer>(peer: &P, text: impl Into<String>) -> Seen {
    match workers_live(peer, 2) {
        true => seen("survived", text),
        false => seen("starved", format!("{}; then a worker is lost", text.into())),
    }
}

/// Calls `f` on a thread of its own; `None` if that takes more than 5 s. Then the thread and the runtime stay.
fn in_time<P: Peer, T: Send + 'static>(
    peer: &Arc<P>,
    f: impl FnOnce(&P) -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = mpsc::channel();
    let kept = peer.clone();
    std::thread::spawn(move || {
        let _ = tell.send(f(&kept));
        // Not on this thread, whose end nobody waits for.
        std::mem::forget(kept);
    });
    told.recv_timeout(Duration::from_secs(5)).ok()
}

/// Calls `f`; the message if it panics.
fn message_of<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "without words".to_owned())
    })
}

/// A future in a box.
fn boxed(
    future: impl Future<Output = ()> + Send + 'static,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(future)
}
