//! Which public types and futures are `Send`, `Sync` and `Unpin`: one list for all.

use std::rc::Rc;
use std::time::Duration;

use runtime::io::unix::AsyncFd;
use runtime::net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, tcp, unix,
};
use runtime::runtime::{Builder, EnterGuard, Handle, Runtime, TryCurrentError};
use runtime::task::{AbortHandle, Id, JoinError, JoinHandle, JoinSet, LocalSet};
use runtime::time::{Instant, Interval, Sleep, Timeout, error::Elapsed};

/// Answers, for any type, whether it has a trait: an inherent constant for those that do is
/// preferred to the trait's for all.
macro_rules! has {
    ($type:ty, $trait:ident) => {{
        #[allow(dead_code)]
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code)]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[allow(dead_code)]
        impl<T: ?Sized + $trait> Probe<T> {
            const HAS: bool = true;
        }
        <Probe<$type>>::HAS
    }};
}

/// Lists for each type what it is and what it shall be.
macro_rules! types {
    ($($type:ty: $send:literal $sync:literal $unpin:literal;)*) => {
        [$((
            stringify!($type),
            [has!($type, Send), has!($type, Sync), has!($type, Unpin)],
            [$send, $sync, $unpin],
        )),*]
    };
}

#[test]
fn types_are_as_promised() {
    let table = types! {
        // Type: Send Sync Unpin
        Builder: true true true;
        Runtime: true true true;
        Handle: true true true;
        EnterGuard<'static>: false false true;
        TryCurrentError: true true true;
        JoinHandle<u32>: true true true;
        JoinHandle<Rc<u32>>: false false true;
        JoinError: true true true;
        AbortHandle: true true true;
        Id: true true true;
        JoinSet<u32>: true true true;
        JoinSet<Rc<u32>>: false false true;
        LocalSet: false false true;
        Sleep: true true true;
        Interval: true true true;
        Instant: true true true;
        Elapsed: true true true;
        Timeout<std::future::Ready<()>>: true true true;
        Timeout<std::future::Ready<Rc<()>>>: false false true;
        TcpListener: true true true;
        TcpSocket: true true true;
        TcpStream: true true true;
        tcp::ReadHalf<'static>: true true true;
        tcp::WriteHalf<'static>: true true true;
        tcp::OwnedReadHalf: true true true;
        tcp::OwnedWriteHalf: true true true;
        UdpSocket: true true true;
        UnixDatagram: true true true;
        UnixListener: true true true;
        UnixStream: true true true;
        unix::OwnedReadHalf: true true true;
        unix::OwnedWriteHalf: true true true;
        AsyncFd<std::fs::File>: true true true;
        runtime::io::Stdin: true true true;
        runtime::io::Stdout: true true true;
        runtime::io::Stderr: true true true;
        runtime::io::Interest: true true true;
        runtime::io::Ready: true true true;
        runtime::signal::unix::Signal: true true true;
        runtime::sync::mpsc::Sender<u32>: true true true;
        runtime::sync::oneshot::Receiver<u32>: true true true;
    };
    let wrong: Vec<_> = table.iter().filter(|(_, is, shall)| is != shall).collect();
    assert!(
        wrong.is_empty(),
        "[Send, Sync, Unpin] is, shall be: {wrong:#?}"
    );
}

/// Demands of a future that it is `Send`, and of its absence that the test fails to compile.
fn is_send<T: Send>(_: &T) {}

/// Demands of a future that it is `Sync` as well.
fn is_send_and_sync<T: Send + Sync>(_: &T) {}

#[test]
fn futures_of_async_functions_are_send_and_sync() {
    runtime_tests::on_multi_thread(async {
        let second = Duration::from_secs(1);
        let any = "127.0.0.1:0";
        is_send_and_sync(&runtime::time::sleep(second));
        is_send_and_sync(&runtime::time::timeout(second, async {}));
        is_send_and_sync(&runtime::task::yield_now());
        is_send_and_sync(&runtime::task::consume_budget());
        is_send_and_sync(&runtime::task::unconstrained(async {}));
        is_send_and_sync(&runtime::task::coop::cooperative(async {}));
        is_send(&runtime::signal::ctrl_c());
        is_send(&runtime::net::lookup_host(any));
        is_send(&TcpStream::connect(any));
        is_send(&TcpListener::bind(any));
        is_send(&UdpSocket::bind(any));

        let listener = TcpListener::bind(any).await.unwrap();
        let address = listener.local_addr().unwrap();
        is_send_and_sync(&listener.accept());
        let mut stream = TcpStream::connect(address).await.unwrap();
        is_send_and_sync(&stream.readable());
        is_send_and_sync(&stream.writable());
        is_send_and_sync(&stream.ready(runtime::io::Interest::READABLE));
        is_send_and_sync(&stream.peek(&mut [0]));
        is_send_and_sync(&stream.read(&mut [0]));
        is_send_and_sync(&stream.read_exact(&mut [0]));
        is_send_and_sync(&stream.read_to_end(&mut Vec::new()));
        is_send_and_sync(&stream.write(b""));
        is_send_and_sync(&stream.write_all(b""));
        is_send_and_sync(&stream.flush());
        is_send_and_sync(&stream.shutdown());

        let socket = UdpSocket::bind(any).await.unwrap();
        is_send_and_sync(&socket.readable());
        is_send_and_sync(&socket.send(b""));
        is_send_and_sync(&socket.recv(&mut [0]));
        is_send_and_sync(&socket.recv_from(&mut [0]));
        is_send(&socket.send_to(b"", address));

        let (one, _other) = UnixStream::pair().unwrap();
        is_send_and_sync(&one.readable());
        is_send(&UnixStream::connect("/nowhere"));
        let (one, _other) = UnixDatagram::pair().unwrap();
        is_send_and_sync(&one.recv(&mut [0]));

        let mut set = JoinSet::<u32>::new();
        is_send_and_sync(&set.join_next());
        is_send_and_sync(&set.shutdown());
        let mut every = runtime::time::interval(second);
        is_send_and_sync(&every.tick());
        let mut signal =
            runtime::signal::unix::signal(runtime::signal::unix::SignalKind::user_defined1())
                .unwrap();
        is_send_and_sync(&signal.recv());
    });
}
