//! Rendezvous for distributed training over etcd, from C and C++.
//!
//! A map of the house; the way in is the way down, and nothing calls up:
//!
//! - [`ffi`]: the C ABI. Each entry checks, converts, calls, and writes out.
//! - [`backend`]: the rendezvous state of a run, under a fencing token.
//! - [`store`]: the c10d key/value store.
//! - [`handler`]: agreeing on ranks over backend and store.
//! - [`params`]: parameters, endpoints and the table of options.
//! - [`server`]: a local etcd process.
//! - `etcd`: the primitives that backend and store need, and the two APIs of etcd that provide them.
//! - [`error`], `logging`, `base64`, `fork`, `random`: what everything stands on.

pub mod backend;
mod base64;
pub mod error;
mod etcd;
pub mod ffi;
mod fork;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod handler;
pub mod logging;
pub mod params;
mod random;
pub mod server;
pub mod store;

pub use error::{Error, Result};
