//! Tasks against records of what must become of them: `executor/src/task/model.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|program: &[u8]| executor::task::model::run(program));
