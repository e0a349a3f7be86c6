//! The stack of another thread of this process, while it computes or blocks.
//!
//! Only a signal makes a thread stop in the middle of anything and tell where it is. So the thread that asks sends one; the handler leaves a *snapshot*
//! in a static place, the registers and what lies on the stack; and the one that asked walks it ([`unwind`]) and gives the frames names ([`names`]).
//!
//! **Why the handler does not walk.** A walk believes the tables that the compiler made, and they are not right everywhere: for functions written
//! in assembly, for the last instructions of an exception's landing. A walk on the stack itself then reads wherever it is led. Tried first, with
//! `_Unwind_Backtrace` of libgcc 12 in the handler: a crash within 20,000 captures of a thread that raises exceptions all the time. A walk
//! over a copy ends where it would leave the copy; 100,000 captures of the same thread did no harm. Nor does the handler need a lock
//! that the stuck thread may hold.
//!
//! # Protocol
//!
//! One word holds a *generation* and a *phase*. A capture, under a lock, so that there is one at a time:
//!
//! 1. Is the word at *writing*, of a handler that has not come to its end? Then give up. Store the target, and move the word to *asked* with
//!    a new generation.
//! 2. Send the signal to the target. An error means that the thread has ended: move the word to *idle*.
//! 3. Wait for *done*. If nobody comes in time (the thread blocks signals, or waits for a core), or the thread has ended, which then leaves the signal to
//!    nobody, take the question back, with a compare-exchange from *asked* to *idle*. If that fails the handler has begun: wait on for its end, but not for ever.
//! 4. Copy the snapshot, move the word to *idle*, and walk.
//!
//! The handler: is the word at *asked*, and this the target? Move it to *writing*; if that fails, nobody asks (any more). Store the registers and the stack,
//! move the word to *done*.
//!
//! - *A late handler*, after the question was taken back, finds the word idle, or asked for another target; or it loaded an earlier
//!   generation, and the compare-exchange fails. It writes nothing. If the next question is for the same thread, it answers that one.
//! - *A handler that takes so long that the capture gives up* (its thread has lost its core) leaves the word at *writing*: captures give
//!   up at step 1 until it has come to its end.
//! - *A thread that ends* between two captures may pass its identity on to a new one, whose stack is then told: who asks must check
//!   afterwards that what it asked about still lasts.
//! - *After a fork* the child may find the lock held for ever: it is waited for no longer than for an answer.
//!
//! # Invariants of the unsafe code
//!
//! - **S1.** The handler does only what a signal handler may do at any point of a program: atomics, three system calls (`gettid`, `getpid`,
//!   `process_vm_readv`), and it leaves `errno` as it was. It takes no lock, allocates nothing, and cannot panic.
//! - **S2.** What is shared with the handler is atomic: there is no data race however late it runs. Who moves the word from *asked* to
//!   *writing* is alone with the snapshot until *done*.
//! - **S3.** The stack is read by the kernel (`process_vm_readv`), which stops where no memory is, and it is read from nothing but the copy afterwards.
//! - **S4.** What the loader tells of an object holds until its callback returns: it keeps its lock for so long, and nothing is unloaded.
//!
//! # What the program notices
//!
//! **The signal** is `SIGURG`, as in Go: its default is to be ignored, so a stray one harms nobody, and programs hardly use it. The handler is installed
//! with the first capture, for good. If the program has one already, it is left alone and there are no captures; if it installs one later
//! that does not call ours, captures find nobody.
//!
//! **System calls** of the stuck thread go on after the handler (`SA_RESTART`), but for those that never do: `poll`, `select`, `epoll_wait`,
//! `nanosleep`, waits with a time-out on a socket, and some more (signal(7)) return `EINTR`. `std` repeats its own; so must code that calls them itself,
//! as for any signal.
//!
//! **Cost.** The stuck thread is held up for some 40 µs, a fifth of it for 64 KiB of stack. Who asks has the snapshot after 90 µs (it looks for it in growing
//! steps, from 20 µs to 1 ms), and has walked it some 25 µs later. The names of the first stack take much longer, 150 ms for a small
//! program and more where `backtrace` is not optimised: the debug information is read, and kept; then 0.1 ms. (Linux 6.18, x86-64, 2 cores, release build.)
//!
//! **Limits.** Linux on x86-64. A function without unwinding tables ends the walk, as does code that was compiled at run time. A sandbox that forbids
//! `process_vm_readv` leaves no captures.

#![allow(unsafe_code)]

mod names;
mod objects;
#[cfg(test)]
mod tests;
mod unwind;

use parking_lot::Mutex;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use unwind::{PC, REGISTERS, SP, Snapshot};

/// The signal.
const SIGNAL: i32 = libc::SIGURG;
/// How much of a stack is looked at, in words: 64 KiB. The frames that matter are the innermost; those of unoptimised code can be large.
const WORDS: usize = 8 * 1024;
/// How much the kernel reads at once, at least: a page of the smallest size.
const PAGE: usize = 4096;
/// The pages on which the words lie, if they do not begin with one.
const PAGES: usize = WORDS * size_of::<u64>() / PAGE + 1;
/// How long a handler that has begun may take until it is given up: some time slices of a busy machine.
const PATIENCE: Duration = Duration::from_millis(100);
/// After what time the one that asks first looks for an answer, and at most how long it sleeps between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(1));

/// Phases, in the low bits of the word: nobody asks.
const IDLE: u64 = 0;
/// The target is to answer.
const ASKED: u64 = 1;
/// A handler writes its snapshot.
const WRITING: u64 = 2;
/// The snapshot is there.
const DONE: u64 = 3;
/// The bits of the phase; the generation is above.
const PHASE: u64 = 3;

/// Generation and phase. Written by the one that asks, who holds the lock, and by the handler of the target.
static WORD: AtomicU64 = AtomicU64::new(IDLE);
/// The thread that is asked; written with each question.
static TARGET: AtomicU64 = AtomicU64::new(0);
/// The registers, by their numbers in the tables ([`unwind`]); written by the handler.
static SAVED: [AtomicU64; REGISTERS] = [const { AtomicU64::new(0) }; REGISTERS];
/// How many words of the stack there are; written by the handler.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// The words, from the stack pointer upwards; written by the handler.
static STACK: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
/// Whoever asks holds it.
static CAPTURE: Mutex<Installed> = Mutex::new(Installed::NotYet);

/// What is known of the handler.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Installed {
    /// It has not been tried.
    NotYet,
    /// It is there.
    Yes,
    /// The signal is the program's, or the system refused.
    Refused,
}

/// Describes the stack of the thread with the system's identity `id`, one line a frame, the innermost first; waits at most `wait` for it to answer.
///
/// `None` if the thread has ended, does not answer, or cannot be asked; or if what it was asked about does not last (`lasts`) when it has answered.
pub(crate) fn capture(id: u64, wait: Duration, lasts: &dyn Fn() -> bool) -> Option<String> {
    let snapshot = snapshot(id, wait).filter(|_| lasts())?;
    Some(names::describe(&unwind::walk(&snapshot)))
}

/// What the thread has on its stack, with the lock and the handler that it takes to ask for it.
fn snapshot(id: u64, wait: Duration) -> Option<Snapshot> {
    let mut installed = CAPTURE.try_lock_for(wait)?;
    if *installed == Installed::NotYet {
        *installed = install();
    }
    match *installed {
        Installed::Yes => ask(id, wait),
        Installed::NotYet | Installed::Refused => None,
    }
}

/// Puts the handler in place, if the program has none.
fn install() -> Installed {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer changes nothing; the other one is to memory for the answer.
    if unsafe { libc::sigaction(SIGNAL, ptr::null(), before.as_mut_ptr()) } != 0 {
        return Installed::Refused;
    }
    // SAFETY: it was zeroed, then filled by the call; a structure of numbers and an optional function may be either.
    let before = unsafe { before.assume_init() };
    if before.sa_sigaction != libc::SIG_DFL && before.sa_sigaction != libc::SIG_IGN {
        return Installed::Refused;
    }
    // Zeroed: no signal is blocked meanwhile. On the alternative stack, if the thread has one: its own may be used up.
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = handle;
    let flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: as for `before`.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = flags;
    // SAFETY: the first pointer is to an action whose handler has the arguments that SA_SIGINFO promises it, and does only what a handler
    // may do (S1); the second may be null.
    match unsafe { libc::sigaction(SIGNAL, action, ptr::null_mut()) } {
        0 => Installed::Yes,
        _ => Installed::Refused,
    }
}

/// The handler.
extern "C" fn handle(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // Ordering: Acquire pairs with the Release of step 1: the target is that of this generation, or a later one.
    let word = WORD.load(Ordering::Acquire);
    // Relaxed: stored before the word. If it is that of a later question, the step to WRITING fails.
    if word & PHASE != ASKED || TARGET.load(Ordering::Relaxed) != crate::probe::id() {
        return;
    }
    let writing = word & !PHASE | WRITING;
    // Ordering: Acquire pairs with the Release of step 1, too: our stores come after the last reads of the snapshot before. Relaxed
    // on failure: we touch nothing.
    if WORD
        .compare_exchange(word, writing, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        return;
    }
    save_registers(context.cast());
    // Relaxed: this thread has just stored it.
    let from = SAVED[SP].load(Ordering::Relaxed);
    let count = save_stack(usize::try_from(from).unwrap_or(0));
    // Relaxed: published by the word.
    COUNT.store(count, Ordering::Relaxed);
    // Ordering: Release pairs with the Acquire in `ask`: the snapshot is there.
    WORD.store(writing & !PHASE | DONE, Ordering::Release);
}

/// Stores the registers that the thread had when it was interrupted; the kernel has put them into the handler's argument.
fn save_registers(context: *const libc::ucontext_t) {
    // SAFETY: the handler's third argument points to such a context, as the handler was installed with SA_SIGINFO.
    let registers = unsafe { (*context).uc_mcontext.gregs };
    // In the order of the System V ABI for x86-64, figure 3.36; the last is the return address, here where the thread is.
    let order = [
        libc::REG_RAX,
        libc::REG_RDX,
        libc::REG_RCX,
        libc::REG_RBX,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_RBP,
        libc::REG_RSP,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
        libc::REG_RIP,
    ];
    const { assert!(SP == 7 && PC == 16 && REGISTERS == 17) };
    for (saved, which) in SAVED.iter().zip(order) {
        let value = usize::try_from(which)
            .ok()
            .and_then(|which| registers.get(which));
        // Relaxed: published by the word.
        saved.store(
            value.map_or(0, |value| value.cast_unsigned()),
            Ordering::Relaxed,
        );
    }
}

/// Stores the stack from the address `from` upwards, and returns how many words of it there are.
fn save_stack(from: usize) -> usize {
    let size = size_of_val(&STACK);
    let to = libc::iovec {
        iov_base: STACK.as_ptr().cast_mut().cast(),
        iov_len: size,
    };
    // Page by page: where no memory is, the kernel reads none of a piece.
    let mut pieces = [libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    }; PAGES];
    let mut at = from;
    let end = from.saturating_add(size);
    for piece in &mut pieces {
        let next = (at / PAGE + 1).saturating_mul(PAGE).min(end);
        piece.iov_base = ptr::without_provenance_mut(at);
        piece.iov_len = next - at;
        at = next;
    }
    let process = std::process::id().cast_signed();
    // SAFETY: the call answers for every thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it points to the variable of this thread.
    let before = unsafe { *errno };
    // SAFETY: the first piece is memory of atomics, which we alone write (S2). What the others point to is the kernel's business (S3).
    let read = unsafe {
        libc::process_vm_readv(process, &raw const to, 1, pieces.as_ptr(), PAGES as u64, 0)
    };
    // SAFETY: as above.
    unsafe { *errno = before };
    usize::try_from(read).unwrap_or(0) / size_of::<u64>()
}

/// Steps 1 to 4, as far as they need the lock, which the caller holds.
fn ask(id: u64, wait: Duration) -> Option<Snapshot> {
    // Step 1.
    // Ordering: Acquire pairs with the Release at the end of the handler, if one was given up: it has made its last store.
    let before = WORD.load(Ordering::Acquire);
    if before & PHASE == WRITING {
        return None;
    }
    // Relaxed: published by the word.
    TARGET.store(id, Ordering::Relaxed);
    let generation = (before & !PHASE).wrapping_add(PHASE + 1);
    // Ordering: Release pairs with the Acquires in the handler: the target is there, and we have read the snapshot before.
    WORD.store(generation | ASKED, Ordering::Release);
    let take_back = || {
        // Relaxed: nothing goes with it.
        let (relaxed, asked) = (Ordering::Relaxed, generation | ASKED);
        WORD.compare_exchange(asked, generation | IDLE, relaxed, relaxed)
            .is_ok()
    };
    // Step 2.
    if !send(id) {
        // If it fails, a handler that an earlier question left behind answers; nobody reads it.
        take_back();
        return None;
    }
    // Step 3.
    let start = Instant::now();
    let (mut pause, longest) = LOOKS;
    // Ordering: Acquire pairs with the Release at the end of the handler: the snapshot is there.
    while WORD.load(Ordering::Acquire) != generation | DONE {
        let waited = start.elapsed();
        let is_over = waited >= wait || !exists(id);
        if is_over && (take_back() || waited >= wait + PATIENCE) {
            return None;
        }
        // The handler could wake us with a system call of its own; it is to do as little as possible, and we are in no hurry.
        thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
    // Step 4. Relaxed: published by the word.
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    let count = COUNT.load(Ordering::Relaxed).min(WORDS);
    let snapshot = Snapshot {
        registers: SAVED.each_ref().map(load),
        stack: STACK[..count].iter().map(load).collect(),
    };
    // Relaxed: only who holds the lock asks again, and step 1 releases our reads.
    WORD.store(generation | IDLE, Ordering::Relaxed);
    // Without any of it, the kernel has not let us read.
    (count > 0).then_some(snapshot)
}

/// Sends the signal to a thread of this process; `false` if there is none of that identity.
fn send(id: u64) -> bool {
    send_number(id, SIGNAL)
}

/// Whether there is a thread of that identity in this process.
fn exists(id: u64) -> bool {
    // Zero is no signal (kill(2)).
    send_number(id, 0)
}

fn send_number(id: u64, signal: i32) -> bool {
    let Ok(id) = i32::try_from(id) else {
        return false;
    };
    let process = std::process::id().cast_signed();
    // SAFETY: the call takes three numbers; whatever they are, it does no more than send a signal to a thread of this process, which
    // handles or ignores it.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, id, signal) };
    sent == 0
}
