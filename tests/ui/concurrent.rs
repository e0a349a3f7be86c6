//! Mistakes in `select!`, `join!` and `try_join!` are shown where they are.

use runtime::{join, select, try_join};
use std::future::ready;

async fn no_future() {
    select! { _ = 5 => () }
    join!(ready(1), 6);
}

async fn types_differ() -> u8 {
    select! {
        number = ready(1_u8) => number,
        text = ready("2") => text,
    }
}

async fn pattern_of_another_type() {
    select! { Some(_) = ready(5) => () }
}

async fn condition_is_a_number() {
    select! { _ = ready(5), if 1 => () }
}

async fn no_result() {
    let _: Result<_, ()> = try_join!(ready(Ok(1)), ready(2));
}

async fn moved_twice(text: String) {
    select! {
        _ = ready(text) => (),
        _ = ready(text) => (),
    }
}

fn not_async() {
    join!(ready(1));
}

fn main() {}
