//! A graceful end: on Ctrl-C the server accepts no more, lets running requests finish, and waits
//! for them only so long.
//!
//! ```text
//! cargo run --release --example shutdown [ADDR] [PORT]      (127.0.0.1 7004)
//! echo 2000 | nc 127.0.0.1 7004      (a request that takes 2000 ms; then press Ctrl-C there)
//! echo 9000 | nc 127.0.0.1 7004      (one that takes longer than the server is ready to wait)
//! ```

use std::io;
use std::pin::pin;
use std::time::Duration;

use runtime::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use runtime::net::TcpStream;
use runtime::sync::watch;
use runtime::task::JoinSet;
use runtime::time::{sleep, timeout};
use runtime_examples::{exit_with_usage, listen_address, listen_or_exit};

const USAGE: &str = "usage: shutdown [ADDR] [PORT]      (default: 127.0.0.1 7004)";

/// How long requests may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(4);

#[runtime::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let addr = listen_address(&mut args, 7004).unwrap_or_else(|p| exit_with_usage(p, USAGE));
    let listener = listen_or_exit(addr).await;
    println!(
        "shutdown: listening on {}",
        listener.local_addr().expect("it is bound")
    );

    // Every connection holds a receiver; one send tells them all.
    let (closing, is_closing) = watch::channel(());
    let mut connections = JoinSet::new();

    // One future for the whole loop: made anew in each turn, it could miss a signal in between.
    let mut stop = pin!(runtime::signal::ctrl_c());

    loop {
        runtime::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    println!("{peer}: connected");
                    connections.spawn(serve(stream, is_closing.clone()));
                }
                Err(error) => {
                    eprintln!("shutdown: cannot accept: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
            },
            // Take the finished ones out of the set, or it would grow for ever.
            Some(_) = connections.join_next() => {}
            stopped = &mut stop => {
                stopped.expect("a handler for Ctrl-C can be installed");
                break;
            }
        }
    }

    // 1. Accept no more: new clients are refused by the OS at once, and can go elsewhere.
    drop(listener);
    // 2. Tell the connections; those without a request end now.
    println!(
        "shutdown: finishing {} connections, at most {GRACE:?}",
        connections.len()
    );
    closing.send_replace(());
    // 3. Wait, with a limit. 4. Abort the rest: their futures are dropped where they stand.
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, finish).await.is_err() {
        println!("shutdown: {} did not finish in time", connections.len());
        connections.shutdown().await;
    }
    println!("shutdown: bye");
}

async fn serve(stream: TcpStream, mut is_closing: watch::Receiver<()>) {
    if let Err(error) = answer_requests(stream, &mut is_closing).await {
        println!("connection: {error}");
    }
}

/// Each line is a request: how many milliseconds to work before the answer.
async fn answer_requests(
    stream: TcpStream,
    is_closing: &mut watch::Receiver<()>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        // Between requests is the place to stop; inside one we do not listen for the end.
        let read = runtime::select! {
            read = stream.read_line(&mut line) => read?,
            _ = is_closing.changed() => return stream.write_all(b"closing\n").await,
        };
        if read == 0 {
            return Ok(());
        }
        let answer = match line.trim().parse() {
            Ok(millis) => {
                sleep(Duration::from_millis(millis)).await;
                format!("worked {millis} ms\n")
            }
            Err(_) => "how many milliseconds?\n".to_string(),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}
