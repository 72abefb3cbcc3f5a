use std::time::{Duration, Instant};

use super::*;
use crate::handler::state::{Node, RoundSize, State};

fn read(bytes: &[u8]) -> Result<State, PickleError> {
    decode(bytes, Dialect::default()).map(|(state, _)| state)
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn some_state() -> State {
    let mut state = State { round: 3, deadline: Some(1_700_000_000_000_001), ..State::default() };
    for (number, pid) in [(1, 7), (2, 70_000), (3, 1 << 40)] {
        let node = Node::new(format!("host-{number}"), pid, number);
        state.last_heartbeats.insert(node.clone(), 1_700_000_000_000_000 + number);
        match number {
            1 => drop(state.participants.insert(node, 1)),
            2 => drop(state.wait_list.insert(node)),
            _ => drop(state.redundancy_list.insert(node)),
        }
    }
    state
}

/// A pickle of a state that has one more attribute, `x`, whose value is made by `code`.
fn with_unknown(code: &[u8]) -> Vec<u8> {
    let mut bytes = encode(&State::default(), Dialect::default());
    bytes.truncate(bytes.len() - 3); // SETITEMS, BUILD, STOP
    bytes.extend([opcode::SHORT_BINUNICODE, 1, b'x']);
    bytes.extend(code);
    bytes.extend([opcode::SETITEMS, opcode::BUILD, opcode::STOP]);
    bytes
}

/// What scripts/pickle_samples.py says of a state.
fn describe(state: &State, dialect: Dialect) -> String {
    let truth = |truth| if truth { "True" } else { "False" };
    let node = |node: &Node| format!("{}/{}/{}", node.addr, node.pid, node.local_id);
    let time = |time: i64| format!("{time}{}", if dialect.aware_times { " aware" } else { "" });
    let list = |items: Vec<String>| if items.is_empty() { "-".into() } else { items.join(" ") };
    let mut text = format!("round: {}\ncomplete: {}\n", state.round, truth(state.complete));
    text += &format!("deadline: {}\n", state.deadline.map_or("None".into(), time));
    text += &format!("closed: {}\n", truth(state.closed));
    let ranks = state.participants.iter().map(|(key, rank)| format!("{}={rank}", node(key)));
    text += &format!("participants: {}\n", list(ranks.collect()));
    text += &format!("wait_list: {}\n", list(state.wait_list.iter().map(node).collect()));
    if dialect.redundancy_list {
        text += &format!("redundancy_list: {}\n", list(state.redundancy_list.iter().map(node).collect()));
    }
    let beats = state.last_heartbeats.iter().map(|(key, beat)| format!("{}={}", node(key), time(*beat)));
    text + &format!("last_heartbeats: {}\n", list(beats.collect()))
}

#[test]
fn samples_of_pytorch_versions() {
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pickle")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "bin") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let expected = match name.split('-').next().unwrap() {
            "2.0.1" => Dialect::TORCH_2_0,
            "2.4.1" => Dialect::TORCH_2_4,
            _ => Dialect::TORCH_2_6,
        };
        let (state, dialect) = decode(&std::fs::read(&path).unwrap(), expected).unwrap();
        assert_eq!(dialect, expected, "{name}");
        assert_eq!(describe(&state, dialect), std::fs::read_to_string(path.with_extension("txt")).unwrap(), "{name}");
        assert_eq!(decode(&encode(&state, dialect), expected).unwrap(), (state, dialect), "{name}");
        count += 1;
    }
    assert_eq!(count, 20);
}

#[test]
fn every_dialect_there_and_back() {
    let mut state = some_state();
    state.round_size = Some(RoundSize { round: 2, size: 1000 });
    for dialect in [Dialect::TORCH_2_6, Dialect::TORCH_2_4] {
        assert_eq!(decode(&encode(&state, dialect), Dialect::TORCH_1_13).unwrap(), (state.clone(), dialect));
    }
    state.redundancy_list.clear();
    for dialect in [Dialect::TORCH_2_0, Dialect::TORCH_1_13] {
        assert_eq!(decode(&encode(&state, dialect), Dialect::TORCH_2_6).unwrap(), (state.clone(), dialect));
    }
}

#[test]
fn spare_nodes_are_never_left_out() {
    let bytes = encode(&some_state(), Dialect::TORCH_1_13);
    assert_eq!(read(&bytes).unwrap().redundancy_list.len(), 1);
}

#[test]
fn what_is_not_a_state() {
    assert_eq!(refusal(b""), "at byte 0: it ends early");
    assert_eq!(refusal(b"(lp0\n."), "it does not begin like a pickle of protocol 2 or later");
    assert_eq!(refusal(b"\x80\x06."), "it has the unknown protocol 6");
    assert_eq!(refusal(b"\x80\x04."), "at byte 2: the stack is empty");
    assert_eq!(refusal(b"\x80\x04N."), "there is no _RendezvousState where one should be");
    assert_eq!(refusal(b"\x80\x04h\x00."), "at byte 2: it refers to an object that is not there");
    assert_eq!(refusal(b"\x80\x04K\x01"), "at byte 4: it ends early");
    assert_eq!(refusal(b"\x80\x04\x8c\x02\xff\xff."), "at byte 2: a text is not UTF-8");
    // What a malicious pickle does: os.system("true").
    let system = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.";
    assert_eq!(refusal(system), "at byte 2: it names what does not occur in a rendezvous state");
    // Opcodes that Python has and a state does not: INST, OBJ, PERSID, EXT1.
    for opcode in [b'i', b'o', b'P', 0x82] {
        let text = format!("at byte 2: the opcode 0x{opcode:02x} does not occur in a rendezvous state");
        assert_eq!(refusal(&[0x80, 2, opcode, b'.']), text);
    }
}

#[test]
fn every_attribute_is_needed() {
    let bytes = encode(&some_state(), Dialect::default());
    for name in ["round", "complete", "deadline", "closed", "participants", "wait_list", "last_heartbeats"] {
        let place = bytes.windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
        let mut renamed = bytes.clone();
        renamed[place] = b'_';
        assert_eq!(refusal(&renamed), format!("the state has no attribute {name}"));
    }
}

#[test]
fn attributes_have_their_types() {
    let bytes = encode(&State::default(), Dialect::default());
    let place = bytes.windows(8).position(|window| window == b"complete").unwrap() + 9;
    let mut wrong = bytes;
    assert_eq!(wrong[place], opcode::NEWFALSE);
    wrong[place] = opcode::NONE;
    assert_eq!(refusal(&wrong), "the attribute complete is not a bool");
    let error = crate::Error::from(read(&wrong).unwrap_err());
    assert_eq!(error.to_string(), "The state object is corrupt. See inner exception for details.");
    assert!(error.cause().ends_with(": the attribute complete is not a bool"), "{}", error.cause());
}

#[test]
fn limits() {
    let mut long = with_unknown(b"N");
    long.resize(MAX_BYTES + 1, 0);
    assert_eq!(refusal(&long), "it has 8388609 bytes, more than the 8388608 that are read");

    let many = with_unknown(&[b"(".as_slice(), &[b'N'; MAX_OBJECTS], b"t"].concat());
    assert!(refusal(&many).ends_with(": it has more than 500000 objects"), "{}", refusal(&many));

    let nest = |depth| [vec![b'N'], vec![opcode::TUPLE1; depth]].concat();
    assert!(read(&with_unknown(&nest(MAX_DEPTH))).is_ok());
    assert_eq!(refusal(&with_unknown(&nest(MAX_DEPTH + 1))), "an attribute nests deeper than 64");
    assert_eq!(refusal(&with_unknown(&nest(400_000))), "an attribute nests deeper than 64");
    // As deep, by way of what was converted before.
    let twice = [b"(".as_slice(), &nest(60), b"\x94", b"h\x00".as_slice(), &nest(60)[1..], b"t"].concat();
    let index = u8::try_from(memo_size()).unwrap();
    let twice: Vec<u8> = twice.iter().map(|byte| if *byte == 0 { index } else { *byte }).collect();
    assert_eq!(refusal(&with_unknown(&twice)), "an attribute nests deeper than 64");

    let name = [&b"X\x00\x01\x00\x00"[..], &[b'n'; 256], b"N"].concat();
    assert_eq!(refusal(&with_unknown(&[b"N", &name[..]].concat())), "an attribute's name is longer than 255 bytes");
}

/// How much the pickle of [`with_unknown`] has memoized.
fn memo_size() -> usize {
    encode(&State::default(), Dialect::default()).iter().filter(|byte| **byte == opcode::MEMOIZE).count()
}

#[test]
fn an_attribute_may_not_contain_itself() {
    let index = u8::try_from(memo_size()).unwrap();
    let list = [opcode::EMPTY_LIST, opcode::MEMOIZE, opcode::BINGET, index, opcode::APPEND];
    assert_eq!(refusal(&with_unknown(&list)), "an attribute contains itself");
}

/// Each level holds the one below twice, a thousand-fold or by a call: written out, far more than memory can hold.
#[test]
fn bombs_take_no_time() {
    let start = Instant::now();
    let index = u8::try_from(memo_size()).unwrap();
    let mut nested = vec![b'N', opcode::MEMOIZE];
    for level in 0..60 {
        nested.extend([opcode::BINGET, index + level, opcode::TUPLE2, opcode::MEMOIZE]);
    }
    let state = read(&with_unknown(&nested)).unwrap();
    assert!(encode(&state, Dialect::default()).len() < 1000);
    assert_eq!(state, state.clone());

    // 100,000 sets of one list of 100,000 items.
    let mut sets = vec![opcode::MARK, opcode::EMPTY_LIST, opcode::MARK];
    sets.extend([opcode::NONE; 100_000]);
    sets.extend([opcode::APPENDS, opcode::TUPLE1, opcode::MEMOIZE]);
    sets.extend(b"cbuiltins\nset\n\x94");
    sets.extend([opcode::BINGET, index, opcode::REDUCE]);
    for _ in 0..100_000 {
        sets.extend([opcode::BINGET, index + 1, opcode::BINGET, index, opcode::REDUCE]);
    }
    sets.push(opcode::TUPLE);
    let bytes = with_unknown(&sets);
    let state = read(&bytes).unwrap();
    assert!(encode(&state, Dialect::default()).len() < bytes.len() * 2);

    // 200,000 references to a text of a megabyte.
    let mut texts = vec![opcode::MARK, opcode::BINUNICODE];
    texts.extend((1u32 << 20).to_le_bytes());
    texts.resize(texts.len() + (1 << 20), b't');
    texts.push(opcode::MEMOIZE);
    for _ in 0..200_000 {
        texts.extend([opcode::BINGET, index]);
    }
    texts.push(opcode::TUPLE);
    let bytes = with_unknown(&texts);
    let state = read(&bytes).unwrap();
    assert!(encode(&state, Dialect::default()).len() < bytes.len() * 4);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn nodes_may_not_contain_nodes() {
    let mut inner = vec![opcode::EMPTY_TUPLE, opcode::NEWOBJ, opcode::EMPTY_DICT, opcode::MARK];
    for (name, value) in [("addr", &b"\x8c\x01a"[..]), ("pid", b"K\x01"), ("local_id", b"K\x01")] {
        inner.extend([opcode::SHORT_BINUNICODE, u8::try_from(name.len()).unwrap()]);
        inner.extend(name.as_bytes());
        inner.extend(value);
    }
    let class = b"ctorch.distributed.elastic.rendezvous.dynamic_rendezvous\n_NodeDesc\n";
    let node = |more: &[u8]| [class, &inner[..], more, b"ub"].concat();
    let state = read(&with_unknown(&node(b"\x8c\x04moreK\x07"))).unwrap();
    assert_eq!(state.unknown_of_nodes[&Node::new("a", 1, 1)].names().collect::<Vec<_>>(), ["more"]);
    let nested = node(&[b"\x8c\x04more", &node(b"")[..], b"\x85"].concat());
    assert_eq!(refusal(&with_unknown(&nested)), "an attribute of a node contains a node");
}

#[test]
fn times_of_other_zones_are_the_same_moments() {
    // datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), as the deadline.
    let zone = b"cdatetime\ntimezone\ncdatetime\ntimedelta\nK\x00M\x20\x1cK\x00\x87R\x85R";
    let time = [b"cdatetime\ndatetime\nC\x0a\x07\xb2\x01\x01\x02\x00\x00\x00\x00\x00".as_slice(), zone, b"\x86R"];
    let bytes = encode(&State::default(), Dialect::default());
    let place = bytes.windows(8).position(|window| window == b"deadline").unwrap() + 9;
    assert_eq!(bytes[place], opcode::NONE);
    let bytes = [&bytes[..place], &time.concat(), &bytes[place + 1..]].concat();
    let (state, dialect) = decode(&bytes, Dialect::TORCH_2_4).unwrap();
    assert_eq!((state.deadline, dialect), (Some(0), Dialect::TORCH_2_6));
}

/// Whatever is read: no panic, no hang, and what is accepted is written and read back the same.
#[test]
fn damaged_states_are_refused_or_read() {
    let mut seeds = vec![encode(&some_state(), Dialect::TORCH_2_6), encode(&some_state(), Dialect::TORCH_1_13)];
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pickle")).unwrap() {
        seeds.push(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = move |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice % u64::try_from(sides).unwrap()).unwrap()
    };
    let opcodes = b"(.GJKMNRXabceh)]}jqrstuBC\x81\x85\x86\x87\x88\x89\x8a\x8c\x8f\x90\x91\x93\x94\x95";
    let mut accepted = 0;
    for _ in 0..50_000 {
        let mut bytes = seeds[roll(seeds.len())].clone();
        for _ in 0..=roll(3) {
            let place = roll(bytes.len());
            match roll(5) {
                0 => bytes[place] = u8::try_from(roll(256)).unwrap(),
                1 => bytes[place] = opcodes[roll(opcodes.len())],
                2 => bytes.insert(place, opcodes[roll(opcodes.len())]),
                3 => drop(bytes.remove(place)),
                _ => {
                    let other = &seeds[roll(seeds.len())];
                    let start = roll(other.len());
                    let end = (start + 1 + roll(40)).min(other.len());
                    bytes.splice(place..place, other[start..end].iter().copied());
                }
            }
        }
        if let Ok((state, dialect)) = decode(&bytes, Dialect::default()) {
            accepted += 1;
            assert_eq!(decode(&encode(&state, dialect), dialect).unwrap().0, state);
        }
    }
    assert!((500..45_000).contains(&accepted), "{accepted}");
}
