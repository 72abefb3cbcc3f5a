//! How often a node looks at the state while others change it.
//!
//! Most changes mean nothing to a node that waits: that the 17th of 256 has joined, or that somebody has written a
//! heartbeat. If each woke all who wait, n nodes would read the state, which has the size of n nodes, n² times.

use std::time::Duration;

use crate::handler::machine::View;
use crate::handler::state::State;

/// With so few changes to come, the next one may be the one that counts: it is watched for.
const FEW: usize = 2;
/// How long one change takes, before it was seen.
const USUAL: Duration = Duration::from_millis(1);
/// The least that one change is taken to need.
const QUICKEST: Duration = Duration::from_micros(200);
/// The longest pause, for each node that is there or to come, where etcd is quick: for few nodes it is never a long one.
const LONGEST: Duration = Duration::from_millis(4);
/// The longest pause at all.
const LONGEST_OF_ALL: Duration = Duration::from_secs(5);

/// What a node has seen of the others' speed.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    last: Option<Look>,
    /// How many looks in a row have shown a change, but not one that was waited for.
    idle: u32,
}

/// A look at the state, as far as a node that waits is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    at: Duration,
    token: Option<u64>,
    round: u64,
    complete: bool,
    to_come: usize,
}

impl Pace {
    /// How long to let others go on before the next look, for a node that has decided to wait after it read `view` under
    /// `token`, where `is_own` says whether it has written that itself, and a read takes `round_trip`. None where it is to watch
    /// for the next change.
    pub(super) fn pause(
        &mut self,
        view: &View<'_>,
        token: Option<u64>,
        is_own: bool,
        round_trip: Duration,
    ) -> Option<Duration> {
        let State { round, complete, .. } = *view.state;
        let look = Look { at: view.context.now.mono, token, round, complete, to_come: to_come(view) };
        let last = self.last.replace(look);
        if last.is_some_and(|last| last.token == token) {
            return None;
        }
        let progress = match last {
            Some(last) if (last.round, last.complete) == (round, complete) => last.to_come.abs_diff(look.to_come),
            _ => 1,
        };
        if progress == 0 && is_own {
            return None;
        }
        let there = count(crowd(view.state));
        // All together are not to ask for more than etcd can answer.
        let all = there.saturating_add(count(look.to_come));
        let longest = LONGEST.max(round_trip * 2).saturating_mul(all).min(LONGEST_OF_ALL);
        if progress == 0 {
            // Heartbeats, most likely: of as many nodes as there are.
            let pause = USUAL.max(round_trip).saturating_mul(there << self.idle.min(2)).min(longest);
            self.idle = self.idle.saturating_add(1);
            return Some(pause);
        }
        self.idle = 0;
        if look.to_come <= FEW {
            return None;
        }
        let took = last.map_or(USUAL, |last| look.at.saturating_sub(last.at) / count(progress)).max(QUICKEST);
        // Not for all of them: the last is not to find everybody asleep.
        Some((took.saturating_mul(count(look.to_come)) / 4 * 3).min(longest))
    }
}

/// How many nodes must come, or go, before it matters to a node that waits.
fn to_come(view: &View<'_>) -> usize {
    let (state, settings) = (view.state, view.context.settings);
    let there = state.participants.len();
    match state.complete {
        // A spare waits for one to leave, the others for all.
        true if state.redundancy_list.contains(view.context.node) => 1,
        true => there,
        false if there < settings.min_nodes => settings.min_nodes - there,
        false => settings.max_nodes.saturating_sub(there),
    }
}

/// How many nodes there are.
pub(super) fn crowd(state: &State) -> usize {
    state.participants.len() + state.wait_list.len() + state.redundancy_list.len()
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).clamp(1, 1 << 20)
}
