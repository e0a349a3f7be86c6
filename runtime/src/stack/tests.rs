//! Stacks of threads in every state in which a thread can be held.

use super::*;
use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Barrier, mpsc};
use std::thread::JoinHandle;

/// Long enough for a thread of a busy machine to get a core.
const PLENTY: Duration = Duration::from_secs(20);

/// The stack of a thread that is not asked about anything in particular.
fn capture(id: u64, wait: Duration) -> Option<String> {
    super::capture(id, wait, &|| true)
}

#[test]
fn a_stack_is_only_told_if_it_is_still_the_one_asked_for() {
    assert_eq!(super::capture(crate::probe::id(), PLENTY, &|| false), None);
}

/// Starts a thread; returns it and its identity.
fn start<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> (JoinHandle<T>, u64) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        tell.send(crate::probe::id()).expect("the test waits");
        body()
    });
    (thread, told.recv().expect("the thread tells"))
}

/// Asks for the stack until `function` is in it: the thread may not have come there yet.
#[track_caller]
fn find(id: u64, function: &str) -> String {
    let start = Instant::now();
    loop {
        let stack = capture(id, PLENTY).unwrap_or_default();
        if stack.contains(function) {
            return stack;
        }
        assert!(
            start.elapsed() < 2 * PLENTY,
            "{function} is not in:\n{stack}"
        );
    }
}

/// A thread that runs `body` has `function` on its stack, and between that and the start of the thread nothing that is not its own.
/// Then `end` makes `body` return. Returns the stack.
#[track_caller]
fn finds(function: &str, body: impl FnOnce() + Send + 'static, end: impl FnOnce()) -> String {
    let (thread, id) = start(body);
    let stack = find(id, function);
    // The names alone: a folder in a path may be called anything.
    let names: Vec<_> = stack
        .lines()
        .map(|line| line.split(" at ").next().unwrap_or(line))
        .collect();
    for ours in ["stack::handle", "start_thread", "clone"] {
        assert!(
            !names.iter().any(|name| name.contains(ours)),
            "{ours} is in:
{stack}"
        );
    }
    end();
    thread.join().expect("no panic");
    // The kernel forgets it a little later.
    let start = Instant::now();
    while capture(id, Duration::from_millis(10)).is_some() {
        assert!(start.elapsed() < PLENTY, "a thread that has ended answers");
    }
    stack
}

#[inline(never)]
fn reads(mut pipe: impl Read) -> std::io::Result<usize> {
    std::hint::black_box(pipe.read(&mut [0]))
}

#[test]
fn a_read_of_a_pipe_goes_on_after_it_was_looked_at() {
    let (read, write) = std::io::pipe().expect("descriptors are left");
    finds(
        "tests::reads",
        move || assert_eq!(reads(read).expect("it is started again"), 0),
        || drop(write),
    );
}

#[inline(never)]
fn computes(stop: &AtomicBool) -> u64 {
    let mut sum = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
    sum
}

#[test]
fn a_thread_that_computes() {
    let stop = Arc::new(AtomicBool::new(false));
    let its = Arc::clone(&stop);
    finds(
        "tests::computes",
        move || assert!(computes(&its) > 0),
        || stop.store(true, Ordering::Relaxed),
    );
}

#[inline(never)]
fn waits_for_a_lock(lock: &std::sync::Mutex<u8>) {
    drop(std::hint::black_box(lock.lock()));
}

#[test]
fn a_lock() {
    let lock = Arc::new(std::sync::Mutex::new(1));
    let its = Arc::clone(&lock);
    let held = lock.lock().expect("not poisoned");
    finds(
        "tests::waits_for_a_lock",
        move || waits_for_a_lock(&its),
        || drop(held),
    );
}

#[inline(never)]
fn sleeps(time: Duration) {
    thread::sleep(time);
    // Not the last thing: a tail call would leave no frame.
    std::hint::black_box(time);
}

#[test]
fn a_sleep_is_not_cut_short() {
    let (slept, result) = mpsc::channel();
    let time = Duration::from_millis(300);
    let is_seen = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_seen);
    let body = move || {
        let begun = Instant::now();
        // Again and again, so that the test finds it asleep however late it comes to look.
        while !stop.load(Ordering::Relaxed) && begun.elapsed() < PLENTY {
            let start = Instant::now();
            sleeps(time);
            slept.send(start.elapsed()).expect("the test waits");
        }
    };
    let (thread, id) = start(body);
    while !thread.is_finished() {
        let stack = capture(id, PLENTY);
        let is_asleep = stack.is_some_and(|stack| stack.contains("tests::sleeps"));
        is_seen.fetch_or(is_asleep, Ordering::Relaxed);
    }
    thread.join().expect("no panic");
    let is_seen = is_seen.load(Ordering::Relaxed);
    assert!(is_seen, "it is never seen asleep");
    assert!(result.iter().all(|slept| slept >= time));
}

#[inline(never)]
fn contains(stop: &AtomicBool) {
    let within = std::panic::AssertUnwindSafe(|| computes(stop));
    let _ = std::hint::black_box(std::panic::catch_unwind(within));
}

#[test]
fn frames_of_std_do_not_hide_those_further_out() {
    let stop = Arc::new(AtomicBool::new(false));
    let its = Arc::clone(&stop);
    let stack = finds(
        "tests::computes",
        move || contains(&its),
        || stop.store(true, Ordering::Relaxed),
    );
    assert!(stack.contains("tests::contains"), "{stack}");
}

/// Unwinds, allocates and walks its own stack, over and over.
#[inline(never)]
fn unwinds(stop: &AtomicBool) -> u32 {
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let texts: Vec<String> = (0..64).map(|n| format!("{n}")).collect();
        let unwound = std::panic::catch_unwind(|| {
            std::panic::resume_unwind(Box::new(texts.concat()));
        });
        let text = unwound.expect_err("it unwinds");
        assert_eq!(
            text.downcast_ref::<String>().map(String::len),
            Some(10 + 2 * 54)
        );
        let _ = std::hint::black_box(std::backtrace::Backtrace::force_capture());
        rounds += 1;
    }
    rounds
}

#[test]
fn a_thousand_captures_disturb_nobody() {
    let stop = Arc::new(AtomicBool::new(false));
    let its = Arc::clone(&stop);
    let (thread, id) = start(move || unwinds(&its));
    for number in 0..1_000 {
        let addresses = unwind::walk(&snapshot(id, PLENTY).expect("it answers"));
        // Names take longer than all the rest.
        assert!(number % 50 != 0 || !names::describe(&addresses).is_empty());
    }
    find(id, "tests::unwinds");
    stop.store(true, Ordering::Relaxed);
    assert!(thread.join().expect("no panic") > 0);
}

#[inline(never)]
fn computes_as_another(stop: &AtomicBool) -> u64 {
    computes(stop) + 1
}

#[test]
fn who_asks_at_the_same_time_gets_the_stack_asked_for() {
    let stop = Arc::new(AtomicBool::new(false));
    let (its, others) = (Arc::clone(&stop), Arc::clone(&stop));
    let (one, one_id) = start(move || waits_for(&its));
    let (another, another_id) = start(move || computes_as_another(&others));
    find(one_id, "tests::waits_for");
    find(another_id, "tests::computes_as_another");
    thread::scope(|scope| {
        for (id, mine, not_mine) in [
            (one_id, "tests::waits_for", "tests::computes_as_another"),
            (another_id, "tests::computes_as_another", "tests::waits_for"),
        ] {
            scope.spawn(move || {
                for _ in 0..100 {
                    let stack = capture(id, PLENTY).expect("it answers");
                    assert!(stack.contains(mine), "{stack}");
                    assert!(!stack.contains(not_mine), "{stack}");
                }
            });
        }
    });
    stop.store(true, Ordering::Relaxed);
    one.join().expect("no panic");
    another.join().expect("no panic");
}

#[inline(never)]
fn waits_for(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::hint::black_box(stop);
        std::hint::spin_loop();
    }
}

/// Its own stack `depth` calls further in, by way of the signal and as libgcc walks it, both from the outermost frame inwards.
fn both_ways(depth: u32) -> [Vec<usize>; 2] {
    if depth > 0 {
        return std::hint::black_box(both_ways(depth - 1));
    }
    let mut ours = unwind::walk(&snapshot(crate::probe::id(), PLENTY).expect("it answers"));
    let mut others = Vec::new();
    backtrace::trace(|frame| {
        // The calls, not where they return to.
        others.extend(frame.ip().addr().checked_sub(1));
        true
    });
    ours.reverse();
    others.reverse();
    [ours, others]
}

#[test]
fn the_walk_finds_what_libgcc_finds() {
    let (thread, _) = start(|| both_ways(20));
    let [ours, others] = thread.join().expect("no panic");
    let same = ours
        .iter()
        .zip(&others)
        .take_while(|(one, other)| one == other);
    assert!(same.count() > 20, "{ours:x?}\n{others:x?}");
}

/// Lets [`waits_in_a_handler`] return.
static LEAVE: AtomicBool = AtomicBool::new(false);

extern "C" fn waits_in_a_handler(signal: i32) {
    waits_for(&LEAVE);
    std::hint::black_box(signal);
}

#[inline(never)]
fn interrupts_itself() {
    // SAFETY: the call takes a number.
    std::hint::black_box(unsafe { libc::raise(libc::SIGUSR2) });
}

#[test]
fn a_thread_within_another_handler() {
    let handler: extern "C" fn(i32) = waits_in_a_handler;
    // SAFETY: the handler does nothing but loads.
    let before = unsafe { libc::signal(libc::SIGUSR2, handler as usize) };
    assert_eq!(before, libc::SIG_DFL);
    let stack = finds("tests::waits_in_a_handler", interrupts_itself, || {
        LEAVE.store(true, Ordering::Relaxed)
    });
    assert!(stack.contains("tests::interrupts_itself"), "{stack}");
}

/// Blocks the signal on this thread, or lets it through.
fn mask(how: libc::c_int) {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the pointer is to memory for a set, which the call fills.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was filled by the call before.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: the set is a set.
    unsafe { libc::sigaddset(&raw mut set, SIGNAL) };
    // SAFETY: the first pointer is to a set; the second may be null.
    let result = unsafe { libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

#[test]
fn a_thread_that_ends_before_it_answers_is_not_waited_for() {
    let (thread, id) = start(|| {
        mask(libc::SIG_BLOCK);
        let own = crate::probe::id();
        // Others are asked as well, by other tests.
        while WORD.load(Ordering::Acquire) & PHASE != ASKED || TARGET.load(Ordering::Relaxed) != own
        {
            thread::yield_now();
        }
    });
    let lock = CAPTURE.lock();
    let begun = Instant::now();
    assert!(ask(id, PLENTY).is_none());
    assert!(begun.elapsed() < PLENTY / 2);
    drop(lock);
    thread.join().expect("no panic");
}

#[test]
fn a_late_handler_writes_nothing_and_the_next_question_is_answered() {
    let (blocked, open) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let stop = Arc::new(AtomicBool::new(false));
    let (deaf, id) = start({
        let (blocked, open, stop) = (Arc::clone(&blocked), Arc::clone(&open), Arc::clone(&stop));
        move || {
            mask(libc::SIG_BLOCK);
            blocked.wait();
            open.wait();
            // The signal of the question that was taken back comes here.
            mask(libc::SIG_UNBLOCK);
            computes(&stop)
        }
    });
    let its = Arc::clone(&stop);
    let (other, other_id) = start(move || computes_as_another(&its));
    blocked.wait();

    let start = Instant::now();
    let wait = Duration::from_millis(30);
    let asked = thread::scope(|scope| {
        let asking = scope.spawn(|| capture(id, wait));
        // Who is not asked does not answer, whoever sends it the signal.
        while !asking.is_finished() {
            assert!(send(other_id));
        }
        asking.join().expect("no panic")
    });
    assert_eq!(asked, None);
    assert!(start.elapsed() >= wait);
    find(other_id, "tests::computes_as_another");
    open.wait();
    let stack = find(id, "tests::computes");
    assert!(!stack.contains("computes_as_another"), "{stack}");

    stop.store(true, Ordering::Relaxed);
    deaf.join().expect("no panic");
    other.join().expect("no panic");
}

#[test]
fn nobody_asks_while_a_handler_that_was_given_up_goes_on() {
    let stop = Arc::new(AtomicBool::new(false));
    let its = Arc::clone(&stop);
    let (thread, id) = start(move || computes(&its));
    find(id, "tests::computes");
    // With the lock, we are the only one to ask.
    let lock = CAPTURE.lock();
    let generation = WORD.load(Ordering::Acquire) & !PHASE;
    WORD.store(generation | WRITING, Ordering::Release);
    assert!(ask(id, PLENTY).is_none());
    assert_eq!(WORD.load(Ordering::Acquire), generation | WRITING);
    // It comes to its end.
    WORD.store(generation | DONE, Ordering::Release);
    assert!(ask(id, PLENTY).is_some());
    drop(lock);
    stop.store(true, Ordering::Relaxed);
    thread.join().expect("no panic");
}

#[test]
fn a_thread_that_gets_the_signal_unasked_writes_nothing() {
    let id = crate::probe::id();
    assert!(capture(id, PLENTY).is_some(), "the handler is there");
    let lock = CAPTURE.lock();
    let before = WORD.load(Ordering::Acquire);
    TARGET.store(id, Ordering::Relaxed);
    for phase in [WRITING, DONE, IDLE] {
        let word = before & !PHASE | phase;
        WORD.store(word, Ordering::Release);
        assert!(send(id));
        assert_eq!(WORD.load(Ordering::Acquire), word);
    }
    drop(lock);
}

#[test]
fn a_capture_does_not_wait_for_another_one_for_ever() {
    let lock = CAPTURE.lock();
    let wait = Duration::from_millis(10);
    assert_eq!(capture(crate::probe::id(), wait), None);
    drop(lock);
}

#[test]
fn nobody_answers_for_a_thread_that_never_was() {
    for id in [u64::MAX, i32::MAX.unsigned_abs().into(), 0] {
        assert_eq!(capture(id, PLENTY), None, "{id}");
    }
}
