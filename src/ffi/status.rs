//! The status codes, and how the core's errors become them.

use std::ffi::{CStr, c_char};

use crate::Error;

/// What a call came to, by what the caller does next. 0 is success; numbers are never reused for something else.
///
/// Later versions may add codes: treat one that you do not know as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum rdzv_status {
    /// The call did what it says, and its outputs are written.
    Ok = 0,
    /// A pointer that must not be NULL is NULL. Nothing was done.
    NullArgument = 1,
    /// An argument or option is outside what is allowed. Nothing was sent.
    InvalidArgument = 2,
    /// What was asked for does not exist. An expected outcome: it leaves the thread's last error as it was.
    NotFound = 3,
    /// The deadline passed first.
    Timeout = 4,
    /// No endpoint of etcd could be reached, or none answered.
    Connection = 5,
    /// The stored rendezvous state cannot be decoded.
    State = 6,
    /// etcd rejected the credentials, or they lack the permission.
    Auth = 7,
    /// A write was sent, and whether etcd applied it cannot be known. Read before you write again.
    UnknownOutcome = 8,
    /// The handle was cancelled. A write that was under way may have been applied.
    Cancelled = 9,
    /// etcd answered with an error that fits none of the others.
    Server = 10,
    /// This etcd, or this build of the library, cannot do it.
    Unsupported = 11,
    /// A bug in the library, stopped at its boundary. The handle may be freed, but not relied on.
    Panic = 12,
    /// The rendezvous is closed: there will be no further round.
    Closed = 13,
}

impl From<&Error> for rdzv_status {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidArgument(_) => Self::InvalidArgument,
            Error::NotFound(_) => Self::NotFound,
            Error::Timeout { .. } => Self::Timeout,
            Error::Connection(_) => Self::Connection,
            Error::State(_) => Self::State,
            Error::Auth(_) => Self::Auth,
            Error::UnknownOutcome(_) => Self::UnknownOutcome,
            Error::Cancelled(_) => Self::Cancelled,
            Error::Server(_) | Error::Start(_) => Self::Server,
            Error::Unsupported(_) => Self::Unsupported,
            Error::Closed(_) => Self::Closed,
        }
    }
}

const NAMES: [(rdzv_status, &CStr); 14] = [
    (rdzv_status::Ok, c"OK"),
    (rdzv_status::NullArgument, c"NULL_ARGUMENT"),
    (rdzv_status::InvalidArgument, c"INVALID_ARGUMENT"),
    (rdzv_status::NotFound, c"NOT_FOUND"),
    (rdzv_status::Timeout, c"TIMEOUT"),
    (rdzv_status::Connection, c"CONNECTION"),
    (rdzv_status::State, c"STATE"),
    (rdzv_status::Auth, c"AUTH"),
    (rdzv_status::UnknownOutcome, c"UNKNOWN_OUTCOME"),
    (rdzv_status::Cancelled, c"CANCELLED"),
    (rdzv_status::Server, c"SERVER"),
    (rdzv_status::Unsupported, c"UNSUPPORTED"),
    (rdzv_status::Panic, c"PANIC"),
    (rdzv_status::Closed, c"CLOSED"),
];

/// The name of a status code without its prefix, such as "TIMEOUT"; "UNRECOGNIZED" for any other number.
///
/// Never NULL; the text is static.
#[unsafe(no_mangle)]
pub extern "C" fn rdzv_status_name(status: i32) -> *const c_char {
    let name = NAMES.iter().find(|(code, _)| *code as i32 == status);
    name.map_or(c"UNRECOGNIZED", |(_, name)| *name).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;

    fn name(status: i32) -> &'static str {
        // SAFETY: the function returns static C strings.
        unsafe { CStr::from_ptr(rdzv_status_name(status)) }.to_str().unwrap()
    }

    #[test]
    fn every_number_has_its_name() {
        for (number, (status, text)) in NAMES.iter().enumerate() {
            assert_eq!(*status as usize, number);
            assert_eq!(name(*status as i32), text.to_str().unwrap());
        }
        for unknown in [-1, 99, i32::MIN, i32::MAX] {
            assert_eq!(name(unknown), "UNRECOGNIZED");
        }
    }

    #[test]
    fn every_error_has_its_code() {
        let text = || "x".to_owned();
        let cases = [
            (Error::InvalidArgument(text()), rdzv_status::InvalidArgument),
            (Error::NotFound(text()), rdzv_status::NotFound),
            (Error::Timeout { message: text(), source: None }, rdzv_status::Timeout),
            (Error::Connection(Cause::new("x")), rdzv_status::Connection),
            (Error::State(Cause::new("x")), rdzv_status::State),
            (Error::Auth(Cause::new("x")), rdzv_status::Auth),
            (Error::UnknownOutcome(Cause::new("x")), rdzv_status::UnknownOutcome),
            (Error::Cancelled(text()), rdzv_status::Cancelled),
            (Error::Server(Cause::new("x")), rdzv_status::Server),
            (Error::Start(Cause::new("x")), rdzv_status::Server),
            (Error::Closed(Cause::new("x")), rdzv_status::Closed),
            (Error::Unsupported(text()), rdzv_status::Unsupported),
        ];
        for (error, status) in cases {
            assert_eq!(rdzv_status::from(&error), status);
        }
    }
}
