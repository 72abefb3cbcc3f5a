//! What happens in a run, told as it happens.

use serde_json::{Value, json};

use crate::handler::state::{Node, State};

/// Something that happened, as this node saw it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A node became a participant of the round that is being agreed on.
    Joined(Node),
    /// A node waits for the next round.
    Waiting(Node),
    /// A node is spare: the round is full.
    Spare(Node),
    /// A node left, or another node found it dead first.
    Left(Node),
    /// This node found that another one gave no sign of life for too long.
    Died(Node),
    /// A round is complete: its number, and how many nodes are in it.
    Complete(u64, u64),
    /// A new round is being agreed on.
    Round(u64),
    /// The run was closed.
    Closed,
    /// This node is no longer in the round: the others took it for dead.
    Evicted,
    /// That many heartbeats in a row could not be written, the last one for this reason.
    HeartbeatFailed(u32, String),
    /// A heartbeat was written again.
    HeartbeatRecovered,
    /// The clock of a node is off by that many seconds, so far that Python nodes take it for dead.
    Skew(f64),
    /// The store holds keys of an earlier run of the same id.
    StaleKeys,
}

impl Event {
    /// Every kind's number, which the C ABI fixes, and name.
    #[must_use]
    pub fn kind(&self) -> (i32, &'static str) {
        match self {
            Self::Joined(_) => (1, "joined"),
            Self::Waiting(_) => (2, "waiting"),
            Self::Spare(_) => (3, "spare"),
            Self::Left(_) => (4, "left"),
            Self::Died(_) => (5, "died"),
            Self::Complete(..) => (6, "complete"),
            Self::Round(_) => (7, "round"),
            Self::Closed => (8, "closed"),
            Self::Evicted => (9, "evicted"),
            Self::HeartbeatFailed(..) => (10, "heartbeat_failed"),
            Self::HeartbeatRecovered => (11, "heartbeat_recovered"),
            Self::Skew(_) => (12, "skew"),
            Self::StaleKeys => (13, "stale_keys"),
        }
    }

    /// The event as one JSON object: its name under `event`, and what belongs to it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = json!({ "event": self.kind().1 });
        match self {
            Self::Joined(node) | Self::Waiting(node) | Self::Spare(node) | Self::Left(node) | Self::Died(node) => {
                insert(&mut object, "node", node_json(node));
            }
            Self::Complete(round, size) => {
                insert(&mut object, "round", json!(round));
                insert(&mut object, "world_size", json!(size));
            }
            Self::Round(round) => insert(&mut object, "round", json!(round)),
            Self::HeartbeatFailed(times, error) => {
                insert(&mut object, "times", json!(times));
                insert(&mut object, "error", json!(error));
            }
            Self::Skew(seconds) => insert(&mut object, "seconds", json!(seconds)),
            Self::Closed | Self::Evicted | Self::HeartbeatRecovered | Self::StaleKeys => {}
        }
        object
    }
}

/// What happened between two states, of which the second is without the `dead`.
#[must_use]
pub fn between(old: &State, new: &State, dead: &[Node]) -> Vec<Event> {
    let mut events = Vec::new();
    if new.round != old.round {
        events.push(Event::Round(new.round));
    }
    let added = |is_in: fn(&State, &Node) -> bool| {
        move |node: &&Node| is_in(new, node) && (!is_in(old, node) || new.round != old.round)
    };
    let participates = |state: &State, node: &Node| state.participants.contains_key(node);
    events.extend(new.participants.keys().filter(added(participates)).cloned().map(Event::Joined));
    let waits = |state: &State, node: &Node| state.wait_list.contains(node);
    events.extend(new.wait_list.iter().filter(added(waits)).cloned().map(Event::Waiting));
    let is_spare = |state: &State, node: &Node| state.redundancy_list.contains(node);
    events.extend(new.redundancy_list.iter().filter(added(is_spare)).cloned().map(Event::Spare));
    let all = old.participants.keys().chain(&old.wait_list).chain(&old.redundancy_list);
    for node in all.filter(|node| !new.lists(node)) {
        events.push(if dead.contains(node) { Event::Died(node.clone()) } else { Event::Left(node.clone()) });
    }
    if new.complete && (!old.complete || new.round != old.round) {
        events.push(Event::Complete(new.round, new.world_size()));
    }
    if new.closed && !old.closed {
        events.push(Event::Closed);
    }
    events
}

/// A node as JSON.
pub(super) fn node_json(node: &Node) -> Value {
    json!({ "address": &*node.addr, "pid": node.pid, "local_id": node.local_id })
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once() {
        let (a, b, c) = (Node::new("a", 1, 0), Node::new("b", 2, 0), Node::new("c", 3, 0));
        let empty = State::default();
        let mut one = empty.clone();
        one.participants.insert(a.clone(), 0);
        one.wait_list.insert(c.clone());
        assert_eq!(between(&empty, &one, &[]), [Event::Joined(a.clone()), Event::Waiting(c.clone())]);
        assert_eq!(between(&one, &one, &[]), []);
        let mut two = one.clone();
        two.wait_list.clear();
        two.participants.insert(b.clone(), 1);
        two.complete = true;
        assert_eq!(
            between(&one, &two, std::slice::from_ref(&c)),
            [Event::Joined(b.clone()), Event::Died(c), Event::Complete(0, 2)]
        );
        let next = State { round: 1, closed: true, ..State::default() };
        assert_eq!(between(&two, &next, &[]), [Event::Round(1), Event::Left(a), Event::Left(b), Event::Closed]);
    }

    #[test]
    fn events_are_told_in_json() {
        let event = Event::Died(Node::new("a", 1, 0));
        assert_eq!(event.kind().0, 5);
        assert_eq!(event.to_json().to_string(), r#"{"event":"died","node":{"address":"a","local_id":0,"pid":1}}"#);
    }
}
