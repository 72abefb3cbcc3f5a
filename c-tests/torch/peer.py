"""The C++ or C side of a test: a process of peer.cpp that is told what to do line by line."""

import os
import subprocess

ENDPOINT = os.environ["RDZV_TEST_ENDPOINT"]
PEER = os.environ["RDZV_TEST_PEER"]
API = os.environ.get("RDZV_TEST_API", "auto")


def _encoded(value):
    value = value.encode() if isinstance(value, str) else value
    return "." + value.hex()


def _decoded(text):
    return bytes.fromhex(text[1:])


class Failed(Exception):
    """What the peer answers that is not ok."""


class Peer:
    """`kind` is "c10d" for rdzv::C10dStore, "c" for the C API."""

    def __init__(self, kind, run_id="run"):
        flags = ["--c"] if kind == "c" else []
        self._process = subprocess.Popen(
            [PEER, *flags, ENDPOINT, API, run_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self):
        self._process.stdin.close()
        status = self._process.wait(30)
        self._process.stdout.close()
        assert status == 0, f"the peer ended with {status}"

    def send(self, *words):
        """Begins a call; `answer` ends it."""
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def answer(self):
        line = self._process.stdout.readline().rstrip("\n")
        if not line.startswith("ok "):
            raise Failed(line)
        return line[3:].strip()

    def call(self, *words):
        self.send(*words)
        return self.answer()

    def set(self, key, value):
        self.call("set", _encoded(key), _encoded(value))

    def get(self, key):
        return _decoded(self.call("get", _encoded(key)))

    def send_get(self, key):
        self.send("get", _encoded(key))

    def answer_get(self):
        return _decoded(self.answer())

    def add(self, key, amount):
        return int(self.call("add", _encoded(key), amount))

    def send_add(self, key, amount, times):
        self.send("add", _encoded(key), amount, times)

    def answer_add(self):
        return [int(value) for value in self.answer().split()]

    def check(self, keys):
        return self.call("check", *map(_encoded, keys)) == "true"

    def wait(self, keys, timeout_ms):
        self.call("wait", timeout_ms, *map(_encoded, keys))

    def send_wait(self, keys, timeout_ms):
        self.send("wait", timeout_ms, *map(_encoded, keys))

    def delete(self, key):
        return self.call("delete", _encoded(key)) == "true"

    def append(self, key, value):
        self.call("append", _encoded(key), _encoded(value))

    def compare_set(self, key, expected, desired):
        return _decoded(self.call("compare", _encoded(key), _encoded(expected), _encoded(desired)))

    def get_state(self):
        state, token, _ = self.call("get_state").split()
        return _decoded(state), int(token)

    def set_state(self, state, token=0):
        state, token, has_set = self.call("set_state", _encoded(state), token).split()
        return _decoded(state), int(token), has_set == "true"
