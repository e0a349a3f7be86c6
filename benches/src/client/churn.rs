//! Connections that are made, used once and closed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use rustix::net::sockopt::set_socket_linger;

use super::{connect, report};
use crate::stats::quantile;

/// `lanes` threads, each of which connects, has one byte echoed and closes, again and again, `count` times in all after a
/// tenth as warm-up.
pub fn run(address: SocketAddr, lanes: usize, count: usize) {
    let drive = |count: usize| {
        let each = count.div_ceil(lanes);
        let start = Instant::now();
        let times: Vec<f64> = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..lanes)
                .map(|_| scope.spawn(|| (0..each).map(|_| once(address)).collect::<Vec<_>>()))
                .collect();
            let times = lanes.into_iter();
            times
                .flat_map(|lane| lane.join().expect("no lane fails"))
                .collect()
        });
        (times, start.elapsed().as_secs_f64())
    };
    drive((count / 10).max(lanes));
    report("start");
    let (mut times, seconds) = drive(count);
    let count = times.len();
    let p50 = quantile(&mut times, 0.5);
    let p99 = quantile(&mut times, 0.99);
    report(&format!("done {count} {seconds} {p50} {p99}"));
}

/// One connection; returns the microseconds from the call of connect to the echo.
fn once(address: SocketAddr) -> f64 {
    let start = Instant::now();
    let mut stream = connect(address);
    close_by_reset(&stream);
    stream.write_all(b"?").expect("the server reads");
    stream.read_exact(&mut [0]).expect("the server answers");
    start.elapsed().as_secs_f64() * 1e6
}

/// A reset leaves no socket in TIME_WAIT: thousands a second would use up the ports.
fn close_by_reset(stream: &TcpStream) {
    set_socket_linger(stream, Some(std::time::Duration::ZERO)).expect("TCP knows the option");
}
