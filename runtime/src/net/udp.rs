//! [`UdpSocket`].

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::addr::{each_addr, no_address};
use super::datagram::{datagram, names::*};
use super::socket::{internet, unknown};
use super::{ToSocketAddrs, os};
use socket2::{Domain, SockAddr, Type};

/// A UDP socket.
///
/// All methods take `&self`: an `Arc<UdpSocket>` can send in one task and receive in another.
///
/// # Examples
///
/// One to many: `bind`, then [`send_to`](UdpSocket::send_to) and [`recv_from`](UdpSocket::recv_from).
///
/// ```
/// use runtime::net::UdpSocket;
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let client = UdpSocket::bind("127.0.0.1:0").await?;
///
/// client.send_to(b"ping", server.local_addr()?).await?;
/// let mut buf = [0; 16];
/// let (n, sender) = server.recv_from(&mut buf).await?;
/// assert_eq!((&buf[..n], sender), (&b"ping"[..], client.local_addr()?));
/// # Ok(())
/// # }
/// ```
///
/// One to one: `bind`, [`connect`](UdpSocket::connect), then [`send`](UdpSocket::send) and [`recv`](UdpSocket::recv).
pub struct UdpSocket {
    /// The socket.
    socket: Socket<std::net::UdpSocket>,
}

impl UdpSocket {
    /// Binds to the first address that `addr` stands for and that can be bound.
    ///
    /// # Errors
    ///
    /// The error of the last address tried, such as [`AddrInUse`](io::ErrorKind::AddrInUse); or that the name cannot be
    /// resolved, or stands for no address.
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has bound nothing.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        each_addr(addr, |addr| {
            let socket = os::socket(Domain::for_address(addr), Type::DGRAM)?;
            socket.bind(&SockAddr::from(addr))?;
            let socket = Socket::new(socket.into(), unknown())?;
            Ok(UdpSocket { socket })
        })
        .await
    }

    /// Connects to the first address that `addr` stands for and that the system takes.
    ///
    /// Nothing is sent. From then on [`send`](UdpSocket::send) sends there, and only datagrams from there are received.
    ///
    /// # Errors
    ///
    /// The error of the last address tried; or that the name cannot be resolved, or stands for no address.
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime, if a name has to be resolved.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has connected to nothing.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        each_addr(addr, |addr| {
            self.socket.sock().connect(&SockAddr::from(addr))
        })
        .await
    }

    /// Sends a datagram to the first address that `addr` stands for, and returns its length.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let peer = runtime::net::UdpSocket::bind("127.0.0.1:0").await?;
    /// let socket = runtime::net::UdpSocket::bind("127.0.0.1:0").await?;
    /// assert_eq!(socket.send_to(b"hello", peer.local_addr()?).await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the system reports, or that the name cannot be resolved, or stands for no address.
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime, if a name has to be resolved.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is ready, it has sent nothing.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let addr = addr.resolve().await?.next().ok_or_else(no_address)?;
        self.socket
            .async_io(Interest::WRITABLE, || self.socket.io().send_to(buf, addr))
            .await
    }

    /// Polls to send a datagram to `target`.
    ///
    /// Only the last task that called this, or another polling method that sends, is woken.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_io(cx, Direction::Write, || {
            self.socket.io().send_to(buf, target)
        })
    }

    /// Sends a datagram to `target`, without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, or what the system reports.
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.socket
            .try_io(Interest::WRITABLE, || self.socket.io().send_to(buf, target))
    }

    /// Receives a datagram without taking it: a later call gets the same one. Waits until there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let socket = runtime::net::UdpSocket::bind("127.0.0.1:0").await?;
    /// # let peer = runtime::net::UdpSocket::bind("127.0.0.1:0").await?;
    /// # peer.send_to(b"hello", socket.local_addr()?).await?;
    /// let mut buf = [0; 16];
    /// let n = socket.peek(&mut buf).await?;
    /// assert_eq!(socket.recv(&mut buf).await?, n);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .async_io(Interest::READABLE, || self.socket.io().peek(buf))
            .await
    }

    /// Polls to receive a datagram without taking it.
    ///
    /// Only the last task that called this, or another polling method that receives, is woken.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.socket
            .poll_io(cx, Direction::Read, || {
                uninit::peek(self.socket.sock(), buf)
            })
            .map_ok(drop)
    }

    /// Receives a datagram without taking it and without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none, or what the system reports.
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .try_io(Interest::READABLE, || self.socket.io().peek(buf))
    }

    /// Receives a datagram and its sender without taking it. Waits until there is one.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .async_io(Interest::READABLE, || self.socket.io().peek_from(buf))
            .await
    }

    /// Polls to receive a datagram and its sender without taking it.
    ///
    /// Only the last task that called this, or another polling method that receives, is woken.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let sender = ready!(self.socket.poll_io(cx, Direction::Read, || {
            uninit::peek_from(self.socket.sock(), buf)
        }))?;
        Poll::Ready(internet(&sender))
    }

    /// Receives a datagram and its sender without taking it and without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none, or what the system reports.
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .try_io(Interest::READABLE, || self.socket.io().peek_from(buf))
    }

    /// Returns the sender of the next datagram. Waits until there is one.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        let sender = self
            .socket
            .async_io(Interest::READABLE, || self.socket.sock().peek_sender())
            .await?;
        internet(&sender)
    }

    /// Polls for the sender of the next datagram.
    ///
    /// Only the last task that called this, or another polling method that receives, is woken.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        let sender = ready!(
            self.socket
                .poll_io(cx, Direction::Read, || { self.socket.sock().peek_sender() })
        )?;
        Poll::Ready(internet(&sender))
    }

    /// Returns the sender of the next datagram, without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none, or what the system reports.
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        let sender = self
            .socket
            .try_io(Interest::READABLE, || self.socket.sock().peek_sender())?;
        internet(&sender)
    }
}

/// Options.
impl UdpSocket {
    /// Returns whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket.io().broadcast()
    }

    /// Sets whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.socket.io().set_broadcast(on)
    }

    /// Returns whether multicast datagrams come back to this machine, for IPv4 (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket.io().multicast_loop_v4()
    }

    /// Sets whether multicast datagrams come back to this machine, for IPv4 (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket.io().set_multicast_loop_v4(on)
    }

    /// Returns how many routers multicast datagrams may pass (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket.io().multicast_ttl_v4()
    }

    /// Sets how many routers multicast datagrams may pass (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket.io().set_multicast_ttl_v4(ttl)
    }

    /// Returns whether multicast datagrams come back to this machine, for IPv6 (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket.io().multicast_loop_v6()
    }

    /// Sets whether multicast datagrams come back to this machine, for IPv6 (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket.io().set_multicast_loop_v6(on)
    }

    /// Returns how many routers a datagram may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.io().ttl()
    }

    /// Sets how many routers a datagram may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.io().set_ttl(ttl)
    }

    /// Returns the type of service in the header of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.socket.sock().tos_v4()
    }

    /// Sets the type of service in the header of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        self.socket.sock().set_tos_v4(tos)
    }

    /// Returns the traffic class in the header of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.socket.sock().tclass_v6()
    }

    /// Sets the traffic class in the header of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.socket.sock().set_tclass_v6(tclass)
    }

    /// Joins the multicast group `multiaddr` on the interface with the address `interface` (unspecified: any).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.io().join_multicast_v4(&multiaddr, &interface)
    }

    /// Joins the multicast group `multiaddr` on the interface with the index `interface` (0: any).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.io().join_multicast_v6(multiaddr, interface)
    }

    /// Leaves a multicast group that [`join_multicast_v4`](UdpSocket::join_multicast_v4) has joined.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.io().leave_multicast_v4(&multiaddr, &interface)
    }

    /// Leaves a multicast group that [`join_multicast_v6`](UdpSocket::join_multicast_v6) has joined.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.io().leave_multicast_v6(multiaddr, interface)
    }

    /// Returns the network interface that the socket is bound to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[cfg(target_os = "linux")]
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.socket.sock().device()
    }

    /// Binds the socket to a network interface (`SO_BINDTODEVICE`), or with `None` to none.
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[cfg(target_os = "linux")]
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.socket.sock().bind_device(interface)
    }
}

datagram!(
    UdpSocket,
    std::net::UdpSocket,
    SocketAddr,
    internet,
    concat!(
        "# let socket = runtime::net::UdpSocket::bind(\"127.0.0.1:0\").await?;\n",
        "# let peer = runtime::net::UdpSocket::bind(\"127.0.0.1:0\").await?;\n",
        "# socket.connect(peer.local_addr()?).await?;\n",
        "# peer.connect(socket.local_addr()?).await?;",
    )
);
