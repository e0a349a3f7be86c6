//! Atomics: std's, with a step before each operation that is not relaxed.

use super::step;
use std::fmt;
use std::sync::atomic::{self as real, Ordering};

/// Begins a step, unless the operation is a relaxed one.
#[inline]
fn before(order: Ordering) {
    if order != Ordering::Relaxed {
        step();
    }
}

/// Orderings are loom's business.
pub(crate) fn fence(_: Ordering) {}

macro_rules! atomic {
    ($name:ident$(<$param:ident>)?, $value:ty) => {
        /// As std's, with a step before each operation.
        #[derive(Default)]
        #[repr(transparent)]
        pub(crate) struct $name$(<$param>)?(real::$name$(<$param>)?);

        impl$(<$param>)? fmt::Debug for $name$(<$param>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl$(<$param>)? $name$(<$param>)? {
            pub(crate) const fn new(value: $value) -> Self {
                $name(real::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                before(order);
                self.0.load(Ordering::Relaxed)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                before(order);
                self.0.store(value, Ordering::Relaxed);
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                before(order);
                self.0.swap(value, Ordering::Relaxed)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                _: Ordering,
            ) -> Result<$value, $value> {
                before(success);
                self.0.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }
        }
    };
}

macro_rules! arithmetic {
    ($name:ident, $value:ty: $($operation:ident)+) => {
        impl $name {
            $(pub(crate) fn $operation(&self, value: $value, order: Ordering) -> $value {
                before(order);
                self.0.$operation(value, Ordering::Relaxed)
            })+

            pub(crate) fn fetch_update(
                &self,
                order: Ordering,
                _: Ordering,
                mut update: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut value = self.load(order);
                while let Some(new) = update(value) {
                    match self.compare_exchange(value, new, order, order) {
                        Ok(value) => return Ok(value),
                        Err(other) => value = other,
                    }
                }
                Err(value)
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicPtr<T>, *mut T);
atomic!(AtomicU8, u8);
atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);
arithmetic!(AtomicBool, bool: fetch_and fetch_or fetch_xor);
arithmetic!(AtomicU8, u8: fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max);
arithmetic!(AtomicU32, u32: fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max);
arithmetic!(AtomicU64, u64: fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max);
arithmetic!(AtomicUsize, usize: fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max);
