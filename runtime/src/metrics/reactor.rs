//! I/O, in numbers.

/// What I/O there was; see [`RuntimeMetrics::reactor`](super::RuntimeMetrics::reactor).
///
/// # Examples
///
/// ```
/// # runtime::block_on(async {
/// let metrics = runtime::Handle::current().metrics();
/// let reactor = metrics.reactor();
/// assert!(reactor.sources() as u64 <= reactor.registrations());
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct ReactorMetrics(pub(super) reactor::Metrics);

impl ReactorMetrics {
    /// Returns how often anybody asked the system for events, whether it had to wait for them or only looked. Each is a
    /// system call.
    ///
    /// *High beside the events*: waits are cut short, by other threads that have work (see
    /// [`interrupts`](ReactorMetrics::interrupts)), or by timers.
    pub fn turns(&self) -> u64 {
        self.turns_by_workers() + self.turns_by_reactor_thread()
    }

    /// Returns how many of the turns were those of workers, guests and spares.
    pub fn turns_by_workers(&self) -> u64 {
        self.0.slot_turns
    }

    /// Returns how many of the turns were those of the reactor thread.
    ///
    /// *High*: it steps in when every worker is busy or stuck. Each such event pays for a change of threads; look at
    /// [`WorkerMetrics::busy`](super::WorkerMetrics::busy) and [`TaskMetrics::poll_time`](super::TaskMetrics::poll_time).
    pub fn turns_by_reactor_thread(&self) -> u64 {
        self.0.thread_turns
    }

    /// Returns how many events the system has reported.
    ///
    /// *Events divided by turns* is how many come at a time: the more, the cheaper each is, and the busier the runtime.
    pub fn events(&self) -> u64 {
        self.0.events
    }

    /// Returns how often a wait for events was cut short because the thread was needed for something else. Each is a
    /// system call.
    ///
    /// *High*: threads outside the runtime, or the pool for blocking work, wake tasks one by one while the workers
    /// sleep.
    pub fn interrupts(&self) -> u64 {
        self.0.interrupts
    }

    /// Returns how many descriptors were registered, in all: sockets, pipes, signals.
    ///
    /// *Growing fast*: connections are short. Keep them alive, if you can: each costs several system calls.
    pub fn registrations(&self) -> u64 {
        self.0.registered
    }

    /// Returns how many descriptors were registered at that moment.
    ///
    /// *Growing for ever*: sockets are not closed. Compare it with the limit of open files (`ulimit -n`).
    pub fn sources(&self) -> usize {
        self.0.sources
    }
}
