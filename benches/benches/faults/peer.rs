//! What a case may ask of a runtime, and the three that are asked.
//!
//! Ours and Tokio are written by one text. smol is an `Executor` of its own with its threads, as its documentation advises; they run it as those
//! of `smol::spawn` do, again after a panic. It has neither a shutdown nor hooks: what a peer does not have, it does not answer to.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use smol::future::FutureExt;

/// How a runtime is built.
#[derive(Clone, Copy, Default)]
pub(crate) struct Settings {
    /// The stack of each thread, in bytes.
    pub(crate) stack: Option<usize>,
    /// The most threads for blocking jobs; smol is told by the environment.
    pub(crate) blocking: Option<usize>,
    /// Whether hooks at the start, stop, park and unpark of threads panic.
    pub(crate) hooks_panic: bool,
}

/// What ends a join.
pub(crate) type Joined<T> = Result<T, String>;

/// A runtime, as the cases see it. Functions without `self` are called inside one.
pub(crate) trait Peer: Send + Sync + Sized + 'static {
    /// The name in the table and on the command line.
    const NAME: &'static str;
    /// Whether it has a shutdown with a timeout.
    const HAS_SHUTDOWN: bool = true;
    /// Whether threads have hooks.
    const HAS_HOOKS: bool = true;

    /// The handle of a task.
    type Join<T: Send + 'static>: Send + 'static;
    /// A listening socket.
    type Listener: Send + Sync + 'static;
    /// A connection.
    type Stream: Send + 'static;
    /// A descriptor that is registered, and that the case closes.
    type Fd: Send + Sync + 'static;

    /// Starts `workers` workers, with I/O and timers.
    fn start(workers: usize, settings: Settings) -> io::Result<Self>;
    /// Runs `future` on this thread.
    fn block_on<F: Future>(&self, future: F) -> F::Output;
    /// Calls `block_on` of this very runtime from wherever the caller is.
    fn nested() -> impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + 'static;
    /// Ends the runtime; waits for its threads, at most for `timeout` if there is one.
    fn end(self, timeout: Option<Duration>);

    /// Spawns a task.
    fn spawn<F>(future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
    /// Runs a job where it may block.
    fn spawn_blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static)
    -> Self::Join<T>;
    /// Waits for a task; says why there is no output.
    fn join<T: Send + 'static>(task: Self::Join<T>) -> impl Future<Output = Joined<T>> + Send;
    /// Polls the handle as it is, panics included; whether it is ready.
    fn poll_join<T: Send + 'static>(task: &mut Self::Join<T>, cx: &mut Context<'_>) -> bool;
    /// Whether the task has ended.
    fn is_finished<T: Send + 'static>(task: &Self::Join<T>) -> bool;
    /// Lets it go on by itself.
    fn detach<T: Send + 'static>(task: Self::Join<T>);
    /// Ends it.
    fn abort<T: Send + 'static>(task: Self::Join<T>);

    /// Sleeps.
    fn sleep(length: Duration) -> impl Future<Output = ()> + Send + 'static;
    /// Listens on a free port of 127.0.0.1.
    fn bind() -> impl Future<Output = (Self::Listener, SocketAddr)> + Send;
    /// Accepts.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Reads.
    fn read(
        stream: &mut Self::Stream,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;
    /// Registers a descriptor, for reading.
    fn register(fd: RawFd) -> io::Result<Self::Fd>;
    /// Waits until it can be read.
    fn readable(fd: &Self::Fd) -> impl Future<Output = io::Result<()>> + Send;
    /// Deregisters it and leaves it open.
    fn deregister(fd: Self::Fd);
}

/// Implements [`Peer`] for a crate with Tokio's names.
macro_rules! peer {
    ($name:ident, $krate:ident, $label:literal, $register:expr) => {
        #[doc = concat!("The runtime of `", stringify!($krate), "`.")]
        pub(crate) struct $name($krate::runtime::Runtime);

        impl Peer for $name {
            const NAME: &'static str = $label;
            type Join<T: Send + 'static> = $krate::task::JoinHandle<T>;
            type Listener = $krate::net::TcpListener;
            type Stream = $krate::net::TcpStream;
            type Fd = $krate::io::unix::AsyncFd<RawFd>;

            fn start(workers: usize, settings: Settings) -> io::Result<Self> {
                let mut builder = $krate::runtime::Builder::new_multi_thread();
                builder.worker_threads(workers).enable_all();
                if let Some(stack) = settings.stack {
                    builder.thread_stack_size(stack);
                }
                if let Some(most) = settings.blocking {
                    builder.max_blocking_threads(most);
                }
                if settings.hooks_panic {
                    let panics = || -> () { panic!("a hook") };
                    builder.on_thread_start(panics).on_thread_stop(panics);
                    builder.on_thread_park(panics).on_thread_unpark(panics);
                }
                builder.build().map(Self)
            }

            fn block_on<F: Future>(&self, future: F) -> F::Output {
                self.0.block_on(future)
            }

            fn nested() -> impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + 'static {
                let handle = $krate::runtime::Handle::current();
                move |future| handle.block_on(future)
            }

            fn end(self, timeout: Option<Duration>) {
                match timeout {
                    Some(timeout) => self.0.shutdown_timeout(timeout),
                    None => drop(self.0),
                }
            }

            fn spawn<F>(future: F) -> Self::Join<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                $krate::spawn(future)
            }

            fn spawn_blocking<T: Send + 'static>(
                job: impl FnOnce() -> T + Send + 'static,
            ) -> Self::Join<T> {
                $krate::task::spawn_blocking(job)
            }

            async fn join<T: Send + 'static>(task: Self::Join<T>) -> Joined<T> {
                task.await.map_err(|error| {
                    if error.is_panic() {
                        "a panic".into()
                    } else {
                        "cancelled".into()
                    }
                })
            }

            fn poll_join<T: Send + 'static>(
                task: &mut Self::Join<T>,
                cx: &mut Context<'_>,
            ) -> bool {
                Pin::new(task).poll(cx).is_ready()
            }

            fn is_finished<T: Send + 'static>(task: &Self::Join<T>) -> bool {
                task.is_finished()
            }

            fn detach<T: Send + 'static>(task: Self::Join<T>) {
                drop(task);
            }

            fn abort<T: Send + 'static>(task: Self::Join<T>) {
                task.abort();
            }

            fn sleep(length: Duration) -> impl Future<Output = ()> + Send + 'static {
                $krate::time::sleep(length)
            }

            async fn bind() -> (Self::Listener, SocketAddr) {
                let listener = $krate::net::TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.expect("the kernel has a free port");
                let address = listener.local_addr().expect("it is bound");
                (listener, address)
            }

            async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
                listener.accept().await.map(|(stream, _)| stream)
            }

            async fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize> {
                // Not used where the stream has a method of this name.
                #[allow(unused_imports)]
                use $krate::io::AsyncReadExt;
                stream.read(buffer).await
            }

            fn register(fd: RawFd) -> io::Result<Self::Fd> {
                $register(fd)
            }

            async fn readable(fd: &Self::Fd) -> io::Result<()> {
                fd.readable().await.map(|mut guard| guard.retain_ready())
            }

            fn deregister(fd: Self::Fd) {
                drop(fd);
            }
        }
    };
}

peer!(Ours, runtime, "ours", |fd| {
    runtime::io::unix::AsyncFd::with_interest(fd, runtime::io::Interest::READABLE)
});
peer!(Tokio, tokio, "tokio", |fd| {
    let interest = tokio::io::Interest::READABLE;
    // SAFETY: the case has opened it. That it closes it is the fault: Tokio asks that nobody does, which the table says.
    Ok(unsafe { tokio::io::unix::AsyncFd::register_with_interest(fd, interest) }?)
});

thread_local! {
    /// The executor of this thread.
    static CURRENT: RefCell<Option<Arc<smol::Executor<'static>>>> = const { RefCell::new(None) };
}

/// smol's executor with threads.
pub(crate) struct Smol {
    executor: Arc<smol::Executor<'static>>,
    over: Arc<AtomicBool>,
    /// Ends the wait of the threads.
    stop: smol::channel::Sender<()>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Runs `work` with `executor` as the thread's current one.
fn within<T>(executor: &Arc<smol::Executor<'static>>, work: impl FnOnce() -> T) -> T {
    let before = CURRENT.replace(Some(executor.clone()));
    let value = work();
    CURRENT.set(before);
    value
}

impl Peer for Smol {
    const NAME: &'static str = "smol";
    const HAS_SHUTDOWN: bool = false;
    const HAS_HOOKS: bool = false;
    type Join<T: Send + 'static> = smol::Task<T>;
    type Listener = smol::net::TcpListener;
    type Stream = smol::net::TcpStream;
    type Fd = smol::Async<OwnedFd>;

    fn start(workers: usize, settings: Settings) -> io::Result<Self> {
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let mut smol = Smol {
            executor: Arc::new(smol::Executor::new()),
            over: Arc::default(),
            stop,
            threads: Vec::new(),
        };
        for _ in 0..workers {
            let (executor, over) = (smol.executor.clone(), smol.over.clone());
            let stopped = stopped.clone();
            let mut builder = thread::Builder::new();
            if let Some(stack) = settings.stack {
                builder = builder.stack_size(stack);
            }
            let serve = move || {
                while !over.load(Ordering::SeqCst) {
                    let run = || smol::block_on(executor.run(stopped.recv()));
                    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| within(&executor, run)));
                }
            };
            smol.threads.push(builder.spawn(serve)?);
        }
        Ok(smol)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        within(&self.executor, || smol::block_on(future))
    }

    fn nested() -> impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + 'static {
        |future| smol::block_on(future)
    }

    fn end(self, _: Option<Duration>) {
        self.over.store(true, Ordering::SeqCst);
        drop(self.stop);
        for thread in self.threads {
            thread.join().expect("it contains panics");
        }
        drop(self.executor);
    }

    fn spawn<F>(future: F) -> Self::Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let current = CURRENT.with_borrow(Clone::clone);
        current.expect("called inside").spawn(future)
    }

    fn spawn_blocking<T: Send + 'static>(
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Self::Join<T> {
        smol::unblock(job)
    }

    async fn join<T: Send + 'static>(task: Self::Join<T>) -> Joined<T> {
        let joined = AssertUnwindSafe(task).catch_unwind().await;
        joined.map_err(|_| "a panic in the one who awaits".into())
    }

    fn poll_join<T: Send + 'static>(task: &mut Self::Join<T>, cx: &mut Context<'_>) -> bool {
        matches!(Pin::new(task).poll(cx), Poll::Ready(_))
    }

    fn is_finished<T: Send + 'static>(task: &Self::Join<T>) -> bool {
        task.is_finished()
    }

    fn detach<T: Send + 'static>(task: Self::Join<T>) {
        task.detach();
    }

    fn abort<T: Send + 'static>(task: Self::Join<T>) {
        // Dropped, it is cancelled.
        drop(task);
    }

    async fn sleep(length: Duration) {
        smol::Timer::after(length).await;
    }

    async fn bind() -> (Self::Listener, SocketAddr) {
        let listener = smol::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("the kernel has a free port");
        let address = listener.local_addr().expect("it is bound");
        (listener, address)
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        listener.accept().await.map(|(stream, _)| stream)
    }

    async fn read(stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize> {
        use smol::io::AsyncReadExt;
        stream.read(buffer).await
    }

    fn register(fd: RawFd) -> io::Result<Self::Fd> {
        // SAFETY: the case has opened it, and closes it only through what it gets here or behind its back, which is the fault.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        smol::Async::new(fd)
    }

    async fn readable(fd: &Self::Fd) -> io::Result<()> {
        fd.readable().await
    }

    fn deregister(fd: Self::Fd) {
        if let Ok(fd) = fd.into_inner() {
            let _ = fd.into_raw_fd();
        }
    }
}
