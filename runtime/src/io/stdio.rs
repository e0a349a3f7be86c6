//! Standard input, output and error.
//!
//! A terminal or file behind them may block whatever is asked of it, so each operation is a job for the blocking pool.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::offload::Offload;

/// The standard input of the process, made by [`stdin`].
///
/// Reading happens on the blocking pool. A read that waits for input cannot be taken back: dropping the future leaves the job
/// behind, which takes the next input and loses it, and the runtime cannot be shut down before that (give the shutdown a
/// timeout). For an interactive program, a plain thread that reads and sends through a channel is the better choice.
///
/// # Cancel safety
///
/// While the same `Stdin` is kept and read again, nothing is lost: the job that was left behind delivers to the next read.
#[derive(Debug)]
pub struct Stdin {
    /// The input, or the job that reads it.
    input: Offload<io::Stdin>,
    /// The same once more: it has the descriptor also while a job runs.
    std: io::Stdin,
}

/// The standard output of the process, made by [`stdout`].
///
/// Writing happens on the blocking pool. A write that returned is on its way and may still fail: call
/// [`flush`](crate::io::AsyncWriteExt::flush) to wait for it and hear of it, above all before the program ends. Lines of two
/// values of this type may mix; share one.
#[derive(Debug)]
pub struct Stdout {
    /// The output, or the job that writes it.
    output: Offload<io::Stdout>,
    /// The same once more: it has the descriptor also while a job runs.
    std: io::Stdout,
}

/// The standard error of the process, made by [`stderr`].
///
/// As [`Stdout`] otherwise.
#[derive(Debug)]
pub struct Stderr {
    /// The output, or the job that writes it.
    output: Offload<io::Stderr>,
    /// The same once more: it has the descriptor also while a job runs.
    std: io::Stderr,
}

/// Returns the standard input of the process.
///
/// # Examples
///
/// ```no_run
/// use runtime::io::{AsyncBufReadExt, BufReader, stdin};
///
/// # #[runtime::main]
/// # async fn main() -> std::io::Result<()> {
/// let mut lines = BufReader::new(stdin()).lines();
/// while let Some(line) = lines.next_line().await? {
///     println!("you wrote {line}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Does not panic itself; reading does outside of a runtime.
pub fn stdin() -> Stdin {
    Stdin {
        input: Offload::new(io::stdin()),
        std: io::stdin(),
    }
}

/// Returns the standard output of the process.
///
/// # Examples
///
/// ```
/// use runtime::io::{AsyncWriteExt, stdout};
///
/// # #[runtime::main]
/// # async fn main() -> std::io::Result<()> {
/// let mut out = stdout();
/// out.write_all(b"hello\n").await?;
/// out.flush().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Does not panic itself; writing does outside of a runtime.
pub fn stdout() -> Stdout {
    Stdout {
        output: Offload::new(io::stdout()),
        std: io::stdout(),
    }
}

/// Returns the standard error of the process.
///
/// # Examples
///
/// ```
/// use runtime::io::{AsyncWriteExt, stderr};
///
/// # #[runtime::main]
/// # async fn main() -> std::io::Result<()> {
/// let mut log = stderr();
/// log.write_all(b"something to know\n").await?;
/// log.flush().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Does not panic itself; writing does outside of a runtime.
pub fn stderr() -> Stderr {
    Stderr {
        output: Offload::new(io::stderr()),
        std: io::stderr(),
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.input.poll_read(cx, buf)
    }
}

impl AsyncWrite for Stdout {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.output.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx)
    }
}

impl AsyncWrite for Stderr {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.output.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx)
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Stdout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for Stdout {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Stderr {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for Stderr {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
