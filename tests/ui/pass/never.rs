//! A program whose `main` never returns.

#[runtime::main(flavor = "current_thread")]
async fn main() -> ! {
    runtime::task::yield_now().await;
    std::process::exit(0)
}
