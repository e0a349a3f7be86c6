//! [`TcpStream`].

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, SockAddr, Type};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::io::uninit;
use crate::net::addr::no_address;
use crate::net::socket::connect;
use crate::net::stream::{either, names::*, reading, whole, writing};
use crate::net::{ToSocketAddrs, os};

/// A TCP connection.
///
/// Made by [`connect`](TcpStream::connect), or by [`TcpListener::accept`](crate::net::TcpListener::accept). Read and write
/// through its own methods, or through [`AsyncRead`] and [`AsyncWrite`]. Dropping
/// it closes the connection; [`shutdown`](TcpStream::shutdown) ends only the writing direction.
///
/// # Examples
///
/// ```
/// use runtime::net::{TcpListener, TcpStream};
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let mut client = TcpStream::connect(listener.local_addr()?).await?;
/// let (mut server, _) = listener.accept().await?;
///
/// client.write_all(b"hello").await?;
/// let mut buf = [0; 5];
/// server.read_exact(&mut buf).await?;
/// assert_eq!(&buf, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    /// The connection.
    socket: Socket<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to the first address that `addr` stands for and that answers.
    ///
    /// To set options before, use [`TcpSocket`](crate::net::TcpSocket).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use runtime::net::TcpStream;
    ///
    /// # #[runtime::main]
    /// # async fn main() -> std::io::Result<()> {
    /// let stream = TcpStream::connect("example.org:80").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the last address tried, such as [`ConnectionRefused`](io::ErrorKind::ConnectionRefused); or that the name
    /// cannot be resolved, or stands for no address.
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it gives the attempt up; the peer may have seen a connection that was closed.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let mut last = None;
        for addr in addr.resolve().await? {
            match TcpStream::connect_one(addr).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address))
    }

    /// Connects to one address.
    async fn connect_one(addr: SocketAddr) -> io::Result<TcpStream> {
        let socket = os::socket(Domain::for_address(addr), Type::STREAM)?;
        TcpStream::connect_with(socket, addr).await
    }

    /// Connects a socket that does not block.
    pub(crate) async fn connect_with(
        socket: socket2::Socket,
        addr: SocketAddr,
    ) -> io::Result<TcpStream> {
        let socket = connect(socket, &SockAddr::from(addr)).await?;
        Ok(TcpStream { socket })
    }

    /// Registers a connection that was accepted.
    #[track_caller]
    pub(crate) fn accepted(socket: socket2::Socket) -> io::Result<TcpStream> {
        let socket = Socket::new(socket.into(), crate::net::socket::unknown())?;
        Ok(TcpStream { socket })
    }

    /// Receives without taking: a later read gets the same bytes. Waits until there are any.
    ///
    /// Zero means that the peer has closed its side, or that `buf` is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let listener = runtime::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut stream = runtime::net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (mut peer, _) = listener.accept().await?;
    /// peer.write_all(b"GET / HTTP/1.1").await?;
    /// let mut verb = [0; 3];
    /// stream.peek(&mut verb).await?;
    /// assert_eq!(&verb, b"GET");
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

    /// Polls to receive without taking: a later read gets the same bytes.
    ///
    /// Only the last task that called this, or another polling method that reads, is woken.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_io(cx, Direction::Read, || {
            uninit::peek(self.socket.sock(), buf)
        })
    }

    /// Returns whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.io().nodelay()
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`), instead of being held back to be sent together.
    ///
    /// Protocols of requests and answers want `true`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let listener = runtime::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut stream = runtime::net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (mut peer, _) = listener.accept().await?;
    /// stream.set_nodelay(true)?;
    /// assert!(stream.nodelay()?);
    /// # drop(peer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.io().set_nodelay(nodelay)
    }

    /// Returns whether acknowledgements are sent at once (`TCP_QUICKACK`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[cfg(target_os = "linux")]
    pub fn quickack(&self) -> io::Result<bool> {
        self.socket.sock().tcp_quickack()
    }

    /// Sets whether acknowledgements are sent at once (`TCP_QUICKACK`). The system may fall back by itself.
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[cfg(target_os = "linux")]
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.socket.sock().set_tcp_quickack(quickack)
    }

    /// Returns how long closing waits for unsent data (`SO_LINGER`); `None` is the system's way: in the background.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket.sock().linger()
    }

    /// Sets how long closing waits for unsent data (`SO_LINGER`), in whole seconds.
    ///
    /// A time above zero blocks the thread that drops the stream, and with it the tasks that would run there. Leave it alone;
    /// to close with a reset, use [`set_zero_linger`](TcpStream::set_zero_linger).
    ///
    /// # Errors
    ///
    /// What the system reports.
    #[deprecated = "a time above zero blocks the thread that drops the stream: see `set_zero_linger`"]
    pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
        self.socket.sock().set_linger(dur)
    }

    /// Makes closing reset the connection: unsent data is discarded, and the peer reads an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let listener = runtime::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut stream = runtime::net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (mut peer, _) = listener.accept().await?;
    /// stream.set_zero_linger()?;
    /// drop(stream);
    /// let error = peer.read(&mut [0]).await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.socket.sock().set_linger(Some(Duration::ZERO))
    }

    /// Returns how many routers a packet may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.io().ttl()
    }

    /// Sets how many routers a packet may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.io().set_ttl(ttl)
    }
}

whole!(TcpStream, std::net::TcpStream, setup!());
either!(TcpStream, SocketAddr, setup!());
reading!(TcpStream, setup!());
writing!(TcpStream, setup!());
