//! UDP: datagrams keep their bounds, connected or not.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use runtime::io::{Interest, ReadBuf};
use runtime::net::UdpSocket;
use runtime::time::timeout;
use runtime_tests::{on_each, poll_once};

const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

async fn two() -> (UdpSocket, UdpSocket) {
    let (one, other) = (
        UdpSocket::bind(ANY).await.unwrap(),
        UdpSocket::bind(ANY).await.unwrap(),
    );
    one.connect(other.local_addr().unwrap()).await.unwrap();
    other.connect(one.local_addr().unwrap()).await.unwrap();
    (one, other)
}

#[test]
fn datagrams_are_answered() {
    on_each(|| async {
        let server = UdpSocket::bind(ANY).await.unwrap();
        let address = server.local_addr().unwrap();
        let echo = runtime::spawn(async move {
            let mut buffer = [0; 64];
            for _ in 0..100 {
                let (length, peer) = server.recv_from(&mut buffer).await.unwrap();
                assert_eq!(
                    server.send_to(&buffer[..length], peer).await.unwrap(),
                    length
                );
            }
        });
        let client = UdpSocket::bind(ANY).await.unwrap();
        for number in 0..100_u8 {
            let mut answer = [0; 64];
            client.send_to(&[number; 3], address).await.unwrap();
            let (length, peer) = client.recv_from(&mut answer).await.unwrap();
            assert_eq!((&answer[..length], peer), (&[number; 3][..], address));
        }
        echo.await.unwrap();
    });
}

#[test]
fn bounds_are_kept_and_what_does_not_fit_is_cut_off() {
    on_each(|| async {
        let (one, other) = two().await;
        for message in [&b"first"[..], b"", b"third is longer"] {
            assert_eq!(one.send(message).await.unwrap(), message.len());
        }
        let mut buffer = [0; 64];
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 5);
        assert_eq!(
            other.recv(&mut buffer).await.unwrap(),
            0,
            "an empty datagram is one too"
        );
        assert_eq!(other.recv(&mut buffer[..5]).await.unwrap(), 5);
        assert_eq!(&buffer[..5], b"third");
        assert!(
            poll_once(Box::pin(other.recv(&mut buffer)))
                .await
                .is_pending()
        );
    });
}

#[test]
fn several_in_one_burst_are_all_read() {
    on_each(|| async {
        let (one, other) = two().await;
        // A read that does not fill its buffer must not be taken for the end of the queue.
        let reading = runtime::spawn(async move {
            let mut sum = 0;
            for _ in 0..50 {
                let mut buffer = [0; 64];
                let length = timeout(Duration::from_secs(20), other.recv(&mut buffer))
                    .await
                    .expect("a datagram was forgotten")
                    .unwrap();
                assert_eq!(length, 1);
                sum += u32::from(buffer[0]);
            }
            sum
        });
        runtime::task::yield_now().await;
        for number in 0..50 {
            one.send(&[number]).await.unwrap();
        }
        assert_eq!(reading.await.unwrap(), 49 * 50 / 2);
    });
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    on_each(|| async {
        let (one, other) = two().await;
        let stranger = UdpSocket::bind(ANY).await.unwrap();
        stranger
            .send_to(b"psst", other.local_addr().unwrap())
            .await
            .unwrap();
        one.send(b"peer").await.unwrap();
        let mut buffer = [0; 8];
        let length = other.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"peer");
        assert_eq!(other.peer_addr().unwrap(), one.local_addr().unwrap());
    });
}

#[test]
fn peek_leaves_the_datagram() {
    on_each(|| async {
        let (one, other) = two().await;
        one.send(b"look").await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(other.peek(&mut buffer).await.unwrap(), 4);
        assert_eq!(
            other.peek_from(&mut buffer).await.unwrap(),
            (4, one.local_addr().unwrap())
        );
        assert_eq!(
            other.peek_sender().await.unwrap(),
            one.local_addr().unwrap()
        );
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
    });
}

#[test]
fn try_operations_never_wait() {
    on_each(|| async {
        let (one, other) = two().await;
        let mut buffer = [0; 8];
        assert_eq!(
            other.try_recv(&mut buffer).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        one.writable().await.unwrap();
        one.try_send(b"now").unwrap();
        other.readable().await.unwrap();
        let (length, peer) = other.try_recv_from(&mut buffer).unwrap();
        assert_eq!((length, peer), (3, one.local_addr().unwrap()));
        assert_eq!(
            other.try_recv_from(&mut buffer).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        let ready = other.ready(Interest::WRITABLE).await.unwrap();
        assert!(ready.is_writable());
    });
}

#[test]
fn an_unreachable_peer_is_an_error_and_the_socket_lives_on() {
    on_each(|| async {
        let one = UdpSocket::bind(ANY).await.unwrap();
        let gone: SocketAddr = std::net::UdpSocket::bind(ANY)
            .unwrap()
            .local_addr()
            .unwrap();
        one.connect(gone).await.unwrap();
        one.send(b"anybody?").await.unwrap();
        let error = one.recv(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let other = UdpSocket::bind(ANY).await.unwrap();
        one.connect(other.local_addr().unwrap()).await.unwrap();
        one.send(b"you").await.unwrap();
        assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 3);
    });
}

#[test]
fn one_socket_sends_and_receives_in_several_tasks() {
    on_each(|| async {
        let (one, other) = two().await;
        let (one, other) = (Arc::new(one), Arc::new(other));
        let receives = one.clone();
        let receiver = runtime::spawn(async move {
            for _ in 0..50 {
                receives.recv(&mut [0; 8]).await.unwrap();
            }
        });
        let echo = runtime::spawn(async move {
            let mut buffer = [0; 8];
            for _ in 0..50 {
                let length = other.recv(&mut buffer).await.unwrap();
                other.send(&buffer[..length]).await.unwrap();
            }
        });
        for _ in 0..50 {
            one.send(b"x").await.unwrap();
        }
        echo.await.unwrap();
        receiver.await.unwrap();
    });
}

#[test]
fn sockets_come_from_std_and_go_back() {
    on_each(|| async {
        let socket = std::net::UdpSocket::bind(ANY).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let socket = UdpSocket::from_std(socket).unwrap();
        let socket = UdpSocket::from_std(socket.into_std().unwrap()).unwrap();
        assert_eq!(socket.local_addr().unwrap(), address);
        socket.send_to(b"self", address).await.unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).await.unwrap(), 4);
    });
}

#[test]
fn options_and_multicast() {
    on_each(|| async {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).await.unwrap();
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
        socket.set_ttl(33).unwrap();
        assert_eq!(socket.ttl().unwrap(), 33);
        socket.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 3);
        socket.set_multicast_loop_v4(false).unwrap();
        assert!(!socket.multicast_loop_v4().unwrap());
        assert!(socket.take_error().unwrap().is_none());
        let error = socket.join_multicast_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED);
        assert!(error.is_err(), "127.0.0.1 is no group");
    });
}

#[test]
fn a_datagram_is_looked_at_and_taken_with_its_sender() {
    on_each(|| async {
        let (one, other) = two().await;
        let sender = one.local_addr().unwrap();
        // A buffer that has something in it already keeps it.
        let mut memory = [0; 16];
        let mut buffer = ReadBuf::new(&mut memory);
        buffer.put_slice(b"> ");
        assert!(
            poll_once(poll_fn(|cx| other.poll_peek_from(cx, &mut buffer)))
                .await
                .is_pending()
        );
        assert!(
            poll_once(poll_fn(|cx| other.poll_recv_from(cx, &mut buffer)))
                .await
                .is_pending()
        );
        let kind = |result: std::io::Result<_>| {
            result
                .map(|(n, _): (usize, SocketAddr)| n)
                .unwrap_err()
                .kind()
        };
        assert_eq!(
            kind(other.try_recv_buf_from(&mut Vec::with_capacity(8))),
            ErrorKind::WouldBlock
        );

        one.send(b"first").await.unwrap();
        one.send(b"second").await.unwrap();
        one.send(b"third").await.unwrap();
        let peeked = poll_fn(|cx| other.poll_peek_from(cx, &mut buffer)).await;
        assert_eq!(
            (peeked.unwrap(), buffer.filled()),
            (sender, &b"> first"[..])
        );
        let taken = poll_fn(|cx| other.poll_recv_from(cx, &mut buffer)).await;
        assert_eq!(
            (taken.unwrap(), buffer.filled()),
            (sender, &b"> firstfirst"[..])
        );
        let mut bytes = b"> ".to_vec();
        bytes.reserve(6);
        assert_eq!(other.recv_buf_from(&mut bytes).await.unwrap(), (6, sender));
        bytes.reserve(5);
        other.readable().await.unwrap();
        assert_eq!(other.try_recv_buf_from(&mut bytes).unwrap(), (5, sender));
        assert_eq!(bytes, b"> secondthird");
    });
}
