//! The c10d key/value store over etcd: PyTorch's semantics, written once for every API of etcd.
//!
//! Where PyTorch's own stores differ, `TCPStore` is the yardstick; where it keys live and how values are encoded is
//! the API's business (`crate::etcd`).

mod counter;
mod keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::counter::Counters;
use crate::error::{Error, Result};
use crate::etcd::{Call, Cancel, Entry, Expect, Identity, Key, Kv, Subject, Swap, Want, printable};

/// Milliseconds that stand for "for ever".
const FOREVER_MS: u64 = u64::MAX;

/// A key/value store through which the ranks of a run exchange what they need to find each other.
///
/// One store serves many threads at once; a thread that waits blocks no other. A clone shares the connections to
/// etcd and has its own timeout and its own cancel switch. Keys are any bytes but NUL; values are any bytes.
///
/// The timeout (300 s by default) bounds [`Store::get`], [`Store::multi_get`], [`Store::queue_pop`] and the calls
/// that are given none of their own. A timeout of zero looks once. Every other call is bounded by the parameter
/// `read_timeout`.
///
/// Any call can fail with [`Error::Connection`], [`Error::Auth`], [`Error::Server`] and [`Error::Cancelled`]; those
/// that change something also with [`Error::UnknownOutcome`]; those that wait with [`Error::Timeout`].
pub struct Store {
    shared: Arc<Shared>,
    prefix: Vec<u8>,
    timeout_ms: AtomicU64,
    cancel: Arc<Cancel>,
}

struct Shared {
    kv: Arc<dyn Kv>,
    /// How long a call may take that asks and does not wait.
    limit: Duration,
    counters: Counters,
}

impl Store {
    pub(crate) fn new(kv: Arc<dyn Kv>, limit: Duration, timeout: Duration) -> Self {
        let shared = Arc::new(Shared { kv, limit, counters: Counters::new() });
        let store = Self { shared, prefix: Vec::new(), timeout_ms: AtomicU64::new(0), cancel: Arc::new(Cancel::new()) };
        store.set_timeout(timeout);
        store
    }

    /// Stores `value` at `key`, whatever was there.
    ///
    /// # Errors
    /// Those of every call that writes; [`Error::InvalidArgument`] for a key or value that etcd cannot take.
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let key = self.full(key)?;
        let call = self.call("set", Subject::Key(&key));
        self.shared.counters.forget(&key);
        self.shared.kv.put(&call, Key::Store(&key), value)
    }

    /// The value at `key`, waited for until it is there, at most for the store's timeout.
    ///
    /// # Errors
    /// Those of every call that waits.
    pub fn get(&self, key: &[u8]) -> Result<Vec<u8>> {
        let key = [self.full(key)?];
        let mut found = self.await_all(&self.waiting("get", keys::subject(&key), None), &key, Want::Values)?;
        let entry = found.pop().flatten();
        Ok(entry.ok_or_else(|| Error::NotFound(format!("no value for {}", printable(&key.concat()))))?.value)
    }

    /// The values at `keys`, in their order, waited for until all are there, at most for the store's timeout.
    ///
    /// # Errors
    /// Those of every call that waits.
    pub fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
        let (distinct, places) = self.distinct(keys)?;
        let call = self.waiting("multi_get", keys::subject(&distinct), None);
        let found = self.await_all(&call, &distinct, Want::Values)?;
        keys::in_order(&call, found, &places)
    }

    /// Waits until all of `keys` are there; `None` stands for the store's timeout.
    ///
    /// # Errors
    /// Those of every call that waits.
    pub fn wait(&self, keys: &[&[u8]], timeout: Option<Duration>) -> Result<()> {
        let (distinct, _) = self.distinct(keys)?;
        let call = self.waiting("wait", keys::subject(&distinct), timeout);
        self.await_all(&call, &distinct, Want::Presence).map(drop)
    }

    /// What is at `keys`, of which none is repeated, as soon as all are there.
    fn await_all(&self, call: &Call, keys: &[Vec<u8>], want: Want) -> Result<Vec<Option<Entry>>> {
        let mut found = Vec::new();
        if keys.is_empty() {
            return Ok(found);
        }
        let wanted: Vec<Key> = keys.iter().map(|key| Key::Store(key)).collect();
        let awaited = self.shared.kv.await_all(call, &wanted, want, &mut found);
        awaited.map_err(|error| keys::name_missing(call, error, keys, &found, &self.shared.kv.endpoint()))?;
        Ok(found)
    }

    /// Whether all of `keys` are there now. True for no keys at all.
    ///
    /// # Errors
    /// Those of every call.
    pub fn check(&self, keys: &[&[u8]]) -> Result<bool> {
        let (distinct, _) = self.distinct(keys)?;
        let call = self.call("check", keys::subject(&distinct));
        let wanted: Vec<Key> = distinct.iter().map(|key| Key::Store(key)).collect();
        if wanted.is_empty() {
            return Ok(true);
        }
        Ok(self.shared.kv.get_many(&call, &wanted, Want::Presence)?.iter().all(Option::is_some))
    }

    /// Stores each value at its key. Not atomic over all of them, except as the API of etcd allows.
    ///
    /// # Errors
    /// Those of every call that writes.
    pub fn multi_set(&self, items: &[(&[u8], &[u8])]) -> Result<()> {
        let full: Vec<_> = items.iter().map(|(key, _)| self.full(key)).collect::<Result<_>>()?;
        let call = self.call("multi_set", keys::subject(&full));
        full.iter().for_each(|key| self.shared.counters.forget(key));
        let items: Vec<_> = full.iter().zip(items).map(|(key, (_, value))| (Key::Store(key), *value)).collect();
        if items.is_empty() { Ok(()) } else { self.shared.kv.put_many(&call, &items) }
    }

    /// Adds `amount` to the counter at `key`, 0 where there is none, and returns the sum. Adding 0 only reads.
    /// A counter is stored as decimal text.
    ///
    /// # Errors
    /// Those of every call that writes; [`Error::InvalidArgument`] where the value is not a number, or the sum no
    /// 64-bit number. It counts exactly once, or is [`Error::UnknownOutcome`].
    pub fn add(&self, key: &[u8], amount: i64) -> Result<i64> {
        let key = self.full(key)?;
        let call = self.call("add", Subject::Key(&key));
        self.shared.counters.add(self.shared.kv.as_ref(), &call, &key, amount)
    }

    /// Stores `desired` where the value is `expected`, or where there is none and `expected` is empty. Returns what
    /// is there afterwards; for an absent key that was not stored, `expected` (as `TCPStore` does).
    ///
    /// # Errors
    /// Those of every call that writes.
    pub fn compare_set(&self, key: &[u8], expected: &[u8], desired: &[u8]) -> Result<Vec<u8>> {
        let key = self.full(key)?;
        let call = self.call("compare_set", Subject::Key(&key));
        self.shared.counters.forget(&key);
        if expected.is_empty() {
            return self.replace_nothing(&call, &key, desired);
        }
        match self.swap(&call, &key, Expect::Value(expected), desired, Identity::ByValue)? {
            Swap::Done(_) => Ok(desired.to_vec()),
            Swap::Lost(Some(current)) => Ok(current.value),
            Swap::Lost(None) => Ok(expected.to_vec()),
        }
    }

    /// Stores `desired` where there is no value, or an empty one.
    fn replace_nothing(&self, call: &Call, key: &[u8], desired: &[u8]) -> Result<Vec<u8>> {
        let mut expect = Expect::Absent;
        loop {
            expect = match self.swap(call, key, expect, desired, Identity::ByValue)? {
                Swap::Done(_) => return Ok(desired.to_vec()),
                Swap::Lost(Some(current)) if !current.value.is_empty() => return Ok(current.value),
                Swap::Lost(Some(current)) => Expect::Revision(current.revision),
                Swap::Lost(None) => Expect::Absent,
            };
            call.check()?;
        }
    }

    /// Appends `value` to what is at `key`, which may be nothing.
    ///
    /// # Errors
    /// Those of every call that writes. It is done exactly once, or is [`Error::UnknownOutcome`].
    pub fn append(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let key = self.full(key)?;
        let call = self.call("append", Subject::Key(&key));
        self.shared.counters.forget(&key);
        let mut outcome = self.swap(&call, &key, Expect::Absent, value, Identity::Exact)?;
        let mut backoff = counter::contention();
        while let Swap::Lost(current) = outcome {
            let (expect, mut whole) = match current {
                Some(current) => (Expect::Revision(current.revision), current.value),
                None => (Expect::Absent, Vec::new()),
            };
            whole.extend_from_slice(value);
            outcome = self.swap(&call, &key, expect, &whole, Identity::Exact)?;
            if matches!(outcome, Swap::Lost(_)) {
                counter::pause(&call, &mut backoff)?;
            }
        }
        Ok(())
    }

    /// Deletes `key`. True where it was there.
    ///
    /// # Errors
    /// Those of every call that writes.
    pub fn delete_key(&self, key: &[u8]) -> Result<bool> {
        let key = self.full(key)?;
        let call = self.call("delete_key", Subject::Key(&key));
        self.shared.counters.forget(&key);
        self.shared.kv.delete(&call, Key::Store(&key))
    }

    /// The number of keys in the whole store: of all runs, and also through a prefix (as `PrefixStore` does).
    ///
    /// # Errors
    /// Those of every call.
    pub fn num_keys(&self) -> Result<u64> {
        self.shared.kv.count(&self.call("num_keys", Subject::Nothing))
    }

    /// The keys in the store, sorted; through a prefix those that have it, without it.
    ///
    /// # Errors
    /// Those of every call.
    pub fn list_keys(&self) -> Result<Vec<Vec<u8>>> {
        let mut keys = self.shared.kv.list(&self.call("list_keys", Subject::Nothing), &self.prefix)?;
        for key in &mut keys {
            key.drain(..self.prefix.len());
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// Appends `value` to the queue `key`. Queues are not keys: `check`, `wait` and `num_keys` do not see them.
    ///
    /// # Errors
    /// Those of every call that writes. It is done exactly once, or is [`Error::UnknownOutcome`].
    pub fn queue_push(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let key = self.full(key)?;
        let call = self.call("queue_push", Subject::Key(&key));
        self.shared.kv.queue_push(&call, &key, value)
    }

    /// Takes the oldest value of the queue `key`; of several that try, each gets another. With `block`, waits for
    /// one, at most for the store's timeout.
    ///
    /// # Errors
    /// Those of every call that writes and waits; [`Error::NotFound`] where the queue is empty and `block` is false.
    pub fn queue_pop(&self, key: &[u8], block: bool) -> Result<Vec<u8>> {
        let full = self.full(key)?;
        let subject = Subject::Key(&full);
        let call = if block { self.waiting("queue_pop", subject, None) } else { self.call("queue_pop", subject) };
        let value = self.shared.kv.queue_pop(&call, &full, block).map_err(|error| {
            let missing = [full.clone()];
            keys::name_missing(&call, error, &missing, &[], &self.shared.kv.endpoint())
        })?;
        value.ok_or_else(|| Error::NotFound(format!("queue {} is empty", printable(key))))
    }

    /// The number of values in the queue `key`; 0 where there is none.
    ///
    /// # Errors
    /// Those of every call.
    pub fn queue_len(&self, key: &[u8]) -> Result<u64> {
        let key = self.full(key)?;
        let call = self.call("queue_len", Subject::Key(&key));
        self.shared.kv.queue_len(&call, &key)
    }

    /// Waits until `world_size` callers have come to the barrier `key`, which can be used once. It is made of the
    /// keys that c10d's own barrier uses, `key/num_members` and `key/last_member`. `None` stands for the store's
    /// timeout.
    ///
    /// # Errors
    /// Those of every call that writes and waits; [`Error::InvalidArgument`] for a world size of 0.
    pub fn barrier(&self, key: &[u8], world_size: u64, timeout: Option<Duration>) -> Result<()> {
        if world_size == 0 {
            return Err(Error::InvalidArgument("the world size of a barrier must be greater than zero".to_owned()));
        }
        let key = self.full(key)?;
        let (num_members, last_member) = ([&*key, b"/num_members"].concat(), [&*key, b"/last_member"].concat());
        let call = self.waiting("barrier", Subject::Key(&key), timeout);
        let kv = self.shared.kv.as_ref();
        let members = self.shared.counters.add(kv, &call, &num_members, 1)?;
        if u64::try_from(members).is_ok_and(|members| members == world_size) {
            kv.put(&call, Key::Store(&last_member), b"1")?;
        }
        let mut found = Vec::new();
        kv.await_all(&call, &[Key::Store(&last_member)], Want::Presence, &mut found).map_err(|error| {
            keys::name_missing(&call, error, std::slice::from_ref(&last_member), &found, &kv.endpoint())
        })
    }

    /// Sets the timeout of the calls that wait. Less than a millisecond counts as zero.
    pub fn set_timeout(&self, timeout: Duration) {
        self.timeout_ms.store(u64::try_from(timeout.as_millis()).unwrap_or(FOREVER_MS), Ordering::Relaxed);
    }

    /// The timeout of the calls that wait.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.load(Ordering::Relaxed))
    }

    /// The same store seen through `prefix`: every key is `prefix/key` (as `PrefixStore` has it).
    #[must_use]
    pub fn with_prefix(&self, prefix: &[u8]) -> Self {
        let mut store = self.clone();
        store.prefix.extend_from_slice(prefix);
        store.prefix.push(b'/');
        store
    }

    /// Ends the calls that are blocked on this store, and every later one, with [`Error::Cancelled`]. Clones are
    /// not cancelled. May be called from any thread and from a signal handler.
    pub fn cancel(&self) {
        self.cancel.throw();
    }

    /// The number of requests that this store, its clones and its backend have made of etcd.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.kv.requests()
    }

    fn full(&self, key: &[u8]) -> Result<Vec<u8>> {
        if key.contains(&0) {
            return Err(Error::InvalidArgument(format!("the key {} must not contain NUL", printable(key))));
        }
        Ok([&self.prefix, key].concat())
    }

    /// The full keys without repetitions, and for each given key its place among them.
    fn distinct(&self, keys: &[&[u8]]) -> Result<(Vec<Vec<u8>>, Vec<usize>)> {
        let full: Vec<_> = keys.iter().map(|key| self.full(key)).collect::<Result<_>>()?;
        Ok(keys::distinct(full))
    }

    fn swap(&self, call: &Call, key: &[u8], expect: Expect, value: &[u8], identity: Identity) -> Result<Swap> {
        self.shared.kv.swap(call, Key::Store(key), expect, value, identity)
    }

    fn call<'a>(&'a self, operation: &'static str, subject: Subject<'a>) -> Call<'a> {
        Call::new(operation, subject, self.shared.limit, &self.cancel)
    }

    fn waiting<'a>(&'a self, operation: &'static str, subject: Subject<'a>, timeout: Option<Duration>) -> Call<'a> {
        Call::waiting(operation, subject, timeout.unwrap_or_else(|| self.timeout()), &self.cancel)
    }
}

impl Clone for Store {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            prefix: self.prefix.clone(),
            timeout_ms: AtomicU64::new(self.timeout_ms.load(Ordering::Relaxed)),
            cancel: Arc::new(Cancel::new()),
        }
    }
}
