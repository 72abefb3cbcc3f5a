//! Compare-and-set by value, which is done under the index at which the value was seen.
//!
//! etcd's own `prevValue` would make a copy of the request that a member held back take effect long after the call,
//! whenever the key happens to have that value again. An index never comes again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Condition, V2};
use crate::error::Result;
use crate::etcd::call::Call;
use crate::etcd::{Entry, Identity, Key, Swap};
use crate::fork::PerProcess;

/// How many keys' last values are remembered, and the longest of them.
const REMEMBERED: usize = 1024;
const LONGEST: usize = 1024;

/// The last values that compare-and-sets of this process have seen, so that the next one needs no look first.
///
/// A value from here is only ever used under its index: if it is outdated, nothing is written.
pub(super) struct Seen(PerProcess<Mutex<HashMap<Vec<u8>, Entry>>>);

impl Seen {
    pub(super) fn new() -> Self {
        Self(PerProcess::new(Mutex::default()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Entry>> {
        self.0.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index at which `key` was seen to be `expected`, if that is the last that was seen of it.
    fn recall(&self, key: Key, expected: &[u8]) -> Option<u64> {
        let Key::Store(key) = key else { return None };
        self.lock().get(key).filter(|entry| entry.value == expected).map(|entry| entry.revision)
    }

    /// Keeps what a swap of `value` came to.
    pub(super) fn note(&self, key: Key, value: &[u8], outcome: &Swap) {
        let Key::Store(key) = key else { return };
        let (value, revision) = match outcome {
            Swap::Done(revision) => (value, *revision),
            Swap::Lost(Some(entry)) => (entry.value.as_slice(), entry.revision),
            Swap::Lost(None) => (value, 0),
        };
        let mut seen = self.lock();
        if revision == 0 || value.len() > LONGEST {
            seen.remove(key);
            return;
        }
        if seen.get(key).is_some_and(|known| known.revision > revision) {
            // A look that others have overtaken.
            return;
        }
        if seen.len() >= REMEMBERED && !seen.contains_key(key) {
            seen.clear();
        }
        seen.insert(key.to_vec(), Entry { value: value.to_vec(), revision });
    }
}

impl V2 {
    /// Replaces `expected` at `key` by `value`.
    pub(super) fn swap_value(
        &self,
        call: &Call,
        key: Key,
        expected: &[u8],
        value: &[u8],
        identity: Identity,
    ) -> Result<Swap> {
        let mut revision = self.compared.recall(key, expected);
        loop {
            let outcome = match revision {
                Some(revision) => self.swap_where(call, key, Condition::Index(revision), value, identity)?,
                None => Swap::Lost(self.look_surely(call, key)?.0),
            };
            self.compared.note(key, value, &outcome);
            match outcome {
                Swap::Lost(Some(now)) if now.value == expected => revision = Some(now.revision),
                outcome => return Ok(outcome),
            }
            call.check()?;
        }
    }
}
