//! Base64 as Python reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rdzv::fuzzing::fuzz_base64(bytes));
