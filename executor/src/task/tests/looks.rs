//! Looking at tasks from outside: by their word, by the list, and what is remembered of them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use super::*;

/// A bit that the queue's `polled` does not set.
const MARK: u8 = 1 << 7;

/// What is told of the task `id`.
fn told(bench: &Bench, id: Id) -> Option<TaskInfo> {
    let mut told = None;
    bench.owned.for_each(|task| {
        if task.id == id {
            assert!(told.is_none(), "told once");
            told = Some(task);
        }
    });
    told
}

#[test]
fn a_word_finds_its_task_while_that_is_polled() {
    let bench = bench();
    let queue = bench.queue.clone();
    let word = Arc::new(AtomicU64::new(Place::NONE.0));
    let published = word.clone();
    let here = Location::caller();
    let future = poll_fn(move |_| {
        let word = published.load(SeqCst);
        let seen = queue.owned.find(word, |task| {
            task.add_conduct(MARK);
            let name = task.name().map(String::from);
            (task.id(), name, task.location(), task.phase(), task.word())
        });
        let (id, name, location, phase, now) = seen.expect("this task");
        assert_eq!((Some(id), name.as_deref()), (try_id(), Some("sought")));
        assert_eq!((location, phase), (here, Phase::Running));
        assert!(Place(now).is_same(Place(word)));
        assert_eq!(Place(now).conduct() & MARK, MARK);
        Poll::<()>::Pending
    });
    let meta = Meta::new(here).name("sought");
    let (handle, runnable) = bench.owned.bind(future, meta, 1);
    let runnable = runnable.expect("the list is open");
    word.store(runnable.word(), SeqCst);
    let find = || bench.owned.find(word.load(SeqCst), |task| task.id());
    assert_eq!(find(), None, "it is scheduled");
    assert_eq!(runnable.run(), Polled::Pending);
    assert_eq!(find(), None, "it waits");
    let info = told(&bench, handle.id()).expect("it lives");
    assert_eq!(info.conduct(), MARK | 1, "both changes have been made");
    handle.abort();
    let (runnable, _) = bench.pop().expect("aborted");
    assert!(runnable.is_cancelled());
    assert_eq!(runnable.run(), Polled::Cancelled);
    assert_eq!(find(), None, "it is gone");
}

#[test]
fn what_is_no_word_finds_nothing() {
    let bench = bench();
    let tasks: Vec<_> = (0..10).map(|_| bench.spawn(pending::<()>())).collect();
    let good = bench.pop().expect("spawned").0.word();
    let (job, runnable) = job(|| (), Meta::new(Location::caller()));
    for word in [
        Place::NONE.0,
        Place::ROOT.0,
        runnable.word(),
        // Beyond the places, beyond the shards, and in another shard.
        good + 100,
        good | 0xFF << 32,
        good ^ 1 << 32,
        // Another task at this place.
        good ^ 1 << 63,
    ] {
        let mut seen = false;
        bench.owned.find(word, |_| seen = true);
        bench.owned.sample(word, Duration::from_secs(1), 0);
        assert!(!seen, "{word:x}");
    }
    for task in &tasks {
        let polls = told(&bench, task.id()).map(|task| task.sampled_polls);
        assert!(matches!(polls, None | Some(0)));
    }
    assert!(!Place::NONE.is_same(Place::ROOT) && Place::ROOT.is_same(Place::ROOT));
    drop((runnable, job));
}

#[test]
fn the_next_task_at_a_place_is_not_taken_for_the_former() {
    let bench = bench();
    let former = Arc::new(AtomicU64::new(Place::NONE.0));
    for _ in 0..100 {
        let (queue, former_word) = (bench.queue.clone(), former.clone());
        let handle = bench.spawn(async move {
            let found = queue.owned.find(former_word.load(SeqCst), |task| task.id());
            assert_eq!(found, None);
        });
        let (runnable, _) = bench.pop().expect("spawned");
        let before = former.load(SeqCst);
        if before != Place::NONE.0 {
            assert_eq!(
                before as u32,
                runnable.word() as u32,
                "the place is the same"
            );
        }
        let word = runnable.word();
        assert_eq!(runnable.run(), Polled::Completed);
        former.store(word, SeqCst);
        now(handle).unwrap();
    }
}

#[test]
fn marks_and_the_reason_leave_each_other_alone() {
    let bench = bench();
    let (handle, runnable) = bench
        .owned
        .bind(pending::<()>(), Meta::new(Location::caller()), 2);
    let runnable = runnable.expect("the list is open");
    runnable.add_conduct(u8::MAX);
    runnable.remove_conduct(0x0F);
    assert_eq!(runnable.conduct(), 0xF0);
    assert!(!runnable.is_cancelled());
    runnable.cancel(Reason::NoThread);
    let error = now(handle).unwrap_err();
    assert!(error.to_string().contains("could not start one"));

    let handle = bench.spawn(pending::<()>());
    let (runnable, _) = bench.pop().expect("spawned");
    runnable.add_conduct(u8::MAX);
    drop(runnable);
    let error = now(handle).unwrap_err();
    assert!(!error.to_string().contains("could not start one"));
}

#[test]
fn samples_add_up_in_any_phase() {
    let bench = bench();
    let handle = bench.spawn(pending::<()>());
    let (runnable, _) = bench.pop().expect("spawned");
    let word = runnable.word();
    let sampled = || {
        let task = told(&bench, handle.id()).expect("it lives");
        (task.sampled_polls, task.sampled_busy)
    };
    assert_eq!(sampled(), (0, Duration::ZERO));
    bench.owned.sample(word, Duration::from_micros(30), 7);
    runnable.run();
    bench.owned.sample(word, Duration::from_micros(12), 8);
    assert_eq!(sampled(), (2, Duration::from_micros(42)));
    bench.owned.sample(word, Duration::MAX, 9);
    let (polls, busy) = sampled();
    assert_eq!(polls, 3);
    assert!(busy > Duration::from_secs(8_000_000), "its end: {busy:?}");
}

#[test]
fn polls_of_less_than_a_microsecond_count_on_average() {
    let bench = bench();
    let handle = bench.spawn(pending::<()>());
    let word = bench.pop().expect("spawned").0;
    let mut random = Random::new(0x1357_9BDF_0246_8ACE);
    let times = if cfg!(miri) { 1_000 } else { 200_000 };
    for _ in 0..times {
        bench
            .owned
            .sample(word.word(), Duration::from_nanos(300), random.next());
    }
    let task = told(&bench, handle.id()).expect("it lives");
    let polls = task.sampled_polls as f64 / f64::from(times);
    let busy = task.sampled_busy.as_secs_f64() * 1e9 / 300.0 / f64::from(times);
    // Six standard deviations of a single counter.
    let bound = if cfg!(miri) { 0.3 } else { 0.08 };
    assert!((polls - 1.0).abs() < bound, "{polls}");
    assert!((busy - 1.0).abs() < bound, "{busy}");
}

#[test]
fn a_task_is_born_when_the_scheduler_says_so() {
    let bench = bench();
    let handle = bench.spawn(pending::<()>());
    let (runnable, _) = bench.pop().expect("spawned");
    let age = || told(&bench, handle.id()).expect("it lives").age;
    assert_eq!(age(), None);
    let before = Instant::now();
    runnable.set_born();
    let born = age().expect("born");
    assert!(born <= before.elapsed() + Duration::from_millis(16));
    runnable.run();
    while age() < Some(Duration::from_millis(32)) {
        std::thread::yield_now();
    }
    assert!(
        before.elapsed() > Duration::from_millis(16),
        "an age is right to 16 ms"
    );
}

#[test]
fn each_task_is_told_once_and_outside_of_locks() {
    let bench = bench();
    // Several batches in each shard, with gaps; the queue spawns into one shard, so into all by hand.
    let mut handles: Vec<_> = (0..2000)
        .map(|hint| {
            let meta = Meta::new(Location::caller()).name(format!("number {hint}"));
            let (handle, runnable) = bench.owned.bind(pending::<()>(), meta, hint);
            runnable.expect("the list is open").run();
            handle
        })
        .collect();
    let mut i = 0;
    handles.retain(|handle| {
        i += 1;
        if i % 3 == 0 {
            handle.abort();
        }
        i % 3 != 0
    });
    bench.drain();
    let mut told = HashMap::new();
    let mut spawned = HashSet::new();
    bench.owned.for_each(|task| {
        // What may be done only outside of locks: spawn into each of them, and end tasks.
        for hint in 0..4 {
            let (handle, runnable) =
                bench
                    .owned
                    .bind(async {}, Meta::new(Location::caller()), hint);
            spawned.insert(handle.id());
            runnable.expect("the list is open").run();
        }
        let before = told.insert(task.id, (task.name, task.phase));
        assert!(before.is_none(), "told twice");
    });
    told.retain(|id, _| !spawned.contains(id));
    assert_eq!(told.len(), handles.len());
    for handle in &handles {
        let (name, phase) = &told[&handle.id()];
        assert!(
            name.as_ref()
                .is_some_and(|name| name.starts_with("number "))
        );
        assert_eq!(*phase, Phase::Idle);
    }
}

/// Says `true` when it goes, also in a panic.
struct SayAtTheEnd<'a>(&'a AtomicBool);

impl Drop for SayAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Two threads run short tasks and publish their words; a third looks them up, marks them and notes samples.
#[test]
fn threads_look_while_tasks_come_and_go() {
    let queue = Queue::new();
    let slots = [(); 2].map(|()| AtomicU64::new(Place::NONE.0));
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for place in &slots {
            scope.spawn(|| {
                while !enough.load(SeqCst) {
                    let meta = Meta::new(Location::caller()).name("short");
                    let (handle, runnable) = queue.owned.bind(async { 5 }, meta, 0);
                    let runnable = runnable.expect("the list is open");
                    place.store(runnable.word(), SeqCst);
                    assert_eq!(runnable.run(), Polled::Completed);
                    assert_eq!(now(handle).unwrap(), 5);
                }
            });
        }
        let _over = SayAtTheEnd(&enough);
        let mut found = 0;
        while found < MANY / 100 + 1 {
            for place in &slots {
                let word = place.load(SeqCst);
                let seen = queue.owned.find(word, |task| {
                    task.add_conduct(MARK);
                    assert_eq!(task.name(), Some("short"));
                    (task.id(), task.word())
                });
                queue.owned.sample(word, Duration::from_micros(1), 1);
                let Some((id, now)) = seen else { continue };
                found += 1;
                assert!(Place(now).is_same(Place(word)));
                assert_eq!(
                    id.as_u64() % 128,
                    word >> 57,
                    "the task that had the word, or the 128th after it"
                );
            }
        }
    });
    queue.shutdown();
}
