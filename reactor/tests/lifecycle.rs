//! Registering, deregistering, closing, and descriptors that change hands behind our back.

mod support;

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
    task::{Context, Poll},
    time::Duration,
};

use reactor::{Direction, Events, Handle, Interest, Ready, Registration};
use support::*;

/// Registers for reading, believed to be empty.
fn register(handle: &Handle, fd: &OwnedFd) -> io::Result<Registration> {
    Registration::new(fd.as_fd(), Interest::READABLE, Ready::EMPTY, handle)
}

#[test]
fn registering_twice_is_an_error() {
    let handle = reactor();
    let (reader, writer) = pipe();
    let first = register(&handle, &reader).expect("registers");
    let error = register(&handle, &reader).expect_err("twice");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(handle.sources(), 1);
    // The first one is unharmed.
    rustix::io::write(&writer, b"x").expect("room");
    block_on(&handle, first.ready(Interest::READABLE)).expect("ready");
    drop(first);
    let again = register(&handle, &reader).expect("registers again");
    block_on(&handle, again.ready(Interest::READABLE)).expect("what was ready is reported again");
}

#[test]
fn deregistering_leaves_the_descriptor_to_others() {
    let (handle, other) = (reactor(), reactor());
    let (reader, writer) = pipe();
    let mut first = register(&handle, &reader).expect("registers");
    first.deregister().expect("deregisters");
    first.deregister().expect("a second time does nothing");
    let second = register(&other, &reader).expect("registers elsewhere");
    rustix::io::write(&writer, b"x").expect("room");
    assert_eq!(turn(&handle, Duration::ZERO), 0);
    block_on(&other, second.ready(Interest::READABLE)).expect("ready");
    let error = block_on(&handle, first.ready(Interest::READABLE)).expect_err("deregistered");
    assert!(error.to_string().contains("deregistered"));
}

/// Closes the descriptor under its registration and gives its number to a new one.
fn reuse(fd: OwnedFd) -> (OwnedFd, OwnedFd) {
    let number = fd.into_raw_fd();
    let (reader, writer) = pipe();
    // SAFETY: the number was ours to close until now, and `dup2` closes it.
    let mut stolen = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::dup2(&reader, &mut stolen).expect("both are open");
    (stolen, writer)
}

#[test]
fn a_reused_number_never_wakes_or_silences_the_wrong_owner() {
    let handle = reactor();
    let (reader, old_writer) = pipe();
    // Keeps the description open, so that the kernel goes on reporting it.
    let duplicate = reader.try_clone().expect("descriptors");
    let old = register(&handle, &reader).expect("registers");
    let number = reader.as_raw_fd();
    let (reader, writer) = reuse(reader);
    assert_eq!(reader.as_raw_fd(), number);
    let new = register(&handle, &reader).expect("another file, so the number is free");
    let (old_waker, old_count) = waker();
    let (new_waker, new_count) = waker();
    let poll_old = old.poll_ready(&mut Context::from_waker(&old_waker), Direction::Read);
    assert!(poll_old.is_pending());
    let poll_new = new.poll_ready(&mut Context::from_waker(&new_waker), Direction::Read);
    assert!(poll_new.is_pending());

    rustix::io::write(&writer, b"x").expect("room");
    settle(&handle);
    assert_eq!((old_count.get(), new_count.get()), (0, 1));

    // Dropping the old registration must not deregister the new one.
    drop(old);
    rustix::io::read(&reader, &mut [0; 8][..]).expect("data");
    let Poll::Ready(Ok(event)) =
        new.poll_ready(&mut Context::from_waker(&new_waker), Direction::Read)
    else {
        panic!("still ready");
    };
    new.clear(event, Ready::READABLE);
    let poll_new = new.poll_ready(&mut Context::from_waker(&new_waker), Direction::Read);
    assert!(poll_new.is_pending());
    rustix::io::write(&writer, b"y").expect("room");
    settle(&handle);
    assert_eq!(new_count.get(), 2);

    // The slot of the old one goes to someone else; the kernel still reports the old description.
    let (third, _third_writer) = pipe();
    let third = Io::with(&handle, third, Ready::EMPTY);
    settle(&handle);
    let (third_waker, third_count) = waker();
    assert!(
        third
            .poll_read(&mut Context::from_waker(&third_waker), &mut [0; 8])
            .is_pending()
    );
    rustix::io::write(&old_writer, b"z").expect("room");
    settle(&handle);
    assert_eq!(third_count.get(), 0, "an event for the past");
    drop(duplicate);
}

#[test]
fn a_closed_descriptor_is_deregistered_without_complaint() {
    let handle = reactor();
    let (reader, _writer) = pipe();
    let mut registration = register(&handle, &reader).expect("registers");
    drop(reader);
    registration
        .deregister()
        .expect("nothing to complain about");
    let (reader, _writer) = pipe();
    drop((register(&handle, &reader).expect("registers"), reader));
    assert_eq!(handle.sources(), 1, "the first one still has its slot");
}

#[test]
fn closing_ends_every_wait() {
    let handle = reactor();
    let (reader, _writer) = pipe();
    let registration = register(&handle, &reader).expect("registers");
    settle(&handle);
    let (waker, count) = waker();
    let pending = registration.poll_ready(&mut Context::from_waker(&waker), Direction::Read);
    assert!(pending.is_pending());
    let mut waiting = std::pin::pin!(registration.ready(Interest::READABLE));
    let (list_waker, list_count) = self::waker();
    assert!(poll_once(waiting.as_mut(), &list_waker).is_pending());
    handle.close();
    handle.close();
    assert_eq!((count.get(), list_count.get()), (1, 1));
    let text = "the runtime that served this I/O has shut down";
    for _ in 0..2 {
        let Poll::Ready(Err(error)) =
            registration.poll_ready(&mut Context::from_waker(&waker), Direction::Read)
        else {
            panic!("waits for ever");
        };
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::Other, text)
        );
    }
    assert!(matches!(
        poll_once(waiting, &list_waker),
        Poll::Ready(Err(_))
    ));
    registration
        .try_io(Interest::READABLE, || Ok(()))
        .expect_err("closed");
    let (other, _writer) = pipe();
    assert_eq!(
        register(&handle, &other).expect_err("closed").to_string(),
        text
    );
}

#[test]
fn closing_wakes_everyone_though_a_waker_panics() {
    struct Bomb;
    impl std::task::Wake for Bomb {
        fn wake(self: std::sync::Arc<Self>) {
            std::panic::panic_any(Thrown);
        }
    }
    struct Thrown;
    impl Drop for Thrown {
        fn drop(&mut self) {
            panic!("what a waker throws panics as well, as this test wants");
        }
    }
    let handle = reactor();
    let bomb = std::task::Waker::from(std::sync::Arc::new(Bomb));
    let ends: Vec<_> = (0..3).map(|_| pipe()).collect();
    let all: Vec<_> = ends
        .iter()
        .map(|(reader, _)| register(&handle, reader).expect("registers"))
        .collect();
    let (waker, count) = waker();
    for (registration, waker) in all.iter().zip([&bomb, &waker, &bomb]) {
        assert!(
            registration
                .poll_ready(&mut Context::from_waker(waker), Direction::Read)
                .is_pending()
        );
    }
    handle.close();
    assert_eq!(count.get(), 1);
}

#[test]
fn a_panic_while_dispatching_loses_no_other_event() {
    let handle = reactor();
    let ends: Vec<_> = (0..4).map(|_| pipe()).collect();
    let all: Vec<_> = ends
        .iter()
        .map(|(reader, _)| register(&handle, reader).expect("registers"))
        .collect();
    let (waker, count) = waker();
    for (registration, (_, writer)) in all.iter().zip(&ends) {
        assert!(
            registration
                .poll_ready(&mut Context::from_waker(&waker), Direction::Read)
                .is_pending()
        );
        rustix::io::write(writer, b"x").expect("room");
    }
    let mut events = Events::new();
    let mut duty = handle.try_hold().expect("free");
    assert_eq!(duty.wait(&mut events, None).expect("waits"), 4);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        handle.dispatch(&mut events, &mut |_| {
            panic!("a waker panics, as this test wants")
        });
    }));
    assert!(panic.is_err());
    assert_eq!(
        duty.wait(&mut events, None).expect("does not wait"),
        3,
        "the others are still there"
    );
    handle.dispatch(&mut events, &mut |waker| waker.wake());
    assert_eq!(count.get(), 3);
    for registration in &all {
        assert!(
            registration
                .poll_ready(&mut Context::from_waker(&waker), Direction::Read)
                .is_ready()
        );
    }
}

#[test]
fn the_current_reactor_is_entered_and_left() {
    assert!(Handle::try_current().is_none());
    let (outer, inner) = (reactor(), reactor());
    let guard = outer.enter();
    let (reader, _writer) = pipe();
    let registration = register(&Handle::current(), &reader).expect("registers");
    assert_eq!((outer.sources(), inner.sources()), (1, 0));
    {
        let _guard = inner.enter();
        assert_eq!(Handle::current().sources(), 0);
    }
    assert_eq!(Handle::current().sources(), 1);
    drop(guard);
    assert!(Handle::try_current().is_none());
    assert_eq!(registration.handle().sources(), 1);
    let panic = std::panic::catch_unwind(|| drop(Handle::current())).expect_err("outside");
    let text = panic.downcast_ref::<&str>().expect("a message");
    assert!(text.contains("no runtime running on this thread"));
}

#[test]
fn everything_can_be_sent() {
    fn check<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<Handle>();
    check::<Registration>();
    check::<reactor::AsyncFd<OwnedFd>>();
    fn check_send<T: Send>(_: T) {}
    check_send(Events::new());
    let handle = reactor();
    let (reader, _writer) = pipe();
    let registration = register(&handle, &reader).expect("registers");
    check_send(registration.ready(Interest::READABLE));
    check_send(registration.async_io(Interest::READABLE, || Ok(())));
}
