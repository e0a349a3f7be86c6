//! Synchronisation between tasks: channels, locks and signals that wait without blocking a thread.
//!
//! Everything here is Tokio's own [`sync`](tokio::sync) module, re-exported: none of it needs a particular runtime, since a
//! waiting task is nothing but a stored [`Waker`](std::task::Waker). A value made here can therefore be shared with a
//! program part that runs on Tokio, and the other way round.
//!
//! | for | take |
//! |---|---|
//! | one value, once | [`oneshot`] |
//! | many values to one receiver | [`mpsc`] |
//! | many values, each to every receiver | [`broadcast`] |
//! | the latest value only | [`watch`] |
//! | "something happened" | [`Notify`] |
//! | at most *n* at a time | [`Semaphore`] |
//! | exclusive or shared access across an `.await` | [`Mutex`], [`RwLock`] |
//! | a value made on first use | [`OnceCell`], [`SetOnce`] |
//! | meeting of *n* tasks | [`Barrier`] |
//!
//! For access that never spans an `.await`, a lock of the standard library or of `parking_lot` is cheaper than [`Mutex`].
//!
//! # What differs from Tokio
//!
//! Tokio's types spend Tokio's cooperative budget, which exists only on Tokio's own threads: on this runtime it is inert. A
//! task that receives from a channel that is never empty is thus not made to yield by the channel. It is made to yield by
//! sockets, timers and join handles, which spend this runtime's budget; a loop that touches none of them should await
//! [`cooperative`](crate::task::coop::cooperative) futures, or call [`task::consume_budget`](crate::task::consume_budget) now and then.
//!
//! The `blocking_send`, `blocking_recv` and `blocking_lock` methods work on threads outside the runtime and inside
//! [`spawn_blocking`](crate::task::spawn_blocking). Called in a task they cannot know where they are, so they do not panic as
//! they do on Tokio, but block the worker until they are served.
//!
//! # Examples
//!
//! ```
//! use runtime::sync::mpsc;
//!
//! #[runtime::main]
//! async fn main() {
//!     let (sender, mut receiver) = mpsc::channel(8);
//!     runtime::spawn(async move {
//!         for number in 1..=3 {
//!             sender.send(number).await.expect("the receiver waits below");
//!         }
//!     });
//!     let mut sum = 0;
//!     while let Some(number) = receiver.recv().await {
//!         sum += number;
//!     }
//!     assert_eq!(sum, 6);
//! }
//! ```

#[doc(inline)]
pub use tokio::sync::*;
