//! TCP: connections, transfers, the many ways in which a stream ends, and options.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::io::{AsyncWrite, Interest};
use runtime::net::{TcpListener, TcpSocket, TcpStream};
use runtime::sync::oneshot;
use runtime::time::{sleep, timeout};
use runtime_tests::{
    LIMIT, Watchdog, current_thread, multi_thread, on_each, on_multi_thread, poll_once,
};
use socket2::SockRef;

const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Two ends of one connection: who connected, who accepted.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = runtime::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// Echoes until the end of the stream.
async fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => stream.write_all(&buffer[..length]).await.unwrap(),
        }
    }
}

/// Bytes that differ at every place, so that a lost or doubled one shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| (place * 31 + place / 251) as u8)
        .collect()
}

#[test]
fn echoes_come_back() {
    on_each(|| async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = runtime::spawn(async move {
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), peer);
            assert_eq!(stream.local_addr().unwrap(), address);
            echo(stream).await;
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        for number in 0..200_u32 {
            let mut answer = [0; 4];
            client.write_all(&number.to_be_bytes()).await.unwrap();
            assert_eq!(client.read_exact(&mut answer).await.unwrap(), 4);
            assert_eq!(u32::from_be_bytes(answer), number);
        }
        drop(client);
        server.await.unwrap();
    });
}

#[test]
fn many_connections_at_once() {
    on_each(|| async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = runtime::spawn(async move {
            for _ in 0..100 {
                let (stream, _) = listener.accept().await.unwrap();
                runtime::spawn(echo(stream));
            }
        });
        let clients: Vec<_> = (0..100_u8)
            .map(|number| {
                runtime::spawn(async move {
                    let mut client = TcpStream::connect(address).await.unwrap();
                    for round in 0..20 {
                        let mut answer = [0; 2];
                        client.write_all(&[number, round]).await.unwrap();
                        client.read_exact(&mut answer).await.unwrap();
                        assert_eq!(answer, [number, round]);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        server.await.unwrap();
    });
}

#[test]
fn large_transfers_in_both_directions_at_once() {
    on_each(|| async {
        const LENGTH: usize = 2 << 20;
        let (one, other) = connected().await;
        let send_and_check = |stream: TcpStream| {
            let (mut reads, mut writes) = stream.into_split();
            let writer = runtime::spawn(async move {
                writes.write_all(&pattern(LENGTH)).await.unwrap();
                writes.shutdown().await.unwrap();
            });
            let reader = runtime::spawn(async move {
                let mut all = Vec::new();
                reads.read_to_end(&mut all).await.unwrap();
                assert!(
                    all == pattern(LENGTH),
                    "{} bytes arrived, not all in place",
                    all.len()
                );
            });
            [writer, reader]
        };
        for task in send_and_check(one).into_iter().chain(send_and_check(other)) {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_slow_reader_holds_up_the_writer_and_nobody_else() {
    on_each(|| async {
        let (mut writer, mut reader) = connected().await;
        let length = 24 << 20;
        let data = vec![7; length];
        let writing = runtime::spawn(async move {
            writer.write_all(&data).await.unwrap();
        });
        // Others go on while the writer waits for room.
        let (mut one, mut other) = connected().await;
        for number in 0..20 {
            let mut byte = [0];
            one.write_all(&[number]).await.unwrap();
            other.read_exact(&mut byte).await.unwrap();
            sleep(Duration::from_micros(100)).await;
        }
        assert!(!writing.is_finished(), "24 MiB fit into no socket's buffer");
        let mut all = vec![0; length];
        reader.read_exact(&mut all).await.unwrap();
        assert!(all == vec![7; length]);
        writing.await.unwrap();
    });
}

#[test]
fn a_peer_with_a_zero_window_is_given_up_after_a_timeout_and_harms_nobody() {
    on_each(|| async {
        let (mut writer, peer) = connected().await;
        // The peer does not read, so its window closes.
        let stalled = runtime::spawn(async move {
            let data = vec![7; 64 << 20];
            let start = Instant::now();
            let outcome = timeout(Duration::from_millis(300), writer.write_all(&data)).await;
            assert!(outcome.is_err(), "64 MiB fit into no window");
            assert!(start.elapsed() >= Duration::from_millis(300));
            // Nor is it ready for more.
            assert!(poll_once(Box::pin(writer.writable())).await.is_pending());
            writer
        });
        let (mut one, mut other) = connected().await;
        let mut answered = 0;
        while !stalled.is_finished() {
            let mut byte = [0];
            one.write_all(&[1]).await.unwrap();
            other.read_exact(&mut byte).await.unwrap();
            sleep(Duration::from_millis(1)).await;
            answered += 1;
        }
        assert!(answered >= 2, "{answered}");
        let mut writer = stalled.await.unwrap();
        // When the peer reads, the writer is woken and goes on.
        let mut peer = peer;
        let reading = runtime::spawn(async move {
            let mut part = vec![0; 1 << 20];
            while peer.read(&mut part).await.unwrap() > 0 {}
        });
        writer.writable().await.unwrap();
        writer.write_all(b"more").await.unwrap();
        drop(writer);
        reading.await.unwrap();
    });
}

#[test]
fn half_close_ends_one_direction_only() {
    on_each(|| async {
        let (mut client, mut server) = connected().await;
        client.write_all(b"request").await.unwrap();
        client.shutdown().await.unwrap();
        let mut request = String::new();
        server.read_to_string(&mut request).await.unwrap();
        assert_eq!(request, "request");
        assert_eq!(
            server.read(&mut [0; 8]).await.unwrap(),
            0,
            "the end stays the end"
        );
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        let error = client.write(b"late").await;
        assert!(error.is_err(), "our own direction is closed");
    });
}

#[test]
fn data_that_comes_with_the_end_is_read_and_so_is_the_end() {
    on_each(|| async {
        // Data and FIN in one segment may be one event: none of them may be lost, whatever the
        // size of the buffer.
        for length in [1, 63, 64, 65, 1_000] {
            for buffer in [1, 64, 65, 4096] {
                let (mut reader, writer) = connected().await;
                let writer = writer.into_std().unwrap();
                // The reader waits already: its readiness is fresh.
                let reading = runtime::spawn(async move {
                    let mut all = Vec::new();
                    let mut part = vec![0; buffer];
                    loop {
                        match reader.read(&mut part).await.unwrap() {
                            0 => return all,
                            n => all.extend_from_slice(&part[..n]),
                        }
                    }
                });
                runtime::task::yield_now().await;
                SockRef::from(&writer).set_tcp_nodelay(false).unwrap();
                (&writer).write_all(&pattern(length)).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
                assert_eq!(reading.await.unwrap(), pattern(length));
            }
        }
    });
}

#[test]
fn many_short_messages_with_ends_that_race() {
    on_multi_thread(async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        // A plain thread closes right behind its data, over and over.
        let thread = std::thread::spawn(move || {
            for round in 0..500_usize {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.write_all(&pattern(round % 70)).unwrap();
            }
        });
        let mut tasks = Vec::new();
        for round in 0..500 {
            let (mut stream, _) = listener.accept().await.unwrap();
            tasks.push(runtime::spawn(async move {
                let mut all = Vec::new();
                let mut part = [0; 64];
                loop {
                    match stream.read(&mut part).await.unwrap() {
                        0 => break,
                        n => all.extend_from_slice(&part[..n]),
                    }
                }
                assert_eq!(all, pattern(round % 70));
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_reset_wakes_readers_and_writers_with_an_error() {
    on_each(|| async {
        let (peer, stream) = connected().await;
        let (mut reads, mut writes) = stream.into_split();
        let (blocked, is_blocked) = oneshot::channel();
        let writer = runtime::spawn(async move {
            let chunk = pattern(1 << 20);
            let mut blocked = Some(blocked);
            loop {
                // Until the buffers are full, and then on.
                match poll_once(Box::pin(writes.write(&chunk))).await {
                    std::task::Poll::Ready(Ok(_)) => {}
                    std::task::Poll::Ready(Err(error)) => return error,
                    std::task::Poll::Pending => {
                        if let Some(blocked) = blocked.take() {
                            blocked.send(()).unwrap();
                        }
                        if let Err(error) = writes.write(&chunk).await {
                            return error;
                        }
                    }
                }
            }
        });
        let reader = runtime::spawn(async move { reads.read(&mut [0; 64]).await });
        is_blocked.await.unwrap();
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        let write_error = writer.await.unwrap();
        assert!(
            matches!(
                write_error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            ),
            "{write_error}"
        );
        // One of the two sees the reset; the other may see what comes after it.
        match reader.await.unwrap() {
            Ok(length) => assert_eq!(length, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    });
}

#[test]
fn a_reset_of_an_idle_connection_is_seen_by_its_reader() {
    on_each(|| async {
        let (peer, mut stream) = connected().await;
        let reader = runtime::spawn(async move { stream.read(&mut [0; 64]).await });
        runtime::task::yield_now().await;
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_stream_dropped_while_others_wait_closes_the_connection() {
    on_each(|| async {
        let (mut one, other) = connected().await;
        let holds = runtime::spawn(async move {
            let mut other = other;
            other.read(&mut [0; 8]).await.unwrap()
        });
        runtime::task::yield_now().await;
        holds.abort();
        assert!(holds.await.is_err());
        assert_eq!(one.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn borrowed_halves_read_and_write_at_once() {
    on_each(|| async {
        let (mut one, other) = connected().await;
        let server = runtime::spawn(echo(other));
        {
            let (mut reads, mut writes) = one.split();
            let data = pattern(300_000);
            let mut back = vec![0; data.len()];
            let (sent, received) =
                runtime::join!(writes.write_all(&data), reads.read_exact(&mut back));
            sent.unwrap();
            received.unwrap();
            assert!(data == back);
            assert_eq!(
                reads.as_ref().local_addr().unwrap(),
                writes.as_ref().local_addr().unwrap()
            );
        }
        one.shutdown().await.unwrap();
        server.await.unwrap();
    });
}

#[test]
fn owned_halves_reunite_with_each_other_only() {
    on_each(|| async {
        let (one, other) = connected().await;
        let (one_reads, one_writes) = one.into_split();
        let (other_reads, other_writes) = other.into_split();
        let error = one_reads.reunite(other_writes).unwrap_err();
        assert!(!error.to_string().is_empty());
        let (one_reads, other_writes) = (error.0, error.1);
        let mut one = one_reads.reunite(one_writes).unwrap();
        let mut other = other_reads.reunite(other_writes).unwrap();
        one.write_all(b"whole").await.unwrap();
        let mut whole = [0; 5];
        other.read_exact(&mut whole).await.unwrap();
        assert_eq!(&whole, b"whole");
    });
}

#[test]
fn dropping_the_owned_write_half_ends_the_stream_unless_it_is_forgotten() {
    on_each(|| async {
        let (one, mut other) = connected().await;
        let (mut reads, writes) = one.into_split();
        drop(writes);
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 0);
        other.write_all(b"still").await.unwrap();
        let mut word = [0; 5];
        reads.read_exact(&mut word).await.unwrap();

        let (one, mut other) = connected().await;
        let (reads, writes) = one.into_split();
        writes.forget();
        assert!(
            poll_once(Box::pin(other.read(&mut [0; 8])))
                .await
                .is_pending()
        );
        drop(reads);
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn peek_leaves_what_it_sees() {
    on_each(|| async {
        let (mut one, mut other) = connected().await;
        one.write_all(b"peek").await.unwrap();
        let mut seen = [0; 8];
        assert_eq!(other.peek(&mut seen[..2]).await.unwrap(), 2);
        assert_eq!(other.peek(&mut seen).await.unwrap(), 4);
        assert_eq!(other.read(&mut seen).await.unwrap(), 4);
        assert_eq!(&seen[..4], b"peek");
        drop(one);
        assert_eq!(other.peek(&mut seen).await.unwrap(), 0);
    });
}

#[test]
fn try_operations_never_wait() {
    on_each(|| async {
        let (one, other) = connected().await;
        let mut byte = [0; 16];
        assert_eq!(
            other.try_read(&mut byte).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        one.writable().await.unwrap();
        assert_eq!(one.try_write(b"now").unwrap(), 3);
        loop {
            other.readable().await.unwrap();
            match other.try_read(&mut byte) {
                Ok(length) => break assert_eq!(&byte[..length], b"now"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        // To the brim.
        let chunk = pattern(1 << 16);
        let mut sent = 0;
        loop {
            match one.try_write(&chunk) {
                Ok(length) => sent += length,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(poll_once(Box::pin(one.writable())).await.is_pending());
        let mut received = 0;
        while received < sent {
            other.readable().await.unwrap();
            let mut part = vec![0; 1 << 16];
            match other.try_read(&mut part) {
                Ok(length) => received += length,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        one.writable().await.unwrap();
    });
}

#[test]
fn try_io_and_async_io_run_the_callers_own_operation() {
    on_each(|| async {
        let (one, other) = connected().await;
        let read = |buffer: &mut [u8]| Ok(rustix::io::read(&other, buffer)?);
        let mut bytes = [0; 8];
        let early = other.try_io(Interest::READABLE, || read(&mut bytes));
        assert_eq!(early.unwrap_err().kind(), ErrorKind::WouldBlock);
        one.writable().await.unwrap();
        one.try_write(b"io").unwrap();
        let length = other
            .async_io(Interest::READABLE, || read(&mut bytes))
            .await
            .unwrap();
        assert_eq!(&bytes[..length], b"io");
    });
}

#[test]
fn ready_tells_what_is_possible() {
    on_each(|| async {
        let (one, other) = connected().await;
        let ready = one
            .ready(Interest::READABLE | Interest::WRITABLE)
            .await
            .unwrap();
        assert!(ready.is_writable() && !ready.is_read_closed());
        other.writable().await.unwrap();
        other.try_write(b"x").unwrap();
        one.readable().await.unwrap();
        assert!(one.ready(Interest::READABLE).await.unwrap().is_readable());
        drop(other);
        loop {
            let ready = one.ready(Interest::READABLE).await.unwrap();
            if ready.is_read_closed() {
                break;
            }
            let _ = one.try_read(&mut [0; 8]);
            runtime::task::yield_now().await;
        }
    });
}

#[test]
fn readable_wakes_several_tasks() {
    on_each(|| async {
        let (one, other) = connected().await;
        let other = Arc::new(other);
        assert!(other.try_read(&mut [0]).is_err(), "nothing is there yet");
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let other = other.clone();
                runtime::spawn(async move { other.readable().await })
            })
            .collect();
        runtime::task::yield_now().await;
        one.writable().await.unwrap();
        one.try_write(b"x").unwrap();
        for task in waiting {
            task.await.unwrap().unwrap();
        }
    });
}

#[test]
fn vectored_transfers() {
    on_each(|| async {
        let (mut one, other) = connected().await;
        assert!(one.is_write_vectored());
        let parts = [
            IoSlice::new(b"one "),
            IoSlice::new(b"two "),
            IoSlice::new(b"three"),
        ];
        assert_eq!(one.write_vectored(&parts).await.unwrap(), 13);
        let (mut first, mut second) = ([0; 4], [0; 64]);
        other.readable().await.unwrap();
        let length = loop {
            let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            match other.try_read_vectored(&mut parts) {
                Ok(length) => break length,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            other.readable().await.unwrap();
        };
        assert_eq!(length, 13);
        assert_eq!(&first, b"one ");
        assert_eq!(&second[..9], b"two three");
        assert_eq!(
            other.try_write_vectored(&[IoSlice::new(b"back")]).unwrap(),
            4
        );
        let mut back = [0; 4];
        one.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"back");
    });
}

#[test]
fn buffers_that_grow_and_shrink() {
    on_each(|| async {
        let (mut one, mut other) = connected().await;
        let mut rest: &[u8] = b"buffered";
        while !rest.is_empty() {
            one.write_buf(&mut rest).await.unwrap();
        }
        let mut all = Vec::with_capacity(2);
        while all.len() < 8 {
            assert!(other.read_buf(&mut all).await.unwrap() > 0);
        }
        assert_eq!(all, b"buffered");
        let mut whole: &[u8] = b"all of it";
        one.write_all_buf(&mut whole).await.unwrap();
        one.flush().await.unwrap();
        let mut nine = [0; 9];
        other.read_exact(&mut nine).await.unwrap();
        drop(one);
        let early = other.read_exact(&mut nine).await.unwrap_err();
        assert_eq!(early.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(other.read(&mut []).await.unwrap(), 0);
    });
}

#[test]
fn reads_lose_nothing_when_they_are_cancelled() {
    on_each(|| async {
        let (mut one, mut other) = connected().await;
        let writer = runtime::spawn(async move {
            for number in 0..200_u8 {
                one.write_all(&[number]).await.unwrap();
                runtime::task::yield_now().await;
            }
        });
        let mut all = Vec::new();
        let mut part = [0; 4];
        loop {
            runtime::select! {
                biased;
                length = other.read(&mut part) => match length.unwrap() {
                    0 => break,
                    length => all.extend_from_slice(&part[..length]),
                },
                () = runtime::task::yield_now() => {}
            }
        }
        writer.await.unwrap();
        assert!(all.into_iter().eq(0..200));
    });
}

#[test]
fn sockets_come_from_std_and_go_back() {
    on_each(|| async {
        let listener = std::net::TcpListener::bind(ANY).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.set_nonblocking(true).unwrap();
        let mut client = TcpStream::from_std(client).unwrap();
        client.write_all(b"there").await.unwrap();
        // Back to std, where it may even be registered anew.
        let server = server.into_std().unwrap();
        let mut server = TcpStream::from_std(server).unwrap();
        let mut word = [0; 5];
        server.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"there");
        let mut server = server.into_std().unwrap();
        server.set_nonblocking(false).unwrap();
        client.write_all(b"again").await.unwrap();
        server.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"again");
        let listener = listener.into_std().unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
    });
}

#[test]
fn a_refused_connection_says_so() {
    on_each(|| async {
        let free = std::net::TcpListener::bind(ANY)
            .unwrap()
            .local_addr()
            .unwrap();
        let error = TcpStream::connect(free).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // The addresses are tried in turn; the last error is told, or the first success.
        let listener = TcpListener::bind(ANY).await.unwrap();
        let both = [free, listener.local_addr().unwrap()];
        TcpStream::connect(&both[..]).await.unwrap();
        let none: &[SocketAddr] = &[];
        let error = TcpStream::connect(none).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_taken_port_says_so() {
    on_each(|| async {
        let first = TcpListener::bind(ANY).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = TcpListener::bind(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(
            error.to_string().to_lowercase().contains("in use"),
            "{error}"
        );
        drop(first);
        TcpListener::bind(address).await.unwrap();
    });
}

#[test]
fn the_address_may_be_a_name_or_a_string() {
    on_each(|| async {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (client, server) =
            runtime::join!(TcpStream::connect(("localhost", port)), listener.accept());
        client.unwrap();
        server.unwrap();
        let error = TcpListener::bind("no port in here").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn options_are_kept() {
    on_each(|| async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        assert!(socket.reuseaddr().unwrap());
        socket.set_keepalive(true).unwrap();
        assert!(socket.keepalive().unwrap());
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        assert!(socket.recv_buffer_size().unwrap() >= 32 * 1024);
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(16).unwrap();
        listener.set_ttl(42).unwrap();
        assert_eq!(listener.ttl().unwrap(), 42);
        let address = listener.local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let (client, server) = runtime::join!(socket.connect(address), listener.accept());
        let (client, _server) = (client.unwrap(), server.unwrap());
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        client.set_ttl(43).unwrap();
        assert_eq!(client.ttl().unwrap(), 43);
        assert!(client.take_error().unwrap().is_none());
    });
}

#[test]
fn accept_may_be_dropped_without_losing_a_connection() {
    on_each(|| async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..20 {
            assert!(poll_once(Box::pin(listener.accept())).await.is_pending());
        }
        let client = TcpStream::connect(address).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

#[test]
fn no_connection_is_missed_that_comes_while_the_queue_is_found_empty() {
    const CLIENTS: usize = 3;
    const CONNECTIONS: usize = 1000;
    on_each(|| async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        // A connection takes a client some times what the listener needs for it: the queue is empty again and again when the next one comes.
        let clients = [(); CLIENTS].map(|()| {
            std::thread::spawn(move || {
                for _ in 0..CONNECTIONS {
                    std::net::TcpStream::connect(address).unwrap();
                }
            })
        });
        for _ in 0..CLIENTS * CONNECTIONS {
            listener.accept().await.unwrap();
        }
        for client in clients {
            client.join().unwrap();
        }
    });
}

#[test]
fn several_tasks_may_accept_from_one_listener() {
    on_each(|| async {
        let listener = Arc::new(TcpListener::bind(ANY).await.unwrap());
        let address = listener.local_addr().unwrap();
        let accepting: Vec<_> = (0..10)
            .map(|_| {
                let listener = listener.clone();
                runtime::spawn(async move { listener.accept().await.unwrap().0 })
            })
            .collect();
        runtime::task::yield_now().await;
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        for task in accepting {
            task.await.unwrap();
        }
    });
}

#[test]
fn sockets_serve_other_runtimes_tasks() {
    let _watchdog = Watchdog::new(LIMIT);
    let (one, other) = (multi_thread(1), current_thread());
    let (mut left, right) = one.block_on(connected());
    // Registered with the first runtime, used on the second.
    one.spawn(echo(right));
    other.block_on(async {
        for number in 0..100 {
            let mut byte = [0];
            left.write_all(&[number]).await.unwrap();
            left.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [number]);
        }
    });
}

#[test]
fn descriptors_are_used_again_without_mixing_up_connections() {
    on_multi_thread(async {
        // Closed and opened at once, so that the same numbers come back while old events may
        // still be under way.
        for round in 0..300_u32 {
            let (mut one, mut other) = connected().await;
            let reading = runtime::spawn(async move {
                let mut word = [0; 4];
                other.read_exact(&mut word).await.unwrap();
                u32::from_be_bytes(word)
            });
            one.write_all(&round.to_be_bytes()).await.unwrap();
            drop(one);
            assert_eq!(reading.await.unwrap(), round);
        }
    });
}

#[test]
fn a_connect_that_never_ends_can_be_given_up() {
    on_each(|| async {
        // A backlog that is full: the kernel drops further SYNs.
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut connecting = Vec::new();
        for _ in 0..8 {
            match timeout(Duration::from_millis(20), TcpStream::connect(address)).await {
                Ok(stream) => connecting.push(stream.unwrap()),
                Err(_) => return,
            }
        }
        panic!("eight connections fit into a backlog of none");
    });
}
