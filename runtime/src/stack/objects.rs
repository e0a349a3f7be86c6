//! The unwinding tables of the program and its libraries, where the loader has put them.
//!
//! `dl_iterate_phdr` lists the objects and holds the loader's lock meanwhile (S4). An object's header `PT_GNU_EH_FRAME` says where its index
//! `.eh_frame_hdr` is, which says where the tables `.eh_frame` are; both lie in its loaded segments.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

/// A part of the program: itself, a library, or the kernel's own.
pub(super) struct Object<'a> {
    /// What is to be added to the addresses in its headers.
    base: usize,
    /// Its headers.
    headers: &'a [libc::Elf64_Phdr],
}

impl<'a> Object<'a> {
    /// Where the index of the unwinding tables is.
    pub(super) fn index(&self) -> Option<usize> {
        let mut headers = self.headers.iter();
        let header = headers.find(|header| header.p_type == libc::PT_GNU_EH_FRAME)?;
        Some(self.place(header.p_vaddr))
    }

    /// What is from an address in a readable segment to the end of the segment.
    pub(super) fn bytes_from(&self, address: usize) -> Option<&'a [u8]> {
        let header = self
            .segment(address)
            .filter(|header| header.p_flags & libc::PF_R != 0)?;
        // Only what comes from the file; the rest is variables.
        let end = self.place(header.p_vaddr.wrapping_add(header.p_filesz));
        let length = end.checked_sub(address)?;
        // SAFETY: the loader has mapped the segment, and it stays until the callback returns (S4), which `'a` does not survive. Tables
        // are never written.
        Some(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address), length) })
    }

    /// The loaded segment in which an address is.
    fn segment(&self, address: usize) -> Option<&'a libc::Elf64_Phdr> {
        self.headers.iter().find(|header| {
            let from = self.place(header.p_vaddr);
            let to = self.place(header.p_vaddr.wrapping_add(header.p_memsz));
            header.p_type == libc::PT_LOAD && (from..to).contains(&address)
        })
    }

    /// Where an address of the headers is.
    fn place(&self, address: u64) -> usize {
        self.base
            .wrapping_add(usize::try_from(address).expect("a word has 64 bits"))
    }
}

/// Calls `look` with the object in which an address is.
pub(super) fn at<R>(address: usize, look: impl FnOnce(&Object<'_>) -> Option<R>) -> Option<R> {
    let (mut look, mut result) = (Some(look), None);
    let mut visit = |object: &Object<'_>| {
        let is_it = object.segment(address).is_some();
        if is_it && let Some(look) = look.take() {
            result = look(object);
        }
        is_it
    };
    let mut visit: &mut dyn FnMut(&Object<'_>) -> bool = &mut visit;
    // SAFETY: `visit_one` gets each object, and the pointer to what it expects, which lives until the call returns.
    unsafe { libc::dl_iterate_phdr(Some(visit_one), (&raw mut visit).cast()) };
    result
}

/// Passes an object on; not 0 if that was the last one wanted.
unsafe extern "C" fn visit_one(
    info: *mut libc::dl_phdr_info,
    _: usize,
    visit: *mut libc::c_void,
) -> i32 {
    // SAFETY: `at` has passed it, and nobody else uses it meanwhile.
    let visit = unsafe { &mut *visit.cast::<&mut dyn FnMut(&Object<'_>) -> bool>() };
    // SAFETY: the loader describes an object for as long as this call lasts (S4).
    let info = unsafe { &*info };
    // SAFETY: as above; the loader has counted its headers.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = usize::try_from(info.dlpi_addr).expect("a word has 64 bits");
    // A panic must not go through the loader.
    let visited = catch_unwind(AssertUnwindSafe(|| visit(&Object { base, headers })));
    i32::from(visited.unwrap_or(true))
}
