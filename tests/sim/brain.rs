//! What decides for a node: the library, or a likeness of PyTorch's own handler.

use std::time::Duration;

use rdzv::handler::machine::{self, Action, Context, View};
use rdzv::handler::operation::{Kind, Operation, Step};
use rdzv::handler::pickle::Dialect;
use rdzv::handler::replica::Replica;
use rdzv::handler::state::{Node, Now, Settings, State};

/// What a node is told when it has joined.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    pub round: u64,
    pub rank: u64,
    pub size: u64,
    /// Whether a member has left since, as far as the node can tell.
    pub is_broken: bool,
}

pub enum Brain {
    Library { replica: Box<Replica>, operation: Operation },
    Python(Box<Python>),
}

/// PyTorch's handler, where it differs: it judges by wall clocks, polls, and never backs off.
pub struct Python {
    node: Node,
    settings: Settings,
    state: State,
    dialect: Dialect,
    token: Option<u64>,
    is_current: bool,
    kind: Kind,
    deadline: Duration,
}

impl Brain {
    pub fn new(node: Node, mut settings: Settings, is_python: bool) -> Self {
        let operation = Operation::with_deadline(Kind::Exit, Duration::ZERO);
        if !is_python {
            return Self::Library { replica: Box::new(Replica::new(node, settings)), operation };
        }
        settings.notes_round_size = false;
        settings.losers_become_spares = false;
        let dialect = settings.dialect;
        let (state, token) = (State::default(), None);
        let (kind, deadline) = (Kind::Exit, Duration::ZERO);
        Self::Python(Box::new(Python { node, settings, state, dialect, token, is_current: false, kind, deadline }))
    }

    pub fn begin(&mut self, kind: Kind, begun: Duration) {
        match self {
            Self::Library { operation, .. } => *operation = Operation::with_deadline(kind, begun),
            Self::Python(python) => (python.kind, python.deadline) = (kind, begun),
        }
    }

    pub fn next(&mut self, now: Now, dice: u64) -> Step {
        match self {
            Self::Library { replica, operation } => operation.next(replica, now, dice),
            Self::Python(python) => python.next(now),
        }
    }

    pub fn adopt(&mut self, state: State, dialect: Dialect, token: Option<u64>, now: Now) {
        match self {
            Self::Library { replica, .. } => replica.adopt(state, dialect, token, now),
            Self::Python(python) => python.adopt(state, dialect, token, now),
        }
    }

    pub fn stored(&mut self, token: u64, now: Now) {
        match self {
            Self::Library { replica, .. } => replica.stored(token, now),
            Self::Python(python) => {
                python.adopt(python.state.clone(), python.dialect, Some(token), now);
            }
        }
    }

    pub fn confirm(&mut self, now: Now) {
        match self {
            Self::Library { replica, .. } => replica.confirm(now),
            Self::Python(python) => python.is_current = true,
        }
    }

    pub fn lost(&mut self) {
        if let Self::Library { operation, .. } = self {
            operation.lost();
        }
    }

    pub fn doubt(&mut self) {
        match self {
            Self::Library { replica, .. } => replica.doubt(),
            Self::Python(python) => python.is_current = false,
        }
    }

    pub fn state(&self) -> &State {
        match self {
            Self::Library { replica, .. } => replica.state(),
            Self::Python(python) => &python.state,
        }
    }

    pub fn token(&self) -> Option<u64> {
        match self {
            Self::Library { replica, .. } => replica.token(),
            Self::Python(python) => python.token,
        }
    }

    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Library { replica, .. } => replica.dialect(),
            Self::Python(python) => python.dialect,
        }
    }

    pub fn deadline(&self) -> Duration {
        match self {
            Self::Library { operation, .. } => operation.deadline(),
            Self::Python(python) => python.deadline,
        }
    }

    pub fn is_python(&self) -> bool {
        matches!(self, Self::Python(_))
    }

    pub fn next_heartbeat(&self, now: Now) -> Option<Duration> {
        match self {
            Self::Library { replica, .. } => replica.next_heartbeat(now),
            Self::Python(python) => Some(now.mono + python.settings.keep_alive_interval),
        }
    }

    /// This node's place in the round it is in.
    pub fn told(&self) -> Option<Told> {
        match self {
            Self::Library { replica, .. } => replica.place().map(|place| Told {
                round: place.round,
                rank: place.rank,
                size: place.world_size,
                is_broken: place.missing > 0,
            }),
            Self::Python(python) => {
                let state = &python.state;
                let rank = *state.participants.get(&python.node)?;
                let size = state.participants.len() as u64;
                state.complete.then_some(Told { round: state.round, rank, size, is_broken: false })
            }
        }
    }
}

impl Python {
    fn next(&mut self, now: Now) -> Step {
        if !std::mem::take(&mut self.is_current) {
            return Step::Read;
        }
        let has_spares = self.dialect.redundancy_list;
        let context = Context { node: &self.node, settings: &self.settings, has_spares, now };
        let last_call_over = self.state.deadline.is_some_and(|deadline| deadline < now.wall);
        let view = View { state: &self.state, context, deadline: self.deadline, last_call_over };
        let action = match self.kind {
            Kind::Exit => machine::exit(&view),
            Kind::Join => machine::join(&view),
            Kind::Close => machine::close(&view),
            Kind::KeepAlive => machine::keep_alive(&view),
        };
        match action {
            Action::Finish => Step::Finished,
            Action::Fail(failure) => Step::Failed(failure),
            Action::Wait => Step::Wait { until: now.mono + Duration::from_secs(1) },
            _ => {
                if action == Action::RemoveFromRedundancyList {
                    self.deadline = now.mono + self.settings.join_timeout;
                }
                machine::apply(action, &mut self.state, &context);
                Step::Write
            }
        }
    }

    fn adopt(&mut self, state: State, dialect: Dialect, token: Option<u64>, now: Now) {
        (self.state, self.dialect, self.token, self.is_current) = (state, dialect, token, true);
        let window = i64::try_from(self.settings.window().as_micros()).unwrap();
        let beats = self.state.last_heartbeats.iter();
        let dead: Vec<Node> =
            beats.filter(|(_, beat)| **beat < now.wall - window).map(|(node, _)| node.clone()).collect();
        machine::remove(&mut self.state, dead.iter(), &self.settings);
    }
}
