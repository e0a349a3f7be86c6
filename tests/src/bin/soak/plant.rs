//! Faults that are planted with `--plant NAME`, to see that the program notices them.

use std::any::Any;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::site::Site;

/// What is never dropped. Not forgotten, so that a sanitizer that looks for leaks finds only those that were not meant.
static KEPT: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

fn keep(value: impl Any + Send) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.push(Box::new(value));
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Memory is never freed: 200 kB a second.
    Memory,
    /// A descriptor a second is never closed.
    Descriptors,
    /// A thread every two seconds never ends.
    Threads,
    /// Five tasks a second never end.
    Tasks,
    /// The echo becomes slower: by 1 µs a second.
    Latency,
    /// A connection is not answered any more.
    Stall,
    /// A token is never dropped.
    Token,
    /// A task panics that was not meant to.
    Panic,
}

impl Plant {
    /// All of them, by name.
    pub const ALL: [(&str, Plant); 8] = [
        ("memory", Plant::Memory),
        ("descriptors", Plant::Descriptors),
        ("threads", Plant::Threads),
        ("tasks", Plant::Tasks),
        ("latency", Plant::Latency),
        ("stall", Plant::Stall),
        ("token", Plant::Token),
        ("panic", Plant::Panic),
    ];

    /// Lets the fault happen, on the runtime, when `second` seconds have passed. What touches the server is done there.
    pub fn happen(self, site: &Arc<Site>, handle: &runtime::Handle, second: usize) {
        match self {
            Plant::Memory => keep(vec![1_u8; 200_000]),
            Plant::Descriptors => keep(File::open("/dev/null").expect("there is one")),
            Plant::Threads if second.is_multiple_of(2) => {
                thread::spawn(|| {
                    loop {
                        thread::park();
                    }
                });
            }
            Plant::Tasks => {
                for _ in 0..5 {
                    handle.spawn(std::future::pending::<()>());
                }
            }
            Plant::Token if second == 3 => keep(site.books.open("planted").token()),
            Plant::Panic if second == 3 => {
                handle.spawn(async { panic!("a planted fault") });
            }
            _ => {}
        }
    }

    /// How long the server waits before it answers, in the given second.
    pub fn delay(self, second: usize) -> Option<Duration> {
        match self {
            Plant::Latency => Some(Duration::from_micros(second as u64)),
            Plant::Stall if second > 3 => Some(Duration::from_secs(1_000_000)),
            _ => None,
        }
    }
}
