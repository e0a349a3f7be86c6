//! The load, and the observer, each in a process of its own.
//!
//! The bench executable starts itself again with [`FLAG`]; [`run`] is all that such a process does.
//! The client is the same for every contestant and as cheap as can be: one thread, plain system
//! calls, for a single connection a blocking socket and otherwise edge-triggered epoll. It reports
//! on its standard output, a line at a time; [`Client`] is the other end of that pipe.
//!
//! What it costs itself: a request is one send, one receive and one read of the clock, and one wait for all that have their echo.
//! That is what a server pays too, so that beside a busy server it takes about half of the CPU time.

mod churn;
mod closed;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{self, Switches, monotonic_micros};
use crate::work;

/// The first argument of a client process.
pub const FLAG: &str = "--client";

/// What a request carries, and its echo.
pub const MESSAGE: [u8; 64] = *b"a request of sixty-four bytes, which comes back as it was sent.\n";

/// The load that a client process makes.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Each of `connections` sends the next request when it has its echo. Reports `start`, then
    /// `done <requests> <seconds> <p50> <p99> <cpu>`: quantiles in microseconds, and the client's own CPU seconds.
    Closed {
        /// How many connections.
        connections: usize,
        /// Bytes of a request, and of its echo.
        size: usize,
        /// Not counted.
        warm_up: Duration,
        /// Counted.
        time: Duration,
        /// The CPU that the client is bound to; none: any.
        cpu: Option<usize>,
    },
    /// One connection, which thinks for 3 ms on average between requests. Reports `start` when it has its first echo, and
    /// in the end `done` with two numbers for each request: when it was sent and when its echo was complete, on
    /// [the clock of all processes](crate::process::monotonic_micros). A last request that got none has `inf` there.
    Thinking {
        /// How long requests are sent.
        time: Duration,
        /// How long an echo may take, if that is later: then the client gives up.
        patience: Duration,
    },
    /// Connect, one byte there and back, reset, again and again in each of several threads. Reports `start`, then
    /// `done <connections> <seconds> <p50> <p99>`: quantiles of one connection's time in microseconds.
    Churn {
        /// How many connections there are at once.
        lanes: usize,
        /// How many connections in all, after a tenth of them as warm-up.
        connections: usize,
    },
    /// Connect, one byte there and back, and keep the connection. Reports `start` when all are there.
    Idle {
        /// How many connections.
        connections: usize,
    },
}

/// A client process, seen from the server's process.
#[derive(Debug)]
pub struct Client {
    /// The process itself; it is waited for, and killed if it is still there on drop.
    child: Child,
    /// What it reports.
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts a client process that drives the server at `address`.
    pub fn start(address: SocketAddr, load: Load) -> Self {
        let millis = |time: Duration| time.as_millis().to_string();
        let mut arguments = vec![address.to_string()];
        match load {
            Load::Closed {
                connections,
                size,
                warm_up,
                time,
                cpu,
            } => arguments.extend([
                "closed".into(),
                connections.to_string(),
                size.to_string(),
                millis(warm_up),
                millis(time),
                cpu.map_or("any".into(), |cpu| cpu.to_string()),
            ]),
            Load::Thinking { time, patience } => {
                arguments.extend(["thinking".into(), millis(time), millis(patience)]);
            }
            Load::Churn { lanes, connections } => {
                arguments.extend(["churn".into(), lanes.to_string(), connections.to_string()]);
            }
            Load::Idle { connections } => {
                arguments.extend(["idle".into(), connections.to_string()]);
            }
        }
        Self::start_with(&arguments)
    }

    /// Starts a process that counts our context switches in `window`, after `quiet`; it reports
    /// `done <switches>`.
    pub fn observe(quiet: Duration, window: Duration) -> Self {
        Self::start_with(&[
            std::process::id().to_string(),
            "observe".into(),
            quiet.as_millis().to_string(),
            window.as_millis().to_string(),
        ])
    }

    /// Starts a process that computes until the result is dropped or this process ends.
    pub fn burn() -> Self {
        Self::start_with(&[std::process::id().to_string(), "burn".into()])
    }

    fn start_with(arguments: &[String]) -> Self {
        let executable = std::env::current_exe().expect("Linux knows the executable");
        let mut child = Command::new(executable)
            .arg(FLAG)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the executable started once already");
        let stdout = child.stdout.take().expect("it is piped");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
        }
    }

    /// Waits for the line that starts with `word` and returns the numbers behind it.
    ///
    /// # Panics
    ///
    /// If the client fails or says something else.
    pub fn expect(&mut self, word: &str) -> Vec<f64> {
        let line = self
            .lines
            .next()
            .expect("the client reports before it ends")
            .expect("the pipe is readable");
        let mut fields = line.split_whitespace();
        assert_eq!(fields.next(), Some(word), "the client says {line:?}");
        fields
            .map(|field| field.parse().expect("the client reports numbers"))
            .collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Fails if the process has ended, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does what the arguments behind [`FLAG`] say.
///
/// # Panics
///
/// On arguments that [`Client`] does not write, and if the server does not answer.
pub fn run(arguments: &[String]) {
    let number = |at: usize| arguments[at].parse::<u64>().expect("a number");
    let millis = |at: usize| Duration::from_millis(number(at));
    let address = || arguments[0].parse::<SocketAddr>().expect("an address");
    match arguments[1].as_str() {
        "closed" => {
            if let Ok(cpu) = arguments[6].parse() {
                process::bind_to_cpu(cpu);
            }
            let (size, warm_up, time) = (number(3) as usize, millis(4), millis(5));
            match number(2) as usize {
                1 => closed::single(address(), size, warm_up, time),
                count => closed::many(address(), count, size, warm_up, time),
            }
        }
        "thinking" => thinking(address(), millis(2), millis(3)),
        "burn" => burn(number(0) as u32),
        "churn" => churn::run(address(), number(2) as usize, number(3) as usize),
        "idle" => idle(address(), number(2) as usize),
        "observe" => observe(number(0) as u32, millis(2), millis(3)),
        other => panic!("there is no load {other}"),
    }
}

/// Says one line to the server's process, at once.
fn report(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .expect("the server's process listens");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("TCP knows the option");
    // A server that never answers is a result too: the client fails, not the whole table.
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("not zero");
    stream
}

/// One request and its echo on a blocking socket.
fn round_trip(stream: &mut TcpStream) {
    stream.write_all(&MESSAGE).expect("the server reads");
    let mut echo = [0; MESSAGE.len()];
    stream.read_exact(&mut echo).expect("the server answers");
    assert_eq!(echo, MESSAGE, "the echo differs from the request");
}

fn thinking(address: SocketAddr, time: Duration, patience: Duration) {
    let mut stream = connect(address);
    round_trip(&mut stream);
    report("start");
    let end = Instant::now() + time;
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut done = String::from("done");
    while Instant::now() < end {
        let (asked, asked_at) = (Instant::now(), monotonic_micros());
        let is_answered = try_round_trip(&mut stream, end.max(asked + patience));
        let answered_at = if is_answered {
            monotonic_micros()
        } else {
            f64::INFINITY
        };
        write!(done, " {asked_at} {answered_at}").expect("a string grows");
        if !is_answered {
            break;
        }
        // From 1.5 to 4.5 ms, so that the requests do not march in step with the hogs.
        seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        std::thread::sleep(Duration::from_micros(1500 + (seed >> 33) % 3000));
    }
    report(&done);
}

/// One request and its echo on a blocking socket; `false` if that has not come by `until`.
fn try_round_trip(stream: &mut TcpStream, until: Instant) -> bool {
    stream.write_all(&MESSAGE).expect("the server reads");
    let mut echo = [0; MESSAGE.len()];
    let mut received = 0;
    while received < MESSAGE.len() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        stream.set_read_timeout(Some(left)).expect("not zero");
        match stream.read(&mut echo[received..]) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(count) => received += count,
            // What Linux says when the time is over.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("the server answers: {error}"),
        }
    }
    assert_eq!(echo, MESSAGE, "the echo differs from the request");
    true
}

/// Connections that have been used once and are kept, until the server's process ends or kills us.
fn idle(address: SocketAddr, count: usize) {
    process::raise_descriptors();
    let mut streams: Vec<_> = (0..count)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"?").expect("the server reads");
            stream.read_exact(&mut [0]).expect("the server answers");
            stream
        })
        .collect();
    report("start");
    if let Some(stream) = streams.first_mut() {
        stream.set_read_timeout(None).expect("a socket can block");
        let end = stream.read(&mut [0]);
        assert!(!matches!(end, Ok(1..)), "nobody asked for an answer");
    }
}

fn observe(pid: u32, quiet: Duration, window: Duration) {
    std::thread::sleep(quiet);
    let before = Switches::of(pid);
    std::thread::sleep(window);
    report(&format!("done {}", Switches::of(pid).since(&before)));
}

/// Computes as long as the process `parent` is there, even if that is killed.
fn burn(parent: u32) {
    let is_parent = |pid: rustix::process::Pid| pid.as_raw_nonzero().get() == parent as i32;
    while rustix::process::getppid().is_some_and(is_parent) {
        work::compute(Duration::from_millis(1));
    }
}
