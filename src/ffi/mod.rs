//! The C ABI: what `include/rdzv.h` is generated from.
//!
//! No logic lives here. Each entry checks and converts its arguments, calls the core, and writes what came out.
//!
//! | file | what |
//! |---|---|
//! | `guard` | the only way in: catches panics, records what failed |
//! | `args` | C arguments to Rust ones, one helper for each shape |
//! | `last_error` | the calling thread's last failure |
//! | [`status`], [`errors`] | the status codes, how errors become them, and how C asks for the last failure |
//! | [`version`] | the versions of library and ABI |
//! | [`bytes`] | buffers that the library hands out |
//! | [`params`], [`backend`], [`store`], [`store_many`], [`handler`], [`server`] | the handles; the store's calls on many keys, queues and the barrier have a file of their own |
//! | [`log`] | the log callback |
//!
//! `tests/header.rs` lists the public modules in the order that the header has them in.

#![allow(unsafe_code, reason = "this is the boundary: C's pointers and symbol names cannot be had without")]
#![allow(non_camel_case_types, reason = "the type names are C's")]

mod args;
mod guard;
mod last_error;

pub mod backend;
pub mod bytes;
pub mod errors;
pub mod handler;
pub mod log;
pub mod params;
pub mod server;
pub mod status;
pub mod store;
pub mod store_many;
pub mod version;
