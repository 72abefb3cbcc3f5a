//! Rendezvous for distributed training over etcd, from C and C++.
//!
//! A map of the house; the way in is the way down, and nothing calls up:
//!
//! - [`params`]: parameters, endpoints and the table of options.
//! - [`error`], `base64`: what everything stands on.

#[allow(dead_code, reason = "backend and store come next")]
mod base64;
pub mod error;
#[allow(dead_code, reason = "backend and store come next")]
pub mod params;

pub use error::{Error, Result};
