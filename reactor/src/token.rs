//! The number that the operating system returns with an event: which slot of the slab, and which registration of it.

/// Names one registration: the index of its slot in the slab, and the slot's generation at that time.
///
/// A token may come back from the kernel after its registration has gone, for example because a duplicate keeps the
/// description open. The generation makes it harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// The registrations that this slot had before, modulo 2³².
    pub(crate) generation: u32,
    /// The slot.
    pub(crate) index: u32,
}

impl Token {
    /// The first index that no source has: the two largest keys belong to `polling` and to the interrupting descriptor.
    pub(crate) const END: u32 = u32::MAX - 1;

    /// The form in which the kernel keeps it: generation 32 ‖ index 32.
    pub(crate) fn to_key(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The inverse of [`to_key`](Self::to_key), for any key.
    pub(crate) fn from_key(key: u64) -> Self {
        Self {
            generation: (key >> 32) as u32,
            index: key as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_went() {
        for token in [
            Token {
                generation: 0,
                index: 0,
            },
            Token {
                generation: u32::MAX,
                index: Token::END - 1,
            },
            Token {
                generation: 7,
                index: 1 << 31,
            },
        ] {
            assert_eq!(Token::from_key(token.to_key()), token);
            assert!(token.to_key() < u64::MAX - 1);
        }
    }
}
