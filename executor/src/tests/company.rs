//! A guest that is handed events, and runs what they wake.

use super::*;

/// A [`ThreadPark`] that hands one guest wakers, as a driver does that has gathered events.
#[derive(Debug)]
struct Eventful {
    park: ThreadPark,
    /// The slot of the guest.
    guest: usize,
    wakers: Mutex<Vec<Waker>>,
    keeps_company: AtomicBool,
    passed_on: AtomicUsize,
}

impl Eventful {
    /// An event for all who wait for these gates.
    fn open(&self, gates: &[Arc<Gate>]) {
        for gate in gates {
            gate.is_open.store(true, SeqCst);
            self.wakers.lock().extend(gate.waiter.lock().take());
        }
        self.unpark(self.guest);
    }
}

impl Park for Eventful {
    fn adopt(&self, slot: usize) {
        self.park.adopt(slot);
    }

    fn park(&self, slot: usize) -> Gathered {
        let _ = self.park.park(slot);
        if slot == self.guest && !self.wakers.lock().is_empty() {
            Gathered::Something
        } else {
            Gathered::Nothing
        }
    }

    fn look(&self, slot: usize) -> Gathered {
        self.park.look(slot)
    }

    fn dispatch(&self, _slot: usize) -> usize {
        let wakers = std::mem::take(&mut *self.wakers.lock());
        wakers.into_iter().map(Waker::wake).count()
    }

    fn unpark(&self, slot: usize) {
        self.park.unpark(slot);
    }

    fn passed_on(&self, slot: usize) {
        assert_eq!(slot, self.guest);
        self.passed_on.fetch_add(1, SeqCst);
    }

    fn keeps_company(&self, slot: usize) -> bool {
        slot == self.guest && self.keeps_company.load(SeqCst)
    }
}

fn start() -> (Executor, Arc<Eventful>) {
    let config = config(Flavor::MultiThread, 1);
    let park = Arc::new(Eventful {
        park: ThreadPark::new(config.slots()),
        guest: config.guest_slots().start,
        wakers: Mutex::default(),
        keeps_company: AtomicBool::new(true),
        passed_on: AtomicUsize::new(0),
    });
    let handle = Handle::start(config, Arc::clone(&park) as Arc<dyn Park>);
    let executor = Executor {
        handle: handle.expect("threads can be started"),
        closed: Arc::default(),
    };
    (executor, park)
}

/// Tasks that wait for a gate each and say on which thread they were polled then; they wait by now.
fn waiting_tasks(count: usize) -> (Vec<Arc<Gate>>, Vec<JoinHandle<thread::ThreadId>>) {
    let gates: Vec<_> = (0..count).map(|_| Gate::new()).collect();
    let waits = |gate: &Arc<Gate>| {
        let gate = Arc::clone(gate);
        spawn(async move {
            gate.wait().await;
            thread::current().id()
        })
    };
    let tasks = gates.iter().map(waits).collect();
    spin_until(|| gates.iter().all(|gate| gate.has_waiter()));
    (gates, tasks)
}

/// An event wakes so many tasks at once; returns how many of them were polled at home, most of `rounds` times.
fn at_home(executor: &Executor, park: &Eventful, tasks: usize, rounds: usize) -> usize {
    let home = thread::current().id();
    let round = |_| {
        executor.block_on(async {
            let (gates, tasks) = waiting_tasks(tasks);
            park.open(&gates);
            let mut here = 0;
            for task in tasks {
                here += usize::from(task.await.expect("no panic") == home);
            }
            here
        })
    };
    (0..rounds).map(round).max().expect("some rounds")
}

// A worker that has not yet gone to sleep may be faster than the guest: not always, though.

#[test]
fn a_guest_that_keeps_company_runs_a_task_that_its_event_woke() {
    watched(|| {
        let (executor, park) = start();
        while at_home(&executor, &park, 1, 1) == 0 {}
        // Later ones as well: how many it may keep is counted for each event.
        while at_home(&executor, &park, 1, 1) == 0 {}
        while at_home(&executor, &park, 2, 1) != 2 {}
    });
}

#[test]
fn a_guest_that_keeps_no_company_runs_none() {
    watched(|| {
        let (executor, park) = start();
        park.keeps_company.store(false, SeqCst);
        assert_eq!(at_home(&executor, &park, 1, rounds(500)), 0);
        assert!(park.passed_on.load(SeqCst) > 0);
    });
}

#[test]
fn of_many_tasks_that_an_event_woke_a_guest_keeps_two() {
    watched(|| {
        let (executor, park) = start();
        assert!(at_home(&executor, &park, 5, rounds(200)) <= 2);
        while at_home(&executor, &park, 5, 1) != 2 {}
        assert!(park.passed_on.load(SeqCst) > 0);
    });
}

#[test]
fn what_a_guest_keeps_comes_before_its_root() {
    watched(|| {
        let (executor, park) = start();
        let came_first = |_: &usize| {
            executor.block_on(async {
                let (mut gates, mut tasks) = waiting_tasks(1);
                let task = tasks.pop().expect("one task");
                let done = Gate::new();
                // The root is woken first.
                gates.insert(0, Arc::clone(&done));
                poll_fn(|cx| {
                    if done.is_open.load(SeqCst) {
                        return Poll::Ready(task.is_finished());
                    }
                    *done.waiter.lock() = Some(cx.waker().clone());
                    park.open(&gates);
                    Poll::Pending
                })
                .await
            })
        };
        // Unless a worker has taken it, and is not done yet.
        let rounds = rounds(400);
        let first = (0..rounds).filter(came_first).count();
        assert!(first > rounds / 2, "{first} of {rounds}");
    });
}
