//! What a workload may ask of a runtime.
//!
//! [`Rt`] has Tokio's names, and a distinction that some peers need: a task that sleeps or uses sockets is spawned with
//! [`Rt::spawn_io`]. [`contestant!`](crate::contestant!) implements it for a crate that has
//! them too, so that two contestants differ in nothing but the crate's name.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(doc)]
use crate::questions::http;

/// A multi-threaded runtime, as the workloads see it.
///
/// Functions without `self` are called inside a runtime, as a user's program calls them.
pub trait Rt: Clone + Send + Sync + 'static {
    /// The name in the table and on the command line.
    const NAME: &'static str;
    /// The questions that it has no answer to.
    const LACKS: &'static [&'static str] = &[];

    /// The handle of a spawned task.
    type Join<T: Send + 'static>: Future<Output = Result<T, Self::JoinError>> + Send + 'static;
    /// Why a task has no output.
    type JoinError: Debug + Send + 'static;
    /// A future that ends at a deadline.
    type Sleep: Future<Output = ()> + Send + 'static;
    /// A listening TCP socket.
    type Listener: Send + Sync + 'static;
    /// A TCP connection.
    type Stream: Send + 'static;

    /// Starts a runtime with this many workers, I/O and timers.
    fn start(workers: usize) -> Self;

    /// Runs `future` on the calling thread.
    fn block_on<F>(&self, future: F) -> F::Output
    where
        F: Future + Send,
        F::Output: Send;

    /// Spawns a task from a thread outside the runtime.
    fn spawn_on<F>(&self, future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Spawns a task on the current runtime.
    fn spawn<F>(future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Spawns a task that sleeps or uses sockets, on the current runtime: in some runtimes those belong to one worker, and
    /// so the task stays there.
    fn spawn_io<F>(future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Self::spawn(future)
    }

    /// Spawns such a task from a thread outside the runtime.
    fn spawn_io_on<F>(&self, future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(future)
    }

    /// Runs a closure on the blocking pool.
    fn spawn_blocking<F, T>(job: F) -> Self::Join<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static;

    /// Sleeps for `duration`.
    fn sleep(duration: Duration) -> Self::Sleep;

    /// Runs `future` for at most `duration`; `None` if it takes longer.
    fn timeout<F>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> + Send
    where
        F: Future + Send,
        F::Output: Send;

    /// Listens on a free port of 127.0.0.1.
    fn bind() -> impl Future<Output = (Self::Listener, SocketAddr)> + Send;

    /// Accepts one connection, without Nagle's delay.
    fn accept(listener: &Self::Listener) -> impl Future<Output = Self::Stream> + Send;

    /// Connects, without Nagle's delay.
    fn connect(address: SocketAddr) -> impl Future<Output = Self::Stream> + Send;

    /// Reads what there is.
    fn read(
        stream: &mut Self::Stream,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;

    /// Writes everything.
    fn write_all(
        stream: &mut Self::Stream,
        bytes: &[u8],
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Answers the HTTP requests of a connection with [`http::answer`]. A runtime whose streams cannot become hyper's
    /// lacks the question `http`.
    fn answer_http(stream: Self::Stream) -> impl Future<Output = ()> + Send {
        drop(stream);
        async { unreachable!("the question is lacking") }
    }
}

/// Runs `future` as a task on a worker and returns its output.
///
/// # Panics
///
/// If the task panics.
pub fn in_task<R, F>(rt: &R, future: F) -> F::Output
where
    R: Rt,
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    rt.block_on(async { R::spawn(future).await.expect("the workload does not panic") })
}

/// The same for a future that sleeps or uses sockets.
///
/// # Panics
///
/// If the task panics.
pub fn in_io_task<R, F>(rt: &R, future: F) -> F::Output
where
    R: Rt,
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    rt.block_on(async {
        let task = R::spawn_io(future);
        task.await.expect("the workload does not panic")
    })
}

/// Implements [`Rt`] for the runtime of a crate that has Tokio's names.
///
/// The streams need a method `into_hyper`, from a trait in scope, that makes them hyper's.
///
/// `contestant!(Name, the_crate, "label")` defines the struct `Name`. With a function as fourth argument, which takes the
/// crate's builder, it starts with other settings than the defaults.
#[macro_export]
macro_rules! contestant {
    ($name:ident, $krate:ident, $label:literal) => {
        $crate::contestant!($name, $krate, $label, |_| ());
    };
    ($name:ident, $krate:ident, $label:literal, $settings:expr) => {
        #[doc = concat!("The runtime of `", stringify!($krate), "`.")]
        #[derive(Clone)]
        pub(crate) struct $name(
            /// Shared, so that a workload may block in several threads.
            std::sync::Arc<$krate::runtime::Runtime>,
        );

        impl $crate::Rt for $name {
            const NAME: &'static str = $label;
            type Join<T: Send + 'static> = $krate::task::JoinHandle<T>;
            type JoinError = $krate::task::JoinError;
            type Sleep = $krate::time::Sleep;
            type Listener = $krate::net::TcpListener;
            type Stream = $krate::net::TcpStream;

            fn start(workers: usize) -> Self {
                let mut builder = $krate::runtime::Builder::new_multi_thread();
                builder.worker_threads(workers).enable_all();
                let settings: fn(&mut $krate::runtime::Builder) = $settings;
                settings(&mut builder);
                let runtime = builder
                    .build()
                    .expect("a runtime starts on an idle machine");
                Self(std::sync::Arc::new(runtime))
            }

            fn block_on<F>(&self, future: F) -> F::Output
            where
                F: Future + Send,
                F::Output: Send,
            {
                self.0.block_on(future)
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
                $krate::spawn(future)
            }

            fn spawn_blocking<F, T>(job: F) -> Self::Join<T>
            where
                F: FnOnce() -> T + Send + 'static,
                T: Send + 'static,
            {
                $krate::task::spawn_blocking(job)
            }

            fn sleep(duration: std::time::Duration) -> Self::Sleep {
                $krate::time::sleep(duration)
            }

            fn timeout<F>(
                duration: std::time::Duration,
                future: F,
            ) -> impl Future<Output = Option<F::Output>> + Send
            where
                F: Future + Send,
                F::Output: Send,
            {
                let timeout = $krate::time::timeout(duration, future);
                async { timeout.await.ok() }
            }

            async fn bind() -> (Self::Listener, std::net::SocketAddr) {
                let listener = $krate::net::TcpListener::bind("127.0.0.1:0")
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

            async fn connect(address: std::net::SocketAddr) -> Self::Stream {
                let stream = $krate::net::TcpStream::connect(address)
                    .await
                    .expect("the peer listens");
                stream.set_nodelay(true).expect("TCP knows the option");
                stream
            }

            async fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> std::io::Result<usize> {
                // Not used where the stream has inherent methods of these names.
                #[allow(unused_imports)]
                use $krate::io::AsyncReadExt;
                stream.read(buffer).await
            }

            async fn write_all(stream: &mut Self::Stream, bytes: &[u8]) -> std::io::Result<()> {
                #[allow(unused_imports)]
                use $krate::io::AsyncWriteExt;
                stream.write_all(bytes).await
            }

            async fn answer_http(stream: Self::Stream) {
                $crate::questions::http::answer(stream.into_hyper()).await;
            }
        }
    };
}
