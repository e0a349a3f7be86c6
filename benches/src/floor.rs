//! The floor of the echo questions: a server that does nothing but the system calls.
//!
//! One or two threads, each with an epoll of its own and its share of the connections, which never move. A turn is one wait, and for
//! each connection in it one receive and one send. There are no tasks, no wakers, no timers, no stealing; the connections are
//! accepted before the loops start, since accepting is not what the questions ask. So no runtime on
//! epoll can serve these questions for less, unless it saves system calls.
//!
//! Sockets are edge-triggered: a level-triggered one goes back to the list of ready sockets after each wait, and the next wait has
//! to look at it once more only to find it empty. A read that does not fill the buffer has emptied the socket (epoll(7)), so
//! that no read is made only to see `EAGAIN`.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::contestant::{Contestant, Contestants};
use crate::fresh::{self, Rescue};
use crate::options::Options;
use crate::process;
use crate::questions::Effort;
use crate::questions::echo::{CASES, Case, place};
use crate::questions::tcp::Server;
use crate::quiet::{Measured, in_quiet};
use crate::report;
use crate::row::figure;
use crate::stats::median;

/// How many rounds without `--rounds`.
const ROUNDS: u32 = 5;

/// Both floors.
const FLOORS: [Floor; 2] = [Floor { threads: 1 }, Floor { threads: 2 }];

/// Compares runtimes with the floor, as the command line says; the whole `main` of a bench.
///
/// Fails only if a measurement does.
pub fn main(mut contestants: Contestants) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for floor in FLOORS {
        contestants = contestants.and(floor);
    }
    if let Some(code) = contestants.serve(&arguments) {
        return code;
    }
    let options = Options::parse(arguments.into_iter(), ROUNDS);
    let is_full = matches!(options.effort, Effort::Full { .. });
    let mut text = report::markdown_facts(&report::facts("floor"));
    text += "\nA ratio is to the better one of the two floors in its column.\n\n| question | contestant |";
    for column in ["requests/s", "µs of CPU", "p50 µs", "p99 µs"] {
        text += &format!(" {column} | ratio |");
    }
    text += " others |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    if is_full && !options.is_list {
        print!("{text}");
    }
    let mut has_failed = false;
    for case in CASES.iter().filter(|case| options.want([case.name])) {
        if options.is_list {
            println!("{}: benchmark", case.name);
            continue;
        }
        let rows = ask(case, &contestants, &options);
        has_failed |= rows.iter().any(|row| row.rounds.len() < options.rounds);
        for row in &rows {
            let line = row.line(case, &rows);
            if is_full {
                print!("{line}");
            } else {
                let verdict = ["FAILED", "works"][usize::from(!row.rounds.is_empty())];
                println!("{}: {}: {verdict}", case.name, row.name);
            }
            text += &line;
        }
    }
    let target = report::target().expect("Cargo runs this");
    if is_full
        && !options.is_list
        && let Err(error) = fs::write(target.join("floor.md"), &text)
    {
        eprintln!("floor: the table could not be saved: {error}");
    }
    if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Asks everybody who knows the case, in rounds.
fn ask(case: &Case, contestants: &Contestants, options: &Options) -> Vec<Row> {
    let knowing: Vec<_> = contestants
        .iter()
        .filter(|contestant| contestant.knows(case.name))
        .collect();
    let empty = |contestant: &&dyn Contestant| Row {
        name: contestant.name(),
        rounds: Vec::new(),
    };
    let mut rows: Vec<Row> = knowing.iter().map(empty).collect();
    for _ in 0..options.rounds {
        for (contestant, row) in knowing.iter().zip(&mut rows) {
            let measure = || contestant.measure_fresh(case.name, options.effort);
            row.rounds.extend(in_quiet(options, measure));
        }
    }
    rows
}

/// What one contestant gave.
struct Row {
    /// Whose it is.
    name: &'static str,
    /// The rounds that gave something.
    rounds: Vec<Measured<Vec<f64>>>,
}

impl Row {
    /// The median of a figure.
    fn median(&self, figure: usize) -> f64 {
        let values = self.rounds.iter().map(|round| round.value[figure]);
        median(&mut values.collect::<Vec<f64>>())
    }

    /// A line of the table, which has `all`.
    fn line(&self, case: &Case, all: &[Self]) -> String {
        let floors = all.iter().filter(|row| row.name.starts_with("floor"));
        let mut line = format!("| `{}` | {} |", case.name, self.name);
        for at in 0..4 {
            let floors = floors.clone().map(|floor| floor.median(at));
            let best = match at {
                0 => floors.fold(f64::NAN, f64::max),
                _ => floors.fold(f64::NAN, f64::min),
            };
            let value = self.median(at);
            line += &format!(" {} | {:.2} |", figure(value), value / best);
        }
        let others = self.rounds.iter().map(|round| round.others);
        let others = median(&mut others.collect::<Vec<f64>>());
        line + &format!(" {:.0} % |\n", others * 100.0)
    }
}

/// A server with this many threads.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// One epoll each.
    threads: usize,
}

impl Contestant for Floor {
    fn name(&self) -> &'static str {
        match self.threads {
            1 => "floor1",
            _ => "floor2",
        }
    }

    fn knows(&self, question: &str) -> bool {
        case(question).is_some()
    }

    fn measure(&self, question: &str, effort: Effort) -> Option<Vec<f64>> {
        self.measure_fresh(question, effort)
    }

    fn measure_fresh(&self, question: &str, effort: Effort) -> Option<Vec<f64>> {
        fresh::measure(fresh::this(), self.name(), Rescue::On, question, effort)
    }

    fn run_fresh(&self, arguments: &[String]) -> ExitCode {
        let case = case(&arguments[0]).expect("the other end knows the echo questions");
        let effort = fresh::effort(&arguments[1]);
        let _limit = fresh::guard(self.name(), case.name);
        if case.is_pinned {
            process::bind_to_cpu(place().0);
        }
        let server = Server::here(self.serve(case));
        fresh::answer(&case.drive(&server, effort))
    }
}

/// The echo question of this name.
fn case(question: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == question)
}

impl Floor {
    /// Starts the threads and returns their address.
    fn serve(self, case: &Case) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        // The standard library's backlog is shorter than the client's haste.
        rustix::net::listen(&listener, 4096).expect("it listens already");
        let address = listener.local_addr().expect("the socket is bound");
        let Case { connections, .. } = *case;
        let buffer = case.buffer();
        std::thread::spawn(move || {
            let mut shares: Vec<_> = (0..self.threads).map(|_| Vec::new()).collect();
            for at in 0..connections {
                let (stream, _) = listener.accept().expect("descriptors are left");
                stream.set_nodelay(true).expect("TCP knows the option");
                stream
                    .set_nonblocking(true)
                    .expect("a socket can be non-blocking");
                shares[at % self.threads].push(stream);
            }
            for share in shares {
                std::thread::spawn(move || echo(share, buffer));
            }
        });
        address
    }
}

/// Echoes on these connections until all are closed.
fn echo(mut streams: Vec<TcpStream>, buffer: usize) {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("descriptors are left");
    for (index, stream) in streams.iter().enumerate() {
        let key = epoll::EventData::new_u64(index as u64);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&poll, stream, key, flags).expect("the socket is new to epoll");
    }
    let mut buffer = vec![0; buffer];
    let mut events = Vec::with_capacity(streams.len().max(1));
    let mut open = streams.len();
    while open > 0 {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None).expect("no signal handlers here");
        for event in &events {
            let stream = &mut streams[event.data.u64() as usize];
            if let State::Closed = answer(stream, &mut buffer) {
                epoll::delete(&poll, &*stream).expect("it was added");
                open -= 1;
            }
        }
    }
}

/// What became of a connection.
enum State {
    /// There is nothing more to read now.
    Open,
    /// The client has closed it.
    Closed,
}

/// Sends back what there is.
fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> State {
    loop {
        match stream.read(buffer) {
            Ok(0) => return State::Closed,
            Ok(count) => {
                let sent = stream.write(&buffer[..count]).expect("the client reads");
                // A client waits for its echo, so that the socket's buffer is empty and takes all of it.
                assert_eq!(sent, count, "the socket's buffer is empty");
                if count < buffer.len() {
                    return State::Open;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return State::Open,
            // The client closes its end while an echo is on the way.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return State::Closed,
            Err(error) => panic!("the client closes in the end: {error}"),
        }
    }
}
