//! Where a task was spawned: the line of the program, by whichever way it was spawned, as `Handle::tasks` tells it.

use std::future::{Pending, pending};
use std::panic::Location;

use runtime::runtime::Handle;
use runtime::task::{Builder, Id, JoinSet};
use runtime_tests::{LIMIT, Watchdog, current_thread, multi_thread, on_each};

/// What it takes to check one task: how it was spawned, its id, and the line.
type Case = (&'static str, Id, u32);

/// The id of what `$spawn` spawned, and this line. To be written on one line.
macro_rules! here {
    ($spawn:expr) => {
        (stringify!($spawn), $spawn.id(), line!())
    };
}

/// The future of all tasks here.
fn never() -> Pending<()> {
    pending()
}

#[track_caller]
fn check(handle: &Handle, cases: &[Case]) {
    let tasks = handle.tasks();
    for &(way, id, line) in cases {
        let mut found = tasks.iter().filter(|task| task.id() == id);
        let task = found
            .next()
            .unwrap_or_else(|| panic!("{way}: not in the list"));
        assert!(found.next().is_none(), "{way}: twice in the list");
        let location = task.location();
        assert_eq!((location.file(), location.line()), (file!(), line), "{way}");
    }
    assert!(cases.len() <= tasks.len());
}

#[test]
fn every_way_to_spawn_notes_the_callers_line() {
    on_each(|| async {
        let handle = Handle::current();
        let cases = [
            here!(runtime::spawn(never())),
            here!(runtime::task::spawn(never())),
            here!(handle.spawn(never())),
            here!(Builder::new().spawn(never()).unwrap()),
            here!(Builder::new().name("x").spawn(never()).unwrap()),
            here!(Builder::new().spawn_on(never(), &handle).unwrap()),
        ];
        check(&handle, &cases);
    });
}

#[test]
fn every_way_to_spawn_into_a_set_notes_the_callers_line() {
    on_each(|| async {
        let handle = Handle::current();
        let mut set = JoinSet::new();
        let cases = [
            here!(set.spawn(never())),
            here!(set.spawn_on(never(), &handle)),
            here!(set.build_task().spawn(never()).unwrap()),
            here!(set.build_task().name("x").spawn(never()).unwrap()),
            here!(set.build_task().spawn_on(never(), &handle).unwrap()),
        ];
        check(&handle, &cases);
    });
}

/// A user's own function with the attribute hands the line on, as std's do.
#[track_caller]
fn spawn_for_the_caller() -> runtime::task::JoinHandle<()> {
    runtime::spawn(never())
}

#[test]
fn the_line_goes_through_functions_that_track_their_caller() {
    on_each(|| async {
        let case = here!(spawn_for_the_caller());
        check(&Handle::current(), &[case]);
    });
}

#[test]
fn a_set_that_is_filled_at_once_notes_the_line_of_that() {
    on_each(|| async {
        let handle = Handle::current();
        let mut set: JoinSet<()> = JoinSet::new();
        let line = line!() + 1;
        set.extend([never(), never()]);
        let filled = FromIterator::from_iter([never(), never(), never()]);
        let from_iter = line!() - 1;
        let other: JoinSet<()> = filled;
        let tasks = handle.tasks();
        let count = |line| {
            let is_here = |at: &Location<'_>| at.file() == file!() && at.line() == line;
            tasks.iter().filter(|task| is_here(task.location())).count()
        };
        assert_eq!((count(line), count(from_iter)), (2, 3), "{tasks}");
        drop((set, other));
    });
}

#[test]
fn outside_of_the_runtime_too() {
    let _watchdog = Watchdog::new(LIMIT);
    for runtime in [multi_thread(2), current_thread()] {
        let cases = [
            here!(runtime.spawn(never())),
            here!(runtime.handle().spawn(never())),
        ];
        check(runtime.handle(), &cases);
        let _entered = runtime.enter();
        let cases = [here!(runtime::spawn(never()))];
        check(runtime.handle(), &cases);
    }
}

#[test]
fn names_are_told_as_they_were_given() {
    on_each(|| async {
        let handle = Handle::current();
        let named = Builder::new().name("listener").spawn(never()).unwrap();
        let unnamed = runtime::spawn(never());
        let mut set = JoinSet::new();
        let member = set.build_task().name("member").spawn(never()).unwrap();
        let tasks = handle.tasks();
        let name = |id| {
            tasks
                .iter()
                .find(|task| task.id() == id)
                .map(|task| task.name())
        };
        assert_eq!(name(named.id()), Some(Some("listener")));
        assert_eq!(name(unnamed.id()), Some(None));
        assert_eq!(name(member.id()), Some(Some("member")));
    });
}
