//! A short run of the soak (`src/bin/soak`): its books balance, and it notices what it is there to notice. For drift a few seconds are too
//! short; how that is judged has unit tests, and CONTRIBUTING.md says how long a run a release needs.

use std::process::{Command, Output, Stdio};
use std::thread;

/// Runs it for some seconds with the fault planted, if there is one.
fn soak(arguments: &[&str]) -> Output {
    // Where it fails it ends without joining its threads, and that is nothing for ThreadSanitizer to report.
    let sanitizer = std::env::var("TSAN_OPTIONS").unwrap_or_default();
    Command::new(env!("CARGO_BIN_EXE_soak"))
        .env("TSAN_OPTIONS", sanitizer + " report_thread_leaks=0")
        .args(["--seconds", "8", "--load", "0.5"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started")
}

#[test]
fn a_short_soak_passes_and_planted_faults_are_noticed() {
    // Each mostly waits, so they run beside each other.
    thread::scope(|scope| {
        let sound = scope.spawn(|| soak(&[]));
        let faults = [
            ("panic", 1, "a panic that was not planned"),
            ("token", 1, "the books of \"planted\" do not balance"),
            ("tasks", 1, "tasks, timers and sources are left: ("),
            ("descriptors", 1, "threads and descriptors were ("),
            ("threads", 1, "threads and descriptors were ("),
            (
                "stall",
                2,
                "no sign of life for 6s from so many loops: {\"exchanges\": ",
            ),
        ];
        let faults = faults.map(|(plant, code, message)| {
            let run = scope.spawn(move || soak(&["--stall", "6", "--plant", plant]));
            (plant, code, message, run)
        });
        let sound = sound.join().unwrap();
        assert!(sound.status.success(), "{sound:#?}");
        for (plant, code, message, run) in faults {
            let run = run.join().unwrap();
            assert_eq!(run.status.code(), Some(code), "{plant}: {run:#?}");
            let errors = String::from_utf8_lossy(&run.stderr);
            assert!(errors.contains(message), "{plant}: {errors}");
        }
    });
}
