//! A single-threaded loop over one reactor: holds the duty, waits, dispatches, and counts wakes.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    future::Future,
    io,
    os::fd::{AsFd, OwnedFd},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use reactor::{Direction, Events, Handle, Interest, Ready, Registration};

/// After this long a test that waits is taken to hang. Far above any delay of a busy machine.
pub const HANG: Duration = Duration::from_secs(20);

/// Whether the wait reports the end of a stream apart from data.
pub const REPORTS_CLOSING: bool =
    cfg!(target_os = "linux") && !cfg!(any(rt_portable_wait, rt_oneshot));

/// Counts its wakes.
#[derive(Debug, Default)]
pub struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Count {
    /// The wakes so far.
    pub fn get(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// A waker and its counter.
pub fn waker() -> (Waker, Arc<Count>) {
    let count = Arc::new(Count::default());
    (Waker::from(Arc::clone(&count)), count)
}

/// A reactor without a budget.
pub fn reactor() -> Handle {
    Handle::new(|_| Poll::Ready(())).expect("the system has descriptors left")
}

/// Runs one turn of at most `timeout`; returns the number of events.
pub fn turn(handle: &Handle, timeout: Duration) -> usize {
    let mut events = Events::new();
    let mut duty = handle.try_hold().expect("nobody else waits in this test");
    let count = duty
        .wait(&mut events, Some(timeout))
        .expect("the poller works");
    drop(duty);
    handle.dispatch(&mut events, &mut |waker| waker.wake());
    assert!(events.is_empty());
    count
}

/// Runs turns until there are no more events.
pub fn settle(handle: &Handle) {
    while turn(handle, Duration::ZERO) > 0 {}
}

/// Runs turns until `done`.
pub fn turn_until(handle: &Handle, what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < HANG, "hangs: {what}");
        turn(handle, Duration::from_millis(100));
    }
}

/// Drives a future to its end, one turn whenever it has not been woken.
pub fn block_on<F: Future>(handle: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    let (waker, count) = waker();
    let mut seen = 0;
    loop {
        if let Poll::Ready(output) = poll_once(future.as_mut(), &waker) {
            return output;
        }
        turn_until(handle, "a future", || count.get() > seen);
        seen = count.get();
    }
}

/// Polls a future once.
pub fn poll_once<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// A descriptor and its registration, in the order in which they must be dropped.
pub struct Io<T: AsFd> {
    /// Deregisters first.
    pub registration: Registration,
    /// The descriptor.
    pub fd: T,
}

impl<T: AsFd> Io<T> {
    /// Registers for both directions, both believed to be ready.
    pub fn new(handle: &Handle, fd: T) -> Self {
        Self::with(handle, fd, Ready::ALL)
    }

    /// Registers for both directions.
    pub fn with(handle: &Handle, fd: T, initially: Ready) -> Self {
        let both = Interest::READABLE | Interest::WRITABLE;
        let registration =
            Registration::new(fd.as_fd(), both, initially, handle).expect("registers");
        Self { registration, fd }
    }

    /// Reads like a stream of the runtime: a short read takes the readiness back.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let event = match self.registration.poll_ready(cx, Direction::Read) {
                Poll::Ready(event) => event?,
                Poll::Pending => return Poll::Pending,
            };
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(count) => {
                    if 0 < count && count < buffer.len() {
                        self.registration
                            .clear_after_short_transfer(event, Direction::Read);
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    self.registration.clear(event, Ready::READABLE)
                }
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Reads once.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// Reads to the end of the stream.
    pub async fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut buffer = [0; 64];
        loop {
            match self.read(&mut buffer).await? {
                0 => return Ok(all),
                count => all.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Writes everything.
    pub async fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let written = self
                .registration
                .async_io(Interest::WRITABLE, || {
                    Ok(rustix::io::write(&self.fd, data)?)
                })
                .await?;
            data = &data[written..];
        }
        Ok(())
    }
}

/// A non-blocking pipe: reading end, writing end.
pub fn pipe() -> (OwnedFd, OwnedFd) {
    use rustix::pipe::{PipeFlags, pipe_with};
    pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).expect("pipe")
}

/// Two connected non-blocking TCP sockets.
pub fn tcp_pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("is bound");
    let client = std::net::TcpStream::connect(address).expect("connects");
    let (server, _) = listener.accept().expect("accepts");
    for stream in [&client, &server] {
        stream.set_nonblocking(true).expect("non-blocking");
        stream.set_nodelay(true).expect("no delay");
    }
    (client, server)
}
