//! The halves of a [`TcpStream`].

use std::net::SocketAddr;

use super::TcpStream;
use crate::net::stream::{either, halves, names::*, reading, writing};

halves!(TcpStream, std::net::TcpStream, setup!());

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

impl ReadHalf<'_> {
    /// Receives without taking: a later read gets the same bytes. See [`TcpStream::peek`].
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buf).await
    }

    /// Polls to receive without taking. See [`TcpStream::poll_peek`].
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn poll_peek(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_peek(cx, buf)
    }
}

impl OwnedReadHalf {
    /// Receives without taking: a later read gets the same bytes. See [`TcpStream::peek`].
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(buf).await
    }

    /// Polls to receive without taking. See [`TcpStream::poll_peek`].
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub fn poll_peek(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_peek(cx, buf)
    }
}
