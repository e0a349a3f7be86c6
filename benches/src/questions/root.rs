//! What does the future inside `block_on` pay?
//!
//! - `root_round_trip`: the root future and a task send each other 2,000 messages.
//! - `root_spawn`: the root future spawns an empty task and awaits it, 1,000 times.
//! - `root_echo`: the client of a TCP echo is the root future, the server is a task. Median.
//! - `root_client`: the root future asks a task that has a connection, as clients of databases and of HTTP do; the server is a thread
//!   with plain system calls. Median, and the CPU time of the process for a request, the server's thread included.
//! - `root_threads`: four threads each ask a server over a connection of their own, with a `block_on` for each request, as synchronous
//!   clients do. Wall time for a request.
//!
//! Read: lower is better. Where the thread inside `block_on` only sleeps and wakes, each round trip
//! costs two hand-overs between threads, ten microseconds and more.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{Goal, Question, metric, tcp, wake};
use crate::client::MESSAGE;
use crate::process;
use crate::rt::Rt;
use crate::stats::{all_micros, median, median_ns};

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    vec![
        Question::shared(
            "root_round_trip",
            [metric("root_round_trip", "ns", Goal::RatioAtMost(0.05))],
            |rt, effort| {
                let trips = effort.pick(2000, 20);
                vec![median_ns(effort.pick(11, 1), || round_trip(rt, trips)) / trips as f64]
            },
        ),
        Question::shared(
            "root_spawn",
            [metric("root_spawn", "ns", Goal::Watched)],
            |rt, effort| {
                let tasks = effort.pick(1000, 20);
                vec![median_ns(effort.pick(11, 1), || spawn_and_await(rt, tasks)) / tasks as f64]
            },
        ),
        Question::shared(
            "root_echo",
            [metric("root_echo", "µs p50", Goal::RatioAtMost(1.0))],
            |rt, effort| {
                let trips = effort.pick(10_000, 20);
                vec![median(&mut all_micros(echo(rt, trips)))]
            },
        ),
        Question::shared(
            "root_client",
            [
                metric("root_client", "µs p50", Goal::RatioAtMost(1.0)),
                metric("root_client_cpu", "µs/request", Goal::RatioAtMost(1.0)),
            ],
            |rt, effort| {
                let trips = effort.pick(10_000, 20);
                let cpu = process::cpu_time();
                let times = client(rt, trips);
                let cpu = (process::cpu_time() - cpu).as_secs_f64();
                let requests = (trips + warm_up(trips)) as f64;
                vec![median(&mut all_micros(times)), cpu * 1e6 / requests]
            },
        ),
        Question::shared(
            "root_threads",
            [metric("root_threads", "µs/request", Goal::Watched)],
            |rt, effort| {
                let requests = effort.pick(5000, 20);
                let repeat = || median_ns(effort.pick(5, 1), || threads(rt, requests));
                vec![repeat() / (THREADS * requests) as f64 / 1000.0]
            },
        ),
    ]
}

/// How many threads ask at once.
pub const THREADS: usize = 4;

/// Messages between the root future and a task.
pub fn round_trip<R: Rt>(rt: &R, trips: usize) -> Duration {
    rt.block_on(wake::round_trips::<R>(trips))
}

/// Spawns tasks from the root future and awaits each one.
pub fn spawn_and_await<R: Rt>(rt: &R, tasks: usize) -> Duration {
    rt.block_on(async {
        let start = Instant::now();
        for index in 0..tasks {
            let output = R::spawn(async move { index }).await;
            assert_eq!(output.expect("the task does not panic"), index);
        }
        start.elapsed()
    })
}

/// TCP round trips of the root future with a task; returns the time of each one.
pub fn echo<R: Rt>(rt: &R, trips: usize) -> Vec<Duration> {
    rt.block_on(tcp::round_trips::<R>(trips))
}

/// How many round trips come before those that count.
fn warm_up(trips: usize) -> usize {
    trips / 10
}

/// Requests of the root future to a task that has a connection; returns the time of each one, after a tenth as warm-up.
pub fn client<R: Rt>(rt: &R, trips: usize) -> Vec<Duration> {
    let (address, server) = echo_thread();
    let times = rt.block_on(async {
        let (ask, mut asked) = mpsc::channel(1);
        let (answer, mut answered) = mpsc::channel(1);
        let connection = R::spawn_io(async move {
            let mut stream = R::connect(address).await;
            let mut buffer = [0; 1024];
            while let Some(request) = asked.recv().await {
                let message = [request; MESSAGE.len()];
                tcp::exchange::<R>(&mut stream, &message, &mut buffer).await;
                answer.send(buffer[0]).await.expect("the root receives");
            }
        });
        let mut times = Vec::with_capacity(trips);
        for trip in 0..warm_up(trips) + trips {
            let request = trip as u8;
            let start = Instant::now();
            ask.send(request).await.expect("the task receives");
            assert_eq!(answered.recv().await, Some(request));
            if trip >= warm_up(trips) {
                times.push(start.elapsed());
            }
        }
        drop(ask);
        connection.await.expect("the task does not panic");
        times
    });
    server.join().expect("the server does not panic");
    times
}

/// Requests of several threads, each with a `block_on`; so many from each.
pub fn threads<R: Rt>(rt: &R, requests: usize) -> Duration {
    let mut ready = Vec::new();
    for _ in 0..THREADS {
        let (address, server) = echo_thread();
        ready.push((rt.block_on(R::connect(address)), server));
    }
    let start = Instant::now();
    thread::scope(|scope| {
        for (stream, _) in &mut ready {
            scope.spawn(|| {
                let mut buffer = [0; 1024];
                for request in 0..requests {
                    let message = [request as u8; MESSAGE.len()];
                    rt.block_on(tcp::exchange::<R>(stream, &message, &mut buffer));
                    assert_eq!(buffer[..message.len()], message);
                }
            });
        }
    });
    let time = start.elapsed();
    for (stream, server) in ready {
        // Where the stream belongs to a runtime's thread, it is dropped there.
        rt.block_on(async { drop(stream) });
        server.join().expect("the server does not panic");
    }
    time
}

/// A thread that echoes what comes on one connection.
fn echo_thread() -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let serve = move || {
        let (mut stream, _) = listener.accept().expect("the client connects");
        stream.set_nodelay(true).expect("the stream is open");
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            stream
                .write_all(&buffer[..count])
                .expect("the client reads");
        }
    };
    (address, thread::spawn(serve))
}
