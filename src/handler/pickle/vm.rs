//! The interpreter: from bytes to a graph of objects, without making anything but data.

use std::collections::HashMap;
use std::sync::Arc;

use super::opcode as op;
use super::value::Global;
use super::{MAX_BYTES, MAX_OBJECTS, PickleError};

type Result<T> = std::result::Result<T, PickleError>;

/// An object's place in the [`Graph`].
pub(super) type Id = usize;

/// One object. Parts are named by their places, so that what is shared is stored once.
#[derive(Debug)]
pub(super) enum Item {
    None,
    Bool(bool),
    Int(i64),
    Long(Arc<[u8]>),
    Float(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in turn.
    Dict(Vec<Id>),
    Set(Vec<Id>),
    FrozenSet(Vec<Id>),
    Global(Global),
    /// A known name applied to a tuple.
    Call(Global, Id),
    /// An instance of the state's classes and the dictionary of its attributes.
    Object(Global, Option<Id>),
}

/// All objects of a pickle.
#[derive(Debug)]
pub(super) struct Graph {
    items: Vec<Item>,
    /// The object that the pickle is of.
    pub(super) root: Id,
}

impl Graph {
    pub(super) fn get(&self, id: Id) -> &Item {
        self.items.get(id).unwrap_or(&Item::None)
    }
}

/// Runs the pickle in `bytes`.
pub(super) fn run(bytes: &[u8]) -> Result<Graph> {
    if bytes.len() > MAX_BYTES {
        let size = bytes.len();
        return Err(PickleError::new(format!("it has {size} bytes, more than the {MAX_BYTES} that are read")));
    }
    let mut vm =
        Vm { bytes, next: 0, start: 0, items: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    match (vm.byte()?, vm.byte()?) {
        (op::PROTO, 2..=5) => {}
        (op::PROTO, protocol) => return Err(PickleError::new(format!("it has the unknown protocol {protocol}"))),
        _ => return Err(PickleError::new("it does not begin like a pickle of protocol 2 or later")),
    }
    loop {
        vm.start = vm.next;
        match vm.byte()? {
            op::STOP => break,
            opcode => vm.step(opcode)?,
        }
    }
    let root = vm.pop()?;
    Ok(Graph { items: vm.items, root })
}

struct Vm<'a> {
    bytes: &'a [u8],
    next: usize,
    /// Where the current opcode is.
    start: usize,
    items: Vec<Item>,
    stack: Vec<Id>,
    /// Heights of the stack at which marks were set.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Vm<'a> {
    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            op::FRAME => self.number::<8>().map(|_| ()),
            op::MARK => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::MEMOIZE => self.put(self.memo.len()),
            op::BINPUT => self.number::<1>().and_then(|index| self.put(index)),
            op::LONG_BINPUT => self.number::<4>().and_then(|index| self.put(index)),
            op::BINGET => self.number::<1>().and_then(|index| self.fetch(index)),
            op::LONG_BINGET => self.number::<4>().and_then(|index| self.fetch(index)),
            op::TUPLE | op::FROZENSET | op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => self.gather(opcode),
            op::APPEND | op::APPENDS | op::SETITEM | op::SETITEMS | op::ADDITEMS => self.fill(opcode),
            op::GLOBAL | op::STACK_GLOBAL => self.global(opcode),
            op::REDUCE | op::NEWOBJ => self.call(opcode),
            op::BUILD => self.build(),
            _ => {
                let item = self.literal(opcode)?;
                self.push(item)
            }
        }
    }

    /// The opcodes that push an object of their own.
    fn literal(&mut self, opcode: u8) -> Result<Item> {
        Ok(match opcode {
            op::NONE => Item::None,
            op::NEWTRUE => Item::Bool(true),
            op::NEWFALSE => Item::Bool(false),
            op::BININT1 => Item::Int(i64::from(self.byte()?)),
            op::BININT2 => Item::Int(i64::from(u16::from_le_bytes(self.array()?))),
            op::BININT => Item::Int(i64::from(i32::from_le_bytes(self.array()?))),
            op::LONG1 => {
                let length = self.number::<1>()?;
                integer(self.take(length)?)
            }
            op::BINFLOAT => Item::Float(f64::from_be_bytes(self.array()?)),
            op::SHORT_BINUNICODE => self.number::<1>().and_then(|length| self.text(length))?,
            op::BINUNICODE => self.number::<4>().and_then(|length| self.text(length))?,
            op::SHORT_BINBYTES => {
                let length = self.number::<1>()?;
                Item::Bytes(self.take(length)?.into())
            }
            op::BINBYTES => {
                let length = self.number::<4>()?;
                Item::Bytes(self.take(length)?.into())
            }
            op::EMPTY_TUPLE => Item::Tuple(Vec::new()),
            op::EMPTY_LIST => Item::List(Vec::new()),
            op::EMPTY_DICT => Item::Dict(Vec::new()),
            op::EMPTY_SET => Item::Set(Vec::new()),
            _ => return Err(self.fault(format_args!("the opcode 0x{opcode:02x} does not occur in a rendezvous state"))),
        })
    }

    /// Makes a tuple or frozen set of what is on the stack.
    fn gather(&mut self, opcode: u8) -> Result<()> {
        let parts = match opcode {
            op::TUPLE1 => vec![self.pop()?],
            op::TUPLE2 | op::TUPLE3 => {
                let mut parts = Vec::with_capacity(3);
                for _ in op::TUPLE1..=opcode {
                    parts.push(self.pop()?);
                }
                parts.reverse();
                parts
            }
            _ => self.pop_to_mark()?,
        };
        self.push(if opcode == op::FROZENSET { Item::FrozenSet(parts) } else { Item::Tuple(parts) })
    }

    /// Adds what is on the stack to the container below it.
    fn fill(&mut self, opcode: u8) -> Result<()> {
        let parts = match opcode {
            op::APPEND => vec![self.pop()?],
            op::SETITEM => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let uneven = parts.len() % 2 == 1;
        let container = self.top()?;
        match (opcode, self.items.get_mut(container)) {
            (op::APPEND | op::APPENDS, Some(Item::List(into))) | (op::ADDITEMS, Some(Item::Set(into))) => {
                into.extend(parts);
                Ok(())
            }
            (op::SETITEM | op::SETITEMS, Some(Item::Dict(into))) if !uneven => {
                into.extend(parts);
                Ok(())
            }
            _ => Err(self.fault("items are added to what cannot hold them")),
        }
    }

    fn global(&mut self, opcode: u8) -> Result<()> {
        let found = if opcode == op::GLOBAL {
            let (module, name) = (self.line()?, self.line()?);
            Global::find(module, name)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (self.items.get(module), self.items.get(name)) {
                (Some(Item::Text(module)), Some(Item::Text(name))) => Global::find(module, name),
                _ => None,
            }
        };
        let global = found.ok_or_else(|| self.fault("it names what does not occur in a rendezvous state"))?;
        self.push(Item::Global(global))
    }

    fn call(&mut self, opcode: u8) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let item = match (self.items.get(function), self.items.get(arguments)) {
            (Some(Item::Global(class @ (Global::State | Global::Node))), Some(Item::Tuple(parts)))
                if opcode == op::NEWOBJ && parts.is_empty() =>
            {
                Item::Object(*class, None)
            }
            (Some(Item::Global(Global::State | Global::Node)), _) => {
                return Err(self.fault("an object is made in an unknown way"));
            }
            (Some(Item::Global(function)), Some(Item::Tuple(_))) if opcode == op::REDUCE => {
                Item::Call(*function, arguments)
            }
            _ => return Err(self.fault("it calls what does not occur in a rendezvous state")),
        };
        self.push(item)
    }

    fn build(&mut self) -> Result<()> {
        let attributes = self.pop()?;
        let object = self.top()?;
        let is_dict = matches!(self.items.get(attributes), Some(Item::Dict(_)));
        match self.items.get_mut(object) {
            Some(Item::Object(_, slot @ None)) if is_dict => {
                *slot = Some(attributes);
                Ok(())
            }
            _ => Err(self.fault("attributes are given to what has none")),
        }
    }

    fn push(&mut self, item: Item) -> Result<()> {
        if self.items.len() >= MAX_OBJECTS {
            return Err(self.fault(format_args!("it has more than {MAX_OBJECTS} objects")));
        }
        self.stack.push(self.items.len());
        self.items.push(item);
        Ok(())
    }

    /// The height below which nothing may be taken: the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().ok_or_else(|| self.fault("the stack is empty"))
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.fault("there is no mark"))?;
        if mark > self.stack.len() {
            return Err(self.fault("the stack is empty"));
        }
        Ok(self.stack.split_off(mark))
    }

    fn put(&mut self, index: usize) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn fetch(&mut self, index: usize) -> Result<()> {
        let id = *self.memo.get(&index).ok_or_else(|| self.fault("it refers to an object that is not there"))?;
        self.stack.push(id);
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| PickleError::at(self.start, "it ends early"))
    }

    /// A number of `N` bytes, least byte first. One that does not fit saturates: no length or place is that large.
    fn number<const N: usize>(&mut self) -> Result<usize> {
        let mut number = 0u64;
        for byte in self.array::<N>()?.iter().rev() {
            number = number << 8 | u64::from(*byte);
        }
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let taken = rest.get(..length).ok_or_else(|| PickleError::at(self.start, "it ends early"))?;
        self.next += length;
        Ok(taken)
    }

    fn text(&mut self, length: usize) -> Result<Item> {
        let start = self.start;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(|text| Item::Text(text.into())).map_err(|_| PickleError::at(start, "a text is not UTF-8"))
    }

    /// Text up to the next line feed.
    fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| self.fault("it ends early"))?;
        let line = self.take(end)?;
        self.next += 1;
        std::str::from_utf8(line).map_err(|_| self.fault("a text is not UTF-8"))
    }

    fn fault(&self, text: impl std::fmt::Display) -> PickleError {
        PickleError::at(self.start, text)
    }
}

/// An integer of any length: two's complement, least byte first.
fn integer(bytes: &[u8]) -> Item {
    let filler = if bytes.last().is_some_and(|last| *last >= 0x80) { 0xff } else { 0 };
    let mut wide = [filler; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Item::Int(i64::from_le_bytes(wide))
        }
        None => Item::Long(bytes.into()),
    }
}
