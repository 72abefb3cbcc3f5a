//! One operation, from its first read to its outcome, with reading, writing and waiting left to the caller.

use std::time::Duration;

use crate::handler::machine::{self, Action, Failure, View};
use crate::handler::pace::{Pace, count, crowd};
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

/// The least and the most that one request is taken to need.
const QUICKEST_REQUEST: Duration = Duration::from_millis(1);
const SLOWEST_REQUEST: Duration = Duration::from_millis(5);
/// The longest wait after a lost write.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(2);

/// One operation under way.
#[derive(Debug, Clone)]
pub struct Operation {
    kind: Kind,
    deadline: Duration,
    /// Writes lost in a row.
    losses: u32,
    must_back_off: bool,
    /// The last change was this node's own.
    is_own: bool,
    /// When the last request was begun, and how long the quickest one took: what one takes where nobody is in the way.
    asked: Option<Duration>,
    round_trip: Option<Duration>,
    pace: Pace,
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
        Self {
            kind,
            deadline,
            losses: 0,
            must_back_off: false,
            is_own: false,
            asked: None,
            round_trip: None,
            pace: Pace::default(),
        }
    }

    /// By when the operation has to be done. A spare node's join begins afresh when room appears.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The last write lost against another node's.
    pub fn lost(&mut self) {
        self.is_own = false;
        self.losses = self.losses.saturating_add(1);
        self.must_back_off = true;
    }

    /// What to do next. `dice` is any random number.
    pub fn next(&mut self, replica: &mut Replica, now: Now, dice: u64) -> Step {
        if !replica.use_up() {
            self.asked = Some(now.mono);
            return Step::Read;
        }
        if let Some(asked) = self.asked.take() {
            let took = now.mono.saturating_sub(asked).clamp(QUICKEST_REQUEST, SLOWEST_REQUEST);
            self.round_trip = Some(self.round_trip.map_or(took, |least| least.min(took)));
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
                let is_own = std::mem::take(&mut self.is_own);
                let pause = self.pace.pause(&view, replica.token(), is_own, self.round_trip());
                let until = self.wake(replica, now);
                pause.map_or(Step::Wait { until }, |pause| Step::BackOff { until: until.min(now.mono + pause) })
            }
            _ if std::mem::take(&mut self.must_back_off)
                && let Some(time) = self.back_off(&view, dice) =>
            {
                Step::BackOff { until: now.mono + time }
            }
            _ => {
                (self.asked, self.is_own) = (Some(now.mono), true);
                if action == Action::RemoveFromRedundancyList {
                    self.deadline = now.mono + replica.settings().join_timeout;
                }
                replica.apply(action, now);
                Step::Write
            }
        }
    }

    fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or(QUICKEST_REQUEST)
    }

    /// How long to let others write first; none where it is this node's turn.
    ///
    /// Of those whose writes lost at the same time about one writes again at once, on what it has just been told is
    /// stored; the others after a random number of turns of one write each. A round that lacks
    /// nodes has all of them as rivals. Of others nobody knows how many write: one at the first loss, four times as many at
    /// each further one, but never more than there are nodes.
    fn back_off(&self, view: &View<'_>, dice: u64) -> Option<Duration> {
        let (state, settings) = (view.state, view.context.settings);
        let there = state.participants.len();
        let joins = self.kind == Kind::Join && !state.complete && !state.participants.contains_key(view.context.node);
        let lacking = if joins { settings.min_nodes.saturating_sub(there) } else { 0 };
        let rivals = lacking.max((1 << (2 * self.losses.clamp(1, 10) - 2)).min(crowd(state) + 1));
        // A turn is to read and to write, and longer where that was not enough.
        let turn = self.round_trip().saturating_mul(2 << self.losses.saturating_sub(1).min(2));
        let left = self.deadline.saturating_sub(view.context.now.mono) / 4;
        let all = turn.saturating_mul(count(rivals)).min(LONGEST_BACK_OFF).min(left);
        let micros = u64::try_from(all.as_micros()).unwrap_or(u64::MAX);
        let time = Duration::from_micros(dice % micros.saturating_add(1));
        (time >= turn).then_some(time)
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
        // With a round that needs no more, and with one that lacks 91.
        for (min, expected) in [(2, [4, 32, 160, 160]), (100, [364, 728, 1456, 1456])] {
            let (mut replica, mut join) = start(1, min, 109);
            let mut crowd = State::default();
            for number in 100..109 {
                crowd.participants.insert(Node::new("n", number, 0), 0);
                crowd.last_heartbeats.insert(Node::new("n", number, 0), 0);
            }
            adopt(&mut replica, &crowd, 1, at(0));
            for (token, expected) in (2..).zip(expected) {
                // A request takes 2 ms.
                assert_eq!(join.next(&mut replica, at(0), 0), Step::Write);
                adopt(&mut replica, &crowd, token, at(2));
                join.lost();
                let draws = |millis| join.clone().next(&mut replica.clone(), at(2), millis * 1000);
                let longest = (1..=2000).rev().find(|ms| draws(*ms) == Step::BackOff { until: at(2 + ms).mono });
                assert_eq!(longest, Some(expected), "{token}");
                // Who draws the first turn has it at once, without reading again.
                assert_eq!(draws(3), Step::Write);
                join = Operation { must_back_off: false, asked: None, ..join };
            }
        }
    }

    #[test]
    fn who_waits_for_many_lets_them_join_first() {
        let (mut replica, mut join) = start(1, 100, 100);
        let crowd = |others: i64| {
            let mut crowd = State::default();
            for number in 1..=1 + others {
                crowd.participants.insert(Node::new("n", number, 0), 0);
                crowd.last_heartbeats.insert(Node::new("n", number, 0), 0);
            }
            crowd
        };
        let pause = |until| Step::BackOff { until: Duration::from_micros(until) };
        adopt(&mut replica, &crowd(19), 1, at(0));
        assert_eq!(join.next(&mut replica, at(0), 0), pause(60_000));
        // After the pause it reads, and where nobody has come it watches.
        assert_eq!(join.next(&mut replica, at(60), 0), Step::Read);
        adopt(&mut replica, &crowd(19), 1, at(60));
        assert!(matches!(join.next(&mut replica, at(60), 0), Step::Wait { .. }));
        // The pause goes by how fast they have come: 20 in 40 ms. It is never too long for the few, or for heartbeats.
        for (others, token, time, until) in [
            (39, 2, 100, 190_000),
            (40, 3, 190, 590_000),
            (94, 4, 298, 305_500),
            (94, 5, 306, 401_000),
            (94, 6, 401, 591_000),
            (95, 7, 591, 991_000),
        ] {
            adopt(&mut replica, &crowd(others), token, at(time));
            assert_eq!(join.next(&mut replica, at(time), 0), pause(until), "{token}");
        }
        // The last two are watched for.
        adopt(&mut replica, &crowd(97), 8, at(991));
        assert!(matches!(join.next(&mut replica, at(991), 0), Step::Wait { .. }));
        adopt(&mut replica, &crowd(98), 9, at(992));
        assert!(matches!(join.next(&mut replica, at(992), 0), Step::Wait { .. }));
        // Then one that has nothing to tell.
        adopt(&mut replica, &crowd(98), 10, at(993));
        assert_eq!(join.next(&mut replica, at(993), 0), pause(1_092_000));
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
