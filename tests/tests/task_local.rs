//! `task_local!`: values bound to a future, whichever thread polls it.

use std::cell::Cell;

use runtime::task::yield_now;
use runtime_tests::{message_of_panic, on_each, on_multi_thread};

runtime::task_local! {
    static NUMBER: u32;
    static COUNTER: Cell<u32>;
    static NAME: String;
}

#[test]
fn a_value_is_cloned_or_missing() {
    on_each(|| async {
        assert!(NAME.try_get().is_err());
        let task = NAME.scope("ada".into(), async { (NAME.get(), NAME.try_get()) });
        assert_eq!(task.await, ("ada".to_owned(), Ok("ada".to_owned())));
    });
}

#[test]
fn a_value_is_seen_within_its_scope_only() {
    on_each(|| async {
        assert!(NUMBER.try_with(|_| ()).is_err());
        NUMBER
            .scope(1, async {
                assert_eq!(NUMBER.get(), 1);
                NUMBER
                    .scope(2, async {
                        yield_now().await;
                        assert_eq!(NUMBER.with(|number| *number), 2);
                    })
                    .await;
                assert_eq!(NUMBER.get(), 1);
            })
            .await;
        let error = NUMBER.try_with(|_| ()).unwrap_err();
        assert!(error.to_string().contains("task-local"), "{error}");
    });
}

#[test]
fn tasks_see_their_own_values_across_awaits() {
    on_multi_thread(async {
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                runtime::spawn(NUMBER.scope(number, async move {
                    for _ in 0..20 {
                        assert_eq!(NUMBER.get(), number);
                        yield_now().await;
                    }
                }))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_spawned_task_does_not_inherit() {
    on_each(|| async {
        NUMBER
            .scope(1, async {
                let inherits = runtime::spawn(async { NUMBER.try_with(|_| ()).is_ok() });
                assert!(!inherits.await.unwrap());
            })
            .await;
    });
}

#[test]
fn values_may_have_interior_mutability_and_be_taken_back() {
    on_each(|| async {
        let mut counted = Box::pin(COUNTER.scope(Cell::new(0), async {
            for _ in 0..5 {
                COUNTER.with(|counter| counter.set(counter.get() + 1));
                yield_now().await;
            }
        }));
        counted.as_mut().await;
        let value = counted.as_mut().take_value().expect("it is still there");
        assert_eq!(value.get(), 5);
    });
}

#[test]
fn a_sync_scope_ends_with_its_closure_even_by_panic() {
    assert_eq!(NUMBER.sync_scope(3, || NUMBER.get()), 3);
    message_of_panic(|| NUMBER.sync_scope(4, || panic!("inside")));
    assert!(NUMBER.try_with(|_| ()).is_err());
}

#[test]
fn access_outside_of_any_scope_panics() {
    let message = message_of_panic(|| NUMBER.get());
    assert!(message.contains("task-local"), "{message}");
}

#[test]
fn the_value_is_seen_while_the_future_is_dropped() {
    struct Looks(std::sync::mpsc::Sender<Option<u32>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.send(NUMBER.try_with(|number| *number).ok()).unwrap();
        }
    }
    on_each(|| async {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (started, has_started) = runtime::sync::oneshot::channel();
        let task = runtime::spawn(NUMBER.scope(5, async move {
            let _looks = Looks(sender);
            started.send(()).unwrap();
            std::future::pending::<()>().await;
        }));
        has_started.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(receiver.recv().unwrap(), Some(5));
    });
}
