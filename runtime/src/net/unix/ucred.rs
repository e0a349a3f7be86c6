//! [`UCred`]: who is at the other end.

use std::io;

use super::{UnixStream, gid_t, pid_t, uid_t};

/// User, group and process at the other end of a [`UnixStream`], as they were when it was connected.
///
/// # Examples
///
/// ```
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (one, _other) = runtime::net::UnixStream::pair()?;
/// assert_eq!(one.peer_cred()?.pid(), Some(std::process::id() as i32));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    /// The process, if the system tells.
    pid: Option<pid_t>,
    /// The user.
    uid: uid_t,
    /// The group.
    gid: gid_t,
}

impl UCred {
    /// Returns the effective user.
    pub fn uid(&self) -> uid_t {
        self.uid
    }

    /// Returns the effective group.
    pub fn gid(&self) -> gid_t {
        self.gid
    }

    /// Returns the process, if the system tells.
    pub fn pid(&self) -> Option<pid_t> {
        self.pid
    }
}

/// Asks who is at the other end.
#[cfg(target_os = "linux")]
pub(super) fn of_peer(stream: &UnixStream) -> io::Result<UCred> {
    let cred = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(UCred {
        pid: Some(cred.pid.as_raw_nonzero().get()),
        uid: cred.uid.as_raw(),
        gid: cred.gid.as_raw(),
    })
}

/// Asking takes unsafe code here.
#[cfg(not(target_os = "linux"))]
pub(super) fn of_peer(_stream: &UnixStream) -> io::Result<UCred> {
    Err(io::ErrorKind::Unsupported.into())
}
