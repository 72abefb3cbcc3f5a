//! The way into the library: nothing that goes wrong behind it reaches C as anything but a status.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::last_error;
use super::status::rdzv_status;
use crate::{Error, logging};

/// Why an entry gives up.
#[derive(Debug)]
pub(super) enum Failure {
    /// The argument of this name is NULL.
    Null(String),
    /// The argument of this name breaks this rule.
    Invalid(String, &'static str),
    /// The core said no.
    Core(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

/// Runs one entry and turns what became of it into a status. The only place that records a failure.
///
/// The panic hook is left alone: it belongs to the process, and prints to stderr unless the program replaced it.
pub(super) fn guard(entry: &'static str, body: impl FnOnce() -> Result<(), Failure>) -> rdzv_status {
    let ended = catch_unwind(AssertUnwindSafe(|| match body() {
        Ok(()) => rdzv_status::Ok,
        Err(failure) => record(entry, &failure),
    }));
    ended.unwrap_or_else(|payload| {
        let text = panic_text(&*payload);
        last_error::record(rdzv_status::Panic, format_args!("{entry} panicked, which is a bug in librdzv: {text}"), "");
        rdzv_status::Panic
    })
}

/// Runs something that has no way to fail, such as freeing. A panic ends here, and is only logged.
pub(super) fn quietly(entry: &'static str, body: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        let text = panic_text(&*payload);
        let logged = AssertUnwindSafe(|| logging::error(format_args!("{entry} panicked: {text}")));
        drop(catch_unwind(logged));
    }
}

fn record(entry: &'static str, failure: &Failure) -> rdzv_status {
    match failure {
        Failure::Null(name) => {
            let status = rdzv_status::NullArgument;
            last_error::record(status, format_args!("the argument '{name}' of {entry} must not be NULL"), "");
            status
        }
        Failure::Invalid(name, rule) => {
            let status = rdzv_status::InvalidArgument;
            last_error::record(status, format_args!("the argument '{name}' of {entry} {rule}"), "");
            status
        }
        Failure::Core(error) => {
            let status = rdzv_status::from(error);
            if status != rdzv_status::NotFound {
                last_error::record(status, error, error.cause());
            }
            status
        }
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::super::last_error::tests::last;
    use super::*;
    use crate::error::Cause;

    #[test]
    fn a_failure_is_recorded_with_its_cause() {
        let status = guard("rdzv_x", || {
            let socket = std::io::Error::other("refused");
            Err(Error::Connection(Cause::with_source("get 'k' from h:1 failed after 3 ms", socket)).into())
        });
        assert_eq!(status, rdzv_status::Connection);
        let (recorded, message, cause) = last();
        assert_eq!(recorded, rdzv_status::Connection);
        assert_eq!(message, "The connection to etcd has failed. See inner exception for details.");
        assert_eq!(cause, "get 'k' from h:1 failed after 3 ms: refused");
    }

    #[test]
    fn arguments_are_named() {
        assert_eq!(guard("rdzv_x", || Err(Failure::Null("key".to_owned()))), rdzv_status::NullArgument);
        assert_eq!(last().1, "the argument 'key' of rdzv_x must not be NULL");
        let invalid = guard("rdzv_x", || Err(Failure::Invalid("run_id".to_owned(), "is not valid UTF-8")));
        assert_eq!(invalid, rdzv_status::InvalidArgument);
        assert_eq!(last().1, "the argument 'run_id' of rdzv_x is not valid UTF-8");
    }

    #[test]
    fn success_and_absence_leave_the_last_failure_alone() {
        let _ = guard("rdzv_x", || Err(Error::Cancelled("before".to_owned()).into()));
        assert_eq!(guard("rdzv_x", || Ok(())), rdzv_status::Ok);
        assert_eq!(guard("rdzv_x", || Err(Error::NotFound("none".to_owned()).into())), rdzv_status::NotFound);
        assert_eq!(last(), (rdzv_status::Cancelled, "before".to_owned(), String::new()));
    }

    #[test]
    fn a_panic_becomes_a_status_with_its_text() {
        for (panic, text) in [("plain", "plain"), ("made of 2", "made of 2")] {
            let number = 2;
            let status = guard("rdzv_x", || if text == "plain" { panic!("plain") } else { panic!("made of {number}") });
            assert_eq!(status, rdzv_status::Panic);
            assert_eq!(last().1, format!("rdzv_x panicked, which is a bug in librdzv: {panic}"));
        }
        let odd = guard("rdzv_x", || std::panic::panic_any(7));
        assert_eq!((odd, last().1.ends_with("no message")), (rdzv_status::Panic, true));
    }

    #[test]
    fn a_panic_while_freeing_goes_no_further() {
        let before = last();
        quietly("rdzv_free_x", || panic!("in drop"));
        assert_eq!(last(), before);
    }
}
