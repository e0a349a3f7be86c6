//! What differs between operating systems: the one seam of [`net`](super).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// The flag that keeps a write to a closed peer from raising SIGPIPE, where the OS knows one.
///
/// Rust programs ignore that signal, but a runtime inside a program of another language cannot rely on it. (Apple's systems
/// have a socket option instead, which `socket2` and the standard library set.)
#[cfg(target_os = "linux")]
pub(crate) const NO_SIGPIPE: i32 = rustix::net::SendFlags::NOSIGNAL.bits() as i32;
/// No flag: see above.
#[cfg(not(target_os = "linux"))]
pub(crate) const NO_SIGPIPE: i32 = 0;

/// Sends on a stream socket: on Linux one system call without the C library, whose `send` is a cancellation point and costs
/// a tenth of a microsecond more.
#[cfg(target_os = "linux")]
pub(crate) fn send(socket: &SockRef<'_>, buf: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(
        socket.as_fd(),
        buf,
        rustix::net::SendFlags::NOSIGNAL,
    )?)
}

/// Sends on a stream socket.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send(socket: &SockRef<'_>, buf: &[u8]) -> io::Result<usize> {
    socket.send_with_flags(buf, NO_SIGPIPE)
}

/// Receives from a stream socket into memory that is only written to; how many bytes at the start have been. As [`send`].
#[cfg(target_os = "linux")]
pub(crate) fn recv(socket: &SockRef<'_>, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let (_, n) = rustix::net::recv(socket.as_fd(), buf, rustix::net::RecvFlags::empty())?;
    Ok(n)
}

/// Receives from a stream socket into memory that is only written to; how many bytes at the start have been.
#[cfg(not(target_os = "linux"))]
pub(crate) fn recv(socket: &SockRef<'_>, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    socket.recv(buf)
}

/// Receives from a stream socket. As [`send`].
#[cfg(target_os = "linux")]
pub(crate) fn recv_slice(socket: &SockRef<'_>, buf: &mut [u8]) -> io::Result<usize> {
    let (n, _) = rustix::net::recv(socket.as_fd(), buf, rustix::net::RecvFlags::empty())?;
    Ok(n)
}

/// Receives from a stream socket.
#[cfg(not(target_os = "linux"))]
pub(crate) fn recv_slice(socket: &SockRef<'_>, buf: &mut [u8]) -> io::Result<usize> {
    std::io::Read::read(&mut &**socket, buf)
}

/// The most slices that one vectored call takes; POSIX calls it `IOV_MAX`, and it is 1024 on all systems we know.
pub(crate) const MAX_SLICES: usize = 1024;

/// Makes a socket that neither blocks nor outlives an `exec`.
#[cfg(target_os = "linux")]
pub(crate) fn socket(domain: Domain, kind: Type) -> io::Result<Socket> {
    Socket::new(domain, kind.nonblocking(), None)
}

/// Makes a socket that neither blocks nor outlives an `exec`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn socket(domain: Domain, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Whether a listener's queue has a connection, or the listener an error to report. One system call; when it fails, `accept` says why.
#[cfg(target_os = "linux")]
pub(crate) fn may_accept(listener: &impl AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    const AT_ONCE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut asked = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut asked, Some(&AT_ONCE)) != Ok(0)
}

/// Whether it is worth while to call `accept`, which costs no more than the question.
#[cfg(not(target_os = "linux"))]
pub(crate) fn may_accept(_listener: &impl AsFd) -> bool {
    true
}

/// Accepts a connection as a socket that does not block: one system call.
#[cfg(target_os = "linux")]
pub(crate) fn accept(listener: &impl AsFd) -> io::Result<(Socket, SockAddr)> {
    use rustix::net::SocketFlags;
    const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);
    SockRef::from(listener).accept4(FLAGS.bits() as i32)
}

/// Accepts a connection as a socket that does not block.
#[cfg(not(target_os = "linux"))]
pub(crate) fn accept(listener: &impl AsFd) -> io::Result<(Socket, SockAddr)> {
    let (socket, address) = SockRef::from(listener).accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// Makes two connected Unix sockets that neither block nor outlive an `exec`.
pub(crate) fn pair(kind: Type) -> io::Result<(Socket, Socket)> {
    let (one, other) = Socket::pair(Domain::UNIX, kind, None)?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    Ok((one, other))
}
