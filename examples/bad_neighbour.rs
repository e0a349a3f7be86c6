//! Bad neighbours: what tasks that compute or block do to everybody else, with rescue off and on.
//!
//! A client asks a TCP server for an echo, again and again; beside it a task wants to run each
//! millisecond. Both are measured alone, beside four tasks that compute for 5 ms in each poll, and
//! beside four that put their thread to sleep for 100 ms; each time first with `rescue(false)`,
//! where a worker is lost until such a poll ends, then as it is by default: after 2 ms other
//! threads take over, and the bad tasks get threads of their own. At the end stand the reports
//! that name the culprits (`on_slow_poll`), and what became of them (`Handle::tasks`).
//!
//! ```text
//! cargo run --release --example bad_neighbour [--workers 2] [--seconds 1]
//! ```

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use runtime::net::TcpListener;
use runtime::task::{Builder, yield_now};
use runtime::time::interval;
use runtime_examples::exit_with_usage;

const USAGE: &str = "usage: bad_neighbour [--workers N] [--seconds S]      (default: 2, 1)";

/// How many bad tasks there are, what they are called, and what each poll of theirs does.
type Neighbours = (usize, &'static str, fn());

/// The first moments are looked at apart: nobody knows the bad tasks yet.
const FIRST: Duration = Duration::from_millis(100);

/// When something was due, counted from the start, and how many milliseconds later it came.
type Delays = Vec<(Duration, f64)>;

fn main() -> io::Result<()> {
    let (mut workers, mut seconds) = (2, 1);
    let mut args = std::env::args().skip(1);
    while let Some(option) = args.next() {
        let value = args.next().unwrap_or_default();
        match (option.as_str(), value.parse()) {
            ("--workers", Ok(number @ 1..=1024)) => workers = number,
            ("--seconds", Ok(number @ 1..=60)) => seconds = number as u64,
            _ => exit_with_usage(format!("cannot take \"{option} {value}\""), USAGE),
        }
    }
    let time = FIRST + Duration::from_secs(seconds);

    println!(
        "How late an echo and a 1 ms tick are beside others, on {workers} workers; in ms.\n\
         \"first\" is the worst of the first 0.1 s; the rest is about {seconds} s after that.\n\
         The bar: █ to the median, ▒ to the 99th percentile, ░ to the worst.\n\n\
         beside                    rescue   first    p50    p99  worst   \
         0.01  0.1   1     10    100   1000"
    );
    let mut end = String::new();
    let neighbours: [(&str, Neighbours); 3] = [
        ("nobody", (0, "", || {})),
        ("4 that compute 5 ms", (4, "resize", compute)),
        ("4 that block 100 ms", (4, "export", block)),
    ];
    for (title, neighbours) in neighbours {
        let (echo_off, tick_off, _) = measure(workers, false, neighbours, time)?;
        let (echo_on, tick_on, story) = measure(workers, true, neighbours, time)?;
        println!();
        print_row(title, "echo  off", echo_off);
        print_row("", "      on", echo_on);
        print_row("", "tick  off", tick_off);
        print_row("", "      on", tick_on);
        end += &story;
    }
    print!("{end}");
    Ok(())
}

/// Runs a server, a tick and the neighbours on a runtime of their own, and the client on this
/// thread, which does not belong to it. Returns how late the echoes and the ticks were and, if a
/// neighbour was slow, the first report and the tasks at the end.
fn measure(
    workers: usize,
    rescue: bool,
    (count, name, misbehave): Neighbours,
    time: Duration,
) -> io::Result<(Delays, Delays, String)> {
    let (sender, reports) = mpsc::channel();
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .rescue(rescue)
        // By default only polls of 10 ms are reported.
        .slow_poll_threshold(Duration::from_millis(3))
        .on_slow_poll(move |poll| drop(sender.send(poll.clone())))
        .build()?;
    let handle = runtime.handle();

    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let named = |name| Builder::new().name(name);
    named("echo").spawn_on(echo(listener), handle)?;
    for _ in 0..count {
        named(name).spawn_on(repeat(misbehave), handle)?;
    }
    let tick = named("tick").spawn_on(tick(time), handle)?;
    let echoes = ask(&mut client, time)?;
    let report = reports.try_iter().find(|poll| poll.name() == Some(name));
    let story = report.map(|report| format!("\n{report}\n\n{}\n", handle.tasks()));
    let ticks = runtime.block_on(tick).expect("a tick does not panic");
    Ok((echoes, ticks, story.unwrap_or_default()))
}

/// Yields after each time, but that does not make a poll any shorter.
async fn repeat(misbehave: fn()) {
    loop {
        misbehave();
        yield_now().await;
    }
}

fn compute() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(5) {}
}

/// `runtime::time::sleep` would give the thread back. This one, like a slow disk, does not.
fn block() {
    thread::sleep(Duration::from_millis(100));
}

/// Echoes for one client.
async fn echo(listener: TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut request = [0; 64];
    loop {
        stream.read_exact(&mut request).await?;
        stream.write_all(&request).await?;
    }
}

/// Asks for an echo, thinks for 3 ms, asks again.
fn ask(server: &mut TcpStream, time: Duration) -> io::Result<Delays> {
    let mut delays = Vec::new();
    let start = Instant::now();
    loop {
        let asked = Instant::now();
        server.write_all(&[7; 64])?;
        server.read_exact(&mut [0; 64])?;
        delays.push((asked - start, asked.elapsed().as_secs_f64() * 1e3));
        if asked - start > time {
            return Ok(delays);
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// Ticks each millisecond, and makes up for missed ticks, so that each counts with its own delay.
async fn tick(time: Duration) -> Delays {
    let mut interval = interval(Duration::from_millis(1));
    let mut delays = Vec::new();
    let start = interval.tick().await;
    loop {
        let due = interval.tick().await;
        delays.push((due - start, due.elapsed().as_secs_f64() * 1e3));
        if due - start > time {
            return delays;
        }
    }
}

/// Prints a row. (The last echo and the last tick are from after `FIRST`, so there are some.)
fn print_row(title: &str, what: &str, mut delays: Delays) {
    delays.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (first, rest): (Vec<_>, Vec<_>) = delays.into_iter().partition(|(due, _)| *due < FIRST);
    let first = first.last().map_or(0.0, |(_, late)| *late);
    let [p50, p99, worst] = [50, 99, 100].map(|percent| rest[(rest.len() - 1) * percent / 100].1);
    // Six columns for each factor of ten, beginning at 0.01 ms.
    let columns = |late: f64| ((late / 0.01).log10() * 6.0).round().max(1.0) as usize;
    let (median, most, all) = (columns(p50), columns(p99), columns(worst));
    let bar = "█".repeat(median) + &"▒".repeat(most - median) + &"░".repeat(all - most);
    println!("{title:20}{what:11} {first:>8.2} {p50:>6.2} {p99:>6.2} {worst:>6.2}   {bar}");
}
