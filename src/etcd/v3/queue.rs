//! Queues: a key for each element, in the order in which etcd created them.

use std::time::Instant;

use super::once::Outcome;
use super::watch::{BRIEF, Kinds};
use super::wire::{Compare, Delete, KeyValue, Op, Range, RangeReply, Raw, Txn};
use super::{V3, end_of, put_of};
use crate::error::Result;
use crate::etcd::Key;
use crate::etcd::backoff::Backoff;
use crate::etcd::call::Call;
use crate::random::unique_name;

impl V3 {
    pub(super) fn push(&self, call: &Call, queue: &[u8], value: &[u8]) -> Result<()> {
        let path = [&self.layout.queue(queue), unique_name().as_bytes()].concat();
        let lease = self.lease_for(call, Key::Store(queue))?;
        let put = put_of(call, &path, value, lease)?;
        let txn = Txn { success: vec![Op::Put(put)], ..Txn::default() };
        // It has no conditions, so it is done.
        self.once(call, lease, &txn).map(drop)
    }

    pub(super) fn pop(&self, call: &Call, queue: &[u8], block: bool) -> Result<Option<Vec<u8>>> {
        let directory = self.layout.queue(queue);
        let end = end_of(&directory);
        let oldest = Range {
            range_end: Some(Raw(&end)),
            limit: 1,
            sort_order: Some("ASCEND"),
            sort_target: Some("CREATE"),
            ..Range::of(&directory)
        };
        let look = || self.session.get(call, "/v3/kv/range", &oldest);
        let mut backoff = Backoff::new();
        let mut found = front(look()?);
        loop {
            while let Some(element) = found {
                match self.take(call, &element, &oldest)? {
                    Outcome::Done(_) => return Ok(Some(element.value.0)),
                    Outcome::Lost(replies) => found = replies.into_iter().next().and_then(front),
                }
            }
            if !block {
                return Ok(None);
            }
            call.may_wait("an element")?;
            let watch = self.watch(call, &[(&directory, Some(&end))], Kinds::Puts)?;
            let opened = Instant::now();
            found = front(look()?);
            if found.is_none()
                && let Some(mut watch) = watch
            {
                found = watch.next(call)?;
            }
            if found.is_none() && opened.elapsed() < BRIEF {
                call.sleep(backoff.next())?;
            }
        }
    }

    /// Deletes an element if it is still there; where it is not, the oldest one comes back instead.
    fn take(&self, call: &Call, element: &KeyValue, oldest: &Range) -> Result<Outcome> {
        let path = &element.key.0;
        let txn = Txn {
            compare: vec![Compare::revision(path, element.mod_revision)],
            success: vec![Op::Delete(Delete { key: Raw(path) })],
            failure: vec![Op::Range(oldest.clone())],
        };
        self.once(call, None, &txn)
    }
}

fn front(reply: RangeReply) -> Option<KeyValue> {
    reply.kvs.into_iter().next()
}
