//! TCP: what goes with [`TcpStream`], [`TcpListener`] and
//! [`TcpSocket`].

/// Hidden lines of examples: `stream`, which the type in question is made of, and `peer`.
macro_rules! setup {
    ($($then:literal)?) => {
        concat!(
            "# let listener = runtime::net::TcpListener::bind(\"127.0.0.1:0\").await?;\n",
            "# let mut stream = runtime::net::TcpStream::connect(listener.local_addr()?).await?;\n",
            "# let (mut peer, _) = listener.accept().await?;\n",
            $("# ", $then)?
        )
    };
}

mod halves;
pub(super) mod listener;
pub(super) mod socket;
pub(super) mod stream;

pub use halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
use {listener::TcpListener, socket::TcpSocket, stream::TcpStream};
