//! What a thread that is stuck in a poll holds back is done by others: the tasks in its LIFO slot and its deque, the timers of its
//! shard, the wake-ups that it was about to make. Each test blocks a poll until exactly that has been done, on all workers at once or on
//! the thread inside `block_on` while all workers are stuck.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use runtime::io::{AsyncRead, ReadBuf};
use runtime::net::UnixStream;
use runtime::runtime::{Builder, Runtime};
use runtime::sync::{Notify, mpsc as channel, oneshot};
use runtime::task::yield_now;
use runtime::time::{sleep, sleep_until};
use runtime_tests::stuck::{Crew, Trap};
use runtime_tests::{LIMIT, Watchdog, poll_once};

/// Blocks until others have done what this thread made possible.
type Deed = fn(Arc<Barrier>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

fn builder() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().on_slow_poll(|_| ());
    builder
}

/// Does `deed` in a task on the only worker, in as many tasks as there are workers, and in a root beside workers that are all stuck.
fn do_everywhere(deed: Deed) {
    let _watchdog = Watchdog::new(LIMIT);
    for workers in [1, 2, 4] {
        for _ in 0..5 {
            let runtime = builder()
                .worker_threads(workers)
                .build()
                .expect("a runtime");
            let all_at_once = Arc::new(Barrier::new(workers));
            let tasks: Vec<_> = (0..workers)
                .map(|_| runtime.spawn(deed(all_at_once.clone())))
                .collect();
            for task in tasks {
                runtime.block_on(task).expect("no panic");
            }
        }
        let (runtime, crew) = Crew::build(&mut builder(), workers);
        let mut trap = Trap::sleep();
        let stuck = crew.stick(&runtime, &trap);
        runtime.block_on(deed(Arc::new(Barrier::new(1))));
        assert!(stuck.iter().all(|task| !task.is_finished()));
        trap.release();
    }
}

/// Spawns `count` tasks and blocks until they have run.
async fn spawn_and_wait(count: usize, start: Arc<Barrier>) {
    let (run, have_run) = mpsc::channel();
    start.wait();
    for number in 0..count {
        let run = run.clone();
        runtime::spawn(async move { run.send(number).expect("somebody waits") });
    }
    drop(run);
    let numbers: HashSet<usize> = have_run.iter().collect();
    assert_eq!(numbers.len(), count);
}

#[test]
fn a_task_spawned_before() {
    do_everywhere(|start| Box::pin(spawn_and_wait(1, start)));
}

#[test]
fn many_tasks_spawned_before() {
    do_everywhere(|start| Box::pin(spawn_and_wait(100, start)));
}

/// Wakes `count` tasks and blocks until they have run.
async fn wake_and_wait(count: usize, start: Arc<Barrier>) {
    let (wait, mut waits) = channel::channel(count);
    let (run, have_run) = mpsc::channel();
    let mut wakes = Vec::new();
    for number in 0..count {
        let (wake, mut woken) = oneshot::channel::<()>();
        let (wait, run) = (wait.clone(), run.clone());
        runtime::spawn(async move {
            assert!(poll_once(&mut woken).await.is_pending());
            wait.send(()).await.expect("somebody waits");
            woken.await.expect("it is woken");
            run.send(number).expect("somebody waits");
        });
        wakes.push(wake);
    }
    for _ in 0..count {
        waits.recv().await.expect("it waits");
    }
    drop(run);
    start.wait();
    for wake in wakes {
        wake.send(()).expect("it waits");
    }
    let numbers: HashSet<usize> = have_run.iter().collect();
    assert_eq!(numbers.len(), count);
}

#[test]
fn a_task_woken_before() {
    do_everywhere(|start| Box::pin(wake_and_wait(1, start)));
}

#[test]
fn many_tasks_woken_before() {
    do_everywhere(|start| Box::pin(wake_and_wait(100, start)));
}

/// In one poll wakes a task, blocks until it has run, and so on: after each wake-up nothing but the watchman moves the task.
async fn wake_again_and_again(start: Arc<Barrier>) {
    let again = Arc::new(Notify::new());
    let (run, have_run) = mpsc::channel();
    let woken = again.clone();
    let task = runtime::spawn(async move {
        loop {
            woken.notified().await;
            if run.send(()).is_err() {
                return;
            }
        }
    });
    yield_now().await;
    start.wait();
    for _ in 0..10 {
        again.notify_one();
        have_run.recv().expect("it runs");
    }
    drop(have_run);
    again.notify_one();
    task.await.expect("no panic");
}

#[test]
fn a_task_woken_many_times_in_one_poll() {
    do_everywhere(|start| Box::pin(wake_again_and_again(start)));
}

/// Arms a timer on this thread's shard, hands it to a task, and blocks until that has seen it fire.
async fn arm_and_wait(start: Arc<Barrier>) {
    let (give, given) = oneshot::channel::<Pin<Box<runtime::time::Sleep>>>();
    let (waits, is_waiting) = mpsc::channel();
    let (fire, fired) = mpsc::channel();
    runtime::spawn(async move {
        let mut nap = given.await.expect("it is given");
        assert!(poll_once(nap.as_mut()).await.is_pending() || nap.is_elapsed());
        waits.send(()).expect("somebody waits");
        nap.await;
        fire.send(Instant::now()).expect("somebody waits");
    });
    yield_now().await;
    start.wait();
    let begun = Instant::now();
    let mut nap = Box::pin(sleep(Duration::from_millis(5)));
    assert!(poll_once(nap.as_mut()).await.is_pending(), "it is armed");
    give.send(nap).expect("it is awaited");
    is_waiting.recv().expect("the task takes it");
    let at = fired.recv().expect("it fires");
    assert!(at.duration_since(begun) >= Duration::from_millis(5));
}

#[test]
fn a_timer_armed_before() {
    do_everywhere(|start| Box::pin(arm_and_wait(start)));
}

/// Spawns tasks that arm timers on this thread's shard, lets them, and blocks until all have fired.
async fn let_arm_and_wait(start: Arc<Barrier>) {
    let (armed, mut are_armed) = channel::channel(100);
    let (fire, fired) = mpsc::channel();
    for number in 0..100 {
        let (armed, fire) = (armed.clone(), fire.clone());
        runtime::spawn(async move {
            let mut nap = pin!(sleep(Duration::from_millis(5 + number % 20)));
            let _ = poll_once(nap.as_mut()).await;
            armed.send(()).await.expect("somebody waits");
            nap.await;
            fire.send(()).expect("somebody waits");
        });
    }
    drop(fire);
    for _ in 0..100 {
        are_armed.recv().await.expect("it is armed");
    }
    start.wait();
    assert_eq!(fired.iter().count(), 100);
}

#[test]
fn many_timers_armed_before() {
    do_everywhere(|start| Box::pin(let_arm_and_wait(start)));
}

/// Blocks until data that comes meanwhile has been read by a task.
async fn wait_for_a_reader(start: Arc<Barrier>) {
    let (mut theirs, ours) = std::os::unix::net::UnixStream::pair().expect("two sockets");
    ours.set_nonblocking(true).expect("a socket");
    let mut ours = UnixStream::from_std(ours).expect("a socket");
    let (read, have_read) = mpsc::channel();
    let (wait, mut waits) = channel::channel(1);
    runtime::spawn(async move {
        let mut byte = [0];
        {
            let mut reading = pin!(ours.read_exact(&mut byte));
            assert!(poll_once(reading.as_mut()).await.is_pending());
            wait.send(()).await.expect("somebody waits");
            reading.await.expect("a byte");
        }
        read.send(byte).expect("somebody waits");
    });
    waits.recv().await.expect("it waits");
    start.wait();
    std::io::Write::write_all(&mut theirs, b"x").expect("there is room");
    assert_eq!(have_read.recv(), Ok(*b"x"));
}

#[test]
fn a_socket_awaited_before() {
    do_everywhere(|start| Box::pin(wait_for_a_reader(start)));
}

// ---------------------------------------------------------------- wakers that block

/// Does something else before it wakes.
struct Tripwire {
    /// What is woken in the end.
    inner: Waker,
    /// What is done before.
    trip: Arc<dyn Fn() + Send + Sync>,
}

impl Wake for Tripwire {
    fn wake(self: Arc<Self>) {
        (self.trip)();
        self.inner.wake_by_ref();
    }
}

/// Polls `future` with a waker that calls `trip` first.
async fn tripping<F: Future>(future: F, trip: Arc<dyn Fn() + Send + Sync>) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let waker = Waker::from(Arc::new(Tripwire {
            inner: cx.waker().clone(),
            trip: trip.clone(),
        }));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// A worker is stuck in a waker until `other` is done, which waits for the same thing. Tried again if it was not the worker that woke (the
/// reactor thread may be faster, and must not be held).
fn stuck_in_a_waker<A, B>(mut make: impl FnMut(&Runtime) -> (A, B))
where
    A: Future<Output = ()> + Send + 'static,
    B: Future<Output = ()> + Send + 'static,
{
    let _watchdog = Watchdog::new(LIMIT);
    let mut times_stuck = 0;
    for _ in 0..1_000 {
        let (runtime, crew) = Crew::build(&mut builder(), 1);
        let (done, is_done) = mpsc::channel::<()>();
        let is_done = Mutex::new(Some(is_done));
        let (enter, entered) = mpsc::channel();
        let trip = Arc::new(move || {
            let mut is_done = is_done.lock().expect("nobody panics with it");
            if let Some(is_done) = is_done.take_if(|_| crew.is_one_of_us()) {
                enter.send(()).expect("the test looks later");
                let _ = is_done.recv();
            }
        });
        let (trapped, other) = make(&runtime);
        let trapped = runtime.spawn(tripping(trapped, trip));
        let other = runtime.spawn(async move {
            other.await;
            drop(done);
        });
        runtime.block_on(async {
            other.await.expect("no panic");
            trapped.await.expect("no panic");
        });
        times_stuck += entered.try_iter().count();
        if times_stuck == 3 {
            return;
        }
    }
    panic!("the worker was stuck {times_stuck} times only");
}

#[test]
fn timers_of_a_worker_that_is_stuck_in_a_waker() {
    stuck_in_a_waker(|runtime| {
        let _entered = runtime.enter();
        let deadline = runtime::time::Instant::now() + Duration::from_millis(5);
        (sleep_until(deadline), sleep_until(deadline))
    });
}

#[test]
fn events_of_a_worker_that_is_stuck_in_a_waker() {
    stuck_in_a_waker(|runtime| {
        let _entered = runtime.enter();
        let (to_one, one) = UnixStream::pair().expect("two sockets");
        let (to_other, other) = UnixStream::pair().expect("two sockets");
        let read = |mut stream: UnixStream| async move {
            let mut byte = [0];
            let read = poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut byte);
                let poll = Pin::new(&mut stream).poll_read(cx, &mut buffer);
                poll.map(|result| result.map(|()| buffer.filled().len()))
            });
            assert_eq!(read.await.expect("a byte"), 1);
        };
        // Both bytes come while both wait; usually one look finds both.
        runtime.spawn(async move {
            sleep(Duration::from_millis(2)).await;
            for mut stream in [to_one, to_other] {
                stream.write_all(b"x").await.expect("there is room");
            }
        });
        (read(one), read(other))
    });
}

// ---------------------------------------------------------------- the deeds can fail

/// Without a rescue the same deed stands still until the one who is stuck is let go: so the tests above can fail.
#[test]
fn without_a_rescue_they_wait() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = builder()
        .worker_threads(1)
        .rescue(false)
        .build()
        .expect("a runtime");
    let (run, has_run) = mpsc::channel();
    let (enter, entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let stuck = runtime.spawn(async move {
        runtime::spawn(async move { run.send(thread::current().id()).expect("the test looks") });
        enter.send(()).expect("the test waits");
        let _ = released.recv();
    });
    entered.recv().expect("it runs");
    // Timers and sockets are served meanwhile, so time passes for the runtime too.
    for _ in 0..20 {
        runtime.block_on(async { sleep(Duration::from_millis(2)).await });
        assert!(has_run.try_recv().is_err(), "who ran it?");
    }
    assert!(!stuck.is_finished());
    drop(release);
    has_run.recv().expect("now it runs");
    runtime.block_on(stuck).expect("no panic");
}

// ---------------------------------------------------------------- found by a review

/// A spare that never runs out of work of its own does not come to steal: the stuck worker's deque must be brought to it.
#[test]
fn tasks_spawned_before_beside_a_spare_that_is_never_idle() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .on_slow_poll(|_| {})
        .build()
        .expect("a runtime");
    let (release, released) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let (done, all_done) = mpsc::channel();
    runtime.spawn(async move {
        for number in 0..8 {
            let done = done.clone();
            runtime::spawn(async move { done.send(number).expect("the test waits") });
        }
        tell.send(()).expect("the test waits");
        let _ = released.recv();
    });
    told.recv().expect("the task runs");
    let restless = runtime.spawn(async {
        loop {
            runtime::task::yield_now().await;
        }
    });
    let mut numbers: Vec<i32> = (0..8).map(|_| all_done.recv().expect("it runs")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
    drop(release);
    restless.abort();
}

/// The reactor thread of a runtime whose workers are all stuck wakes a task of another runtime, which is asleep.
#[test]
fn a_socket_of_a_stuck_runtime_awaited_on_an_idle_one() {
    use runtime::io::AsyncReadExt;
    use std::io::Write;

    let _watchdog = Watchdog::new(LIMIT);
    let one_worker = || {
        Builder::new_multi_thread()
            .worker_threads(1)
            .rescue(false)
            .on_slow_poll(|_| {})
            .build()
            .expect("a runtime")
    };
    let (stuck, idle) = (one_worker(), one_worker());
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("descriptors are left");
    theirs.set_nonblocking(true).expect("it can be");
    let mut socket = {
        let _entered = stuck.enter();
        runtime::net::UnixStream::from_std(theirs).expect("it is registered")
    };
    let (release, released) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    stuck.spawn(async move {
        tell.send(()).expect("the test waits");
        let _ = released.recv();
    });
    told.recv().expect("the task runs");
    let (answer, answered) = mpsc::channel();
    idle.spawn(async move {
        let mut byte = [0];
        for _ in 0..20 {
            AsyncReadExt::read_exact(&mut socket, &mut byte)
                .await
                .expect("it comes");
            answer.send(byte[0]).expect("the test waits");
        }
    });
    for number in 0..20 {
        ours.write_all(&[number]).expect("the socket is open");
        assert_eq!(answered.recv(), Ok(number));
    }
    drop(release);
}
