//! A TCP proxy: copies both ways between a client and a target, and gives up on a target that
//! does not answer and on connections where nothing moves any more.
//!
//! ```text
//! cargo run --release --example echo                               (in another terminal)
//! cargo run --release --example proxy [ADDR] [PORT] [TARGET] [IDLE_SECONDS]
//!                                                     (127.0.0.1 7002 127.0.0.1:7001 30)
//! nc 127.0.0.1 7002
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use runtime::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use runtime::net::TcpStream;
use runtime::time::{sleep, timeout};
use runtime_examples::{exit_with_usage, listen_address, listen_or_exit};

const USAGE: &str = "usage: proxy [ADDR] [PORT] [TARGET] [IDLE_SECONDS]
       (default: 127.0.0.1 7002 127.0.0.1:7001 30)";

/// How long a target may take to accept the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

#[runtime::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let addr = listen_address(&mut args, 7002).unwrap_or_else(|p| exit_with_usage(p, USAGE));
    let target: Arc<str> = args
        .next()
        .unwrap_or_else(|| "127.0.0.1:7001".into())
        .into();
    let idle_limit = match args.next().map(|word| word.parse::<f64>()) {
        None => Duration::from_secs(30),
        Some(Ok(seconds)) if (0.001..=1e6).contains(&seconds) => Duration::from_secs_f64(seconds),
        Some(_) => exit_with_usage("IDLE_SECONDS is a number above 0", USAGE),
    };

    let listener = listen_or_exit(addr).await;
    let local = listener.local_addr().expect("it is bound");
    println!("proxy: listening on {local}, forwarding to {target}");

    loop {
        let (client, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("proxy: cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let target = target.clone();
        runtime::spawn(async move {
            match forward(client, &target, idle_limit).await {
                Ok((up, down)) => println!("{peer}: {up} bytes up, {down} bytes down"),
                Err(error) => println!("{peer}: {error}"),
            }
        });
    }
}

/// Connects to the target and copies until both sides have closed.
async fn forward(client: TcpStream, target: &str, idle_limit: Duration) -> io::Result<(u64, u64)> {
    // Dropping the `connect` future, as `timeout` does when time is up, closes its socket.
    let server = timeout(CONNECT_LIMIT, TcpStream::connect(target))
        .await
        .map_err(|_| io::Error::other(format!("{target} did not answer in {CONNECT_LIMIT:?}")))?
        .map_err(|error| io::Error::other(format!("cannot reach {target}: {error}")))?;

    let moved = Arc::new(AtomicU64::new(0));
    let mut client = Counted {
        stream: client,
        moved: moved.clone(),
    };
    let mut server = Counted {
        stream: server,
        moved: moved.clone(),
    };

    // Whichever ends first drops the other: a finished copy stops the watch, and an idle
    // connection drops the copy and with it both sockets.
    runtime::select! {
        copied = copy_bidirectional(&mut client, &mut server) => copied,
        () = until_idle(&moved, idle_limit) => {
            Err(io::Error::other(format!("closed: nothing moved for {idle_limit:?}")))
        }
    }
}

/// Returns once the counter has stood still for `limit` (and at the latest for twice that).
async fn until_idle(moved: &AtomicU64, limit: Duration) {
    // Relaxed: a counter, compared only with its own older value.
    let mut seen = moved.load(Ordering::Relaxed);
    loop {
        sleep(limit).await;
        let now = moved.load(Ordering::Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// A stream that counts the bytes it reads. What one side reads the other side writes, so that
/// two of them see all traffic.
struct Counted {
    /// Where the bytes come from.
    stream: TcpStream,
    /// Shared with the other stream.
    moved: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        self.moved.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
