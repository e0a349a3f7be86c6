//! Connections: exchanges over long-lived ones, half-closes, and resets from either side.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use runtime::net::{TcpListener, TcpStream};
use runtime::task::JoinSet;
use runtime::time::sleep;
use runtime_tests::spin;

use super::Work;
use crate::ledger::Ledger;
use crate::plant::Plant;
use crate::site::{Random, Site};

/// Long-lived connections. Each exchange is small beside what the sockets hold, so the client may write all before it reads.
const CONNECTIONS: usize = 64;

/// The most bytes of an exchange, and the size of the server's buffer.
const MOST: usize = 2048;

/// After so many exchanges, on average, a connection is closed and another made.
const EXCHANGES: u64 = 300;

/// Starts the servers and their clients.
pub async fn start(site: &Arc<Site>, work: &mut Work) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let served = site.books.open("served");
    work.servers.spawn(serve(listener, served, site.clone()));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let resetting = listener.local_addr()?;
    let resets = site.books.open("resets by server");
    work.servers.spawn(serve_resets(listener, resets.clone()));

    let exchanges = site.books.open("exchanges");
    for _ in 0..CONNECTIONS {
        work.loops.build_task().name("exchanges").spawn(exchange(
            address,
            exchanges.clone(),
            site.clone(),
        ))?;
    }
    let half_closes = site.books.open("half-closes");
    site.every(&mut work.loops, "half-closes", 15.0, move |random| {
        half_close(address, half_closes.clone(), random)
    });
    let aborts = site.books.open("resets by client");
    site.every(&mut work.loops, "resets by client", 15.0, move |random| {
        reset(address, aborts.clone(), random)
    });
    site.every(&mut work.loops, "resets by server", 15.0, move |_| {
        be_reset(resetting, resets.clone())
    });
    Ok(())
}

/// Echoes on every connection what comes, until the client is done or resets it.
async fn serve(listener: TcpListener, ledger: Arc<Ledger>, site: Arc<Site>) {
    let mut connections = JoinSet::new();
    let start = Instant::now();
    loop {
        let (mut stream, _) = listener.accept().await.expect("descriptors are left");
        ledger.begin();
        let (ledger, plant) = (ledger.clone(), site.plant);
        connections.spawn(async move {
            let _token = ledger.token();
            let ended = async {
                let mut buffer = [0; MOST];
                loop {
                    let count = stream.read(&mut buffer).await?;
                    ledger.receive(count);
                    if count == 0 {
                        return stream.shutdown().await;
                    }
                    let delay = plant.and_then(|it| it.delay(start.elapsed().as_secs() as usize));
                    match delay {
                        Some(delay) if plant == Some(Plant::Stall) => sleep(delay).await,
                        Some(delay) => spin(delay),
                        None => {}
                    }
                    stream.write_all(&buffer[..count]).await?;
                    // It balances: whatever is read is written.
                    ledger.send(count);
                }
            };
            match ended.await {
                Ok(()) => ledger.complete(),
                Err(error) => {
                    assert!(
                        is_reset(&error),
                        "the server's end of a connection: {error}"
                    );
                    ledger.cancel(1);
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// One long-lived connection after the other.
async fn exchange(address: SocketAddr, ledger: Arc<Ledger>, site: Arc<Site>) {
    let mut pace = site.pace("exchanges", 16.0);
    let mut stream = None;
    let mut back = vec![0; MOST];
    while pace.next().await {
        let mut connected = match stream.take() {
            Some(stream) => stream,
            None => connect(address).await,
        };
        let length = 1 + pace.random.below(MOST as u64) as usize;
        let first = pace.random.next() as u8;
        let bytes: Vec<u8> = (0..length).map(|n| first.wrapping_add(n as u8)).collect();
        ledger.begin();
        let start = Instant::now();
        connected.write_all(&bytes).await.expect("the server reads");
        ledger.send(length);
        let back = &mut back[..length];
        connected
            .read_exact(back)
            .await
            .expect("the server answers");
        site.echo.record(start.elapsed());
        ledger.receive(length);
        assert!(back == bytes, "what came back is not what was sent");
        ledger.complete();
        if pace.random.below(EXCHANGES) == 0 {
            end(connected).await;
        } else {
            stream = Some(connected);
        }
    }
    if let Some(stream) = stream {
        end(stream).await;
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    stream
}

/// Says that nothing more comes, and waits for the other side to say so.
async fn end(mut stream: TcpStream) {
    stream.shutdown().await.expect("it is connected");
    let rest = stream.read(&mut [0]).await.expect("the server ends it");
    assert_eq!(rest, 0, "nothing is left to read");
}

/// Sends much more than fits into the server's buffer, closes this direction, and reads until the other is closed.
async fn half_close(address: SocketAddr, ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin();
    let length = 1 + random.below(200_000) as usize;
    let (mut reader, mut writer) = connect(address).await.into_split();
    let sent = ledger.clone();
    let sender = runtime::spawn(async move {
        writer.write_all(&vec![7; length]).await?;
        sent.send(length);
        writer.shutdown().await
    });
    let mut back = Vec::new();
    reader
        .read_to_end(&mut back)
        .await
        .expect("the server answers and ends");
    ledger.receive(back.len());
    assert_eq!(back.len(), length, "what was sent before the end arrives");
    sender
        .await
        .expect("it does not panic")
        .expect("the server reads");
    ledger.complete();
}

/// Connects, exchanges something, and resets the connection while the server waits for more, or is in the middle of it.
async fn reset(address: SocketAddr, ledger: Arc<Ledger>, mut random: Random) {
    ledger.begin();
    let mut stream = connect(address).await;
    let length = 1 + random.below(MOST as u64) as usize;
    stream
        .write_all(&vec![7; length])
        .await
        .expect("the server reads");
    let most = if random.below(2) == 0 { length } else { 1 };
    stream
        .read_exact(&mut vec![0; most])
        .await
        .expect("the server answers");
    stream.set_zero_linger().expect("it is a TCP socket");
    drop(stream);
    ledger.cancel(1);
}

/// Resets every connection once the client is about to wait.
async fn serve_resets(listener: TcpListener, ledger: Arc<Ledger>) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("descriptors are left");
        let mut byte = [0];
        stream
            .read_exact(&mut byte)
            .await
            .expect("the client writes");
        ledger.receive(1);
        stream.set_zero_linger().expect("it is a TCP socket");
    }
}

/// Waits for an answer until the connection is reset.
async fn be_reset(address: SocketAddr, ledger: Arc<Ledger>) {
    ledger.begin();
    let mut stream = connect(address).await;
    stream.write_all(b"x").await.expect("the server reads");
    ledger.send(1);
    let error = stream
        .read(&mut [0])
        .await
        .expect_err("the server resets it");
    assert!(is_reset(&error), "the client's end: {error}");
    ledger.cancel(1);
}
