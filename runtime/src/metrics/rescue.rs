//! Tasks that do not give way, in numbers.

/// What was noticed of tasks that do not give way, and what was done about it; see [`RuntimeMetrics::rescue`](super::RuntimeMetrics::rescue).
///
/// See [`Builder::rescue`](crate::Builder::rescue) for what a rescue is.
///
/// # Examples
///
/// ```
/// # runtime::block_on(async {
/// let metrics = runtime::Handle::current().metrics();
/// if metrics.rescue().rescues() > 0 {
///     println!("some task computes or blocks for milliseconds: {:?}", metrics.rescue());
/// }
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct RescueMetrics {
    /// See [`slow_polls`](RescueMetrics::slow_polls).
    pub(super) slow_polls: u64,
    /// See [`unreported`](RescueMetrics::unreported).
    pub(super) unreported: u64,
    /// See [`rescues`](RescueMetrics::rescues).
    pub(super) rescues: u64,
    /// See [`stuck_workers`](RescueMetrics::stuck_workers).
    pub(super) stuck: usize,
    /// See [`spares_started`](RescueMetrics::spares_started).
    pub(super) spares_started: u64,
    /// See [`active_spares`](RescueMetrics::active_spares).
    pub(super) spares_active: usize,
    /// See [`lane_marks`](RescueMetrics::lane_marks).
    pub(super) lane_marks: u64,
    /// See [`lane_returns`](RescueMetrics::lane_returns).
    pub(super) lane_returns: u64,
    /// See [`lane_polls`](RescueMetrics::lane_polls).
    pub(super) lane_polls: u64,
    /// See [`lane_threads`](RescueMetrics::lane_threads).
    pub(super) lane_threads: usize,
    /// See [`lane_depth`](RescueMetrics::lane_depth).
    pub(super) lane_depth: usize,
}

impl RescueMetrics {
    /// Returns how many polls lasted for [`slow_poll_threshold`](crate::Builder::slow_poll_threshold) or longer.
    ///
    /// *Above zero*: the reports on standard error, or to [`on_slow_poll`](crate::Builder::on_slow_poll), name the
    /// tasks.
    pub fn slow_polls(&self) -> u64 {
        self.slow_polls
    }

    /// Returns how many of the slow polls were not reported, because there were too many at a time.
    pub fn unreported(&self) -> u64 {
        self.unreported
    }

    /// Returns how often a worker was found stuck, that is inside one poll for
    /// [`rescue_threshold`](crate::Builder::rescue_threshold) or longer.
    ///
    /// *Growing*: new tasks block or compute all the time. Each is caught once and then polled in the hog lane; what
    /// the catching costs (some ms of one worker) is saved by [`spawn_blocking`](crate::task::spawn_blocking) in the
    /// first place. On a machine with less CPU time than threads that want it, a worker may look stuck because another
    /// process has its core.
    pub fn rescues(&self) -> u64 {
        self.rescues
    }

    /// Returns how many workers were stuck and did not count as workers any more.
    ///
    /// *At [`rescue_spares`](crate::Builder::rescue_spares)*: no more of them are replaced. Find out what they wait
    /// for: [`Handle::tasks`](crate::Handle::tasks) says which tasks run, and for how long.
    pub fn stuck_workers(&self) -> usize {
        self.stuck
    }

    /// Returns how many threads were started to stand in for a worker that was stuck or called
    /// [`block_in_place`](crate::task::block_in_place). They wait for the next such case for as long as a thread of the
    /// blocking pool does.
    pub fn spares_started(&self) -> u64 {
        self.spares_started
    }

    /// Returns how many spare threads stood in for a worker.
    pub fn active_spares(&self) -> usize {
        self.spares_active
    }

    /// Returns how often a task was sent to the hog lane.
    pub fn lane_marks(&self) -> u64 {
        self.lane_marks
    }

    /// Returns how often a task came back from the hog lane, after some short polls in a row.
    ///
    /// *As high as [`lane_marks`](RescueMetrics::lane_marks), and growing*: tasks are now short, now long. Let the long
    /// part run on [`spawn_blocking`](crate::task::spawn_blocking).
    pub fn lane_returns(&self) -> u64 {
        self.lane_returns
    }

    /// Returns how many polls there were in the hog lane.
    pub fn lane_polls(&self) -> u64 {
        self.lane_polls
    }

    /// Returns how many threads the hog lane had.
    ///
    /// *Above [`hog_lane`](crate::Builder::hog_lane)*: so many of its tasks block, rather than compute.
    pub fn lane_threads(&self) -> usize {
        self.lane_threads
    }

    /// Returns how many tasks waited in the hog lane.
    ///
    /// *High*: the hogs want more CPU time than there is. They wait for each other, nobody else does.
    pub fn lane_depth(&self) -> usize {
        self.lane_depth
    }
}
