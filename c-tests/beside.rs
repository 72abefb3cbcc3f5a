//! Another Rust library, which uses enough of the standard library to clash with one that lets its symbols out.

use std::collections::HashMap;

/// Sums the numbers below `count`, on a thread, next to a panic that is caught.
#[unsafe(no_mangle)]
pub extern "C" fn beside_sum(count: u64) -> u64 {
    std::panic::set_hook(Box::new(|_| {}));
    let caught = std::panic::catch_unwind(|| panic!("on purpose")).is_err();
    let texts: HashMap<u64, String> = (0..count).map(|number| (number, number.to_string())).collect();
    let sum = std::thread::spawn(move || texts.values().filter_map(|text| text.parse::<u64>().ok()).sum());
    if caught { sum.join().unwrap_or(0) } else { 0 }
}
