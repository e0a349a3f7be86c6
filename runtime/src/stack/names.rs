//! Names for the frames of a stack, and which of them are shown.
//!
//! An address stands for several *frames* where calls were inlined: the debug information tells them, innermost first. It takes at least
//! `debug = "line-tables-only"`; then names are short (`spin`), but there are files and lines. Without it there is the name of
//! each function that was not inlined, from the symbol table; and without that, in a stripped program, the file and the offset in it, for `addr2line` on a copy
//! that is not stripped.
//!
//! The user's frames are wanted: the list ends where the runtime polls the task (or drops its future), or where the thread starts. That
//! line itself is shown only if it has no source line: the poll of a small task is often inlined into it, and then nothing else tells.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How many frames are shown at most.
const SHOWN: usize = 32;

/// What is known of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    /// Of the function; or the place in the file, or the address.
    name: String,
    /// The source, with debug information.
    file: Option<PathBuf>,
    /// Its line.
    line: Option<u32>,
}

/// Names the frames of a stack, one line each; the addresses are within the instructions at which the functions are.
pub(super) fn describe(addresses: &[usize]) -> String {
    let modules = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let frames = addresses
        .iter()
        .flat_map(|&address| resolve(address, &modules));
    write(&users(frames))
}

/// The frames of one address.
fn resolve(address: usize, modules: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    // It takes every address for one to return to, and looks one byte before it.
    let behind = std::ptr::without_provenance_mut(address.saturating_add(1));
    backtrace::resolve(behind, |symbol| {
        if let Some(name) = symbol.name() {
            frames.push(Frame {
                // Without the hash.
                name: format!("{name:#}"),
                file: symbol.filename().map(Path::to_owned),
                line: symbol.lineno(),
            });
        }
    });
    if frames.is_empty() {
        frames.push(Frame {
            name: offset(address, modules).unwrap_or_else(|| format!("{address:#x}")),
            file: None,
            line: None,
        });
    }
    frames
}

/// The frames down to the poll of the task, and not more than are shown.
fn users(frames: impl Iterator<Item = Frame>) -> Vec<Frame> {
    let mut users = Vec::new();
    for frame in frames {
        let is_end = is_poll(&frame) || is_thread_start(&frame);
        if !is_end || frame.file.is_none() || users.is_empty() {
            users.push(frame);
        }
        if is_end || users.len() == SHOWN {
            break;
        }
    }
    users
}

/// Whether it is one of the two functions of the executor that call a task: `run` polls its future, `finish` drops it.
fn is_poll(frame: &Frame) -> bool {
    let name = frame.name.as_str();
    if let Some(function) = name.strip_prefix("executor::task::raw::") {
        return function.starts_with("run") || function.starts_with("finish");
    }
    // With line tables only, the path is not in the name.
    let is_there = frame.file.as_deref().is_some_and(|file| {
        let package = file.components().rev().nth(3);
        let package = package.and_then(|package| package.as_os_str().to_str());
        file.ends_with("src/task/raw.rs")
            && package.is_some_and(|package| package.starts_with("executor"))
    });
    is_there
        && ["run<", "finish<", "{closure"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// Whether it is where std calls the function of a thread, or `main`; std marks it for this purpose.
fn is_thread_start(frame: &Frame) -> bool {
    frame.name.contains("__rust_begin_short_backtrace")
}

/// Where the address is in the file that it belongs to, after `/proc/self/maps` (proc(5)).
fn offset(address: usize, modules: &str) -> Option<String> {
    // The parts of a file follow each other; offsets are from the first.
    let mut first = ("", 0);
    for module in modules.lines() {
        // `from-to permissions offset device inode   path`
        let mut fields = module.splitn(6, ' ');
        let (from, to) = fields.next()?.split_once('-')?;
        let from = usize::from_str_radix(from, 16).ok()?;
        let to = usize::from_str_radix(to, 16).ok()?;
        let path = fields.nth(4).unwrap_or_default().trim_start();
        if path != first.0 {
            first = (path, from);
        }
        if (from..to).contains(&address) {
            let name = Path::new(path).file_name()?.to_str()?;
            return Some(format!("{name}+{:#x}", address - first.1));
        }
    }
    None
}

/// One line a frame.
fn write(frames: &[Frame]) -> String {
    let mut text = String::new();
    for (number, Frame { name, file, line }) in frames.iter().enumerate() {
        let _ = write!(text, "{number:4}: {name}");
        if let Some(file) = file {
            let _ = write!(text, " at {}", file.display());
            if let Some(line) = line {
                let _ = write!(text, ":{line}");
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str, place: &str) -> Frame {
        let (file, line) = match place.split_once(':') {
            Some((file, line)) => (Some(file.into()), Some(line.parse().expect("a line"))),
            None => (None, None),
        };
        Frame {
            name: name.into(),
            file,
            line,
        }
    }

    #[track_caller]
    fn shown(frames: &[(&str, &str)]) -> Vec<String> {
        let frames = frames.iter().map(|(name, place)| frame(name, place));
        users(frames).into_iter().map(|frame| frame.name).collect()
    }

    #[test]
    fn the_list_ends_at_the_poll() {
        let raw = "/home/me/executor/src/task/raw.rs:540";
        let packed = "/home/me/registry/executor-0.1.0/src/task/raw.rs:540";
        // All of the debug information; line tables only; from a registry; nothing but symbols.
        for (poll, place) in [
            ("executor::task::raw::run::{{closure}}::{{closure}}", raw),
            ("executor::task::raw::finish::{{closure}}", raw),
            (
                "{closure#0}<show::main::{async_block_env#2}, executor::task::Listed<_>>",
                raw,
            ),
            (
                "run<show::main::{async_block_env#2}, executor::task::Listed<_>>",
                packed,
            ),
        ] {
            let frames = [
                ("std::thread::sleep", "/rustc/std/src/thread.rs:1"),
                ("program::inner", "src/main.rs:1"),
                ("std::panic::catch_unwind", "/rustc/std/src/panic.rs:1"),
                ("program::outer", "src/main.rs:2"),
                (poll, place),
                ("executor::worker::run", "/home/me/executor/src/worker.rs:1"),
            ];
            let users = [
                "std::thread::sleep",
                "program::inner",
                "std::panic::catch_unwind",
                "program::outer",
            ];
            assert_eq!(shown(&frames), users, "{poll} at {place}");
        }
    }

    #[test]
    fn without_source_lines_the_poll_itself_is_shown() {
        let frames = [
            ("program::spin", ""),
            ("executor::task::raw::run", ""),
            ("executor::worker::run", ""),
        ];
        assert_eq!(
            shown(&frames),
            ["program::spin", "executor::task::raw::run"]
        );
        assert_eq!(shown(&frames[1..]), ["executor::task::raw::run"]);
    }

    #[test]
    fn other_functions_of_the_same_names_do_not_end_it() {
        for (name, place) in [
            ("run<program::Work>", "src/main.rs:1"),
            ("run<program::Work>", "/home/me/program/src/task/raw.rs:1"),
            (
                "executor::block_in_place::block_in_place",
                "/home/me/executor/src/block_in_place.rs:1",
            ),
            (
                "executor::task::raw::RawTask::poll_join",
                "/home/me/executor/src/task/raw.rs:1",
            ),
            ("std::panic::catch_unwind", ""),
        ] {
            assert_eq!(
                shown(&[(name, place), ("program::outer", "src/main.rs:1")]).len(),
                2,
                "{name}"
            );
        }
    }

    #[test]
    fn the_list_ends_where_the_thread_starts_and_is_never_long() {
        let start = "std::sys::backtrace::__rust_begin_short_backtrace";
        let frames = [
            ("program::work", "src/main.rs:1"),
            (start, "std.rs:1"),
            ("clone3", ""),
        ];
        assert_eq!(shown(&frames), ["program::work"]);
        assert_eq!(
            shown(&[("program::deep", "src/main.rs:1"); 2 * SHOWN]).len(),
            SHOWN
        );
    }

    #[test]
    fn a_line_tells_function_file_and_line() {
        let frames = [frame("a::b", "src/a.rs:7"), frame("program+0x12", "")];
        assert_eq!(
            write(&frames),
            "   0: a::b at src/a.rs:7\n   1: program+0x12\n"
        );
    }

    #[test]
    fn an_address_without_a_name_is_an_offset_in_its_file() {
        let modules = "\
5000-6000 r--p 00000000 fe:00 12                         /opt/my program
6000-8000 r-xp 00001000 fe:00 12                         /opt/my program
8000-9000 rw-p 00000000 00:00 0
a000-b000 r-xp 00000000 00:00 0                          [vdso]
";
        assert_eq!(
            offset(0x6012, modules).as_deref(),
            Some("my program+0x1012")
        );
        assert_eq!(offset(0xa001, modules).as_deref(), Some("[vdso]+0x1"));
        assert_eq!(offset(0x8001, modules), None);
        assert_eq!(offset(0x9001, modules), None);
    }

    #[inline(never)]
    fn a_function_with_a_name() -> usize {
        std::hint::black_box(a_function_with_a_name as fn() -> usize) as usize
    }

    #[test]
    fn an_address_is_looked_up_as_it_is() {
        let entry = a_function_with_a_name();
        let stack = describe(&[entry]);
        assert!(stack.contains("a_function_with_a_name"), "{stack}");
        let stack = describe(&[entry - 1]);
        assert!(!stack.contains("a_function_with_a_name"), "{stack}");
    }
}
