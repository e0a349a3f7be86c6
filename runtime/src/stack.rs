//! The stack of another thread of this process, while it computes or blocks.
//!
//! A signal is the only way to make a thread look at its own stack. So the thread that asks sends one, the handler walks the stack of the thread it
//! interrupts and leaves the addresses in a static place, and the one that asked gives them names.
//!
//! # Protocol
//!
//! One word holds a *generation* and a *phase*. A capture, under a lock, so that there is one at a time:
//!
//! 1. *Idle*, or the word of a handler that never ended? then give up. Store the target, move the word to *asked* with a new generation.
//! 2. Send the signal to the target. An error means that the thread has ended.
//! 3. Wait for *done*, some milliseconds at most. Nobody came (the thread blocks signals, or is not scheduled): take the question back, with a
//!    compare-exchange from *asked* to *idle*. If that fails the handler has begun: wait on for its end, but not for ever.
//! 4. Read the addresses, move the word to *idle*, and only now, outside of any handler, allocate and look for names.
//!
//! The handler: is this the target? Move the word from *asked* to *writing*; if that fails, nobody asks (any more). Walk, store the addresses, move the word to
//! *done*. It takes no lock, allocates nothing, and makes no system call but `gettid`.
//!
//! *A late handler*, after the question was taken back, finds the word idle or of another generation for another target, and does nothing. *A handler that is not scheduled
//! for so long that the capture gives up* leaves the word at *writing*: further captures give up at step 1 until it has come to its end.
//!
//! # Invariants of the unsafe code
//!
//! - **S1.** The handler does only what a signal handler may do: atomics, `gettid`, and the walk. The walk (`_Unwind_Backtrace` of libgcc) finds the tables of each
//!   object through `_dl_find_object` (glibc 2.35 and later), which takes no lock. It was called once before the handler was installed, so nothing is set up in the handler.
//! - **S2.** `trace_unsynchronized` must not run in two threads at a time: the walk is between *asked → writing* and *done*, and only one thread makes that step.
//! - **S3.** What is shared with the handler is atomic; there is no data race however late it runs.
//!
//! **The signal** is `SIGURG`, as in Go: its default is to be ignored, programs hardly use it, and libraries expect it at any time. It is installed through `signal-hook`, beside handlers
//! that are there already, with `SA_RESTART`: system calls of the stuck thread go on, but for those that never restart (`poll`, `epoll_wait`, `nanosleep`; signal(7)),
//! which std repeats.
//!
//! **Names** need debug information in the binary, at least `debug = "line-tables-only"`; without it there are names of functions, in a stripped binary addresses only.

#![allow(unsafe_code)]

use parking_lot::Mutex;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The signal.
const SIGNAL: i32 = libc::SIGURG;
/// How many frames are kept. What is deeper is hardly the culprit.
const FRAMES: usize = 64;
/// How many of them are shown.
const SHOWN: usize = 32;
/// How long a handler that has begun may take until it is given up.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often the one that asks looks for the answer.
const LOOK: Duration = Duration::from_micros(50);

/// Phases, in the low bits of the word.
const IDLE: u64 = 0;
const ASKED: u64 = 1;
const WRITING: u64 = 2;
const DONE: u64 = 3;
const PHASE: u64 = 3;

/// Generation and phase.
static WORD: AtomicU64 = AtomicU64::new(IDLE);
/// The thread that is asked.
static TARGET: AtomicU64 = AtomicU64::new(0);
/// How many addresses there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// The addresses, innermost first.
static ADDRESSES: [AtomicUsize; FRAMES] = [const { AtomicUsize::new(0) }; FRAMES];
/// Whether the handler is there; and the lock of step 1.
static CAPTURE: Mutex<Installed> = Mutex::new(Installed::NotYet);

/// What is known of the handler.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Installed {
    /// It has not been tried.
    NotYet,
    /// It is there.
    Yes,
    /// The system refused.
    Refused,
}

/// Describes the stack of the thread with the system's identity `id`, one line a frame, the innermost first; waits at most `wait` for it to answer.
///
/// `None` if the thread has ended, does not answer, or cannot be asked.
pub(crate) fn capture(id: u64, wait: Duration) -> Option<String> {
    let mut installed = CAPTURE.lock();
    if *installed == Installed::NotYet {
        *installed = install();
    }
    if *installed == Installed::Refused {
        return None;
    }
    let addresses = ask(id, wait)?;
    drop(installed);
    Some(describe(&addresses))
}

fn install() -> Installed {
    // Whatever the walk sets up, it sets up here.
    // SAFETY: no other thread walks: the handler is not there yet, and we hold the lock (S2).
    unsafe { backtrace::trace_unsynchronized(|_| true) };
    // SAFETY: the handler does only what a handler may do (S1).
    let registered = unsafe { signal_hook::low_level::register(SIGNAL, handle) };
    match registered {
        Ok(_) => Installed::Yes,
        Err(_) => Installed::Refused,
    }
}

/// The handler.
fn handle() {
    let word = WORD.load(Ordering::Acquire);
    // Relaxed: stored before the word that was just loaded.
    if word & PHASE != ASKED || TARGET.load(Ordering::Relaxed) != crate::probe::id() {
        return;
    }
    let writing = word & !PHASE | WRITING;
    // Ordering: Acquire pairs with the Release of step 1; who fails here touches nothing.
    if WORD
        .compare_exchange(word, writing, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        return;
    }
    let mut count = 0;
    let mut keep = |frame: &backtrace::Frame| {
        // Relaxed: published by the word.
        ADDRESSES[count].store(frame.ip().addr(), Ordering::Relaxed);
        count += 1;
        count < FRAMES
    };
    // SAFETY: we have made the step to WRITING, so no other thread walks (S2); no lock is taken (S1).
    unsafe { backtrace::trace_unsynchronized(&mut keep) };
    COUNT.store(count, Ordering::Relaxed);
    // Ordering: Release pairs with the Acquire in `ask`: the addresses are there.
    WORD.store(writing & !PHASE | DONE, Ordering::Release);
}

/// Steps 1 to 4, as far as they need the lock, which the caller holds.
fn ask(id: u64, wait: Duration) -> Option<Vec<usize>> {
    // Step 1. Acquire: a late handler has ended.
    let before = WORD.load(Ordering::Acquire);
    if before & PHASE == WRITING {
        return None;
    }
    TARGET.store(id, Ordering::Relaxed);
    let generation = (before & !PHASE).wrapping_add(PHASE + 1);
    // Ordering: Release pairs with the Acquire in the handler: the target is there.
    WORD.store(generation | ASKED, Ordering::Release);
    // Step 2.
    if !send(id) {
        WORD.store(generation | IDLE, Ordering::Release);
        return None;
    }
    // Step 3.
    let start = Instant::now();
    while WORD.load(Ordering::Acquire) != generation | DONE {
        let waited = start.elapsed();
        let taken_back = waited >= wait
            && WORD
                .compare_exchange(
                    generation | ASKED,
                    generation | IDLE,
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .is_ok();
        if taken_back || waited >= wait + PATIENCE {
            return None;
        }
        std::thread::sleep(LOOK);
    }
    // Step 4. Relaxed: published by the word.
    let count = COUNT.load(Ordering::Relaxed).min(FRAMES);
    let addresses = ADDRESSES[..count].iter();
    let addresses = addresses
        .map(|address| address.load(Ordering::Relaxed))
        .collect();
    WORD.store(generation | IDLE, Ordering::Release);
    Some(addresses)
}

/// Sends the signal to a thread of this process; `false` if there is none of that identity.
fn send(id: u64) -> bool {
    let Ok(id) = i32::try_from(id) else {
        return false;
    };
    let process = std::process::id().cast_signed();
    // SAFETY: the call takes three numbers; whatever they are, it does no more than send a signal, which is handled or ignored.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, id, SIGNAL) };
    sent == 0
}

/// Names the frames: not those of the handler, and not those below the runtime's own start of a poll.
fn describe(addresses: &[usize]) -> String {
    let mut frames = Vec::new();
    for &address in addresses {
        // The address is the one to return to: the call is before it.
        let ip = std::ptr::without_provenance_mut(address.saturating_sub(1));
        let before = frames.len();
        backtrace::resolve(ip, |symbol| {
            let name = symbol.name().map(|name| format!("{name:#}"));
            let place = symbol
                .filename()
                .map(|file| (file.to_owned(), symbol.lineno()));
            frames.push((name, place));
        });
        if frames.len() == before {
            frames.push((Some(format!("{address:#x}")), None));
        }
    }
    let is_ours = |name: &Option<String>| {
        name.as_deref().is_some_and(|name| {
            name.starts_with("runtime::stack::handle")
                || name.starts_with("signal_hook")
                || name.starts_with("backtrace::")
                || name == "__restore_rt"
        })
    };
    // The handler was called in the middle of the user's code: what is above the trampoline is the capture itself.
    let first = frames
        .iter()
        .rposition(|(name, _)| is_ours(name))
        .map_or(0, |at| at + 1);
    let polls = |name: &Option<String>| {
        name.as_deref().is_some_and(|name| {
            name.starts_with("executor::")
                || name.starts_with("<executor::")
                || name.starts_with("std::panic")
        })
    };
    let mine = &frames[first..];
    let last = mine
        .iter()
        .position(|(name, _)| polls(name))
        .unwrap_or(mine.len());
    // A thread that is stuck in the runtime itself shows all of it.
    let shown = if last == 0 { mine } else { &mine[..last] };
    let mut text = String::new();
    for (number, (name, place)) in shown.iter().take(SHOWN).enumerate() {
        let name = name.as_deref().unwrap_or("?");
        let _ = write!(text, "{number:4}: {name}");
        if let Some((file, line)) = place {
            let _ = write!(text, " at {}", file.display());
            if let Some(line) = line {
                let _ = write!(text, ":{line}");
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, mpsc};
    use std::thread;

    /// Starts a thread that tells its identity and then runs `body`; asks for its stack until `function` is in it.
    fn finds(function: &str, body: impl FnOnce() + Send + 'static, end: impl FnOnce()) {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            tell.send(crate::probe::id()).expect("the test waits");
            body();
        });
        let id = told.recv().expect("the thread tells");
        let start = Instant::now();
        loop {
            let stack = capture(id, Duration::from_secs(1)).unwrap_or_default();
            if stack.contains(function) {
                break;
            }
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{function} is not in:\n{stack}"
            );
        }
        end();
        thread.join().expect("no panic");
        // The kernel forgets it a little later.
        let start = Instant::now();
        while capture(id, Duration::from_millis(10)).is_some() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "a thread that has ended answers"
            );
        }
    }

    #[inline(never)]
    fn blocks_in_a_read(mut pipe: impl Read) {
        let mut byte = [0];
        let _ = std::hint::black_box(pipe.read(&mut byte));
    }

    #[test]
    fn a_read_of_a_pipe() {
        let (read, write) = std::io::pipe().expect("descriptors are left");
        finds(
            "blocks_in_a_read",
            move || blocks_in_a_read(read),
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
            "computes",
            move || assert!(computes(&its) > 0),
            move || stop.store(true, Ordering::Relaxed),
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
            "waits_for_a_lock",
            move || waits_for_a_lock(&its),
            move || drop(held),
        );
    }

    #[test]
    fn a_thousand_captures_disturb_nobody() {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                tell.send(crate::probe::id()).expect("the test waits");
                let mut rounds = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let texts: Vec<String> = (0..64).map(|n| format!("{n}")).collect();
                    assert_eq!(texts.concat().len(), 10 + 2 * 54);
                    rounds += 1;
                }
                rounds
            }
        });
        let id = told.recv().expect("the thread tells");
        let answered = (0..1_000)
            .filter(|_| capture(id, Duration::from_secs(1)).is_some())
            .count();
        stop.store(true, Ordering::Relaxed);
        assert!(thread.join().expect("no panic") > 0);
        assert_eq!(answered, 1_000);
    }

    #[test]
    fn nobody_answers_for_a_thread_that_never_was() {
        assert_eq!(capture(u64::MAX, Duration::from_millis(10)), None);
        assert_eq!(capture(0, Duration::from_millis(10)), None);
    }
}
