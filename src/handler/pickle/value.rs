//! Attributes that this version does not know, kept as they were read.

use std::sync::Arc;

use crate::handler::state::Node;

/// The names that a state may call or construct by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Global {
    /// `_RendezvousState`.
    State,
    /// `_NodeDesc`.
    Node,
    /// `datetime.datetime`.
    DateTime,
    /// `datetime.timezone`.
    TimeZone,
    /// `datetime.timedelta`.
    TimeDelta,
    /// `builtins.set`: how protocols 2 and 3 make a set from a list.
    Set,
    /// `builtins.frozenset`: likewise.
    FrozenSet,
    /// `builtins.bytes`: how protocol 2 makes empty bytes.
    Bytes,
    /// `_codecs.encode`: how protocol 2 makes bytes from text.
    Encode,
}

const MODULE: &str = "torch.distributed.elastic.rendezvous.dynamic_rendezvous";

impl Global {
    /// All of them, with the names that Python 3 knows them by.
    const ALL: [(Self, &str, &str); 9] = [
        (Self::State, MODULE, "_RendezvousState"),
        (Self::Node, MODULE, "_NodeDesc"),
        (Self::DateTime, "datetime", "datetime"),
        (Self::TimeZone, "datetime", "timezone"),
        (Self::TimeDelta, "datetime", "timedelta"),
        (Self::Set, "builtins", "set"),
        (Self::FrozenSet, "builtins", "frozenset"),
        (Self::Bytes, "builtins", "bytes"),
        (Self::Encode, "_codecs", "encode"),
    ];

    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        // Protocol 2 says it as Python 2 did.
        let module = if module == "__builtin__" { "builtins" } else { module };
        Self::ALL.iter().find(|(_, m, n)| (*m, *n) == (module, name)).map(|(global, ..)| *global)
    }

    /// Module and name.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        let found = Self::ALL.iter().find(|(global, ..)| *global == self);
        found.map_or(("", ""), |(_, module, name)| (module, name))
    }
}

/// An object of a kind that occurs in a state. Equal parts are shared as they were in what was read.
#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits: two's complement, least byte first, at most 255 bytes.
    Long(Arc<[u8]>),
    Float(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    Tuple(Arc<[Value]>),
    List(Arc<[Value]>),
    /// Keys and values in turn.
    Dict(Arc<[Value]>),
    Set(Arc<[Value]>),
    FrozenSet(Arc<[Value]>),
    Node(Node),
    /// What a known name makes of the arguments; not made, since it is only to be written again.
    Call(Global, Arc<[Value]>),
}

/// Attributes by name that are kept unread, in the order in which they were stored.
#[derive(Debug, Clone, Default)]
pub struct Attributes(pub(super) Vec<(Arc<str>, Value)>);

impl Attributes {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }
}

impl PartialEq for Attributes {
    /// Equal are attributes that are written alike. (Comparing part by part could take time exponential in the size
    /// of what is shared.)
    fn eq(&self, other: &Self) -> bool {
        super::write::attributes(self) == super::write::attributes(other)
    }
}
