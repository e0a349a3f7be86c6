//! Closed loops: each connection sends its next request when it has the echo of the last one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::{connect, report};
use crate::process;
use crate::stats::quantile;

/// What a request of this size carries, and its echo.
fn message(size: usize) -> Vec<u8> {
    // No power of two, so that a piece that is lost or comes twice shows.
    (0..size).map(|at| (at % 251) as u8).collect()
}

/// The requests of one window, from the first request to the last echo.
struct Window {
    /// When it began.
    start: Instant,
    /// The CPU time of this process at that time.
    cpu: Duration,
    /// How long each request took, in microseconds.
    times: Vec<f64>,
}

impl Window {
    fn start() -> Self {
        Self {
            start: Instant::now(),
            cpu: process::cpu_time(),
            // Enough for seconds, so that it does not move in between.
            times: Vec::with_capacity(1 << 20),
        }
    }

    /// Says how many requests in how many seconds, their p50 and p99 in microseconds, and our CPU seconds.
    fn report(mut self) {
        let seconds = self.start.elapsed().as_secs_f64();
        let cpu = (process::cpu_time() - self.cpu).as_secs_f64();
        let count = self.times.len();
        let p50 = quantile(&mut self.times, 0.5);
        let p99 = quantile(&mut self.times, 0.99);
        report(&format!("done {count} {seconds} {p50} {p99} {cpu}"));
    }
}

/// A single connection, on a blocking socket: nothing is cheaper.
pub fn single(address: SocketAddr, size: usize, warm_up: Duration, time: Duration) {
    let message = message(size);
    let mut echo = vec![0; size];
    let mut stream = connect(address);
    let mut drive = |time: Duration| {
        let mut window = Window::start();
        let mut sent_at = window.start;
        while sent_at - window.start < time {
            stream.write_all(&message).expect("the server reads");
            stream.read_exact(&mut echo).expect("the server answers");
            assert!(echo == message, "the echo differs from the request");
            let now = Instant::now();
            window.times.push((now - sent_at).as_secs_f64() * 1e6);
            sent_at = now;
        }
        window
    };
    drive(warm_up);
    report("start");
    drive(time).report();
}

/// A connection of [`many`].
struct Connection {
    /// Non-blocking.
    stream: TcpStream,
    /// When the request was sent.
    sent_at: Instant,
    /// How much of its echo has come.
    received: usize,
}

impl Connection {
    /// A request fits the socket's empty buffer, so it never blocks.
    fn request(&mut self, message: &[u8], now: Instant) {
        self.sent_at = now;
        self.received = 0;
        let sent = self.stream.write(message).expect("the server reads");
        assert_eq!(sent, message.len(), "the socket's buffer is empty");
    }

    /// Reads once; `true` if the echo is complete.
    fn advance(&mut self, message: &[u8], buffer: &mut [u8]) -> bool {
        let wanted = &message[self.received..];
        let count = self
            .stream
            .read(buffer)
            .expect("epoll saw a readable socket");
        assert_ne!(count, 0, "the server closed the connection");
        assert!(
            wanted.starts_with(&buffer[..count]),
            "the echo differs from the request"
        );
        self.received += count;
        self.received == message.len()
    }
}

/// Many connections, on edge-triggered epoll: a wait then does not look again at the sockets of the last one, and a read that
/// does not fill the buffer has emptied the socket (epoll(7)).
pub fn many(address: SocketAddr, count: usize, size: usize, warm_up: Duration, time: Duration) {
    let message = message(size);
    let mut buffer = vec![0; size + 1];
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("descriptors are left");
    let mut connections: Vec<_> = (0..count)
        .map(|index| {
            let stream = connect(address);
            stream
                .set_nonblocking(true)
                .expect("a socket can be non-blocking");
            let key = epoll::EventData::new_u64(index as u64);
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&poll, &stream, key, flags).expect("the socket is new to epoll");
            Connection {
                stream,
                sent_at: Instant::now(),
                received: 0,
            }
        })
        .collect();
    for connection in &mut connections {
        connection.request(&message, Instant::now());
    }
    let mut events = Vec::with_capacity(count);
    let mut drive = |time: Duration| {
        let mut window = Window::start();
        while window.start.elapsed() < time {
            events.clear();
            epoll::wait(&poll, spare_capacity(&mut events), None).expect("no signal handlers here");
            for event in &events {
                let connection = &mut connections[event.data.u64() as usize];
                if connection.advance(&message, &mut buffer) {
                    let now = Instant::now();
                    let time = now - connection.sent_at;
                    window.times.push(time.as_secs_f64() * 1e6);
                    connection.request(&message, now);
                }
            }
        }
        window
    };
    drive(warm_up);
    report("start");
    drive(time).report();
}
