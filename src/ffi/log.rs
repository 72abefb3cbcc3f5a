//! The log callback.

use std::ffi::{CString, c_char, c_void};

use super::guard::{Failure, guard};
use super::status::rdzv_status;
use crate::logging::{self, Callback, Level};

/// Log level: nothing.
pub const RDZV_LOG_OFF: i32 = 0;
/// Log level: failures that the caller may not see otherwise.
pub const RDZV_LOG_ERROR: i32 = 1;
/// Log level: also what went wrong and was made good, such as a retry.
pub const RDZV_LOG_WARN: i32 = 2;
/// Log level: also what is rare and of interest, such as a connection.
pub const RDZV_LOG_INFO: i32 = 3;
/// Log level: also one line for each operation.
pub const RDZV_LOG_DEBUG: i32 = 4;
/// Log level: also one line for each request on the wire.
pub const RDZV_LOG_TRACE: i32 = 5;

/// Receives one log line: its level, its text (UTF-8, one line without a line break, good for the call), and the
/// `user_data` that the callback was set with.
///
/// It runs on whichever thread the event happened on, so on several at once, inside the library's call. It must
/// return, not throw or jump out, and not wait for a thread that is in `rdzv_set_log_callback()`. It may call the
/// library; what it causes there is not logged.
pub type rdzv_log_callback = Option<unsafe extern "C" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

/// Sends the log lines of `level` and all more important ones to `callback`. A NULL `callback` or `RDZV_LOG_OFF`
/// switches logging off, which is the default. There is one callback for the process.
///
/// When this returns OK, the previous callback is not running in any thread and will not run again, so that its
/// `user_data` can be freed. A forked child starts with logging off. Lines never hold passwords, tokens or values.
///
/// Returns `RDZV_STATUS_OK`, or `RDZV_STATUS_INVALID_ARGUMENT` for an unknown level or when called from within a
/// callback.
///
/// # Safety
/// `callback` must be NULL or callable from any thread with `user_data` until it is replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdzv_set_log_callback(
    level: i32,
    callback: rdzv_log_callback,
    user_data: *mut c_void,
) -> rdzv_status {
    guard("rdzv_set_log_callback", || {
        let level = level_of(level)?;
        let target = level.zip(callback).map(|(level, function)| {
            let target = Target { function, user_data };
            let callback: Callback = Box::new(move |level, line| target.call(level, line));
            (level, callback)
        });
        Ok(logging::set_callback(target)?)
    })
}

struct Target {
    function: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: `rdzv_set_log_callback`'s clause lets any thread call the function with this pointer.
unsafe impl Send for Target {}
// SAFETY: as above; the library itself never looks behind the pointer.
unsafe impl Sync for Target {}

impl Target {
    fn call(&self, level: Level, line: &str) {
        let line = CString::new(line.replace('\0', "?")).unwrap_or_default();
        // SAFETY: `rdzv_set_log_callback`'s clause; the line lives until the callback returns.
        unsafe { (self.function)(i32::from(level as u8), line.as_ptr(), self.user_data) };
    }
}

fn level_of(level: i32) -> Result<Option<Level>, Failure> {
    Ok(Some(match level {
        RDZV_LOG_OFF => return Ok(None),
        RDZV_LOG_ERROR => Level::Error,
        RDZV_LOG_WARN => Level::Warn,
        RDZV_LOG_INFO => Level::Info,
        RDZV_LOG_DEBUG => Level::Debug,
        RDZV_LOG_TRACE => Level::Trace,
        _ => return Err(Failure::Invalid("level".to_owned(), "is not one of the log levels")),
    }))
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::ptr;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    type Lines = Mutex<Vec<(i32, String)>>;

    unsafe extern "C" fn collect(level: i32, message: *const c_char, user_data: *mut c_void) {
        // SAFETY: `user_data` is the `Lines` of the test below, and the message a C string.
        let (lines, message) = unsafe { (&*user_data.cast::<Lines>(), CStr::from_ptr(message)) };
        if message.to_bytes().ends_with(b"ffi log") {
            lines.lock().unwrap().push((level, message.to_str().unwrap().to_owned()));
        }
    }

    #[test]
    fn lines_reach_the_callback_of_c_with_its_data() {
        let _turn = logging::TEST_TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = Lines::default();
        let data = (&raw const lines).cast_mut().cast();
        // SAFETY: `lines` outlives the callback, which is switched off below.
        unsafe {
            assert_eq!(rdzv_set_log_callback(RDZV_LOG_WARN, Some(collect), data), rdzv_status::Ok);
            logging::warn(format_args!("a\0b ffi log"));
            logging::info(format_args!("ffi log"));
            for (level, callback) in [(RDZV_LOG_OFF, Some(collect as _)), (RDZV_LOG_TRACE, None)] {
                assert_eq!(rdzv_set_log_callback(level, callback, data), rdzv_status::Ok);
                logging::error(format_args!("ffi log"));
            }
        }
        assert_eq!(*lines.lock().unwrap(), [(2, "a?b ffi log".to_owned())]);
    }

    #[test]
    fn unknown_levels_are_refused() {
        for level in [-1, 6, i32::MAX, i32::MIN] {
            // SAFETY: no callback is set.
            let status = unsafe { rdzv_set_log_callback(level, None, ptr::null_mut()) };
            assert_eq!(status, rdzv_status::InvalidArgument);
        }
    }
}
