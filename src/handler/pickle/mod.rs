//! The stored form of the state: a Python pickle, as PyTorch's nodes write and read it.
//!
//! Unpickling in Python runs what it reads. This reader runs nothing: it is a small interpreter (`vm`) that knows the
//! opcodes and the handful of names that occur in a rendezvous state, and refuses all else. It is bounded in bytes,
//! objects and depth, takes time linear in its input, and leaves attributes it does not know as they are.

mod date;
mod dialect;
mod opcode;
mod read;
mod value;
mod vm;
mod write;

pub use dialect::{Dialect, NodeKey};
pub use read::decode;
pub use value::Attributes;
pub use write::encode;

use crate::error::{Cause, Error};

/// The largest state that is read. etcd refuses requests above 1.5 MB unless told otherwise.
pub const MAX_BYTES: usize = 8 << 20;
/// The most objects that a state may consist of: some 12 for each node.
pub const MAX_OBJECTS: usize = 500_000;
/// How deep an attribute that this version does not know may nest.
pub const MAX_DEPTH: usize = 64;
/// The longest name of an attribute, in bytes.
pub const MAX_NAME: usize = 255;
/// The longest address of a node, in bytes.
pub const MAX_ADDRESS: usize = 1024;

/// Why stored bytes are not a rendezvous state. Names positions and attributes, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PickleError(String);

impl PickleError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn at(offset: usize, text: impl std::fmt::Display) -> Self {
        Self(format!("at byte {offset}: {text}"))
    }
}

impl From<PickleError> for Error {
    fn from(error: PickleError) -> Self {
        Self::State(Cause::with_source("the stored state is not a pickled rendezvous state", error))
    }
}

#[cfg(test)]
mod tests;
