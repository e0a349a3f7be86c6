//! What another thread of this process is doing, as the system tells.
//!
//! The watchman asks of a poll that lasts for 2 ms or more: does its thread compute, or does it sleep in the kernel? And twenty times a second: is hardly
//! a core unused, and do threads wait for one? Linux tells in two files of `/proc/self/task/TID` and in `/proc/uptime` (proc(5)); elsewhere nothing is known.
//!
//! - `stat` has the *state*, one letter behind the thread's name: exact at the moment of the read. A thread that waits for a core
//!   counts as running. The name is not to be trusted: it may contain any byte, and one that was cut at the kernel's 15 bytes may end in
//!   the middle of a character.
//! - `schedstat` begins with the *CPU time* in nanoseconds. While the thread runs the kernel brings it up to date at its ticks and
//!   when the thread leaves its core, so it may be a tick late: up to 4.0 ms at 250 Hz, measured on a thread that spins. It never goes
//!   backwards. (`utime` and `stime` in `stat` come in steps of 10 ms.)
//!
//! - `uptime` ends with the time that cores were *idle*, all together, in steps of 10 ms.
//!
//! **Cost.** 7.5 µs for `stat`, 5 for `schedstat`, 6 for `uptime` (Linux 6.18, x86-64; an open and a read each), on the reactor thread: `uptime` while workers are awake, the others while a poll
//! lasts or hardly a core is unused; some 40 µs where workers have taken the caches meanwhile. Two short strings are allocated. Nothing is asked of the other thread, and nothing stops it.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

/// How much is read of a file: what is wanted is at its beginning. A name has at most 15 bytes, 30 when all are escaped.
const HEAD: usize = 128;

/// The system's identity of the calling thread; 0 where there is none.
pub(crate) fn id() -> u64 {
    #[cfg(target_os = "linux")]
    return rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
        .into();
    #[cfg(not(target_os = "linux"))]
    0
}

/// Whether the thread sleeps in the kernel. `None` where the system does not tell, and for a thread that has ended.
pub(crate) fn is_blocked(id: u64) -> Option<bool> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    sleeps(read(id, "stat", &mut [0; HEAD])?)
}

/// For how long the thread has run, and for how long it has waited for a core. `None` where the system does not tell, and for a thread that has ended.
pub(crate) fn core_time(id: u64) -> Option<(Duration, Duration)> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let mut head = [0; HEAD];
    let schedstat = read(id, "schedstat", &mut head)?;
    Some((nanos(schedstat, 0)?, nanos(schedstat, 1)?))
}

/// For how long the machine's cores have been unused, all together.
pub(crate) fn unused() -> Option<Duration> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    idle(read_file("/proc/uptime", &mut [0; HEAD])?)
}

/// The beginning of what the system tells in `file` about a thread.
fn read<'a>(id: u64, file: &str, head: &'a mut [u8; HEAD]) -> Option<&'a [u8]> {
    read_file(&format!("/proc/self/task/{id}/{file}"), head)
}

fn read_file<'a>(path: &str, head: &'a mut [u8; HEAD]) -> Option<&'a [u8]> {
    let mut file = File::open(path).ok()?;
    // One call: what the kernel has written of such a file it gives at once.
    let n = file.read(head).ok()?;
    Some(&head[..n])
}

/// What `stat` says: `TID (NAME) STATE …`, all numbers after the state.
fn sleeps(stat: &[u8]) -> Option<bool> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    match stat.get(name_end + 2)? {
        b'S' | b'D' => Some(true),
        b'R' => Some(false),
        // Stopped, traced or dead: it does neither.
        _ => None,
    }
}

/// What `schedstat` says: nanoseconds on a core, nanoseconds waiting for one, time slices.
fn nanos(schedstat: &[u8], which: usize) -> Option<Duration> {
    let nanos = schedstat.split(|&byte| byte == b' ').nth(which)?;
    Some(Duration::from_nanos(number(nanos)?))
}

/// What `uptime` says: seconds since the start, seconds that cores were idle, both with two decimals.
fn idle(uptime: &[u8]) -> Option<Duration> {
    let idle = uptime.trim_ascii_end().split(|&byte| byte == b' ').nth(1)?;
    let point = idle.iter().position(|&byte| byte == b'.')?;
    let (seconds, decimals) = (number(&idle[..point])?, &idle[point + 1..]);
    if decimals.len() != 2 {
        return None;
    }
    Some(Duration::from_secs(seconds) + Duration::from_millis(10 * number(decimals)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Instant;

    /// Asks until the answer is as expected; a thread needs a moment to get there.
    fn until(expected: impl Fn() -> bool) {
        let start = Instant::now();
        while !expected() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the state is never seen"
            );
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_that_waits_is_blocked() {
        let (tell, told) = mpsc::channel();
        let (release, wait) = mpsc::channel::<()>();
        // Cut at 15 bytes, in the middle of the last character.
        let builder = thread::Builder::new().name("ääääääää".into());
        let thread = builder
            .spawn(move || {
                tell.send(id()).expect("the test waits");
                let _ = wait.recv();
            })
            .expect("threads are left");
        let other = told.recv().expect("the thread tells");
        until(|| is_blocked(other) == Some(true));
        drop(release);
        thread.join().expect("no panic");
        until_gone(other);
    }

    /// The kernel forgets a thread a little after it was joined.
    fn until_gone(id: u64) {
        let start = Instant::now();
        while is_blocked(id).is_some() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "a thread that has ended is still seen"
            );
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_that_computes_uses_cpu_time() {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                tell.send(id()).expect("the test waits");
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        });
        let other = told.recv().expect("the thread tells");
        let ran = || core_time(other).expect("it runs").0;
        let before = ran();
        until(|| ran() > before + Duration::from_millis(5));
        until(|| is_blocked(other) == Some(false));
        stop.store(true, Ordering::Relaxed);
        thread.join().expect("no panic");
    }

    #[test]
    fn the_state_is_behind_a_name_of_any_bytes() {
        assert_eq!(sleeps(b"12 (a) R (b) S 1 2"), Some(true));
        assert_eq!(sleeps(b"12 (\xc3) D 1 2"), Some(true));
        assert_eq!(sleeps(b"12 (x) R 1 2"), Some(false));
        assert_eq!(sleeps(b"12 (x) Z 1 2"), None);
        assert_eq!(sleeps(b"12 (x)"), None);
        assert_eq!(sleeps(b"nonsense"), None);
    }

    #[test]
    fn the_cpu_time_is_the_first_number_and_the_wait_the_second() {
        let text = b"1500000000 7 8\n";
        assert_eq!(nanos(text, 0), Some(Duration::from_millis(1500)));
        assert_eq!(nanos(text, 1), Some(Duration::from_nanos(7)));
        assert_eq!(nanos(b"7\n", 0), None);
        assert_eq!(nanos(b"7 8\n", 2), None);
        assert_eq!(nanos(b"", 0), None);
    }

    #[test]
    fn the_idle_time_is_the_second_number_in_hundredths() {
        let idle = |text: &str| super::idle(text.as_bytes());
        assert_eq!(
            idle("1.00 60391.07\n"),
            Some(Duration::from_millis(60_391_070))
        );
        assert_eq!(idle("1.00 0.42\n"), Some(Duration::from_millis(420)));
        for nonsense in ["", "1.00", "1.00 7", "1.00 7.", "1.00 7.123", "1.00 -1.00"] {
            assert_eq!(idle(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn of_more_threads_than_cores_one_has_run_and_has_waited() {
        let stop = Arc::new(AtomicBool::new(false));
        // One more than there are cores: somebody has to wait.
        let threads = thread::available_parallelism().map_or(2, usize::from) + 1;
        let spin = || {
            let (stop, (tell, told)) = (Arc::clone(&stop), mpsc::channel());
            let thread = thread::spawn(move || {
                tell.send(id()).expect("the test waits");
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            (thread, told.recv().expect("the thread tells"))
        };
        let threads: Vec<_> = (0..threads).map(|_| spin()).collect();
        let (start, least) = (Instant::now(), Duration::from_millis(1));
        while !threads.iter().any(|(_, id)| {
            core_time(*id).is_some_and(|(ran, waited)| ran > least && waited > least)
        }) {
            assert!(start.elapsed() < Duration::from_secs(20), "nobody waits");
            thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        for (thread, _) in threads {
            thread.join().expect("no panic");
        }
        assert!(unused().expect("Linux tells") > Duration::ZERO);
    }
}
