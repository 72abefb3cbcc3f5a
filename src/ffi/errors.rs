//! How C asks for the calling thread's last failure.

use std::ffi::c_char;

use super::last_error;
use super::status::rdzv_status;

/// The status of the calling thread's last failed call; `RDZV_STATUS_OK` where none has failed yet.
///
/// Calls that succeed, calls that return `RDZV_STATUS_NOT_FOUND`, getters and frees leave it as it is.
#[unsafe(no_mangle)]
pub extern "C" fn rdzv_last_error_status() -> rdzv_status {
    last_error::status()
}

/// What went wrong in the calling thread's last failed call, in one sentence; "" where none has failed yet.
///
/// Never NULL. The address is the same for the thread's life; the text changes with the thread's next failing call.
/// At most 1023 bytes of UTF-8: what is longer is cut.
#[unsafe(no_mangle)]
pub extern "C" fn rdzv_last_error_message() -> *const c_char {
    last_error::message()
}

/// What lies behind that failure: operation, key, endpoint, elapsed time, and what the socket or etcd said. "" where
/// the message stands alone.
///
/// As long-lived as `rdzv_last_error_message()`. At most 2047 bytes of UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn rdzv_last_error_cause() -> *const c_char {
    last_error::cause()
}
