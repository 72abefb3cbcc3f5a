//! A short run of the simulation in `sim/`. The long one: `cargo run --release --example handler_sim`, which also tells
//! the history of a seed step by step.

#![allow(clippy::panic, clippy::unwrap_used, reason = "this is a test, its helpers included")]

mod sim;

use sim::{Mutation, Plan, Report, examine, run};

fn histories(seeds: std::ops::Range<u64>) -> Report {
    let mut total = Report::default();
    for seed in seeds {
        match examine(seed, Mutation::None) {
            Ok(report) => total.add(&report),
            Err(text) => panic!("{text}"),
        }
    }
    total
}

/// How many histories: without optimisation, each takes some 50 ms.
const COUNT: u64 = if cfg!(debug_assertions) { 200 } else { 2000 };

#[test]
fn invariants_hold() {
    let halves = std::thread::scope(|scope| {
        let halves = [0..COUNT / 2, COUNT / 2..COUNT];
        halves.map(|seeds| scope.spawn(move || histories(seeds))).map(|half| half.join())
    });
    let mut total = Report::default();
    for half in halves {
        total.add(&half.expect("an invariant is violated: see above"));
    }
    println!("{COUNT} histories: {total:?}");
    // The histories are not idle ones.
    assert!(total.joins > 5 * COUNT && total.rounds > 2 * COUNT && total.broken_joins > COUNT / 4, "{total:?}");
    assert!(total.spares > COUNT / 4 && total.lost_writes > 5 * COUNT, "{total:?}");
    assert!(total.timeouts > COUNT / 4 && total.closed > COUNT / 4, "{total:?}");
}

#[test]
fn every_fault_is_noticed() {
    for mutation in Mutation::FAULTS {
        let noticed = (0..100).any(|seed| run(&Plan::new(seed, mutation), false).1.is_err());
        assert!(noticed, "{mutation:?} was not noticed in 100 histories");
    }
}

#[test]
fn a_seed_is_one_history() {
    let twice = [0, 1].map(|_| run(&Plan::new(7, Mutation::None), true));
    assert_eq!(twice[0].0, twice[1].0);
    assert!(twice[0].0.len() > 100);
}
