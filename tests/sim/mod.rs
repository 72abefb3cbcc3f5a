//! A simulation of whole runs under a virtual clock: many nodes, a compare-and-set store, and everything that goes wrong.
//!
//! A history is a function of its seed. The nodes are the library's own replicas and operations; the launcher around
//! them, the network, the store and the clocks are here. Each write to the store and each return from a join is
//! checked against the invariants ([`check`]), and in the end, that all are where they should be.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    missing_docs,
    reason = "shared by a test and an example; a fault in the simulation may end it"
)]

mod actor;
mod brain;
mod check;
mod dice;
mod launcher;
mod plan;
mod world;

pub use plan::{Mutation, Plan};
pub use world::{Report, run};

/// A microsecond of virtual time.
pub type Time = u64;

pub const SECOND: Time = 1_000_000;

/// Runs the history of `seed`; a failing one is run again to tell its trace.
///
/// # Errors
///
/// What was violated, and how it came to that.
pub fn examine(seed: u64, mutation: Mutation) -> Result<Report, String> {
    run(&Plan::new(seed, mutation), false).1.map_err(|text| {
        let (trace, _) = run(&Plan::new(seed, mutation), true);
        // The steps of single nodes are told by the example; here, what became of the state and the nodes.
        let lines: Vec<_> = trace.into_iter().filter(|line| !line.contains("[step]")).collect();
        format!("seed {seed} {mutation:?}: {text}\n{}", lines.join("\n"))
    })
}
