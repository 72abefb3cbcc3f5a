//! What the v3 gateway answers, a line of a watch included.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rdzv::fuzzing::v3_body(bytes));
