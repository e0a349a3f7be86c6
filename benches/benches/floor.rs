//! Question: how far is an echo server from what the system calls alone cost?
//!
//! Method: the cases of `benches/src/questions/echo.rs` for our runtime, its peers and the loop over epoll written by hand
//! (`benches/src/floor.rs`) with one thread and with two, each in a fresh process, in rounds.
//!
//! Read: a row a case and contestant, with the ratio to the better one of the two floors behind each figure: below 1 for
//! requests per second, above 1 for times. It goes to `target/floor.md` too.
//!
//! ```text
//! cargo bench --bench floor                                  everything, 5 rounds
//! cargo bench --bench floor -- echo_64 echo_pinned --rounds 9
//! ```

mod contestants;

fn main() -> std::process::ExitCode {
    runtime_benches::floor::main(contestants::all())
}
