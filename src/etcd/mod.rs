//! Talking to etcd: the few primitives that backend and store are made of, and the APIs that provide them.
//!
//! `call` is one operation with its deadline; `net`, `names` and `tls` are sockets, addresses and certificates;
//! `transport` is HTTP to one member; `client` chooses the member and tries again where that is safe; `v2` and `v3`
//! speak etcd's two APIs; `connect` finds out which one to speak.

mod backoff;
mod call;
mod cancel;
mod client;
mod connect;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod layout;
mod names;
mod net;
mod tls;
mod transport;
mod v2;
mod v3;

pub(crate) use backoff::Backoff;
pub(crate) use call::{Call, Subject, printable};
pub(crate) use cancel::Cancel;
pub(crate) use connect::connect;

use crate::error::Result;

/// A key, before an API decides where it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// The rendezvous state of the run.
    State,
    /// A key of the store.
    Store(&'a [u8]),
}

/// A value and the revision that it was last written at, never 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) value: Vec<u8>,
    pub(crate) revision: u64,
}

/// What must hold for a conditional write to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect<'a> {
    Absent,
    Revision(u64),
    /// Never empty: that stands for an absent key, too.
    Value(&'a [u8]),
}

/// What came of a conditional write.
#[derive(Debug)]
pub(crate) enum Swap {
    /// Done, at this revision.
    Done(u64),
    /// Not done; this is there instead.
    Lost(Option<Entry>),
}

/// How a conditional write whose answer was lost is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Whoever wrote this value under this condition, it is as if this call had.
    ByValue,
    /// It counts: only this very write will do, and where that cannot be told the outcome is unknown.
    Exact,
}

/// What of a key is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Values,
    /// Only whether it is there; values may come back empty.
    Presence,
}

/// The primitives. Each call is bounded by its deadline and ended by its cancel switch.
pub(crate) trait Kv: Send + Sync {
    /// The name of the backend over this API.
    fn name(&self) -> &'static str;

    /// Where the last answer came from, for messages.
    fn endpoint(&self) -> String;

    /// How many requests were made so far.
    fn requests(&self) -> u64;

    fn get(&self, call: &Call, key: Key) -> Result<Option<Entry>>;

    /// Looks at all keys once.
    fn get_many(&self, call: &Call, keys: &[Key], want: Want) -> Result<Vec<Option<Entry>>>;

    /// Waits until every key was seen, and fills `found` on the way, also where it ends in an error.
    fn await_all(&self, call: &Call, keys: &[Key], want: Want, found: &mut Vec<Option<Entry>>) -> Result<()>;

    /// Waits until `key` is other than it was at the revision `since`, 0 for not there, and returns what is there then.
    fn await_change(&self, call: &Call, key: Key, since: u64) -> Result<Option<Entry>>;

    fn put(&self, call: &Call, key: Key, value: &[u8]) -> Result<()>;

    fn put_many(&self, call: &Call, items: &[(Key, &[u8])]) -> Result<()>;

    fn swap(&self, call: &Call, key: Key, expect: Expect, value: &[u8], identity: Identity) -> Result<Swap>;

    /// True where the key was there.
    fn delete(&self, call: &Call, key: Key) -> Result<bool>;

    /// All keys of the store that begin with `prefix`, in no order.
    fn list(&self, call: &Call, prefix: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// The number of keys of the store.
    fn count(&self, call: &Call) -> Result<u64>;

    fn queue_push(&self, call: &Call, queue: &[u8], value: &[u8]) -> Result<()>;

    /// The oldest element; `None` where there is none and `block` is false.
    fn queue_pop(&self, call: &Call, queue: &[u8], block: bool) -> Result<Option<Vec<u8>>>;

    fn queue_len(&self, call: &Call, queue: &[u8]) -> Result<u64>;
}
