//! [`TcpListener`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

use socket2::SockAddr;

use super::{TcpSocket, TcpStream};
use crate::net::addr::each_addr;
use crate::net::listener::Listener;
use crate::net::socket::{internet, unknown};
use crate::net::{Socket, ToSocketAddrs};

/// How many connections may wait to be accepted: as many as Tokio's listener lets wait. Linux lowers it to
/// `net.core.somaxconn`.
const BACKLOG: u32 = 1024;

/// A TCP socket that accepts connections.
///
/// # Examples
///
/// ```
/// use runtime::net::{TcpListener, TcpStream};
///
/// async fn serve(listener: TcpListener) -> std::io::Result<()> {
///     loop {
///         let (mut stream, peer) = listener.accept().await?;
///         runtime::spawn(async move {
///             if let Err(error) = stream.write_all(b"hello\n").await {
///                 eprintln!("{peer}: {error}");
///             }
///         });
///     }
/// }
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// let server = runtime::spawn(serve(listener));
///
/// let mut greeting = String::new();
/// TcpStream::connect(address).await?.read_to_string(&mut greeting).await?;
/// assert_eq!(greeting, "hello\n");
/// server.abort();
/// # Ok(())
/// # }
/// ```
pub struct TcpListener {
    /// The socket, and its pause after failures.
    listener: Listener<std::net::TcpListener>,
}

impl TcpListener {
    /// Binds to the first address that `addr` stands for and that can be bound, and listens.
    ///
    /// Port 0 lets the system choose; [`local_addr`](TcpListener::local_addr) tells. `SO_REUSEADDR` is set, so that a server
    /// can be started again at once; for other options use [`TcpSocket`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let listener = runtime::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
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
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        each_addr(addr, |addr| {
            let socket = TcpSocket::new_for(addr)?;
            socket.set_reuseaddr(true)?;
            socket.bind(addr)?;
            socket.listen(BACKLOG)
        })
        .await
    }

    /// Accepts a connection.
    ///
    /// Any number of tasks may call this at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use runtime::net::{TcpListener, TcpStream};
    ///
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, peer) = listener.accept().await?;
    /// assert_eq!(peer, client.local_addr()?);
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the system reports. An error says nothing about later connections: a server logs it and goes on. When
    /// descriptors or memory have run out, the next call waits 10 ms before it tries again (Tokio tries at once). A connection
    /// that its peer has aborted while it was waiting is skipped and not reported.
    ///
    /// # Panics
    ///
    /// Panics when polled outside of a runtime, if there is a connection.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped before it is ready, it has accepted nothing.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, address) = self.listener.accept().await?;
        accepted(socket, address)
    }

    /// Polls to accept a connection.
    ///
    /// Only the last task that called this is woken. As [`accept`](TcpListener::accept) otherwise.
    ///
    /// # Errors
    ///
    /// As for [`accept`](TcpListener::accept).
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime, if there is a connection.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (socket, address) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(accepted(socket, address))
    }

    /// Takes over a listener of the standard library, which must be in non-blocking mode.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let std = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// std.set_nonblocking(true)?;
    /// let listener = runtime::net::TcpListener::from_std(std)?;
    /// # drop(listener);
    /// # Ok(())
    /// # }
    /// ```
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
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        let listener = Listener::new(Socket::from_std(listener)?);
        Ok(TcpListener { listener })
    }

    /// Turns this into a listener of the standard library, which stays in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system reports when the listener leaves the reactor.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.listener.socket.into_io()
    }

    /// Registers a socket that listens.
    #[track_caller]
    pub(super) fn listening(socket: socket2::Socket) -> io::Result<TcpListener> {
        let listener = Listener::new(Socket::new(socket.into(), unknown())?);
        Ok(TcpListener { listener })
    }

    /// Returns the address that this listener is bound to.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.socket.io().local_addr()
    }

    /// Returns how many routers a packet may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn ttl(&self) -> io::Result<u32> {
        self.listener.socket.io().ttl()
    }

    /// Sets how many routers a packet may pass (`IP_TTL`).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runtime::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let listener = runtime::net::TcpListener::bind("127.0.0.1:0").await?;
    /// listener.set_ttl(64)?;
    /// assert_eq!(listener.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.listener.socket.io().set_ttl(ttl)
    }
}

/// Makes a stream of what was accepted.
fn accepted(socket: socket2::Socket, address: SockAddr) -> io::Result<(TcpStream, SocketAddr)> {
    let address = internet(&address)?;
    Ok((TcpStream::accepted(socket)?, address))
}

impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    /// As [`from_std`](TcpListener::from_std).
    #[track_caller]
    fn try_from(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener.fmt(f)
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.socket.io().as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.listener.socket.io().as_raw_fd()
    }
}
