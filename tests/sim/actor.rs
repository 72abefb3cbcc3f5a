//! One node's launcher: it joins, works, and joins again when members come or go.

use std::time::Duration;

use rdzv::handler::operation::Kind;
use rdzv::handler::state::{Node, Now, Settings};

use super::Time;
use super::brain::Brain;
use super::plan::NodePlan;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is no process.
    Off,
    /// It is in `next_rendezvous`.
    Joining,
    /// It has returned from that, and works.
    Working,
    /// It only closes the run.
    Closing,
    /// It has seen that the run is closed, and ended.
    Ended,
}

pub struct Actor {
    pub node: Node,
    pub brain: Brain,
    pub phase: Phase,
    pub kind: Kind,
    /// When the join began that is under way.
    pub attempt: Time,
    /// Counts processes: what was meant for an earlier one is void.
    pub process: u32,
    /// Counts what is waited for: an earlier wake-up is void.
    pub turn: u64,
    /// Whether a change of the state wakes it.
    pub is_watching: bool,
    pub stalled_until: Time,
    /// When it is to join again although it works.
    pub rejoin: Option<Time>,
    pub skew: i64,
    /// There is no process yet, but there will be: it has not begun, or its supervisor starts it again.
    pub is_coming: bool,
    is_python: bool,
    born: Time,
}

impl Actor {
    pub fn new(number: usize, plan: &NodePlan, settings: &Settings) -> Self {
        // Several handlers on one host, as the order of nodes goes by all three parts.
        let node = Node::new(format!("host-{}", number % 3), 100, number as i64);
        Self {
            brain: Brain::new(node.clone(), settings.clone(), plan.is_python),
            node,
            phase: Phase::Off,
            kind: Kind::Exit,
            attempt: 0,
            process: 0,
            turn: 0,
            is_watching: false,
            stalled_until: 0,
            rejoin: None,
            skew: plan.skew,
            is_coming: true,
            is_python: plan.is_python,
            born: 0,
        }
    }

    /// A new process of this node, with nothing in memory.
    pub fn start(&mut self, settings: &Settings, same_id: bool, now: Time) {
        self.process += 1;
        self.turn += 1;
        self.is_coming = false;
        if !same_id {
            self.node.pid += 1;
        }
        self.brain = Brain::new(self.node.clone(), settings.clone(), self.is_python);
        self.born = now;
        self.stalled_until = 0;
        self.rejoin = None;
    }

    pub fn now(&self, time: Time) -> Now {
        Now { mono: Duration::from_micros(time - self.born), wall: 1_700_000_000_000_000 + time as i64 + self.skew }
    }

    /// The time at which this actor's clock that never steps tells `mono`.
    pub fn time(&self, mono: Duration) -> Time {
        self.born + mono.as_micros() as Time
    }

    /// Begins a call of `next_rendezvous`.
    pub fn begin_join(&mut self, settings: &Settings, time: Time) {
        self.phase = Phase::Joining;
        self.attempt = time;
        self.rejoin = None;
        self.begin(Kind::Exit, self.now(time).mono + settings.join_timeout);
    }

    pub fn begin(&mut self, kind: Kind, deadline: Duration) {
        self.kind = kind;
        self.brain.begin(kind, deadline);
    }

    pub fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Joining | Phase::Working)
    }
}
