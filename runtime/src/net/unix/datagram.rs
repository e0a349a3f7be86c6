//! [`UnixDatagram`].

use std::net::Shutdown;
use std::path::Path;

use socket2::{Domain, Type};

use super::SocketAddr;
use super::addr::{local, path_addr};
use crate::net::datagram::{datagram, names::*};
use crate::net::os;
use crate::net::socket::unknown;

/// A Unix socket for datagrams between processes of one machine. They arrive complete and in order.
///
/// All methods take `&self`: an `Arc<UnixDatagram>` can send in one task and receive in another.
///
/// # Examples
///
/// ```
/// use runtime::net::UnixDatagram;
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("runtime-doc-datagram-{}", std::process::id()));
/// # let _ = std::fs::remove_file(&path);
/// let receiver = UnixDatagram::bind(&path)?;
/// let sender = UnixDatagram::unbound()?;
/// sender.send_to(b"hello", &path).await?;
///
/// let mut buf = [0; 16];
/// let (n, address) = receiver.recv_from(&mut buf).await?;
/// assert_eq!(&buf[..n], b"hello");
/// assert!(address.is_unnamed());
/// # std::fs::remove_file(&path)
/// # }
/// ```
pub struct UnixDatagram {
    /// The socket.
    socket: Socket<std::os::unix::net::UnixDatagram>,
}

impl UnixDatagram {
    /// Makes a socket that is bound to `path`, which must not exist.
    ///
    /// # Errors
    ///
    /// What the system reports, such as [`AddrInUse`](io::ErrorKind::AddrInUse) if the path exists.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        let socket = os::socket(Domain::UNIX, Type::DGRAM)?;
        socket.bind(&path_addr(path)?)?;
        UnixDatagram::registered(socket)
    }

    /// Makes a socket without an address: it can send, and be answered once it is connected.
    ///
    /// # Errors
    ///
    /// What the system reports, such as that no descriptor is left.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::registered(os::socket(Domain::UNIX, Type::DGRAM)?)
    }

    /// Makes two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// What the system reports, such as that no descriptor is left.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = os::pair(Type::DGRAM)?;
        Ok((
            UnixDatagram::registered(one)?,
            UnixDatagram::registered(other)?,
        ))
    }

    /// Registers a socket that does not block.
    #[track_caller]
    pub(super) fn registered(socket: socket2::Socket) -> io::Result<UnixDatagram> {
        let socket = Socket::new(socket.into(), unknown())?;
        Ok(UnixDatagram { socket })
    }

    /// Connects to the socket that is bound to `path`.
    ///
    /// From then on [`send`](UnixDatagram::send) sends there, and only datagrams from there are received.
    ///
    /// # Errors
    ///
    /// What the system reports, such as [`NotFound`](io::ErrorKind::NotFound).
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.socket.sock().connect(&path_addr(path)?)
    }

    /// Sends a datagram to the socket that is bound to `target`, and returns its length.
    ///
    /// # Errors
    ///
    /// What the system reports, such as [`NotFound`](io::ErrorKind::NotFound).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is ready, it has sent nothing.
    pub async fn send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        let target = path_addr(target)?;
        self.socket
            .async_io(Interest::WRITABLE, || {
                self.socket.sock().send_to(buf, &target)
            })
            .await
    }

    /// Polls to send a datagram to the socket that is bound to `target`.
    ///
    /// Only the last task that called this, or another polling method that sends, is woken.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn poll_send_to<P: AsRef<Path>>(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: P,
    ) -> Poll<io::Result<usize>> {
        let target = path_addr(target)?;
        self.socket.poll_io(cx, Direction::Write, || {
            self.socket.sock().send_to(buf, &target)
        })
    }

    /// Sends a datagram to the socket that is bound to `target`, without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, or what the system reports.
    pub fn try_send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        let target = path_addr(target)?;
        self.socket.try_io(Interest::WRITABLE, || {
            self.socket.sock().send_to(buf, &target)
        })
    }

    /// Ends one direction, or both: waiting calls return.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::Shutdown;
    ///
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (one, _other) = runtime::net::UnixDatagram::pair()?;
    /// one.shutdown(Shutdown::Both)?;
    /// assert!(one.send(b"hello").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.io().shutdown(how)
    }
}

datagram!(
    UnixDatagram,
    std::os::unix::net::UnixDatagram,
    SocketAddr,
    local,
    "# let (socket, peer) = runtime::net::UnixDatagram::pair()?;"
);
