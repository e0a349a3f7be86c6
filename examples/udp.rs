//! Datagrams: a server that answers in capitals, and clients that ask again when an answer is
//! lost (UDP promises nothing, so whoever asks needs a timer).
//!
//! ```text
//! cargo run --release --example udp                     both ends, with some loss played
//! cargo run --release --example udp ADDR PORT           the server only, without loss
//! echo hello | nc -u -w1 ADDR PORT
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use runtime::net::UdpSocket;
use runtime::task::JoinSet;
use runtime::time::timeout;
use runtime_examples::{exit, exit_with_usage, explain_bind_error, listen_address};

const USAGE: &str = "usage: udp [ADDR] [PORT]      (without arguments: a demonstration)";

/// How long a client waits before it asks again, and how often it asks.
const PATIENCE: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 5;

#[runtime::main]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    if args.peek().is_none() {
        return demonstrate().await;
    }
    let addr = listen_address(&mut args, 7003).unwrap_or_else(|p| exit_with_usage(p, USAGE));
    let socket = match UdpSocket::bind(addr).await {
        Ok(socket) => socket,
        Err(error) => exit(explain_bind_error(addr, &error)),
    };
    println!("udp: listening on {}", socket.local_addr()?);
    serve(socket, 0).await
}

/// Answers every datagram, but swallows one in `lose_every` (0: none).
async fn serve(socket: UdpSocket, lose_every: u32) -> io::Result<()> {
    let mut buffer = vec![0; 2048];
    let mut received = 0;
    loop {
        let (n, peer) = socket.recv_from(&mut buffer).await?;
        received += 1;
        if lose_every > 0 && received % lose_every == 0 {
            println!("server: (lost one from {peer})");
            continue;
        }
        buffer[..n].make_ascii_uppercase();
        // The client may be gone by now: its error is no reason to stop serving the others.
        if let Err(error) = socket.send_to(&buffer[..n], peer).await {
            println!("server: cannot answer {peer}: {error}");
        }
    }
}

async fn demonstrate() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let server = socket.local_addr()?;
    let serving = runtime::spawn(serve(socket, 3));

    let mut clients = JoinSet::new();
    for text in ["one", "two", "three", "four", "five"] {
        clients.spawn(ask(server, text));
    }
    while let Some(answer) = clients.join_next().await {
        println!("client: {}", answer.expect("no client panics")?);
    }

    // The server never ends by itself: abort its task, as dropping the runtime would.
    serving.abort();
    Ok(())
}

/// Sends `text` until an answer comes.
async fn ask(server: SocketAddr, text: &str) -> io::Result<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    // A connected datagram socket receives from this peer only.
    socket.connect(server).await?;
    let mut buffer = [0; 2048];
    for attempt in 1..=ATTEMPTS {
        socket.send(text.as_bytes()).await?;
        if let Ok(received) = timeout(PATIENCE, socket.recv(&mut buffer)).await {
            let answer = String::from_utf8_lossy(&buffer[..received?]).into_owned();
            return Ok(format!("{text} -> {answer} (attempt {attempt})"));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer to {text}"),
    ))
}
