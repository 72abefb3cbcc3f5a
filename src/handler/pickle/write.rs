//! From the state to the bytes that Python reads: protocol 4, each node, name and address written once.

use std::collections::HashMap;
use std::sync::Arc;

use super::dialect::{Dialect, NodeKey};
use super::opcode as op;
use super::read::ROUND_SIZE;
use super::value::{Attributes, Global, Value};
use super::{MAX_ADDRESS, date};
use crate::handler::state::{Node, State, WallMicros};

/// Writes `state` as PyTorch nodes of `dialect` read it.
///
/// Spare nodes are never left out, even where the dialect has no list of them.
#[must_use]
pub fn encode(state: &State, dialect: Dialect) -> Vec<u8> {
    let mut writer = Writer::new(dialect, &state.unknown_of_nodes);
    writer.object(Global::State);
    writer.byte(op::EMPTY_DICT);
    writer.byte(op::MARK);
    writer.name("round");
    writer.count(state.round);
    writer.name("complete");
    writer.truth(state.complete);
    writer.name("deadline");
    match state.deadline {
        Some(deadline) => writer.time(deadline),
        None => writer.byte(op::NONE),
    }
    writer.name("closed");
    writer.truth(state.closed);
    writer.name("participants");
    writer.dict(state.participants.iter(), |writer, rank| writer.count(*rank));
    writer.name("wait_list");
    writer.set(state.wait_list.iter());
    if dialect.redundancy_list || !state.redundancy_list.is_empty() {
        writer.name("redundancy_list");
        writer.set(state.redundancy_list.iter());
    }
    writer.name("last_heartbeats");
    writer.dict(state.last_heartbeats.iter(), |writer, time| writer.time(*time));
    if let Some(noted) = state.round_size {
        writer.name(ROUND_SIZE);
        writer.count(noted.round);
        writer.count(noted.size);
        writer.byte(op::TUPLE2);
    }
    writer.attributes(&state.unknown);
    writer.byte(op::SETITEMS);
    writer.byte(op::BUILD);
    writer.byte(op::STOP);
    writer.out
}

/// `attributes` by themselves: what they are compared by.
pub(super) fn attributes(attributes: &Attributes) -> Vec<u8> {
    let none = std::collections::BTreeMap::new();
    let mut writer = Writer::new(Dialect::default(), &none);
    writer.attributes(attributes);
    writer.out
}

/// What has been written and can be referred to.
#[derive(PartialEq, Eq, Hash)]
enum Known {
    /// A word of the format.
    Name(&'static str),
    Text(Arc<str>),
    Node(Node),
    Global(Global),
    Utc,
    /// A container, or something long, by its address and its opcode.
    Shared(usize, u8),
}

struct Writer<'a> {
    out: Vec<u8>,
    dialect: Dialect,
    unknown_of_nodes: &'a std::collections::BTreeMap<Node, Attributes>,
    memo: HashMap<Known, usize>,
}

impl<'a> Writer<'a> {
    fn new(dialect: Dialect, unknown_of_nodes: &'a std::collections::BTreeMap<Node, Attributes>) -> Self {
        Self { out: vec![op::PROTO, 4], dialect, unknown_of_nodes, memo: HashMap::new() }
    }

    fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Refers to what is known already; false where it is not.
    fn refer(&mut self, known: &Known) -> bool {
        let Some(index) = self.memo.get(known) else { return false };
        if let Ok(index) = u8::try_from(*index) {
            self.out.extend([op::BINGET, index]);
        } else {
            self.out.push(op::LONG_BINGET);
            self.out.extend(length(*index));
        }
        true
    }

    /// Lets the object just written be referred to.
    fn memoize(&mut self, known: Known) {
        self.memo.insert(known, self.memo.len());
        self.byte(op::MEMOIZE);
    }

    fn name(&mut self, name: &'static str) {
        self.text_once(name, Known::Name(name));
    }

    fn text(&mut self, text: &Arc<str>) {
        // To look a long one up by its content, each time that it occurs, could take far longer than to read it did.
        let known = if text.len() <= MAX_ADDRESS {
            Known::Text(text.clone())
        } else {
            Known::Shared(Arc::as_ptr(text).addr(), op::BINUNICODE)
        };
        self.text_once(text, known);
    }

    fn text_once(&mut self, text: &str, known: Known) {
        if self.refer(&known) {
            return;
        }
        if let Ok(short) = u8::try_from(text.len()) {
            self.out.extend([op::SHORT_BINUNICODE, short]);
        } else {
            self.byte(op::BINUNICODE);
            self.out.extend(length(text.len()));
        }
        self.out.extend(text.as_bytes());
        self.memoize(known);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Ok(short) = u8::try_from(bytes.len()) {
            self.out.extend([op::SHORT_BINBYTES, short]);
        } else {
            self.byte(op::BINBYTES);
            self.out.extend(length(bytes.len()));
        }
        self.out.extend(bytes);
    }

    fn truth(&mut self, truth: bool) {
        self.byte(if truth { op::NEWTRUE } else { op::NEWFALSE });
    }

    fn count(&mut self, number: u64) {
        self.int(i64::try_from(number).unwrap_or(i64::MAX));
    }

    fn int(&mut self, number: i64) {
        if let Ok(number) = u8::try_from(number) {
            self.out.extend([op::BININT1, number]);
        } else if let Ok(number) = u16::try_from(number) {
            self.byte(op::BININT2);
            self.out.extend(number.to_le_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.byte(op::BININT);
            self.out.extend(number.to_le_bytes());
        } else {
            self.long(&number.to_le_bytes());
        }
    }

    fn long(&mut self, bytes: &[u8]) {
        // What was read had at most 255 bytes.
        self.out.extend([op::LONG1, u8::try_from(bytes.len()).unwrap_or(u8::MAX)]);
        self.out.extend(bytes);
    }

    fn global(&mut self, global: Global) {
        if self.refer(&Known::Global(global)) {
            return;
        }
        let (module, name) = global.names();
        self.name(module);
        self.name(name);
        self.byte(op::STACK_GLOBAL);
        self.memoize(Known::Global(global));
    }

    /// A new instance of `class`, still without attributes.
    fn object(&mut self, class: Global) {
        self.global(class);
        self.byte(op::EMPTY_TUPLE);
        self.byte(op::NEWOBJ);
    }

    fn node(&mut self, node: &Node) {
        let known = Known::Node(node.clone());
        if self.refer(&known) {
            return;
        }
        self.object(Global::Node);
        self.memoize(known);
        self.byte(op::EMPTY_DICT);
        self.byte(op::MARK);
        self.name(match self.dialect.node_key {
            NodeKey::Fqdn => "fqdn",
            NodeKey::Addr => "addr",
        });
        self.text(&node.addr);
        self.name("pid");
        self.int(node.pid);
        self.name("local_id");
        self.int(node.local_id);
        let unknown_of_nodes = self.unknown_of_nodes;
        if let Some(unknown) = unknown_of_nodes.get(node) {
            self.attributes(unknown);
        }
        self.byte(op::SETITEMS);
        self.byte(op::BUILD);
    }

    fn dict<'b, T: 'b>(&mut self, items: impl Iterator<Item = (&'b Node, &'b T)>, write: impl Fn(&mut Self, &T)) {
        self.byte(op::EMPTY_DICT);
        let mut items = items.peekable();
        if items.peek().is_some() {
            self.byte(op::MARK);
            for (node, item) in items {
                self.node(node);
                write(self, item);
            }
            self.byte(op::SETITEMS);
        }
    }

    fn set<'b>(&mut self, nodes: impl Iterator<Item = &'b Node>) {
        self.byte(op::EMPTY_SET);
        let mut nodes = nodes.peekable();
        if nodes.peek().is_some() {
            self.byte(op::MARK);
            nodes.for_each(|node| self.node(node));
            self.byte(op::ADDITEMS);
        }
    }

    fn time(&mut self, time: WallMicros) {
        self.global(Global::DateTime);
        self.bytes(&date::to_bytes(time));
        if self.dialect.aware_times {
            self.utc();
            self.byte(op::TUPLE2);
        } else {
            self.byte(op::TUPLE1);
        }
        self.byte(op::REDUCE);
    }

    fn utc(&mut self) {
        if self.refer(&Known::Utc) {
            return;
        }
        self.global(Global::TimeZone);
        self.global(Global::TimeDelta);
        for _ in 0..3 {
            self.int(0);
        }
        self.out.extend([op::TUPLE3, op::REDUCE, op::TUPLE1, op::REDUCE]);
        self.memoize(Known::Utc);
    }

    fn attributes(&mut self, attributes: &Attributes) {
        for (name, value) in &attributes.0 {
            self.text(name);
            self.value(value);
        }
    }

    /// What was kept unread. Recursion ends: the reader bounded the depth.
    fn value(&mut self, value: &Value) {
        match value {
            Value::None => self.byte(op::NONE),
            Value::Bool(truth) => self.truth(*truth),
            Value::Int(number) => self.int(*number),
            Value::Long(bytes) => self.long(bytes),
            Value::Float(number) => {
                self.byte(op::BINFLOAT);
                self.out.extend(number.to_be_bytes());
            }
            Value::Text(text) => self.text(text),
            Value::Bytes(bytes) => {
                let known = Known::Shared(Arc::as_ptr(bytes).addr(), op::BINBYTES);
                if !self.refer(&known) {
                    self.bytes(bytes);
                    self.memoize(known);
                }
            }
            Value::Tuple(parts) => self.gathered(parts, op::TUPLE),
            Value::FrozenSet(parts) => self.gathered(parts, op::FROZENSET),
            Value::List(parts) => self.filled(parts, op::EMPTY_LIST, op::APPENDS),
            Value::Dict(parts) => self.filled(parts, op::EMPTY_DICT, op::SETITEMS),
            Value::Set(parts) => self.filled(parts, op::EMPTY_SET, op::ADDITEMS),
            Value::Node(node) => self.node(node),
            Value::Call(function, arguments) => {
                self.global(*function);
                self.gathered(arguments, op::TUPLE);
                self.byte(op::REDUCE);
            }
        }
    }

    /// A container that is made of its parts.
    fn gathered(&mut self, parts: &Arc<[Value]>, opcode: u8) {
        let known = Known::Shared(Arc::as_ptr(parts).addr(), opcode);
        if self.refer(&known) {
            return;
        }
        self.byte(op::MARK);
        parts.iter().for_each(|part| self.value(part));
        self.byte(opcode);
        self.memoize(known);
    }

    /// A container that is made empty and then filled.
    fn filled(&mut self, parts: &Arc<[Value]>, empty: u8, fill: u8) {
        let known = Known::Shared(Arc::as_ptr(parts).addr(), empty);
        if self.refer(&known) {
            return;
        }
        self.byte(empty);
        self.memoize(known);
        self.byte(op::MARK);
        parts.iter().for_each(|part| self.value(part));
        self.byte(fill);
    }
}

/// A length or place in four bytes, least first. Nothing that is written has more than 4 GiB.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}
