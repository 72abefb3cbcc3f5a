//! The store, the network and the clock; and the loop that lets things happen in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use rdzv::handler::operation::{Kind, Step};
use rdzv::handler::pickle::{self, Dialect};
use rdzv::handler::state::{Node, Settings, State};

use super::actor::{Actor, Phase};
use super::check::{Checker, ensure};
use super::dice::Dice;
use super::plan::{Fate, Mutation, NodePlan, Plan};
use super::{SECOND, Time};

/// What a history came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Report {
    pub events: u64,
    pub reads: u64,
    pub writes: u64,
    pub lost_writes: u64,
    pub rounds: u64,
    pub joins: u64,
    pub broken_joins: u64,
    pub spares: u64,
    pub timeouts: u64,
    pub closed: u64,
    pub late_rounds: u64,
}

impl Report {
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.reads += other.reads;
        self.writes += other.writes;
        self.lost_writes += other.lost_writes;
        self.rounds += other.rounds;
        self.joins += other.joins;
        self.broken_joins += other.broken_joins;
        self.spares += other.spares;
        self.timeouts += other.timeouts;
        self.closed += other.closed;
        self.late_rounds += other.late_rounds;
    }
}

/// What the store answers.
#[derive(Clone)]
pub(super) enum Answer {
    /// What is stored, and whether a write won; `None` for a read.
    Stored(Option<(Arc<State>, u64)>, Option<bool>),
    /// None came.
    Nothing,
}

/// A state to store, under which token, and who made it: that process may have been replaced since.
pub(super) struct Write {
    state: Arc<State>,
    token: Option<u64>,
    writer: Node,
}

pub(super) enum Event {
    Start(usize),
    Fate(usize, Fate),
    Wake {
        actor: usize,
        process: u32,
        turn: u64,
    },
    /// A request reaches the store.
    Request {
        actor: usize,
        process: u32,
        turn: u64,
        write: Option<Write>,
        reply: bool,
    },
    Reply {
        actor: usize,
        process: u32,
        turn: u64,
        answer: Answer,
    },
}

pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) dice: Dice,
    pub(super) now: Time,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    events: Vec<Option<Event>>,
    pub(super) actors: Vec<Actor>,
    pub(super) stored: Option<Arc<State>>,
    token: u64,
    pub(super) checker: Checker,
    pub(super) report: Report,
    trace: Option<Vec<String>>,
}

/// Lets a history happen: what happened, if it is to `tell`, and what did not hold.
pub fn run(plan: &Plan, tell: bool) -> (Vec<String>, Result<Report, String>) {
    let mut world = World::new(plan, tell);
    let outcome = world.run();
    (world.trace.unwrap_or_default(), outcome.map(|()| world.report))
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, tell: bool) -> Self {
        let mut world = Self {
            plan,
            dice: Dice::new(plan.seed ^ 0xabcd),
            now: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            actors: Vec::new(),
            stored: plan.unknown.then(|| Arc::new(state_with_unknown(plan.dialect))),
            token: u64::from(plan.unknown),
            checker: Checker::new(plan),
            report: Report::default(),
            trace: tell.then(Vec::new),
        };
        world.tell(|_| format!("{plan:?}"));
        for (number, node) in plan.nodes.iter().enumerate() {
            let actor = Actor::new(number, node, &world.settings(number));
            world.actors.push(actor);
            world.at(node.start, Event::Start(number));
            for (time, fate) in &node.fates {
                world.at(*time, Event::Fate(number, *fate));
            }
        }
        if let Some(time) = plan.close {
            let closer = NodePlan { start: time, skew: 0, is_python: false, fates: Vec::new() };
            let number = world.actors.len();
            world.actors.push(Actor::new(number, &closer, &world.settings(number)));
            world.actors[number].phase = Phase::Closing;
            world.at(time, Event::Start(number));
        }
        world
    }

    pub(super) fn settings(&self, number: usize) -> Settings {
        let mut settings = self.plan.settings.clone();
        settings.dialect = self.plan.dialect;
        match self.plan.mutation {
            Mutation::NoSanitise => settings.keep_alive_max_attempt = u32::MAX,
            Mutation::HastyEviction => settings.keep_alive_max_attempt = 1,
            Mutation::LargerRounds if number == 0 => settings.max_nodes += 1,
            Mutation::SmallerRounds if number == 0 => settings.min_nodes = 1,
            Mutation::SizeUnnoted => settings.notes_round_size = false,
            Mutation::RestlessLosers => settings.losers_become_spares = false,
            _ => {}
        }
        settings
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse((time, index))) = self.queue.pop() {
            if time > self.plan.end {
                break;
            }
            self.now = time;
            self.report.events += 1;
            ensure(self.report.events < 2_000_000, || "nothing comes to rest".into())?;
            let event = self.events[index as usize].take().unwrap();
            self.happen(event)?;
        }
        self.now = self.plan.end;
        self.report.rounds = self.checker.rounds() as u64;
        self.ending()
    }

    pub(super) fn at(&mut self, time: Time, event: Event) {
        self.queue.push(Reverse((time, self.events.len() as u64)));
        self.events.push(Some(event));
    }

    pub(super) fn tell(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>10.3} {}", self.now as f64 / SECOND as f64, text(self));
            self.trace.get_or_insert_default().push(line);
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Start(number) => self.start(number),
            Event::Fate(number, fate) => self.befall(number, fate),
            Event::Wake { actor, process, turn } => {
                if self.is_meant(actor, process, turn) {
                    if let Some(until) = self.stall(actor) {
                        self.at(until, Event::Wake { actor, process, turn });
                        return Ok(());
                    }
                    return self.wake(actor);
                }
            }
            Event::Request { actor, process, turn, write, reply } => {
                let answer = self.serve(actor, write)?;
                if reply {
                    let time = self.now + self.latency();
                    self.at(time, Event::Reply { actor, process, turn, answer });
                }
            }
            Event::Reply { actor, process, turn, answer } => {
                if self.is_meant(actor, process, turn) {
                    if let Some(until) = self.stall(actor) {
                        self.at(until, Event::Reply { actor, process, turn, answer });
                        return Ok(());
                    }
                    return self.receive(actor, answer);
                }
            }
        }
        Ok(())
    }

    fn is_meant(&self, actor: usize, process: u32, turn: u64) -> bool {
        let actor = &self.actors[actor];
        actor.process == process && actor.turn == turn && !matches!(actor.phase, Phase::Off | Phase::Ended)
    }

    fn stall(&self, actor: usize) -> Option<Time> {
        Some(self.actors[actor].stalled_until).filter(|until| *until > self.now)
    }

    fn start(&mut self, number: usize) {
        let settings = self.settings(number);
        let now = self.now;
        let actor = &mut self.actors[number];
        match actor.phase {
            Phase::Off => {
                actor.start(&settings, true, now);
                actor.begin_join(&settings, now);
            }
            Phase::Closing => {
                actor.start(&settings, true, now);
                // A launcher that wants to close goes on until it has.
                actor.begin(Kind::Close, Duration::from_secs(100_000));
            }
            _ => return,
        }
        self.tell(|world| format!("{} starts", world.name(number)));
        self.wake_at(number, now);
    }

    pub(super) fn name(&self, number: usize) -> String {
        let actor = &self.actors[number];
        let kind = if actor.brain.is_python() { "py" } else { "" };
        format!("{kind}#{number} ({}/{}/{})", actor.node.addr, actor.node.pid, actor.node.local_id)
    }

    fn befall(&mut self, number: usize, fate: Fate) {
        let now = self.now;
        self.tell(|world| format!("{} {:?}: {fate:?}", world.name(number), world.actors[number].phase));
        let actor = &mut self.actors[number];
        if !actor.is_up() {
            return;
        }
        match fate {
            Fate::Crash { back, same_id } => {
                actor.phase = Phase::Off;
                actor.process += 1;
                if !same_id {
                    actor.node.pid += 1;
                }
                actor.is_coming = back.is_some();
                if let Some(back) = back {
                    self.at((now + back).min(self.plan.quiet), Event::Start(number));
                }
            }
            Fate::Stall(span) => actor.stalled_until = (now + span).min(self.plan.quiet),
            Fate::ClockStep(skew) => actor.skew = skew,
            Fate::WorkersFail => actor.rejoin = Some(now),
        }
    }

    /// Voids what `number` waits for, and wakes it at `time`.
    pub(super) fn wake_at(&mut self, number: usize, time: Time) {
        let actor = &mut self.actors[number];
        actor.turn += 1;
        actor.is_watching = false;
        let (process, turn) = (actor.process, actor.turn);
        self.at(time.max(self.now), Event::Wake { actor: number, process, turn });
    }

    fn wake(&mut self, number: usize) -> Result<(), String> {
        let (now, settings) = (self.now, self.settings(number));
        let actor = &mut self.actors[number];
        actor.is_watching = false;
        if actor.phase == Phase::Working {
            if actor.rejoin.is_some_and(|time| time <= now) {
                actor.begin_join(&settings, now);
                self.tell(|world| format!("{} joins again", world.name(number)));
            } else if self.plan.mutation != Mutation::SilentMembers {
                let deadline = actor.now(now).mono + settings.heartbeat_timeout;
                actor.begin(Kind::KeepAlive, deadline);
            } else {
                actor.begin(Kind::Exit, Duration::ZERO);
            }
        }
        self.proceed(number)
    }

    /// Asks the node what is next, and does it.
    pub(super) fn proceed(&mut self, number: usize) -> Result<(), String> {
        let dice = self.dice.any();
        let now = self.now;
        let actor = &mut self.actors[number];
        let mut step = actor.brain.next(actor.now(now), dice);
        if self.plan.mutation == Mutation::SilentMembers && actor.phase == Phase::Working && step != Step::Read {
            step = Step::Finished;
        }
        self.tell(|world| format!("[step] {} {:?}: {step:?}", world.name(number), world.actors[number].kind));
        let actor = &self.actors[number];
        match step {
            Step::Read => self.request(number, None),
            Step::Write => {
                let state = Arc::new(actor.brain.state().clone());
                let write = Write { state, token: actor.brain.token(), writer: actor.node.clone() };
                self.request(number, Some(write));
            }
            Step::Wait { until } | Step::BackOff { until } => {
                let time = actor.time(until);
                ensure(time <= now + 10 * SECOND, || format!("{} waits too long", self.name(number)))?;
                self.wake_at(number, time.max(now + 1));
                let watches = matches!(step, Step::Wait { .. }) && !self.actors[number].brain.is_python();
                self.actors[number].is_watching = watches;
            }
            Step::Finished => return self.finished(number),
            Step::Failed(failure) => return self.failed(number, failure),
        }
        Ok(())
    }

    fn latency(&mut self) -> Time {
        self.plan.latency / 2 + self.dice.within(self.plan.latency)
    }

    /// Sends a request. It may get lost, and so may its answer; and a write that was given up may yet come to pass.
    fn request(&mut self, number: usize, write: Option<Write>) {
        let (now, chaos) = (self.now, self.now < self.plan.quiet);
        let actor = &mut self.actors[number];
        actor.turn += 1;
        let (process, turn) = (actor.process, actor.turn);
        let arrives = now + self.latency();
        let gives_up = now + SECOND / 2 + self.dice.within(SECOND);
        let away = self.plan.outages.iter().any(|(from, to)| (*from..*to).contains(&now));
        let is_lost = chaos && (away || self.dice.chance(self.plan.request_loss));
        let reply_lost = chaos && self.dice.chance(self.plan.reply_loss);
        let is_late = chaos && write.is_some() && self.dice.chance(self.plan.late_writes);
        if is_lost || reply_lost || is_late {
            self.at(gives_up, Event::Reply { actor: number, process, turn, answer: Answer::Nothing });
        }
        if !is_lost {
            let arrives = if is_late { gives_up + self.dice.within(3 * SECOND) } else { arrives };
            let reply = !reply_lost && !is_late;
            self.at(arrives, Event::Request { actor: number, process, turn, write, reply });
        }
    }

    /// What the store does with a request, and what it answers.
    fn serve(&mut self, number: usize, write: Option<Write>) -> Result<Answer, String> {
        let Some(Write { state: mut new, token, writer }) = write else {
            self.report.reads += 1;
            return Ok(Answer::Stored(self.stored.clone().map(|state| (state, self.token)), None));
        };
        self.report.writes += 1;
        let is_current = token.unwrap_or(0) == self.token || self.plan.mutation == Mutation::BlindWrites;
        if !is_current {
            self.report.lost_writes += 1;
            return Ok(Answer::Stored(self.stored.clone().map(|state| (state, self.token)), Some(false)));
        }
        if self.plan.mutation == Mutation::UnknownForgotten && !new.unknown.is_empty() {
            Arc::make_mut(&mut new).unknown = pickle::Attributes::default();
        }
        let old = self.stored.take().unwrap_or_default();
        self.tell(|world| {
            let step = if show(&old) == show(&new) { "[step] " } else { "" };
            format!("{step}{} stores {}: {}", world.name(number), world.token + 1, show(&new))
        });
        let actor = &self.actors[number];
        self.checker.write(&old, &new, &writer, actor.brain.is_python(), self.now)?;
        if new.complete && (!old.complete || new.round > old.round) && self.now > self.plan.end - 30 * SECOND {
            self.report.late_rounds += 1;
        }
        self.stored = Some(new.clone());
        self.token += 1;
        self.wake_watchers(number);
        Ok(Answer::Stored(Some((new, self.token)), Some(true)))
    }

    fn wake_watchers(&mut self, writer: usize) {
        for number in 0..self.actors.len() {
            let is_missed = self.now < self.plan.quiet && self.dice.chance(self.plan.watch_loss);
            if number == writer || !self.actors[number].is_watching || is_missed {
                continue;
            }
            let (process, turn) = (self.actors[number].process, self.actors[number].turn);
            let time = self.now + self.latency();
            self.at(time, Event::Wake { actor: number, process, turn });
        }
    }

    fn receive(&mut self, number: usize, answer: Answer) -> Result<(), String> {
        let (mutation, dialect, now) = (self.plan.mutation, self.plan.dialect, self.now);
        let actor = &mut self.actors[number];
        actor.turn += 1;
        let moment = actor.now(now);
        match answer {
            Answer::Nothing if mutation == Mutation::UnknownIsWon && actor.brain.token().is_some() => {
                let token = actor.brain.token().unwrap() + 1;
                actor.brain.stored(token, moment);
            }
            Answer::Nothing => {
                actor.brain.doubt();
                let pause = self.dice.within(SECOND / 4);
                self.wake_at(number, now + pause);
                return Ok(());
            }
            Answer::Stored(Some((_, token)), Some(true)) => actor.brain.stored(token, moment),
            Answer::Stored(Some((_, token)), Some(false)) if mutation == Mutation::LostIsWon => {
                actor.brain.stored(token, moment);
            }
            Answer::Stored(stored, won) => {
                let token = stored.as_ref().map(|(_, token)| *token);
                let mut state = stored.map(|(state, _)| (*state).clone()).unwrap_or_default();
                if mutation == Mutation::ClosedUnseen && number == 0 {
                    state.closed = false;
                }
                let (state, dialect) = if self.plan.pickled && token.is_some() {
                    pickle::decode(&pickle::encode(&state, dialect), actor.brain.dialect())
                        .map_err(|e| e.to_string())?
                } else {
                    (state, dialect)
                };
                actor.brain.adopt(state, dialect, token, moment);
                if won == Some(false) {
                    actor.brain.lost();
                }
            }
        }
        self.proceed(number)
    }
}

pub(super) fn show(state: &State) -> String {
    let list = |nodes: &mut dyn Iterator<Item = String>| nodes.collect::<Vec<_>>().join(" ");
    let name = |node: &Node| format!("{}/{}", node.pid, node.local_id);
    format!(
        "round {}{}{} [{}] waiting [{}] spare [{}]{}",
        state.round,
        if state.complete { " complete" } else { "" },
        if state.closed { " closed" } else { "" },
        list(&mut state.participants.iter().map(|(node, rank)| format!("{}:{rank}", name(node)))),
        list(&mut state.wait_list.iter().map(name)),
        list(&mut state.redundancy_list.iter().map(name)),
        state.deadline.map_or(String::new(), |deadline| format!(" deadline {deadline}")),
    )
}

/// The state of a run that a newer Python node began: it has an attribute that the library does not know.
fn state_with_unknown(dialect: Dialect) -> State {
    let mut bytes = pickle::encode(&State::default(), dialect);
    bytes.truncate(bytes.len() - 3);
    bytes.extend(b"\x8c\x06future(K\x07N\x88tub.");
    pickle::decode(&bytes, dialect).unwrap().0
}
