//! [`TcpSocket`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, SockAddr, Type};

use super::{TcpListener, TcpStream};
use crate::net::os;
use crate::net::socket::internet;

/// A TCP socket that is neither connected nor listening yet, so that options can be set.
///
/// [`TcpStream::connect`] and [`TcpListener::bind`] are shorter where no option is needed.
///
/// # Examples
///
/// ```
/// use runtime::net::TcpSocket;
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuseaddr(true)?;
/// socket.bind("127.0.0.1:0".parse().expect("it is an address"))?;
/// let listener = socket.listen(128)?;
///
/// let socket = TcpSocket::new_v4()?;
/// socket.set_nodelay(true)?;
/// let stream = socket.connect(listener.local_addr()?).await?;
/// assert!(stream.nodelay()?);
/// # Ok(())
/// # }
/// ```
pub struct TcpSocket {
    /// The socket. It does not block.
    socket: socket2::Socket,
}

impl TcpSocket {
    /// Makes a socket for IPv4.
    ///
    /// # Errors
    ///
    /// What the system reports, such as that no descriptor is left.
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV4)
    }

    /// Makes a socket for IPv6.
    ///
    /// # Errors
    ///
    /// What the system reports, such as that no descriptor is left.
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV6)
    }

    /// Makes a socket for the family of `addr`.
    pub(super) fn new_for(addr: SocketAddr) -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::for_address(addr))
    }

    /// Makes a socket.
    fn new(domain: Domain) -> io::Result<TcpSocket> {
        let socket = os::socket(domain, Type::STREAM)?;
        Ok(TcpSocket { socket })
    }

    /// Sets whether the system probes an idle connection (`SO_KEEPALIVE`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.socket.set_keepalive(keepalive)
    }

    /// Returns whether the system probes an idle connection (`SO_KEEPALIVE`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.socket.keepalive()
    }

    /// Sets whether an address that was in use a moment ago can be bound (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.socket.set_reuse_address(reuseaddr)
    }

    /// Returns whether an address that was in use a moment ago can be bound (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.socket.reuse_address()
    }

    /// Sets whether several sockets can be bound to one address and share its connections (`SO_REUSEPORT`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        self.socket.set_reuse_port(reuseport)
    }

    /// Returns whether several sockets can be bound to one address and share its connections (`SO_REUSEPORT`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn reuseport(&self) -> io::Result<bool> {
        self.socket.reuse_port()
    }

    /// Sets the size of the send buffer in bytes (`SO_SNDBUF`). Linux doubles what is set.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.socket.set_send_buffer_size(size as usize)
    }

    /// Returns the size of the send buffer in bytes (`SO_SNDBUF`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.socket.send_buffer_size().map(saturate)
    }

    /// Sets the size of the receive buffer in bytes (`SO_RCVBUF`). Linux doubles what is set.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.socket.set_recv_buffer_size(size as usize)
    }

    /// Returns the size of the receive buffer in bytes (`SO_RCVBUF`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.socket.recv_buffer_size().map(saturate)
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_tcp_nodelay(nodelay)
    }

    /// Returns whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.tcp_nodelay()
    }

    /// Sets the type of service in the header of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        self.socket.set_tos_v4(tos)
    }

    /// Returns the type of service in the header of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.socket.tos_v4()
    }

    /// Sets the traffic class in the header of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.socket.set_tclass_v6(tclass)
    }

    /// Returns the traffic class in the header of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.socket.tclass_v6()
    }

    /// Sets how long closing waits for unsent data (`SO_LINGER`), in whole seconds.
    ///
    /// A time above zero blocks the thread that drops the stream. See [`TcpStream::set_linger`].
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[deprecated = "a time above zero blocks the thread that drops the stream: see `set_zero_linger`"]
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        self.socket.set_linger(dur)
    }

    /// Makes closing reset the connection. See [`TcpStream::set_zero_linger`].
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.socket.set_linger(Some(Duration::ZERO))
    }

    /// Returns how long closing waits for unsent data (`SO_LINGER`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket.linger()
    }

    /// Returns the network interface that the socket is bound to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[cfg(target_os = "linux")]
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.socket.device()
    }

    /// Binds the socket to a network interface (`SO_BINDTODEVICE`), or with `None` to none.
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[cfg(target_os = "linux")]
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.socket.bind_device(interface)
    }

    /// Returns the address that the socket is bound to.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(&self.socket.local_addr()?)
    }

    /// Returns the pending error of the socket and clears it.
    ///
    /// # Errors
    ///
    /// The option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Binds the socket to an address.
    ///
    /// # Errors
    ///
    /// What the system reports, such as [`AddrInUse`](io::ErrorKind::AddrInUse).
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.socket.bind(&SockAddr::from(addr))
    }

    /// Connects to `addr`.
    ///
    /// # Errors
    ///
    /// What the system reports, such as [`ConnectionRefused`](io::ErrorKind::ConnectionRefused).
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it gives the attempt up; the peer may have seen a connection that was closed.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect_with(self.socket, addr).await
    }

    /// Listens, with room for `backlog` connections that wait to be accepted.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.socket
            .listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::listening(self.socket)
    }

    /// Takes over a socket that has been made as a stream of the standard library, which must be in non-blocking mode.
    ///
    /// It is for sockets that something else has made and bound; a stream that is connected already belongs to
    /// [`TcpStream::from_std`].
    pub fn from_std_stream(std_stream: std::net::TcpStream) -> TcpSocket {
        TcpSocket {
            socket: std_stream.into(),
        }
    }
}

/// A size that is given in the system's `int`.
fn saturate(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl IntoRawFd for TcpSocket {
    fn into_raw_fd(self) -> RawFd {
        self.socket.into_raw_fd()
    }
}

impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> OwnedFd {
        socket.socket.into()
    }
}

/// Takes over a descriptor, which must be a TCP socket in non-blocking mode.
impl From<OwnedFd> for TcpSocket {
    fn from(fd: OwnedFd) -> TcpSocket {
        TcpSocket { socket: fd.into() }
    }
}
