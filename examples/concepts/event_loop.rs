//! An event loop: first one by hand, in forty lines, then what the runtime makes of it.
//!
//! By hand, one thread asks the OS "which of these sockets has something?", sleeps until one
//! has, and calls the handler registered for it. The handlers are callbacks, and what they need to
//! remember lies in the loop's list. On the runtime the same loop runs inside the reactor; a
//! handler is a *waker*, and what has to be remembered lies in the task's own local variables.
//!
//! ```text
//! cargo run --release --example event_loop
//! ```

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use runtime::io::unix::AsyncFd;
use rustix::event::{PollFd, PollFlags, poll};

fn main() -> io::Result<()> {
    println!("by hand:");
    let (ends, writers) = talkers()?;
    EventLoop::over(ends)?.run()?;
    finish(writers)?;

    println!("on the runtime:");
    let (ends, writers) = talkers()?;
    runtime::runtime::Runtime::new()?.block_on(async {
        let tasks: Vec<_> = (1..)
            .zip(ends)
            .map(|(name, end)| runtime::spawn(listen(name, end)))
            .collect();
        for task in tasks {
            task.await.expect("no listener panics")?;
        }
        io::Result::Ok(())
    })?;
    finish(writers)
}

/// Calls a handler whenever its socket is readable, until all have closed.
struct EventLoop {
    /// The sockets that are still open.
    watched: Vec<(UnixStream, Handler)>,
}

/// Told what was read; an empty slice means that the other side closed.
type Handler = Box<dyn FnMut(&[u8])>;

impl EventLoop {
    fn over(ends: Vec<UnixStream>) -> io::Result<Self> {
        let mut watched: Vec<(UnixStream, Handler)> = Vec::new();
        for (name, end) in (1..).zip(ends) {
            end.set_nonblocking(true)?;
            let mut count = 0;
            let handler = move |data: &[u8]| {
                count += data.len();
                say(name, data, count);
            };
            watched.push((end, Box::new(handler)));
        }
        Ok(EventLoop { watched })
    }

    fn run(mut self) -> io::Result<()> {
        let mut buffer = [0; 64];
        while !self.watched.is_empty() {
            // Ask about all sockets at once. This is the only place where the thread ever waits.
            let mut questions: Vec<_> = self
                .watched
                .iter()
                .map(|(end, _)| PollFd::new(end, PollFlags::IN))
                .collect();
            poll(&mut questions, None)?;
            let answers: Vec<_> = questions.iter().map(PollFd::revents).collect();

            let mut answers = answers.into_iter();
            let mut problem = Ok(());
            self.watched.retain_mut(|(end, handler)| {
                if answers.next().is_none_or(|answer| answer.is_empty()) {
                    return true;
                }
                match end.read(&mut buffer) {
                    Ok(n) => {
                        handler(&buffer[..n]);
                        n > 0
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
                    Err(error) => {
                        problem = Err(error);
                        false
                    }
                }
            });
            problem?;
        }
        Ok(())
    }
}

/// The same handler as a task. The loop is gone: the reactor has it.
async fn listen(name: usize, end: UnixStream) -> io::Result<()> {
    end.set_nonblocking(true)?;
    let end = AsyncFd::new(end)?;
    let mut buffer = [0; 64];
    let mut count = 0;
    loop {
        let mut ready = end.readable().await?;
        // `try_io` forgets the readiness if the read would block, so that `readable` waits anew.
        let Ok(read) = ready.try_io(|end| end.get_ref().read(&mut buffer)) else {
            continue;
        };
        let data = &buffer[..read?];
        count += data.len();
        say(name, data, count);
        if data.is_empty() {
            return Ok(());
        }
    }
}

fn say(name: usize, data: &[u8], count: usize) {
    match String::from_utf8_lossy(data) {
        text if text.is_empty() => println!("  socket {name}: closed after {count} bytes"),
        text => println!("  socket {name}: \"{text}\", {count} bytes so far"),
    }
}

type Writer = thread::JoinHandle<io::Result<()>>;

/// Three sockets whose other ends say something now and then, from threads of their own.
fn talkers() -> io::Result<(Vec<UnixStream>, Vec<Writer>)> {
    let mut ends = Vec::new();
    let mut writers = Vec::new();
    for millis in [20, 30, 50] {
        let (near, mut far) = UnixStream::pair()?;
        ends.push(near);
        writers.push(thread::spawn(move || {
            for turn in 1..=2 {
                thread::sleep(Duration::from_millis(millis));
                write!(far, "after {} ms", millis * turn)?;
            }
            Ok(())
        }));
    }
    Ok((ends, writers))
}

fn finish(writers: Vec<Writer>) -> io::Result<()> {
    for writer in writers {
        writer.join().expect("no writer panics")?;
    }
    Ok(())
}
