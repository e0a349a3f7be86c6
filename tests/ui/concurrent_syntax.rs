//! `select!` without what it needs.

use std::future::ready;

#[runtime::main]
async fn main() {
    runtime::select! {}
    runtime::select! { else => () }
    runtime::select! { _ = ready(5) }
    runtime::join!(ready(1); ready(2));
}
