//! `select!`, `join!`, `try_join!` and `pin!`.

use std::cell::{Cell, RefCell};
use std::future::{IntoFuture, Ready, pending, poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use runtime::sync::{mpsc, oneshot};
use runtime::{join, pin, select, try_join};

/// Yields `times` times, then returns `value`.
async fn after<T>(times: usize, value: T) -> T {
    for _ in 0..times {
        runtime::task::yield_now().await;
    }
    value
}

/// Writes its name down when it is dropped.
struct Dropped<'a>(&'static str, &'a RefCell<Vec<&'static str>>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

/// No future, but may become one.
struct Later(u8);

impl IntoFuture for Later {
    type Output = u8;
    type IntoFuture = Ready<u8>;

    fn into_future(self) -> Ready<u8> {
        ready(self.0)
    }
}

#[runtime::test]
async fn the_first_to_end_is_selected() {
    let selected = select! {
        value = after(3, "late") => value,
        value = after(1, "early") => value,
        () = pending() => unreachable!(),
    };
    assert_eq!(selected, "early");
}

#[runtime::test]
async fn handlers_come_in_every_form() {
    // Blocks with and without a comma, expressions, none after the last.
    for first in 0..4 {
        let selected = select! {
            value = after(3 - first, 10), if first == 0 => { value }
            value = after(1, 11), if first == 1 => { value },
            _ = async {}, if first == 2 => 12,
            value = Later(13), if first == 3 => value.min(99)
        };
        assert_eq!(selected, 10 + first as u8);
    }
    // Generics with commas, closures, macros.
    let value = select! {
        value = after::<Result<u8, ()>>(0, Ok(1)) => value.map(|one| [one, 2].len()).unwrap_or_default(),
    };
    assert_eq!(value, 2);
}

#[runtime::test]
async fn what_does_not_fit_its_pattern_disables_the_branch() {
    let selected = select! {
        biased;
        Some(value) = ready(None::<u8>) => value,
        Ok(value) = after(2, Ok::<u8, ()>(2)) => value,
        else => 0,
    };
    assert_eq!(selected, 2);
    let selected = select! {
        Some(value) = ready(None::<u8>) => value,
        Ok(value) = after(1, Err::<u8, ()>(())) => value,
        value = ready(7), if false => value,
        else => 9,
    };
    assert_eq!(selected, 9);
}

#[runtime::test]
async fn a_disabled_branch_is_not_polled() {
    let polled = Cell::new(0);
    let counting = poll_fn(|_| {
        polled.set(polled.get() + 1);
        Poll::Ready(())
    });
    select! {
        () = counting, if polled.get() > 0 => unreachable!(),
        () = after(3, ()) => {}
    }
    assert_eq!(polled.get(), 0);
}

#[runtime::test]
#[should_panic(expected = "all branches are disabled and there is no else branch")]
async fn without_else_a_branch_has_to_be_enabled() {
    select! {
        Some(()) = ready(None) => {}
        () = ready(()), if false => {}
    }
}

#[runtime::test]
async fn patterns_bind_as_elsewhere() {
    let text = String::from("moved");
    let moved = select! { text = ready(text) => text };
    assert_eq!(moved, "moved");
    let changed = select! {
        (mut number, ref text) = ready((1, String::from("x"))) => {
            number += text.len();
            number
        }
    };
    assert_eq!(changed, 2);
    let bound = select! {
        whole @ Some(1 | 2) = ready(Some(2)) => whole,
        Some(3) | None = ready(Some(3)) => None,
    };
    assert!(bound.is_none() || bound == Some(2));
    let number = select! { &number = ready(&5) => number };
    assert_eq!(number, 5);
    let mut list = [1, 2];
    let first = select! { [first, ..] = ready(&mut list) => first };
    *first = 3;
    assert_eq!(list, [3, 2]);
}

#[runtime::test]
async fn handlers_leave_loops_and_functions_and_wait() -> Result<(), std::num::ParseIntError> {
    let mut turns = 0;
    let number = 'outer: loop {
        turns += 1;
        loop {
            select! {
                () = after(1, ()), if turns < 3 => continue 'outer,
                text = ready("17") => {
                    match turns {
                        1 => break,
                        2 => {
                            turns += 1;
                            continue;
                        }
                        _ => {}
                    }
                    break 'outer after(2, text.parse::<u32>()?).await;
                }
            }
        }
    };
    assert_eq!((number, turns), (17, 3));
    let returned = async {
        select! {
            () = ready(()) => return 5,
            () = pending() => {}
        }
        6
    };
    assert_eq!(returned.await, 5);
    Ok(())
}

#[runtime::test]
async fn futures_are_dropped_before_the_handler_runs() {
    let log = RefCell::new(Vec::new());
    let mut borrowed = 1;
    select! {
        () = async { let _it = Dropped("ended", &log); borrowed += 1; } => {
            borrowed += 1;
            log.borrow_mut().push("handler");
        }
        () = async { let _it = Dropped("other", &log); pending().await } => {}
    }
    assert_eq!(borrowed, 3);
    let log = log.into_inner();
    assert_eq!(log.last(), Some(&"handler"), "{log:?}");
}

#[runtime::test]
async fn without_biased_every_branch_gets_its_turn() {
    let mut counts = [0; 3];
    for _ in 0..3_000 {
        select! {
            () = ready(()) => counts[0] += 1,
            () = ready(()) => counts[1] += 1,
            () = ready(()) => counts[2] += 1,
        }
    }
    // A thousand each; one in 10^40 is below 500.
    assert!(counts.iter().all(|&count| count > 500), "{counts:?}");
    let mut counts = [0; 2];
    for _ in 0..100 {
        select! {
            biased;
            () = ready(()) => counts[0] += 1,
            () = ready(()) => counts[1] += 1,
        }
    }
    assert_eq!(counts, [100, 0]);
}

#[runtime::test]
async fn a_future_goes_on_over_many_selects() {
    let (sender, receiver) = oneshot::channel();
    let (ticks, mut each) = mpsc::channel(1);
    runtime::spawn(async move {
        for tick in 1..=4 {
            ticks.send(tick).await.expect("the test listens");
        }
        drop(ticks);
        sender.send("done").expect("the test listens");
    });
    pin! {
        let end = async { receiver.await.expect("it is sent") };
    }
    let mut sum = 0;
    let said = loop {
        select! {
            biased;
            Some(tick) = each.recv() => sum += tick,
            said = &mut end => break said,
        }
    };
    assert_eq!((sum, said), (10, "done"));
}

/// More branches than anybody writes, on the way to the compiler's limit of recursion.
#[runtime::test]
async fn there_may_be_many_branches() {
    macro_rules! many {
        ($($n:literal)*) => {
            select! { $(_ = pending::<()>(), if $n > 0 => 0,)* last = ready(64) => last }
        };
    }
    let last = many!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
    assert_eq!(last, 64);
}

#[runtime::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_wait_for_several_futures_may_move() {
    let task = runtime::spawn(async {
        let (one, two) = join!(after(3, 1), after(1, 2));
        select! { sum = after(2, one + two) => sum, () = pending() => 0 }
    });
    assert_eq!(task.await.expect("no panic"), 3);
}

#[runtime::test]
async fn join_returns_all_outputs_in_order() {
    assert_eq!(join!(after(2, 1), after(0, "two"), Later(3)), (1, "two", 3));
    assert_eq!(join!(biased; after(1, 1),), (1,));
    let () = join!();
    let mut once = Box::pin(after(1, 4));
    assert_eq!(join!(&mut once), (4,));
}

#[runtime::test]
async fn join_drops_each_future_when_it_has_ended() {
    struct Ended<'a>(Dropped<'a>);
    impl Future for Ended<'_> {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            let _ = &self.0;
            Poll::Ready(())
        }
    }
    let log = RefCell::new(Vec::new());
    join!(Ended(Dropped("ended", &log)), async {
        after(2, ()).await;
        assert_eq!(*log.borrow(), ["ended"]);
    });
}

#[runtime::test]
async fn join_lets_each_future_be_the_first() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let noting = |name| {
        let order = Rc::clone(&order);
        async move {
            for _ in 0..2 {
                order.borrow_mut().push(name);
                runtime::task::yield_now().await;
            }
        }
    };
    join!(noting(1), noting(2));
    assert_eq!(order.take(), [1, 2, 2, 1]);
    join!(biased; noting(1), noting(2));
    assert_eq!(order.take(), [1, 2, 1, 2]);
}

#[runtime::test]
async fn try_join_returns_all_values_or_the_first_error() {
    let all = try_join!(after(1, Ok::<_, String>(1)), async { Ok("two") });
    assert_eq!(all, Ok((1, "two")));
    let log = RefCell::new(Vec::new());
    let failed = try_join!(
        async {
            let _it = Dropped("other", &log);
            pending::<Result<(), &str>>().await
        },
        after(1, Err::<(), _>("failed")),
    );
    assert_eq!(failed, Err("failed"));
    assert_eq!(*log.borrow(), ["other"]);
    assert_eq!(
        try_join!(biased; ready(Err::<(), _>(1)), ready(Err::<(), _>(2))),
        Err(1)
    );
    let none: Result<(), ()> = try_join!();
    assert_eq!(none, Ok(()));
}
