//! The halves of a [`UnixStream`].

use super::{SocketAddr, UnixStream};
use crate::net::stream::{either, halves, names::*, reading, writing};

halves!(UnixStream, std::os::unix::net::UnixStream, setup!());

either!(
    ReadHalf<'_>,
    SocketAddr,
    setup!("let (mut stream, _writer) = stream.split();")
);
reading!(
    ReadHalf<'_>,
    setup!("let (mut stream, _writer) = stream.split();")
);

either!(
    OwnedReadHalf,
    SocketAddr,
    setup!("let (mut stream, _writer) = stream.into_split();")
);
reading!(
    OwnedReadHalf,
    setup!("let (mut stream, _writer) = stream.into_split();")
);

either!(
    WriteHalf<'_>,
    SocketAddr,
    setup!("let (_reader, mut stream) = stream.split();")
);
writing!(
    WriteHalf<'_>,
    setup!("let (_reader, mut stream) = stream.split();")
);

either!(
    OwnedWriteHalf,
    SocketAddr,
    setup!("let (_reader, mut stream) = stream.into_split();")
);
writing!(
    OwnedWriteHalf,
    setup!("let (_reader, mut stream) = stream.into_split();")
);
