//! Lints see futures, patterns and handlers, and nothing of the expansions.

#![deny(warnings, clippy::all, clippy::pedantic)]
#![forbid(unsafe_code)]

use runtime::{join, pin, select, try_join};
use std::future::ready;

/// Our expansions need no names in scope, and disturb none.
#[allow(dead_code)]
enum Option {
    Some,
    Poll,
}

#[runtime::main]
async fn main() {
    let future = ready(1);
    pin!(future);
    let mut log = Vec::new();
    loop {
        select! {
            first = &mut future, if log.is_empty() => log.push(first),
            (second, _) = ready((2, "two")) => {
                log.push(second);
                break;
            }
            else => unreachable!(),
        }
    }
    let (one, two) = join!(ready(1), async { log.len() });
    assert!(one <= two);
    let both: Result<_, String> = try_join!(ready(Ok(1)), ready(Ok(2)));
    assert_eq!(both, Ok((1, 2)));
}
