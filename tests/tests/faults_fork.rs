//! A process that forks while a runtime is running: the child has none of its threads, but shares what the
//! kernel keeps for it. It must be told so, and must not disturb its parent. Each test has a process of its own.

use std::fs::File;
use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use runtime::net::{UnixDatagram, UnixStream};
use runtime::runtime::Runtime;
use runtime::task::{spawn_blocking, yield_now};
use runtime::time::sleep;
use runtime_tests::process::wait_for_others_to_sleep;
use runtime_tests::{
    DropCount, LIMIT, Watchdog, child, current_thread, multi_thread, panic_text, yield_until,
};

/// Forks this process.
///
/// # Safety
///
/// The child must take no lock that another thread of its parent could have held at this moment, and leave by [`leave`].
unsafe fn fork() -> Forked {
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    // SAFETY: the child goes on with this thread only; the caller sees to its locks.
    let child = unsafe { libc::fork() };
    if child != 0 {
        let child = rustix::process::Pid::from_raw(child).expect("this process can fork");
        return Forked::Parent(child, File::from(reader));
    }
    // SAFETY: sets a timer of this process, which ends it if it hangs.
    unsafe { libc::alarm(LIMIT.as_secs() as libc::c_uint / 2) };
    Forked::Child(File::from(writer))
}

/// Where the program goes on after a fork.
enum Forked {
    /// Here the child and what it says can be waited for.
    Parent(rustix::process::Pid, File),
    /// Here something can be said.
    Child(File),
}

/// Ends the child after `body`.
fn leave(body: impl FnOnce()) -> ! {
    let came_through = catch_unwind(AssertUnwindSafe(body)).is_ok();
    // SAFETY: ends the child without running anything of its parent's.
    unsafe { libc::_exit(if came_through { 0 } else { 1 }) };
}

/// Waits for the child, and returns what it said.
///
/// # Panics
///
/// When it did not end by itself, or not well.
fn wait_for(child: rustix::process::Pid, mut reader: File) -> String {
    let mut said = String::new();
    let read = reader.read_to_string(&mut said);
    let (_, status) = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty())
        .expect("it is our child")
        .expect("it was waited for");
    assert!(read.is_ok(), "{read:?}");
    assert_eq!(
        status.exit_status(),
        Some(0),
        "{status:?}; it said {said:?}"
    );
    said
}

/// Runs `body` in a fork of this process and returns what it wrote there.
///
/// # Panics
///
/// When the child does not end by itself, or when `body` panics.
fn in_fork(body: impl FnOnce(&mut File)) -> String {
    // The child has no use for the hook's output, nor for the locks that it takes.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    // SAFETY: the locks that others could have held are the runtime's, and these are asleep or inside `yield_now`.
    match unsafe { fork() } {
        Forked::Child(mut said) => leave(|| body(&mut said)),
        Forked::Parent(child, reader) => {
            set_hook(hook);
            wait_for(child, reader)
        }
    }
}

/// Calls `f`, which must panic, and writes the panic's message as a line.
fn say_panic<R>(said: &mut File, f: impl FnOnce() -> R) {
    let message = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => "came through".to_owned(),
        Err(payload) => panic_text(&*payload),
    };
    writeln!(said, "{message}").expect("a pipe");
}

#[track_caller]
fn says_what_to_do(message: &str) {
    for part in ["fork", "child"] {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

fn each_runtime() -> [Runtime; 2] {
    [current_thread(), multi_thread(2)]
}

/// Uses everything of `runtime` once.
fn works(runtime: &Runtime) {
    runtime.block_on(async {
        let task = runtime::spawn(async {
            sleep(Duration::from_millis(1)).await;
            let (one, mut other) = UnixStream::pair().unwrap();
            one.try_write(b"x").unwrap();
            other.read_exact(&mut [0]).await.unwrap();
            spawn_blocking(|| 7).await.unwrap()
        });
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn a_child_that_blocks_on_its_parents_runtime_is_told_so() {
    child::run(
        "a_child_that_blocks_on_its_parents_runtime_is_told_so",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            for runtime in each_runtime() {
                works(&runtime);
                let said = in_fork(|said| {
                    say_panic(said, || runtime.block_on(async {}));
                    say_panic(said, || runtime.handle().block_on(pending::<()>()));
                });
                let messages: Vec<_> = said.lines().collect();
                assert_eq!(messages.len(), 2, "{said:?}");
                for message in messages {
                    says_what_to_do(message);
                }
                works(&runtime);
            }
        },
    );
}

#[test]
fn a_child_that_drops_its_parents_runtime_neither_hangs_nor_disturbs_it() {
    child::run(
        "a_child_that_drops_its_parents_runtime_neither_hangs_nor_disturbs_it",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            for runtime in each_runtime() {
                // Things of the runtime's that are under way: sockets of this thread and of a task, and a sleep.
                let (one, other) = runtime.block_on(async {
                    let (mut one, mut other) = UnixStream::pair().unwrap();
                    one.write_all(b"x").await.unwrap();
                    other.read_exact(&mut [0]).await.unwrap();
                    (one, other)
                });
                let (mut asks, answers) = runtime.block_on(async { UnixStream::pair().unwrap() });
                let task = runtime.spawn(async move {
                    let mut answers = answers;
                    let mut byte = [0];
                    while answers.read(&mut byte).await.unwrap() == 1 {
                        answers.write_all(&byte).await.unwrap();
                    }
                });
                let sleeps = runtime.spawn(async { sleep(Duration::from_millis(50)).await });
                runtime.block_on(yield_now());

                let mut kept = Some((runtime, one, other));
                let said = in_fork(|said| {
                    let (runtime, one, other) = kept.take().expect("filled above");
                    drop(one);
                    drop(runtime);
                    drop(other);
                    said.write_all(b"dropped").expect("a pipe");
                });
                assert_eq!(said, "dropped");

                let (runtime, mut one, mut other) = kept.take().expect("the child took its own");
                works(&runtime);
                runtime.block_on(async {
                    let mut byte = [0];
                    for number in 0..50 {
                        asks.write_all(&[number]).await.unwrap();
                        asks.read_exact(&mut byte).await.unwrap();
                        assert_eq!(byte, [number]);
                        one.write_all(&[number]).await.unwrap();
                        other.read_exact(&mut byte).await.unwrap();
                        assert_eq!(byte, [number]);
                    }
                    drop(asks);
                    task.await.unwrap();
                    sleeps.await.unwrap();
                });
            }
        },
    );
}

#[test]
fn a_child_may_end_its_parents_busy_runtime_in_any_way() {
    child::run(
        "a_child_may_end_its_parents_busy_runtime_in_any_way",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            let ends: [fn(Runtime); 3] = [drop, Runtime::shutdown_background, |runtime| {
                runtime.shutdown_timeout(LIMIT);
            }];
            for round in 0..30 {
                let runtime = multi_thread(2);
                let count = DropCount::new();
                for _ in 0..20 {
                    let token = count.token();
                    runtime.spawn(async move {
                        let _token = token;
                        loop {
                            yield_now().await;
                        }
                    });
                }
                let mut kept = Some(runtime);
                let said = in_fork(|said| {
                    let runtime = kept.take().expect("filled above");
                    say_panic(said, || runtime.block_on(yield_now()));
                    ends[round % ends.len()](runtime);
                    let dropped = count.dropped();
                    assert_eq!(dropped, 0, "a task of the parent's was dropped here");
                });
                says_what_to_do(&said);
                let runtime = kept.take().expect("the child took its own");
                works(&runtime);
                drop(runtime);
                assert_eq!(count.dropped(), 20);
            }
        },
    );
}

#[test]
fn what_a_child_spawns_and_wakes_on_its_parents_runtime_disturbs_nobody() {
    child::run(
        "what_a_child_spawns_and_wakes_on_its_parents_runtime_disturbs_nobody",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            for runtime in each_runtime() {
                let polls = Arc::new(AtomicUsize::new(0));
                let (sender, receiver) = std::sync::mpsc::channel();
                let inside = polls.clone();
                runtime.spawn(poll_fn(move |cx| {
                    inside.fetch_add(1, Ordering::SeqCst);
                    let _ = sender.send(cx.waker().clone());
                    Poll::<()>::Pending
                }));
                works(&runtime);
                let waker = receiver.recv().unwrap();
                let before = polls.load(Ordering::SeqCst);
                let count = DropCount::new();
                // Whoever is still about to end a task holds a lock that the child would wait for.
                wait_for_others_to_sleep();
                let said = in_fork(|said| {
                    for _ in 0..100 {
                        let token = count.token();
                        let task = runtime.spawn(async move { drop(token) });
                        waker.wake_by_ref();
                        task.abort();
                        waker.wake_by_ref();
                    }
                    // They wait for a thread that is not there.
                    assert_eq!(count.dropped(), 0);
                    said.write_all(b"spawned").expect("a pipe");
                });
                assert_eq!(said, "spawned");
                works(&runtime);
                assert_eq!(
                    polls.load(Ordering::SeqCst),
                    before,
                    "it was woken in the child only"
                );
                waker.wake();
                runtime.block_on(yield_until(|| polls.load(Ordering::SeqCst) > before));
            }
        },
    );
}

#[test]
fn a_child_that_registers_with_its_parents_reactor_is_told_so() {
    child::run(
        "a_child_that_registers_with_its_parents_reactor_is_told_so",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            for runtime in each_runtime() {
                works(&runtime);
                let said = in_fork(|said| {
                    let _entered = runtime.enter();
                    say_panic(said, UnixStream::pair);
                    say_panic(said, || UnixDatagram::unbound());
                });
                let messages: Vec<_> = said.lines().collect();
                assert_eq!(messages.len(), 2, "{said:?}");
                messages.into_iter().for_each(says_what_to_do);
                works(&runtime);
            }
        },
    );
}

#[test]
fn a_child_may_start_a_runtime_of_its_own() {
    child::run("a_child_may_start_a_runtime_of_its_own", || {
        let _watchdog = Watchdog::new(LIMIT);
        let runtime = multi_thread(2);
        works(&runtime);
        let said = in_fork(|said| {
            for own in each_runtime() {
                works(&own);
            }
            said.write_all(b"works").expect("a pipe");
        });
        assert_eq!(said, "works");
        works(&runtime);
    });
}

#[test]
fn a_child_of_a_child_is_told_so_too() {
    child::run("a_child_of_a_child_is_told_so_too", || {
        let _watchdog = Watchdog::new(LIMIT);
        let runtime = multi_thread(2);
        works(&runtime);
        let said = in_fork(|said| {
            let own = multi_thread(2);
            works(&own);
            let told = in_fork(|said| say_panic(said, || own.block_on(async {})));
            said.write_all(told.as_bytes()).expect("a pipe");
            works(&own);
        });
        assert!(said.contains("fork"), "{said}");
        works(&runtime);
    });
}

/// What it awaits there instead is not waited for as it should be, which nothing says: `Runtime`, "Processes that fork".
#[test]
fn a_child_that_was_forked_inside_a_root_may_leave_it_and_end_the_runtime() {
    child::run(
        "a_child_that_was_forked_inside_a_root_may_leave_it_and_end_the_runtime",
        || {
            let _watchdog = Watchdog::new(LIMIT);
            for runtime in each_runtime() {
                works(&runtime);
                wait_for_others_to_sleep();
                // SAFETY: all others are asleep, so they hold no lock; the child leaves below.
                let forked = runtime.block_on(async { unsafe { fork() } });
                match forked {
                    Forked::Child(mut said) => leave(|| {
                        drop(runtime);
                        let own = multi_thread(1);
                        works(&own);
                        said.write_all(b"left").expect("a pipe");
                    }),
                    Forked::Parent(child, reader) => {
                        assert_eq!(wait_for(child, reader), "left");
                        works(&runtime);
                    }
                }
            }
        },
    );
}
