//! From what users write to socket addresses: [`ToSocketAddrs`] and [`lookup_host`].
//!
//! Whatever is an address already is answered at once. A name is resolved by the operating system's resolver, which blocks,
//! so that is a job for the blocking pool.

use std::future::Future;
use std::io;
use std::net::ToSocketAddrs as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use crate::task::{JoinHandle, spawn_blocking};

/// Converts or resolves a value to one or more [`SocketAddr`]s, without blocking the thread.
///
/// Implemented for socket addresses, slices of them, pairs of an IP address or a host name and a port, and strings of the
/// form `"host:port"`. The trait is sealed: it says what may be passed to functions like
/// [`TcpStream::connect`](super::TcpStream::connect), which take the addresses in turn; [`lookup_host`] returns them.
///
/// Strings that hold an IP address are parsed on the spot; other names are resolved on the blocking pool.
///
/// # Examples
///
/// ```
/// use runtime::net::UdpSocket;
///
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let one = UdpSocket::bind("127.0.0.1:0").await?;
/// let two = UdpSocket::bind(("localhost", 0)).await?;
/// two.send_to(b"hi", one.local_addr()?).await?;
/// # Ok(())
/// # }
/// ```
pub trait ToSocketAddrs: sealed::Resolve {}

/// Resolves a host name.
///
/// The result is usually passed on to the first address that answers. Functions that take [`ToSocketAddrs`] resolve by
/// themselves.
///
/// # Examples
///
/// ```
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// for address in runtime::net::lookup_host("localhost:8080").await? {
///     assert_eq!(address.port(), 8080);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Whatever the system's resolver reports, with the name that was asked for, and an error of kind [`Other`](io::ErrorKind::Other) if the runtime shuts down
/// before it answers.
///
/// # Panics
///
/// Panics when polled outside of a runtime, if a name has to be resolved.
///
/// # Cancel safety
///
/// Nothing is lost but the answer. A resolution that has begun goes on in the blocking pool.
pub async fn lookup_host<A: ToSocketAddrs>(
    host: A,
) -> io::Result<impl Iterator<Item = SocketAddr>> {
    host.resolve().await
}

/// Calls `attempt` with each address that `addr` stands for, until one succeeds; returns the last error otherwise.
pub(super) async fn each_addr<A, R>(
    addr: A,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<R>,
) -> io::Result<R>
where
    A: ToSocketAddrs,
{
    let mut last = None;
    for addr in addr.resolve().await? {
        match attempt(addr) {
            Ok(result) => return Ok(result),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

/// The error for a name without an address, or an empty slice.
pub(super) fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the name stands for no address",
    )
}

/// The resolver's error, with the name that it does not tell; the system's own, which have a number, as they are.
fn unresolved(host: &str, error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() {
        return error;
    }
    let problem = match error.kind() {
        io::ErrorKind::InvalidInput => format!("{host:?} is not of the form host:port"),
        _ => format!("cannot resolve {host:?}: {error}"),
    };
    io::Error::new(error.kind(), problem)
}

/// Addresses found.
#[derive(Debug)]
pub enum Addrs {
    /// At most one.
    One(Option<SocketAddr>),
    /// What a slice held or the resolver said.
    Many(vec::IntoIter<SocketAddr>),
}

impl Iterator for Addrs {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match self {
            Addrs::One(address) => address.take(),
            Addrs::Many(addresses) => addresses.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Addrs::One(address) => (address.is_some().into(), Some(address.is_some().into())),
            Addrs::Many(addresses) => addresses.size_hint(),
        }
    }
}

/// Addresses on their way.
#[derive(Debug)]
pub enum Resolving {
    /// Known from the start; `None` once handed out.
    Known(Option<Addrs>),
    /// Being asked for on the blocking pool.
    Asked(JoinHandle<io::Result<vec::IntoIter<SocketAddr>>>),
}

impl Resolving {
    /// One address, known.
    fn one(address: impl Into<SocketAddr>) -> Resolving {
        Resolving::Known(Some(Addrs::One(Some(address.into()))))
    }

    /// Asks the system's resolver. Without a port, `host` must end with one.
    fn ask(host: &str, port: Option<u16>) -> Resolving {
        let host = host.to_owned();
        Resolving::Asked(spawn_blocking(move || {
            let found = match port {
                Some(port) => (host.as_str(), port).to_socket_addrs(),
                None => host.to_socket_addrs(),
            };
            found.map_err(|error| unresolved(&host, error))
        }))
    }
}

impl Future for Resolving {
    type Output = io::Result<Addrs>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut *self {
            Resolving::Known(addresses) => Ok(addresses
                .take()
                .expect("a future is not polled again after it is ready")),
            Resolving::Asked(job) => match ready!(Pin::new(job).poll(cx)) {
                Ok(found) => found.map(Addrs::Many),
                Err(error) => Err(io::Error::other(error)),
            },
        })
    }
}

mod sealed {
    //! What [`ToSocketAddrs`](super::ToSocketAddrs) can do is nobody's business outside.

    /// Starts to find the addresses.
    pub trait Resolve {
        /// Returns the future that knows them.
        fn resolve(&self) -> super::Resolving;
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}
impl<T: ToSocketAddrs + ?Sized> sealed::Resolve for &T {
    fn resolve(&self) -> Resolving {
        (**self).resolve()
    }
}

impl ToSocketAddrs for SocketAddr {}
impl sealed::Resolve for SocketAddr {
    fn resolve(&self) -> Resolving {
        Resolving::one(*self)
    }
}

impl ToSocketAddrs for SocketAddrV4 {}
impl sealed::Resolve for SocketAddrV4 {
    fn resolve(&self) -> Resolving {
        Resolving::one(*self)
    }
}

impl ToSocketAddrs for SocketAddrV6 {}
impl sealed::Resolve for SocketAddrV6 {
    fn resolve(&self) -> Resolving {
        Resolving::one(*self)
    }
}

impl ToSocketAddrs for (IpAddr, u16) {}
impl sealed::Resolve for (IpAddr, u16) {
    fn resolve(&self) -> Resolving {
        Resolving::one(*self)
    }
}

impl ToSocketAddrs for (Ipv4Addr, u16) {}
impl sealed::Resolve for (Ipv4Addr, u16) {
    fn resolve(&self) -> Resolving {
        Resolving::one(*self)
    }
}

impl ToSocketAddrs for (Ipv6Addr, u16) {}
impl sealed::Resolve for (Ipv6Addr, u16) {
    fn resolve(&self) -> Resolving {
        Resolving::one(*self)
    }
}

impl ToSocketAddrs for &[SocketAddr] {}
impl sealed::Resolve for &[SocketAddr] {
    fn resolve(&self) -> Resolving {
        Resolving::Known(Some(Addrs::Many(Vec::from(*self).into_iter())))
    }
}

impl ToSocketAddrs for str {}
impl sealed::Resolve for str {
    fn resolve(&self) -> Resolving {
        match self.parse::<SocketAddr>() {
            Ok(address) => Resolving::one(address),
            Err(_) => Resolving::ask(self, None),
        }
    }
}

impl ToSocketAddrs for String {}
impl sealed::Resolve for String {
    fn resolve(&self) -> Resolving {
        self.as_str().resolve()
    }
}

impl ToSocketAddrs for (&str, u16) {}
impl sealed::Resolve for (&str, u16) {
    fn resolve(&self) -> Resolving {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => Resolving::one((ip, port)),
            Err(_) => Resolving::ask(host, Some(port)),
        }
    }
}

impl ToSocketAddrs for (String, u16) {}
impl sealed::Resolve for (String, u16) {
    fn resolve(&self) -> Resolving {
        (self.0.as_str(), self.1).resolve()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealed::Resolve;

    /// What `name` stands for, which must be known without asking.
    fn known(name: impl Resolve) -> Vec<SocketAddr> {
        match name.resolve() {
            Resolving::Known(Some(addresses)) => addresses.collect(),
            other => panic!("asked for an address: {other:?}"),
        }
    }

    #[test]
    fn addresses_need_no_resolver() {
        let v4: SocketAddr = "10.1.2.3:80".parse().unwrap();
        let v6: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(known(v4), [v4]);
        let by_reference = &&v6;
        assert_eq!(known(by_reference), [v6]);
        assert_eq!(known(&[v4, v6][..]), [v4, v6]);
        assert_eq!(known("10.1.2.3:80"), [v4]);
        assert_eq!(known("[::1]:80".to_owned()), [v6]);
        assert_eq!(known(("10.1.2.3", 80)), [v4]);
        assert_eq!(known(("::1".to_owned(), 80)), [v6]);
        assert_eq!(known((Ipv4Addr::new(10, 1, 2, 3), 80)), [v4]);
        assert_eq!(known((Ipv6Addr::LOCALHOST, 80)), [v6]);
        assert_eq!(known((IpAddr::V6(Ipv6Addr::LOCALHOST), 80)), [v6]);
    }
}
