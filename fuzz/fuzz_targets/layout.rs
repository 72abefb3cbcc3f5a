//! Store keys and run ids to paths and back.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rdzv::fuzzing::layout(bytes));
