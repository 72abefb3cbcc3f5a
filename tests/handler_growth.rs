//! How joining grows with the number of nodes, under a virtual clock: what each node does is the library's, and etcd is a
//! queue that serves one request after the other. Times and counts are therefore the same on every machine.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is a test, its helpers included"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use rdzv::handler::operation::{Kind, Operation, Step};
use rdzv::handler::pickle::Dialect;
use rdzv::handler::replica::Replica;
use rdzv::handler::state::{Node, Now, Settings, State};

/// Microseconds.
type Time = u64;

const JOIN_TIMEOUT: Time = 60_000_000;

/// What a history came to.
#[derive(Debug, Default, Clone, Copy)]
struct Report {
    /// From the last node's start to the last return.
    tail: Time,
    /// From the first start to the last return.
    whole: Time,
    requests: u64,
    lost: u64,
    heartbeats: u64,
    reads: u64,
    waits: u64,
    wakes: u64,
}

enum Event {
    Proceed,
    /// At the store: a read, or a write.
    Served(Option<(Arc<State>, Option<u64>)>),
    Loaded(Arc<State>, Option<u64>, bool),
    Stored(u64),
}

struct Actor {
    replica: Replica,
    operation: Operation,
    started: Time,
    turn: u64,
    watches: bool,
    returned: Option<Time>,
}

struct World {
    now: Time,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    events: Vec<Option<(usize, u64, Event)>>,
    actors: Vec<Actor>,
    stored: (Arc<State>, Option<u64>),
    /// When etcd has served what it was asked so far.
    busy: Time,
    service: Time,
    network: Time,
    seed: u64,
    report: Report,
}

impl World {
    fn new(count: usize, service: Time, seed: u64) -> Self {
        let settings = Settings::new(count, count);
        let mut world = Self {
            now: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            actors: Vec::new(),
            stored: (Arc::default(), None),
            busy: 0,
            service,
            network: 150,
            seed,
            report: Report::default(),
        };
        let spread = 300_000.max(2_000 * count as u64);
        for number in 0..count {
            let started = world.dice() % spread;
            let operation = Operation::with_deadline(Kind::Join, Duration::from_micros(started + JOIN_TIMEOUT));
            let replica = Replica::new(Node::new("n", number as i64, 0), settings.clone());
            world.actors.push(Actor { replica, operation, started, turn: 0, watches: false, returned: None });
            world.at(started, number, 0, Event::Proceed);
        }
        world
    }

    fn dice(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 1
    }

    fn at(&mut self, time: Time, actor: usize, turn: u64, event: Event) {
        self.queue.push(Reverse((time, self.events.len() as u64)));
        self.events.push(Some((actor, turn, event)));
    }

    fn moment(&self) -> Now {
        Now { mono: Duration::from_micros(self.now), wall: 1_700_000_000_000_000 + self.now as i64 }
    }

    fn run(&mut self) -> Report {
        while self.actors.iter().any(|actor| actor.returned.is_none()) {
            let Reverse((time, index)) = self.queue.pop().expect("somebody waits for ever");
            assert!(time < JOIN_TIMEOUT, "it takes too long: {:?}", self.report);
            self.now = time;
            let (number, turn, event) = self.events[index as usize].take().unwrap();
            if self.actors[number].turn == turn {
                self.happen(number, event);
            }
        }
        let starts = || self.actors.iter().map(|actor| actor.started);
        self.report.tail = self.now - starts().max().unwrap();
        self.report.whole = self.now - starts().min().unwrap();
        self.report
    }

    fn happen(&mut self, number: usize, event: Event) {
        let moment = self.moment();
        let back = self.now + self.network;
        let turn = self.actors[number].turn;
        match event {
            Event::Proceed => {
                if std::mem::take(&mut self.actors[number].watches) {
                    self.actors[number].replica.doubt();
                }
                self.proceed(number);
            }
            Event::Served(None) => {
                let (state, token) = self.stored.clone();
                self.at(back, number, turn, Event::Loaded(state, token, false));
            }
            Event::Served(Some((state, token))) if token == self.stored.1 => {
                let token = token.unwrap_or(0) + 1;
                self.stored = (state, Some(token));
                self.at(back, number, turn, Event::Stored(token));
                self.wake_watchers();
            }
            Event::Served(Some(_)) => {
                self.report.lost += 1;
                let (state, token) = self.stored.clone();
                self.at(back, number, turn, Event::Loaded(state, token, true));
            }
            Event::Loaded(state, token, lost) => {
                let actor = &mut self.actors[number];
                actor.replica.adopt((*state).clone(), Dialect::default(), token, moment);
                if lost {
                    actor.operation.lost();
                }
                self.proceed(number);
            }
            Event::Stored(token) => {
                self.actors[number].replica.stored(token, moment);
                self.proceed(number);
            }
        }
    }

    /// Etcd sends each watcher the state, one after the other.
    fn wake_watchers(&mut self) {
        for number in 0..self.actors.len() {
            if std::mem::take(&mut self.actors[number].watches) {
                self.report.wakes += 1;
                self.busy = self.busy.max(self.now) + self.service / 2;
                let (time, (state, token)) = (self.busy + self.network, self.stored.clone());
                self.actors[number].turn += 1;
                let turn = self.actors[number].turn;
                self.at(time, number, turn, Event::Loaded(state, token, false));
            }
        }
    }

    fn request(&mut self, number: usize, event: Event) {
        self.report.requests += 1;
        self.busy = self.busy.max(self.now + self.network) + self.service;
        let (time, turn) = (self.busy, self.actors[number].turn);
        self.at(time, number, turn, event);
    }

    fn proceed(&mut self, number: usize) {
        let dice = self.dice();
        let moment = self.moment();
        let actor = &mut self.actors[number];
        actor.turn += 1;
        let turn = actor.turn;
        match actor.operation.next(&mut actor.replica, moment, dice) {
            Step::Read => {
                self.report.reads += 1;
                self.request(number, Event::Served(None));
            }
            Step::Write => {
                let write = (Arc::new(actor.replica.state().clone()), actor.replica.token());
                let was_in = self.stored.0.participants.contains_key(actor.replica.node());
                self.report.heartbeats += u64::from(was_in);
                self.request(number, Event::Served(Some(write)));
            }
            Step::Wait { until } => {
                // One request for the watch, and what had changed before it was there is told at once.
                self.report.waits += 1;
                let known = actor.replica.token() == self.stored.1;
                self.report.requests += 1;
                self.busy = self.busy.max(self.now + self.network) + self.service;
                if known {
                    actor.watches = true;
                    self.at(until.as_micros() as Time, number, turn, Event::Proceed);
                } else {
                    let (time, (state, token)) = (self.busy + self.network, self.stored.clone());
                    self.at(time, number, turn, Event::Loaded(state, token, false));
                }
            }
            Step::BackOff { until } => self.at(until.as_micros() as Time, number, turn, Event::Proceed),
            Step::Finished => actor.returned = Some(self.now),
            Step::Failed(failure) => panic!("{failure:?}"),
        }
    }
}

/// How many histories of each kind.
const SEEDS: u64 = 3;

/// The average of some histories of `count` nodes, of an etcd that takes `service` for a request.
fn grow(count: usize, service: Time) -> Report {
    let mut sum = Report::default();
    for seed in 0..SEEDS {
        let report = World::new(count, service, seed).run();
        sum.tail += report.tail / SEEDS;
        sum.whole += report.whole / SEEDS;
        sum.requests += report.requests;
        sum.lost += report.lost;
        sum.heartbeats += report.heartbeats;
        sum.reads += report.reads;
        sum.waits += report.waits;
        sum.wakes += report.wakes;
    }
    let each = |number: u64| number as f64 / (SEEDS * count as u64) as f64;
    println!(
        "{count:4} nodes, {service:5} us: last join to last return {:8.1} ms, in all {:8.1} ms; a node: {:5.1} requests, {:4.1} lost, {:4.2} heartbeats, {:4.1} reads, {:4.1} waits, {:4.1} wakes",
        sum.tail as f64 / 1000.0,
        sum.whole as f64 / 1000.0,
        each(sum.requests),
        each(sum.lost),
        each(sum.heartbeats),
        each(sum.reads),
        each(sum.waits),
        each(sum.wakes)
    );
    sum
}

#[test]
fn joining_does_not_cost_each_node_more_with_all_others() {
    let largest = if cfg!(debug_assertions) { 64 } else { 256 };
    for service in [300, 1000] {
        for count in [2, 4, 8, 16, 64, 256] {
            if count > largest {
                continue;
            }
            let (sum, nodes) = (grow(count, service), SEEDS * count as u64);
            assert!(sum.requests < 16 * nodes && sum.lost < 2 * nodes && sum.heartbeats < nodes, "{sum:?}");
            assert!(count > 8 || sum.tail < 50_000, "{sum:?}");
        }
    }
}
