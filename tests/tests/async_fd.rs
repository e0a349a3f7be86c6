//! `AsyncFd`: any descriptor that can be polled.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use runtime::io::Interest;
use runtime::io::unix::AsyncFd;
use runtime_tests::{on_each, poll_once};
use rustix::io::{read, write};
use rustix::pipe::{PipeFlags, pipe_with};

fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap()
}

#[test]
fn a_pipe_is_read_when_there_is_something() {
    on_each(|| async {
        let (reads, writes) = pipe();
        let reads = AsyncFd::new(reads).unwrap();
        // A fresh source counts as ready until an attempt shows that it is not.
        let early = reads.try_io(Interest::READABLE, |fd| Ok(read(fd, &mut [0; 3])?));
        assert_eq!(early.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(poll_once(Box::pin(reads.readable())).await.is_pending());
        let reader = runtime::spawn(async move {
            let mut all = Vec::new();
            loop {
                let mut guard = reads.readable().await.unwrap();
                let mut part = [0; 3];
                match guard.try_io(|fd| Ok(read(fd.get_ref(), &mut part)?)) {
                    Ok(Ok(0)) => return all,
                    Ok(Ok(length)) => all.extend_from_slice(&part[..length]),
                    Ok(Err(error)) => panic!("{error}"),
                    Err(_would_block) => {}
                }
            }
        });
        for part in [&b"some"[..], b"thing", b"!"] {
            write(&writes, part).unwrap();
            runtime::task::yield_now().await;
        }
        drop(writes);
        assert_eq!(reader.await.unwrap(), b"something!");
    });
}

#[test]
fn a_full_pipe_is_waited_for() {
    on_each(|| async {
        let (reads, writes) = pipe();
        let writes = AsyncFd::with_interest(writes, Interest::WRITABLE).unwrap();
        let mut sent = 0;
        loop {
            let mut guard = writes.writable().await.unwrap();
            match guard.try_io(|fd| Ok(write(fd.get_ref(), &[0; 4096])?)) {
                Ok(length) => sent += length.unwrap(),
                Err(_would_block) => break,
            }
        }
        assert!(poll_once(Box::pin(writes.writable())).await.is_pending());
        let mut buffer = vec![0; sent];
        assert_eq!(read(&reads, &mut buffer).unwrap(), sent);
        writes.writable().await.unwrap().retain_ready();
    });
}

#[test]
fn async_io_waits_and_tries_until_it_works() {
    on_each(|| async {
        let (reads, writes) = pipe();
        let reads = Arc::new(AsyncFd::new(reads).unwrap());
        let inside = reads.clone();
        let reader = runtime::spawn(async move {
            inside
                .async_io(Interest::READABLE, |fd| {
                    let mut byte = [0];
                    read(fd, &mut byte)?;
                    Ok(byte[0])
                })
                .await
        });
        runtime::task::yield_now().await;
        write(&writes, &[77]).unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), 77);
        let again = reads.try_io(Interest::READABLE, |fd| Ok(read(fd, &mut [0; 1])?));
        assert_eq!(again.unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn several_tasks_wait_for_one_descriptor() {
    on_each(|| async {
        let (reads, writes) = pipe();
        let reads = Arc::new(AsyncFd::new(reads).unwrap());
        assert!(
            reads
                .try_io(Interest::READABLE, |fd| Ok(read(fd, &mut [0; 1])?))
                .is_err()
        );
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let reads = reads.clone();
                runtime::spawn(async move {
                    reads.readable().await.map(|mut guard| guard.retain_ready())
                })
            })
            .collect();
        runtime::task::yield_now().await;
        write(&writes, b"x").unwrap();
        for task in waiting {
            task.await.unwrap().unwrap();
        }
    });
}

#[test]
fn readiness_that_was_cleared_comes_back_with_new_data_only() {
    on_each(|| async {
        let (reads, writes) = pipe();
        let reads = AsyncFd::new(reads).unwrap();
        write(&writes, b"x").unwrap();
        reads.readable().await.unwrap().clear_ready();
        assert!(poll_once(Box::pin(reads.readable())).await.is_pending());
        write(&writes, b"y").unwrap();
        reads.readable().await.unwrap().retain_ready();
    });
}

#[test]
fn the_end_of_a_pipe_is_readiness() {
    on_each(|| async {
        let (reads, writes) = pipe();
        let reads = AsyncFd::new(reads).unwrap();
        let waiting = runtime::spawn(async move {
            loop {
                let mut guard = reads.ready(Interest::READABLE).await.unwrap();
                if guard.ready().is_read_closed() {
                    return;
                }
                guard.clear_ready();
            }
        });
        runtime::task::yield_now().await;
        drop(writes);
        waiting.await.unwrap();

        let (reads, writes) = pipe();
        let writes = AsyncFd::with_interest(writes, Interest::WRITABLE).unwrap();
        drop(reads);
        let guard = writes.ready(Interest::WRITABLE).await.unwrap();
        assert!(guard.ready().is_write_closed() || guard.ready().is_writable());
    });
}

#[test]
fn what_cannot_be_polled_is_refused() {
    on_each(|| async {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let error = AsyncFd::new(file).unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::PERM.raw_os_error())
        );
    });
}

#[test]
fn one_descriptor_is_registered_once_at_a_time() {
    #[derive(Debug)]
    struct Same(i32);
    impl AsRawFd for Same {
        fn as_raw_fd(&self) -> i32 {
            self.0
        }
    }
    on_each(|| async {
        let (reads, _writes) = pipe();
        let number = reads.as_raw_fd();
        let first = AsyncFd::with_interest(Same(number), Interest::READABLE).unwrap();
        let error = AsyncFd::with_interest(Same(number), Interest::READABLE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        drop(first);
        let again = AsyncFd::with_interest(Same(number), Interest::READABLE).unwrap();
        assert_eq!(again.into_inner().0, number);
        AsyncFd::with_interest(Same(number), Interest::READABLE).unwrap();
    });
}

#[test]
fn a_descriptor_is_had_back_with_into_inner() {
    on_each(|| async {
        let (reads, writes) = pipe();
        let mut fd = AsyncFd::new(reads).unwrap();
        assert!(fd.get_ref().as_raw_fd() == fd.get_mut().as_raw_fd());
        let reads = fd.into_inner();
        write(&writes, b"x").unwrap();
        assert_eq!(read(&reads, &mut [0; 4]).unwrap(), 1);
    });
}

#[test]
fn reused_numbers_never_wake_the_wrong_owner() {
    on_each(|| async {
        for round in 0..200_u8 {
            let (reads, writes) = pipe();
            let fd = AsyncFd::new(reads).unwrap();
            // An event for this one may still be under way when its number is used again.
            write(&writes, &[round]).unwrap();
            drop(fd);
            let (reads, _writes) = pipe();
            let fd = AsyncFd::new(reads).unwrap();
            runtime::task::yield_now().await;
            let mut guard = match poll_once(Box::pin(fd.readable())).await {
                std::task::Poll::Pending => continue,
                std::task::Poll::Ready(guard) => guard.unwrap(),
            };
            // A fresh source may say ready once; then it must know better.
            guard.clear_ready();
            drop(guard);
            assert!(poll_once(Box::pin(fd.readable())).await.is_pending());
        }
    });
}
