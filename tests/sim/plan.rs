//! What happens in a history, as far as it is decided beforehand.

use std::time::Duration;

use rdzv::handler::pickle::Dialect;
use rdzv::handler::state::Settings;

use super::dice::Dice;
use super::{SECOND, Time};

/// A deliberate fault, to show that the invariants notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// Nobody is ever taken for dead.
    NoSanitise,
    /// Who misses one heartbeat is taken for dead.
    HastyEviction,
    /// Peers are judged by their wall clocks, as PyTorch does, where clocks are off.
    WallClock,
    /// The store takes every write, whatever its token.
    BlindWrites,
    /// A write that lost is taken for one that won.
    LostIsWon,
    /// A write whose fate is open is taken for one that won.
    UnknownIsWon,
    /// A node does not see that the run is closed.
    ClosedUnseen,
    /// One node believes that rounds may be larger.
    LargerRounds,
    /// One node believes that rounds may be smaller.
    SmallerRounds,
    /// The size of a round is not noted in the state.
    SizeUnnoted,
    /// Nobody beats its heart once it has joined.
    SilentMembers,
    /// Attributes that the library does not know get lost.
    UnknownForgotten,
    /// No fault of ours: who is left waiting by a full round goes on waiting, as in PyTorch.
    RestlessLosers,
}

impl Mutation {
    pub const FAULTS: [Self; 13] = [
        Self::NoSanitise,
        Self::HastyEviction,
        Self::WallClock,
        Self::BlindWrites,
        Self::LostIsWon,
        Self::UnknownIsWon,
        Self::ClosedUnseen,
        Self::LargerRounds,
        Self::SmallerRounds,
        Self::SizeUnnoted,
        Self::SilentMembers,
        Self::UnknownForgotten,
        Self::RestlessLosers,
    ];
}

/// What happens to one node by itself.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// Its process ends without a word; it may come back, as another process or under the same id.
    Crash { back: Option<Time>, same_id: bool },
    /// Its process does nothing for a while.
    Stall(Time),
    /// Its wall clock is set.
    ClockStep(i64),
    /// Its workers fail: the launcher joins again.
    WorkersFail,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodePlan {
    pub start: Time,
    pub skew: i64,
    /// It behaves like PyTorch's own: polls, judges by wall clocks, notes no sizes.
    pub is_python: bool,
    pub fates: Vec<(Time, Fate)>,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub mutation: Mutation,
    pub settings: Settings,
    pub dialect: Dialect,
    /// Until when things go wrong. After that, nothing does.
    pub quiet: Time,
    pub end: Time,
    pub nodes: Vec<NodePlan>,
    pub close: Option<Time>,
    /// When the store cannot be reached.
    pub outages: Vec<(Time, Time)>,
    pub latency: Time,
    pub request_loss: u64,
    pub reply_loss: u64,
    /// A write that is given up may be applied much later.
    pub late_writes: u64,
    pub watch_loss: u64,
    /// The state goes through its bytes on every read and write.
    pub pickled: bool,
    /// A Python node of a newer version has left an attribute that the library does not know.
    pub unknown: bool,
}

impl Plan {
    #[must_use]
    pub fn new(seed: u64, mutation: Mutation) -> Self {
        let mut dice = Dice::new(seed);
        let min_nodes = dice.range(1, 4) as usize;
        let max_nodes = min_nodes + dice.range(0, 3) as usize;
        let mut settings = Settings::new(min_nodes, max_nodes);
        let (last_call, join) = dice.pick(&[(1, 60), (1, 60), (5, 60), (5, 90), (30, 120), (30, 600)]);
        settings.last_call_timeout = Duration::from_secs(last_call);
        settings.join_timeout = Duration::from_secs(join);
        let dialect = if dice.chance(15) { Dialect::TORCH_2_0 } else { Dialect::TORCH_2_6 };
        let quiet = dice.pick(&[5, 30, 90, 200]) * SECOND + dice.within(30 * SECOND);
        let calm = dice.chance(20);
        let has_python = dice.chance(20) || mutation == Mutation::WallClock;
        let skew = match (has_python, mutation) {
            (_, Mutation::WallClock) => dice.pick(&[20, 3600]) * SECOND,
            (true, _) => SECOND / 2,
            (false, _) => dice.pick(&[0, SECOND, 12 * SECOND, 3600 * SECOND]),
        };
        let count = dice.range(1, max_nodes as u64 + 3);
        let mut nodes = Vec::new();
        for number in 0..count {
            let late = dice.chance(25);
            let start = if number > 0 && late { dice.within(quiet) } else { dice.within(SECOND / 2) };
            let is_python = mutation == Mutation::WallClock || (has_python && dice.chance(50));
            let fates = if calm { Vec::new() } else { fates(&mut dice, quiet, skew) };
            nodes.push(NodePlan { start, skew: dice.signed(skew), is_python, fates });
        }
        let mut outages = Vec::new();
        while !calm && dice.chance(30) {
            let from = dice.within(quiet);
            outages.push((from, (from + dice.within(30 * SECOND)).min(quiet)));
        }
        let loss = if calm { 0 } else { dice.pick(&[0, 2, 10, 25]) };
        Self {
            seed,
            mutation,
            end: quiet + (join + 60) * SECOND,
            settings,
            dialect,
            quiet,
            nodes,
            close: dice.chance(15).then(|| dice.within(quiet)),
            outages,
            latency: dice.pick(&[300, 3_000, 30_000]),
            request_loss: loss / 2,
            reply_loss: loss,
            late_writes: loss / 2,
            watch_loss: dice.pick(&[0, 10, 50, 100]),
            pickled: dice.chance(5),
            unknown: dice.chance(10),
        }
    }
}

fn fates(dice: &mut Dice, quiet: Time, skew: u64) -> Vec<(Time, Fate)> {
    let mut fates = Vec::new();
    while dice.chance(45) {
        let fate = match dice.range(0, 9) {
            0..=3 => Fate::Crash {
                back: dice.chance(60).then(|| dice.within(quiet.min(20 * SECOND))),
                same_id: dice.chance(25),
            },
            4..=5 => Fate::Stall(dice.pick(&[1, 8, 14, 40]) * SECOND),
            6 => Fate::ClockStep(dice.signed(skew)),
            _ => Fate::WorkersFail,
        };
        fates.push((dice.within(quiet), fate));
    }
    fates
}
