//! The versions of library and ABI. `Cargo.toml` and `build.rs` are where they are decided.

use std::ffi::{CStr, c_char};

/// The major version of the library that this header belongs to.
pub const RDZV_VERSION_MAJOR: u32 = 0;
/// The minor version.
pub const RDZV_VERSION_MINOR: u32 = 1;
/// The patch version.
pub const RDZV_VERSION_PATCH: u32 = 0;
/// The ABI that this header describes: the number in the soname, raised only when a change would break programs.
pub const RDZV_ABI_VERSION: u32 = 0;

const VERSION: Option<&CStr> = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => Some(version),
    Err(_) => None,
};

/// The version of the library that is running, such as "0.1.0". Static, never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn rdzv_version() -> *const c_char {
    VERSION.unwrap_or_default().as_ptr()
}

/// The ABI of the library that is running; equal to `RDZV_ABI_VERSION` of every header that fits it.
#[unsafe(no_mangle)]
pub extern "C" fn rdzv_abi_version() -> u32 {
    RDZV_ABI_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_package() {
        let numbers = format!("{RDZV_VERSION_MAJOR}.{RDZV_VERSION_MINOR}.{RDZV_VERSION_PATCH}");
        assert_eq!(numbers, env!("CARGO_PKG_VERSION"));
        // SAFETY: the function returns a static C string.
        assert_eq!(unsafe { CStr::from_ptr(rdzv_version()) }.to_str().unwrap(), numbers);
    }

    #[test]
    fn the_abi_is_the_one_in_the_soname() {
        let line = format!("const ABI: u32 = {RDZV_ABI_VERSION};");
        assert!(include_str!("../../build.rs").lines().any(|found| found == line));
        assert_eq!(rdzv_abi_version(), RDZV_ABI_VERSION);
    }
}
