//! [`SocketAddr`] of Unix sockets, and its conversions.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as StdAddr;
use std::path::Path;

use socket2::SockAddr;

/// The address of a Unix socket: a path, a name in Linux's abstract namespace, or nothing.
///
/// # Examples
///
/// ```
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (one, _other) = runtime::net::UnixStream::pair()?;
/// assert!(one.local_addr()?.is_unnamed());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SocketAddr(StdAddr);

impl SocketAddr {
    /// Returns whether the address is none at all.
    pub fn is_unnamed(&self) -> bool {
        self.0.is_unnamed()
    }

    /// Returns the path, if the address is one.
    pub fn as_pathname(&self) -> Option<&Path> {
        self.0.as_pathname()
    }

    /// Returns the name in the abstract namespace, if the address is one.
    #[cfg(target_os = "linux")]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        std::os::linux::net::SocketAddrExt::as_abstract_name(&self.0)
    }

    /// The address for `socket2`.
    pub(super) fn to_sock_addr(&self) -> io::Result<SockAddr> {
        // `socket2` takes a path that begins with a zero byte for an abstract name.
        if let Some(path) = self.as_pathname() {
            SockAddr::unix(path)
        } else if let Some(name) = abstract_name(&self.0) {
            let mut path = vec![0];
            path.extend_from_slice(name);
            SockAddr::unix(std::ffi::OsStr::from_bytes(&path))
        } else {
            SockAddr::unix("")
        }
    }
}

/// The address for `socket2` of what a user calls a path. A leading zero byte stands for an abstract name.
pub(super) fn path_addr(path: impl AsRef<Path>) -> io::Result<SockAddr> {
    SockAddr::unix(path)
}

/// What the system has returned.
pub(super) fn local(address: &SockAddr) -> io::Result<SocketAddr> {
    if let Some(path) = address.as_unix() {
        return Ok(SocketAddr(path));
    }
    match address.as_abstract_namespace() {
        Some(name) => from_abstract_name(name),
        None => StdAddr::from_pathname(""),
    }
    .map(SocketAddr)
}

/// The name in the abstract namespace.
#[cfg(target_os = "linux")]
fn abstract_name(address: &StdAddr) -> Option<&[u8]> {
    std::os::linux::net::SocketAddrExt::as_abstract_name(address)
}

/// There is no abstract namespace.
#[cfg(not(target_os = "linux"))]
fn abstract_name(_address: &StdAddr) -> Option<&[u8]> {
    None
}

/// An address in the abstract namespace.
#[cfg(target_os = "linux")]
fn from_abstract_name(name: &[u8]) -> io::Result<StdAddr> {
    <StdAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

/// There is no abstract namespace, so nothing has a name there.
#[cfg(not(target_os = "linux"))]
fn from_abstract_name(_name: &[u8]) -> io::Result<StdAddr> {
    StdAddr::from_pathname("")
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<StdAddr> for SocketAddr {
    fn from(address: StdAddr) -> SocketAddr {
        SocketAddr(address)
    }
}

impl From<SocketAddr> for StdAddr {
    fn from(address: SocketAddr) -> StdAddr {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_names_and_nothing_survive_the_way_through_socket2() {
        let path = local(&path_addr("/tmp/some.socket").unwrap()).unwrap();
        assert_eq!(path.as_pathname(), Some(Path::new("/tmp/some.socket")));
        let again = local(&path.to_sock_addr().unwrap()).unwrap();
        assert_eq!(again.as_pathname(), path.as_pathname());

        let nothing = SocketAddr(StdAddr::from_pathname("").unwrap());
        assert!(nothing.is_unnamed());
        assert!(
            local(&nothing.to_sock_addr().unwrap())
                .unwrap()
                .is_unnamed()
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_leading_zero_byte_is_an_abstract_name() {
        let name = local(&path_addr("\0some").unwrap()).unwrap();
        assert_eq!(name.as_abstract_name(), Some(&b"some"[..]));
        let again = local(&name.to_sock_addr().unwrap()).unwrap();
        assert_eq!(again.as_abstract_name(), Some(&b"some"[..]));
    }
}
