"""Makes tests/pickle/*.bin: states written by the code of other PyTorch versions than the installed one.

  python3 scripts/pickle_samples.py WHEEL [PROTOCOL]

WHEEL is a wheel of torch from PyPI; only its files of torch/distributed/elastic/rendezvous/ are run, with stand-ins for
what they import from elsewhere in torch. So the states come from that version's own classes and its own steps (join,
heartbeat, exit, close) over a backend that is a variable; the pickling is that of the Python which runs this script.

How the stored samples were made (Python 3.11; the macOS arm64 wheels, because they are the smallest):

  2.0.1-*   torch-2.0.1-cp311-none-macosx_11_0_arm64.whl
  2.4.1-*   torch-2.4.1-cp311-none-macosx_11_0_arm64.whl
  2.6.0-*   torch-2.6.0-cp311-none-macosx_11_0_arm64.whl
  2.14.1-*  torch-2.14.1-cp311-cp311-macosx_14_0_arm64.whl, with PROTOCOL 5: the default of the Python 3.14 that
            Debian's torch 2.14 runs in

With each x.bin there is an x.txt: what Python sees in it.
"""

import importlib.abc
import importlib.util
import pathlib
import pickle
import re
import sys
import tempfile
import types
import zipfile
from datetime import datetime, timedelta, timezone

PACKAGE = "torch.distributed.elastic.rendezvous"
OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "pickle"


class StandIn(types.ModuleType):
    """A module in which every name exists and does nothing."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *_, **__: None, "RUNNING": 1, "SUCCEEDED": 2, "FAILED": 3})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds PACKAGE's modules in the wheel, and stand-ins for all else of torch."""

    def __init__(self, root):
        self.root = root

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] != "torch":
            return None
        file = self.root / (name.replace(".", "/") + ".py")
        if name.startswith(PACKAGE + ".") and file.exists():
            return importlib.util.spec_from_file_location(name, file)
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        if module.__name__ == "torch.distributed.elastic.events":
            module.construct_and_record_rdzv_event = lambda **_: None


class Backend:
    """The shared state, in a variable."""

    name, state, token = "variable", None, 0

    def get_state(self):
        return None if self.state is None else (self.state, self.token)

    def set_state(self, state, token=None):
        if (token or 0) != self.token:
            return self.state, self.token, False
        self.state, self.token = state, self.token + 1
        return self.state, self.token, True


class Nodes:
    """Some nodes that take steps by the wheel's own code."""

    def __init__(self, module, low, high):
        self.module, self.backend = module, Backend()
        self.settings = module.RendezvousSettings(
            "run", low, high, module.RendezvousTimeout(), module.timedelta(seconds=5), 3
        )

    def step(self, number, *actions):
        """Lets node `number` perform `actions`, methods of the executor, on the current state."""
        node = self.module._NodeDesc(f"node-{number}.example", 4000 + number * 70000, number % 2)
        holder = self.module._BackendRendezvousStateHolder(self.backend, self.settings)
        executor = self.module._DistributedRendezvousOpExecutor(node, holder, self.settings)
        holder.sync()
        executor._state = holder.state
        for action in actions:
            getattr(executor, action)()
        holder.mark_dirty()
        assert holder.sync()


def samples(module):
    empty = Nodes(module, 1, 2)
    empty.step(0, "_add_to_participants", "_remove_from_participants")
    yield "left", empty

    first = Nodes(module, 2, 4)
    first.step(0, "_add_to_participants")
    yield "first", first

    gathering = Nodes(module, 2, 4)
    for number in (2, 0, 1):
        gathering.step(number, "_add_to_participants")
    yield "last-call", gathering

    full = Nodes(module, 2, 3)
    for number in (2, 0, 1):
        full.step(number, "_add_to_participants")
    yield "complete", full

    busy = Nodes(module, 2, 3)
    for number in (2, 0, 1):
        busy.step(number, "_add_to_participants")
    if hasattr(module._DistributedRendezvousOpExecutor, "_add_to_redundancy_list"):
        busy.step(3, "_add_to_redundancy_list")
    busy.step(1, "_remove_from_participants")
    busy.step(4, "_add_to_wait_list")
    busy.step(0, "_keep_alive")
    busy.step(2, "_mark_rendezvous_closed")
    yield "busy", busy


def describe(state):
    """What Python sees: one attribute a line, sets and dicts in order, times in microseconds since 1970."""

    def text(value):
        if hasattr(value, "timestamp"):
            aware = value.tzinfo is not None
            epoch = datetime(1970, 1, 1, tzinfo=timezone.utc if aware else None)
            return f"{(value - epoch) // timedelta(microseconds=1)}{' aware' if aware else ''}"
        if isinstance(value, dict):
            return " ".join(f"{text(key)}={text(item)}" for key, item in sorted(value.items())) or "-"
        if isinstance(value, set):
            return " ".join(text(item) for item in sorted(value)) or "-"
        if type(value).__name__ == "_NodeDesc":
            return "/".join(str(part) for part in vars(value).values())
        return str(value)

    return "".join(f"{name}: {text(value)}\n" for name, value in vars(state).items())


def main():
    wheel = pathlib.Path(sys.argv[1])
    protocol = int(sys.argv[2]) if len(sys.argv) > 2 else pickle.DEFAULT_PROTOCOL
    version = re.match(r"torch-([0-9.]+)-", wheel.name)[1]
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if name.startswith(PACKAGE.replace(".", "/") + "/")]
            archive.extractall(directory, members)
        sys.meta_path.insert(0, Finder(pathlib.Path(directory)))
        module = importlib.import_module(PACKAGE + ".dynamic_rendezvous")
        for name, nodes in samples(module):
            state = pickle.loads(nodes.backend.state)
            (OUT / f"{version}-{name}.bin").write_bytes(pickle.dumps(state, protocol=protocol))
            (OUT / f"{version}-{name}.txt").write_text(describe(state))


if __name__ == "__main__":
    main()
