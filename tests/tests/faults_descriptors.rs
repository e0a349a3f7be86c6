//! Too many open files. Each test has a process of its own, whose limit it lowers.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use runtime::net::{TcpListener, TcpStream};
use runtime::runtime::Builder;
use runtime::time::{self, sleep, timeout};
use runtime_tests::process::{cpu_time, descriptors, exhaust_descriptors, is_too_many_files};
use runtime_tests::{LIMIT, Watchdog, child, counting_waker, current_thread, multi_thread};
use socket2::{Domain, Socket, Type};

const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Clients that have their descriptor already and only need to connect.
fn clients(count: usize) -> Vec<Socket> {
    (0..count)
        .map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap())
        .collect()
}

fn connect(client: &Socket, address: SocketAddr) {
    client.connect(&address.into()).unwrap();
}

#[test]
fn accept_says_so_and_recovers() {
    child::run("accept_says_so_and_recovers", || {
        let _watchdog = Watchdog::new(LIMIT);
        for runtime in [current_thread(), multi_thread(2)] {
            runtime.block_on(async {
                let listener = TcpListener::bind(ANY).await.unwrap();
                let address = listener.local_addr().unwrap();
                let clients = clients(2);
                let mut files = exhaust_descriptors();
                connect(&clients[0], address);
                connect(&clients[1], address);
                let error = listener.accept().await.unwrap_err();
                assert!(is_too_many_files(&error), "{error}");
                // Timers and tasks are none the worse for it.
                runtime::spawn(sleep(Duration::from_millis(1)))
                    .await
                    .unwrap();
                files.pop();
                let accepted = loop {
                    match listener.accept().await {
                        Ok((stream, _)) => break stream,
                        Err(error) => assert!(is_too_many_files(&error), "{error}"),
                    }
                };
                // The one just accepted took the free place; closing it makes room again.
                let error = listener.accept().await.unwrap_err();
                assert!(is_too_many_files(&error), "{error}");
                drop(accepted);
                while let Err(error) = listener.accept().await {
                    assert!(is_too_many_files(&error), "{error}");
                }
            });
        }
    });
}

#[test]
fn a_closed_socket_ends_the_pause() {
    child::run("a_closed_socket_ends_the_pause", || {
        let _watchdog = Watchdog::new(LIMIT);
        current_thread().block_on(async {
            let listener = TcpListener::bind(ANY).await.unwrap();
            let address = listener.local_addr().unwrap();
            let clients = clients(2);
            connect(&clients[0], address);
            let (accepted, _) = listener.accept().await.unwrap();
            let _files = exhaust_descriptors();
            connect(&clients[1], address);
            let error = listener.accept().await.unwrap_err();
            assert!(is_too_many_files(&error), "{error}");
            // From here on no time passes: nothing but the socket can end the pause.
            time::pause();
            let (waker, wakes) = counting_waker();
            let mut cx = Context::from_waker(&waker);
            let mut accept = pin!(listener.accept());
            assert!(accept.as_mut().poll(&mut cx).is_pending());
            // Another waits by the other way.
            assert!(listener.poll_accept(&mut cx).is_pending());
            assert_eq!(wakes.count(), 0);
            drop(accepted);
            assert!(wakes.count() >= 1, "the one who waits is told");
            let Poll::Ready(Ok(_)) = accept.as_mut().poll(&mut cx) else {
                panic!("there is room for it again");
            };
        });
    });
}

#[test]
fn a_server_that_accepts_in_a_loop_does_not_spin() {
    child::run("a_server_that_accepts_in_a_loop_does_not_spin", || {
        let _watchdog = Watchdog::new(LIMIT);
        for runtime in [current_thread(), multi_thread(2)] {
            runtime.block_on(async {
                let listener = TcpListener::bind(ANY).await.unwrap();
                let client = clients(1).remove(0);
                let _files = exhaust_descriptors();
                connect(&client, listener.local_addr().unwrap());
                let mut errors = 0_u32;
                let before = cpu_time();
                let start = Instant::now();
                let server = async {
                    loop {
                        let error = listener.accept().await.unwrap_err();
                        assert!(is_too_many_files(&error), "{error}");
                        errors += 1;
                    }
                };
                let over: Result<(), _> = timeout(Duration::from_millis(500), server).await;
                assert!(over.is_err());
                // Every 10 ms, as long as it took; a spin makes some ten thousand.
                let most = start.elapsed().as_millis() / 10 + 10;
                assert!(
                    u128::from(errors) <= most,
                    "{errors} errors in {:?}",
                    start.elapsed()
                );
                assert!(errors >= 1);
                let used = cpu_time() - before;
                assert!(used < Duration::from_millis(250), "{used:?} of CPU time");
            });
        }
    });
}

#[test]
fn connect_says_so() {
    child::run("connect_says_so", || {
        let _watchdog = Watchdog::new(LIMIT);
        for runtime in [current_thread(), multi_thread(2)] {
            runtime.block_on(async {
                let listener = TcpListener::bind(ANY).await.unwrap();
                let address = listener.local_addr().unwrap();
                let files = exhaust_descriptors();
                let error = TcpStream::connect(address).await.unwrap_err();
                assert!(is_too_many_files(&error), "{error}");
                let error = TcpListener::bind(ANY).await.unwrap_err();
                assert!(is_too_many_files(&error), "{error}");
                drop(files);
                TcpStream::connect(address).await.unwrap();
            });
        }
    });
}

#[test]
fn the_builder_says_so_and_leaves_nothing_behind() {
    child::run("the_builder_says_so_and_leaves_nothing_behind", || {
        let _watchdog = Watchdog::new(LIMIT);
        // So that what the process opens once and keeps is open already.
        for runtime in [current_thread(), multi_thread(2)] {
            runtime.block_on(runtime.spawn(async {})).unwrap();
        }
        let mut files = exhaust_descriptors();
        let (mut refused, mut built) = (0, 0);
        // With no descriptor to spare, then one, two, three …
        for spare in 0..16 {
            let free = descriptors_free(&files);
            for multi in [false, true] {
                let mut builder = if multi {
                    Builder::new_multi_thread()
                } else {
                    Builder::new_current_thread()
                };
                match builder.worker_threads(2).enable_all().build() {
                    Ok(runtime) => {
                        runtime.block_on(runtime.spawn(async {})).unwrap();
                        built += 1;
                    }
                    Err(error) => {
                        assert!(is_too_many_files(&error), "{spare} to spare: {error}");
                        refused += 1;
                    }
                }
            }
            assert_eq!(descriptors_free(&files), free, "{spare} to spare");
            files.pop();
        }
        assert!(
            refused >= 2 && built >= 2,
            "{refused} refused, {built} built"
        );
    });
}

/// Returns how many descriptors can still be opened, without a descriptor to look with.
fn descriptors_free(open: &[std::fs::File]) -> usize {
    let mut more = Vec::new();
    while let Ok(file) = open[0].try_clone() {
        more.push(file);
    }
    more.len()
}

#[test]
fn nothing_is_leaked_by_refused_connections() {
    child::run("nothing_is_leaked_by_refused_connections", || {
        let _watchdog = Watchdog::new(LIMIT);
        let runtime = multi_thread(2);
        runtime.block_on(async {
            let free = std::net::TcpListener::bind(ANY)
                .unwrap()
                .local_addr()
                .unwrap();
            let listener = TcpListener::bind(ANY).await.unwrap();
            let before = descriptors();
            for _ in 0..200 {
                assert!(TcpStream::connect(free).await.is_err());
                assert!(
                    TcpListener::bind(listener.local_addr().unwrap())
                        .await
                        .is_err()
                );
            }
            assert_eq!(descriptors(), before);
        });
    });
}
