//! The invariants: what must hold for every write to the store, and for every return from a join.

use std::collections::{BTreeMap, BTreeSet};

use rdzv::handler::state::{Node, Settings, State};

use super::brain::Told;
use super::plan::Plan;
use super::{SECOND, Time};

type Verdict = Result<(), String>;

pub struct Checker {
    min: usize,
    max: usize,
    /// How long a node must have been silent before another may remove it.
    patience: Time,
    /// The participants that each round completed with.
    completed: BTreeMap<u64, BTreeMap<Node, u64>>,
    /// When each node's heartbeat last changed in the store.
    beats: BTreeMap<Node, Time>,
    /// Whether a Python node completed the round: then it may be read with too few members.
    by_python: BTreeSet<u64>,
}

impl Checker {
    pub fn new(plan: &Plan) -> Self {
        let Settings { min_nodes, max_nodes, .. } = plan.settings;
        let window = plan.settings.window().as_micros() as Time;
        // Clocks of Python nodes, which compare them, are off by up to half a second each, and steps of as much.
        let has_python = plan.nodes.iter().any(|node| node.is_python);
        Self {
            min: min_nodes,
            max: max_nodes,
            patience: if has_python { window - 4 * SECOND } else { window },
            completed: BTreeMap::new(),
            beats: BTreeMap::new(),
            by_python: BTreeSet::new(),
        }
    }

    pub fn rounds(&self) -> usize {
        self.completed.len()
    }

    /// `writer` replaced `old` by `new`.
    pub fn write(&mut self, old: &State, new: &State, writer: &Node, is_python: bool, now: Time) -> Verdict {
        self.lists(new)?;
        self.round(old, new, is_python)?;
        if old.closed {
            ensure(new.closed, || "a closed run was opened".into())?;
            let admitted = new.nodes().into_iter().find(|node| new.lists(node) && !old.lists(node));
            ensure(admitted.is_none(), || format!("a closed run admitted {admitted:?}"))?;
            ensure(old.complete || !new.complete, || "a round of a closed run completed".into())?;
        }
        for node in old.nodes() {
            let removed = old.lists(node) && !new.lists(node) && node != writer;
            let silent = now - self.beats.get(node).copied().unwrap_or(0);
            ensure(!removed || silent >= self.patience, || format!("the living {node:?} was removed by {writer:?}"))?;
        }
        ensure(new.unknown == old.unknown, || "an attribute got lost".into())?;
        for (node, beat) in &new.last_heartbeats {
            if old.last_heartbeats.get(node) != Some(beat) {
                ensure(node == writer, || format!("the heartbeat of {node:?} was written by {writer:?}"))?;
                self.beats.insert(node.clone(), now);
            }
        }
        Ok(())
    }

    fn lists(&self, new: &State) -> Verdict {
        for node in new.nodes() {
            let lists =
                [new.participants.contains_key(node), new.wait_list.contains(node), new.redundancy_list.contains(node)];
            let count = lists.into_iter().filter(|list| *list).count();
            ensure(count == 1, || format!("{node:?} is in {count} lists"))?;
            ensure(new.last_heartbeats.contains_key(node), || format!("{node:?} has no heartbeat"))?;
        }
        Ok(())
    }

    fn round(&mut self, old: &State, new: &State, is_python: bool) -> Verdict {
        let (from, to) = (old.round, new.round);
        ensure(to == from || (to == from + 1 && old.complete), || format!("from round {from} to {to}"))?;
        if to == from && old.complete {
            ensure(new.complete, || format!("round {from} is incomplete again"))?;
            let mut members = new.participants.iter();
            let strange = members.find(|(node, rank)| old.participants.get(node) != Some(rank));
            return ensure(strange.is_none(), || format!("{strange:?} came into a complete round"));
        }
        if !new.complete {
            let ranks = new.participants.values().all(|rank| *rank == 0);
            return ensure(ranks, || "there are ranks in an incomplete round".into());
        }
        let count = new.participants.len();
        ensure((self.min..=self.max).contains(&count), || format!("round {to} completed with {count}"))?;
        ensure(new.participants.values().copied().eq(0..count as u64), || "ranks are not in order".into())?;
        ensure(new.deadline.is_none(), || "a complete round has a deadline".into())?;
        if is_python {
            self.by_python.insert(to);
        }
        let before = self.completed.insert(to, new.participants.clone());
        ensure(before.is_none(), || format!("round {to} completed twice"))
    }

    /// A join of `node` returned, from the state that was `seen`.
    pub fn joined(&self, node: &Node, told: Told, seen: &State, is_python: bool) -> Verdict {
        ensure(!seen.closed, || format!("{node:?} joined a closed run"))?;
        let members = self.completed.get(&told.round);
        let Some(members) = members else { return Err(format!("{node:?} joined a round that did not complete")) };
        let rank = members.get(node).copied();
        ensure(rank == Some(told.rank), || format!("{node:?} has rank {rank:?}, and was told {told:?}"))?;
        let excused = is_python || self.by_python.contains(&told.round);
        let size = members.len() as u64;
        ensure(told.size == size || excused, || format!("round {} has {size} members; told {told:?}", told.round))
    }
}

pub fn ensure(holds: bool, text: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(text()) }
}
