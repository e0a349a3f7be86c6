//! Who spawned a task and what the user calls it, in one word.
//!
//! Most tasks have no name: then the word is the pointer to the location. With a name it is one to both on the heap, and
//! its lowest bit is set. So a name costs its task one more allocation, and the others nothing.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

/// Marks a pointer to a [`Named`].
const NAMED: usize = 1;

/// The origin of a task. Never changes.
pub(crate) struct Origin {
    /// To a `Location<'static>`, or, with [`NAMED`] set, to a [`Named`] that came out of a box.
    pointer: *const (),
    /// The box, if it is one.
    named: PhantomData<Box<Named>>,
}

/// What the pointer leads to if there is a name.
struct Named {
    /// What the user calls the task.
    name: Box<str>,
    /// Who spawned it.
    location: &'static Location<'static>,
}

// Both leave the lowest bit of their addresses to us.
const _: () = assert!(align_of::<Location<'static>>() > NAMED && align_of::<Named>() > NAMED);

// SAFETY: it stands for a shared reference to a location and for a box of values, which are all `Send`.
unsafe impl Send for Origin {}

// SAFETY: as above; a shared origin gives shared references only.
unsafe impl Sync for Origin {}

impl Origin {
    /// Spawned at `location`, without a name.
    #[inline]
    pub(super) fn new(location: &'static Location<'static>) -> Origin {
        Origin {
            pointer: std::ptr::from_ref(location).cast(),
            named: PhantomData,
        }
    }

    /// Spawned at `location`, with a name.
    pub(super) fn named(location: &'static Location<'static>, name: Box<str>) -> Origin {
        let named = Box::into_raw(Box::new(Named { name, location }));
        Origin {
            pointer: named.map_addr(|address| address | NAMED).cast(),
            named: PhantomData,
        }
    }

    /// The pointer that came out of the box, if there is a name.
    #[inline]
    fn boxed(&self) -> Option<*mut Named> {
        (self.pointer.addr() & NAMED != 0).then(|| {
            let named = self.pointer.map_addr(|address| address & !NAMED);
            named.cast::<Named>().cast_mut()
        })
    }

    /// What there is if there is a name.
    #[inline]
    fn with_name(&self) -> Option<&Named> {
        // SAFETY: the bit says that the pointer came out of a box, which is ours until we are dropped.
        self.boxed().map(|named| unsafe { &*named })
    }

    /// What the user calls the task.
    #[inline]
    pub(super) fn name(&self) -> Option<&str> {
        self.with_name().map(|named| &*named.name)
    }

    /// Who spawned the task.
    #[inline]
    pub(super) fn location(&self) -> &'static Location<'static> {
        match self.with_name() {
            Some(named) => named.location,
            // SAFETY: without the bit, it is the reference that `new` was given.
            None => unsafe { &*self.pointer.cast() },
        }
    }
}

impl Drop for Origin {
    #[inline]
    fn drop(&mut self) {
        if let Some(named) = self.boxed() {
            // SAFETY: the pointer came out of a box, and nobody uses it after us.
            drop(unsafe { Box::from_raw(named) });
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("name", &self.name())
            .field("location", &self.location())
            .finish()
    }
}
