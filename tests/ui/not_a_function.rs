//! Only functions can run. Other items remain, so that their users compile.

#[runtime::main]
struct Program;

#[runtime::test]
mod tests {}

trait Run {
    #[runtime::main]
    async fn run();
}

fn main() {
    let _ = Program;
}
