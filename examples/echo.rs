//! A TCP server that sends back whatever it receives: one task a connection.
//!
//! ```text
//! cargo run --release --example echo [ADDR] [PORT]      (127.0.0.1 7001)
//! nc 127.0.0.1 7001
//! ```

use std::io;
use std::time::Duration;

use runtime::net::TcpStream;
use runtime_examples::{exit_with_usage, listen_address, listen_or_exit};

const USAGE: &str = "usage: echo [ADDR] [PORT]      (default: 127.0.0.1 7001)";

#[runtime::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let addr = listen_address(&mut args, 7001).unwrap_or_else(|p| exit_with_usage(p, USAGE));
    let listener = listen_or_exit(addr).await;
    println!(
        "echo: listening on {}",
        listener.local_addr().expect("it is bound")
    );

    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, perhaps: let some connections end before trying again.
                eprintln!("echo: cannot accept: {error}");
                runtime::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        runtime::spawn(async move {
            match echo(stream).await {
                Ok(bytes) => println!("{peer}: {bytes} bytes, closed"),
                Err(error) => println!("{peer}: {error}"),
            }
        });
    }
}

/// Echoes until the other side closes, and returns how many bytes that were.
async fn echo(mut stream: TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    let mut total = 0;
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(total);
        }
        // Waits while the other side does not read, so a slow peer slows only itself.
        stream.write_all(&buffer[..n]).await?;
        total += n as u64;
    }
}
