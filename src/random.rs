//! Randomness that a forked child does not share with its parent.

use std::cell::Cell;
use std::process;

use rustix::rand::{GetRandomFlags, getrandom};

/// A name that nobody else has: 128 random bits in hexadecimal.
pub(crate) fn unique_name() -> String {
    format!("{:032x}", u128::from_ne_bytes(bytes()))
}

/// A number from 0 to 1, for jitter.
pub(crate) fn fraction() -> f64 {
    thread_local! {
        static SEEDED_IN: Cell<u32> = const { Cell::new(0) };
    }
    let pid = process::id();
    if SEEDED_IN.replace(pid) != pid {
        let [a, b, c, d, e, f, g, h, ..] = bytes();
        fastrand::seed(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    }
    fastrand::f64()
}

/// The kernel's random bytes. Where it has none, those of a generator that is seeded by time and thread.
fn bytes() -> [u8; 16] {
    let mut bytes = fastrand::u128(..).to_ne_bytes();
    // Up to 256 bytes come whole and without a signal in between.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_long_and_differ() {
        assert_eq!(unique_name().len(), 32);
        assert_ne!(unique_name(), unique_name());
    }
}
