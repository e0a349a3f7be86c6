//! The kinds of work. Each is a few loops that do one thing at a random pace, note what they begin in a ledger of their own, and
//! wait for its end before they begin the next.
//!
//! The rates are such that all of it takes about a quarter of a core: enough for every part of the runtime to be used some million
//! times in an hour, little enough for latencies to be those of the runtime and not of a queue.

mod net;
mod runtimes;
mod tasks;
mod threads;
mod timers;

use std::sync::Arc;
use std::thread::JoinHandle;

use runtime::task::JoinSet;

use crate::site::Site;

/// What goes on: the loops on the runtime, those on threads, and the servers, which end when they are told to.
pub struct Work {
    /// The loops on the runtime.
    pub loops: JoinSet<()>,
    /// The loops on threads.
    pub threads: Vec<JoinHandle<()>>,
    /// The servers.
    pub servers: JoinSet<()>,
}

/// Starts all kinds of work, on the runtime that the caller is in.
pub async fn start(site: &Arc<Site>) -> std::io::Result<Work> {
    let mut work = Work {
        loops: JoinSet::new(),
        threads: Vec::new(),
        servers: JoinSet::new(),
    };
    net::start(site, &mut work).await?;
    timers::start(site, &mut work);
    tasks::start(site, &mut work);
    threads::start(site, &mut work);
    runtimes::start(site, &mut work);
    Ok(work)
}

/// Makes a few runtimes and ends them.
pub fn warm_up(site: &Arc<Site>) {
    let ledger = site.books.open("first runtimes");
    let mut random = site.random();
    for _ in 0..20 {
        runtimes::one(&ledger, random.fork());
    }
}
