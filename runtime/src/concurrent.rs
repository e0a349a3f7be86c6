//! Macros that wait for several futures in one task: [`select!`](crate::select), [`join!`](crate::join),
//! [`try_join!`](crate::try_join); and [`pin!`](crate::pin).
//!
//! Each comes in two halves. The one here lets the compiler find where expressions and patterns end; the other, in the crate
//! `macros`, writes the code, in which every future has a number.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

pub use macros::{join, select, try_join};

thread_local! {
    /// The state of the thread's generator; never 0.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
}

/// A number below `count`, at random but not for secrets.
#[inline]
pub fn random(count: usize) -> usize {
    // xorshift64 (Marsaglia 2003).
    let mut state = STATE.get();
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    STATE.set(state);
    // The upper half, scaled down: no division.
    (((state >> 32) * count as u64) >> 32) as usize
}

/// Waits for several futures at once until the first of them has ended, then runs the code that belongs to it. The others are
/// dropped.
///
/// ```text
/// select! {
///     PATTERN = FUTURE => HANDLER,
///     PATTERN = FUTURE, if CONDITION => HANDLER,
///     else => HANDLER,
/// }
/// ```
///
/// 1. All conditions are evaluated, and then all futures, also those whose condition is false: such a branch is *disabled*, and its
///    future not polled.
/// 2. The futures are polled, on one task: none runs while another computes.
/// 3. The first whose output fits its pattern decides. If an output does not fit, that branch is disabled, and waiting goes on.
/// 4. All futures are dropped; then the handler runs with what the pattern has bound. It may use what the futures had borrowed, may
///    `.await`, `break` and `return`. All handlers have one type, that of the whole.
/// 5. If all branches are disabled, `else` is what runs.
///
/// A handler in braces needs no comma behind it.
///
/// # Fairness
///
/// Each time, polling begins with a branch chosen at random, so that one that is always ready does not shut the others out. With
/// `biased;` at the head it begins with the first and goes on in order, which saves a few nanoseconds; then a stream that is never empty
/// belongs below those that it must not starve.
///
/// # Cancel safety
///
/// What a future that was dropped had done by then is lost, unless its documentation calls it cancel safe. In a loop that begins the same
/// operation anew each time, take operations that are, such as `recv` of a channel, `accept`, `read`; or make the future before the loop,
/// [`pin!`](crate::pin) it, and give `&mut future`.
///
/// # Panics
///
/// Panics if all branches are disabled and there is no `else`.
///
/// # Examples
///
/// ```
/// use runtime::sync::mpsc;
///
/// #[runtime::main]
/// async fn main() {
///     let (numbers, mut from_numbers) = mpsc::channel(4);
///     let (words, mut from_words) = mpsc::channel(4);
///     runtime::spawn(async move {
///         for number in 1..=3 {
///             let _ = numbers.send(number).await;
///             let _ = words.send("and").await;
///         }
///     });
///
///     let (mut sum, mut count) = (0, 0);
///     loop {
///         runtime::select! {
///             Some(number) = from_numbers.recv() => sum += number,
///             Some(word) = from_words.recv() => {
///                 assert_eq!(word, "and");
///                 count += 1;
///             }
///             else => break,
///         }
///     }
///     assert_eq!((sum, count), (6, 3));
/// }
/// ```
///
/// One operation beside others that begin anew, until it has ended:
///
/// ```
/// use std::time::Duration;
///
/// # #[runtime::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let work = runtime::time::sleep(Duration::from_millis(35));
/// runtime::pin!(work);
/// let mut ticks = 0;
/// loop {
///     runtime::select! {
///         biased;
///         () = &mut work => break,
///         () = runtime::time::sleep(Duration::from_millis(10)), if ticks < 2 => ticks += 1,
///     }
/// }
/// assert_eq!(ticks, 2);
/// # }
/// ```
#[macro_export]
macro_rules! select {
    (biased; $($branches:tt)*) => {
        $crate::__select!({ biased } {} $($branches)*)
    };
    ($($branches:tt)*) => {
        $crate::__select!({ fair } {} $($branches)*)
    };
}

/// Reads one branch of [`select!`] after the other: its order, what is read, what is not yet.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    ($order:tt { $($read:tt)* }) => {
        $crate::concurrent::select!($crate $order {} $($read)*)
    };
    ($order:tt { $($read:tt)* } else => $handler:expr $(,)?) => {
        $crate::concurrent::select!($crate $order { $handler } $($read)*)
    };
    ($order:tt { $($read:tt)* } $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:block, $($rest:tt)*) => {
        $crate::__select!($order { $($read)* { $pattern } { $future } { $($condition)? } { $handler } } $($rest)*)
    };
    ($order:tt { $($read:tt)* } $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:block $($rest:tt)*) => {
        $crate::__select!($order { $($read)* { $pattern } { $future } { $($condition)? } { $handler } } $($rest)*)
    };
    ($order:tt { $($read:tt)* } $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:expr, $($rest:tt)*) => {
        $crate::__select!($order { $($read)* { $pattern } { $future } { $($condition)? } { $handler } } $($rest)*)
    };
    ($order:tt { $($read:tt)* } $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:expr) => {
        $crate::__select!($order { $($read)* { $pattern } { $future } { $($condition)? } { $handler } })
    };
}

/// Waits until all futures have ended, and returns their outputs as a tuple, in their order.
///
/// They are polled on one task: while one computes, the others wait. To run them in parallel, spawn them and join the handles. A future that has
/// ended is dropped at once. Which one is polled first changes with each turn; with `biased;` at the head it is always the first.
///
/// # Cancel safety
///
/// Dropped half-way, all futures are dropped, and the outputs of those that had ended.
///
/// # Examples
///
/// ```
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() {
/// let (one, two) = runtime::join!(async { 1 }, async { "two" });
/// assert_eq!((one, two), (1, "two"));
/// # }
/// ```
#[macro_export]
macro_rules! join {
    (biased; $($future:expr),* $(,)?) => {
        $crate::concurrent::join!($crate { biased } $({ $future })*)
    };
    ($($future:expr),* $(,)?) => {
        $crate::concurrent::join!($crate { fair } $({ $future })*)
    };
}

/// As [`join!`], for futures that return a `Result` with the same error: returns the first `Err` as soon as there is one, and
/// drops the other futures, else `Ok` with all values as a tuple.
///
/// # Cancel safety
///
/// As that of [`join!`].
///
/// # Examples
///
/// ```
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() {
/// let both = runtime::try_join!(async { "1".parse::<u8>() }, async { "2".parse::<i64>() });
/// assert_eq!(both, Ok((1, 2)));
///
/// let none = runtime::try_join!(async { Err::<u8, _>("no") }, std::future::pending::<Result<u8, _>>());
/// assert_eq!(none, Err("no"));
/// # }
/// ```
#[macro_export]
macro_rules! try_join {
    (biased; $($future:expr),* $(,)?) => {
        $crate::concurrent::try_join!($crate { biased } $({ $future })*)
    };
    ($($future:expr),* $(,)?) => {
        $crate::concurrent::try_join!($crate { fair } $({ $future })*)
    };
}

/// Pins futures in variables of the function: those that have the names already, or new ones.
///
/// # Examples
///
/// ```
/// # #[runtime::main(flavor = "current_thread")]
/// # async fn main() {
/// let one = async { 1 };
/// runtime::pin!(one);
/// runtime::pin! {
///     let two = async { 2 };
/// }
/// assert_eq!((&mut one).await + (&mut two).await, 3);
/// # }
/// ```
#[macro_export]
macro_rules! pin {
    ($($name:ident),* $(,)?) => {
        $(
            #[allow(unused_mut)]
            let mut $name = ::core::pin::pin!($name);
        )*
    };
    ($(let $name:ident = $value:expr;)*) => {
        $(
            let $name = $value;
            #[allow(unused_mut)]
            let mut $name = ::core::pin::pin!($name);
        )*
    };
}
