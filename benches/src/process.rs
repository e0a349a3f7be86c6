//! What the kernel says of a process: CPU time, memory, context switches; and the time for several.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Returns the CPU time that all threads of this process have used.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).expect("CPU time is positive"),
        u32::try_from(time.tv_nsec).expect("below one second"),
    )
}

/// Returns the CPU time that all threads of a process have used: to the nanosecond for this one, to 10 ms for another one.
pub fn cpu_time_of(pid: u32) -> Duration {
    if pid == std::process::id() {
        return cpu_time();
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is alive");
    // What follows the name in parentheses: state, then fields 4 and up; 14 and 15 are user and system time.
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let steps = fields.split_whitespace().skip(11).take(2);
    let steps: u64 = steps.filter_map(|field| field.parse::<u64>().ok()).sum();
    // `USER_HZ` is 100 on Linux.
    Duration::from_millis(steps * 10)
}

/// Returns the monotonic clock in microseconds; all processes of the machine see the same.
pub fn monotonic_micros() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Returns the resident memory of this process in bytes, counted page by page: the counters in `/proc/self/status` are
/// summed up for each CPU only now and then.
pub fn resident_bytes() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has /proc");
    let kibibytes = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .expect("the kernel says how much is resident");
    kibibytes * 1024
}

/// Allows this process as many open files as it may have, and returns how many.
pub fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Where it fails, it stays as it is.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.map_or(usize::MAX, |count| count as usize)
}

/// Returns the CPUs that this thread may use.
pub fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(None).expect("a thread may ask about itself");
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .collect()
}

/// Binds this thread to a CPU, with all threads and processes that it starts from now on.
pub fn bind_to_cpu(cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).expect("the CPU is one of those allowed");
}

/// How often each thread of a process has been switched, voluntarily or not.
#[derive(Debug)]
pub struct Switches(HashMap<OsString, u64>);

impl Switches {
    /// Reads the counters of a process's threads.
    pub fn of(pid: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is alive");
        let count = |thread: &DirEntry| {
            let status = fs::read_to_string(thread.path().join("status")).ok()?;
            let counters = status
                .lines()
                .filter(|line| line.contains("ctxt_switches:"));
            Some(
                counters
                    .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                    .sum(),
            )
        };
        Self(
            threads
                .flatten()
                .filter_map(|thread| Some((thread.file_name(), count(&thread)?)))
                .collect(),
        )
    }

    /// Returns how many switches there have been since `earlier`; a thread that has ended since
    /// counts as one.
    pub fn since(&self, earlier: &Self) -> u64 {
        let ended = earlier
            .0
            .keys()
            .filter(|thread| !self.0.contains_key(*thread))
            .count();
        let switched = |(thread, now): (&OsString, &u64)| now - earlier.0.get(thread).unwrap_or(&0);
        ended as u64 + self.0.iter().map(switched).sum::<u64>()
    }
}
