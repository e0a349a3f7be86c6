//! Operations that are given up again and again, as `select!` does, while what they wait for comes: nothing is lost and nothing comes
//! twice. Each is dropped whenever it was not ready at its first poll.

use std::net::Ipv4Addr;
use std::pin::pin;
use std::task::Poll;

use runtime::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream};
use runtime::signal::unix::{SignalKind, signal};
use runtime::sync::oneshot;
use runtime::task::yield_now;
use runtime_tests::{on_each, poll_once};
use rustix::process::{Signal, getpid, kill_process};

/// How many messages, bytes or connections.
const MANY: u8 = 100;

/// Tries an operation until it is ready at its first poll; returns its output.
async fn again_and_again<T>(mut operation: impl AsyncFnMut() -> T) -> T {
    loop {
        if let Some(output) = once(&mut operation).await {
            return output;
        }
        yield_now().await;
    }
}

/// Polls an operation once, and gives it up unless it is ready.
async fn once<T>(mut operation: impl AsyncFnMut() -> T) -> Option<T> {
    let mut attempt = pin!(operation());
    match poll_once(attempt.as_mut()).await {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What comes only after those who wait have had their turn.
async fn slowly(number: u8) -> u8 {
    for _ in 0..1 + number % 3 {
        yield_now().await;
    }
    number
}

#[test]
fn datagrams() {
    on_each(|| async {
        let one = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (from, to) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let receive = async || {
            let mut byte = [0];
            (other.recv_from(&mut byte).await.unwrap(), byte)
        };
        assert_eq!(once(receive).await, None);
        let sender = runtime::spawn(async move {
            for number in 0..MANY {
                let number = slowly(number).await;
                assert_eq!(one.send_to(&[number], to).await.unwrap(), 1);
            }
        });
        for number in 0..MANY {
            assert_eq!(again_and_again(receive).await, ((1, from), [number]));
        }
        sender.await.unwrap();

        let (one, other) = UnixDatagram::pair().unwrap();
        let receive = async || {
            let mut byte = [0];
            (other.recv(&mut byte).await.unwrap(), byte)
        };
        assert_eq!(once(receive).await, None);
        let sender = runtime::spawn(async move {
            for number in 0..MANY {
                assert_eq!(one.send(&[slowly(number).await]).await.unwrap(), 1);
            }
        });
        for number in 0..MANY {
            assert_eq!(again_and_again(receive).await, (1, [number]));
        }
        sender.await.unwrap();
    });
}

#[test]
fn writes() {
    on_each(|| async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let block: Vec<u8> = (0..60_000_u32).map(|n| n as u8).collect();
        // What is written is told, and what is given up was not written.
        let mut write = async || one.write(&block).await.unwrap();
        let mut expected = Vec::new();
        while let Some(written) = once(&mut write).await {
            expected.extend_from_slice(&block[..written]);
        }
        let reader = runtime::spawn(async move {
            let mut all = Vec::new();
            let mut part = vec![0; 10_000];
            while let count @ 1.. = other.read(&mut part).await.unwrap() {
                all.extend_from_slice(&part[..count]);
                yield_now().await;
            }
            all
        });
        for _ in 0..40 {
            let written = again_and_again(&mut write).await;
            expected.extend_from_slice(&block[..written]);
        }
        drop(one);
        assert!(reader.await.unwrap() == expected, "each byte arrives once");
    });
}

#[test]
fn connections() {
    on_each(|| async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accept = async || listener.accept().await.unwrap().1;
        assert_eq!(once(accept).await, None);
        let clients = runtime::spawn(async move {
            let mut clients = Vec::new();
            for number in 0..MANY / 4 {
                slowly(number).await;
                clients.push(TcpStream::connect(address).await.unwrap());
            }
            clients
        });
        let mut peers = Vec::new();
        for _ in 0..MANY / 4 {
            peers.push(again_and_again(accept).await);
        }
        let clients = clients.await.unwrap();
        let connected: Vec<_> = clients.iter().map(|it| it.local_addr().unwrap()).collect();
        assert_eq!(peers, connected, "each is accepted once, in order");
    });
}

#[test]
fn signals() {
    on_each(|| async {
        let mut listener = signal(SignalKind::window_change()).unwrap();
        let mut hear = async || listener.recv().await;
        assert_eq!(once(&mut hear).await, None);
        for number in 0..MANY / 4 {
            let raiser = runtime::spawn(async move {
                slowly(number).await;
                kill_process(getpid(), Signal::WINCH).unwrap();
            });
            again_and_again(&mut hear).await.unwrap();
            raiser.await.unwrap();
        }
        assert_eq!(once(&mut hear).await, None, "each is heard once");
    });
}

#[test]
fn handles() {
    on_each(|| async {
        for number in 0..MANY {
            let (go_on, may_go_on) = oneshot::channel();
            let mut task = runtime::spawn(async move {
                let () = may_go_on.await.unwrap();
                number
            });
            let mut join = async || (&mut task).await.unwrap();
            assert_eq!(once(&mut join).await, None);
            go_on.send(()).unwrap();
            assert_eq!(again_and_again(&mut join).await, number);
        }
    });
}
