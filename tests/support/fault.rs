//! What can go wrong between a client and etcd, and to which request it happens.

use std::fmt;
use std::time::Duration;

use super::http::Request;

/// One way for a request to go wrong. Where etcd has seen the request, the fault is in its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody listens any more, and what was connected is reset.
    Refuse,
    /// The request is read and nothing ever comes back.
    Silent,
    /// The connection is reset before etcd sees the request.
    ResetBefore,
    /// The connection is closed before etcd sees the request.
    CloseBefore,
    /// etcd answers, and the connection is closed instead.
    DropReply,
    /// etcd answers, and the connection is reset instead.
    ResetAfter,
    /// Half of the answer's body, then a reset.
    ResetMidBody,
    /// The answer at one byte per second.
    Trickle,
    /// A chunk that is shorter than it says, and the end.
    TruncatedChunk,
    /// A body that is shorter than its Content-Length, and the end.
    TruncatedBody,
    /// Bytes that are not HTTP.
    Garbage,
    /// 200 and broken JSON.
    GarbageBody,
    /// 200 and a page in HTML.
    WrongType,
    /// 200 and nothing.
    EmptyBody,
    /// 301 to another place, and etcd has seen nothing.
    Redirect,
    /// An HTTP status in somebody's dialect; etcd has seen nothing.
    Status(u16, Dialect),
    /// The same, but etcd has done what was asked.
    StatusAfter(u16, Dialect),
    /// An answer that says it is 1 GB long, and is.
    Huge,
    /// An answer of 1 GB in chunks.
    HugeChunked,
    /// The connection is reset, and what was asked reaches etcd only after that time.
    Late(Duration),
    /// The answer comes late.
    Delay(Duration),
    /// The answer promises to keep the connection, which is then half-closed.
    HalfClose,
    /// The answer comes twice.
    Duplicate,
}

/// Who words an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Something on the way.
    Plain,
    V2,
    /// The gateway of 3.4 and 3.5.
    V3Old,
    /// The gateway of 3.6.
    V3New,
}

impl Fault {
    /// Whether etcd has done what was asked.
    pub(crate) fn is_after(self) -> bool {
        !matches!(
            self,
            Self::Refuse
                | Self::Silent
                | Self::ResetBefore
                | Self::CloseBefore
                | Self::Late(_)
                | Self::Redirect
                | Self::Status(..)
        )
    }

    /// The body of an answer with this status in this dialect.
    pub(crate) fn body(status: u16, dialect: Dialect) -> (&'static str, String) {
        let (code, message) = match status {
            400 => (3, "etcdserver: user name is empty"),
            401 => (16, "etcdserver: invalid auth token"),
            403 => (7, "etcdserver: permission denied"),
            429 => (8, "etcdserver: too many requests"),
            500 => (2, "context deadline exceeded"),
            _ => (14, "etcdserver: request timed out"),
        };
        let v2 = if status == 401 {
            r#"{"errorCode":110,"message":"The request requires user authentication","cause":"Insufficient credentials","index":0}"#
        } else {
            r#"{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: request timed out","index":0}"#
        };
        let json = "application/json";
        match dialect {
            Dialect::Plain => ("text/html", format!("<html><body><h1>{status} by a proxy</h1></body></html>\n")),
            Dialect::V2 => (json, format!("{v2}\n")),
            Dialect::V3Old => (json, format!(r#"{{"error":"{message}","message":"{message}","code":{code}}}"#)),
            Dialect::V3New => (json, format!(r#"{{"code":{code}, "message":"{message}"}}"#)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "refused",
            Self::Silent => "no answer",
            Self::ResetBefore => "reset before the request",
            Self::CloseBefore => "closed before the request",
            Self::DropReply => "answer dropped",
            Self::ResetAfter => "reset after the request",
            Self::ResetMidBody => "reset in the answer",
            Self::Trickle => "1 byte per second",
            Self::TruncatedChunk => "truncated chunk",
            Self::TruncatedBody => "truncated body",
            Self::Garbage => "not HTTP",
            Self::GarbageBody => "broken JSON",
            Self::WrongType => "200 with HTML",
            Self::EmptyBody => "200 without body",
            Self::Redirect => "301",
            Self::Huge => "1 GB body",
            Self::HugeChunked => "1 GB in chunks",
            Self::HalfClose => "half-close after the answer",
            Self::Duplicate => "answer twice",
            Self::Late(time) => return write!(f, "done {} ms late", time.as_millis()),
            Self::Delay(time) => return write!(f, "{} ms late", time.as_millis()),
            Self::Status(status, dialect) => return write!(f, "{status} ({dialect})"),
            Self::StatusAfter(status, dialect) => return write!(f, "{status} ({dialect}), done"),
        })
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "HTML",
            Self::V2 => "v2",
            Self::V3Old => "v3, 3.4",
            Self::V3New => "v3, 3.6",
        })
    }
}

/// Which requests a fault is for.
pub(crate) type When = fn(&Request) -> bool;

pub(crate) fn any(_: &Request) -> bool {
    true
}

pub(crate) fn write(request: &Request) -> bool {
    request.is_write()
}

pub(crate) fn look(request: &Request) -> bool {
    !request.is_write() && !request.is_poll()
}

pub(crate) fn poll(request: &Request) -> bool {
    request.is_poll()
}

/// A fault, the requests that it is for, how many of them it lets pass first and how many it hits.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) when: When,
    pub(crate) skip: usize,
    pub(crate) times: usize,
    pub(crate) fault: Fault,
    /// Whether the endpoint dies with the last hit.
    pub(crate) then_dead: bool,
}

impl Rule {
    pub(crate) fn once(when: When, fault: Fault) -> Self {
        Self { when, skip: 0, times: 1, fault, then_dead: false }
    }

    pub(crate) fn always(when: When, fault: Fault) -> Self {
        Self { times: usize::MAX, ..Self::once(when, fault) }
    }

    pub(crate) fn then_dead(when: When, fault: Fault) -> Self {
        Self { then_dead: true, ..Self::once(when, fault) }
    }
}
