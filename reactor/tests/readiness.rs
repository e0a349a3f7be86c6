//! Readiness of real pipes and sockets: data, closing, errors, and that no edge is lost on the way.

mod support;

use std::{
    io::{self, Write},
    net::{Shutdown, UdpSocket},
    os::unix::net::UnixStream,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use reactor::{Direction, Interest, Ready, Registration};
use support::*;

#[test]
fn a_pipe_becomes_readable() {
    let handle = reactor();
    let (reader, writer) = pipe();
    let reader = Io::new(&handle, reader);
    let (waker, count) = waker();
    let cx = &mut Context::from_waker(&waker);
    let mut buffer = [0; 16];
    assert!(
        reader.poll_read(cx, &mut buffer).is_pending(),
        "it is tried, then waited for"
    );
    settle(&handle);
    assert_eq!(count.get(), 0);
    rustix::io::write(&writer, b"abc").expect("room");
    turn_until(&handle, "data", || count.get() == 1);
    assert!(matches!(
        reader.poll_read(cx, &mut buffer),
        Poll::Ready(Ok(3))
    ));
    assert!(reader.poll_read(cx, &mut buffer).is_pending());
}

#[test]
fn data_and_the_end_in_one_edge() {
    for registered_late in [false, true] {
        let handle = reactor();
        let (client, server) = tcp_pair();
        let finish = |mut client: std::net::TcpStream| {
            client.write_all(b"last words").expect("room");
            drop(client);
        };
        let server = if registered_late {
            finish(client);
            Io::new(&handle, server)
        } else {
            let server = Io::new(&handle, server);
            settle(&handle);
            finish(client);
            server
        };
        // No turn runs between the two, so that they come in one event.
        let all = block_on(&handle, server.read_to_end()).expect("reads");
        assert_eq!(all, b"last words");
        // And it ends for good.
        assert_eq!(
            block_on(&handle, server.read(&mut [0; 8])).expect("reads"),
            0
        );
    }
}

#[test]
fn the_end_comes_after_the_readiness_was_taken_back() {
    let handle = reactor();
    let (mut client, server) = tcp_pair();
    let server = Io::new(&handle, server);
    settle(&handle);
    client.write_all(b"data").expect("room");
    let mut buffer = [0; 64];
    assert_eq!(
        block_on(&handle, server.read(&mut buffer)).expect("reads"),
        4
    );
    drop(client);
    assert_eq!(
        block_on(&handle, server.read(&mut buffer)).expect("reads"),
        0
    );
}

#[test]
fn half_a_stream_goes_on_after_the_other_half_has_ended() {
    let handle = reactor();
    let (client, server) = tcp_pair();
    let client = Io::new(&handle, client);
    let server = Io::new(&handle, server);
    client.fd.shutdown(Shutdown::Write).expect("open");
    assert_eq!(block_on(&handle, server.read_to_end()).expect("reads"), b"");
    settle(&handle);
    let event = block_on(&handle, server.registration.ready(Interest::READABLE)).expect("ready");
    assert!(event.ready.is_readable());
    assert_eq!(event.ready.is_read_closed(), REPORTS_CLOSING);
    block_on(&handle, server.write_all(b"still here")).expect("writes");
    drop(server);
    assert_eq!(
        block_on(&handle, client.read_to_end()).expect("reads"),
        b"still here"
    );
}

#[test]
fn a_reset_wakes_both_directions() {
    let handle = reactor();
    let (client, server) = tcp_pair();
    let server = Io::new(&handle, server);
    // Fill the way out, so that writing has to wait as well.
    let full = loop {
        match rustix::io::write(&server.fd, &[0; 65536]) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(full, rustix::io::Errno::WOULDBLOCK);
    settle(&handle);
    let event = block_on(&handle, server.registration.ready(Interest::WRITABLE)).expect("believed");
    server.registration.clear(event, Ready::WRITABLE);
    let (reader, reads) = waker();
    let (writer, writes) = waker();
    assert!(
        server
            .poll_read(&mut Context::from_waker(&reader), &mut [0; 8])
            .is_pending()
    );
    let pending = server
        .registration
        .poll_ready(&mut Context::from_waker(&writer), Direction::Write);
    assert!(pending.is_pending());
    // Closing with unread data resets the connection.
    drop(client);
    turn_until(&handle, "reset", || reads.get() >= 1 && writes.get() >= 1);
    let error = block_on(&handle, server.read(&mut [0; 8])).expect_err("reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    block_on(&handle, server.write_all(b"x")).expect_err("closed");
}

#[test]
fn both_ends_of_a_pipe_notice_that_the_other_is_gone() {
    let handle = reactor();
    let (reader, writer) = pipe();
    let reader = Io::with(&handle, reader, Ready::EMPTY);
    settle(&handle);
    drop(writer);
    assert_eq!(
        block_on(&handle, reader.read(&mut [0; 8])).expect("reads"),
        0
    );

    let (reader, writer) = pipe();
    let writer = Io::new(&handle, writer);
    while rustix::io::write(&writer.fd, &[0; 4096]).is_ok() {}
    let (waker, count) = waker();
    let mut writing = pin!(writer.write_all(b"x"));
    settle(&handle);
    assert!(poll_once(writing.as_mut(), &waker).is_pending());
    drop(reader);
    turn_until(&handle, "no reader", || count.get() >= 1);
    let Poll::Ready(Err(error)) = poll_once(writing.as_mut(), &waker) else {
        panic!("waits for a reader that is gone");
    };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_connection_is_awaited() {
    let handle = reactor();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound");
    for is_refused in [false, true] {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
        let socket = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::NONBLOCK,
            None,
        )
        .expect("socket");
        let to = if is_refused {
            // Bound and released: nobody listens there.
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
            free.local_addr().expect("bound")
        } else {
            address
        };
        match connect(&socket, &to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => panic!("{error}"),
        }
        let socket = Io::with(&handle, socket, Ready::EMPTY);
        let event =
            block_on(&handle, socket.registration.ready(Interest::WRITABLE)).expect("ready");
        assert!(event.ready.is_writable());
        let result = sockopt::socket_error(&socket.fd).expect("is a socket");
        assert_eq!(result.is_err(), is_refused);
    }
}

#[test]
fn an_error_on_datagrams_wakes_and_passes() {
    let handle = reactor();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let closed_port = {
        let other = UdpSocket::bind("127.0.0.1:0").expect("binds");
        other.local_addr().expect("bound")
    };
    socket.connect(closed_port).expect("connects");
    socket.set_nonblocking(true).expect("non-blocking");
    let socket = Io::new(&handle, socket);
    let (waker, count) = waker();
    let receive = || socket.fd.recv(&mut [0; 8]);
    let mut receiving = pin!(socket.registration.async_io(Interest::READABLE, receive));
    assert!(poll_once(receiving.as_mut(), &waker).is_pending());
    settle(&handle);
    socket.fd.send(b"anyone?").expect("sends");
    turn_until(&handle, "port unreachable", || count.get() >= 1);
    let Poll::Ready(Err(error)) = poll_once(receiving.as_mut(), &waker) else {
        panic!("the error is not reported");
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    // The socket is as good as before: it waits instead of spinning.
    let mut receiving = pin!(socket.registration.async_io(Interest::READABLE, receive));
    assert!(poll_once(receiving.as_mut(), &waker).is_pending());
}

#[test]
fn many_tasks_wait_for_one_source_and_some_give_up() {
    let handle = reactor();
    let (near, mut far) = UnixStream::pair().expect("socket pair");
    near.set_nonblocking(true).expect("non-blocking");
    let near = Io::with(&handle, near, Ready::EMPTY);
    settle(&handle);
    let mut waiting: Vec<_> = (0..20)
        .map(|_| {
            (
                Box::pin(near.registration.ready(Interest::READABLE)),
                waker(),
            )
        })
        .collect();
    for (future, (waker, _)) in &mut waiting {
        assert!(poll_once(future.as_mut(), waker).is_pending());
    }
    let gone: Vec<_> = waiting.drain(..10).map(|(_, (_, count))| count).collect();
    far.write_all(b"x").expect("room");
    turn_until(&handle, "data", || {
        waiting.iter().all(|(_, (_, count))| count.get() == 1)
    });
    assert!(
        gone.iter().all(|count| count.get() == 0),
        "nobody wakes who has given up"
    );
    for (future, (waker, _)) in &mut waiting {
        let Poll::Ready(Ok(event)) = poll_once(future.as_mut(), waker) else {
            panic!("ready for everyone");
        };
        assert!(event.ready.is_readable());
    }
}

#[test]
fn try_io_follows_readiness() {
    let handle = reactor();
    let (reader, writer) = pipe();
    let reader = Io::with(&handle, reader, Ready::EMPTY);
    let read = || Ok(rustix::io::read(&reader.fd, &mut [0; 1][..])?);
    rustix::io::write(&writer, b"ab").expect("room");
    let error = reader
        .registration
        .try_io(Interest::READABLE, read)
        .expect_err("unknown yet");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    settle(&handle);
    assert_eq!(
        reader
            .registration
            .try_io(Interest::READABLE, read)
            .expect("reads"),
        1
    );
    assert_eq!(
        reader
            .registration
            .try_io(Interest::READABLE, read)
            .expect("reads"),
        1
    );
    reader
        .registration
        .try_io(Interest::READABLE, read)
        .expect_err("empty");
    reader
        .registration
        .try_io(Interest::READABLE, || -> io::Result<()> {
            panic!("not called")
        })
        .expect_err("known to be empty");
}

#[test]
fn a_thousand_sources() {
    const PAIRS: usize = 500;
    let handle = reactor();
    let mut pairs: Vec<_> = (0..PAIRS)
        .map(|_| {
            let (reader, writer) = pipe();
            (
                Io::with(&handle, reader, Ready::EMPTY),
                Io::new(&handle, writer),
                waker(),
            )
        })
        .collect();
    assert_eq!(handle.sources(), 2 * PAIRS);
    settle(&handle);
    for (reader, _, (waker, _)) in &pairs {
        assert!(
            reader
                .poll_read(&mut Context::from_waker(waker), &mut [0; 8])
                .is_pending()
        );
    }
    for (at, (_, writer, _)) in pairs.iter().enumerate() {
        if at % 3 == 0 {
            rustix::io::write(&writer.fd, b"x").expect("room");
        }
    }
    settle(&handle);
    for (at, (reader, _, (waker, count))) in pairs.iter().enumerate() {
        assert_eq!(count.get(), usize::from(at % 3 == 0), "source {at}");
        let polled = reader.poll_read(&mut Context::from_waker(waker), &mut [0; 8]);
        assert_eq!(polled.is_ready(), at % 3 == 0, "source {at}");
    }
    pairs.truncate(7);
    assert_eq!(handle.sources(), 14);
    drop(pairs);
    assert_eq!(handle.sources(), 0);
}

#[test]
fn a_budget_without_rest_makes_ready_operations_wait() {
    let handle = reactor::Handle::new(|cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .expect("descriptors");
    let (reader, _writer) = pipe();
    let reader = Io::new(&handle, reader);
    let (waker, count) = waker();
    assert!(
        reader
            .poll_read(&mut Context::from_waker(&waker), &mut [0; 8])
            .is_pending()
    );
    assert_eq!(count.get(), 1);
}

#[test]
fn what_cannot_be_waited_for_is_an_error() {
    let handle = reactor();
    let file = std::fs::File::open("/proc/self/exe").expect("is there");
    let error = Registration::new(
        std::os::fd::AsFd::as_fd(&file),
        Interest::READABLE,
        Ready::ALL,
        &handle,
    )
    .expect_err("a regular file");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(handle.sources(), 0);
    turn(&handle, Duration::ZERO);
}
