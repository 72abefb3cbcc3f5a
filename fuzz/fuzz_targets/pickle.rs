//! The pickled state: what is read is written and read back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdzv::handler::pickle::{Dialect, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let Ok((state, dialect)) = decode(bytes, Dialect::default()) else { return };
    let (again, _) = decode(&encode(&state, dialect), dialect).expect("what was written is read");
    assert_eq!(again, state);
});
