//! This node's copy of the shared state, with the token that it was read under.

use std::time::Duration;

use crate::handler::liveness::Observer;
use crate::handler::machine::{self, Context, View};
use crate::handler::pickle::{self, Dialect};
use crate::handler::state::{Node, Now, Settings, State, micros};
use crate::{Error, Result};

/// One node's copy of the shared state.
///
/// It is *current* right after it was read or written; a decision is only made from a current copy, and uses it up.
#[derive(Debug, Clone)]
pub struct Replica {
    node: Node,
    settings: Settings,
    state: State,
    dialect: Dialect,
    token: Option<u64>,
    is_current: bool,
    /// It holds a change that was not stored.
    is_changed: bool,
    observer: Observer,
    dead: Vec<Node>,
}

/// What a node that joined a round is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The round.
    pub round: u64,
    /// This node's rank.
    pub rank: u64,
    /// How many participants the round completed with.
    pub world_size: u64,
    /// How many of them have left already. Not 0 means that the round is broken: join again.
    pub missing: u64,
}

impl Replica {
    /// The copy of a node that has read nothing yet.
    #[must_use]
    pub fn new(node: Node, settings: Settings) -> Self {
        Self {
            node,
            state: State::default(),
            dialect: settings.dialect,
            token: None,
            is_current: false,
            is_changed: false,
            observer: Observer::new(&settings),
            settings,
            dead: Vec::new(),
        }
    }

    /// Takes what etcd holds as the copy: what a read returned, or what came back from a write that lost. `None` is
    /// a run that nobody has joined yet.
    ///
    /// # Errors
    ///
    /// [`Error::State`] where the bytes are not a state; the copy stays as it was, and is no longer current.
    pub fn load(&mut self, stored: Option<(&[u8], u64)>, now: Now) -> Result<()> {
        self.is_current = false;
        let Some((bytes, token)) = stored else {
            self.adopt(State::default(), self.dialect, None, now);
            return Ok(());
        };
        if self.is_known(token) {
            self.confirm(now);
            return Ok(());
        }
        // What the bytes leave open of the dialect is as it was seen last.
        let (state, dialect) = pickle::decode(bytes, self.dialect).map_err(Error::from)?;
        self.adopt(state, dialect, Some(token), now);
        Ok(())
    }

    /// Whether what is stored under `token` is what the copy was made from.
    fn is_known(&self, token: u64) -> bool {
        self.token == Some(token) && !self.is_changed
    }

    /// [`Replica::load`] of a state that is already decoded.
    pub fn adopt(&mut self, state: State, dialect: Dialect, token: Option<u64>, now: Now) {
        if token.is_some_and(|token| self.is_known(token)) {
            return self.confirm(now);
        }
        self.observer.observe(&state, now);
        self.state = state;
        self.dialect = dialect;
        self.token = token;
        self.is_changed = false;
        self.sanitise();
    }

    /// The copy was stored, under `token`.
    pub fn stored(&mut self, token: u64, now: Now) {
        self.observer.observe(&self.state, now);
        self.token = Some(token);
        self.is_changed = false;
        self.sanitise();
    }

    /// What etcd holds is, at `now`, still what was read or written last: a watch said so, or an equal token. Or so
    /// little time has passed that it is as good: a join may begin from what the exit before it has just read.
    ///
    /// Must not be used while the copy holds changes that were not stored.
    pub fn confirm(&mut self, now: Now) {
        self.observer.observe_unchanged(now);
        self.sanitise();
    }

    /// What etcd holds is probably what was read or written last: good enough to write a heartbeat on, which is stored
    /// only if it is so. Says nothing about who lives, since etcd may have been silent.
    pub fn presume(&mut self) {
        self.is_current = true;
    }

    /// What etcd holds is not known: a write's fate is open, or a read failed.
    pub fn doubt(&mut self) {
        self.is_current = false;
    }

    /// Removes the dead from the copy, which is then current. It is stored with the next change.
    fn sanitise(&mut self) {
        self.dead = self.observer.dead(&self.node).filter(|node| mentions(&self.state, node)).cloned().collect();
        machine::remove(&mut self.state, self.dead.iter(), &self.settings);
        self.is_current = true;
    }

    /// The bytes to store, and the token to store them under.
    #[must_use]
    pub fn to_store(&self) -> (Vec<u8>, Option<u64>) {
        (pickle::encode(&self.state, self.dialect), self.token)
    }

    /// What the next decision is made from.
    #[must_use]
    pub fn view(&self, deadline: Duration, now: Now) -> View<'_> {
        View {
            state: &self.state,
            context: self.context(now),
            deadline,
            last_call_over: self.observer.last_call_over().is_some_and(|over| over <= now.mono),
        }
    }

    fn context(&self, now: Now) -> Context<'_> {
        Context { node: &self.node, settings: &self.settings, has_spares: self.dialect.redundancy_list, now }
    }

    /// Performs `action` on the copy.
    pub(super) fn apply(&mut self, action: machine::Action, now: Now) {
        self.is_changed = true;
        let mut state = std::mem::take(&mut self.state);
        machine::apply(action, &mut state, &self.context(now));
        self.state = state;
    }

    /// Whether the copy is current; it no longer is.
    pub(super) fn use_up(&mut self) -> bool {
        std::mem::take(&mut self.is_current)
    }

    /// When this node's next heartbeat is due, on its clock that never steps; `None` where it is in no list.
    #[must_use]
    pub fn next_heartbeat(&self, now: Now) -> Option<Duration> {
        if !self.state.lists(&self.node) {
            return None;
        }
        let interval = self.settings.keep_alive_interval;
        let age = self.state.last_heartbeats.get(&self.node).map(|last| now.wall.saturating_sub(*last));
        let left = match age {
            Some(age @ 0..) => u64::try_from(micros(interval).saturating_sub(age)).unwrap_or(0),
            _ => 0,
        };
        Some(now.mono + Duration::from_micros(left))
    }

    /// This node's place in the current round, if that is complete and this node is in it.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let rank = *self.state.participants.get(&self.node).filter(|_| self.state.complete)?;
        let world_size = self.state.world_size();
        let present = u64::try_from(self.state.participants.len()).unwrap_or(u64::MAX);
        Some(Place { round: self.state.round, rank, world_size, missing: world_size.saturating_sub(present) })
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The run's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The copy, without the dead; with this node's change while that is being stored.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The token that the copy was read or stored under; `None` where there was no state.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.token
    }

    /// The form in which the run's state is stored.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What was seen of the other nodes: silence and skew.
    #[must_use]
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The nodes that the last reading showed dead, and which the copy is without.
    #[must_use]
    pub fn dead(&self) -> &[Node] {
        &self.dead
    }
}

fn mentions(state: &State, node: &Node) -> bool {
    state.lists(node) || state.last_heartbeats.contains_key(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::machine::Action;

    fn at(seconds: u64) -> Now {
        Now { mono: Duration::from_secs(seconds), wall: i64::try_from(seconds).unwrap() * 1_000_000 }
    }

    fn replica(number: i64) -> Replica {
        Replica::new(Node::new("n", number, 0), Settings::new(1, 2))
    }

    #[test]
    fn the_copy_goes_through_bytes() {
        let mut one =
            Replica::new(Node::new("n", 1, 0), Settings { dialect: Dialect::TORCH_1_13, ..Settings::new(1, 2) });
        one.load(None, at(0)).unwrap();
        assert_eq!(one.to_store().1, None);
        one.apply(Action::AddToParticipants, at(0));
        let (bytes, _) = one.to_store();

        let mut two = replica(2);
        assert!(!two.use_up());
        two.load(Some((&bytes, 7)), at(0)).unwrap();
        assert!(two.use_up() && !two.use_up());
        assert_eq!((two.token(), two.dialect()), (Some(7), Dialect::TORCH_1_13));
        assert_eq!(two.state(), one.state());
        // A state without nodes does not show its dialect; it is what it was.
        two.load(Some((&pickle::encode(&State::default(), Dialect::TORCH_1_13), 8)), at(1)).unwrap();
        assert_eq!(two.dialect(), Dialect::TORCH_1_13);
    }

    #[test]
    fn what_is_no_state_is_told_and_not_used() {
        let mut replica = replica(1);
        replica.load(None, at(0)).unwrap();
        let error = replica.load(Some((b"what?", 7)), at(1)).unwrap_err();
        assert!(matches!(error, Error::State(_)));
        assert!(!replica.use_up());
    }

    #[test]
    fn the_dead_are_removed_until_they_are_gone_from_the_store() {
        let mut stored = State::default();
        for number in [1, 2] {
            stored.participants.insert(Node::new("n", number, 0), 0);
            stored.last_heartbeats.insert(Node::new("n", number, 0), 0);
        }
        let mut replica = replica(1);
        for step in 0..5 {
            replica.adopt(stored.clone(), Dialect::default(), Some(step), at(step * 5));
            assert_eq!(replica.state().participants.len(), if step < 3 { 2 } else { 1 });
            assert_eq!(replica.dead().len(), usize::from(step >= 3));
        }
        replica.stored(6, at(25));
        assert!(replica.dead().is_empty());
        // It comes back: it is alive again.
        stored.last_heartbeats.insert(Node::new("n", 2, 0), 1);
        replica.adopt(stored, Dialect::default(), Some(7), at(30));
        assert_eq!(replica.state().participants.len(), 2);
    }

    #[test]
    fn what_is_known_is_not_read_again() {
        let mut one = replica(1);
        one.load(None, at(0)).unwrap();
        one.apply(Action::AddToParticipants, at(0));
        let (bytes, _) = one.to_store();
        one.stored(7, at(0));
        one.use_up();
        one.load(Some((b"not looked at", 7)), at(1)).unwrap();
        assert!(one.use_up());
        // But it is where a change was not stored.
        one.apply(Action::Close, at(1));
        one.load(Some((&bytes, 7)), at(2)).unwrap();
        assert!(!one.state().closed && one.load(Some((b"looked at", 8)), at(3)).is_err());
    }

    #[test]
    fn a_confirmed_copy_notices_deaths() {
        let mut stored = State::default();
        stored.wait_list.insert(Node::new("n", 2, 0));
        let mut replica = replica(1);
        replica.adopt(stored, Dialect::default(), Some(1), at(0));
        replica.confirm(at(5));
        replica.confirm(at(10));
        assert_eq!(replica.state().wait_list.len(), 1);
        replica.confirm(at(15));
        assert_eq!((replica.state().wait_list.len(), replica.dead().len()), (0, 1));
    }

    #[test]
    fn place_and_heartbeat() {
        let mut replica = replica(1);
        replica.load(None, at(0)).unwrap();
        assert_eq!((replica.place(), replica.next_heartbeat(at(0))), (None, None));
        replica.apply(Action::AddToParticipants, at(3));
        assert_eq!((replica.place(), replica.next_heartbeat(at(4))), (None, Some(Duration::from_secs(8))));
        assert_eq!(replica.next_heartbeat(at(20)), Some(Duration::from_secs(20)));
        assert_eq!(replica.next_heartbeat(at(2)), Some(Duration::from_secs(2)));
        replica.apply(Action::Complete, at(4));
        assert_eq!(replica.place(), Some(Place { round: 0, rank: 0, world_size: 1, missing: 0 }));
    }
}
