//! Unix domain sockets: streams, datagrams, paths and credentials.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use runtime::net::{UnixDatagram, UnixListener, UnixStream};
use runtime_tests::{on_each, poll_once};

/// A path for one socket, removed at the end.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new() -> SocketPath {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("runtime-tests-{}-{number}", std::process::id());
        SocketPath(std::env::temp_dir().join(name))
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn streams_by_path() {
    on_each(|| async {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path.0).unwrap();
        let server = runtime::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            stream
                .write_all(text.to_uppercase().as_bytes())
                .await
                .unwrap();
        });
        let mut client = UnixStream::connect(&path.0).await.unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path.0));
        assert!(client.local_addr().unwrap().is_unnamed());
        client.write_all(b"quiet").await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "QUIET");
        server.await.unwrap();
    });
}

#[test]
fn a_pair_carries_much_in_both_directions() {
    on_each(|| async {
        const LENGTH: usize = 2 << 20;
        let (one, other) = UnixStream::pair().unwrap();
        let tasks: Vec<_> = [one, other]
            .into_iter()
            .map(|stream| {
                runtime::spawn(async move {
                    let (mut reads, mut writes) = stream.into_split();
                    let writer = runtime::spawn(async move {
                        writes.write_all(&vec![5; LENGTH]).await.unwrap();
                    });
                    let mut all = Vec::new();
                    reads.read_to_end(&mut all).await.unwrap();
                    writer.await.unwrap();
                    assert!(all.len() == LENGTH && all.iter().all(|&byte| byte == 5));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn credentials_are_those_of_this_process() {
    on_each(|| async {
        let (one, _other) = UnixStream::pair().unwrap();
        let credentials = one.peer_cred().unwrap();
        assert_eq!(credentials.uid(), rustix::process::getuid().as_raw());
        assert_eq!(credentials.gid(), rustix::process::getgid().as_raw());
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(credentials.pid(), Some(own));
    });
}

#[test]
fn missing_and_taken_paths_are_errors() {
    on_each(|| async {
        let path = SocketPath::new();
        let error = UnixStream::connect(&path.0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let listener = UnixListener::bind(&path.0).unwrap();
        let error = UnixListener::bind(&path.0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(listener);
        let error = UnixStream::connect(&path.0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_full_backlog_is_waited_for() {
    on_each(|| async {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path.0).unwrap();
        // More than any backlog: connecting waits until there is room again.
        let connecting: Vec<_> = (0..300)
            .map(|_| {
                let path = path.0.clone();
                runtime::spawn(async move {
                    loop {
                        match UnixStream::connect(&path).await {
                            Ok(stream) => return stream,
                            // Linux says "try again" rather than let one wait.
                            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                        }
                        runtime::task::yield_now().await;
                    }
                })
            })
            .collect();
        for _ in 0..300 {
            listener.accept().await.unwrap();
        }
        for task in connecting {
            task.await.unwrap();
        }
    });
}

#[test]
fn reunite_and_borrowed_halves() {
    on_each(|| async {
        let (one, mut other) = UnixStream::pair().unwrap();
        let (reads, writes) = one.into_split();
        let (foreign_reads, _foreign_writes) = UnixStream::pair().unwrap().0.into_split();
        let error = foreign_reads.reunite(writes).unwrap_err();
        let mut one = reads.reunite(error.1).unwrap();
        let (mut reads, mut writes) = one.split();
        writes.write_all(b"to").await.unwrap();
        other.write_all(b"fro").await.unwrap();
        let mut three = [0; 3];
        reads.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"fro");
    });
}

#[test]
fn datagrams_keep_their_bounds() {
    on_each(|| async {
        let (one, other) = UnixDatagram::pair().unwrap();
        for message in [&b"one"[..], b"two "] {
            one.send(message).await.unwrap();
        }
        let mut buffer = [0; 16];
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 3);
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
        assert_eq!(
            other.try_recv(&mut buffer).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
    });
}

#[test]
fn datagrams_by_path_know_their_sender() {
    on_each(|| async {
        let (here, there) = (SocketPath::new(), SocketPath::new());
        let one = UnixDatagram::bind(&here.0).unwrap();
        let other = UnixDatagram::bind(&there.0).unwrap();
        one.send_to(b"hello", &there.0).await.unwrap();
        let mut buffer = [0; 16];
        let (length, sender) = other.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"hello");
        assert_eq!(sender.as_pathname(), Some(&*here.0));
        let nameless = UnixDatagram::unbound().unwrap();
        nameless.connect(&there.0).unwrap();
        nameless.send(b"psst").await.unwrap();
        let (_, sender) = other.recv_from(&mut buffer).await.unwrap();
        assert!(sender.is_unnamed());
        drop(other);
        assert!(one.send_to(b"gone", &there.0).await.is_err());
    });
}

#[test]
fn a_writer_waits_for_room() {
    on_each(|| async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut sent = 0;
        while one.try_send(&[0; 1024]).is_ok() {
            sent += 1;
        }
        assert!(poll_once(Box::pin(one.send(&[1; 1024]))).await.is_pending());
        let sending = runtime::spawn(async move { one.send(&[1; 1024]).await });
        let mut buffer = [0; 1024];
        for _ in 0..sent {
            other.recv(&mut buffer).await.unwrap();
            assert_eq!(buffer[0], 0);
        }
        other.recv(&mut buffer).await.unwrap();
        assert_eq!(buffer[0], 1);
        sending.await.unwrap().unwrap();
    });
}

#[test]
fn sockets_come_from_std_and_go_back() {
    on_each(|| async {
        let path = SocketPath::new();
        let listener = std::os::unix::net::UnixListener::bind(&path.0).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        let client = std::os::unix::net::UnixStream::connect(&path.0).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut client = UnixStream::from_std(client).unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut server = UnixStream::from_std(server.into_std().unwrap()).unwrap();
        client.write_all(b"ok").await.unwrap();
        server.read_exact(&mut [0; 2]).await.unwrap();
        drop(UnixListener::from_std(listener.into_std().unwrap()).unwrap());
    });
}
