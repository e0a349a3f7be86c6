//! Non-blocking operation: a call that cannot go on says so at once (`WouldBlock`) instead of
//! holding the thread. Awaiting readiness and trying again is all that an async `read` does.
//!
//! ```text
//! cargo run --release --example non_blocking
//! ```

use std::io;
use std::time::Duration;

use runtime::net::{TcpListener, TcpStream};
use runtime::time::sleep;

#[runtime::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;

    // The other side lets us wait before it says anything.
    let other = runtime::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        for word in ["first", "second"] {
            sleep(Duration::from_millis(50)).await;
            println!("(the other side sends \"{word}\")");
            stream.write_all(word.as_bytes()).await?;
        }
        io::Result::Ok(())
    });

    let stream = TcpStream::connect(addr).await?;
    let mut buffer = [0; 64];
    loop {
        // `try_read` never waits: it has data, or the end, or it would block.
        match stream.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => println!("read: \"{}\"", String::from_utf8_lossy(&buffer[..n])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                println!("would block: this task sleeps, its thread is free for others");
                stream.readable().await?;
                println!("readable: try again");
            }
            Err(error) => return Err(error),
        }
    }
    println!("the other side closed");
    other.await.expect("the other side does not panic")
}
