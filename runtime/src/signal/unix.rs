//! Unix signals.

use std::ffi::c_int;
use std::future::poll_fn;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};

use reactor::{AsyncFd, Interest};
use signal_hook::{SigId, consts, low_level};

/// Which signal.
///
/// # Examples
///
/// ```
/// use runtime::signal::unix::SignalKind;
///
/// assert_eq!(SignalKind::hangup(), SignalKind::from_raw(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalKind(
    /// The number that the operating system gives it.
    c_int,
);

impl SignalKind {
    /// The signal with a number. Whether it can be listened to turns out in [`signal`].
    pub const fn from_raw(signum: c_int) -> SignalKind {
        SignalKind(signum)
    }

    /// Returns the number.
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }

    /// `SIGALRM`: a timer has run out. By default ends the process.
    pub const fn alarm() -> SignalKind {
        SignalKind(consts::SIGALRM)
    }

    /// `SIGCHLD`: a child process has changed its state. Ignored by default.
    pub const fn child() -> SignalKind {
        SignalKind(consts::SIGCHLD)
    }

    /// `SIGHUP`: the terminal is gone; by convention also "read your configuration again". By default ends the process.
    pub const fn hangup() -> SignalKind {
        SignalKind(consts::SIGHUP)
    }

    /// `SIGINT`: Ctrl-C. By default ends the process.
    pub const fn interrupt() -> SignalKind {
        SignalKind(consts::SIGINT)
    }

    /// `SIGIO`: I/O is possible on some descriptor. By default ends the process.
    pub const fn io() -> SignalKind {
        SignalKind(consts::SIGIO)
    }

    /// `SIGPIPE`: a write to a pipe that nobody reads. Ignored in Rust programs.
    pub const fn pipe() -> SignalKind {
        SignalKind(consts::SIGPIPE)
    }

    /// `SIGQUIT`: Ctrl-\\. By default ends the process and dumps its memory.
    pub const fn quit() -> SignalKind {
        SignalKind(consts::SIGQUIT)
    }

    /// `SIGTERM`: somebody asks the process to end. By default it does.
    pub const fn terminate() -> SignalKind {
        SignalKind(consts::SIGTERM)
    }

    /// `SIGUSR1`: free for the program's own use. By default ends the process.
    pub const fn user_defined1() -> SignalKind {
        SignalKind(consts::SIGUSR1)
    }

    /// `SIGUSR2`: free for the program's own use. By default ends the process.
    pub const fn user_defined2() -> SignalKind {
        SignalKind(consts::SIGUSR2)
    }

    /// `SIGWINCH`: the window of the terminal has changed its size. Ignored by default.
    pub const fn window_change() -> SignalKind {
        SignalKind(consts::SIGWINCH)
    }
}

impl From<c_int> for SignalKind {
    fn from(signum: c_int) -> SignalKind {
        SignalKind(signum)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> c_int {
        kind.0
    }
}

/// Listens to a signal, from this call on.
///
/// # Examples
///
/// ```
/// use runtime::signal::unix::{SignalKind, signal};
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let mut hangups = signal(SignalKind::hangup())?;
/// # signal_hook::low_level::raise(SignalKind::hangup().into())?;
/// // $ kill -HUP …
/// hangups.recv().await;
/// println!("reading the configuration again");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for signals that cannot be handled (`SIGKILL`, `SIGSTOP`) or whose handler
/// may not simply return (`SIGSEGV`, `SIGILL`, `SIGFPE`), and for numbers that stand for no signal; what the system reports,
/// such as that no descriptor is left.
///
/// # Panics
///
/// Panics outside of a runtime.
#[track_caller]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    // The registry panics for these.
    if kind.0 <= 0 || consts::FORBIDDEN.contains(&kind.0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("signal {} cannot be listened to", kind.0),
        ));
    }
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    let receiver = AsyncFd::with_interest(receiver, Interest::READABLE)?;
    let id = low_level::pipe::register(kind.0, sender)?;
    Ok(Signal { receiver, id })
}

/// A listener to one kind of signal, made by [`signal`].
///
/// Signals that arrive faster than they are received are merged into one. Dropping the last listener does not bring the
/// system's default action back: the signal is then ignored.
///
/// # Examples
///
/// ```no_run
/// use runtime::signal::unix::{SignalKind, signal};
///
/// # async fn serve() {}
/// # #[runtime::main]
/// # async fn main() -> std::io::Result<()> {
/// let mut interrupt = signal(SignalKind::interrupt())?;
/// let mut terminate = signal(SignalKind::terminate())?;
/// runtime::select! {
///     () = serve() => {}
///     Some(()) = interrupt.recv() => println!("Ctrl-C"),
///     Some(()) = terminate.recv() => println!("asked to end"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Signal {
    /// Becomes readable when a signal has arrived.
    receiver: AsyncFd<UnixStream>,
    /// The other end, which the handler owns.
    id: SigId,
}

impl Signal {
    /// Receives a signal: waits until at least one has arrived since the last receive.
    ///
    /// Returns `None` only when the runtime that the listener was made in has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a signal that has arrived is received by the next call.
    pub async fn recv(&mut self) -> Option<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls to receive a signal. Only the last task that called this is woken.
    ///
    /// As [`recv`](Signal::recv) otherwise.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        loop {
            let Ok(mut guard) = ready!(self.receiver.poll_read_ready(cx)) else {
                return Poll::Ready(None);
            };
            match drain(guard.get_inner()) {
                Arrived::Some => return Poll::Ready(Some(())),
                Arrived::None => guard.clear_ready(),
                // The handler's end is closed by our drop alone.
                Arrived::Never => return Poll::Ready(None),
            }
        }
    }
}

/// What was in the socket.
enum Arrived {
    /// At least one signal.
    Some,
    /// No signal.
    None,
    /// No signal, and there will be none.
    Never,
}

/// Takes the signals that have arrived out of the socket.
fn drain(mut receiver: &UnixStream) -> Arrived {
    // More than a socket holds of single bytes with Linux's default limits (about 300): all that has arrived is one signal. One
    // read, not a loop: whoever sends a flood shall not hold us here.
    let mut bytes = [0; 1024];
    loop {
        return match receiver.read(&mut bytes) {
            Ok(0) => Arrived::Never,
            Ok(_) => Arrived::Some,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => continue,
                io::ErrorKind::WouldBlock => Arrived::None,
                _ => Arrived::Never,
            },
        };
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        low_level::unregister(self.id);
    }
}
