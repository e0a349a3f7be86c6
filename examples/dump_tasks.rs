//! What is the program doing? On a signal, a server prints its tasks and its metrics, and goes on.
//!
//! The server computes for its clients, in a task that should rather have used `spawn_blocking`:
//! the list shows it at work, and since when. `dump_on_signal` is meant to be copied into other
//! programs.
//!
//! ```text
//! cargo run --release --example dump_tasks [ADDR] [PORT]      (127.0.0.1 7005)
//! echo 5000 | nc 127.0.0.1 7005      (compute for 5000 ms)
//! kill -USR1 <pid>                   (it says its pid)
//! ```

use std::io;
use std::time::{Duration, Instant};

use runtime::Handle;
use runtime::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use runtime::net::TcpStream;
use runtime::signal::unix::{SignalKind, signal};
use runtime::sync::mpsc;
use runtime::task::Builder;
use runtime::time::{interval, sleep};
use runtime_examples::{exit_with_usage, listen_address, listen_or_exit};

const USAGE: &str = "usage: dump_tasks [ADDR] [PORT]      (default: 127.0.0.1 7005)";

#[runtime::main]
async fn main() -> io::Result<()> {
    // Before anything else: without a listener, the signal would end the program.
    dump_on_signal(SignalKind::user_defined1())?;

    let mut args = std::env::args().skip(1);
    let addr = listen_address(&mut args, 7005).unwrap_or_else(|p| exit_with_usage(p, USAGE));
    let listener = listen_or_exit(addr).await;
    println!(
        "dump_tasks: listening on {}; for a list of tasks: kill -USR1 {}",
        listener.local_addr().expect("it is bound"),
        std::process::id()
    );

    let (jobs, queue) = mpsc::channel(16);
    Builder::new().name("cruncher").spawn(crunch(queue))?;
    Builder::new().name("cleaner").spawn(clean())?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let client = serve(stream, jobs.clone());
                Builder::new()
                    .name(&format!("client {peer}"))
                    .spawn(client)?;
            }
            Err(error) => {
                eprintln!("dump_tasks: cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// From now on, prints what the runtime is doing whenever the signal arrives.
///
/// Not an `async fn`, because the listener must be there when this returns, not when its task is
/// first polled. The dump comes even if every worker is stuck: other threads take over.
fn dump_on_signal(kind: SignalKind) -> io::Result<()> {
    let mut signals = signal(kind)?;
    let dump = async move {
        let handle = Handle::current();
        while signals.recv().await.is_some() {
            let (tasks, metrics) = (handle.tasks(), handle.metrics());
            eprintln!("\n{} tasks\n{tasks}\n\n{metrics}", tasks.len());
        }
    };
    Builder::new().name("dump").spawn(dump)?;
    Ok(())
}

/// Each line is a job: for how many milliseconds to compute.
async fn serve(stream: TcpStream, jobs: mpsc::Sender<Duration>) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match line.trim().parse() {
            Ok(millis) if jobs.send(Duration::from_millis(millis)).await.is_ok() => "queued\n",
            Ok(_) => "out of service\n",
            Err(_) => "how many milliseconds?\n",
        };
        lines.get_mut().write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Computes without a pause, as it should not: from the second job on in the hog lane.
async fn crunch(mut jobs: mpsc::Receiver<Duration>) {
    while let Some(time) = jobs.recv().await {
        let start = Instant::now();
        while start.elapsed() < time {}
    }
}

/// Does next to nothing each second, and the list says so.
async fn clean() {
    let mut interval = interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
    }
}
