//! Signals of the operating system: Ctrl-C, and on Unix any other.
//!
//! # How it works
//!
//! Each listener has a pair of connected sockets. The signal handler writes one byte into its end, without blocking, and does
//! nothing else; the listener waits for its own end through the reactor of the runtime in which it was made. So any number of
//! listeners, in any number of runtimes, hear of the same signal, and neither knows of the others.
//!
//! Signals that arrive faster than they are received are merged into one: the bytes are counted by nobody, and when the socket is full
//! the rest is dropped. What is guaranteed: after a signal has arrived, at least one receive succeeds.
//!
//! The first listener for a signal replaces what the system would do by default, for the rest of the process: after
//! [`ctrl_c`](fn@ctrl_c) has been polled once, Ctrl-C no longer ends the program by itself, also when nobody listens any more. Handlers
//! that were installed before, by other crates or libraries, are still called.

mod ctrl_c;
pub mod unix;

pub use ctrl_c::ctrl_c;
