//! The blocking pool with real threads. Nothing here sleeps to wait for something: channels and barriers do.

use std::collections::HashSet;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::task::JoinError;

fn pool(config: Config) -> Arc<Pool> {
    Arc::new(Pool::new(config))
}

fn with_max(max_threads: usize) -> Arc<Pool> {
    pool(Config {
        max_threads,
        ..Config::default()
    })
}

#[track_caller]
fn spawn<T: Send + 'static>(
    pool: &Pool,
    job: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    pool.spawn(job, Meta::new(Location::caller()))
}

/// Unparks a thread.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a handle.
fn join<T>(handle: JoinHandle<T>) -> Result<T, JoinError> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut handle = pin!(handle);
    loop {
        match handle.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A job that blocks until told to go on; tells when it has begun.
fn block(pool: &Pool) -> (JoinHandle<()>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let handle = spawn(pool, move || {
        begun.send(()).unwrap();
        let _ = wait.recv();
    });
    has_begun.recv().unwrap();
    (handle, go_on)
}

#[test]
fn outputs_and_panics_belong_to_the_handle() {
    let pool = with_max(2);
    assert_eq!(join(spawn(&pool, || 1 + 1)).unwrap(), 2);
    let error = join(spawn(&pool, || std::panic::resume_unwind(Box::new("boom")))).unwrap_err();
    let () = assert!(error.is_panic());
    assert_eq!(join(spawn(&pool, || 3)).unwrap(), 3);
    assert!(pool.shutdown(None));
}

#[test]
fn one_thread_runs_many_jobs_in_order() {
    let pool = with_max(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let handles: Vec<_> = (0..10_000)
        .map(|i| {
            let order = order.clone();
            spawn(&pool, move || order.lock().push(i))
        })
        .collect();
    handles.into_iter().for_each(|handle| join(handle).unwrap());
    assert!(order.lock().iter().copied().eq(0..10_000));
    assert_eq!(pool.stats().threads, 1);
    assert!(pool.shutdown(None));
}

#[test]
fn blocked_jobs_make_the_pool_grow_to_its_bound_and_no_further() {
    const MAX: usize = 20;
    let pool = with_max(MAX);
    let barrier = Arc::new(Barrier::new(MAX + 1));
    let handles: Vec<_> = (0..MAX)
        .map(|_| {
            let barrier = barrier.clone();
            spawn(&pool, move || {
                barrier.wait();
                barrier.wait();
            })
        })
        .collect();
    // All of them block at once.
    barrier.wait();
    let last = spawn(&pool, || ());
    let stats = pool.stats();
    assert_eq!((stats.threads, stats.idle, stats.queued), (MAX, 0, 1));
    assert!(!last.is_finished());
    barrier.wait();
    handles.into_iter().for_each(|handle| join(handle).unwrap());
    join(last).unwrap();
    assert!(pool.shutdown(None));
    assert_eq!(pool.stats().threads, 0);
}

#[test]
fn jobs_and_threads_are_counted() {
    let pool = with_max(1);
    let (blocker, go_on) = block(&pool);
    let queued: Vec<_> = (0..3).map(|_| spawn(&pool, || ())).collect();
    let stats = pool.stats();
    assert_eq!((stats.jobs, stats.jobs_finished, stats.queued), (4, 0, 3));
    assert_eq!((stats.threads_started, stats.max_threads), (1, 1));
    go_on.send(()).unwrap();
    join(blocker).unwrap();
    queued.into_iter().for_each(|job| join(job).unwrap());
    while pool.stats().idle == 0 {
        std::thread::yield_now();
    }
    assert_eq!(pool.stats().jobs_finished, 4);

    // Those that never begin are over as well, and those that are refused were never accepted.
    let (blocker, go_on) = block(&pool);
    let cancelled = spawn(&pool, || ());
    pool.begin_shutdown();
    assert!(join(cancelled).unwrap_err().is_cancelled());
    assert!(join(spawn(&pool, || ())).unwrap_err().is_cancelled());
    let stats = pool.stats();
    assert_eq!((stats.jobs, stats.jobs_finished), (6, 5));
    go_on.send(()).unwrap();
    join(blocker).unwrap();
    assert!(pool.shutdown(None));
    let stats = pool.stats();
    assert_eq!((stats.jobs, stats.jobs_finished, stats.threads), (6, 6, 0));
    assert_eq!((stats.threads_started, stats.threads_refused), (1, 0));
}

#[test]
fn idle_threads_are_used_again() {
    let pool = with_max(8);
    let mut threads = HashSet::new();
    for _ in 0..100 {
        threads.insert(join(spawn(&pool, || std::thread::current().id())).unwrap());
        while pool.stats().idle < pool.stats().threads {
            std::thread::yield_now();
        }
    }
    assert_eq!(threads.len(), 1);
}

#[test]
fn threads_retire_and_come_back() {
    let pool = pool(Config {
        keep_alive: Duration::from_millis(1),
        ..Config::default()
    });
    for _ in 0..20 {
        join(spawn(&pool, || ())).unwrap();
        while pool.stats().threads > 0 {
            std::thread::yield_now();
        }
    }
    let crew = pool.shared.crew.lock();
    assert!(crew.handles.len() <= 1, "retired threads are forgotten");
    drop(crew);
    assert!(pool.shutdown(None));
}

#[test]
fn retiring_threads_and_submitters_forget_no_job() {
    let pool = pool(Config {
        keep_alive: Duration::ZERO,
        max_threads: 3,
        ..Config::default()
    });
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for i in 0..500 {
                    assert_eq!(join(spawn(&pool, move || i)).unwrap(), i);
                }
            });
        }
    });
    assert!(pool.shutdown(None));
}

#[test]
fn a_job_that_has_not_begun_can_be_aborted() {
    let pool = with_max(1);
    let (blocker, go_on) = block(&pool);
    let ran = Arc::new(AtomicUsize::new(0));
    let inner = ran.clone();
    let waiting = spawn(&pool, move || inner.fetch_add(1, SeqCst));
    waiting.abort();
    blocker.abort();
    go_on.send(()).unwrap();
    assert!(join(waiting).unwrap_err().is_cancelled());
    assert_eq!(ran.load(SeqCst), 0);
    assert!(join(blocker).is_ok(), "it had begun");
    assert!(pool.shutdown(None));
}

#[test]
fn shutdown_cancels_what_has_not_begun_and_waits_for_the_rest() {
    let pool = with_max(1);
    let (blocker, go_on) = block(&pool);
    let waiting: Vec<_> = (0..10).map(|_| spawn(&pool, || ())).collect();
    assert!(
        !pool.shutdown(Some(Duration::from_millis(5))),
        "a job still runs"
    );
    for handle in waiting {
        assert!(join(handle).unwrap_err().is_cancelled());
    }
    assert!(join(spawn(&pool, || ())).unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    assert!(pool.shutdown(Some(Duration::MAX)));
    assert!(join(blocker).is_ok());
}

#[test]
fn jobs_that_run_are_told_and_no_others() {
    let pool = with_max(2);
    assert!(pool.stuck_jobs().is_empty());
    for _ in 0..3 {
        let (first, end_first) = block(&pool);
        let (second, end_second) = block(&pool);
        let queued = spawn(&pool, || ());
        let told = pool.stuck_jobs();
        assert_eq!(told.len(), 2, "{told:?}");
        for job in [&first, &second] {
            let start = format!("blocking job {} (spawned at ", job.id());
            assert!(told.iter().any(|told| told.starts_with(&start)), "{told:?}");
        }
        end_first.send(()).unwrap();
        end_second.send(()).unwrap();
        for job in [first, second, queued] {
            join(job).unwrap();
        }
    }
    assert!(pool.shutdown(None));
    assert!(pool.stuck_jobs().is_empty());
}

#[test]
fn shutdown_from_a_job_of_the_pool_does_not_wait_for_itself() {
    let pool = with_max(2);
    let inner = pool.clone();
    assert!(!join(spawn(&pool, move || inner.shutdown(None))).unwrap());
    assert!(pool.shutdown(None));
}

#[test]
fn dropping_the_pool_lets_its_threads_end() {
    let (stopped, has_stopped) = mpsc::channel();
    let stopped = Mutex::new(stopped);
    let pool = Pool::new(Config {
        on_stop: Some(Arc::new(move || stopped.lock().send(()).unwrap())),
        ..Config::default()
    });
    join(spawn(&pool, || ())).unwrap();
    drop(pool);
    has_stopped.recv().unwrap();
}

#[test]
fn hooks_run_on_each_thread_and_their_panics_are_contained() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str, panics: bool| {
        let calls = calls.clone();
        move || {
            calls.lock().push(what);
            if panics {
                std::panic::resume_unwind(Box::new("hook"));
            }
        }
    };
    for panics in [false, true] {
        calls.lock().clear();
        let around = note("around", panics);
        let name = note("name", panics);
        let pool = pool(Config {
            stack_size: Some(256 * 1024),
            name: Arc::new(move || {
                name();
                "a \0 name".to_owned()
            }),
            around: Arc::new(move |body| {
                around();
                body();
            }),
            on_start: Some(Arc::new(note("start", panics))),
            on_stop: Some(Arc::new(note("stop", panics))),
            ..Config::default()
        });
        let job = || std::thread::current().name().map(str::to_owned);
        let name = join(spawn(&pool, job)).unwrap();
        assert_eq!(name.as_deref(), Some(if panics { "" } else { "a  name" }));
        assert!(pool.shutdown(None));
        assert_eq!(*calls.lock(), ["name", "around", "start", "stop"]);
    }
}

#[test]
fn without_any_thread_the_handle_says_so() {
    let pool = pool(Config {
        // No address space has room for it.
        stack_size: Some(1 << 50),
        ..Config::default()
    });
    for _ in 0..3 {
        let error = join(spawn(&pool, || ())).unwrap_err();
        assert!(error.is_cancelled());
        assert!(
            error
                .to_string()
                .ends_with("has no thread and could not start one")
        );
    }
    let stats = pool.stats();
    assert_eq!((stats.threads, stats.threads_refused), (0, 3));
    assert_eq!((stats.jobs, stats.jobs_finished), (3, 3));
    assert!(pool.shutdown(None));
}

#[test]
fn with_some_threads_a_refusal_only_delays() {
    let pool = with_max(4);
    let (blocker, go_on) = block(&pool);
    {
        // As after a start that failed: the job waits, and later ones try again.
        let mut crew = pool.shared.crew.lock();
        crew.threads += 1;
        crew.on_the_way += 1;
        crew.alive += 1;
    }
    let waiting = spawn(&pool, || 1);
    assert_eq!(pool.stats().queued, 1);
    pool.shared.could_not_start();
    let more: Vec<_> = (0..crew::PATIENCE + 1)
        .map(|_| spawn(&pool, || 2))
        .collect();
    assert_eq!(join(waiting).unwrap(), 1);
    more.into_iter()
        .for_each(|handle| assert_eq!(join(handle).unwrap(), 2));
    go_on.send(()).unwrap();
    join(blocker).unwrap();
    assert!(pool.shutdown(None));
}

#[test]
fn fifty_thousand_jobs_at_once() {
    let pool = with_max(512);
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..50_000 {
        let count = count.clone();
        drop(spawn(&pool, move || count.fetch_add(1, SeqCst)));
    }
    while count.load(SeqCst) < 50_000 {
        std::thread::yield_now();
    }
    assert!(pool.shutdown(None));
}
