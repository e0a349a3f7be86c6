//! What another thread of this process is doing, as the system tells.
//!
//! The watchman asks, when a poll has stood still for a millisecond or more: does the thread compute, or does it sleep in the kernel? Linux says so in
//! `/proc/self/task/TID/stat` (proc(5): the state letter after the name) and in `schedstat` (the CPU time in nanoseconds, which the kernel brings up to
//! date at each of its ticks, 1 to 4 ms, while the thread runs). Elsewhere nothing is known.
//!
//! **Cost.** Two small files, some 20 µs together, on the reactor thread, and only while something stands still. There is no precise clock
//! of another thread to be had without unsafe code.

use std::time::Duration;

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

/// The CPU time of the thread, and whether it sleeps in the kernel. `None` where the system does not tell, and for a thread that has ended.
pub(crate) fn usage(id: u64) -> Option<(Duration, bool)> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let read = |file| std::fs::read_to_string(format!("/proc/self/task/{id}/{file}")).ok();
    let is_blocked = is_blocked(&read("stat")?)?;
    let nanos = read("schedstat")?.split(' ').next()?.parse().ok()?;
    Some((Duration::from_nanos(nanos), is_blocked))
}

/// What a `stat` file says of its thread.
fn is_blocked(stat: &str) -> Option<bool> {
    // The name comes before, in parentheses, and may itself contain any character.
    let (_, rest) = stat.rsplit_once(") ")?;
    match rest.chars().next()? {
        'S' | 'D' => Some(true),
        'R' => Some(false),
        // Stopped, traced or dead: it does neither.
        _ => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Instant;

    /// Asks until the answer is as expected; a thread needs a moment to get there.
    fn until(expected: impl Fn((Duration, bool)) -> bool, id: u64) {
        let start = Instant::now();
        while !usage(id).is_some_and(&expected) {
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
        let thread = thread::spawn(move || {
            tell.send(id()).expect("the test waits");
            let _ = wait.recv();
        });
        let other = told.recv().expect("the thread tells");
        until(|(_, blocked)| blocked, other);
        drop(release);
        thread.join().expect("no panic");
        until_gone(other);
    }

    /// The kernel forgets a thread a little after it was joined.
    fn until_gone(id: u64) {
        let start = Instant::now();
        while usage(id).is_some() {
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
        let (before, _) = usage(other).expect("it runs");
        until(
            |(cpu, blocked)| !blocked && cpu > before + Duration::from_millis(5),
            other,
        );
        stop.store(true, Ordering::Relaxed);
        thread.join().expect("no panic");
    }

    #[test]
    fn the_name_of_a_thread_may_be_anything() {
        assert_eq!(is_blocked("12 (a) R (b) S 1 2"), Some(true));
        assert_eq!(is_blocked("12 (x) R 1 2"), Some(false));
        assert_eq!(is_blocked("12 (x) Z 1 2"), None);
        assert_eq!(is_blocked("nonsense"), None);
    }
}
