//! [`ctrl_c`].

use std::io;

use super::unix::{SignalKind, signal};

/// Waits for Ctrl-C (on Unix: for `SIGINT`).
///
/// Only signals that arrive after the first poll count. After it, Ctrl-C no longer ends the process by itself, also when
/// nobody waits for it any more; a program that stays deaf to a second Ctrl-C annoys its user, so call this again, or make
/// sure that the first one ends it.
///
/// # Examples
///
/// ```no_run
/// # async fn serve() {}
/// # #[runtime::main]
/// # async fn main() -> std::io::Result<()> {
/// runtime::select! {
///     () = serve() => {}
///     interrupted = runtime::signal::ctrl_c() => {
///         interrupted?;
///         println!("good-bye");
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The handler cannot be installed, such as when no descriptor is left, or the runtime has shut down.
///
/// # Panics
///
/// Panics when polled outside of a runtime.
///
/// # Cancel safety
///
/// A signal that arrives between two calls is not noticed. Where that matters, keep a
/// [`Signal`](super::unix::Signal).
pub async fn ctrl_c() -> io::Result<()> {
    match signal(SignalKind::interrupt())?.recv().await {
        Some(()) => Ok(()),
        None => Err(io::Error::other("the runtime has shut down")),
    }
}
