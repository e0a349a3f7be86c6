//! Blocking readers and writers, used from tasks: each operation is a job for the blocking pool.
//!
//! The reader or writer and one buffer travel together: they are here while idle, and in the job while it runs. So a job is
//! never shared, and dropping an [`Offload`] in the middle of a job loses the result and nothing else.
//!
//! Reading: a job fills the buffer, reads are served from it until it is empty. Writing: a write copies into the buffer,
//! starts the job and returns; the error of a job is reported by the next operation. So a write that returned may still fail,
//! and only a flush that succeeded says that all has been written.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use crate::task::{JoinHandle, spawn_blocking};

/// The most bytes that one job reads or writes: a guess between system calls saved and memory held.
const MOST: usize = 64 * 1024;

/// A blocking reader or writer.
#[derive(Debug)]
pub(super) struct Offload<T> {
    /// Where it is.
    state: State<T>,
    /// Whether something was written since the last flush began.
    is_dirty: bool,
}

/// Where a reader or writer is.
#[derive(Debug)]
enum State<T> {
    /// Here.
    Idle(Parts<T>),
    /// In a job.
    Busy(JoinHandle<(Parts<T>, io::Result<()>)>),
    /// Lost with a job that was dropped when the runtime shut down, or whose reader or writer panicked.
    Lost,
}

/// What travels.
#[derive(Debug)]
struct Parts<T> {
    /// The reader or writer.
    io: T,
    /// What has been read and not handed out, or what is to be written.
    buf: Vec<u8>,
    /// How much of `buf` has been handed out.
    taken: usize,
}

impl<T: Send + 'static> Offload<T> {
    /// Wraps a reader or writer.
    pub(super) fn new(io: T) -> Offload<T> {
        Offload {
            state: State::Idle(Parts {
                io,
                buf: Vec::new(),
                taken: 0,
            }),
            is_dirty: false,
        }
    }

    /// Waits for the job, if there is one, and returns what travels; the job's error comes first.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut Parts<T>>> {
        if let State::Busy(job) = &mut self.state {
            match ready!(Pin::new(job).poll(cx)) {
                Ok((parts, result)) => {
                    self.state = State::Idle(parts);
                    result?;
                }
                Err(error) => {
                    self.state = State::Lost;
                    return Poll::Ready(Err(io::Error::other(error)));
                }
            }
        }
        Poll::Ready(match &mut self.state {
            State::Idle(parts) => Ok(parts),
            State::Busy(_) | State::Lost => Err(io::Error::other(
                "the blocking operation before this one did not come back",
            )),
        })
    }

    /// Starts a job. Only called when idle.
    fn start(&mut self, work: impl FnOnce(&mut Parts<T>) -> io::Result<()> + Send + 'static) {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Idle(mut parts) => State::Busy(spawn_blocking(move || {
                let result = work(&mut parts);
                (parts, result)
            })),
            state => state,
        };
    }
}

impl<T: Read + Send + 'static> Offload<T> {
    /// Reads what the last job left, or starts a job.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wanted = into.remaining();
        if wanted == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut was_busy = matches!(self.state, State::Busy(_));
        loop {
            let parts = ready!(self.poll_idle(cx))?;
            let rest = &parts.buf[parts.taken..];
            let n = rest.len().min(wanted);
            into.put_slice(&rest[..n]);
            parts.taken += n;
            // A job that has read nothing was at the end.
            if n > 0 || was_busy {
                return Poll::Ready(Ok(()));
            }
            was_busy = true;
            self.start(move |parts| fill(parts, wanted.min(MOST)));
        }
    }
}

/// Reads up to `most` bytes. A failed read leaves nothing to hand out.
fn fill<T: Read>(parts: &mut Parts<T>, most: usize) -> io::Result<()> {
    parts.taken = 0;
    parts.buf.resize(most, 0);
    let result = loop {
        match parts.io.read(&mut parts.buf) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result,
        }
    };
    parts.buf.truncate(*result.as_ref().unwrap_or(&0));
    result.map(drop)
}

impl<T: Write + Send + 'static> Offload<T> {
    /// Takes a copy of `from`, or the beginning of it, and starts a job that writes it.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let parts = ready!(self.poll_idle(cx))?;
        let n = from.len().min(MOST);
        if n > 0 {
            parts.buf.clear();
            parts.buf.extend_from_slice(&from[..n]);
            self.is_dirty = true;
            self.start(|parts| parts.io.write_all(&parts.buf));
        }
        Poll::Ready(Ok(n))
    }

    /// Waits until all has been written, and flushes the writer.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_idle(cx))?;
        if self.is_dirty {
            self.is_dirty = false;
            self.start(|parts| parts.io.flush());
            ready!(self.poll_idle(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}
