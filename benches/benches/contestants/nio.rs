//! nio: tasks that sleep or use sockets stay on one worker.
//!
//! nio's timers and sockets are not `Send`, and the tasks that use them are pinned ([`Rt::spawn_io`]); all others move freely.
//! The workloads ask for futures that are `Send`, so that a timer or a socket lies in a table of its worker's thread, and the
//! task holds its place there, [`Here`]. The table is a thread-local vector: an access costs some nanoseconds, which nio has to
//! bear in the rows of timers. A task that is not pinned and is found to use another thread's place panics.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nio::net::{TcpConnection, TcpListener, TcpStream};
use runtime_benches::Rt;

/// A runtime of nio.
#[derive(Clone)]
pub(crate) struct Nio(Arc<nio::Runtime>);

/// What belongs to this thread, with free places in between.
pub(crate) struct Table<T> {
    /// The entries.
    places: Vec<Option<T>>,
    /// The free ones among them.
    free: Vec<usize>,
}

impl<T> Table<T> {
    const EMPTY: Self = Self {
        places: Vec::new(),
        free: Vec::new(),
    };
}

/// What is kept in a thread's table.
pub(crate) trait Kept: Sized {
    /// Calls `work` with the table of this thread.
    fn table<R>(work: impl FnOnce(&mut Table<Self>) -> R) -> R;
}

macro_rules! kept {
    ($table:ident, $kept:ty) => {
        thread_local! {
            static $table: RefCell<Table<$kept>> = const { RefCell::new(Table::EMPTY) };
        }

        impl Kept for $kept {
            fn table<R>(work: impl FnOnce(&mut Table<Self>) -> R) -> R {
                $table.with_borrow_mut(work)
            }
        }
    };
}

kept!(SLEEPS, nio::Sleep);
kept!(LISTENERS, TcpListener);
kept!(STREAMS, TcpStream);

thread_local! {
    /// The number of this thread; 0: not yet asked for.
    static THREAD: Cell<usize> = const { Cell::new(0) };
}

/// The number of this thread, from 1.
fn thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    THREAD.with(|thread| {
        if thread.get() == 0 {
            // Ordering: Relaxed, a counter.
            thread.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        thread.get()
    })
}

/// The place of something that belongs to one thread.
pub(crate) struct Here<T: Kept> {
    /// Whose table.
    thread: usize,
    /// Where in it.
    place: usize,
    /// It is as if a function returned it, which can be sent.
    kept: std::marker::PhantomData<fn() -> T>,
}

impl<T: Kept> Here<T> {
    fn new(value: T) -> Self {
        let place = T::table(|table| match table.free.pop() {
            Some(place) => {
                table.places[place] = Some(value);
                place
            }
            None => {
                table.places.push(Some(value));
                table.places.len() - 1
            }
        });
        Self {
            thread: thread(),
            place,
            kept: std::marker::PhantomData,
        }
    }

    /// Calls `work` with what is kept.
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        assert_eq!(self.thread, thread(), "a pinned task stays on its thread");
        T::table(|table| work(table.places[self.place].as_mut().expect("it is there")))
    }
}

impl<T: Kept> Drop for Here<T> {
    fn drop(&mut self) {
        assert_eq!(self.thread, thread(), "a pinned task stays on its thread");
        let value = T::table(|table| {
            table.free.push(self.place);
            table.places[self.place].take()
        });
        // Outside the table: dropping may reach it again.
        drop(value);
    }
}

impl Future for Here<nio::Sleep> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|sleep| Pin::new(sleep).poll(cx))
    }
}

/// A connection, which becomes a stream on the thread where it is first used: a task may be spawned for it elsewhere.
pub(crate) enum Stream {
    /// As it was accepted; `None` only in between.
    Accepted(Option<TcpConnection>),
    /// As it is used.
    Used(Here<TcpStream>),
}

impl Stream {
    fn here(&mut self) -> &Here<TcpStream> {
        if let Self::Accepted(connection) = self {
            let connection = connection.take().expect("it is there");
            let connect = pin!(connection.connect());
            let Poll::Ready(stream) = connect.poll(&mut Context::from_waker(Waker::noop())) else {
                unreachable!("an accepted connection is connected");
            };
            *self = Self::Used(Here::new(stream.expect("the reactor has room")));
        }
        match self {
            Self::Used(stream) => stream,
            Self::Accepted(_) => unreachable!("it was replaced above"),
        }
    }
}

/// What [`nio::timeout`] makes, with the sleep in its table.
struct Timeout<F> {
    /// Polled first.
    future: F,
    /// Polled if that is pending.
    sleep: Here<nio::Sleep>,
}

impl<F: Future + Unpin> Future for Timeout<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.future).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Pin::new(&mut self.sleep).poll(cx).map(|()| None),
        }
    }
}

impl Rt for Nio {
    const NAME: &'static str = "nio";
    // Its streams are not hyper's, and it names no adapter.
    const LACKS: &'static [&'static str] = &["http"];
    type Join<T: Send + 'static> = nio::JoinHandle<T>;
    type JoinError = nio::JoinError;
    type Sleep = Here<nio::Sleep>;
    type Listener = Here<TcpListener>;
    type Stream = Stream;

    fn start(workers: usize) -> Self {
        let builder = nio::RuntimeBuilder::new();
        let builder = builder.worker_threads(workers.try_into().expect("not that many"));
        Self(Arc::new(
            builder.rt().expect("a runtime starts on an idle machine"),
        ))
    }

    fn block_on<F>(&self, future: F) -> F::Output
    where
        F: Future + Send,
        F::Output: Send,
    {
        self.0.block_on(|| future)
    }

    fn spawn_on<F>(&self, future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(future)
    }

    fn spawn<F>(future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        nio::spawn(future)
    }

    fn spawn_io<F>(future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        nio::spawn_pinned(|| future)
    }

    fn spawn_io_on<F>(&self, future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn_pinned(|| future)
    }

    fn spawn_blocking<F, T>(job: F) -> Self::Join<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        nio::spawn_blocking(job)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Here::new(nio::sleep(duration))
    }

    fn timeout<F>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        let sleep = Self::sleep(duration);
        async move {
            let future = pin!(future);
            Timeout { future, sleep }.await
        }
    }

    async fn bind() -> (Self::Listener, SocketAddr) {
        // Nothing waits here: the future is ready at once.
        poll_fn(|cx| {
            let bound = pin!(TcpListener::bind("127.0.0.1:0")).poll(cx);
            bound.map(|listener| {
                let listener = listener.expect("the kernel has a free port");
                let address = listener.local_addr().expect("the socket is bound");
                (Here::new(listener), address)
            })
        })
        .await
    }

    async fn accept(listener: &Self::Listener) -> Self::Stream {
        // Its future has no state between two polls, so that each one may be made anew.
        poll_fn(|cx| {
            let accepted = listener.with(|listener| pin!(listener.accept()).poll(cx));
            accepted.map(|connection| {
                let connection = connection.expect("descriptors are left");
                connection.set_nodelay(true).expect("TCP knows the option");
                Stream::Accepted(Some(connection))
            })
        })
        .await
    }

    async fn connect(address: SocketAddr) -> Self::Stream {
        // nio's own future of this is not `Send`, and keeps the socket. On the same machine a connection is made at once.
        let stream = std::net::TcpStream::connect(address).expect("the peer listens");
        stream.set_nodelay(true).expect("TCP knows the option");
        Stream::Used(Here::new(
            TcpStream::try_from(stream).expect("the reactor has room"),
        ))
    }

    async fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize> {
        let stream = stream.here();
        poll_fn(|cx| stream.with(|stream| pin!(stream.read(buffer)).poll(cx))).await
    }

    async fn write_all(stream: &mut Self::Stream, mut bytes: &[u8]) -> io::Result<()> {
        let stream = stream.here();
        while !bytes.is_empty() {
            let write = poll_fn(|cx| stream.with(|stream| pin!(stream.write(bytes)).poll(cx)));
            match write.await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }
}
