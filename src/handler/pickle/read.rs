//! From the graph of objects to the state.

use std::collections::HashMap;
use std::sync::Arc;

use super::dialect::{Dialect, NodeKey, Seen};
use super::value::{Attributes, Global, Value};
use super::vm::{self, Graph, Id, Item};
use super::{MAX_ADDRESS, MAX_DEPTH, MAX_NAME, PickleError, date};
use crate::handler::state::{Node, RoundSize, State, WallMicros};

type Result<T> = std::result::Result<T, PickleError>;

/// The name of our own attribute: [`State::round_size`].
pub(super) const ROUND_SIZE: &str = "rdzv_round_size";

/// Reads a stored state, and in which dialect it is. What the bytes do not show of the dialect is as in `usual`.
///
/// # Errors
///
/// [`PickleError`] where the bytes are not the pickle of a state, or exceed the limits of this module.
pub fn decode(bytes: &[u8], usual: Dialect) -> Result<(State, Dialect)> {
    let graph = vm::run(bytes)?;
    let mut reader = Reader {
        graph: &graph,
        seen: Seen::default(),
        nodes: HashMap::new(),
        unknown_of_nodes: HashMap::new(),
        values: HashMap::new(),
        in_node: false,
    };
    let state = reader.state()?;
    Ok((state, reader.seen.dialect(usual)))
}

/// How an attribute that is kept unread was converted.
enum Kept {
    /// It is being converted: to meet it again is to have come round in a circle.
    Open,
    /// The value, how deep it nests, and whether there is a node in it.
    Done(Value, usize, bool),
}

struct Reader<'a> {
    graph: &'a Graph,
    seen: Seen,
    nodes: HashMap<Id, Node>,
    unknown_of_nodes: HashMap<Node, Attributes>,
    values: HashMap<Id, Kept>,
    /// Whether the attributes of a node are being read. They may not contain nodes: see [`Reader::node`].
    in_node: bool,
}

impl<'a> Reader<'a> {
    fn state(&mut self) -> Result<State> {
        let attributes = self.attributes(self.graph.root, Global::State)?;
        let mut state = State::default();
        let mut missing =
            vec!["round", "complete", "deadline", "closed", "participants", "wait_list", "last_heartbeats"];
        for (name, id) in attributes {
            missing.retain(|known| **known != *name);
            let fault = |text| PickleError::new(format!("the attribute {name} {text}"));
            match &*name {
                "round" => state.round = self.count(id).ok_or_else(|| fault("is not a number of times"))?,
                "complete" => state.complete = self.truth(id).ok_or_else(|| fault("is not a bool"))?,
                "closed" => state.closed = self.truth(id).ok_or_else(|| fault("is not a bool"))?,
                "deadline" if matches!(self.graph.get(id), Item::None) => {}
                "deadline" => state.deadline = Some(self.time(id).ok_or_else(|| fault("is not a time"))?),
                "participants" => {
                    for (node, rank) in self.pairs(id).ok_or_else(|| fault("is not a dict"))? {
                        let rank = self.count(rank).ok_or_else(|| fault("holds what is not a rank"))?;
                        state.participants.insert(self.node(node)?, rank);
                    }
                }
                "last_heartbeats" => {
                    for (node, time) in self.pairs(id).ok_or_else(|| fault("is not a dict"))? {
                        let time = self.time(time).ok_or_else(|| fault("holds what is not a time"))?;
                        state.last_heartbeats.insert(self.node(node)?, time);
                    }
                }
                "wait_list" | "redundancy_list" => {
                    let mut list = std::collections::BTreeSet::new();
                    for node in self.members(id).ok_or_else(|| fault("is not a set"))? {
                        list.insert(self.node(*node)?);
                    }
                    if &*name == "wait_list" {
                        state.wait_list = list;
                    } else {
                        self.seen.redundancy_list = true;
                        state.redundancy_list = list;
                    }
                }
                ROUND_SIZE if self.round_size(id).is_some() => state.round_size = self.round_size(id),
                _ => {
                    let (value, ..) = self.value(id, 0)?;
                    state.unknown.0.push((name, value));
                }
            }
        }
        if let Some(name) = missing.first() {
            return Err(PickleError::new(format!("the state has no attribute {name}")));
        }
        state.unknown_of_nodes = self.unknown_of_nodes.drain().collect();
        Ok(state)
    }

    /// The attributes of the instance `id` of `class`. As in Python, the last of equal names counts.
    fn attributes(&self, id: Id, class: Global) -> Result<Vec<(Arc<str>, Id)>> {
        let Item::Object(found, Some(dict)) = self.graph.get(id) else {
            return Err(PickleError::new(format!("there is no {} where one should be", class.names().1)));
        };
        if *found != class {
            return Err(PickleError::new(format!("there is no {} where one should be", class.names().1)));
        }
        let mut attributes: Vec<(Arc<str>, Id)> = Vec::new();
        let mut places = HashMap::new();
        for (name, value) in self.pairs(*dict).into_iter().flatten() {
            let Item::Text(name) = self.graph.get(name) else {
                return Err(PickleError::new("the name of an attribute is not a text"));
            };
            if name.len() > MAX_NAME {
                return Err(PickleError::new(format!("an attribute's name is longer than {MAX_NAME} bytes")));
            }
            let place = *places.entry(name.clone()).or_insert(attributes.len());
            match attributes.get_mut(place) {
                Some(attribute) => attribute.1 = value,
                None => attributes.push((name.clone(), value)),
            }
        }
        Ok(attributes)
    }

    /// Reads the node `id`, once.
    ///
    /// A node in an attribute of a node is refused: nodes are written where they first occur, and a long chain of
    /// them would nest as deep as it is long.
    fn node(&mut self, id: Id) -> Result<Node> {
        if let Some(node) = self.nodes.get(&id) {
            return Ok(node.clone());
        }
        let (mut addr, mut pid, mut local_id) = (None, None, None);
        let mut unknown = Attributes::default();
        for (name, part) in self.attributes(id, Global::Node)? {
            match (&*name, self.graph.get(part)) {
                ("addr" | "fqdn", Item::Text(text)) if text.len() <= MAX_ADDRESS => {
                    self.seen.node_key = Some(if &*name == "addr" { NodeKey::Addr } else { NodeKey::Fqdn });
                    addr = Some(text.clone());
                }
                ("pid", Item::Int(number)) => pid = Some(*number),
                ("local_id", Item::Int(number)) => local_id = Some(*number),
                _ => {
                    self.in_node = true;
                    let (value, _, has_node) = self.value(part, 0)?;
                    self.in_node = false;
                    if has_node {
                        return Err(node_in_node());
                    }
                    unknown.0.push((name, value));
                }
            }
        }
        let (Some(addr), Some(pid), Some(local_id)) = (addr, pid, local_id) else {
            return Err(PickleError::new("a node lacks its address, process id, or local id"));
        };
        let node = Node { addr, pid, local_id };
        if !unknown.is_empty() {
            self.unknown_of_nodes.insert(node.clone(), unknown);
        }
        self.nodes.insert(id, node.clone());
        Ok(node)
    }

    fn count(&self, id: Id) -> Option<u64> {
        match self.graph.get(id) {
            Item::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn truth(&self, id: Id) -> Option<bool> {
        match self.graph.get(id) {
            Item::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The keys and values of a dict.
    fn pairs(&self, id: Id) -> Option<impl Iterator<Item = (Id, Id)> + use<'a>> {
        match self.graph.get(id) {
            Item::Dict(items) => Some(items.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?)))),
            _ => None,
        }
    }

    /// The members of a set, which protocols 2 and 3 make from a list.
    fn members(&self, id: Id) -> Option<&'a [Id]> {
        match self.graph.get(id) {
            Item::Set(members) => Some(members),
            Item::Call(Global::Set, arguments) => match self.arguments(*arguments) {
                [] => Some(&[]),
                [list] => match self.graph.get(*list) {
                    Item::List(members) => Some(members),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    fn arguments(&self, id: Id) -> &'a [Id] {
        match self.graph.get(id) {
            Item::Tuple(arguments) => arguments,
            _ => &[],
        }
    }

    fn round_size(&self, id: Id) -> Option<RoundSize> {
        match self.graph.get(id) {
            Item::Tuple(parts) => match parts[..] {
                [round, size] => Some(RoundSize { round: self.count(round)?, size: self.count(size)? }),
                _ => None,
            },
            _ => None,
        }
    }

    /// The moment that a `datetime` tells. One without time zone is in UTC.
    fn time(&mut self, id: Id) -> Option<WallMicros> {
        let Item::Call(Global::DateTime, arguments) = self.graph.get(id) else { return None };
        let (bytes, offset) = match self.arguments(*arguments) {
            [bytes] => (bytes, 0),
            [bytes, zone] => (bytes, self.offset(*zone)?),
            _ => return None,
        };
        let aware = self.arguments(*arguments).len() == 2;
        self.seen.aware_times = Some(aware || self.seen.aware_times.unwrap_or(false));
        let time = match self.graph.get(*bytes) {
            Item::Bytes(bytes) => date::from_bytes(bytes)?,
            Item::Call(Global::Encode, encoding) => date::from_bytes(&self.latin1(*encoding)?)?,
            _ => return None,
        };
        Some(time - offset)
    }

    /// The bytes of a time, as protocol 2 has them: a text of code points below 256, and the name of that encoding.
    fn latin1(&self, id: Id) -> Option<Vec<u8>> {
        let [text, encoding] = self.arguments(id) else { return None };
        match (self.graph.get(*text), self.graph.get(*encoding)) {
            (Item::Text(text), Item::Text(encoding)) if **encoding == *"latin1" && text.len() <= 20 => {
                text.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect()
            }
            _ => None,
        }
    }

    /// How far a time zone is ahead of UTC: less than a day.
    fn offset(&self, id: Id) -> Option<WallMicros> {
        let Item::Call(Global::TimeZone, arguments) = self.graph.get(id) else { return None };
        let ([delta] | [delta, _]) = self.arguments(*arguments) else { return None };
        let Item::Call(Global::TimeDelta, arguments) = self.graph.get(*delta) else { return None };
        let mut offset: WallMicros = 0;
        let units = [86_400_000_000, 1_000_000, 1];
        if self.arguments(*arguments).len() > units.len() {
            return None;
        }
        for (part, unit) in self.arguments(*arguments).iter().zip(units) {
            let Item::Int(number) = self.graph.get(*part) else { return None };
            offset = offset.checked_add(number.checked_mul(unit)?)?;
        }
        (offset.abs() < 86_400_000_000).then_some(offset)
    }

    /// Converts what is kept unread, each object once; tells how deep it nests, and whether there is a node in it.
    fn value(&mut self, id: Id, depth: usize) -> Result<(Value, usize, bool)> {
        match self.values.get(&id) {
            Some(Kept::Done(value, height, has_node)) if depth + height <= MAX_DEPTH => {
                return Ok((value.clone(), *height, *has_node));
            }
            Some(Kept::Done(..)) => return Err(too_deep()),
            Some(Kept::Open) => return Err(PickleError::new("an attribute contains itself")),
            None if depth > MAX_DEPTH => return Err(too_deep()),
            None => self.values.insert(id, Kept::Open),
        };
        let leaf = |value| (value, 0, false);
        let (value, height, has_node) = match self.graph.get(id) {
            Item::None => leaf(Value::None),
            Item::Bool(truth) => leaf(Value::Bool(*truth)),
            Item::Int(number) => leaf(Value::Int(*number)),
            Item::Long(bytes) => leaf(Value::Long(bytes.clone())),
            Item::Float(number) => leaf(Value::Float(*number)),
            Item::Text(text) => leaf(Value::Text(text.clone())),
            Item::Bytes(bytes) => leaf(Value::Bytes(bytes.clone())),
            Item::Tuple(parts) => self.container(parts, depth, Value::Tuple)?,
            Item::List(parts) => self.container(parts, depth, Value::List)?,
            Item::Dict(parts) => self.container(parts, depth, Value::Dict)?,
            Item::Set(parts) => self.container(parts, depth, Value::Set)?,
            Item::FrozenSet(parts) => self.container(parts, depth, Value::FrozenSet)?,
            Item::Call(function, arguments) => match self.value(*arguments, depth + 1)? {
                (Value::Tuple(parts), height, has_node) => (Value::Call(*function, parts), height + 1, has_node),
                _ => return Err(strange()),
            },
            Item::Object(Global::Node, _) if self.in_node => return Err(node_in_node()),
            Item::Object(Global::Node, _) => (Value::Node(self.node(id)?), 0, true),
            Item::Object(..) | Item::Global(_) => return Err(strange()),
        };
        self.values.insert(id, Kept::Done(value.clone(), height, has_node));
        Ok((value, height, has_node))
    }

    fn container(
        &mut self,
        parts: &[Id],
        depth: usize,
        make: fn(Arc<[Value]>) -> Value,
    ) -> Result<(Value, usize, bool)> {
        let mut values = Vec::with_capacity(parts.len());
        let (mut height, mut has_node) = (0, false);
        for part in parts {
            let (value, below, node) = self.value(*part, depth + 1)?;
            values.push(value);
            height = height.max(below + 1);
            has_node |= node;
        }
        Ok((make(values.into()), height, has_node))
    }
}

fn too_deep() -> PickleError {
    PickleError::new(format!("an attribute nests deeper than {MAX_DEPTH}"))
}

fn node_in_node() -> PickleError {
    PickleError::new("an attribute of a node contains a node")
}

fn strange() -> PickleError {
    PickleError::new("an attribute is of a kind that does not occur in a state")
}
