//! Nobody calls `main` with arguments, nor chooses its types.

#[runtime::main]
async fn main<T>(first: u32, second: T)
where
    T: Into<u32>,
{
    let _ = first + second.into();
}
