"""Python's side of tests/pickle_python.rs: makes states, and judges what the codec made of them.

  pickle_oracle.py make torch DIR     states of the installed torch's own classes
  pickle_oracle.py make 2.6 DIR       states of stub classes with the shape of that version's (1.13, 2.0, 2.4, 2.6)
  pickle_oracle.py judge WHICH DIR    for every DIR/x.in: DIR/x.out is equal to it, and no larger than Python's own
  pickle_oracle.py version            the installed torch's version; exit status 3 where there is none

Each state is stored once in every protocol from 2 to 5, as DIR/<nodes>-<kind>-p<protocol>.in.
"""

import pathlib
import pickle
import random
import sys
import types
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

MODULE = "torch.distributed.elastic.rendezvous.dynamic_rendezvous"
COUNTS = (0, 1, 2, 3, 16, 85, 86, 256, 257, 1000, 1500)


def stub_classes(version):
    """Installs a module of torch's name, with the two classes as `version` has them."""
    key = "fqdn" if version == "1.13" else "addr"

    def shape(name, bases, attributes):
        cls = type(name, bases, attributes)
        cls.__module__, cls.__qualname__ = MODULE, name
        return cls

    node = dataclass(eq=True, order=True, frozen=True)(
        shape("_NodeDesc", (), {"__annotations__": {key: str, "pid": int, "local_id": int}})
    )
    names = ["round", "complete", "deadline", "closed", "participants", "wait_list"]
    values = [int, bool, lambda: None, bool, dict, set]
    if version in ("2.4", "2.6"):
        names, values = names + ["redundancy_list"], values + [set]
    names, values = names + ["last_heartbeats"], values + [dict]

    def init(self):
        for name, value in zip(names, values):
            setattr(self, name, value())

    state = shape("_RendezvousState", (), {"__init__": init})
    parts = MODULE.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    sys.modules[MODULE]._NodeDesc, sys.modules[MODULE]._RendezvousState = node, state
    return state, node, version == "2.6"


def torch_classes():
    """The installed torch's own classes."""
    import torch
    from torch.distributed.elastic.rendezvous import dynamic_rendezvous as module

    release = tuple(int(part) for part in torch.__version__.split(".")[:2])
    return module._RendezvousState, module._NodeDesc, release >= (2, 6)


def classes(which):
    return torch_classes() if which == "torch" else stub_classes(which)


def make_state(which, count, kind):
    """A state of `count` nodes; `kind` is plain, complete, or unknown (with attributes torch does not have)."""
    State, Node, aware = classes(which)
    dice = random.Random(f"{which} {count} {kind}")
    now = datetime(2026, 2, 28, 23, 59, 59, 999999, timezone.utc if aware else None)
    state = State()
    state.round = dice.choice((0, 1, 255, 256, 65536, 2**40))
    nodes = [
        Node(f"node-{n // 8:04}.cluster.example", dice.choice((7, 300, 70000, 2**22)) + n, n % 8) for n in range(count)
    ]
    dice.shuffle(nodes)
    spares = hasattr(state, "redundancy_list")
    for n, node in enumerate(nodes):
        if n % 10 == 8 and kind != "complete":
            state.wait_list.add(node)
        elif n % 10 == 9 and spares:
            state.redundancy_list.add(node)
        else:
            state.participants[node] = 0
        state.last_heartbeats[node] = now - timedelta(microseconds=dice.randrange(10**13))
    if kind == "complete":
        state.complete = True
        for rank, node in enumerate(sorted(state.participants)):
            state.participants[node] = rank
    elif count:
        state.deadline = now + timedelta(seconds=30)
    if kind == "unknown":
        state.closed = True
        add_unknown(state, nodes, now)
    return state


def add_unknown(state, nodes, now):
    """Attributes of every kind that is kept unread."""
    shared = ["a", ("b", 2, b"", b"\x00\xff", "", 1.5, None, True, -1, -70000, 2**63, -(2**200))]
    state.labels = {"one": shared, "two": shared, ("t", 3): {"x": frozenset({1, 2})}, "long": "x" * 5000}
    state.seen = now
    state.zone = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-5, minutes=-30), "here"))
    state.span = timedelta(days=-1, seconds=3, microseconds=7)
    state.emptiness = ([], {}, set(), (), frozenset(), b"")
    state.numbers = {1, 2, 3}
    state.blob = bytes(range(256)) * 3
    state.leaders = nodes[:5]
    state.rdzv_round_size = "not what is meant"
    for node in nodes[:3]:
        node.__dict__["topology"] = {"switch": 7, "ports": [1, 2]}


def make(which, directory):
    for count in COUNTS:
        for kind in ("plain", "complete", "unknown"):
            if kind == "unknown" and count > 100:
                continue
            state = make_state(which, count, kind)
            for protocol in (2, 3, 4, 5):
                path = directory / f"{count}-{kind}-p{protocol}.in"
                path.write_bytes(pickle.dumps(state, protocol=protocol))


def nodes_of(state):
    """All nodes that occur, with everything they have (equality of nodes looks at three attributes only)."""
    found = [*state.participants, *state.wait_list, *getattr(state, "redundancy_list", ()), *state.last_heartbeats]
    return {node: node.__dict__ for node in found}


def judge(which, directory):
    classes(which)
    faults, total = [], 0
    for path in sorted(directory.glob("*.in")):
        total += 1
        before, after = path.read_bytes(), path.with_suffix(".out").read_bytes()
        old, new = pickle.loads(before), pickle.loads(after)
        for name in sorted(vars(old).keys() | vars(new).keys()):
            missing = object()
            if getattr(old, name, missing) != getattr(new, name, missing):
                faults.append(f"{path.name}: the attribute {name} differs")
            if type(getattr(old, name, missing)) is not type(getattr(new, name, missing)):
                faults.append(f"{path.name}: the attribute {name} has another type")
        if list(vars(old)) != list(vars(new)):
            faults.append(f"{path.name}: the order of attributes differs")
        if nodes_of(old) != nodes_of(new):
            faults.append(f"{path.name}: the nodes differ")
        own = len(pickle.dumps(old, protocol=4))
        # What is kept unread is written as it was read, with the detours of protocols 2 and 3.
        if len(after) > (max(own, len(before)) if "unknown" in path.name else own):
            faults.append(f"{path.name}: {len(after)} bytes, {own} in Python")
        if path.name == "1000-complete-p4.in":
            print(f"{which}: 1000 nodes take {len(after)} bytes; {own} as Python writes them")
    print(f"{which}: {total} states, {len(faults)} faults")
    if faults or not total:
        sys.exit("\n".join(faults[:20]))


def version():
    try:
        import torch
    except ImportError:
        sys.exit(3)
    print(torch.__version__)


if __name__ == "__main__":
    if sys.argv[1] == "version":
        version()
    else:
        {"make": make, "judge": judge}[sys.argv[1]](sys.argv[2], pathlib.Path(sys.argv[3]))
