//! A multi-threaded work-stealing async runtime.
//!
//! Programs that are written for Tokio move over by changing `tokio::` into `runtime::`: modules, names and signatures are the same.
//! Each module says where it differs on purpose.
//!
//! ```
//! use runtime::io::{AsyncReadExt, AsyncWriteExt};
//! use runtime::net::{TcpListener, TcpStream};
//!
//! #[runtime::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!
//!     runtime::spawn(async move {
//!         let (mut socket, _) = listener.accept().await?;
//!         let mut buffer = [0; 64];
//!         let n = socket.read(&mut buffer).await?;
//!         socket.write_all(&buffer[..n]).await
//!     });
//!
//!     let mut socket = TcpStream::connect(address).await?;
//!     socket.write_all(b"hello").await?;
//!     let mut echo = [0; 5];
//!     socket.read_exact(&mut echo).await?;
//!     assert_eq!(&echo, b"hello");
//!     Ok(())
//! }
//! ```
//!
//! # What is where
//!
//! | module | holds |
//! |---|---|
//! | [`runtime`](mod@runtime) | [`Runtime`], [`Builder`], [`Handle`]: start a runtime, enter it, end it |
//! | [`task`] | spawn tasks, join them, run blocking code, tasks that are not `Send` |
//! | [`time`] | sleep, timeouts, intervals; a clock that tests can pause |
//! | [`net`] | TCP, UDP and Unix sockets |
//! | [`io`] | the I/O traits and utilities, standard input and output, any descriptor |
//! | [`sync`] | channels, locks, notifications |
//! | [`signal`] | Ctrl-C and Unix signals |
//! | [`metrics`] | what the runtime has done and is doing, in numbers |
//!
//! # How it works
//!
//! Each worker has a queue of its own and steals from the others when it is out of work. An idle worker waits for I/O itself, so
//! that a lone connection pays no hand-over between threads; when all workers are busy, a separate reactor thread takes that duty
//! over, fires overdue timers, and sees to it that other threads go on where a task computes or blocks for too long ([`Builder::rescue`]). Every worker has its own
//! timer wheel, with a resolution of 16 µs. An idle process makes no system call at all.
//!
//! # What is promised
//!
//! Programs may rely on what `docs/guarantees.md` in the repository lists, each with the test or model that shows it. In short: no wake-up is lost; a task that can
//! run is polled after a bounded number of polls of others; a task that does not give way holds up nobody else; a panic belongs to its task; a future is dropped
//! exactly once, before anybody hears that its task has ended; what is said to be cancel safe loses nothing when it is dropped; no timer is
//! early; a shutdown with a timeout returns in time. How that comes about, as told above, may change.
//!
//! # Features
//!
//! `macros`, `net`, `time`, `signal` and `io-std` (standard input and output) are on by default, and together `full`; `futures-io` and `hyper` make the streams implement the
//! traits of those crates. `tracing` turns reports of slow polls into events of that crate, `stack-traces` adds the stack of the stuck thread (Linux on x86-64).

#![deny(unsafe_code)]

mod builder;
mod driver;
pub mod io;
pub mod metrics;
#[cfg(feature = "net")]
pub mod net;
mod probe;
pub mod runtime;
#[cfg(feature = "signal")]
pub mod signal;
#[cfg(all(
    feature = "stack-traces",
    target_os = "linux",
    target_arch = "x86_64",
    target_env = "gnu"
))]
mod stack;
pub mod sync;
pub mod task;
#[cfg(feature = "time")]
pub mod time;

#[cfg(feature = "hyper")]
pub mod hyper;

pub use runtime::{
    Builder, EnterGuard, Handle, Runtime, RuntimeFlavor, RuntimeMetrics, SlowPoll, TryCurrentError,
    block_on,
};
pub use task::spawn;

#[cfg(feature = "macros")]
pub use macros::{main, test};
/// Waits for several futures at once; see their documentation in Tokio, where they come from.
#[cfg(feature = "macros")]
pub use tokio::{join, pin, select, try_join};
