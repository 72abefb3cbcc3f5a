//! What etcd's v2 API answers, read strictly where it matters and with patience for what is new.

use std::borrow::Cow;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::etcd::call::Call;
use crate::etcd::client::{Client, Refusal, Verdict};
use crate::etcd::transport::Reply;

pub(super) const KEY_NOT_FOUND: u32 = 100;
pub(super) const COMPARE_FAILED: u32 = 101;
pub(super) const NOT_A_FILE: u32 = 102;
pub(super) const NOT_A_DIRECTORY: u32 = 104;
pub(super) const KEY_EXISTS: u32 = 105;
const UNAUTHORIZED: u32 = 110;
const BAD_REQUESTS: std::ops::Range<u32> = 200..300;
/// Raft could not take it, or not in time.
const RAFT_ERRORS: std::ops::Range<u32> = 300..302;

/// An answer, or the error in it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The index of the store, which after a write is that of the write; 0 where it was not told.
    pub(super) index: u64,
    pub(super) code: Option<u32>,
    pub(super) action: Action,
    text: String,
    node: Option<Node>,
}

/// What was done to the node of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    CompareAndSwap,
    Other,
}

/// A key or a directory.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) dir: bool,
    pub(super) nodes: Vec<Node>,
    pub(super) modified_index: u64,
    pub(super) created_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    error_code: Option<u32>,
    #[serde(default, borrow)]
    message: Cow<'a, str>,
    #[serde(default, borrow)]
    cause: Cow<'a, str>,
    #[serde(default, borrow)]
    action: Cow<'a, str>,
    node: Option<Node>,
}

impl Node {
    /// Calls `visit` with every key in this directory and those below it.
    pub(super) fn walk(&self, visit: &mut impl FnMut(&Self)) {
        if self.dir {
            self.nodes.iter().for_each(|node| node.walk(visit));
        } else {
            visit(self);
        }
    }
}

impl Answer {
    /// The node of a read: none where the key is not there.
    pub(super) fn into_node(self, call: &Call) -> Result<Option<Node>> {
        match (self.status, self.code) {
            (200 | 201, None) => Ok(self.node),
            // Below a file there is nothing.
            (_, Some(KEY_NOT_FOUND | NOT_A_DIRECTORY)) => Ok(None),
            _ => Err(self.refused(call)),
        }
    }

    /// A write that has no conditions.
    pub(super) fn done(&self, call: &Call) -> Result<()> {
        if matches!(self.status, 200 | 201) && self.code.is_none() { Ok(()) } else { Err(self.refused(call)) }
    }

    /// Whether there was something to delete.
    pub(super) fn deleted(&self, call: &Call) -> Result<bool> {
        match self.code {
            Some(KEY_NOT_FOUND | NOT_A_DIRECTORY) => Ok(false),
            _ => self.done(call).map(|()| true),
        }
    }

    /// Whether this is what a long-poll waits for.
    pub(super) fn is_event(&self) -> bool {
        self.code.is_none() && self.node.is_some()
    }

    /// The node of an event; none where etcd no longer remembers that far back.
    pub(super) fn into_event(self) -> Option<Node> {
        if self.code.is_some() { None } else { self.node }
    }

    /// The error of an answer that says no.
    pub(super) fn refused(&self, call: &Call) -> Error {
        let text = match self.code {
            Some(NOT_A_FILE | NOT_A_DIRECTORY) => {
                format!("another program's keys are in the way of this one: {}", self.text)
            }
            Some(_) => self.text.clone(),
            None => format!("unexpected HTTP status {}", self.status),
        };
        match self.code {
            Some(code) if BAD_REQUESTS.contains(&code) => Error::InvalidArgument(call.cause(text).to_string()),
            _ => Error::Server(call.cause(text)),
        }
    }
}

/// Whether `reply` comes from an etcd whose v2 API is not there.
pub(in crate::etcd) fn is_switched_off(reply: &Reply) -> bool {
    reply.status == 404 && reply.body.starts_with(b"404 page not found")
}

/// Sorts out what `reply` means.
pub(super) fn read(client: &Client, reply: &Reply) -> Verdict<Answer> {
    if let Some(id) = reply.header("x-etcd-cluster-id")
        && let Err(text) = client.check_cluster(id)
    {
        return Verdict::Fail(Refusal::Connection, text);
    }
    let body: Body = match serde_json::from_slice(&reply.body) {
        Ok(body) => body,
        Err(_) => return foreign(reply),
    };
    let text = if body.error_code.is_some() { format!("{} ({})", body.message, body.cause) } else { String::new() };
    match body.error_code {
        Some(code) if RAFT_ERRORS.contains(&code) => Verdict::Retry(text),
        Some(UNAUTHORIZED) => Verdict::Fail(Refusal::Auth, text),
        None if !matches!(reply.status, 200 | 201) || body.action.is_empty() => foreign(reply),
        code => {
            let index = reply.header("x-etcd-index").and_then(|index| index.parse().ok()).unwrap_or(0);
            let action = match &*body.action {
                "create" => Action::Create,
                "compareAndSwap" => Action::CompareAndSwap,
                _ => Action::Other,
            };
            let node = body.node;
            Verdict::Answer(Answer { status: reply.status, index, code, action, text, node })
        }
    }
}

/// An answer that etcd's v2 API does not give.
fn foreign(reply: &Reply) -> Verdict<Answer> {
    let text = reply.excerpt();
    match reply.status {
        401 | 403 => Verdict::Fail(Refusal::Auth, text),
        404 if is_switched_off(reply) => {
            let text = "etcd does not offer its v2 API (start it with --enable-v2, or use api=auto)";
            Verdict::Fail(Refusal::Unsupported, text.to_owned())
        }
        413 => Verdict::Fail(Refusal::InvalidArgument, format!("the value is too large: {text}")),
        300..=399 => Verdict::Fail(Refusal::Server, format!("a redirect, which is never followed: {text}")),
        // A garbled answer, or one by something in between: the request may have been done.
        200..=299 | 429 | 500..=599 => Verdict::Retry(text),
        _ => Verdict::Fail(Refusal::Server, text),
    }
}
