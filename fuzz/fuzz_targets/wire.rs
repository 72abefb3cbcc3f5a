//! Raw bytes from a server, watch streams and truncated answers included, to whole calls.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rdzv::fuzzing::wire(bytes));
