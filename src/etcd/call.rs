//! One call of the library's user: what it is about, when it must end, and how it says so.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::cancel::Cancel;
use crate::error::{Cause, Error, Result};
use crate::logging;

/// The longest time that is reckoned with: a century, for "for ever".
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How long the single look of a call with a timeout of zero may wait for etcd's answers: this for every
/// [`KEYS_PER_LOOK`] keys, each of which may need a request.
const LOOK: Duration = Duration::from_secs(1);
const KEYS_PER_LOOK: usize = 50;

/// What a call is about, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    /// A key of the store.
    Key(&'a [u8]),
    /// That many keys of the store.
    Keys(usize),
    /// The rendezvous state of a run.
    Run(&'a str),
    /// Nothing in particular.
    Nothing,
}

/// An operation under way.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    operation: &'static str,
    subject: Subject<'a>,
    started: Instant,
    deadline: Instant,
    /// Whether the caller set out to wait: then the end of the time is TIMEOUT, not a lost connection.
    waits: bool,
    looks_once: bool,
    cancel: &'a Arc<Cancel>,
}

impl<'a> Call<'a> {
    /// A call that asks and is answered, within `limit`.
    pub(crate) fn new(operation: &'static str, subject: Subject<'a>, limit: Duration, cancel: &'a Arc<Cancel>) -> Self {
        let started = Instant::now();
        let deadline = started + limit.min(FOREVER);
        Self { operation, subject, started, deadline, waits: false, looks_once: false, cancel }
    }

    /// A call that waits for something to happen for `timeout`; a timeout of zero looks once.
    pub(crate) fn waiting(
        operation: &'static str,
        subject: Subject<'a>,
        timeout: Duration,
        cancel: &'a Arc<Cancel>,
    ) -> Self {
        let keys = if let Subject::Keys(count) = subject { count } else { 1 };
        let look = LOOK.saturating_mul(u32::try_from(keys.div_ceil(KEYS_PER_LOOK)).unwrap_or(u32::MAX));
        let mut call = Self::new(operation, subject, if timeout.is_zero() { look } else { timeout }, cancel);
        call.waits = true;
        call.looks_once = timeout.is_zero();
        call
    }

    pub(crate) fn cancel(&self) -> &'a Arc<Cancel> {
        self.cancel
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Ends the call if it was cancelled, or could not be.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_thrown() {
            return Err(self.cancelled());
        }
        self.cancel.descriptor().map(drop).map_err(|error| self.local(error))
    }

    /// Ends the call where it may look only once, or where its time is over: what it looked for was not there.
    pub(crate) fn may_wait(&self, waited_for: &str) -> Result<()> {
        self.check()?;
        if self.looks_once || self.is_over() { Err(self.timed_out(waited_for, None)) } else { Ok(()) }
    }

    /// Sleeps for `time`, less where the deadline or a cancel comes first.
    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        let until = self.deadline.min(Instant::now() + time);
        loop {
            let wake = self.cancel.descriptor().map_err(|error| self.local(error))?;
            self.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let mut fds = [PollFd::from_borrowed_fd(wake, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(self.local(error.into())),
            }
        }
    }

    pub(crate) fn cancelled(&self) -> Error {
        Error::Cancelled(format!("{self} was cancelled"))
    }

    /// The end of a call's time, with what last went wrong.
    pub(crate) fn timed_out(&self, waited_for: &str, last: Option<String>) -> Error {
        let message = format!("timeout after {} ms waiting for {waited_for}", self.elapsed().as_millis());
        Error::Timeout { message, source: last.map(Cause::new) }
    }

    /// A failure on this side of the wire, such as no descriptors left.
    pub(crate) fn local(&self, error: std::io::Error) -> Error {
        Error::Connection(Cause::with_source(format!("{self}"), error))
    }

    /// What a failure means once an earlier try of the same write, whose answer was lost as `doubt` says, may have been
    /// done: it is unknown, unless the caller has cancelled the call.
    pub(crate) fn doubtful(&self, doubt: Option<String>, then: Option<Error>) -> Error {
        match (doubt, then) {
            (None, Some(error)) | (_, Some(error @ Error::Cancelled(_))) => error,
            (doubt, then) => {
                let then = then.map(|error| format!("; then: {error}: {}", error.cause())).unwrap_or_default();
                Error::UnknownOutcome(self.cause(format_args!("{}{then}", doubt.unwrap_or_default())))
            }
        }
    }

    /// The words of a cause: what was tried, for how long, and `what` came of it.
    pub(crate) fn cause(&self, what: impl fmt::Display) -> Cause {
        Cause::new(format!("{self} failed after {} ms: {what}", self.elapsed().as_millis()))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        logging::debug(format_args!("{self} took {} us", self.elapsed().as_micros()));
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation)?;
        match self.subject {
            Subject::Key(key) => write!(f, " of key {}", printable(key)),
            Subject::Keys(count) => write!(f, " of {count} keys"),
            Subject::Run(run_id) => write!(f, " of run {}", printable(run_id.as_bytes())),
            Subject::Nothing => Ok(()),
        }
    }
}

/// A key as it may stand in a message: quoted, escaped, and cut where it is long.
pub(crate) fn printable(key: &[u8]) -> String {
    const LONGEST: usize = 120;
    let (shown, rest) = match key.get(..LONGEST) {
        Some(start) if key.len() > LONGEST => (start, Cow::from(format!("… ({} bytes)", key.len()))),
        _ => (key, Cow::from("")),
    };
    format!("'{}{rest}'", shown.escape_ascii())
}

/// A duration as poll wants it, rounded up so that poll never returns just short of the time.
pub(crate) fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(time.subsec_nanos()) }
}
