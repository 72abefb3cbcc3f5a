//! Agreeing on ranks: the rendezvous handler, from the shared state to what one node does next.
//!
//! The pieces, from the inside out. None of them does input or output or reads a clock: time, the stored bytes and
//! random numbers are given to them, so that a simulation can drive exactly what a launcher runs.
//!
//! - [`state`]: the shared state, the nodes in it, and the settings of a run.
//! - [`liveness`]: who is alive, judged by changes that this node saw on its own clock.
//! - [`machine`]: what a node does next, as a function of the state; and the doing of it.
//! - [`replica`]: this node's copy of the shared state, with its token.
//! - [`operation`]: one operation (join, exit, close, keep alive) from its first read to its outcome.
//! - [`pickle`]: the stored form, which Python nodes read and write too.

pub mod liveness;
pub mod machine;
pub mod operation;
pub mod pickle;
pub mod replica;
pub mod state;
