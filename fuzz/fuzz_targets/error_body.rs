//! Errors in every dialect.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rdzv::fuzzing::error_body(bytes));
