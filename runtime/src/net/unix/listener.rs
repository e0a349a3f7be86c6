//! [`UnixListener`].

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::task::{Context, Poll, ready};

use socket2::{Domain, SockAddr, Type};

use super::addr::{local, path_addr};
use super::{SocketAddr, UnixStream};
use crate::net::listener::Listener;
use crate::net::socket::unknown;
use crate::net::{Socket, os};

/// How many connections may wait to be accepted: as many as for TCP.
const BACKLOG: i32 = 1024;

/// A Unix socket that accepts connections.
///
/// Dropping it leaves the path in the file system; remove it before the path is bound again.
///
/// # Examples
///
/// ```
/// use runtime::net::{UnixListener, UnixStream};
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("runtime-doc-listener-{}", std::process::id()));
/// # let _ = std::fs::remove_file(&path);
/// let listener = UnixListener::bind(&path)?;
/// let mut client = UnixStream::connect(&path).await?;
/// let (mut server, _) = listener.accept().await?;
///
/// client.write_all(b"hello").await?;
/// let mut buf = [0; 5];
/// server.read_exact(&mut buf).await?;
/// assert_eq!(&buf, b"hello");
/// # std::fs::remove_file(&path)
/// # }
/// ```
pub struct UnixListener {
    /// The socket, and its pause after failures.
    listener: Listener<std::os::unix::net::UnixListener>,
}

impl UnixListener {
    /// Binds to `path`, which must not exist, and listens.
    ///
    /// On Linux a leading zero byte stands for a name in the abstract namespace.
    ///
    /// # Errors
    ///
    /// What the system reports, such as [`AddrInUse`](io::ErrorKind::AddrInUse) if the path exists.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        UnixListener::bind_sock_addr(&path_addr(path)?)
    }

    /// Binds to `socket_addr` and listens.
    ///
    /// # Errors
    ///
    /// As for [`bind`](UnixListener::bind).
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::bind_sock_addr(&socket_addr.to_sock_addr()?)
    }

    /// Binds and listens.
    #[track_caller]
    fn bind_sock_addr(address: &SockAddr) -> io::Result<UnixListener> {
        let socket = os::socket(Domain::UNIX, Type::STREAM)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?;
        UnixListener::listening(socket)
    }

    /// Registers a socket that listens.
    #[track_caller]
    pub(super) fn listening(socket: socket2::Socket) -> io::Result<UnixListener> {
        let listener = Listener::new(Socket::new(socket.into(), unknown())?);
        Ok(UnixListener { listener })
    }

    /// Accepts a connection.
    ///
    /// Any number of tasks may call this at once.
    ///
    /// # Errors
    ///
    /// What the system reports. When descriptors or memory have run out, the next call waits 10 ms before it tries again
    /// (Tokio tries at once).
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime, if there is a connection.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is ready, it has accepted nothing.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, address) = self.listener.accept().await?;
        accepted(socket, &address)
    }

    /// Polls to accept a connection.
    ///
    /// Only the last task that called this is woken. As [`accept`](UnixListener::accept) otherwise.
    ///
    /// # Errors
    ///
    /// As for [`accept`](UnixListener::accept).
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime, if there is a connection.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (socket, address) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(accepted(socket, &address))
    }

    /// Takes over a listener of the standard library, which must be in non-blocking mode.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the listener is in blocking mode, and what the system reports when it
    /// is registered.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        let listener = Listener::new(Socket::from_std(listener)?);
        Ok(UnixListener { listener })
    }

    /// Turns this into a listener of the standard library, which stays in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system reports when the listener leaves the reactor.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
        self.listener.socket.into_io()
    }

    /// Returns the address that this listener is bound to.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.socket.io().local_addr().map(Into::into)
    }

    /// Returns the pending error of the socket and clears it.
    ///
    /// # Errors
    ///
    /// The option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.listener.socket.sock().take_error()
    }
}

/// Makes a stream of what was accepted.
fn accepted(socket: socket2::Socket, address: &SockAddr) -> io::Result<(UnixStream, SocketAddr)> {
    let address = local(address)?;
    Ok((UnixStream::accepted(socket)?, address))
}

impl TryFrom<std::os::unix::net::UnixListener> for UnixListener {
    type Error = io::Error;

    /// As [`from_std`](UnixListener::from_std).
    #[track_caller]
    fn try_from(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::from_std(listener)
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener.fmt(f)
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.socket.io().as_fd()
    }
}

impl AsRawFd for UnixListener {
    fn as_raw_fd(&self) -> RawFd {
        self.listener.socket.io().as_raw_fd()
    }
}
