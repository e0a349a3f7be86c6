//! A chat server with a page: rooms, nicknames, who is there, what was said last.
//!
//! ```text
//! cargo run --release --example chat [ADDR] [PORT]      (127.0.0.1 8080)
//! ```
//!
//! Then open http://127.0.0.1:8080/ in two browser windows. Ctrl-C ends it with a farewell to
//! everyone.
//!
//! Where to read on: `rooms.rs` knows who is where and tells everybody what happens, without ever
//! waiting for anyone; `client.rs` is the task of one client, with its queue and its timers;
//! `web.rs` serves the page and turns a request into a WebSocket; `protocol.rs` is the messages.

#![forbid(unsafe_code)]

mod client;
mod log;
mod protocol;
mod rooms;
mod web;

use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use runtime::net::TcpListener;
use runtime::sync::watch;
use runtime::task::JoinSet;
use runtime::time::{Instant, interval, sleep, timeout};
use runtime_examples::{exit, exit_with_usage, explain_bind_error, listen_address};

use crate::log::Log;
use crate::rooms::{ClientId, Rooms};

const USAGE: &str = "\
usage: chat [ADDR] [PORT] [--away SECONDS] [--silence SECONDS] [--queue MESSAGES]

  ADDR       the address to listen on (default: 127.0.0.1; all of this machine's: 0.0.0.0)
  PORT       the port to listen on (default: 8080; one that is free: 0)
  --away     show people as away after so many seconds without activity (default: 120)
  --silence  drop clients that answer nothing for so many seconds (default: 30)
  --queue    drop clients for which more messages than this are waiting (default: 1024)";

/// How long everyone may take to leave after Ctrl-C: longer than the limit of one farewell.
const GRACE: Duration = Duration::from_secs(5);
/// How often empty rooms are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// What the command line may change.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// After how long without activity somebody counts as away.
    pub away: Duration,
    /// After how long without a sign of life a client is dropped.
    pub silence: Duration,
    /// How many messages may wait for one client. A thousand clients that all say something in the
    /// same moment are no reason to drop anybody.
    pub queue: usize,
}

/// What all connections share.
#[derive(Debug)]
pub struct Hub {
    /// Locked for moments only, and never across an `await`.
    rooms: Mutex<Rooms>,
    /// Lines for the terminal.
    pub log: Log,
    /// What the command line says.
    pub settings: Settings,
    /// Becomes true when the server ends.
    closing: watch::Sender<bool>,
    /// How many clients there have been.
    clients: AtomicU64,
}

impl Hub {
    /// The rooms, for as long as the guard lives.
    pub fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().expect("no change to the rooms panics")
    }

    /// Returns when the server ends.
    pub async fn until_closing(&self) {
        // An error would mean that the sender is gone, and with it the server.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// A number that no client had before.
    pub fn next_client(&self) -> ClientId {
        // Relaxed: only that the numbers differ matters.
        ClientId(self.clients.fetch_add(1, Ordering::Relaxed))
    }
}

#[runtime::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if args
        .peek()
        .is_some_and(|arg| arg == "--help" || arg == "-h")
    {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let (options, words): (Vec<_>, Vec<_>) = split_options(args);
    let mut words = words.into_iter();
    let addr = listen_address(&mut words, 8080).unwrap_or_else(|p| exit_with_usage(p, USAGE));
    if let Some(word) = words.next() {
        exit_with_usage(format!("\"{word}\" is one word too many"), USAGE);
    }
    let settings = read_settings(options).unwrap_or_else(|p| exit_with_usage(p, USAGE));

    raise_file_limit();
    let listener = match TcpListener::bind(addr).await {
        Ok(listener) => listener,
        Err(error) => exit(explain_bind_error(addr, &error)),
    };
    let (log, writer) = match Log::start() {
        Ok(log) => log,
        Err(error) => exit(format!("cannot start a thread for the log: {error}")),
    };
    let addr = listener.local_addr().unwrap_or(addr);
    log.line(format_args!(
        "chat is open at http://{addr}/ (Ctrl-C ends it)"
    ));

    let hub = Arc::new(Hub {
        rooms: Mutex::default(),
        log: log.clone(),
        settings,
        closing: watch::Sender::new(false),
        clients: AtomicU64::new(1),
    });
    let janitor = runtime::spawn(sweep(hub.clone()));
    let mut connections = JoinSet::new();
    let outcome = accept(listener, &hub, &mut connections).await;
    if let Err(error) = &outcome {
        log.line(format_args!("cannot wait for Ctrl-C: {error}"));
    }

    // The listener is gone: nobody comes any more. Tell everyone, and let them go in peace, but
    // neither for ever nor if somebody presses Ctrl-C again.
    log.line(format_args!(
        "closing: saying goodbye to {} connections",
        connections.len()
    ));
    hub.closing.send_replace(true);
    let everyone = async { while connections.join_next().await.is_some() {} };
    runtime::select! {
        left = timeout(GRACE, everyone) => if left.is_err() {
            log.line("closing: some did not leave in time");
        },
        _ = runtime::signal::ctrl_c() => log.line("closing: at once"),
    }
    janitor.abort();
    connections.shutdown().await;
    log.line("bye");

    // The log's thread ends with the last handle.
    drop(hub);
    drop(log);
    let _ = janitor.await;
    writer.finish();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Accepts connections until somebody wants the server to end.
async fn accept(
    listener: TcpListener,
    hub: &Arc<Hub>,
    connections: &mut JoinSet<()>,
) -> io::Result<()> {
    // One future for the whole loop: made anew in each turn, it could miss a signal in between.
    let mut stop = pin!(wait_for_stop());
    loop {
        runtime::select! {
            stopped = &mut stop => return stopped,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(web::serve(stream, hub.clone()))),
                Err(error) => {
                    // Too many open files, perhaps: let some leave before trying again.
                    hub.log.line(format_args!("cannot accept a connection: {error}"));
                    sleep(Duration::from_millis(100)).await;
                }
            },
            // Those that have ended are taken out, or the set would grow for ever.
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    hub.log.line(format_args!("a connection failed: {error}"));
                }
            }
        }
    }
}

/// Waits for Ctrl-C, or for the polite signal of service managers.
async fn wait_for_stop() -> io::Result<()> {
    use runtime::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    runtime::select! {
        pressed = runtime::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

/// Each connection is an open file, and many systems allow a program 1024 unless it asks for more.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // If it is refused, fewer clients find room: they are told so when they come.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// Forgets rooms that have long been empty.
async fn sweep(hub: Arc<Hub>) {
    let mut turns = interval(SWEEP);
    loop {
        turns.tick().await;
        hub.rooms().sweep(Instant::now());
    }
}

/// Parts `--name value` from the other words.
fn split_options(
    mut args: impl Iterator<Item = String>,
) -> (Vec<(String, Option<String>)>, Vec<String>) {
    let (mut options, mut words) = (Vec::new(), Vec::new());
    while let Some(arg) = args.next() {
        match arg.strip_prefix("--") {
            Some(_) => options.push((arg, args.next())),
            None => words.push(arg),
        }
    }
    (options, words)
}

fn read_settings(options: Vec<(String, Option<String>)>) -> Result<Settings, String> {
    let mut settings = Settings {
        away: Duration::from_secs(120),
        silence: Duration::from_secs(30),
        queue: 1024,
    };
    for (name, value) in options {
        let number = value
            .as_deref()
            .and_then(|value| value.parse::<f64>().ok())
            .filter(|number| (0.1..=1e6).contains(number))
            .ok_or_else(|| format!("{name} wants a number between 0.1 and 1000000"));
        match name.as_str() {
            "--away" => settings.away = Duration::from_secs_f64(number?),
            "--silence" => settings.silence = Duration::from_secs_f64(number?),
            "--queue" => settings.queue = (number? as usize).max(1),
            _ => return Err(format!("{name} is not an option")),
        }
    }
    Ok(settings)
}
