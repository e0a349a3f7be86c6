//! `task::Builder`: named tasks of every kind.

use std::sync::mpsc;
use std::time::Duration;

use runtime::task::{Builder, JoinSet, LocalSet};
use runtime_tests::{LIMIT, Watchdog, child, multi_thread, on_each};

#[test]
fn named_tasks_run_like_others() {
    on_each(|| async {
        let task = Builder::new().name("greeter").spawn(async { 1 }).unwrap();
        assert_eq!(task.await.unwrap(), 1);
        let owned = String::from("made at run time");
        let task = Builder::new().name(&owned).spawn(async { 2 }).unwrap();
        drop(owned);
        assert_eq!(task.await.unwrap(), 2);
        let job = Builder::new().name("job").spawn_blocking(|| 3).unwrap();
        assert_eq!(job.await.unwrap(), 3);
        let unnamed = Builder::new().spawn(async { 4 }).unwrap();
        assert_eq!(unnamed.await.unwrap(), 4);
        LocalSet::new()
            .run_until(async {
                let local = Builder::new()
                    .name("local")
                    .spawn_local(async { 5 })
                    .unwrap();
                assert_eq!(local.await.unwrap(), 5);
            })
            .await;
        let mut set = JoinSet::new();
        set.build_task().name("member").spawn(async { 6 }).unwrap();
        assert_eq!(set.join_next().await.unwrap().unwrap(), 6);
    });
}

#[test]
fn a_name_is_given_through_a_handle_too() {
    let _watchdog = Watchdog::new(LIMIT);
    let runtime = multi_thread(1);
    let task = Builder::new()
        .name("from outside")
        .spawn_on(async { 1 }, runtime.handle())
        .unwrap();
    assert_eq!(runtime.block_on(task).unwrap(), 1);
}

#[test]
fn the_report_of_a_stuck_task_says_its_name() {
    let body = || {
        let runtime = multi_thread(1);
        let (running, is_running) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let _entered = runtime.enter();
        Builder::new()
            .name("sticky")
            .spawn(async move {
                running.send(()).unwrap();
                let _ = released.recv_timeout(LIMIT);
            })
            .unwrap();
        is_running.recv().unwrap();
        drop(_entered);
        runtime.shutdown_timeout(Duration::from_millis(50));
        drop(release);
    };
    if let Some(mut child) = child::start("the_report_of_a_stuck_task_says_its_name", body) {
        let errors = child.succeeds();
        assert!(errors.contains("sticky"), "no name in {errors:?}");
    }
}
