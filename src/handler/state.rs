//! The shared state of one run, the nodes in it, and the settings of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::handler::pickle::{Attributes, Dialect};
use crate::{Error, Result};

/// A time of some host's wall clock: microseconds since 1970-01-01 00:00 UTC.
pub type WallMicros = i64;

/// One moment, on the two clocks of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// A clock that never steps, from any fixed origin. All waiting is measured on it.
    pub mono: Duration,
    /// The wall clock, which other hosts need not share.
    pub wall: WallMicros,
}

/// One handler in one process on one host. Ordered as the tuple of its fields, which is the order of ranks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The address other nodes reach this one by: the option `local_addr`, else the host's name.
    pub addr: Arc<str>,
    /// The process id.
    pub pid: i64,
    /// Counts the handlers within the process, from 0.
    pub local_id: i64,
}

impl Node {
    /// A node by its three fields.
    pub fn new(addr: impl Into<Arc<str>>, pid: i64, local_id: i64) -> Self {
        Self { addr: addr.into(), pid, local_id }
    }
}

/// How many participants a round had when it completed.
///
/// Kept in the state beside PyTorch's attributes, and carried along by Python nodes unread: without it a node that is
/// slow to read the completed round cannot tell that a member has already left it, and would report a smaller world
/// than its peers did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundSize {
    /// The round that this is about.
    pub round: u64,
    /// The number of its participants.
    pub size: u64,
}

/// The blob that all nodes of a run share. The default is the state of a run that nobody has joined yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The number of the current round, from 0.
    pub round: u64,
    /// Whether the current round has its final participants.
    pub complete: bool,
    /// When an incomplete round with enough participants completes, on the wall clock of whoever set it.
    pub deadline: Option<WallMicros>,
    /// Whether there will be no more rounds.
    pub closed: bool,
    /// The participants and their ranks, which are all 0 until the round completes.
    pub participants: BTreeMap<Node, u64>,
    /// Nodes that want into the next round.
    pub wait_list: BTreeSet<Node>,
    /// Spare nodes: the round is full, they wait without disturbing it.
    pub redundancy_list: BTreeSet<Node>,
    /// Each node's last heartbeat, on its own wall clock.
    pub last_heartbeats: BTreeMap<Node, WallMicros>,
    /// How many participants a round completed with, where one of our nodes completed it.
    pub round_size: Option<RoundSize>,
    /// What a newer PyTorch keeps in the state and this version does not know. Written back as it was read.
    pub unknown: Attributes,
    /// Likewise for single nodes.
    pub unknown_of_nodes: BTreeMap<Node, Attributes>,
}

impl State {
    /// Whether `node` is in one of the three lists.
    #[must_use]
    pub fn lists(&self, node: &Node) -> bool {
        self.participants.contains_key(node) || self.wait_list.contains(node) || self.redundancy_list.contains(node)
    }

    /// All nodes that the state mentions, in order.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<&Node> {
        let listed = self.participants.keys().chain(&self.wait_list).chain(&self.redundancy_list);
        listed.chain(self.last_heartbeats.keys()).collect()
    }

    /// The number of participants the current round completed with, members that have left since included.
    ///
    /// Where a Python node completed the round, the leaving of the members with the highest ranks goes unnoticed.
    #[must_use]
    pub fn world_size(&self) -> u64 {
        if let Some(noted) = self.round_size.filter(|noted| noted.round == self.round) {
            return noted.size;
        }
        let present = u64::try_from(self.participants.len()).unwrap_or(u64::MAX);
        let ranked = if self.complete { self.participants.values().max().map_or(0, |rank| rank + 1) } else { 0 };
        present.max(ranked)
    }
}

/// What a run is configured with. All nodes of a run should have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A round needs this many participants. At least 1.
    pub min_nodes: usize,
    /// A round takes no more than this many. At least `min_nodes`.
    pub max_nodes: usize,
    /// How long joining may take. Defaults to 600 s.
    pub join_timeout: Duration,
    /// How long a round that has `min_nodes` goes on waiting for more. Defaults to 30 s.
    pub last_call_timeout: Duration,
    /// How long closing may take. Defaults to 30 s.
    pub close_timeout: Duration,
    /// How long one heartbeat may take. Defaults to 5 s.
    pub heartbeat_timeout: Duration,
    /// How often a node writes its heartbeat. Defaults to 5 s.
    pub keep_alive_interval: Duration,
    /// After how many missed heartbeats a node is dead. Defaults to 3.
    pub keep_alive_max_attempt: u32,
    /// The form in which the first node of a run stores the state. Defaults to the newest.
    pub dialect: Dialect,
    /// Whether to note the size of a round in the state ([`RoundSize`]). Defaults to true.
    pub notes_round_size: bool,
    /// Whether a waiting node becomes a spare when the round that completes is full. Defaults to true.
    ///
    /// PyTorch's goes on waiting for the next round. Its launchers start that at once, because a node waits; another
    /// node is left over, and so on for ever: with one node more than `max_nodes`, the job never gets to work.
    pub losers_become_spares: bool,
}

impl Settings {
    /// The defaults, for rounds of `min_nodes` to `max_nodes` participants.
    #[must_use]
    pub fn new(min_nodes: usize, max_nodes: usize) -> Self {
        Self {
            min_nodes,
            max_nodes,
            join_timeout: Duration::from_secs(600),
            last_call_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(5),
            keep_alive_max_attempt: 3,
            dialect: Dialect::default(),
            notes_round_size: true,
            losers_become_spares: true,
        }
    }

    /// A node whose heartbeat has not changed for this long is dead.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.keep_alive_interval.saturating_mul(self.keep_alive_max_attempt)
    }

    /// Checks that the settings can work.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where a number of nodes is out of range, or a time is not positive.
    pub fn check(&self) -> Result<()> {
        let Self { min_nodes, max_nodes, .. } = self;
        if *min_nodes < 1 {
            let text = format!("The minimum number of nodes ({min_nodes}) must be greater than zero.");
            return Err(Error::InvalidArgument(text));
        }
        if max_nodes < min_nodes {
            return Err(Error::InvalidArgument(format!(
                "The maximum number of nodes ({max_nodes}) must be greater than or equal to the minimum number of \
                 nodes ({min_nodes})."
            )));
        }
        let times = [
            ("join timeout", self.join_timeout),
            ("last_call timeout", self.last_call_timeout),
            ("close timeout", self.close_timeout),
            ("heartbeat timeout", self.heartbeat_timeout),
            ("keep-alive interval", self.keep_alive_interval),
        ];
        if let Some((name, time)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Err(Error::InvalidArgument(format!("The {name} ({time:?}) must be positive.")));
        }
        if self.keep_alive_max_attempt == 0 {
            return Err(Error::InvalidArgument("The keep-alive attempts (0) must be positive.".into()));
        }
        Ok(())
    }
}

/// `time` in microseconds, the unit of the wall clock.
pub(crate) fn micros(time: Duration) -> WallMicros {
    WallMicros::try_from(time.as_micros()).unwrap_or(WallMicros::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_ordered_as_tuples() {
        let mut nodes = [Node::new("b", 1, 0), Node::new("a", 10, 0), Node::new("a", 9, 2), Node::new("a", 9, 1)];
        nodes.sort();
        assert_eq!(nodes, [Node::new("a", 9, 1), Node::new("a", 9, 2), Node::new("a", 10, 0), Node::new("b", 1, 0)]);
    }

    #[test]
    fn world_size_counts_members_that_left() {
        let mut state = State { complete: true, round: 2, ..State::default() };
        for rank in [0, 2] {
            state.participants.insert(Node::new("a", 0, i64::try_from(rank).unwrap()), rank);
        }
        assert_eq!(state.world_size(), 3);
        state.round_size = Some(RoundSize { round: 2, size: 5 });
        assert_eq!(state.world_size(), 5);
        state.round_size = Some(RoundSize { round: 1, size: 5 });
        assert_eq!(state.world_size(), 3);
    }

    #[test]
    fn settings_are_checked() {
        assert!(Settings::new(1, 1).check().is_ok());
        let text = |settings: Settings| settings.check().unwrap_err().to_string();
        assert_eq!(text(Settings::new(0, 1)), "The minimum number of nodes (0) must be greater than zero.");
        assert_eq!(
            text(Settings::new(2, 1)),
            "The maximum number of nodes (1) must be greater than or equal to the minimum number of nodes (2)."
        );
        let no_time = Settings { last_call_timeout: Duration::ZERO, ..Settings::new(1, 2) };
        assert_eq!(text(no_time), "The last_call timeout (0ns) must be positive.");
    }
}
