//! Polls that do not end: the ways in which a task holds its thread, and runtimes all of whose workers are held.
//!
//! A [`Trap`] is a place where any number of tasks can be stuck until the test has seen what it wants to see, and lets them
//! go. [`Crew::stick`] fills one until *every* thread with which the runtime started is held, which it checks by the threads'
//! identities. So whatever runs afterwards runs on threads that the runtime has found meanwhile.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use runtime::runtime::{Builder, Runtime};
use runtime::task::JoinHandle;

/// How many tasks [`Crew::stick`] sends into a trap until it gives up.
const MOST: usize = 32;

/// What holds a thread.
type Block = Arc<dyn Fn() + Send + Sync>;

/// A place where tasks are stuck until they are released; dropped, it releases them.
pub struct Trap {
    /// Does not return before the release.
    block: Block,
    /// Lets everybody go; `None` once that is done, and for a trap that nobody leaves.
    release: Option<Box<dyn FnOnce()>>,
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trap").finish_non_exhaustive()
    }
}

/// What a way of being stuck is called, and how to get into it.
pub type Kind = (&'static str, fn() -> Trap);

impl Trap {
    /// Those that can be left, with their names.
    pub const ALL: [Kind; 4] = [
        ("sleep", Trap::sleep),
        ("spin", Trap::spin),
        ("mutex", Trap::mutex),
        ("pipe", Trap::pipe),
    ];

    fn new(block: impl Fn() + Send + Sync + 'static, release: impl FnOnce() + 'static) -> Trap {
        Trap {
            block: Arc::new(block),
            release: Some(Box::new(release)),
        }
    }

    /// `std::thread::sleep`.
    pub fn sleep() -> Trap {
        Trap::until_released(|| thread::sleep(Duration::from_millis(20)))
    }

    /// Computes.
    pub fn spin() -> Trap {
        Trap::until_released(std::hint::spin_loop)
    }

    fn until_released(step: fn()) -> Trap {
        let released = Arc::new(AtomicBool::new(false));
        let seen = released.clone();
        let block = move || {
            while !seen.load(Ordering::SeqCst) {
                step();
            }
        };
        Trap::new(block, move || released.store(true, Ordering::SeqCst))
    }

    /// A std mutex that another thread holds.
    pub fn mutex() -> Trap {
        let mutex = Arc::new(Mutex::new(()));
        let (release, released) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let held = mutex.clone();
        let holder = thread::spawn(move || {
            let _guard = held.lock().expect("nobody panics with it");
            tell.send(()).expect("the trap is being made");
            let _ = released.recv();
        });
        told.recv().expect("the holder says so");
        let block = move || drop(mutex.lock().expect("nobody panics with it"));
        Trap::new(block, move || {
            drop(release);
            holder.join().expect("it only waits");
        })
    }

    /// A blocking read of a pipe into which nobody writes.
    pub fn pipe() -> Trap {
        let (reader, writer) = std::io::pipe().expect("two descriptors");
        let block = move || {
            let read = (&reader).read(&mut [0]).expect("a pipe can be read");
            assert_eq!(read, 0, "nobody writes");
        };
        Trap::new(block, move || drop(writer))
    }

    /// Pairs of tasks each of which holds a std mutex and wants that of the other: nobody ever leaves it, so this is for a process
    /// that ends ([`child`](crate::child)).
    pub fn deadlock() -> Trap {
        struct Pair {
            locks: [Mutex<()>; 2],
            both: Barrier,
        }
        let pairs: Vec<_> = (0..MOST)
            .map(|_| Pair {
                locks: Default::default(),
                both: Barrier::new(2),
            })
            .collect();
        let next = AtomicUsize::new(0);
        let block = move || {
            let number = next.fetch_add(1, Ordering::SeqCst);
            let Pair { locks, both } = &pairs[number / 2];
            let _mine = locks[number % 2].lock().expect("nobody panics with it");
            both.wait();
            let _other = locks[1 - number % 2].lock();
            unreachable!("both locks cannot be had");
        };
        Trap {
            block: Arc::new(block),
            release: None,
        }
    }

    /// Returns what holds a thread: a function that does not return before the release.
    pub fn block(&self) -> impl Fn() + Send + Sync + Clone + 'static {
        let block = self.block.clone();
        move || block()
    }

    /// Lets everybody go.
    pub fn release(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.release();
    }
}

/// The threads with which a runtime started: its workers.
#[derive(Debug)]
pub struct Crew {
    /// Their identities.
    workers: HashSet<ThreadId>,
}

impl Crew {
    /// Builds a runtime with `workers` workers and what else `builder` says, and waits until they have started. Replaces the
    /// function that runs at the start of a thread.
    pub fn build(builder: &mut Builder, workers: usize) -> (Runtime, Crew) {
        let started = Arc::new(Mutex::new(Vec::new()));
        let note = started.clone();
        let runtime = builder
            .worker_threads(workers)
            .on_thread_start(move || {
                let mut started = note.lock().unwrap_or_else(PoisonError::into_inner);
                started.push(thread::current().id());
            })
            .build()
            .expect("a multi-thread runtime can be built");
        // Nothing was spawned yet, so nobody else can start before them.
        let workers = loop {
            let started = started.lock().unwrap_or_else(PoisonError::into_inner);
            if started.len() >= workers {
                break started[..workers].iter().copied().collect();
            }
            drop(started);
            thread::yield_now();
        };
        (runtime, Crew { workers })
    }

    /// Returns whether the calling thread is one of them.
    pub fn is_one_of_us(&self) -> bool {
        self.workers.contains(&thread::current().id())
    }

    /// Spawns tasks into `trap` until every worker is stuck in it; returns them.
    #[track_caller]
    pub fn stick(&self, runtime: &Runtime, trap: &Trap) -> Vec<JoinHandle<()>> {
        let mut free = self.workers.clone();
        let mut tasks = Vec::new();
        while !free.is_empty() {
            assert!(tasks.len() < MOST, "{free:?} of {self:?} take no task");
            let block = trap.block();
            let (enter, entered) = mpsc::channel();
            tasks.push(runtime.spawn(async move {
                enter
                    .send(thread::current().id())
                    .expect("the test waits for it");
                block();
            }));
            // Usually it is a worker; a spare that is faster is held as well.
            free.remove(&entered.recv().expect("the task is polled"));
        }
        tasks
    }
}
