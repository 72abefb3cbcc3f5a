//! Who is alive, and when the last call is over: judged by what this node saw change, on its own clock.
//!
//! PyTorch compares other hosts' wall clocks with its own, so that a clock that is off by more than 15 s evicts the
//! living. Here the wall-clock times in the state are only watched: a node whose heartbeat *changes* is alive,
//! whatever time it tells.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::handler::state::{Node, Now, Settings, State, WallMicros, micros};

/// What this node has seen of the others, from one reading of the state to the next.
#[derive(Debug, Clone)]
pub struct Observer {
    window: Duration,
    interval: Duration,
    last_call_timeout: Duration,
    peers: BTreeMap<Node, Peer>,
    /// When the state was last read.
    last: Option<Now>,
    /// The round, where the last reading showed it incomplete and without a deadline.
    open_round: Option<u64>,
    call: Option<LastCall>,
}

#[derive(Debug, Clone)]
struct Peer {
    heartbeat: Option<WallMicros>,
    /// For how much observed time the heartbeat has not changed.
    silent: Duration,
    skew: Option<WallMicros>,
}

/// The last call of a round, as this node sees it.
#[derive(Debug, Clone, Copy)]
struct LastCall {
    round: u64,
    deadline: WallMicros,
    /// When it is over, on this node's clock.
    over: Duration,
}

impl Observer {
    /// An observer that has seen nothing yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            window: settings.window(),
            interval: settings.keep_alive_interval,
            last_call_timeout: settings.last_call_timeout,
            peers: BTreeMap::new(),
            last: None,
            open_round: None,
            call: None,
        }
    }

    /// Takes note of a state as it is stored at `now`, before anything is changed in it.
    pub fn observe(&mut self, state: &State, now: Now) {
        self.unchanged(now, |observer, last| {
            let mut peers = BTreeMap::new();
            for node in state.nodes() {
                let heartbeat = state.last_heartbeats.get(node).copied();
                let before = observer.peers.remove(node);
                let peer = match before {
                    Some(peer) if peer.heartbeat == heartbeat => peer,
                    before => {
                        let skew = heartbeat.zip(last).map(|(beat, last)| proven_skew(beat, last.wall, now.wall));
                        Peer { heartbeat, silent: Duration::ZERO, skew: skew.or(before.and_then(|peer| peer.skew)) }
                    }
                };
                peers.insert(node.clone(), peer);
            }
            observer.peers = peers;
            observer.note_last_call(state, now, last);
        });
    }

    /// Takes note that what was last observed is still stored at `now`.
    pub fn observe_unchanged(&mut self, now: Now) {
        self.unchanged(now, |_, _| {});
    }

    /// Lets time pass, then `look`s at what is new; that is given the time of the last look.
    ///
    /// A gap between two readings counts for one heartbeat interval at the most: while this node could not read (it was
    /// stopped, or etcd was away), the others may have been unable to write.
    fn unchanged(&mut self, now: Now, look: impl FnOnce(&mut Self, Option<Now>)) {
        let last = self.last.replace(now);
        if let Some(last) = last {
            let passed = now.mono.saturating_sub(last.mono).min(self.interval);
            self.peers.values_mut().for_each(|peer| peer.silent += passed);
        }
        look(self, last);
    }

    /// Works out when the last call is over.
    ///
    /// The deadline is a time of another host's clock, and is taken at its word only as far as it can be true: that
    /// the call lasts longer than `last_call_timeout`, or was over when it was made, cannot.
    fn note_last_call(&mut self, state: &State, now: Now, last: Option<Now>) {
        let deadline = state.deadline.filter(|_| !state.complete);
        let just_made = self.open_round == Some(state.round)
            && last.is_some_and(|last| now.mono.saturating_sub(last.mono) < self.last_call_timeout);
        self.open_round = (!state.complete && deadline.is_none()).then_some(state.round);
        let Some(deadline) = deadline else {
            self.call = None;
            return;
        };
        if self.call.is_some_and(|call| (call.round, call.deadline) == (state.round, deadline)) {
            return;
        }
        let left = match u64::try_from(deadline.saturating_sub(now.wall)) {
            Ok(left) => Duration::from_micros(left).min(self.last_call_timeout),
            Err(_) if just_made => self.last_call_timeout,
            Err(_) => Duration::ZERO,
        };
        self.call = Some(LastCall { round: state.round, deadline, over: now.mono + left });
    }

    /// The nodes whose heartbeat has not changed within the window; never `this_node`, which is alive.
    pub fn dead(&self, this_node: &Node) -> impl Iterator<Item = &Node> {
        self.others(this_node).filter(|(_, peer)| peer.silent >= self.window).map(|(node, _)| node)
    }

    /// In how long the next node is dead, if nothing changes and the state is read often enough.
    #[must_use]
    pub fn next_death(&self, this_node: &Node) -> Option<Duration> {
        self.others(this_node).map(|(_, peer)| self.window.saturating_sub(peer.silent)).min()
    }

    fn others(&self, this_node: &Node) -> impl Iterator<Item = (&Node, &Peer)> {
        self.peers.iter().filter(move |(node, _)| *node != this_node)
    }

    /// When the last call that was last observed is over, on this node's clock; `None` where there is none.
    #[must_use]
    pub fn last_call_over(&self) -> Option<Duration> {
        self.call.map(|call| call.over)
    }

    /// For how much observed time the heartbeat of `node` has not changed; `None` where it was never seen.
    #[must_use]
    pub fn silence(&self, node: &Node) -> Option<Duration> {
        self.peers.get(node).map(|peer| peer.silent)
    }

    /// By how many microseconds the clock of `node` is ahead of ours (behind, where negative), as far as one of its
    /// heartbeats proves it; `None` before the first heartbeat that was seen to arrive.
    #[must_use]
    pub fn skew(&self, node: &Node) -> Option<WallMicros> {
        self.peers.get(node).and_then(|peer| peer.skew)
    }

    /// The largest proven skew, ahead or behind, of the nodes in the state.
    #[must_use]
    pub fn largest_skew(&self) -> WallMicros {
        self.peers.values().filter_map(|peer| peer.skew).max_by_key(|skew| skew.saturating_abs()).unwrap_or(0)
    }

    /// Whether the largest skew is so large that PyTorch nodes take the living for dead.
    #[must_use]
    pub fn skew_endangers_python(&self) -> bool {
        self.largest_skew().saturating_abs() > micros(self.window.saturating_sub(self.interval))
    }
}

/// The skew that a heartbeat proves which arrived between two readings of our clock.
fn proven_skew(heartbeat: WallMicros, from: WallMicros, to: WallMicros) -> WallMicros {
    let (least, most) = (heartbeat.saturating_sub(to), heartbeat.saturating_sub(from));
    if least > 0 { least } else { most.min(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: WallMicros = 1_000_000;

    fn at(seconds: u64) -> Now {
        Now { mono: Duration::from_secs(seconds), wall: 1000 * S + S * i64::try_from(seconds).unwrap() }
    }

    fn node(number: i64) -> Node {
        Node::new("n", number, 0)
    }

    fn state(beats: &[(i64, WallMicros)]) -> State {
        let mut state = State::default();
        for (number, beat) in beats {
            state.participants.insert(node(*number), 0);
            state.last_heartbeats.insert(node(*number), *beat);
        }
        state
    }

    fn dead(observer: &Observer) -> Vec<i64> {
        observer.dead(&node(0)).map(|node| node.pid).collect()
    }

    #[test]
    fn the_silent_are_dead_and_the_skewed_are_not() {
        let mut observer = Observer::new(&Settings::new(1, 4));
        for step in 0..=3u32 {
            let beat = i64::from(step);
            // Node 1 has a clock that stands in 1970; node 2 says nothing new; node 0 is this node.
            observer.observe(&state(&[(0, 7), (1, beat), (2, 1000 * S)]), at(u64::from(step) * 5));
        }
        assert_eq!(dead(&observer), [2]);
        assert_eq!(observer.silence(&node(1)), Some(Duration::ZERO));
        assert_eq!(observer.next_death(&node(2)), Some(Duration::ZERO));
        observer.observe(&state(&[(0, 7), (1, 3), (2, 1001 * S)]), at(20));
        assert_eq!(dead(&observer), [0; 0]);
        assert_eq!(observer.next_death(&node(0)), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_gap_counts_for_one_interval() {
        let mut observer = Observer::new(&Settings::new(1, 4));
        observer.observe(&state(&[(1, 5)]), at(0));
        for second in [100, 200] {
            observer.observe(&state(&[(1, 5)]), at(second));
            assert_eq!(dead(&observer), [0; 0]);
        }
        observer.observe_unchanged(at(205));
        assert_eq!(dead(&observer), [1]);
    }

    #[test]
    fn a_listed_node_without_heartbeat_is_silent() {
        let mut observer = Observer::new(&Settings::new(1, 4));
        let mut state = state(&[(1, 5)]);
        state.last_heartbeats.clear();
        (0..4).for_each(|step| observer.observe(&state, at(step * 5)));
        assert_eq!(dead(&observer), [1]);
    }

    #[test]
    fn skew_is_what_is_proven() {
        let mut observer = Observer::new(&Settings::new(1, 4));
        observer.observe(&state(&[(1, 0), (2, 0), (3, 0)]), at(0));
        assert_eq!(observer.skew(&node(1)), None);
        observer.observe(&state(&[(1, 1003 * S), (2, 1065 * S), (3, 985 * S)]), at(5));
        assert_eq!([1, 2, 3].map(|number| observer.skew(&node(number)).unwrap()), [0, 60 * S, -15 * S]);
        assert_eq!(observer.largest_skew(), 60 * S);
        assert!(observer.skew_endangers_python());
        observer.observe(&state(&[(1, 1003 * S)]), at(6));
        assert!(!observer.skew_endangers_python());
    }

    #[test]
    fn the_last_call_is_taken_at_its_word_where_that_can_be_true() {
        let over = |first: Option<u64>, made: u64, deadline: WallMicros| {
            let mut observer = Observer::new(&Settings::new(1, 4));
            if let Some(first) = first {
                observer.observe(&state(&[]), at(first));
            }
            let called = State { deadline: Some(deadline), ..State::default() };
            observer.observe(&called, at(made));
            observer.observe(&called, at(made + 1));
            observer.last_call_over().map(|over| over.as_secs())
        };
        assert_eq!(over(None, 10, 1025 * S), Some(25));
        // By a clock that is an hour ahead.
        assert_eq!(over(None, 10, 4625 * S), Some(40));
        // Long past when it is first seen; a node that saw the round before it knows better.
        assert_eq!(over(None, 10, 900 * S), Some(10));
        assert_eq!(over(Some(9), 10, 900 * S), Some(40));
        assert_eq!(over(Some(9), 100, 900 * S), Some(100));
    }

    #[test]
    fn a_completed_round_has_no_last_call() {
        let mut observer = Observer::new(&Settings::new(1, 4));
        observer.observe(&State { deadline: Some(0), ..State::default() }, at(0));
        assert!(observer.last_call_over().is_some());
        observer.observe(&State { complete: true, ..State::default() }, at(1));
        assert_eq!(observer.last_call_over(), None);
    }
}
