//! One operation, from its first read to its outcome, with reading, writing and waiting left to the caller.

use std::time::Duration;

use crate::handler::machine::{self, Action, Failure, View};
use crate::handler::replica::Replica;
use crate::handler::state::{Now, Settings};

/// What is to be achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Leave the round this node is in. The first part of joining again.
    Exit,
    /// Get into a round that completes.
    Join,
    /// Let there be no more rounds.
    Close,
    /// Write a heartbeat, if one is due.
    KeepAlive,
}

/// What the caller does next. After each step but the last two, it asks [`Operation::next`] again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read the state, and give it to [`Replica::load`].
    Read,
    /// Store what [`Replica::to_store`] says. Then call [`Replica::stored`] if it won; [`Replica::load`] with what
    /// came back and [`Operation::lost`] if it lost; [`Replica::doubt`] if its fate is open.
    Write,
    /// Wait until the state changes, at the most until this time of the clock that never steps. Where it is known what
    /// is stored then, give it to the replica; otherwise the next step is to read.
    Wait {
        /// When the waiting ends at the latest.
        until: Duration,
    },
    /// Wait until this time, whether the state changes or not: others are writing too.
    BackOff {
        /// When the waiting ends.
        until: Duration,
    },
    /// The operation is done.
    Finished,
    /// The operation has failed.
    Failed(Failure),
}

/// How long a lost write is waited for at the least, and the unit by which that grows.
const BACK_OFF: Duration = Duration::from_millis(1);
/// The longest wait for a lost write.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

/// One operation under way.
#[derive(Debug, Clone)]
pub struct Operation {
    kind: Kind,
    deadline: Duration,
    /// Writes lost in a row.
    losses: u32,
    must_back_off: bool,
}

impl Operation {
    /// Begins an operation, with the time that the settings give it.
    #[must_use]
    pub fn new(kind: Kind, settings: &Settings, now: Now) -> Self {
        let time = match kind {
            Kind::Exit | Kind::Join => settings.join_timeout,
            Kind::Close => settings.close_timeout,
            Kind::KeepAlive => settings.heartbeat_timeout,
        };
        Self::with_deadline(kind, now.mono + time)
    }

    /// Begins an operation that has to be done by `deadline`, on the clock that never steps.
    #[must_use]
    pub fn with_deadline(kind: Kind, deadline: Duration) -> Self {
        Self { kind, deadline, losses: 0, must_back_off: false }
    }

    /// By when the operation has to be done. A spare node's join begins afresh when room appears.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The last write lost against another node's.
    pub fn lost(&mut self) {
        self.losses = self.losses.saturating_add(1);
        self.must_back_off = true;
    }

    /// What to do next. `dice` is any random number.
    pub fn next(&mut self, replica: &mut Replica, now: Now, dice: u64) -> Step {
        if !replica.use_up() {
            return Step::Read;
        }
        let view = replica.view(self.deadline, now);
        let action = match self.kind {
            Kind::Exit => machine::exit(&view),
            Kind::Join => machine::join(&view),
            Kind::Close => machine::close(&view),
            Kind::KeepAlive => machine::keep_alive(&view),
        };
        match action {
            Action::Finish => Step::Finished,
            Action::Fail(failure) => Step::Failed(failure),
            Action::Wait => {
                self.losses = 0;
                self.must_back_off = false;
                Step::Wait { until: self.wake(replica, now) }
            }
            _ if std::mem::take(&mut self.must_back_off) => {
                Step::BackOff { until: now.mono + self.back_off(&view, dice) }
            }
            _ => {
                if action == Action::RemoveFromRedundancyList {
                    self.deadline = now.mono + replica.settings().join_timeout;
                }
                replica.apply(action, now);
                Step::Write
            }
        }
    }

    /// How long to let others write: some random time, the more there are and the more often this one lost.
    fn back_off(&self, view: &View<'_>, dice: u64) -> Duration {
        let state = view.state;
        let crowd = state.participants.len() + state.wait_list.len() + state.redundancy_list.len() + 1;
        let longest = BACK_OFF.saturating_mul(u32::try_from(crowd).unwrap_or(u32::MAX));
        let longest = longest.saturating_mul(1 << self.losses.saturating_sub(1).min(6)).min(LONGEST_BACK_OFF);
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(dice % micros.saturating_add(1))
    }

    /// When to look again although nothing has changed: at the next heartbeat, the end of the last call, the deadline,
    /// or the next death. A heartbeat interval at the longest, since who does not look cannot tell who is silent.
    fn wake(&self, replica: &Replica, now: Now) -> Duration {
        let settings = replica.settings();
        let instant = Duration::from_micros(1);
        let state = replica.state();
        let calls = replica.observer().last_call_over();
        let completes = state.participants.contains_key(replica.node()) && machine::has_enough(state, settings);
        let times = [
            replica.next_heartbeat(now),
            calls.filter(|_| completes && !state.complete),
            Some(self.deadline + instant).filter(|time| *time > now.mono),
            replica.observer().next_death(replica.node()).map(|left| now.mono + left),
        ];
        let first = times.into_iter().flatten().min().unwrap_or(now.mono);
        // Not at once: nothing that is due now was a reason to act.
        first.clamp(now.mono + Duration::from_millis(1), now.mono + settings.keep_alive_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::pickle::Dialect;
    use crate::handler::state::{Node, State};

    fn at(millis: u64) -> Now {
        Now { mono: Duration::from_millis(millis), wall: i64::try_from(millis).unwrap() * 1000 }
    }

    fn start(number: i64, min: usize, max: usize) -> (Replica, Operation) {
        let settings = Settings::new(min, max);
        let operation = Operation::new(Kind::Join, &settings, at(0));
        (Replica::new(Node::new("n", number, 0), settings), operation)
    }

    fn adopt(replica: &mut Replica, state: &State, token: u64, now: Now) {
        replica.adopt(state.clone(), Dialect::default(), Some(token), now);
    }

    #[test]
    fn one_node_alone_reads_writes_and_is_in() {
        let (mut replica, mut join) = start(1, 1, 1);
        assert_eq!(join.next(&mut replica, at(0), 0), Step::Read);
        replica.load(None, at(1)).unwrap();
        assert_eq!(join.next(&mut replica, at(1), 0), Step::Write);
        replica.stored(7, at(2));
        assert_eq!(join.next(&mut replica, at(2), 0), Step::Finished);
        assert_eq!(replica.place().map(|place| (place.rank, place.world_size)), Some((0, 1)));
    }

    #[test]
    fn a_write_of_unknown_fate_is_read_back() {
        let (mut replica, mut join) = start(1, 1, 1);
        replica.load(None, at(1)).unwrap();
        assert_eq!(join.next(&mut replica, at(1), 0), Step::Write);
        let stored = replica.state().clone();
        replica.doubt();
        assert_eq!(join.next(&mut replica, at(2), 0), Step::Read);
        adopt(&mut replica, &stored, 7, at(3));
        assert_eq!(join.next(&mut replica, at(3), 0), Step::Finished);
    }

    #[test]
    fn the_end_of_the_last_call_is_waited_for() {
        let (mut replica, mut join) = start(1, 1, 2);
        replica.load(None, at(0)).unwrap();
        assert_eq!(join.next(&mut replica, at(0), 0), Step::Write);
        replica.stored(1, at(0));
        for (millis, until) in [(0, 5000), (27_000, 30_000)] {
            if millis > 0 {
                replica.confirm(at(millis));
                assert_eq!(join.next(&mut replica, at(millis), 0), Step::Write);
                replica.stored(2, at(millis));
            }
            assert_eq!(join.next(&mut replica, at(millis), 0), Step::Wait { until: Duration::from_millis(until) });
        }
        replica.confirm(at(30_000));
        assert_eq!(join.next(&mut replica, at(30_000), 0), Step::Write);
        replica.stored(3, at(30_000));
        assert_eq!(join.next(&mut replica, at(30_000), 0), Step::Finished);
    }

    #[test]
    fn lost_writes_back_off_more_and_more() {
        let (mut replica, mut join) = start(1, 2, 500);
        let mut crowd = State::default();
        for number in 100..109 {
            crowd.participants.insert(Node::new("n", number, 0), 0);
            crowd.last_heartbeats.insert(Node::new("n", number, 0), 0);
        }
        adopt(&mut replica, &crowd, 1, at(0));
        let mut longest = Vec::new();
        for token in 2..12 {
            assert_eq!(join.next(&mut replica, at(0), 0), Step::Write);
            adopt(&mut replica, &crowd, token, at(0));
            join.lost();
            let Step::BackOff { until } = join.clone().next(&mut replica.clone(), at(0), u64::MAX - 7) else {
                panic!()
            };
            assert!(until <= LONGEST_BACK_OFF);
            // The longest is 10 ms for 9 others and this one, then twice that each time, up to a second.
            let bound = |bound: u64| {
                let Step::BackOff { until } = join.clone().next(&mut replica.clone(), at(0), bound) else { panic!() };
                until == Duration::from_micros(bound)
            };
            longest.push([10_000, 20_000, 640_000].into_iter().filter(|micros| bound(*micros)).count());
            assert!(matches!(join.next(&mut replica, at(0), 0), Step::BackOff { .. }));
            assert_eq!(join.next(&mut replica, at(1), 0), Step::Read);
            adopt(&mut replica, &crowd, token, at(1));
        }
        assert_eq!(longest, [1, 2, 2, 2, 2, 2, 3, 3, 3, 3]);
    }

    #[test]
    fn a_lost_write_that_needs_no_repetition_does_not_wait() {
        let (mut replica, mut close) = start(1, 1, 1);
        close.kind = Kind::Close;
        adopt(&mut replica, &State::default(), 1, at(0));
        assert_eq!(close.next(&mut replica, at(0), 0), Step::Write);
        adopt(&mut replica, &State { closed: true, ..State::default() }, 2, at(0));
        close.lost();
        assert_eq!(close.next(&mut replica, at(0), 0), Step::Finished);
    }

    #[test]
    fn a_spare_that_finds_room_has_all_its_time() {
        let (mut replica, mut join) = start(9, 1, 2);
        let mut state = State::default();
        for number in [1, 2] {
            let node = Node::new("n", number, 0);
            let settings = replica.settings();
            let context = machine::Context { node: &node, settings, has_spares: true, now: at(0) };
            machine::apply(Action::AddToParticipants, &mut state, &context);
        }
        adopt(&mut replica, &state, 1, at(0));
        assert_eq!(join.next(&mut replica, at(0), 0), Step::Write);
        replica.stored(2, at(0));
        assert_eq!(join.next(&mut replica, at(0), 0), Step::Wait { until: Duration::from_secs(5) });

        let mut state = replica.state().clone();
        machine::remove(&mut state, [Node::new("n", 2, 0)].iter(), replica.settings());
        adopt(&mut replica, &state, 3, at(700_000));
        assert_eq!(join.next(&mut replica, at(700_000), 0), Step::Write);
        assert_eq!(join.deadline(), Duration::from_secs(1300));
        replica.stored(4, at(700_000));
        assert_eq!(join.next(&mut replica, at(700_000), 0), Step::Write);
        assert!(replica.state().wait_list.contains(replica.node()));
    }

    #[test]
    fn deadlines_come_from_the_settings() {
        let settings = Settings::new(1, 1);
        let seconds = [Kind::Exit, Kind::Join, Kind::Close, Kind::KeepAlive]
            .map(|kind| Operation::new(kind, &settings, at(1000)).deadline().as_secs());
        assert_eq!(seconds, [601, 601, 31, 6]);
    }
}
