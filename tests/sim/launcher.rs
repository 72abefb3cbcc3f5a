//! What launchers do with what their joins come to, and where all have to be in the end.

use rdzv::handler::machine::Failure;
use rdzv::handler::operation::Kind;

use super::actor::Phase;
use super::check::ensure;
use super::world::{Event, World, show};
use super::{SECOND, Time};

impl World<'_> {
    pub(super) fn finished(&mut self, number: usize) -> Result<(), String> {
        let now = self.now;
        let actor = &mut self.actors[number];
        match (actor.phase, actor.kind) {
            (Phase::Joining, Kind::Exit) => {
                let deadline = actor.brain.deadline();
                actor.begin(Kind::Join, deadline);
                // What was just read or written is what to decide from.
                let moment = actor.now(now);
                actor.brain.confirm(moment);
                return self.proceed(number);
            }
            (Phase::Joining, _) => {
                let told = actor.brain.told().ok_or("a join returned without a place")?;
                actor.phase = Phase::Working;
                let seen = actor.brain.state().clone();
                self.report.joins += 1;
                self.report.broken_joins += u64::from(told.is_broken);
                self.tell(|world| format!("{} has joined: {told:?}", world.name(number)));
                let actor = &self.actors[number];
                self.checker.joined(&actor.node, told, &seen, actor.brain.is_python())?;
                self.work(number);
            }
            (Phase::Working, _) => self.work(number),
            _ => actor.phase = Phase::Ended,
        }
        Ok(())
    }

    /// What a working launcher does with what it sees: members that wait, or have gone, are reason to join again.
    fn work(&mut self, number: usize) {
        let now = self.now;
        let pause = self.dice.within(2 * SECOND);
        let interval = self.plan.settings.keep_alive_interval;
        let actor = &mut self.actors[number];
        let state = actor.brain.state();
        if state.closed {
            actor.phase = Phase::Ended;
            self.report.closed += 1;
            return;
        }
        let is_member = actor.brain.told().is_some_and(|told| !told.is_broken);
        if actor.rejoin.is_none() && (!is_member || !state.wait_list.is_empty()) {
            actor.rejoin = Some(now + pause);
        }
        let beat = actor.brain.next_heartbeat(actor.now(now)).unwrap_or_default().min(actor.now(now).mono + interval);
        let next = actor.time(beat).max(now + 1000);
        let next = actor.rejoin.map_or(next, |time| time.min(next));
        let watches = !actor.brain.is_python();
        self.wake_at(number, next);
        self.actors[number].is_watching = watches;
    }

    pub(super) fn failed(&mut self, number: usize, failure: Failure) -> Result<(), String> {
        let now = self.now;
        self.tell(|world| format!("{} fails: {failure:?}", world.name(number)));
        if self.actors[number].phase == Phase::Working {
            self.work(number);
            return Ok(());
        }
        match failure {
            Failure::Closed | Failure::ClosedWhileSpare => {
                self.report.closed += 1;
                self.actors[number].phase = Phase::Ended;
                ensure(self.plan.close.is_some(), || "a run was closed by nobody".into())?;
            }
            Failure::Timeout => {
                self.report.timeouts += 1;
                self.may_time_out(number)?;
                // The process ends, and its supervisor starts another.
                let pause = SECOND + self.dice.within(5 * SECOND);
                let actor = &mut self.actors[number];
                actor.phase = Phase::Off;
                actor.process += 1;
                actor.node.pid += 1;
                actor.is_coming = true;
                self.at(now + pause, Event::Start(number));
            }
        }
        Ok(())
    }

    /// How many nodes are up.
    fn living(&self) -> usize {
        self.actors.iter().filter(|actor| actor.is_up()).count()
    }

    /// Whether there are more nodes than a round takes, and some of them know no better than to wait for the next
    /// round: those of old dialects; and PyTorch's that were in the wait list when the round filled up. Launchers
    /// then join again and again, and each time another node is left over, until it gives up and is started again.
    fn is_restless(&self) -> bool {
        let has_python = self.plan.nodes.iter().any(|node| node.is_python);
        let coming = self.actors.iter().filter(|actor| actor.is_coming && actor.phase == Phase::Off).count();
        self.living() + coming > self.plan.settings.max_nodes && (has_python || !self.plan.dialect.redundancy_list)
    }

    fn may_time_out(&self, number: usize) -> Result<(), String> {
        let actor = &self.actors[number];
        let had_chaos = actor.attempt < self.plan.quiet;
        let is_surplus = self.is_restless();
        let is_alone = self.living() < self.plan.settings.min_nodes;
        ensure(had_chaos || is_surplus || is_alone, || format!("{} timed out for no reason", self.name(number)))
    }

    /// In the end all who live work in the same round, or are spare; or all have seen that the run is closed.
    pub(super) fn ending(&mut self) -> Result<(), String> {
        let plan = self.plan;
        let Some(state) = self.stored.clone() else { return Ok(()) };
        self.tell(|_| format!("in the end: {}", show(&state)));
        let overdue = 6 * SECOND + plan.settings.join_timeout.as_micros() as Time;
        let is_alone = self.living() < plan.settings.min_nodes;
        for number in 0..self.actors.len() {
            let actor = &self.actors[number];
            let is_spare = state.redundancy_list.contains(&actor.node);
            let is_placed = actor.phase == Phase::Working || is_spare;
            let text = |what: &str| format!("in the end {} ({:?}) {what}", self.name(number), actor.phase);
            match actor.phase {
                Phase::Closing => return Err(text("has not closed the run")),
                Phase::Off | Phase::Ended => {}
                _ if state.closed => return Err(text("has not seen that the run is closed")),
                _ => {
                    let late = !is_placed && self.now - actor.attempt > overdue;
                    ensure(!late, || text("has not come back from its join"))?;
                    ensure(is_placed || is_alone || self.is_restless(), || text("is neither member nor spare"))?;
                }
            }
        }
        self.report.spares = state.redundancy_list.len() as u64;
        ensure(self.report.late_rounds == 0 || self.is_restless(), || {
            format!("{} rounds completed in the last 30 s: nothing comes to rest", self.report.late_rounds)
        })
    }
}
