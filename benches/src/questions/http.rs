//! How many HTTP requests does a server answer, at what cost, and how late?
//!
//! - `http`: a hyper 1 server says "Hello, world!" on 64 connections that are kept alive. The client is `wrk`, one thread that sends the
//!   next request of a connection when it has the response. Requests per second, the server's CPU time per request, and
//!   the time from a request to its response, p50 and p99, as `wrk` counts them.
//!
//! hyper and the service are the same for all; what differs is how the stream becomes hyper's ([`Rt::answer_http`]): ours is one
//! already, Tokio's goes through the adapter of hyper-util. Runtimes without such a piece lack the question. Without a `wrk` on
//! the path (`apt-get install wrk`) there is no such question, and the bench says so.
//!
//! Read: requests per second, higher is better; microseconds, lower is better. A request costs the same three system calls as an
//! echo, and hyper's parsing besides. `wrk` has one thread, as the client of the echoes, since two would compete with both workers; it
//! takes less CPU time for a request than the server, so that it is not the bottleneck, but it takes it from the same two cores.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

use super::{Effort, Goal, Question, metric, tcp};
use crate::process;
use crate::rt::Rt;

/// What every request is answered with.
const HELLO: &str = "Hello, world!\n";

/// Connections of the client.
const CONNECTIONS: &str = "64";

/// The questions of this module.
pub fn questions<R: Rt>() -> Vec<Question<R>> {
    if !has_wrk() {
        return Vec::new();
    }
    let metrics = [
        metric("http", "requests/s", Goal::RatioAtLeast(1.05)),
        metric("http_cpu", "µs/request", Goal::RatioAtMost(0.95)),
        metric("http_p50", "µs", Goal::Watched),
        metric("http_p99", "µs", Goal::Watched),
    ];
    vec![Question::own("http", metrics, |rt: &R, effort: Effort| {
        let address = tcp::serve_each(rt, R::answer_http);
        if let Effort::Full { .. } = effort {
            wrk(address, "1s");
        }
        let cpu = process::cpu_time();
        let load = wrk(address, effort.pick("3s", "1s"));
        let cpu = (process::cpu_time() - cpu).as_secs_f64();
        vec![load.rate, cpu * 1e6 / load.requests, load.p50, load.p99]
    })]
}

/// Answers the requests of one connection until the client closes it.
pub async fn answer<T>(stream: T)
where
    T: Read + Write + Send + Unpin + 'static,
{
    let connection = http1::Builder::new().serve_connection(stream, service_fn(hello));
    // `wrk` ends with requests on the way.
    let _ = connection.await;
}

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(
        HELLO.as_bytes(),
    ))))
}

/// Whether there is a client; says so once if not.
fn has_wrk() -> bool {
    static HAS_WRK: OnceLock<bool> = OnceLock::new();
    *HAS_WRK.get_or_init(|| {
        // It has no way to ask for its version that succeeds: that it starts is enough.
        let mut command = Command::new("wrk");
        let tried = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if let Err(error) = &tried {
            eprintln!("http: left out, wrk does not start: {error}");
        }
        tried.is_ok()
    })
}

/// What `wrk` says.
#[derive(Debug, PartialEq)]
struct Load {
    /// Responses.
    requests: f64,
    /// Responses per second.
    rate: f64,
    /// Microseconds.
    p50: f64,
    /// Microseconds.
    p99: f64,
}

fn wrk(address: SocketAddr, time: &str) -> Load {
    let output = Command::new("wrk")
        .args(["-t1", "-c", CONNECTIONS, "-d", time, "--latency"])
        .arg(format!("http://{address}/"))
        .stderr(Stdio::inherit())
        .output()
        .expect("it started before");
    let text = String::from_utf8_lossy(&output.stdout);
    Load::parse(&text).unwrap_or_else(|| panic!("wrk says {text}"))
}

impl Load {
    /// Reads what `wrk --latency` prints; `None` if that is something else, or there were errors.
    fn parse(text: &str) -> Option<Self> {
        let after = |word: &str| {
            let mut lines = text.lines().map(str::trim_start);
            lines.find_map(|line| Some(line.strip_prefix(word)?.trim()))
        };
        if after("Socket errors").is_some() || after("Non-2xx").is_some() {
            return None;
        }
        let total = text.lines().find(|line| line.contains(" requests in "))?;
        Some(Self {
            requests: total.split_whitespace().next()?.parse().ok()?,
            rate: after("Requests/sec:")?.parse().ok()?,
            p50: micros(after("50%")?)?,
            p99: micros(after("99%")?)?,
        })
    }
}

/// Reads a time of `wrk`, in microseconds.
fn micros(time: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let mut units = units.into_iter();
    units.find_map(|(unit, factor)| Some(time.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
Running 1s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   610.88us  233.12us   5.30ms   80.03%
    Req/Sec   104.13k     5.41k  110.21k    81.82%
  Latency Distribution
     50%  598.00us
     75%  706.00us
     90%  823.00us
     99%    1.27ms
  113962 requests in 1.10s, 9.89MB read
Requests/sec: 103603.25
Transfer/sec:      8.99MB
";

    #[test]
    fn the_client_is_understood() {
        let load = Load::parse(GOOD).expect("it is what it prints");
        let expected = Load {
            requests: 113_962.0,
            rate: 103_603.25,
            p50: 598.0,
            p99: 1270.0,
        };
        assert_eq!(load, expected);
    }

    #[test]
    fn errors_are_no_load() {
        let errors = "  Socket errors: connect 0, read 64, write 0, timeout 0\n";
        assert_eq!(Load::parse(&format!("{GOOD}{errors}")), None);
        assert_eq!(
            Load::parse(&format!("{GOOD}  Non-2xx or 3xx responses: 3\n")),
            None
        );
        assert_eq!(Load::parse(""), None);
    }
}
