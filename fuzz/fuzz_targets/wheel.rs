//! The timer wheel against a `BTreeMap`: `timer/src/wheel/model.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|program: &[u8]| timer::models::wheel::run(program));
