//! What the kernel tells about this process: threads, descriptors, context switches, limits.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Returns the number of threads of this process.
pub fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("procfs").count()
}

/// Returns the names of all threads of this process.
pub fn thread_names() -> Vec<String> {
    fs::read_dir("/proc/self/task")
        .expect("procfs")
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

/// Returns the number of open descriptors of this process.
pub fn descriptors() -> usize {
    // The directory that is being read is one of them.
    fs::read_dir("/proc/self/fd").expect("procfs").count() - 1
}

/// Returns the number of context switches, voluntary or not, of each thread but the caller.
pub fn context_switches() -> BTreeMap<String, u64> {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut switches = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/task").expect("procfs").flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else {
            continue;
        };
        if id == own {
            continue;
        }
        let number = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let name = status.lines().next().unwrap_or_default();
        let count = status
            .lines()
            .filter(|line| line.contains("ctxt_switches"))
            .filter_map(number)
            .sum();
        switches.insert(format!("{id} {name}"), count);
    }
    switches
}

/// Returns the CPU time that this process has used.
pub fn cpu_time() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::new(
        u64::try_from(time.tv_sec).expect("not negative"),
        u32::try_from(time.tv_nsec).expect("below a second"),
    )
}

/// Returns the size of this process' address space in bytes, what is only reserved included.
pub fn address_space() -> u64 {
    from_status("VmSize:")
}

/// Returns how many bytes of private memory this process may write to: heap and stacks.
pub fn private_memory() -> u64 {
    from_status("VmData:")
}

/// Returns the bytes that the kernel states under `name`.
fn from_status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let kibibytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
        .expect("a process has a size");
    kibibytes * 1024
}

/// Sets the soft limit of `resource`.
pub fn limit(resource: Resource, soft: u64) {
    let mut limits = getrlimit(resource);
    limits.current = Some(soft);
    setrlimit(resource, limits).expect("a soft limit may be lowered");
}

/// Opens files until the process has no descriptor left, and returns them.
///
/// Lowers the soft limit first, so that this is quick.
pub fn exhaust_descriptors() -> Vec<File> {
    limit(Resource::Nofile, 128);
    let mut files = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => {
                assert!(is_too_many_files(&error), "{error}");
                return files;
            }
        }
    }
}

/// Returns whether `error` says that this process has too many open files.
pub fn is_too_many_files(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error())
}

/// Waits until all other threads of this process are asleep in the kernel.
pub fn wait_for_others_to_sleep() {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let is_awake = |thread: std::io::Result<std::fs::DirEntry>| {
        let thread = thread.expect("a thread's folder");
        // One that ends meanwhile is not awake.
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state is behind the name, which is in parentheses (proc_pid_stat(5)).
        let is_asleep = stat
            .rsplit(')')
            .next()
            .is_none_or(|rest| rest.starts_with(" S"));
        thread.file_name() != *own && !stat.is_empty() && !is_asleep
    };
    while std::fs::read_dir("/proc/self/task")
        .expect("our threads")
        .any(is_awake)
    {
        std::thread::yield_now();
    }
}
