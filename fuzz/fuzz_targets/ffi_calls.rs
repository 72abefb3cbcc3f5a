//! Sequences of calls of the C ABI, with arguments that are NULL, not UTF-8, empty or long. No network.
#![no_main]

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

use libfuzzer_sys::fuzz_target;
use rdzv::ffi::bytes::{rdzv_bytes, rdzv_bytes_free};
use rdzv::ffi::errors::{rdzv_last_error_cause, rdzv_last_error_message, rdzv_last_error_status};
use rdzv::ffi::params::*;
use rdzv::ffi::server::*;

/// Text up to the next NUL; none where its first byte says so.
fn text<'a>(left: &mut &'a [u8]) -> Option<CString> {
    let end = left.iter().position(|byte| *byte == 0).unwrap_or(left.len());
    let (word, rest): (&'a [u8], _) = left.split_at(end);
    *left = rest.get(1..).unwrap_or_default();
    (word.first() != Some(&0xff)).then(|| CString::new(word).unwrap())
}

fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(null(), |text| text.as_ptr())
}

fuzz_target!(|bytes: &[u8]| {
    let mut left = bytes;
    let mut params: *mut rdzv_params = null_mut();
    let mut options: *mut rdzv_server_options = null_mut();
    // SAFETY: pointers are NULL or what the library gave and has not freed; texts live for the call.
    unsafe {
        while let Some((choice, rest)) = left.split_first() {
            left = rest;
            let (one, two) = (text(&mut left), text(&mut left));
            let (a, b) = (pointer(&one), pointer(&two));
            match choice % 11 {
                0 => {
                    rdzv_free_params(params);
                    params = null_mut();
                    let number = i64::from(*choice) - 100;
                    _ = rdzv_create_params(a, b, a, number, number + 1, &raw mut params);
                }
                1 => _ = rdzv_params_set(params, a, b),
                2 => _ = rdzv_params_set_config(params, a),
                3 => _ = rdzv_params_unset(params, a),
                4 => {
                    let mut value: rdzv_bytes = std::mem::zeroed();
                    _ = rdzv_params_get(params, a, (&raw mut value).cast());
                    rdzv_bytes_free(&raw mut value);
                    rdzv_bytes_free(&raw mut value);
                }
                5 => {
                    rdzv_free_server_options(options);
                    options = null_mut();
                    _ = rdzv_create_server_options(&raw mut options);
                }
                6 => _ = rdzv_server_options_set(options, a, b),
                7 => _ = rdzv_create_params(a, b, a, 1, 1, null_mut()),
                8 => _ = rdzv_stop_server(null()),
                9 => {
                    rdzv_free_params(params);
                    params = null_mut();
                }
                _ => {
                    _ = rdzv_last_error_status();
                    for text in [rdzv_last_error_message(), rdzv_last_error_cause()] {
                        assert!(CStr::from_ptr(text).to_str().is_ok());
                    }
                }
            }
        }
        rdzv_free_params(params);
        rdzv_free_server_options(options);
    }
});
