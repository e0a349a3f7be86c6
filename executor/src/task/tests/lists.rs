//! The lists of live tasks: who is in them, what they tell of each, and their places.

use super::*;

#[test]
fn a_closed_list_drops_the_future_and_the_handle_tells() {
    let bench = bench();
    bench.owned.close();
    let drops = Arc::new(AtomicUsize::new(0));
    let bomb = Bomb {
        drops: drops.clone(),
        is_live: false,
    };
    let (handle, runnable) =
        bench
            .owned
            .bind(async move { drop(bomb) }, Meta::new(Location::caller()), 0);
    assert!(runnable.is_none());
    assert_eq!(drops.load(SeqCst), 1);
    let error = now(handle).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("task {} was cancelled", error.id())
    );
}

#[test]
fn ids_are_unique_across_threads() {
    let threads: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(|| (0..1000).map(|_| Id::next()).collect::<Vec<_>>()))
        .collect();
    let mut all: Vec<Id> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4000);
}

#[test]
fn names_places_and_phases_are_listed() {
    let bench = bench();
    let here = Location::caller();
    let (waiting, runnable) = bench
        .owned
        .bind(pending::<()>(), Meta::new(here).name("waits"), 0);
    let runnable = runnable.expect("the list is open");
    assert_eq!(
        (runnable.name(), runnable.location()),
        (Some("waits"), here)
    );
    assert!(format!("{runnable:?}").contains("waits"));
    runnable.run();
    let queued = bench.spawn(async {});
    let inner = bench.queue.clone();
    let running = bench.spawn(async move {
        let mut seen = Vec::new();
        inner
            .owned
            .for_each(|task| seen.push((task.id, task.name.map(String::from), task.phase)));
        seen.sort();
        seen
    });
    bench.push(bench.pop().expect("queued").0);
    bench.run();
    let mut expected = vec![
        (waiting.id(), Some("waits".to_owned()), Phase::Idle),
        (queued.id(), None, Phase::Scheduled),
        (running.id(), None, Phase::Running),
    ];
    expected.sort();
    assert_eq!(now(running).unwrap(), expected);
}

#[test]
fn places_are_reused_and_given_back() {
    let bench = bench();
    for round in 0..3 {
        let handles: Vec<_> = (0..5000)
            .map(|i| bench.spawn(async move { i + round }))
            .collect();
        assert_eq!(bench.owned.len(), 5000);
        // End every second one, then bring new ones, then end all.
        let (even, odd): (Vec<_>, Vec<_>) = handles
            .into_iter()
            .enumerate()
            .partition(|(i, _)| i % 2 == 0);
        even.iter().for_each(|(_, handle)| handle.abort());
        let more: Vec<_> = (0..100).map(|i| bench.spawn(async move { i })).collect();
        bench.drain();
        assert!(bench.owned.is_empty());
        assert!(
            odd.into_iter()
                .all(|(i, handle)| now(handle).unwrap() == i + round)
        );
        assert!(
            more.into_iter()
                .enumerate()
                .all(|(i, handle)| now(handle).unwrap() == i)
        );
    }
}
