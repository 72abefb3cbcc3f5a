//! Queues: a directory each, whose elements are in the order in which etcd created them.

use std::time::Instant;

use super::answer::{self, Node};
use super::wait::BRIEF;
use super::{V2, form};
use crate::base64::decode_lenient;
use crate::error::{Error, Result};
use crate::etcd::backoff::Backoff;
use crate::etcd::call::Call;
use crate::etcd::client::Failure;
use crate::etcd::transport::Request;
use crate::random::unique_name;

impl V2 {
    pub(super) fn push(&self, call: &Call, queue: &[u8], value: &[u8]) -> Result<()> {
        let path = format!("{}/{}", self.layout.queue(queue)?, unique_name());
        let form = form(value, self.store_ttl, "&prevExist=false")?;
        match self.send_once(call, &Request::put_form(&path, &form)) {
            Ok(answer) => answer.done(call),
            // Nobody else makes an element of this name: there it is, or it is unknown whether it was and was popped.
            Err(Failure::Doubt(text)) => match self.look(call, &path) {
                Ok((Some(_), _)) => Ok(()),
                _ => Err(Error::UnknownOutcome(call.cause(text))),
            },
            Err(Failure::Final(error)) => Err(error),
        }
    }

    pub(super) fn pop(&self, call: &Call, queue: &[u8], block: bool) -> Result<Option<Vec<u8>>> {
        let directory = self.layout.queue(queue)?;
        let mut backoff = Backoff::new();
        loop {
            let (node, index) = self.look(call, &directory)?;
            let first = node.and_then(|node| node.nodes.into_iter().min_by_key(|node| node.created_index));
            match first {
                Some(first) if self.take(call, &directory, &first)? => return element(call, &first).map(Some),
                // Another was faster.
                Some(_) => {}
                None if !block => return Ok(None),
                None => {
                    call.may_wait("an element")?;
                    let asked = Instant::now();
                    if self.await_event(call, &directory, index, true)?.is_none() && asked.elapsed() < BRIEF {
                        call.sleep(backoff.next())?;
                    }
                }
            }
        }
    }

    pub(super) fn len(&self, call: &Call, queue: &[u8]) -> Result<u64> {
        let (node, _) = self.look(call, &self.layout.queue(queue)?)?;
        Ok(u64::try_from(node.map_or(0, |node| node.nodes.len())).unwrap_or(u64::MAX))
    }

    /// Deletes an element, if it is still there. Exactly one of those who try succeeds.
    fn take(&self, call: &Call, directory: &str, first: &Node) -> Result<bool> {
        let name = first.key.rsplit('/').next().unwrap_or_default();
        let target = format!("{directory}/{name}?prevIndex={}", first.modified_index);
        let answer = match self.send_once(call, &Request::delete(&target)) {
            Ok(answer) => answer,
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Doubt(text)) => match self.look(call, &format!("{directory}/{name}")) {
                Err(error) => return Err(call.doubtful(Some(text), Some(error))),
                // It may yet go by the request that was lost: only a delete that is answered will do.
                Ok((Some(_), _)) => match self.send_once(call, &Request::delete(&target)) {
                    Ok(answer) if answer.code.is_none() => answer,
                    _ => return Err(Error::UnknownOutcome(call.cause(text))),
                },
                Ok((None, _)) => return Err(Error::UnknownOutcome(call.cause(text))),
            },
        };
        match answer.code {
            Some(answer::KEY_NOT_FOUND | answer::COMPARE_FAILED) => Ok(false),
            _ => answer.done(call).map(|()| true),
        }
    }
}

fn element(call: &Call, node: &Node) -> Result<Vec<u8>> {
    let value = node.value.as_deref().and_then(|text| decode_lenient(text.as_bytes()));
    value.ok_or_else(|| Error::Server(call.cause(format_args!("the element at {} is not base64", node.key))))
}
