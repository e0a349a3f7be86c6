//! [`UnixSocket`].

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;

use socket2::{Domain, Type};

use super::addr::path_addr;
use super::{UnixDatagram, UnixListener, UnixStream};
use crate::net::os;

/// A Unix socket that is not yet a listener, a stream or a datagram socket, so that it can be bound first.
///
/// # Examples
///
/// A client with an address of its own:
///
/// ```
/// use runtime::net::{UnixListener, UnixSocket};
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let dir = std::env::temp_dir().join(format!("runtime-doc-socket-{}", std::process::id()));
/// # let _ = std::fs::remove_dir_all(&dir);
/// # std::fs::create_dir(&dir)?;
/// let listener = UnixListener::bind(dir.join("server"))?;
/// let socket = UnixSocket::new_stream()?;
/// socket.bind(dir.join("client"))?;
/// let _stream = socket.connect(dir.join("server")).await?;
/// let (_, peer) = listener.accept().await?;
/// assert_eq!(peer.as_pathname(), Some(&*dir.join("client")));
/// # std::fs::remove_dir_all(&dir)
/// # }
/// ```
pub struct UnixSocket {
    /// The socket. It does not block.
    socket: socket2::Socket,
}

impl UnixSocket {
    /// Makes a socket for datagrams.
    ///
    /// # Errors
    ///
    /// What the system reports, such as that no descriptor is left.
    pub fn new_datagram() -> io::Result<UnixSocket> {
        UnixSocket::new(Type::DGRAM)
    }

    /// Makes a socket for streams.
    ///
    /// # Errors
    ///
    /// What the system reports, such as that no descriptor is left.
    pub fn new_stream() -> io::Result<UnixSocket> {
        UnixSocket::new(Type::STREAM)
    }

    /// Makes a socket.
    fn new(kind: Type) -> io::Result<UnixSocket> {
        let socket = os::socket(Domain::UNIX, kind)?;
        Ok(UnixSocket { socket })
    }

    /// Binds the socket to `path`, which must not exist.
    ///
    /// # Errors
    ///
    /// What the system reports, such as [`AddrInUse`](io::ErrorKind::AddrInUse) if the path exists.
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.socket.bind(&path_addr(path)?)
    }

    /// Listens, with room for `backlog` connections that wait to be accepted.
    ///
    /// # Errors
    ///
    /// What the system reports: a datagram socket cannot listen.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        self.socket
            .listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        UnixListener::listening(self.socket)
    }

    /// Connects to the listener that is bound to `path`.
    ///
    /// # Errors
    ///
    /// As for [`UnixStream::connect`]; [`InvalidInput`](io::ErrorKind::InvalidInput) if this is a datagram socket.
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it gives the attempt up.
    pub async fn connect(self, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        self.expect_kind(Type::STREAM, "a datagram socket does not become a stream")?;
        UnixStream::connect_with(self.socket, path_addr(path)?).await
    }

    /// Turns this into a [`UnixDatagram`].
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if this is a stream socket, and what the system reports when the socket is
    /// registered.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        self.expect_kind(Type::DGRAM, "a stream socket does not take datagrams")?;
        UnixDatagram::registered(self.socket)
    }

    /// Refuses a socket that is not of `kind`.
    fn expect_kind(&self, kind: Type, otherwise: &'static str) -> io::Result<()> {
        if self.socket.r#type()? == kind {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, otherwise))
    }
}

impl fmt::Debug for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl AsFd for UnixSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UnixSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl IntoRawFd for UnixSocket {
    fn into_raw_fd(self) -> RawFd {
        self.socket.into_raw_fd()
    }
}

impl From<UnixSocket> for OwnedFd {
    fn from(socket: UnixSocket) -> OwnedFd {
        socket.socket.into()
    }
}

/// Takes over a descriptor, which must be a Unix socket in non-blocking mode.
impl From<OwnedFd> for UnixSocket {
    fn from(fd: OwnedFd) -> UnixSocket {
        UnixSocket { socket: fd.into() }
    }
}
