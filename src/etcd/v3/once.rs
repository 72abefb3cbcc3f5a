//! Transactions that are done exactly once, also where their answer is lost.
//!
//! Each transaction also writes a key of its own process, a slot, on condition that the slot is as it was left.
//! Sent again after a lost answer it is therefore done only if it was not done before; and if it was, the slot tells.
//! Where it is refused when it is sent again, the slot is sealed: a copy that is still on its way must not be done later,
//! when the conditions may hold.

use std::sync::{Mutex, PoisonError};

use super::lease::Lease;
use super::session::{Said, Session};
use super::wire::{Compare, Op, Put, Range, RangeReply, Raw, Txn, TxnReply};
use crate::error::{Error, Result};
use crate::etcd::backoff::Backoff;
use crate::etcd::call::Call;
use crate::etcd::client::{Failure, Repeat};
use crate::fork::PerProcess;
use crate::random::unique_name;

/// What came of a transaction.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Done, at this revision.
    Done(u64),
    /// Its conditions did not hold; the answers of its `failure` part.
    Lost(Vec<RangeReply>),
}

#[derive(Debug)]
struct Slot {
    key: Vec<u8>,
    /// When it was last written; 0 where it is not there.
    revision: u64,
}

/// What a sealed slot holds; one that a transaction has written is empty.
const SEAL: &[u8] = b"sealed";

/// The slots of this process that no transaction is using.
#[derive(Debug)]
pub(super) struct Slots {
    prefix: Vec<u8>,
    free: PerProcess<Mutex<Vec<Slot>>>,
}

/// The lease that a transaction's puts name, besides the slots' own.
pub(super) struct Leases<'a> {
    pub(super) slots: &'a Lease,
    pub(super) puts: Option<&'a Lease>,
}

impl Slots {
    pub(super) fn new(prefix: Vec<u8>) -> Self {
        Self { prefix, free: PerProcess::new(Mutex::default()) }
    }

    fn take(&self) -> Slot {
        let free = self.free.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Slot { key: [&self.prefix, unique_name().as_bytes()].concat(), revision: 0 })
    }

    fn put_back(&self, slot: Slot) {
        self.free.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner).push(slot);
    }

    /// Does `txn` once. A slot whose state is in doubt is not used again.
    pub(super) fn run(&self, session: &Session, call: &Call, leases: &Leases, txn: &Txn) -> Result<Outcome> {
        leases.slots.ensure(session, call)?;
        let mut slot = self.take();
        let mut doubt: Option<String> = None;
        let mut backoff = Backoff::new();
        loop {
            let whole = with_slot(txn, &slot, leases.slots, doubt.is_some());
            let mut reply = match session.exchange::<TxnReply>(call, "/v3/kv/txn", &whole, Repeat::Never) {
                Ok(Said::Ok(reply)) => reply,
                // A slot that was written has gone with the lease, and can tell nothing any more.
                Ok(Said::LeaseGone) if doubt.is_some() => return Err(call.doubtful(doubt, None)),
                Ok(Said::LeaseGone) => {
                    leases.slots.grant(session, call)?;
                    leases.puts.map_or(Ok(()), |lease| lease.grant(session, call))?;
                    continue;
                }
                Ok(other) => return Err(call.doubtful(doubt, Some(Error::Server(call.cause(other.name()))))),
                Err(Failure::Doubt(text)) => {
                    // A look finds a member that answers, or says that there is none.
                    let look = call.sleep(backoff.next()).and_then(|()| look(session, call, &slot));
                    if call.is_over() || look.is_err() {
                        return Err(call.doubtful(Some(text), look.err()));
                    }
                    doubt = Some(text);
                    continue;
                }
                Err(Failure::Final(error)) => return Err(call.doubtful(doubt, Some(error))),
            };
            if reply.succeeded {
                slot.revision = reply.header.revision;
                self.put_back(slot);
                return Ok(Outcome::Done(reply.header.revision));
            }
            let found = reply.responses.pop().and_then(|response| response.response_range).unwrap_or_default();
            let found = found.kvs.first();
            let revision = found.map_or(0, |kv| kv.mod_revision);
            let refused = reply.responses.into_iter().filter_map(|op| op.response_range);
            match doubt {
                None if revision == slot.revision => {
                    self.put_back(slot);
                    return Ok(Outcome::Lost(refused.collect()));
                }
                // It expired with its lease.
                None => slot.revision = revision,
                // This answer's transaction has sealed the slot, or that of one before whose answer was lost, too.
                Some(_) if found.is_some_and(|kv| kv.value.0 == SEAL) => {
                    return Ok(Outcome::Lost(refused.collect()));
                }
                Some(_) if revision != 0 && revision != slot.revision => {
                    slot.revision = revision;
                    self.put_back(slot);
                    return Ok(Outcome::Done(revision));
                }
                Some(doubt) => return Err(Error::UnknownOutcome(call.cause(doubt))),
            }
        }
    }
}

/// `txn` with its slot, whose state is what the last answer tells where it is refused. With `seal` nothing that was sent
/// before can be done any more once this one is refused.
fn with_slot<'a>(txn: &Txn<'a>, slot: &'a Slot, lease: &Lease, seal: bool) -> Txn<'a> {
    let as_left = Compare::revision(&slot.key, slot.revision);
    let put = |value| Op::Put(Put { key: Raw(&slot.key), value: Raw(value), lease: Some(lease.id()) });
    let mut whole = txn.clone();
    whole.compare.push(as_left.clone());
    whole.success.push(put(b""));
    if seal {
        whole.failure.insert(0, Op::Txn(Txn { compare: vec![as_left], success: vec![put(SEAL)], failure: Vec::new() }));
    }
    whole.failure.push(Op::Range(Range::of(&slot.key)));
    whole
}

fn look(session: &Session, call: &Call, slot: &Slot) -> Result<RangeReply> {
    session.get(call, "/v3/kv/range", &Range::of(&slot.key))
}
