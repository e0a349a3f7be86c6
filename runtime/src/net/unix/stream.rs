//! [`UnixStream`].

use std::path::Path;

use socket2::{Domain, SockAddr, Type};

use super::addr::path_addr;
use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, SocketAddr, UCred, WriteHalf, ucred};
use crate::net::os;
use crate::net::socket::{connect, unknown};
use crate::net::stream::{either, names::*, reading, whole, writing};

/// A connection between two processes of one machine.
///
/// Made by [`connect`](UnixStream::connect), [`pair`](UnixStream::pair) or
/// [`UnixListener::accept`](crate::net::UnixListener::accept). Read and write through its own methods, or through
/// [`AsyncRead`] and [`AsyncWrite`].
///
/// # Examples
///
/// ```
/// use runtime::net::UnixStream;
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (mut one, mut other) = UnixStream::pair()?;
/// one.write_all(b"hello").await?;
/// let mut buf = [0; 5];
/// other.read_exact(&mut buf).await?;
/// assert_eq!(&buf, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct UnixStream {
    /// The connection.
    socket: Socket<std::os::unix::net::UnixStream>,
}

impl UnixStream {
    /// Connects to the listener that is bound to `path`.
    ///
    /// On Linux a leading zero byte stands for a name in the abstract namespace.
    ///
    /// # Errors
    ///
    /// What the system reports: [`NotFound`](io::ErrorKind::NotFound), [`ConnectionRefused`](io::ErrorKind::ConnectionRefused)
    /// if nobody listens, [`WouldBlock`](io::ErrorKind::WouldBlock) if the listener's queue is full (there is no way to wait
    /// for room in it).
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it gives the attempt up.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        let socket = os::socket(Domain::UNIX, Type::STREAM)?;
        UnixStream::connect_with(socket, path_addr(path)?).await
    }

    /// Connects to the listener that is bound to `socket_addr`.
    ///
    /// # Errors
    ///
    /// As for [`connect`](UnixStream::connect).
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it gives the attempt up.
    pub async fn connect_addr(socket_addr: &SocketAddr) -> io::Result<UnixStream> {
        let socket = os::socket(Domain::UNIX, Type::STREAM)?;
        UnixStream::connect_with(socket, socket_addr.to_sock_addr()?).await
    }

    /// Connects a socket that does not block.
    pub(super) async fn connect_with(
        socket: socket2::Socket,
        addr: SockAddr,
    ) -> io::Result<UnixStream> {
        let socket = connect(socket, &addr).await?;
        Ok(UnixStream { socket })
    }

    /// Registers a connection that was accepted.
    #[track_caller]
    pub(super) fn accepted(socket: socket2::Socket) -> io::Result<UnixStream> {
        let socket = Socket::new(socket.into(), unknown())?;
        Ok(UnixStream { socket })
    }

    /// Makes two streams that are connected to each other.
    ///
    /// # Errors
    ///
    /// What the system reports, such as that no descriptor is left.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = os::pair(Type::STREAM)?;
        Ok((UnixStream::accepted(one)?, UnixStream::accepted(other)?))
    }

    /// Returns who is at the other end: user, group and process, as they were when the stream was connected.
    ///
    /// # Errors
    ///
    /// What the system reports; [`Unsupported`](io::ErrorKind::Unsupported) everywhere but on Linux.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        ucred::of_peer(self)
    }
}

whole!(UnixStream, std::os::unix::net::UnixStream, setup!());
either!(UnixStream, SocketAddr, setup!());
reading!(UnixStream, setup!());
writing!(UnixStream, setup!());
