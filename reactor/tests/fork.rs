//! A forked child shares the poller with its parent and must not disturb it. In a process of its own, because a child
//! has only the thread that forked.

#![cfg(target_os = "linux")]

mod support;

use std::{
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
};

use reactor::{Interest, Ready, Registration};
use support::*;

#[test]
fn a_child_is_refused_and_the_parent_goes_on() {
    let handle = reactor();
    let (reader, writer) = pipe();
    let (other, _other_writer) = pipe();
    let register = |fd: &std::os::fd::OwnedFd| {
        Registration::new(fd.as_fd(), Interest::READABLE, Ready::EMPTY, &handle)
    };
    let registration = register(&reader).expect("registers");
    // The child has no use for the hook's output, nor for the locks that it takes.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    // SAFETY: the child touches only what this thread owns, and leaves with `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = catch_unwind(AssertUnwindSafe(|| register(&other))).is_err();
        drop(registration);
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(if refused { 0 } else { 1 }) };
    }
    set_hook(hook);
    assert!(child > 0, "forks");
    let mut status = 0;
    // SAFETY: waits for our own child; `status` is ours.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "registering must panic in the child");

    rustix::io::write(&writer, b"x").expect("room");
    let event = block_on(&handle, registration.ready(Interest::READABLE)).expect("ready");
    assert!(
        event.ready.is_readable(),
        "the child's drop has deregistered the parent's descriptor"
    );
}
