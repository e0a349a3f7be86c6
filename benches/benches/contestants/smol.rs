//! smol: the same workers, without Tokio's names.
//!
//! A runtime is a [`smol::Executor`] with its threads; each blocks on the executor, and so drives sockets and timers
//! in between, beside the thread of `async-io`. Dropping a task of smol cancels it, so that its [`Join`] detaches it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use runtime_benches::Rt;
use smol::Executor;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

thread_local! {
    /// The executor of this thread, for [`Rt::spawn`].
    static CURRENT: RefCell<Option<Smol>> = const { RefCell::new(None) };
}

/// An executor whose threads run until the process ends.
#[derive(Clone)]
pub(crate) struct Smol(Arc<Executor<'static>>);

/// A handle like Tokio's: dropping it lets the task run.
pub(crate) struct Join<T>(Option<smol::Task<T>>);

impl<T> Future for Join<T> {
    type Output = Result<T, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.0.as_mut().expect("it is there until the drop");
        Pin::new(task).poll(cx).map(Ok)
    }
}

impl<T> Drop for Join<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

/// A timer without its result.
pub(crate) struct Sleep(smol::Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl Smol {
    /// Runs `work` with this executor as the thread's current one.
    fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(self.clone()));
        let value = work();
        CURRENT.set(before);
        value
    }
}

impl Rt for Smol {
    const NAME: &'static str = "smol";
    // Its streams are not hyper's, and it names no adapter.
    const LACKS: &'static [&'static str] = &["http"];
    type Join<T: Send + 'static> = Join<T>;
    type JoinError = Infallible;
    type Sleep = Sleep;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn start(workers: usize) -> Self {
        let smol = Self(Arc::new(Executor::new()));
        for _ in 0..workers {
            let smol = smol.clone();
            std::thread::spawn(move || {
                smol.enter(|| smol::block_on(smol.0.run(std::future::pending::<()>())));
            });
        }
        smol
    }

    fn block_on<F>(&self, future: F) -> F::Output
    where
        F: Future + Send,
        F::Output: Send,
    {
        self.enter(|| smol::block_on(future))
    }

    fn spawn_on<F>(&self, future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Join(Some(self.0.spawn(future)))
    }

    fn spawn<F>(future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        CURRENT.with_borrow(|current| {
            let current = current.as_ref().expect("called inside the runtime");
            current.spawn_on(future)
        })
    }

    fn spawn_blocking<F, T>(job: F) -> Self::Join<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Join(Some(smol::unblock(job)))
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Sleep(smol::Timer::after(duration))
    }

    fn timeout<F>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        // As its documentation says.
        smol::future::or(async { Some(future.await) }, async move {
            smol::Timer::after(duration).await;
            None
        })
    }

    async fn bind() -> (Self::Listener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("the kernel has a free port");
        let address = listener.local_addr().expect("the socket is bound");
        (listener, address)
    }

    async fn accept(listener: &Self::Listener) -> Self::Stream {
        let (stream, _) = listener.accept().await.expect("descriptors are left");
        stream.set_nodelay(true).expect("TCP knows the option");
        stream
    }

    async fn connect(address: SocketAddr) -> Self::Stream {
        let stream = TcpStream::connect(address).await.expect("the peer listens");
        stream.set_nodelay(true).expect("TCP knows the option");
        stream
    }

    async fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer).await
    }

    async fn write_all(stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await
    }
}
