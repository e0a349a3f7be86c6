//! Which registration the number of a descriptor belongs to.
//!
//! Numbers are reused: someone closes a registered descriptor behind our back, the next socket gets its number and is
//! registered in turn, and only then the first registration is dropped. Deregistering by number would silence the
//! second one. So each number has an owner, and only the owner may touch what the kernel knows about it. The kernel
//! is called under the lock of that number, else a claim could come between the question and the call. Lock order: the slab's
//! free slots, a source's waiters, a number.

use std::{collections::HashMap, io, os::fd::RawFd};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use crate::token::Token;

/// Locks among which the numbers are spread: as many as threads are likely to register at once. A guess.
const SHARDS: usize = 8;

/// The owners of all registered numbers. Each is known by its slot, which is its own for as long as it is in here.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// The shard of a number is its remainder.
    shards: [CachePadded<Mutex<HashMap<RawFd, u32>>>; SHARDS],
}

impl Owners {
    /// Registers a number by `add`; if that succeeds, `token` owns it, and an earlier owner no longer does.
    pub(crate) fn claim(
        &self,
        fd: RawFd,
        token: Token,
        add: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut owners = self.shard(fd).lock();
        add()?;
        owners.insert(fd, token.index);
        Ok(())
    }

    /// Gives a number up and deregisters it by `delete`. Does nothing if `token` does not own it.
    pub(crate) fn release(
        &self,
        fd: RawFd,
        token: Token,
        delete: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut owners = self.shard(fd).lock();
        if owners.get(&fd) != Some(&token.index) {
            return Ok(());
        }
        owners.remove(&fd);
        delete()
    }

    /// Calls `modify` if `token` owns the number.
    pub(crate) fn while_owned(&self, fd: RawFd, token: Token, modify: impl FnOnce()) {
        let owners = self.shard(fd).lock();
        if owners.get(&fd) == Some(&token.index) {
            modify();
        }
    }

    /// The lock of a number.
    fn shard(&self, fd: RawFd) -> &Mutex<HashMap<RawFd, u32>> {
        &self.shards[fd as usize % SHARDS]
    }
}
