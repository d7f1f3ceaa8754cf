//! Parsers of what strangers send: addresses, proxies' fields, challenges, answers.
#![no_main]

#[path = "../../tests/it/fuzz/entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
