//! Each operation × each fault × each API of etcd, through a proxy that spoils one request, every request, or one
//! request after which the endpoint is dead.
//!
//! Each cell checks that the outcome is one that the contract allows, that it came within the deadline, that etcd
//! itself tells that nothing was done twice, nor done where the outcome denies it, and that the handles work again once
//! the fault is gone. The outcomes are the tables in `docs/reliability.md`; `RDZV_BLESS=1 cargo test --test faults`
//! writes them anew. `RDZV_FAULTS=<text>` runs the cells whose names hold the text and tells of each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod more;
mod ops;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ops::{Kind, LIMIT, OPS, Op, WAIT, World};
use support::fault::{Dialect, Fault, Rule};
use support::{Api, Proxy, SLACK, connect, etcd, label, told, unique};

/// How many cells are under way at once: nearly all of them only wait.
const WORKERS: usize = 48;

/// How often a cell whose time ran out is tried again, alone: the machine may have been busy, the library may not. An
/// outcome that does not tell the truth is never tried again.
const RETRIES: usize = 3;

/// To how many requests the fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Once,
    Always,
    /// Once, and then nobody listens any more.
    ThenDead,
}

pub(crate) const MODES: [Mode; 3] = [Mode::Once, Mode::Always, Mode::ThenDead];

impl Mode {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Once => "one request is hit",
            Self::Always => "every request of the kind is hit",
            Self::ThenDead => "one request is hit, then the endpoint is dead",
        }
    }
}

pub(crate) fn faults(api: Api) -> Vec<Fault> {
    let dialects = match api {
        Api::V2 => vec![Dialect::V2],
        Api::V3 => vec![Dialect::V3Old, Dialect::V3New],
    };
    let mut all = vec![
        Fault::Refuse,
        Fault::Silent,
        Fault::ResetBefore,
        Fault::CloseBefore,
        Fault::DropReply,
        Fault::ResetAfter,
        Fault::ResetMidBody,
        Fault::Trickle,
        Fault::TruncatedChunk,
        Fault::TruncatedBody,
        Fault::Garbage,
        Fault::GarbageBody,
        Fault::WrongType,
        Fault::EmptyBody,
        Fault::Huge,
        Fault::Delay(Duration::from_millis(60)),
        Fault::HalfClose,
        Fault::Duplicate,
        Fault::Redirect,
    ];
    for status in [401, 403, 429, 500, 503] {
        all.push(Fault::Status(status, Dialect::Plain));
        let known = dialects.iter().filter(|dialect| **dialect != Dialect::V2 || matches!(status, 401 | 500));
        all.extend(known.map(|dialect| Fault::Status(status, *dialect)));
    }
    all.push(Fault::StatusAfter(503, Dialect::Plain));
    all.push(Fault::StatusAfter(500, dialects[0]));
    all
}

/// One operation under one fault.
#[derive(Clone, Copy)]
struct Cell {
    api: Api,
    fault: Fault,
    mode: Mode,
    op: &'static Op,
}

pub(crate) struct Seen {
    pub(crate) outcome: &'static str,
    elapsed: Duration,
    done: u64,
    fired: usize,
    requests: usize,
    problem: Option<String>,
    /// Whether the problem may be that the machine was busy.
    hurried: bool,
}

impl Cell {
    fn name(&self) -> String {
        format!("{} / {} / {:?} / {}", self.api.name(), self.fault, self.mode, self.op.name)
    }

    fn deadline(&self) -> Duration {
        if self.op.waits { WAIT } else { LIMIT }
    }

    /// Runs the cell; a panic is a problem of the cell.
    fn run(&self, server: &str) -> Seen {
        let run = std::panic::AssertUnwindSafe(|| self.try_run(server));
        std::panic::catch_unwind(run).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            let problem = Some(format!("panicked: {text}"));
            Seen { outcome: "PANIC", elapsed: Duration::MAX, done: 0, fired: 0, requests: 0, problem, hurried: true }
        })
    }

    fn try_run(&self, server: &str) -> Seen {
        let proxy = Proxy::start(server);
        let run = unique("run");
        let config = "read_timeout=1,reconnect_timeout=1";
        let (backend, store) = connect(&proxy.endpoint(), self.api, &run, config);
        let (direct_backend, direct) = connect(server, self.api, &run, "");
        store.set_timeout(WAIT);
        let mut world = World { backend, store, direct_backend, direct, token: 0 };
        (self.op.prepare)(&mut world);
        let rule = match self.mode {
            Mode::Once => Rule::once(self.op.target, self.fault),
            Mode::Always => Rule::always(self.op.target, self.fault),
            Mode::ThenDead => Rule::then_dead(self.op.target, self.fault),
        };
        proxy.arm(rule);
        let started = Instant::now();
        let healer = (self.fault == Fault::Refuse && self.mode == Mode::Once).then_some(&proxy);
        let result = thread::scope(|scope| {
            // A refused endpoint that comes back.
            scope.spawn(|| {
                if let Some(proxy) = healer {
                    thread::sleep(Duration::from_millis(100));
                    proxy.heal();
                }
            });
            (self.op.run)(&world)
        });
        let elapsed = started.elapsed();
        let (fired, requests) = (proxy.fired(), proxy.requests());
        proxy.heal();
        // What is still on its way arrives.
        thread::sleep(Duration::from_millis(30));
        let (outcome, done) = (label(&result), (self.op.done)(&world));
        let mut seen = Seen { outcome, elapsed, done, fired, requests, problem: None, hurried: false };
        seen.problem = self.lie(&seen, &result);
        if seen.problem.is_none() {
            seen.problem = self.problem(&seen, &result).or_else(|| unusable(&world));
            seen.hurried = true;
        }
        seen
    }

    /// Where what is told is not what was done.
    fn lie(&self, seen: &Seen, result: &rdzv::Result<String>) -> Option<String> {
        let once = self.op.once;
        let allowed = match seen.outcome {
            "ok" => seen.done == once,
            "UNKNOWN" => seen.done <= once,
            // Of several keys some may be set, and who waited in vain at a barrier was counted.
            _ if self.op.name == "barrier" => seen.done <= once,
            _ => seen.done == 0 || (once > 1 && seen.done < once),
        };
        let said = result.as_ref().map_or_else(told, Clone::clone);
        if !allowed {
            Some(format!("{} but done {} times: {said}", seen.outcome, seen.done))
        } else if result.is_ok() && said != self.op.says {
            Some(format!("it said {said}, not {}", self.op.says))
        } else {
            None
        }
    }

    fn problem(&self, seen: &Seen, result: &rdzv::Result<String>) -> Option<String> {
        let expected = self.expected();
        let said = result.as_ref().map_or_else(told, Clone::clone);
        let problem = if !expected.contains(&seen.outcome) {
            format!("{} is none of {expected:?}", seen.outcome)
        } else if seen.fired == 0 && self.fault != Fault::Refuse {
            "the fault did not happen".to_owned()
        } else if seen.requests > 200 {
            format!("{} requests", seen.requests)
        } else if seen.elapsed > self.deadline() + SLACK {
            format!("late: {} ms", seen.elapsed.as_millis())
        } else {
            return None;
        };
        Some(format!("{problem}: {said}"))
    }

    /// The outcomes that the contract allows.
    fn expected(&self) -> Vec<&'static str> {
        let Op { kind, waits, .. } = *self.op;
        let passes = self.passes();
        let gone = if waits { vec!["TIMEOUT", "CONNECTION"] } else { vec!["CONNECTION"] };
        let lost = if kind == Kind::Read { gone.clone() } else { vec!["UNKNOWN"] };
        // A long-poll that ends badly is followed by a look; one that stays silent is as if nothing happened.
        if self.op.polls {
            return match (self.fault, self.mode) {
                (_, Mode::Once | Mode::Always) if self.op.says == "never" => vec!["TIMEOUT"],
                (Fault::Refuse, Mode::Once) => vec!["ok"],
                (_, Mode::ThenDead) | (Fault::Refuse, _) => gone,
                (Fault::Silent | Fault::Trickle, _) => vec!["TIMEOUT"],
                (Fault::Huge, _) => vec!["ok", "TIMEOUT"],
                _ => vec!["ok"],
            };
        }
        match (self.fault, self.mode) {
            (_, Mode::Once | Mode::Always) if passes => vec!["ok"],
            (_, Mode::ThenDead) if passes => [vec!["ok"], lost, gone].concat(),
            (Fault::Refuse, Mode::Once) => vec!["ok"],
            (Fault::Refuse, _) => gone,
            (Fault::Status(401 | 403, _), _) => vec!["AUTH"],
            (Fault::Redirect, _) => vec!["SERVER"],
            (Fault::Huge, _) if kind == Kind::Read => vec!["SERVER"],
            (Fault::Silent | Fault::Trickle, Mode::Once) => lost,
            (_, Mode::Once) => match kind {
                Kind::Read | Kind::Set | Kind::Swap => vec!["ok"],
                Kind::Count => vec!["ok", "UNKNOWN"],
            },
            // An element that is in the queue is there by this call.
            (_, Mode::Always) if self.op.name == "queue_push" => vec!["ok", "UNKNOWN"],
            (_, Mode::Always | Mode::ThenDead) => lost,
        }
    }
}

impl Cell {
    /// Whether the answer comes through.
    fn passes(&self) -> bool {
        matches!(self.fault, Fault::Delay(_) | Fault::HalfClose | Fault::Duplicate)
    }

    /// Whether it depends on who is faster what comes of it: each outcome is right, the document has the usual one.
    fn is_race(&self) -> bool {
        self.mode == Mode::ThenDead && self.passes()
    }
}

/// Whether the handles work once the fault is gone.
fn unusable(world: &World) -> Option<String> {
    let check = || {
        world.store.set(b"after", b"wards")?;
        assert_eq!(world.store.get(b"after")?, b"wards");
        world.store.add(b"counter after", 1)?;
        match world.backend.get_state() {
            Err(rdzv::Error::NotFound(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    };
    check().err().map(|error: rdzv::Error| format!("unusable afterwards: {}", told(&error)))
}

#[test]
fn every_operation_under_every_fault() {
    let wanted = std::env::var("RDZV_FAULTS").ok();
    let mut tables = Vec::new();
    let mut problems = Vec::new();
    for api in Api::all() {
        let server = etcd::start(&[]);
        let mut cells = Vec::new();
        for mode in MODES {
            for fault in faults(api) {
                cells.extend(OPS.iter().map(|op| Cell { api, fault, mode, op }));
            }
        }
        cells.retain(|cell| wanted.as_ref().is_none_or(|wanted| cell.name().contains(wanted)));
        let started = Instant::now();
        let mut seen = run_all(&cells, server.endpoint());
        println!("{} cells of {} in {:?}", cells.len(), api.name(), started.elapsed());
        for (cell, seen) in cells.iter().zip(&seen) {
            if wanted.is_some() {
                let Seen { outcome, elapsed, done, fired, requests, .. } = seen;
                println!("{}: {outcome} {elapsed:?} done={done} fired={fired} requests={requests}", cell.name());
            }
            if let Some(problem) = &seen.problem {
                problems.push(format!("{}: {problem}", cell.name()));
            }
        }
        let render = |seen: &[Seen]| {
            let of = |mode, fault| {
                let all = cells.iter().zip(seen);
                all.filter(|(cell, _)| cell.mode == mode && cell.fault == fault).map(|(_, seen)| seen.outcome).collect()
            };
            table::render(api, of)
        };
        let mut table = render(&seen);
        for _ in 0..RETRIES {
            if wanted.is_some() || table::is_documented(api, &table) {
                break;
            }
            let races: Vec<Cell> = cells.iter().filter(|cell| cell.is_race()).copied().collect();
            let mut again = run_all(&races, server.endpoint()).into_iter();
            for (_, seen) in cells.iter().zip(&mut seen).filter(|(cell, _)| cell.is_race()) {
                *seen = again.next().unwrap();
                problems.extend(seen.problem.as_ref().map(|problem| format!("{}: {problem}", api.name())));
            }
            table = render(&seen);
        }
        tables.push((api, table));
    }
    for (_, table) in &tables {
        println!("{table}");
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    if wanted.is_none() {
        tables.iter().for_each(|(api, table)| table::check(*api, table));
    }
}

/// Runs the cells, many at once, and those that may have been late again, alone.
fn run_all(cells: &[Cell], server: &str) -> Vec<Seen> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Seen>>> = cells.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..WORKERS.min(cells.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some(cell) = cells.get(at) else { break };
                    *results[at].lock().unwrap() = Some(cell.run(server));
                }
            });
        }
    });
    let mut all: Vec<_> = results.into_iter().map(|seen| seen.into_inner().unwrap().unwrap()).collect();
    for (cell, seen) in cells.iter().zip(&mut all) {
        for _ in 0..RETRIES {
            if seen.problem.is_some() && seen.hurried {
                *seen = cell.run(server);
            }
        }
    }
    all
}
