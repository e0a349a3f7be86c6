//! Entries and their shards against records: `timer/src/entry/model.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|program: &[u8]| timer::models::entry::run(program));
