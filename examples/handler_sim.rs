//! The long run of the simulation in `tests/sim/`.
//!
//! `handler_sim [COUNT [FIRST]]` examines that many histories (100,000 from seed 0 by default), on all processors.
//! `handler_sim seed SEED [FAULT]` tells one history, step by step. `handler_sim faults [COUNT]` shows for each
//! deliberate fault how soon the invariants notice it.

#![allow(clippy::panic, reason = "not part of the library")]

#[path = "../tests/sim/mod.rs"]
mod sim;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::{Mutation, Plan, Report, examine, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |place: usize, default: u64| arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(default);
    match arguments.first().map(String::as_str) {
        Some("seed") => tell(number(1, 0), arguments.get(2).map_or("None", String::as_str)),
        Some("faults") => faults(number(1, 20_000)),
        _ => many(number(0, 100_000), number(1, 0)),
    }
}

fn many(count: u64, first: u64) -> ExitCode {
    let start = std::time::Instant::now();
    let next = AtomicU64::new(first);
    let total = Mutex::new(Report::default());
    let failures = Mutex::new(Vec::new());
    let work = || {
        let mut report = Report::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            match examine(seed, Mutation::None) {
                Ok(done) => report.add(&done),
                Err(text) => failures.lock().unwrap_or_else(|poison| poison.into_inner()).push((seed, text)),
            }
        }
        total.lock().unwrap_or_else(|poison| poison.into_inner()).add(&report);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut failures = failures.into_inner().unwrap_or_default();
    failures.sort();
    let total = total.into_inner().unwrap_or_default();
    println!(
        "{count} histories from seed {first} in {:.1} s: {} failed",
        start.elapsed().as_secs_f64(),
        failures.len()
    );
    println!("{total:?}");
    for (seed, text) in &failures {
        println!("seed {seed}: {}", text.lines().next().unwrap_or_default());
    }
    if let Some((_, text)) = failures.first() {
        println!("\n{text}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn tell(seed: u64, fault: &str) -> ExitCode {
    let all = Mutation::FAULTS.iter().chain([&Mutation::None]);
    let Some(mutation) = all.copied().find(|mutation| format!("{mutation:?}") == fault) else {
        println!("the faults are {:?}", Mutation::FAULTS);
        return ExitCode::FAILURE;
    };
    let (lines, outcome) = run(&Plan::new(seed, mutation), true);
    lines.iter().for_each(|line| println!("{line}"));
    println!("{outcome:?}");
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn faults(count: u64) -> ExitCode {
    let mut unnoticed = 0;
    for mutation in Mutation::FAULTS {
        match (0..count).find_map(|seed| run(&Plan::new(seed, mutation), false).1.err().map(|text| (seed, text))) {
            Some((seed, text)) => println!("{mutation:?}: noticed at seed {seed}: {text}"),
            None => {
                println!("{mutation:?}: NOT noticed in {count} histories");
                unnoticed += 1;
            }
        }
    }
    if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
