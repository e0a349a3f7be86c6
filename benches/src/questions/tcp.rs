//! How fast do sockets answer?
//!
//! - `tcp_ping_pong`: client and server are two tasks of one runtime. Median round trip.
//! - `tcp_pairs_2`, `tcp_pairs_4`: as many of these at a time. Wall time for each round trip, and CPU time.
//! - `accept_churn_1`, `accept_churn_16`: connect, one byte there and back, close; one connection after the other, or sixteen
//!   at once, from as many threads of a client process. The server spawns a task for each. Connections per second, the
//!   server's CPU time for each, and the time from connect to the echo, p99.
//!
//! Read: connections per second, higher is better; microseconds, lower is better. Most of a connection's time is the kernel's: two
//! sockets made and unmade. The client competes with the server for two cores, so that the ratio is closer to 1 than it
//! would be with the client elsewhere.

use std::net::SocketAddr;
use std::sync::mpsc as thread_channel;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Effort, Goal, Question, metric};
use crate::client::{Client, Load, MESSAGE};
use crate::process;
use crate::rt::{Rt, in_io_task};
use crate::stats::{all_micros, median};

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::shared(
            "tcp_ping_pong",
            [metric("tcp_ping_pong", "µs p50", Goal::RatioAtMost(0.95))],
            |rt, effort| {
                let trips = effort.pick(10_000, 20);
                vec![median(&mut all_micros(ping_pong(rt, trips)))]
            },
        ),
        pairs_question(2),
        pairs_question(4),
        churn_question(1),
        churn_question(16),
    ]
}

/// An echo server in some process.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose CPU time counts.
    pub pid: u32,
}

impl Server {
    /// A server of this process.
    pub fn here(address: SocketAddr) -> Self {
        Self {
            address,
            pid: std::process::id(),
        }
    }
}

fn pairs_question<R: Rt>(pairs: usize) -> Question<R> {
    let name = format!("tcp_pairs_{pairs}");
    let metrics = [
        metric(&name, "µs/round trip", Goal::RatioAtMost(1.0)),
        metric(
            format!("{name}_cpu"),
            "µs/round trip",
            Goal::RatioAtMost(1.0),
        ),
    ];
    Question::own(name, metrics, move |rt: &R, effort: Effort| {
        let trips = effort.pick(60_000, 40) / pairs;
        let cpu = process::cpu_time_of(std::process::id());
        let start = Instant::now();
        let made = in_io_task(rt, async move {
            let tasks: Vec<_> = (0..pairs)
                .map(|_| R::spawn_io(round_trips::<R>(trips)))
                .collect();
            let mut made = 0;
            for task in tasks {
                let counted = task.await.expect("the pair does not panic").len();
                // The warm-up takes its time, too.
                made += counted + counted / 10;
            }
            made
        });
        let took = start.elapsed();
        let cpu = process::cpu_time_of(std::process::id()) - cpu;
        [took, cpu]
            .map(|time| time.as_secs_f64() * 1e6 / made as f64)
            .into()
    })
}

fn churn_question<R: Rt>(lanes: usize) -> Question<R> {
    let name = format!("accept_churn_{lanes}");
    let metrics = [
        metric(&name, "connections/s", Goal::RatioAtLeast(1.15)),
        metric(format!("{name}_cpu"), "µs/connection", Goal::Watched),
        metric(format!("{name}_p99"), "µs", Goal::Watched),
    ];
    Question::own(name, metrics, move |rt: &R, effort: Effort| {
        churn(&Server::here(serve(rt, 1024)), effort, lanes)
    })
}

/// Drives an echo server and returns the figures of `accept_churn_`.
pub fn churn(server: &Server, effort: Effort, lanes: usize) -> Vec<f64> {
    let connections = effort.pick(8000, 50);
    let mut client = Client::start(server.address, Load::Churn { lanes, connections });
    client.expect("start");
    let cpu = process::cpu_time_of(server.pid);
    let done = client.expect("done");
    let cpu = (process::cpu_time_of(server.pid) - cpu).as_secs_f64();
    let [count, seconds, _, p99] = done[..] else {
        panic!("the client says {done:?}");
    };
    vec![count / seconds, cpu * 1e6 / count, p99]
}

/// Starts a server that echoes, up to `buffer` bytes at once, and returns its address.
pub fn serve<R: Rt>(rt: &R, buffer: usize) -> SocketAddr {
    serve_each(rt, move |stream| echo_stream::<R>(stream, buffer))
}

/// Starts a server on the workers, with a task for each connection, and returns its address.
pub fn serve_each<R: Rt, F>(rt: &R, serve: impl Fn(R::Stream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let (tell, told) = thread_channel::channel();
    drop(rt.spawn_io_on(async move {
        let (listener, address) = R::bind().await;
        tell.send(address).expect("the thread waits");
        loop {
            let stream = R::accept(&listener).await;
            drop(R::spawn_io(serve(stream)));
        }
    }));
    told.recv().expect("the server tells its address")
}

/// Echoes until the peer closes the connection.
async fn echo_stream<R: Rt>(mut stream: R::Stream, buffer: usize) {
    let mut buffer = vec![0; buffer];
    while let Ok(count @ 1..) = R::read(&mut stream, &mut buffer).await {
        if R::write_all(&mut stream, &buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Round trips between two tasks of one runtime; the client is a task.
pub fn ping_pong<R: Rt>(rt: &R, trips: usize) -> Vec<Duration> {
    in_io_task(rt, round_trips::<R>(trips))
}

/// Connects to a new task and returns the time of each round trip, after a tenth as warm-up.
pub async fn round_trips<R: Rt>(trips: usize) -> Vec<Duration> {
    let (tell, told) = oneshot::channel();
    let server = R::spawn_io(async move {
        // Here, for a task may be on another worker, and its sockets with it.
        let (listener, address) = R::bind().await;
        tell.send(address).expect("the client waits");
        let stream = R::accept(&listener).await;
        echo_stream::<R>(stream, 1024).await;
    });
    let address = told.await.expect("the server tells its address");
    let mut stream = R::connect(address).await;
    // Larger than the message, as in a buffered reader: one read shows that there is no more.
    let mut buffer = [0; 1024];
    let mut times = Vec::with_capacity(trips);
    let warm_up = trips / 10;
    for trip in 0..warm_up + trips {
        let start = Instant::now();
        exchange::<R>(&mut stream, &MESSAGE, &mut buffer).await;
        if trip >= warm_up {
            times.push(start.elapsed());
        }
        assert_eq!(
            buffer[..MESSAGE.len()],
            MESSAGE,
            "the echo differs from the request"
        );
    }
    drop(stream);
    server.await.expect("the server does not panic");
    times
}

/// Sends a message and receives as many bytes.
pub async fn exchange<R: Rt>(stream: &mut R::Stream, message: &[u8], buffer: &mut [u8]) {
    R::write_all(stream, message)
        .await
        .expect("the server reads");
    let mut received = 0;
    while received < message.len() {
        let count = R::read(stream, &mut buffer[received..])
            .await
            .expect("the server answers");
        assert_ne!(count, 0, "the server closed the connection");
        received += count;
    }
    assert_eq!(
        received,
        message.len(),
        "the server says more than it was asked"
    );
}
