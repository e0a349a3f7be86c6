//! Unix domain sockets: what goes with [`UnixStream`], [`UnixListener`],
//! [`UnixDatagram`] and [`UnixSocket`](super::UnixSocket).

/// Hidden lines of examples: `stream`, which the type in question is made of, and `peer`.
macro_rules! setup {
    ($($then:literal)?) => {
        concat!(
            "# let (mut stream, mut peer) = runtime::net::UnixStream::pair()?;\n",
            $("# ", $then)?
        )
    };
}

mod addr;
pub(super) mod datagram;
mod halves;
pub(super) mod listener;
pub(super) mod socket;
pub(super) mod stream;
mod ucred;

pub use addr::SocketAddr;
pub use halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use ucred::UCred;
use {datagram::UnixDatagram, listener::UnixListener, stream::UnixStream};

/// The number of a user, as the operating system has it.
#[expect(non_camel_case_types, reason = "the name that C gives it")]
pub type uid_t = u32;

/// The number of a group, as the operating system has it.
#[expect(non_camel_case_types, reason = "the name that C gives it")]
pub type gid_t = u32;

/// The number of a process, as the operating system has it.
#[expect(non_camel_case_types, reason = "the name that C gives it")]
pub type pid_t = i32;
