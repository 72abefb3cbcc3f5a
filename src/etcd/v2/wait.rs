//! Waiting for a key: one look, then a long-poll from the index of that look, so that nothing is missed between them.

use std::time::{Duration, Instant};

use super::answer::{Answer, read};
use super::{Node, V2, entry};
use crate::error::Result;
use crate::etcd::backoff::Backoff;
use crate::etcd::call::Call;
use crate::etcd::client::Verdict;
use crate::etcd::transport::Request;
use crate::etcd::{Entry, Key};

/// How long a long-poll is trusted. A follower that catches up by a snapshot forgets to tell of what it skipped.
const LONGEST_POLL: Duration = Duration::from_secs(20);

/// A long-poll that ends without an event sooner than this was of no use: the next look waits a little.
pub(super) const BRIEF: Duration = Duration::from_millis(100);

impl V2 {
    /// Waits until `key` is there, which it was not at `index`.
    pub(super) fn await_key(&self, call: &Call, key: Key, mut index: u64) -> Result<Entry> {
        let path = self.path(key)?;
        let mut backoff = Backoff::new();
        loop {
            call.may_wait("a change in etcd")?;
            let asked = Instant::now();
            if let Some(node) = self.await_event(call, &path, index, false)?.filter(|node| node.value.is_some()) {
                return entry(call, key, &node);
            }
            if asked.elapsed() < BRIEF {
                call.sleep(backoff.next())?;
            }
            let (node, now) = self.look(call, &path)?;
            if let Some(node) = node {
                return entry(call, key, &node);
            }
            index = now;
        }
    }

    /// Waits until `key` is other than it was at the index `since`, or than not there where that is 0.
    pub(super) fn await_other(&self, call: &Call, key: Key, since: u64) -> Result<Option<Entry>> {
        let path = self.path(key)?;
        let mut backoff = Backoff::new();
        // A key that is there is polled for what comes after it, without a look first.
        let mut index = since;
        loop {
            if index != 0 {
                call.may_wait("a change in etcd")?;
                let asked = Instant::now();
                let answer = self.await_answer(call, &path, index, false)?;
                match answer.filter(Answer::is_event) {
                    Some(answer) => {
                        if let Some(node) = self.newest(answer) {
                            return entry(call, key, &node).map(Some);
                        }
                    }
                    None if asked.elapsed() < BRIEF => call.sleep(backoff.next())?,
                    None => {}
                }
            }
            let (node, now) = self.look(call, &path)?;
            let found = node.map(|node| entry(call, key, &node)).transpose()?;
            if found.as_ref().map_or(0, |entry| entry.revision) != since {
                return Ok(found);
            }
            index = now;
        }
    }

    /// The first event at `path` after `index`: the node as it is then. None where none came in time, or where only
    /// another look can tell.
    pub(super) fn await_event(&self, call: &Call, path: &str, index: u64, below: bool) -> Result<Option<Node>> {
        Ok(self.await_answer(call, path, index, below)?.and_then(Answer::into_event))
    }

    fn await_answer(&self, call: &Call, path: &str, index: u64, below: bool) -> Result<Option<Answer>> {
        let recursive = if below { "&recursive=true" } else { "" };
        let target = format!("{path}?wait=true&waitIndex={}{recursive}", index + 1);
        self.poll(call, &target, self.client.longest_silence(call, LONGEST_POLL))
    }

    /// The value that an event has left, where the event came after the poll for it had begun, of which etcd tells the
    /// index: then there was nothing newer. An older event may be one of many, and needs another look.
    fn newest(&self, answer: Answer) -> Option<Node> {
        let began = answer.index;
        let node =
            answer.into_event().filter(|node| node.value.is_some() && began != 0 && node.modified_index > began)?;
        self.saw(node.modified_index);
        Some(node)
    }

    /// One long-poll: none where it ended without an answer that etcd gives.
    pub(super) fn poll(&self, call: &Call, target: &str, bound: Duration) -> Result<Option<Answer>> {
        let reply = self.client.poll(call, &Request::get(target), &self.headers, bound)?;
        let Some(reply) = reply else { return Ok(None) };
        match read(&self.client, &reply) {
            Verdict::Answer(answer) => Ok(Some(answer)),
            Verdict::Retry(_) => Ok(None),
            // Another look meets the same refusal, and tells of it.
            Verdict::Fail(..) => Ok(None),
        }
    }
}
