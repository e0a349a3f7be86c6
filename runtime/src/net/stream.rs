//! What the streams and their halves have in common, written once.
//!
//! There are ten types: TCP and Unix streams, each whole, split by reference and split by ownership. All lead to one
//! [`Socket`](super::Socket) through a private method `socket()`. The macros below give each type its public methods and the
//! traits of `tokio`; they hold documentation and calls, and no logic. Macros rather than generic types, so that the public
//! types are plain structs with Tokio's names and with their methods on their own page.
//!
//! The first argument of each is the type. Its second, `$setup`, holds the hidden lines of the examples: they define `stream`,
//! a value of that type, and `peer`, the other end.
//!
//! | macro | gives |
//! |---|---|
//! | `reading` | the methods of whatever can be read from, `AsyncRead` |
//! | `writing` | the methods of whatever can be written to, `AsyncWrite` |
//! | `either` | the methods of all ten types |
//! | `whole` | the methods of whole streams, conversions, `AsFd` |
//! | `halves` | the four types of halves and what only they have |
//!
//! A module that uses them imports [`names`].

mod halves;
mod reading;
mod whole;
mod writing;

pub(super) use halves::halves;
pub(super) use reading::reading;
pub(super) use whole::{either, whole};
pub(super) use writing::writing;

pub(super) mod names {
    //! What the macros name.

    pub(in crate::net) use std::error::Error;
    pub(in crate::net) use std::fmt;
    pub(in crate::net) use std::io::{self, IoSlice, IoSliceMut};
    pub(in crate::net) use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
    pub(in crate::net) use std::pin::Pin;
    pub(in crate::net) use std::sync::Arc;
    pub(in crate::net) use std::task::{Context, Poll};

    pub(in crate::net) use bytes::{Buf, BufMut};
    pub(in crate::net) use reactor::{Direction, Interest, Ready};
    pub(in crate::net) use tokio::io::{
        AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf,
    };

    pub(in crate::net) use super::OnDrop;
    pub(in crate::net) use crate::net::Socket;
}

/// What dropping an owned writing half does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDrop {
    /// Ends the writing direction.
    EndWriting,
    /// Nothing: it has ended, or shall not end.
    Nothing,
}
