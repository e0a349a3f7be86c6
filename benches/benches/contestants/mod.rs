//! The runtimes that are compared. Ours and Tokio are written by one text, the others by hand.

// Not every bench uses each.
#![allow(dead_code, unused_imports)]

mod nio;
mod smol;

pub(crate) use nio::Nio;
pub(crate) use smol::Smol;

use hyper_util::rt::TokioIo;
use runtime_benches::contestant::Contestants;
use runtime_benches::go::Go;

/// How a stream becomes one of hyper's.
trait IntoHyper {
    /// What hyper reads and writes.
    type Io;

    fn into_hyper(self) -> Self::Io;
}

impl IntoHyper for runtime::net::TcpStream {
    /// It is one.
    type Io = Self;

    fn into_hyper(self) -> Self {
        self
    }
}

impl IntoHyper for tokio::net::TcpStream {
    type Io = TokioIo<Self>;

    fn into_hyper(self) -> Self::Io {
        TokioIo::new(self)
    }
}

// Reports of slow polls are made as by default, but not printed into the table; whether a slow task is rescued is a
// question of its own.
runtime_benches::contestant!(Ours, runtime, "ours", |builder| {
    builder
        .rescue(runtime_benches::fresh::has_rescue())
        .on_slow_poll(|_| ());
});
runtime_benches::contestant!(Tokio, tokio, "tokio");

/// All of them, in the order of the columns.
pub(crate) fn all() -> Contestants {
    let crates = Contestants::default().with::<Ours>().with::<Tokio>();
    crates.with::<Smol>().with::<Nio>().and(Go::default())
}
