//! Counters: decimal text that is replaced under its revision, so that every addition counts once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::etcd::{Backoff, Call, Entry, Expect, Identity, Key, Kv, Swap};
use crate::fork::PerProcess;
use crate::params::parse_integer;

/// How many counters' last values are remembered.
const REMEMBERED: usize = 1024;

/// The last values that this process has seen of its counters, so that an addition needs no look first.
///
/// A value from here is only ever used under its revision: if it is outdated, nothing is written.
#[derive(Debug)]
pub(super) struct Counters {
    known: PerProcess<Mutex<Known>>,
}

type Known = HashMap<Vec<u8>, (i64, u64)>;

impl Counters {
    pub(super) fn new() -> Self {
        Self { known: PerProcess::new(Mutex::default()) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, kv: &dyn Kv, call: &Call, key: &[u8], amount: i64) -> Result<i64> {
        let mut current = match self.recall(key) {
            Some(known) if amount != 0 => Some(known),
            _ => read(call, kv.get(call, Key::Store(key))?)?,
        };
        if amount == 0 {
            return Ok(current.map_or(0, |(value, _)| value));
        }
        let mut backoff = contention();
        let mut tries = 0;
        loop {
            let (value, expect) = match current {
                Some((value, revision)) => (value, Expect::Revision(revision)),
                None => (0, Expect::Absent),
            };
            let sum = value.checked_add(amount).ok_or_else(|| {
                let text = call.cause(format_args!("{value} + {amount} is not a 64-bit number"));
                Error::InvalidArgument(text.to_string())
            })?;
            match kv.swap(call, Key::Store(key), expect, sum.to_string().as_bytes(), Identity::Exact)? {
                Swap::Done(revision) => {
                    self.remember(key, sum, revision);
                    return Ok(sum);
                }
                Swap::Lost(entry) => current = read(call, entry)?,
            }
            tries += 1;
            if tries > 1 {
                pause(call, &mut backoff)?;
                current = read(call, kv.get(call, Key::Store(key))?)?;
            }
        }
    }

    /// Another kind of write makes what is known outdated.
    pub(super) fn forget(&self, key: &[u8]) {
        let mut known = self.known();
        if !known.is_empty() {
            known.remove(key);
        }
    }

    fn recall(&self, key: &[u8]) -> Option<(i64, u64)> {
        self.known().get(key).copied()
    }

    fn remember(&self, key: &[u8], value: i64, revision: u64) {
        let mut known = self.known();
        if known.len() >= REMEMBERED && !known.contains_key(key) {
            known.clear();
        }
        known.insert(key.to_vec(), (value, revision));
    }
}

/// The pauses between tries while others change the same key.
pub(super) fn contention() -> Backoff {
    Backoff::between(Duration::from_millis(1), Duration::from_millis(50))
}

/// Waits before the next try, unless the call's time is over.
pub(super) fn pause(call: &Call, backoff: &mut Backoff) -> Result<()> {
    call.sleep(backoff.next())?;
    if call.is_over() {
        return Err(call.timed_out("a turn to change the key, which others did all the time", None));
    }
    Ok(())
}

/// The number in a counter's value: what Python's `int()` reads, as in PyTorch's store.
fn read(call: &Call, entry: Option<Entry>) -> Result<Option<(i64, u64)>> {
    let Some(entry) = entry else { return Ok(None) };
    let number = std::str::from_utf8(&entry.value).ok().and_then(parse_integer);
    match number {
        Some(number) => Ok(Some((number, entry.revision))),
        None => Err(Error::InvalidArgument(call.cause("the value is not a 64-bit number").to_string())),
    }
}
