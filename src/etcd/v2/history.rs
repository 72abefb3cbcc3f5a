//! After a conditional write whose answer was lost: what became of it, by the events that etcd remembers.

use std::time::{Duration, Instant};

use super::answer::{Action, Answer};
use super::{Condition, V2};
use crate::base64::decode_lenient;
use crate::error::{Error, Result};
use crate::etcd::call::Call;
use crate::etcd::{Entry, Identity, Key, Swap};

/// How many events of a key are looked through.
const MOST_EVENTS: usize = 200;

/// How long to wait for an event that should be there already.
const GRACE: Duration = Duration::from_millis(250);

/// A write whose answer was lost, and which was then refused.
pub(super) struct Lost<'a> {
    pub(super) key: Key<'a>,
    pub(super) expect: Condition,
    pub(super) value: &'a [u8],
    pub(super) identity: Identity,
    /// The store's index before the write was first sent, or less.
    pub(super) since: u64,
    /// The store's index at the look that followed the refusal.
    pub(super) index: u64,
    pub(super) doubt: String,
}

impl Lost<'_> {
    /// Whether a write like this one, found among the events, may be told as this one. Another may have done it before
    /// this call began, where this handle has seen nothing since.
    fn may_be_told(&self, current: Option<&Entry>) -> bool {
        let is_known = matches!(self.expect, Condition::Index(_)) || self.since != 0;
        // A compare-and-set of the store tells the value, which is right as long as it is there; a state has its token.
        let is_right = self.key == Key::State || current.is_some_and(|current| current.value == self.value);
        self.identity == Identity::ByValue && is_known && is_right
    }
}

/// What the events say.
enum Finding {
    /// A write like this one was done, at this index.
    Done(u64),
    NotDone,
    /// etcd no longer remembers.
    Unknown,
}

impl V2 {
    /// Decides a lost write by what happened to its key. It was refused when it was sent again, so it is over: it was
    /// done before that, or will never be.
    pub(super) fn find_out(&self, call: &Call, path: &str, lost: &Lost, current: Option<Entry>) -> Result<Swap> {
        let unknown = |text: &str| Error::UnknownOutcome(call.cause(format_args!("{}; {text}", lost.doubt)));
        let finding = self.search(call, path, lost, current.as_ref());
        let finding = match finding.map_err(|error| call.doubtful(Some(lost.doubt.clone()), Some(error)))? {
            // What is there tells most of it, however much etcd has forgotten.
            Finding::Unknown => after(lost, current.as_ref()),
            finding => finding,
        };
        match finding {
            Finding::NotDone => Ok(Swap::Lost(current)),
            Finding::Done(index) if lost.may_be_told(current.as_ref()) => Ok(Swap::Done(index)),
            Finding::Done(_) => Err(unknown("the same value was written since, by this call or by another")),
            Finding::Unknown => Err(unknown("etcd no longer remembers what happened to the key")),
        }
    }

    fn search(&self, call: &Call, path: &str, lost: &Lost, current: Option<&Entry>) -> Result<Finding> {
        let mut from = match lost.expect {
            Condition::Index(revision) => revision,
            _ => lost.since,
        };
        let last = current.map_or(lost.index, |current| current.revision);
        for _ in 0..MOST_EVENTS {
            if from >= last {
                return Ok(Finding::NotDone);
            }
            let target = format!("{path}?wait=true&waitIndex={}", from + 1);
            let asked = Instant::now();
            let Some(answer) = self.poll(call, &target, GRACE)? else {
                // Silence can only mean that nothing happened where nothing must have: the last event of a key that
                // is there, and the end of one that was, must come.
                let silent = asked.elapsed() >= GRACE && !call.is_over();
                let may_be = silent && current.is_none() && !matches!(lost.expect, Condition::Index(_));
                return Ok(if may_be { Finding::NotDone } else { Finding::Unknown });
            };
            if answer.code.is_some() {
                return Ok(Finding::Unknown);
            }
            let like_ours = is_like(lost, &answer);
            let Some(node) = answer.into_event() else { return Ok(Finding::Unknown) };
            // What an answer had shown before this write was sent is not this write.
            if like_ours
                && node.modified_index > lost.since
                && node.value.as_deref().and_then(|text| decode_lenient(text.as_bytes())).as_deref() == Some(lost.value)
            {
                return Ok(Finding::Done(node.modified_index));
            }
            if matches!(lost.expect, Condition::Index(_)) {
                // Whatever came first after the expected revision has made it outdated.
                return Ok(Finding::NotDone);
            }
            from = node.modified_index;
        }
        Ok(Finding::Unknown)
    }
}

/// What the value that is there now tells of a write whose events are forgotten.
fn after(lost: &Lost, current: Option<&Entry>) -> Finding {
    let before = if let Condition::Index(revision) = lost.expect { revision.max(lost.since) } else { lost.since };
    match current {
        Some(current) if current.value == lost.value && current.revision > before => Finding::Done(current.revision),
        _ => Finding::Unknown,
    }
}

fn is_like(lost: &Lost, answer: &Answer) -> bool {
    match lost.expect {
        Condition::Absent => answer.action == Action::Create,
        Condition::Index(_) => answer.action == Action::CompareAndSwap,
    }
}
