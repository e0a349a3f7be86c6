//! One run through everything: spawn, join, abort, panic, timers, TCP, UDP, blocking jobs, channels, a waker that outlives its
//! runtime, and a shutdown in the middle of work. `.ci/sanitizers` runs it under memcheck too, which looks at each
//! instruction of each dependency, where a sanitizer knows only what it has compiled.

use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use runtime::net::{TcpListener, TcpStream, UdpSocket};
use runtime::runtime::Runtime;
use runtime::sync::{mpsc, oneshot};
use runtime::task::{JoinSet, spawn_blocking, yield_now};
use runtime::time::{interval, sleep, timeout};
use runtime_tests::{DropCount, LIMIT, PanicOnDrop, Watchdog, current_thread, multi_thread};

/// What a task needs to be left behind at a shutdown; memcheck sees what is not freed.
const LEFT: usize = 30;

#[test]
fn everything_once() {
    let _watchdog = Watchdog::new(LIMIT);
    for make in [current_thread, || multi_thread(1), || multi_thread(3)] {
        let runtime = make();
        let count = DropCount::new();
        runtime.block_on(async {
            tasks(&count).await;
            timers(&count).await;
            sockets().await;
            blocking_jobs().await;
        });
        let ended = count.dropped();
        let kept = left_behind(&runtime, &count);
        drop(runtime);
        assert_eq!(count.dropped(), ended + LEFT);
        // The task is gone, its cell is not: the waker has the last reference.
        kept.wake_by_ref();
        drop(kept);
    }
}

/// Tasks that end in each way: output, abort, panic, panic while dropped, in a set that is dropped.
async fn tasks(count: &DropCount) {
    let mut set = JoinSet::new();
    for number in 0..100_usize {
        let token = count.token();
        set.spawn(async move {
            let _token = token;
            for _ in 0..number % 7 {
                yield_now().await;
            }
            vec![number; number]
        });
    }
    let mut sum = 0;
    while let Some(output) = set.join_next().await {
        sum += output.unwrap().len();
    }
    assert_eq!(sum, 99 * 100 / 2);
    assert_eq!(count.dropped(), 100);

    let aborted = runtime::spawn(pending::<()>());
    yield_now().await;
    aborted.abort();
    assert!(aborted.await.unwrap_err().is_cancelled());
    let panicked = runtime::spawn(async { panic!("as planned") });
    assert!(panicked.await.unwrap_err().is_panic());
    let bomb = runtime::spawn(async {
        let _bomb = PanicOnDrop("as planned");
        pending::<()>().await;
    });
    yield_now().await;
    bomb.abort();
    assert!(bomb.await.is_err());
    for _ in 0..10 {
        set.spawn(pending());
    }
    yield_now().await;
    drop(set);

    let (sender, mut receiver) = mpsc::channel(2);
    let producer = runtime::spawn(async move {
        for number in 0..50_u32 {
            sender.send(Box::new(number)).await.unwrap();
        }
    });
    let mut next = 0;
    while let Some(number) = receiver.recv().await {
        assert_eq!(*number, next);
        next += 1;
    }
    producer.await.unwrap();
    assert_eq!(next, 50);
}

/// Timers that fire, that are dropped while they wait, and that are put off.
async fn timers(count: &DropCount) {
    let before = count.dropped();
    let mut set = JoinSet::new();
    for number in 0..60_u64 {
        let token = count.token();
        set.spawn(async move {
            let _token = token;
            match number % 3 {
                0 => sleep(Duration::from_micros(200 * number)).await,
                1 => {
                    let late = timeout(Duration::from_millis(number / 10), pending::<()>()).await;
                    assert!(late.is_err());
                }
                _ => timeout(Duration::from_secs(3600), yield_now())
                    .await
                    .unwrap(),
            }
        });
    }
    while let Some(output) = set.join_next().await {
        output.unwrap();
    }
    assert_eq!(count.dropped(), before + 60);

    let mut interval = interval(Duration::from_millis(1));
    for _ in 0..4 {
        interval.tick().await;
    }
    let mut put_off = Box::pin(sleep(Duration::from_secs(3600)));
    assert!(poll_fn(|cx| Poll::Ready(put_off.as_mut().poll(cx).is_pending())).await);
    put_off
        .as_mut()
        .reset(runtime::time::Instant::now() + Duration::from_millis(1));
    put_off.await;
}

/// Streams that are read to their end, halves, a read that is given up, datagrams.
async fn sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = runtime::spawn(async move {
        let mut set = JoinSet::new();
        for _ in 0..5 {
            let (mut stream, _) = listener.accept().await.unwrap();
            set.spawn(async move {
                let mut buffer = Vec::with_capacity(1000);
                while stream.read_buf(&mut buffer).await.unwrap() != 0 {
                    stream.write_all(&buffer).await.unwrap();
                    buffer.clear();
                }
            });
        }
        while let Some(output) = set.join_next().await {
            output.unwrap();
        }
    });
    for length in [1, 100, 10_000, 200_000, 400_000] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut byte = [0];
        assert!(
            timeout(Duration::from_micros(100), stream.read(&mut byte))
                .await
                .is_err()
        );
        let (mut reader, mut writer) = stream.into_split();
        let sender = runtime::spawn(async move {
            writer.write_all(&vec![length as u8; length]).await.unwrap();
            // Its drop is the end of the stream.
        });
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).await.unwrap();
        assert!(answer.iter().all(|&byte| byte == length as u8));
        assert_eq!(reader.read(&mut byte).await.unwrap(), 0);
        sender.await.unwrap();
    }
    server.await.unwrap();

    let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    one.send_to(b"a datagram", other.local_addr().unwrap())
        .await
        .unwrap();
    let mut buffer = [0; 100];
    let (length, from) = other.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..length], b"a datagram");
    assert_eq!(from, one.local_addr().unwrap());
}

/// Jobs that return, that panic, and one that is waited for from a thread of the pool.
async fn blocking_jobs() {
    let jobs: Vec<_> = (0..20_usize)
        .map(|number| spawn_blocking(move || vec![0_u8; number]))
        .collect();
    for (number, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.await.unwrap().len(), number);
    }
    let panicked = spawn_blocking(|| panic!("as planned"));
    assert!(panicked.await.unwrap_err().is_panic());
    let handle = runtime::runtime::Handle::current();
    let inner =
        spawn_blocking(move || handle.block_on(async { runtime::spawn(async { 7 }).await }));
    assert_eq!(inner.await.unwrap().unwrap(), 7);
}

/// Leaves tasks that wait for a timer, a socket, a channel and nothing to the shutdown; returns the waker of one.
fn left_behind(runtime: &Runtime, count: &DropCount) -> Waker {
    let place = Arc::new(Mutex::new(None));
    runtime.block_on(async {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        for number in 0..LEFT - 1 {
            let (token, listener) = (count.token(), listener.clone());
            let (started, has_started) = oneshot::channel();
            runtime::spawn(async move {
                let _token = token;
                started.send(()).unwrap();
                match number % 3 {
                    0 => sleep(Duration::from_secs(3600)).await,
                    1 => drop(listener.accept().await),
                    _ => drop(oneshot::channel::<()>().1.await),
                }
                pending::<()>().await;
            });
            has_started.await.unwrap();
        }
        let (token, place) = (count.token(), place.clone());
        let (started, has_started) = oneshot::channel();
        let mut started = Some(started);
        runtime::spawn(poll_fn(move |cx| {
            let _token = &token;
            *place.lock().unwrap() = Some(cx.waker().clone());
            if let Some(started) = started.take() {
                started.send(()).unwrap();
            }
            Poll::<()>::Pending
        }));
        has_started.await.unwrap();
    });
    let kept = place.lock().unwrap().take();
    kept.expect("the task has been polled")
}
