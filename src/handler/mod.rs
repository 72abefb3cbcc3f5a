//! Agreeing on ranks: the rendezvous handler, from the shared state to what one node does next.
//!
//! [`Handler`] is what a launcher uses. Under it are pieces that it drives; of these none does input or output or reads a clock: time, the stored bytes and
//! random numbers are given to them, so that a simulation can drive exactly what a launcher runs.
//!
//! - [`state`]: the shared state, the nodes in it, and the settings of a run.
//! - [`liveness`]: who is alive, judged by changes that this node saw on its own clock.
//! - [`machine`]: what a node does next, as a function of the state; and the doing of it.
//! - [`replica`]: this node's copy of the shared state, with its token.
//! - [`operation`]: one operation (join, exit, close, keep alive) from its first read to its outcome.
//! - `pace`: how often to look while others change the state.
//! - [`pickle`]: the stored form, which Python nodes read and write too.

mod board;
mod drive;
pub mod events;
mod heartbeat;
pub mod liveness;
pub mod machine;
pub mod operation;
mod pace;
pub mod pickle;
mod rendezvous;
pub mod replica;
mod setup;
pub mod state;

pub use board::Callback;
pub use rendezvous::{Handler, Info};
