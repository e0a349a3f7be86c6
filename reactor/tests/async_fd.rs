//! `AsyncFd`: guards, eventfds, pipes, and giving the descriptor back.

mod support;

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    pin::pin,
    task::{Context, Poll},
};

use reactor::{AsyncFd, Interest, Ready};
use support::*;

/// Reads from a pipe.
fn read(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(fd, buffer)?)
}

#[test]
fn a_pipe_is_not_ready_until_the_system_says_so() {
    let handle = reactor();
    let _guard = handle.enter();
    let (reader, writer) = pipe();
    let reader = AsyncFd::with_interest(reader, Interest::READABLE).expect("registers");
    let writer = AsyncFd::with_interest(writer, Interest::WRITABLE).expect("registers");
    let (waker, count) = waker();
    let cx = &mut Context::from_waker(&waker);
    assert!(reader.poll_read_ready(cx).is_pending());
    assert!(writer.poll_write_ready(cx).is_pending());
    block_on(&handle, async {
        writer
            .writable()
            .await
            .map(|mut guard| guard.retain_ready())
    })
    .expect("room");
    let woken = count.get();
    assert_eq!(woken, 1, "for the room only");
    rustix::io::write(writer.get_ref(), b"abc").expect("room");
    let received = block_on(&handle, async {
        let mut guard = reader.readable().await?;
        guard
            .try_io(|fd| read(fd.get_ref(), &mut [0; 8]))
            .expect("is ready")
    });
    assert_eq!(received.expect("reads"), 3);

    // Reading it all does not clear; finding it empty does.
    let Poll::Ready(Ok(mut guard)) = reader.poll_read_ready(cx) else {
        panic!("still ready");
    };
    guard
        .try_io(|fd| read(fd.get_inner_fd(), &mut [0; 8]))
        .expect_err("empty");
    assert!(guard.ready().is_empty());
    assert!(reader.poll_read_ready(cx).is_pending());
}

/// Shortens the line above.
trait InnerFd {
    fn get_inner_fd(&self) -> &OwnedFd;
}

impl InnerFd for AsyncFd<OwnedFd> {
    fn get_inner_fd(&self) -> &OwnedFd {
        self.get_ref()
    }
}

#[test]
fn guards_clear_what_they_are_told_to() {
    let handle = reactor();
    let _guard = handle.enter();
    let (near, far) = std::os::unix::net::UnixStream::pair().expect("socket pair");
    near.set_nonblocking(true).expect("non-blocking");
    let mut near = AsyncFd::new(near).expect("registers");
    rustix::io::write(&far, b"x").expect("room");
    settle(&handle);
    let both = Interest::READABLE | Interest::WRITABLE;
    let (waker, _) = waker();
    {
        let mut guard = block_on(&handle, near.ready(both)).expect("ready");
        assert!(guard.ready().is_readable() && guard.ready().is_writable());
        guard.clear_ready_matching(Ready::READABLE);
        assert!(!guard.ready().is_readable() && guard.ready().is_writable());
        guard.retain_ready();
    }
    assert!(poll_once(pin!(near.readable()), &waker).is_pending());
    {
        let mut guard = block_on(&handle, near.writable_mut()).expect("ready");
        assert_eq!(guard.get_inner().as_raw_fd(), guard.get_ref().as_raw_fd());
        guard.clear_ready();
    }
    assert!(poll_once(pin!(near.writable_mut()), &waker).is_pending());
    let error = near
        .try_io(Interest::READABLE, |_| Ok(()))
        .expect_err("cleared");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    // A new edge brings it back.
    rustix::io::write(&far, b"y").expect("room");
    let count = block_on(
        &handle,
        near.async_io_mut(Interest::READABLE, |fd| {
            Ok(rustix::io::read(&*fd, &mut [0; 8][..])?)
        }),
    );
    assert_eq!(count.expect("reads"), 2);
}

#[test]
fn into_inner_gives_a_free_descriptor() {
    let handle = reactor();
    let _guard = handle.enter();
    let (reader, _writer) = pipe();
    let reader = AsyncFd::new(reader).expect("registers");
    let number = reader.as_raw_fd();
    let error = AsyncFd::try_new(number).expect_err("twice");
    let (given_back, cause) = error.into_parts();
    assert_eq!(
        (given_back, cause.kind()),
        (number, io::ErrorKind::AlreadyExists)
    );
    let reader = reader.into_inner();
    assert_eq!(handle.sources(), 0);
    let again = AsyncFd::new(reader).expect("registers again");
    assert_eq!(again.get_ref().as_raw_fd(), number);
}

#[test]
fn a_number_without_descriptor_is_an_error() {
    let handle = reactor();
    let _guard = handle.enter();
    for number in [-1, -7, i32::MAX] {
        let error = AsyncFd::new(number).expect_err("nothing is open there");
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::BADF.raw_os_error())
        );
    }
    assert_eq!(handle.sources(), 0);
}

#[test]
#[should_panic(expected = "no runtime running on this thread")]
fn outside_a_runtime_it_panics() {
    let (reader, _writer) = pipe();
    let _ = AsyncFd::new(reader);
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};

    #[test]
    fn an_eventfd() {
        let handle = reactor();
        let _guard = handle.enter();
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("descriptors");
        let writer = fd.try_clone().expect("descriptors");
        let fd = AsyncFd::with_interest(fd, Interest::READABLE).expect("registers");
        let (waker, _) = waker();
        for round in 1..=3_u64 {
            let receive = |fd: &OwnedFd| {
                let mut buffer = [0; 8];
                rustix::io::read(fd, &mut buffer)?;
                Ok(u64::from_ne_bytes(buffer))
            };
            let mut receiving = Box::pin(fd.async_io(Interest::READABLE, receive));
            assert!(poll_once(receiving.as_mut(), &waker).is_pending());
            rustix::io::write(&writer, &round.to_ne_bytes()).expect("room");
            assert_eq!(block_on(&handle, receiving).expect("reads"), round);
        }
    }

    #[test]
    fn urgent_data_is_a_priority_event() {
        use rustix::net::{SendFlags, send};
        let handle = reactor();
        let _guard = handle.enter();
        let (client, server) = tcp_pair();
        let server = AsyncFd::with_interest(server, Interest::READABLE | Interest::PRIORITY)
            .expect("registers");
        let (waker, count) = waker();
        let mut waiting = Box::pin(server.ready(Interest::PRIORITY));
        assert!(poll_once(waiting.as_mut(), &waker).is_pending());
        settle(&handle);
        send(&client, b"!", SendFlags::OOB).expect("room");
        turn_until(&handle, "urgent data", || count.get() >= 1);
        let mut guard = block_on(&handle, waiting).expect("ready");
        assert!(guard.ready().is_priority());
        guard.clear_ready();
        assert!(poll_once(pin!(server.ready(Interest::PRIORITY)), &waker).is_pending());
    }
}
