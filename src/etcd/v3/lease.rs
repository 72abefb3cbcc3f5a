//! The leases of a run: one for its state, and one for its store where `store_ttl` is set. Every node uses the same
//! ones, whose ids come from the keys, so that they neither add up nor have to be agreed upon. They are never
//! revoked: what they hold belongs to the run, not to the process that leaves it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::session::{Said, Session};
use super::wire::{GrantReply, KeepAliveLine, Lease as Body};
use crate::error::{Error, Result};
use crate::etcd::call::Call;
use crate::etcd::client::Repeat;

/// A lease that all nodes share, renewed by those who write under it.
#[derive(Debug)]
pub(super) struct Lease {
    id: u64,
    ttl: u64,
    /// A clock's beginning, for `renewed`.
    clock: Instant,
    /// When it was last renewed by this process, in milliseconds of the clock, plus one; 0 for never.
    renewed: AtomicU64,
}

impl Lease {
    /// The lease for what lives at `key`, for `ttl` seconds.
    pub(super) fn of(key: &[u8], ttl: u64) -> Self {
        Self { id: id_of(key), ttl, clock: Instant::now(), renewed: AtomicU64::new(0) }
    }

    pub(super) fn id(&self) -> String {
        self.id.to_string()
    }

    /// Makes sure that what is written now lives for the time to live, within a hundredth of it: one request, or two,
    /// where the last renewal is longer ago than that.
    pub(super) fn renew(&self, session: &Session, call: &Call) -> Result<()> {
        let now = self.now();
        let renewed = self.renewed.load(Ordering::Relaxed);
        let fresh = Duration::from_secs(self.ttl) / 100;
        if renewed != 0 && Duration::from_millis(now.saturating_sub(renewed)) < fresh {
            return Ok(());
        }
        let body = Body { id: self.id(), ttl: None };
        let said = session.ask::<KeepAliveLine>(call, "/v3/lease/keepalive", &body, Repeat::Read)?;
        match said {
            Said::Ok(line) if line.result.ttl > 0 => self.renewed.store(now, Ordering::Relaxed),
            _ => self.grant(session, call)?,
        }
        Ok(())
    }

    /// Makes sure that the lease is there, whenever it was last renewed.
    pub(super) fn ensure(&self, session: &Session, call: &Call) -> Result<()> {
        if self.renewed.load(Ordering::Relaxed) == 0 { self.renew(session, call) } else { Ok(()) }
    }

    /// Makes the lease anew, where it is gone.
    pub(super) fn grant(&self, session: &Session, call: &Call) -> Result<()> {
        let now = self.now();
        let body = Body { id: self.id(), ttl: Some(self.ttl.to_string()) };
        match session.ask::<GrantReply>(call, "/v3/lease/grant", &body, Repeat::Write)? {
            Said::Ok(_) | Said::LeaseExists => {
                self.renewed.store(now, Ordering::Relaxed);
                Ok(())
            }
            other => Err(Error::Server(call.cause(format_args!("granting a lease failed: {}", other.name())))),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// FNV-1a of the key, without its highest bit, and never 0: a lease's id is a positive number.
fn id_of(key: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (hash >> 1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_positive() {
        assert_eq!(id_of(b""), 0xcbf2_9ce4_8422_2325 >> 1);
        assert_eq!(id_of(b"/torch/elastic/rendezvous/job"), id_of(b"/torch/elastic/rendezvous/job"));
        assert_ne!(id_of(b"/torch/elastic/rendezvous/job"), id_of(b"/torch/elastic/rendezvous/jobs"));
        assert!(i64::try_from(id_of(b"foobar")).is_ok());
    }
}
