//! Registrations against plain records: `reactor/src/reactor/model.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|program: &[u8]| reactor::model::run(program));
