//! Races about the thread inside `block_on` (`block_on.rs`, `guest.rs`, `current_thread.rs`).

use super::*;

/// The guest is about to park when its root is woken from another thread.
#[test]
fn root_wake_vs_guest_parks() {
    explore(50, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let other = beside(move || gate.open());
        executor.handle.block_on(awaited.wait());
        other.join().expect("no panic");
        executor.end();
    });
}

/// The root sends a task a message and waits for the answer, while guest and worker both may run that task.
#[test]
fn guest_runs_task_vs_worker() {
    explore(30, || {
        let executor = Executor::new(1);
        let (question, answer) = (Gate::new(), Gate::new());
        let (asked, answered) = (Arc::clone(&question), Arc::clone(&answer));
        let task = executor.spawn(async move {
            asked.wait().await;
            answered.open();
        });
        executor.handle.block_on(async {
            yield_now().await;
            question.open();
            answer.wait().await;
            task.await.expect("no panic");
        });
        executor.end();
    });
}

/// A root leaves two tasks in its deque, and what is not taken from there goes to the injector, while a worker looks everywhere and parks.
#[test]
fn root_spawns_vs_last_park() {
    explore(80, || {
        let executor = Executor::new(1);
        executor.handle.block_on(async {
            let tasks = [(); 2].map(|()| executor.spawn(async {}));
            for task in tasks {
                task.await.expect("no panic");
            }
        });
        executor.end();
    });
}

/// A guest keeps a task that its event has woken, and does not say so, while a worker looks for work, finds it or parks.
#[test]
fn guest_keeps_task_vs_thief() {
    explore(60, || {
        let executor = Executor::new(1);
        executor.handle.block_on(async {
            let gate = Gate::new();
            let awaited = Arc::clone(&gate);
            let task = executor.spawn(async move { awaited.wait().await });
            yield_now().await;
            executor.open_by_event(&gate, executor.park.guest);
            task.await.expect("no panic");
        });
        executor.end();
    });
}

/// A root waits for a task that never ends, and the executor is shut down: the thread leaves its slot and goes on without one.
#[test]
fn root_leaves_slot_vs_shutdown() {
    explore(40, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let handle = executor.handle.clone();
        let other = beside(move || handle.block_on(awaited.wait()));
        executor.handle.shutdown(None);
        gate.open();
        other.join().expect("no panic");
        executor.end();
    });
}

/// A root is woken while its thread leaves its slot, for the executor ends, and with it the place where it sleeps.
#[test]
fn root_wake_vs_slot_left() {
    explore(30, || {
        let executor = Executor::new(1);
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let handle = executor.handle.clone();
        let root = beside(move || handle.block_on(awaited.wait()));
        let other = beside(move || gate.open());
        executor.handle.shutdown(None);
        other.join().expect("no panic");
        root.join().expect("no panic");
        executor.ended();
    });
}

/// A root is woken while its thread takes a slot, and with it another place to sleep.
#[test]
fn root_wake_vs_slot_taken() {
    explore(40, || {
        let executor = Executor::new(1);
        let gates = [Gate::new(), Gate::new()];
        let awaited = gates.clone();
        let other = beside(move || gates.iter().for_each(|gate| gate.open()));
        let [first, second] = awaited;
        // There is one slot for guests: one of the two has none.
        let handle = executor.handle.clone();
        let another = beside(move || handle.block_on(first.wait()));
        executor.handle.block_on(second.wait());
        another.join().expect("no panic");
        other.join().expect("no panic");
        executor.end();
    });
}

fn current_thread() -> Executor {
    Executor::start(Config {
        flavor: Flavor::CurrentThread,
        rescue: None,
        ..config(1)
    })
}

/// The thread that has the only slot leaves, and another that wants it is about to sleep.
#[test]
fn seat_passed_vs_seeker_parks() {
    explore(60, || {
        let executor = current_thread();
        let gate = Gate::new();
        let opened = Arc::clone(&gate);
        // Nobody runs it but the one who has the slot.
        let task = executor.spawn(async move { opened.open() });
        let handle = executor.handle.clone();
        // It runs no task, for its root is ready at once.
        let other = beside(move || handle.block_on(async {}));
        executor.handle.block_on(async {
            gate.wait().await;
            task.await.expect("no panic");
        });
        other.join().expect("no panic");
        executor.end();
    });
}

/// A task is woken while the only thread that runs tasks leaves: the next one finds it.
#[test]
fn wake_vs_root_leaves() {
    explore(60, || {
        let executor = current_thread();
        let gate = Gate::new();
        let awaited = Arc::clone(&gate);
        let task = executor.spawn(async move { awaited.wait().await });
        let other = beside(move || gate.open());
        executor.handle.block_on(yield_now());
        executor.handle.block_on(task).expect("no panic");
        other.join().expect("no panic");
        executor.end();
    });
}
