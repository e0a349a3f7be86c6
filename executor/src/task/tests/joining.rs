//! What a join handle tells, and whom it wakes.

use super::*;

#[test]
fn errors_tell_what_happened() {
    let bench = bench();
    let (first, second, third) = quietly(|| {
        let first = bench.spawn(async { panic!("boom {}", 1) });
        let second = bench.spawn(async { panic_any(7_u8) });
        let third = bench.spawn(pending::<()>());
        third.abort();
        bench.drain();
        (
            now(first).unwrap_err(),
            now(second).unwrap_err(),
            now(third).unwrap_err(),
        )
    });
    let [a, b, c] = [first.id(), second.id(), third.id()];
    assert_eq!(
        first.to_string(),
        format!("task {a} panicked with message \"boom 1\"")
    );
    assert_eq!(
        format!("{first:?}"),
        format!("JoinError::Panic({a}, \"boom 1\", ...)")
    );
    assert_eq!(second.to_string(), format!("task {b} panicked"));
    assert_eq!(format!("{second:?}"), format!("JoinError::Panic({b}, ...)"));
    assert_eq!(format!("{third:?}"), format!("JoinError::Cancelled({c})"));
    assert!(first.is_panic() && !first.is_cancelled());
    let third = third.try_into_panic().unwrap_err();
    assert!(
        std::io::Error::from(third)
            .to_string()
            .contains("cancelled")
    );
    assert_eq!(second.into_panic().downcast_ref::<u8>(), Some(&7));
}

#[test]
fn both_polling_and_dropping_panic_and_the_first_is_told() {
    struct Twice;
    impl Future for Twice {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic_any(PayloadBomb(1))
        }
    }
    impl Drop for Twice {
        fn drop(&mut self) {
            panic_any(PayloadBomb(2))
        }
    }
    /// A payload whose drop panics too.
    struct PayloadBomb(u8);
    impl Drop for PayloadBomb {
        fn drop(&mut self) {
            if self.0 == 2 {
                panic_any("payload");
            }
        }
    }
    let bench = bench();
    let error = quietly(|| {
        let handle = bench.spawn(Twice);
        assert_eq!(bench.drain(), [Polled::Panicked]);
        now(handle).unwrap_err()
    });
    let payload = error.into_panic();
    assert_eq!(
        payload.downcast_ref::<PayloadBomb>().expect("its type").0,
        1
    );
}

/// A waker that panics in the functions of `hostile`, a set of letters.
fn hostile(hostile: &'static str) -> Waker {
    struct Hostile(&'static str);
    impl Hostile {
        fn check(&self, what: &str) {
            if self.0.contains(what) {
                panic_any("hostile");
            }
        }
    }
    unsafe fn get<'a>(data: *const ()) -> &'a Hostile {
        // SAFETY: every waker made here has such a leaked box behind it.
        unsafe { &*data.cast() }
    }
    // SAFETY (all four): as in `get`.
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            // SAFETY: see above.
            unsafe { get(data) }.check("clone");
            RawWaker::new(data, &VTABLE)
        },
        // SAFETY: see above.
        |data| unsafe { get(data) }.check("wake"),
        // SAFETY: see above.
        |data| unsafe { get(data) }.check("wake"),
        // SAFETY: see above.
        |data| unsafe { get(data) }.check("drop"),
    );
    /// Where the leaked boxes are still found.
    static ALL: Mutex<Vec<&'static Hostile>> = Mutex::new(Vec::new());
    let data: &'static Hostile = Box::leak(Box::new(Hostile(hostile)));
    ALL.lock().push(data);
    // SAFETY: the functions keep the contract, apart from the panics that are wanted.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(data).cast(), &VTABLE)) }
}

#[test]
fn hostile_join_wakers_break_nothing() {
    for kind in ["clone", "wake", "drop", "wake drop"] {
        for end in 0..3 {
            quietly(|| {
                let bench = bench();
                let mut handle = bench.spawn(async { 5 });
                let waker = std::mem::ManuallyDrop::new(hostile(kind));
                let mut cx = Context::from_waker(&waker);
                let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
                }));
                assert_eq!(polled.is_err(), kind == "clone");
                match end {
                    // It is woken at completion.
                    0 => {
                        assert_eq!(bench.drain(), [Polled::Completed]);
                        assert_eq!(now(handle).unwrap(), 5);
                    }
                    // It goes with the handle.
                    1 => drop(handle),
                    // It is replaced.
                    _ => {
                        let replaced =
                            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                                assert!(poll(&mut handle).is_pending());
                            }));
                        assert_eq!(replaced.is_err(), kind.contains("drop"));
                        assert_eq!(bench.drain(), [Polled::Completed]);
                        assert_eq!(now(handle).unwrap(), 5);
                    }
                }
            });
        }
    }
}

#[test]
fn the_join_waker_is_replaced_and_the_last_one_is_woken() {
    let bench = bench();
    let mut handle = bench.spawn(async { "done" });
    let (first, first_waker) = Flag::new();
    let (second, second_waker) = Flag::new();
    for waker in [&first_waker, &first_waker, &second_waker] {
        let mut cx = Context::from_waker(waker);
        assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
    }
    assert_eq!(Arc::strong_count(&first), 2);
    bench.drain();
    assert_eq!((first.count(), second.count()), (0, 1));
    assert_eq!(Arc::strong_count(&second), 2, "the join waker is used up");
    assert_eq!(now(&mut handle).unwrap(), "done");
    let again = quietly(|| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            poll(&mut handle).is_ready()
        }))
    });
    assert!(again.is_err(), "polled after the end");
}

#[test]
fn joining_charges_the_budget_only_when_it_is_ready() {
    let bench = bench();
    let mut handle = bench.spawn(async { 1 });
    let (flag, waker) = Flag::new();
    let mut cx = Context::from_waker(&waker);
    crate::budget::with(|| {
        for _ in 0..1000 {
            assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
        }
        assert!(crate::budget::has_remaining());
        bench.drain();
        assert_eq!(flag.count(), 1);
        while crate::budget::spend(&mut cx).is_ready() {}
        assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
        assert_eq!(flag.count(), 3);
    });
    assert_eq!(now(handle).unwrap(), 1);
}

#[test]
fn handles_are_send_as_their_output_is() {
    fn check<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<JoinHandle<Cell<u8>>>();
    check::<AbortHandle>();
    fn error<T: Send + Sync + std::error::Error>() {}
    error::<JoinError>();
}
