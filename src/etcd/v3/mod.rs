//! etcd's v3 API through its JSON gateway: the same key paths as under v2, with raw bytes.

mod lease;
mod once;
mod queue;
mod session;
mod watch;
mod wire;

use std::collections::HashMap;
use std::time::Instant;

use ureq::http::uri::Authority;

use self::lease::Lease;
use self::once::{Leases, Outcome, Slots};
pub(super) use self::session::PROBE;
use self::session::{Said, Session};
use self::watch::{BRIEF, Kinds};
use self::wire::{Compare, Delete, KeyValue, MembersReply, Op, Put, PutReply, Range, RangeReply, Raw, Txn, TxnReply};
use super::backoff::Backoff;
use super::call::Call;
use super::client::{Client, Repeat, Verdict};
use super::connect::authority_of;
use super::layout::RawLayout;
use super::transport::Reply;
use super::{Entry, Expect, Identity, Key, Kv, Swap, Want};
use crate::error::{Error, Result};
use crate::params::Settings;

/// The most operations that etcd takes in one transaction, unless it was told otherwise.
const MOST_OPS: usize = 128;

/// The most bytes of values that are put in one transaction; etcd takes 1.5 MiB in all.
const MOST_BYTES: usize = 1 << 20;

/// The largest value that is sent. etcd's own limit is less, unless it was told otherwise.
const LARGEST_VALUE: usize = 16 << 20;

/// Revisions are signed in etcd.
const LARGEST_REVISION: u64 = i64::MAX.unsigned_abs();

/// How many keys are listed in one request.
const PAGE: u64 = 10_000;

/// Reads an answer as each of those that etcd gives.
#[cfg(fuzzing)]
pub(super) fn fuzz(client: &Client, reply: &Reply) {
    _ = session::read::<RangeReply>(client, reply);
    _ = session::read::<PutReply>(client, reply);
    _ = session::read::<TxnReply>(client, reply);
    _ = session::read::<wire::GrantReply>(client, reply);
    _ = session::read::<wire::KeepAliveLine>(client, reply);
    _ = session::read::<wire::TokenReply>(client, reply);
    _ = read_members(client, reply);
    _ = wire::grpc_error(&reply.body);
    _ = serde_json::from_slice::<wire::Line<wire::WatchReply>>(&reply.body);
}

/// The v3 API of one cluster, for one run.
pub(super) struct V3 {
    session: Session,
    layout: RawLayout,
    serializable: bool,
    state_lease: Lease,
    store_lease: Option<Lease>,
    slots: Slots,
}

/// What the members of a v3 cluster say of themselves; `Ok(None)` where they want credentials first.
pub(super) fn read_members(client: &Client, reply: &Reply) -> Verdict<Vec<Authority>> {
    match session::read::<MembersReply>(client, reply) {
        Verdict::Answer(Said::Ok(reply)) => {
            let urls = reply.members.iter().flat_map(|member| &member.client_urls);
            Verdict::Answer(urls.filter_map(|url| authority_of(url)).collect())
        }
        Verdict::Answer(_) => Verdict::Answer(Vec::new()),
        Verdict::Retry(text) => Verdict::Retry(text),
        Verdict::Fail(refusal, text) => Verdict::Fail(refusal, text),
    }
}

impl V3 {
    pub(super) fn new(client: Client, settings: &Settings) -> Result<Self> {
        let layout = RawLayout::new(&settings.key_prefix, &settings.run_id, &settings.store_prefix)?;
        let user = settings.username.clone().zip(settings.password.clone());
        let store_key = [layout.store.as_slice(), settings.run_id.as_bytes()].concat();
        Ok(Self {
            session: Session::new(client, user),
            serializable: !settings.linearizable,
            state_lease: Lease::of(&layout.state, settings.ttl),
            store_lease: settings.store_ttl.map(|ttl| Lease::of(&store_key, ttl)),
            slots: Slots::new(layout.slots.clone()),
            layout,
        })
    }

    fn path(&self, key: Key) -> Vec<u8> {
        match key {
            Key::State => self.layout.state.clone(),
            Key::Store(key) => self.layout.store_key(key),
        }
    }

    /// The lease that `key` is written under, renewed where that is due.
    fn lease_for(&self, call: &Call, key: Key) -> Result<Option<&Lease>> {
        let lease = match key {
            Key::State => Some(&self.state_lease),
            Key::Store(_) => self.store_lease.as_ref(),
        };
        if let Some(lease) = lease {
            lease.renew(&self.session, call)?;
        }
        Ok(lease)
    }

    fn once(&self, call: &Call, puts: Option<&Lease>, txn: &Txn) -> Result<Outcome> {
        self.slots.run(&self.session, call, &Leases { slots: &self.state_lease, puts }, txn)
    }

    fn range<'a>(&self, path: &'a [u8], want: Want) -> Range<'a> {
        Range { keys_only: want == Want::Presence, serializable: self.serializable, ..Range::of(path) }
    }

    /// Looks at up to [`MOST_OPS`] keys in one request.
    fn look(&self, call: &Call, paths: &[Vec<u8>], want: Want) -> Result<Vec<Option<Entry>>> {
        if let [path] = paths {
            let reply: RangeReply = self.session.get(call, "/v3/kv/range", &self.range(path, want))?;
            return Ok(vec![first(reply)]);
        }
        let success = paths.iter().map(|path| Op::Range(self.range(path, want))).collect();
        let reply: TxnReply = self.session.get(call, "/v3/kv/txn", &Txn { success, ..Txn::default() })?;
        if reply.responses.len() != paths.len() {
            return Err(Error::Server(call.cause("etcd did not answer for every key")));
        }
        Ok(reply.responses.into_iter().map(|op| op.response_range.and_then(first)).collect())
    }

    fn look_at_all(&self, call: &Call, paths: &[Vec<u8>], want: Want) -> Result<Vec<Option<Entry>>> {
        let mut found = Vec::with_capacity(paths.len());
        for paths in paths.chunks(MOST_OPS) {
            found.append(&mut self.look(call, paths, want)?);
        }
        Ok(found)
    }

    /// Waits until all that is missing in `found` was seen, by one watch.
    fn await_missing(&self, call: &Call, paths: &[Vec<u8>], want: Want, found: &mut [Option<Entry>]) -> Result<()> {
        let mut backoff = Backoff::new();
        loop {
            let mut missing: HashMap<&[u8], usize> = HashMap::new();
            for (at, (path, entry)) in paths.iter().zip(&*found).enumerate() {
                if entry.is_none() {
                    missing.insert(path, at);
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            call.may_wait("a change in etcd")?;
            let opened = Instant::now();
            let spans: Vec<_> = missing.keys().map(|path| (*path, None)).collect();
            let watch = self.watch(call, &spans, Kinds::Puts)?;
            let paths: Vec<_> = missing.keys().map(|path| path.to_vec()).collect();
            for (path, entry) in paths.iter().zip(self.look_at_all(call, &paths, want)?) {
                if let Some(place) = missing.get(path.as_slice()).and_then(|at| found.get_mut(*at)) {
                    *place = entry;
                }
            }
            let mut left = found.iter().filter(|entry| entry.is_none()).count();
            if let Some(mut watch) = watch {
                while left > 0
                    && let Some(kv) = watch.next(call)?
                {
                    let place = missing.get(kv.key.0.as_slice()).and_then(|at| found.get_mut(*at));
                    if let Some(place) = place {
                        left -= usize::from(place.is_none());
                        *place = Some(entry(kv));
                    }
                }
            }
            if left == 0 {
                return Ok(());
            }
            if opened.elapsed() < BRIEF {
                call.sleep(backoff.next())?;
            }
        }
    }
}

impl Kv for V3 {
    fn name(&self) -> &'static str {
        "etcd-v3"
    }

    fn endpoint(&self) -> String {
        self.session.client().endpoint()
    }

    fn requests(&self) -> u64 {
        self.session.client().requests()
    }

    fn get(&self, call: &Call, key: Key) -> Result<Option<Entry>> {
        Ok(self.look(call, &[self.path(key)], Want::Values)?.pop().flatten())
    }

    fn get_many(&self, call: &Call, keys: &[Key], want: Want) -> Result<Vec<Option<Entry>>> {
        let paths: Vec<_> = keys.iter().map(|key| self.path(*key)).collect();
        self.look_at_all(call, &paths, want)
    }

    fn await_all(&self, call: &Call, keys: &[Key], want: Want, found: &mut Vec<Option<Entry>>) -> Result<()> {
        let paths: Vec<_> = keys.iter().map(|key| self.path(*key)).collect();
        *found = self.look_at_all(call, &paths, want)?;
        self.await_missing(call, &paths, want, found)
    }

    fn await_change(&self, call: &Call, key: Key, since: u64) -> Result<Option<Entry>> {
        let path = self.path(key);
        let mut backoff = Backoff::new();
        let revision = |found: &Option<Entry>| found.as_ref().map_or(0, |entry| entry.revision);
        loop {
            call.may_wait("a change in etcd")?;
            let opened = Instant::now();
            let watch = self.watch(call, &[(&path, None)], Kinds::All)?;
            let found = self.get(call, key)?;
            if revision(&found) != since {
                return Ok(found);
            }
            if let Some(mut watch) = watch
                && let Some(event) = watch.latest(call)?
            {
                // A deletion may be an expiry that is being made good already.
                let found = if event.is_put_after(since) { Some(entry(event.kv)) } else { self.get(call, key)? };
                if revision(&found) != since {
                    return Ok(found);
                }
            }
            if opened.elapsed() < BRIEF {
                call.sleep(backoff.next())?;
            }
        }
    }

    fn put(&self, call: &Call, key: Key, value: &[u8]) -> Result<()> {
        let path = self.path(key);
        let lease = self.lease_for(call, key)?;
        let body = put_of(call, &path, value, lease)?;
        loop {
            match (self.session.ask::<PutReply>(call, "/v3/kv/put", &body, Repeat::Write)?, lease) {
                (Said::Ok(_), _) => return Ok(()),
                (Said::LeaseGone, Some(lease)) => lease.grant(&self.session, call)?,
                (other, _) => return Err(Error::Server(call.cause(other.name()))),
            }
        }
    }

    fn put_many(&self, call: &Call, items: &[(Key, &[u8])]) -> Result<()> {
        if let [(key, value)] = items {
            return self.put(call, *key, value);
        }
        // Within one transaction a key may be put once: the last value counts.
        let mut last: HashMap<Vec<u8>, usize> = HashMap::new();
        for (at, (key, _)) in items.iter().enumerate() {
            last.insert(self.path(*key), at);
        }
        let mut puts: Vec<_> = last.iter().map(|(path, at)| (*at, path.as_slice())).collect();
        puts.sort_unstable();
        let lease = self.lease_for(call, Key::Store(b""))?;
        let mut success = Vec::new();
        let mut bytes = 0;
        for (at, path) in puts {
            let value = items.get(at).map_or(&b""[..], |(_, value)| value);
            let size = path.len() + value.len();
            if success.len() == MOST_OPS || (bytes + size > MOST_BYTES && bytes > 0) {
                self.put_all(call, lease, std::mem::take(&mut success))?;
                bytes = 0;
            }
            bytes += size;
            success.push(Op::Put(put_of(call, path, value, lease)?));
        }
        self.put_all(call, lease, success)
    }

    fn swap(&self, call: &Call, key: Key, expect: Expect, value: &[u8], _: Identity) -> Result<Swap> {
        let path = self.path(key);
        let lease = self.lease_for(call, key)?;
        let compare = match expect {
            Expect::Absent => Compare::absent(&path),
            // A token that no revision can be is as good as an outdated one.
            Expect::Revision(revision) => Compare::revision(&path, revision.min(LARGEST_REVISION)),
            Expect::Value(value) => Compare::value(&path, value),
        };
        let txn = Txn {
            compare: vec![compare],
            success: vec![Op::Put(put_of(call, &path, value, lease)?)],
            failure: vec![Op::Range(Range::of(&path))],
        };
        match self.once(call, lease, &txn)? {
            Outcome::Done(revision) => Ok(Swap::Done(revision)),
            Outcome::Lost(mut found) => Ok(Swap::Lost(found.pop().and_then(first))),
        }
    }

    fn delete(&self, call: &Call, key: Key) -> Result<bool> {
        let path = self.path(key);
        let txn = Txn {
            compare: vec![Compare::present(&path)],
            success: vec![Op::Delete(Delete { key: Raw(&path) })],
            failure: Vec::new(),
        };
        Ok(matches!(self.once(call, None, &txn)?, Outcome::Done(_)))
    }

    fn list(&self, call: &Call, prefix: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut from = self.layout.store_key(prefix);
        let end = end_of(&from);
        let mut keys = Vec::new();
        let mut revision = 0;
        loop {
            let body = Range { range_end: Some(Raw(&end)), limit: PAGE, revision, ..self.range(&from, Want::Presence) };
            let reply = match self.session.ask::<RangeReply>(call, "/v3/kv/range", &body, Repeat::Read)? {
                Said::Ok(reply) => reply,
                // Others have written so much meanwhile that the first page's state is gone.
                Said::Compacted => {
                    (from, revision) = (self.layout.store_key(prefix), 0);
                    keys.clear();
                    continue;
                }
                other => return Err(Error::Server(call.cause(other.name()))),
            };
            revision = if revision == 0 { reply.header.revision } else { revision };
            if let Some(last) = reply.kvs.last() {
                from = [&*last.key.0, b"\0"].concat();
            }
            let store = self.layout.store.len();
            keys.extend(reply.kvs.into_iter().filter_map(|kv| kv.key.0.get(store..).map(<[u8]>::to_vec)));
            if !reply.more {
                return Ok(keys);
            }
        }
    }

    fn count(&self, call: &Call) -> Result<u64> {
        self.count_from(call, &self.layout.store)
    }

    fn queue_push(&self, call: &Call, queue: &[u8], value: &[u8]) -> Result<()> {
        self.push(call, queue, value)
    }

    fn queue_pop(&self, call: &Call, queue: &[u8], block: bool) -> Result<Option<Vec<u8>>> {
        self.pop(call, queue, block)
    }

    fn queue_len(&self, call: &Call, queue: &[u8]) -> Result<u64> {
        self.count_from(call, &self.layout.queue(queue))
    }
}

impl V3 {
    fn count_from(&self, call: &Call, prefix: &[u8]) -> Result<u64> {
        let end = end_of(prefix);
        let body = Range { range_end: Some(Raw(&end)), count_only: true, ..self.range(prefix, Want::Values) };
        Ok(self.session.get::<RangeReply>(call, "/v3/kv/range", &body)?.count)
    }

    fn put_all(&self, call: &Call, lease: Option<&Lease>, success: Vec<Op>) -> Result<()> {
        let txn = Txn { success, ..Txn::default() };
        loop {
            match (self.session.ask::<TxnReply>(call, "/v3/kv/txn", &txn, Repeat::Write)?, lease) {
                (Said::Ok(_), _) => return Ok(()),
                (Said::LeaseGone, Some(lease)) => lease.grant(&self.session, call)?,
                (other, _) => return Err(Error::Server(call.cause(other.name()))),
            }
        }
    }
}

fn put_of<'a>(call: &Call, path: &'a [u8], value: &'a [u8], lease: Option<&Lease>) -> Result<Put<'a>> {
    if value.len() > LARGEST_VALUE {
        let text = format_args!("the value is too large: {} bytes", value.len());
        return Err(Error::InvalidArgument(call.cause(text).to_string()));
    }
    Ok(Put { key: Raw(path), value: Raw(value), lease: lease.map(Lease::id) })
}

fn first(reply: RangeReply) -> Option<Entry> {
    reply.kvs.into_iter().next().map(entry)
}

fn entry(kv: KeyValue) -> Entry {
    Entry { value: kv.value.0, revision: kv.mod_revision }
}

/// The end of the range of all keys that begin with `prefix`, which ends in no 0xFF.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}
