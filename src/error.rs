//! The one error type, and the words it is told in.

use std::error::Error as StdError;

/// What every fallible function of the core returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, one variant for each thing a caller does next.
///
/// `Display` is the sentence that a user reads first: the reference implementation's own sentence where it has
/// one. [`Error::cause`] is what lies behind it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument or an option is outside what is allowed (`ValueError` in PyTorch). Nothing was sent.
    #[error("{0}")]
    InvalidArgument(String),
    /// The state, key or element asked for does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The deadline passed first. Nothing was changed by this call.
    #[error("{message}")]
    Timeout {
        /// What was waited for, where, and for how long.
        message: String,
        /// What last went wrong on the way, where something did.
        source: Option<Cause>,
    },
    /// No endpoint of etcd could be reached, or none gave an answer (`RendezvousConnectionError` in PyTorch).
    #[error("The connection to etcd has failed. See inner exception for details.")]
    Connection(#[source] Cause),
    /// The stored rendezvous state cannot be decoded (`RendezvousStateError` in PyTorch).
    #[error("The state object is corrupt. See inner exception for details.")]
    State(#[source] Cause),
    /// etcd rejected the credentials or the permission.
    #[error("etcd rejected the credentials or denied the permission")]
    Auth(#[source] Cause),
    /// A write was sent and it cannot be known whether etcd applied it.
    #[error("the write was sent, and whether etcd applied it cannot be known")]
    UnknownOutcome(#[source] Cause),
    /// The handle was cancelled.
    #[error("{0}")]
    Cancelled(String),
    /// etcd answered with an error that fits none of the others, or with something that is not etcd's.
    #[error("etcd answered with an error")]
    Server(#[source] Cause),
    /// A local etcd could not be started; the cause holds its last words.
    #[error("the local etcd could not be started")]
    Start(#[source] Cause),
    /// The rendezvous is closed: there will be no further round (`RendezvousClosedError` in PyTorch).
    #[error("The rendezvous is closed.")]
    Closed(#[source] Cause),
    /// The server, or this build, cannot do what was asked.
    #[error("{0}")]
    Unsupported(String),
}

/// What lies behind an error: operation, key, endpoint and time in words, then what the socket or etcd said.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Cause {
    text: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Cause {
    /// A cause that is told in words alone.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), source: None }
    }

    /// A cause with a deeper one behind it.
    pub fn with_source(text: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { text: text.into(), source: Some(Box::new(source)) }
    }
}

impl Error {
    /// The chain of causes behind this error, joined by ": "; empty where the message stands alone.
    #[must_use]
    pub fn cause(&self) -> String {
        let mut text = String::new();
        let mut next = self.source();
        while let Some(cause) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}
