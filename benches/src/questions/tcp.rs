//! How fast do sockets answer?
//!
//! - `echo_1`, `echo_64`, `echo_256`: a server process echoes 64 bytes on so many connections; a
//!   client process sends the next request of each connection when it has the echo. Requests per
//!   second, and the server's CPU time per request.
//! - `tcp_ping_pong`: client and server are two tasks of one runtime. Median round trip.
//! - `accept_churn`: connect, one byte there and back, close, one connection after the other; the
//!   server spawns a task for each.
//!
//! Read: requests and connections per second, higher is better; microseconds, lower is better. On
//! two cores the client competes with the server for the CPU when there are many connections, as a
//! load generator on the same machine does: the ratio is closer to 1 than it would be with the
//! client elsewhere.

use std::net::SocketAddr;
use std::sync::mpsc as thread_channel;
use std::time::{Duration, Instant};

use super::{Effort, Goal, Metric, Question, metric};
use crate::client::{Client, Load, MESSAGE};
use crate::process;
use crate::rt::{Rt, in_io_task};
use crate::stats::{all_micros, median};

/// An echo server in some process.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose CPU time counts.
    pub pid: u32,
}

/// Drives a server and returns the figures of a question.
pub type Drive = fn(&Server, Effort) -> Vec<f64>;

/// How the question of this name drives its server, whoever that is; `None` for questions without one.
pub fn load(question: &str) -> Option<Drive> {
    let loads: [(&str, Drive); 4] = [
        ("echo_1", |server, effort| echo(server, effort, 1)),
        ("echo_64", |server, effort| echo(server, effort, 64)),
        ("echo_256", |server, effort| echo(server, effort, 256)),
        ("accept_churn", accept_churn),
    ];
    let mut loads = loads.into_iter();
    let (_, load) = loads.find(|(name, _)| *name == question)?;
    Some(load)
}

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    let served = |name: &'static str, metrics: Vec<Metric>| {
        let load = load(name).expect("it is in the list");
        Question::own(name, metrics, move |rt: &R, effort| {
            let server = Server {
                address: serve(rt),
                pid: std::process::id(),
            };
            load(&server, effort)
        })
    };
    let echo = |name: &'static str, bound: f64| {
        let cpu = metric(format!("{name}_cpu"), "µs/request", Goal::RatioAtMost(1.0));
        let rate = metric(name, "requests/s", Goal::RatioAtLeast(bound));
        served(name, vec![rate, cpu])
    };
    vec![
        echo("echo_1", 1.0),
        echo("echo_64", 1.10),
        echo("echo_256", 1.15),
        served(
            "accept_churn",
            vec![metric(
                "accept_churn",
                "connections/s",
                Goal::RatioAtLeast(1.15),
            )],
        ),
        Question::shared(
            "tcp_ping_pong",
            [metric("tcp_ping_pong", "µs p50", Goal::RatioAtMost(0.95))],
            |rt, effort| {
                let trips = effort.pick(10_000, 20);
                vec![median(&mut all_micros(ping_pong(rt, trips)))]
            },
        ),
    ]
}

/// Starts an echo server on the workers and returns its address.
pub fn serve<R: Rt>(rt: &R) -> SocketAddr {
    let (tell, told) = thread_channel::channel();
    drop(rt.spawn_io_on(async move {
        let (listener, address) = R::bind().await;
        tell.send(address).expect("the thread waits");
        loop {
            let stream = R::accept(&listener).await;
            drop(R::spawn_io(echo_stream::<R>(stream)));
        }
    }));
    told.recv().expect("the server tells its address")
}

/// Echoes until the peer closes the connection.
async fn echo_stream<R: Rt>(mut stream: R::Stream) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = R::read(&mut stream, &mut buffer).await {
        if R::write_all(&mut stream, &buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Requests per second, and the server's CPU time per request.
fn echo(server: &Server, effort: Effort, connections: usize) -> Vec<f64> {
    let load = Load::Closed {
        connections,
        warm_up: effort.pick(Duration::from_millis(200), Duration::from_millis(10)),
        time: effort.pick(Duration::from_millis(1000), Duration::from_millis(20)),
    };
    let mut client = Client::start(server.address, load);
    client.expect("start");
    let cpu = process::cpu_time_of(server.pid);
    let done = client.expect("done");
    let cpu = (process::cpu_time_of(server.pid) - cpu).as_secs_f64();
    let (requests, seconds) = (done[0], done[1]);
    assert!(requests > 0.0, "no request was answered");
    vec![requests / seconds, cpu * 1e6 / requests]
}

/// Connections per second.
fn accept_churn(server: &Server, effort: Effort) -> Vec<f64> {
    let load = Load::Churn {
        connections: effort.pick(8000, 50),
    };
    let done = Client::start(server.address, load).expect("done");
    vec![done[0] / done[1]]
}

/// Round trips between two tasks of one runtime; the client is a task.
pub fn ping_pong<R: Rt>(rt: &R, trips: usize) -> Vec<Duration> {
    in_io_task(rt, round_trips::<R>(trips))
}

/// Connects to a new task and returns the time of each round trip, after a tenth as warm-up.
pub async fn round_trips<R: Rt>(trips: usize) -> Vec<Duration> {
    let (listener, address) = R::bind().await;
    let server = R::spawn_io(async move {
        let stream = R::accept(&listener).await;
        echo_stream::<R>(stream).await;
    });
    let mut stream = R::connect(address).await;
    // Larger than the message, as in a buffered reader: one read shows that there is no more.
    let mut buffer = [0; 1024];
    let mut times = Vec::with_capacity(trips);
    let warm_up = trips / 10;
    for trip in 0..warm_up + trips {
        let start = Instant::now();
        R::write_all(&mut stream, &MESSAGE)
            .await
            .expect("the server reads");
        let mut received = 0;
        while received < MESSAGE.len() {
            let count = R::read(&mut stream, &mut buffer[received..])
                .await
                .expect("the server answers");
            assert_ne!(count, 0, "the server closed the connection");
            received += count;
        }
        if trip >= warm_up {
            times.push(start.elapsed());
        }
        assert_eq!(
            buffer[..received],
            MESSAGE,
            "the echo differs from the request"
        );
    }
    drop(stream);
    server.await.expect("the server does not panic");
    times
}
