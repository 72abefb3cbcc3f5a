//! What a node does next, as a function of the state; and the doing of it, on a local copy.
//!
//! Each operation is one function from a [`View`] to an [`Action`]; [`apply`] performs the action. Operations repeat
//! this, reading and writing in between ([`super::operation`]), until they are done or have failed.

use std::time::Duration;

use crate::handler::state::{Node, Now, RoundSize, Settings, State, micros};

/// How long after its deadline a join still tries to take back what it left in the state.
pub const ROLLBACK: Duration = Duration::from_secs(5);

/// Who acts, when, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The node that acts.
    pub node: &'a Node,
    /// The run's settings.
    pub settings: &'a Settings,
    /// Whether the dialect of the run has spare nodes.
    pub has_spares: bool,
    /// The time.
    pub now: Now,
}

/// What a decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The shared state, of now.
    pub state: &'a State,
    /// Who decides.
    pub context: Context<'a>,
    /// When the operation has to be done, on this node's clock that never steps.
    pub deadline: Duration,
    /// Whether the state's deadline is past: [`super::liveness::Observer::last_call_over`].
    pub last_call_over: bool,
}

/// What a node does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the operation is done.
    Finish,
    /// Nothing: the operation has failed.
    Fail(Failure),
    /// Nothing, until the state changes or it is time for something.
    Wait,
    /// Write a heartbeat.
    KeepAlive,
    /// Become a participant of the current round.
    AddToParticipants,
    /// Wait for the next round.
    AddToWaitList,
    /// Become a spare node.
    AddToRedundancyList,
    /// Leave the current round.
    RemoveFromParticipants,
    /// Wait for the next round no longer.
    RemoveFromWaitList,
    /// Be a spare node no longer. The join starts afresh.
    RemoveFromRedundancyList,
    /// Give out the ranks.
    Complete,
    /// Let there be no more rounds.
    Close,
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The run is closed.
    Closed,
    /// The run is closed, and this node was a spare all along: no reason for alarm.
    ClosedWhileSpare,
    /// The deadline passed.
    Timeout,
}

impl Context<'_> {
    /// Whether nodes that wait become spares when a round is full.
    fn settles_losers(&self) -> bool {
        self.has_spares && self.settings.losers_become_spares
    }
}

impl View<'_> {
    fn is_participant(&self) -> bool {
        self.state.participants.contains_key(self.context.node)
    }

    fn is_late(&self) -> bool {
        self.context.now.mono > self.deadline
    }

    /// Whether the last heartbeat is as old as the interval. One from the future is too: our clock was set back. A
    /// listed node that has none needs one.
    #[must_use]
    pub fn heartbeat_due(&self) -> bool {
        match self.state.last_heartbeats.get(self.context.node) {
            Some(last) => {
                let age = self.context.now.wall.saturating_sub(*last);
                age >= micros(self.context.settings.keep_alive_interval) || age < 0
            }
            None => self.state.lists(self.context.node),
        }
    }

    fn keep_alive_or_wait(&self) -> Action {
        if self.heartbeat_due() { Action::KeepAlive } else { Action::Wait }
    }
}

/// The first part of joining again: leaving the round that this node is in.
#[must_use]
pub fn exit(view: &View<'_>) -> Action {
    match (view.is_participant(), view.is_late()) {
        (false, _) => Action::Finish,
        (true, false) => Action::RemoveFromParticipants,
        (true, true) => Action::Fail(Failure::Timeout),
    }
}

/// Getting into a round that completes.
#[must_use]
pub fn join(view: &View<'_>) -> Action {
    let View { state, context, .. } = *view;
    let Context { node, settings, .. } = context;
    let is_participant = view.is_participant();
    let is_waiting = state.wait_list.contains(node);
    let is_spare = state.redundancy_list.contains(node);
    let is_full = state.participants.len() >= settings.max_nodes;

    if state.closed {
        return Action::Fail(if is_spare { Failure::ClosedWhileSpare } else { Failure::Closed });
    }
    if is_spare {
        return if is_full { view.keep_alive_or_wait() } else { Action::RemoveFromRedundancyList };
    }
    if state.complete && is_participant {
        return Action::Finish;
    }
    if view.is_late() {
        return match (is_participant, is_waiting) {
            _ if context.now.mono > view.deadline + ROLLBACK => Action::Fail(Failure::Timeout),
            (true, _) => Action::RemoveFromParticipants,
            (false, true) => Action::RemoveFromWaitList,
            (false, false) => Action::Fail(Failure::Timeout),
        };
    }
    match (state.complete, is_participant) {
        (true, _) if is_waiting && !(is_full && context.settles_losers()) => view.keep_alive_or_wait(),
        (true, _) if !is_full => Action::AddToWaitList,
        (true, _) if context.has_spares => Action::AddToRedundancyList,
        (false, true) if view.last_call_over && state.deadline.is_some() && has_enough(state, settings) => {
            Action::Complete
        }
        (false, false) => Action::AddToParticipants,
        _ => view.keep_alive_or_wait(),
    }
}

/// Letting there be no more rounds.
#[must_use]
pub fn close(view: &View<'_>) -> Action {
    match (view.state.closed, view.is_late()) {
        (true, _) => Action::Finish,
        (false, false) => Action::Close,
        (false, true) => Action::Fail(Failure::Timeout),
    }
}

/// Writing a heartbeat, if one is due.
#[must_use]
pub fn keep_alive(view: &View<'_>) -> Action {
    match (view.heartbeat_due(), view.is_late()) {
        (false, _) => Action::Finish,
        (true, false) => Action::KeepAlive,
        (true, true) => Action::Fail(Failure::Timeout),
    }
}

/// Whether the round has as many participants as it may complete with.
#[must_use]
pub fn has_enough(state: &State, settings: &Settings) -> bool {
    (settings.min_nodes..=settings.max_nodes).contains(&state.participants.len())
}

/// Performs `action` on `state`. Actions that do nothing change nothing.
pub fn apply(action: Action, state: &mut State, context: &Context<'_>) {
    let Context { node, settings, now, .. } = *context;
    match action {
        Action::Finish | Action::Fail(_) | Action::Wait => return,
        Action::KeepAlive => {}
        Action::AddToParticipants => {
            state.wait_list.remove(node);
            state.participants.insert(node.clone(), 0);
            if state.participants.len() == settings.min_nodes {
                state.deadline = Some(now.wall.saturating_add(micros(settings.last_call_timeout)));
            }
            if state.participants.len() == settings.max_nodes {
                complete(state, context);
            }
        }
        Action::AddToWaitList => {
            state.redundancy_list.remove(node);
            state.wait_list.insert(node.clone());
        }
        Action::AddToRedundancyList => {
            state.wait_list.remove(node);
            state.redundancy_list.insert(node.clone());
        }
        Action::RemoveFromParticipants | Action::RemoveFromWaitList | Action::RemoveFromRedundancyList => {
            remove(state, std::iter::once(node), settings);
            return;
        }
        Action::Complete => {
            complete(state, context);
            return;
        }
        Action::Close => {
            state.closed = true;
            return;
        }
    }
    state.last_heartbeats.insert(node.clone(), now.wall);
}

/// Removes `nodes` from every list, with their heartbeats. For the dead, and for this node when it leaves.
///
/// When the last participant of a complete round goes, the next round begins; when an incomplete round has too few
/// left, its last call is called off.
pub fn remove<'a>(state: &mut State, nodes: impl Iterator<Item = &'a Node>, settings: &Settings) {
    let mut lost_participant = false;
    for node in nodes {
        lost_participant |= state.participants.remove(node).is_some();
        state.wait_list.remove(node);
        state.redundancy_list.remove(node);
        state.last_heartbeats.remove(node);
    }
    if !lost_participant {
        return;
    }
    if !state.complete {
        if state.participants.len() < settings.min_nodes {
            state.deadline = None;
        }
    } else if state.participants.is_empty() {
        state.complete = false;
        state.round = state.round.saturating_add(1);
        state.round_size = None;
    }
}

/// Gives out the ranks: 0, 1, … in the order of nodes. Those who did not get into a full round become spares, in the
/// same step: a launcher that saw them wait would start the next round.
fn complete(state: &mut State, context: &Context<'_>) {
    state.complete = true;
    state.deadline = None;
    let mut size = 0;
    for rank in state.participants.values_mut() {
        *rank = size;
        size += 1;
    }
    if state.participants.len() >= context.settings.max_nodes && context.settles_losers() {
        state.redundancy_list.append(&mut state.wait_list);
    }
    if context.settings.notes_round_size {
        state.round_size = Some(RoundSize { round: state.round, size });
    }
}

#[cfg(test)]
mod tests;
