//! A guest that is handed events, and runs what they wake.

use super::*;

/// A [`ThreadPark`] that hands one guest wakers, as a driver does that has gathered events.
#[derive(Debug)]
struct Eventful {
    park: ThreadPark,
    /// The slot of the guest.
    guest: usize,
    wakers: Mutex<Vec<Waker>>,
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

    fn passed_on(&self) {
        self.passed_on.fetch_add(1, SeqCst);
    }
}

fn start() -> (Executor, Arc<Eventful>) {
    let config = config(Flavor::MultiThread, 1);
    let park = Arc::new(Eventful {
        park: ThreadPark::new(config.slots()),
        guest: config.guest_slots().start,
        wakers: Mutex::default(),
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

#[test]
fn a_guest_runs_a_task_that_its_event_woke() {
    watched(|| {
        let (executor, park) = start();
        let home = thread::current().id();
        // A worker that has not yet gone to sleep may be faster: not always, though.
        let ran_here = (0..100_000).any(|_| {
            executor.block_on(async {
                let (gates, tasks) = waiting_tasks(1);
                park.open(&gates);
                let mut ran_on = None;
                for task in tasks {
                    ran_on = Some(task.await.expect("no panic"));
                }
                ran_on == Some(home)
            })
        });
        assert!(ran_here, "the guest left them all to the worker");
    });
}

#[test]
fn of_many_tasks_that_an_event_woke_a_guest_keeps_two() {
    watched(|| {
        let (executor, park) = start();
        let home = thread::current().id();
        for _ in 0..rounds(200) {
            let passed_on = park.passed_on.load(SeqCst);
            executor.block_on(async {
                let (gates, tasks) = waiting_tasks(5);
                park.open(&gates);
                let mut here = 0;
                for task in tasks {
                    here += usize::from(task.await.expect("no panic") == home);
                }
                assert!(here <= 2, "{here} of 5 at home");
            });
            assert!(park.passed_on.load(SeqCst) > passed_on);
        }
    });
}

#[test]
fn what_a_guest_keeps_is_run_by_a_worker_if_its_root_is_ready() {
    watched(|| {
        let (executor, park) = start();
        for _ in 0..rounds(500) {
            let (mut tasks, done) = executor.block_on(async {
                let (mut gates, tasks) = waiting_tasks(1);
                let done = Gate::new();
                // The task first, so that it is kept when the root is woken.
                gates.push(Arc::clone(&done));
                let mut is_open = false;
                poll_fn(|cx| {
                    if std::mem::replace(&mut is_open, true) {
                        return Poll::Ready(());
                    }
                    *done.waiter.lock() = Some(cx.waker().clone());
                    park.open(&gates);
                    Poll::Pending
                })
                .await;
                (tasks, done)
            });
            assert!(done.is_open.load(SeqCst));
            let task = tasks.pop().expect("one task");
            spin_until(|| task.is_finished());
        }
    });
}
