"""The nodes of a run as processes, each driven by lines; and the etcd that they meet at."""

import os
import queue
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ["RDZV_TEST_NODE"]
SKIPPED = 77


class Process:
    """A process that says "ready", and then answers each line with one."""

    def __init__(self, arguments):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, bufsize=1)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def ask(self, line):
        self.process.stdin.write(line + "\n")

    def answer(self, timeout=90):
        line = self.lines.get(timeout=timeout)
        if line is None or line.startswith("error"):
            raise AssertionError(f"{self}: {line or 'has ended'}")
        return line

    def kill(self):
        self.process.kill()
        self.process.wait()


class Etcd(Process):
    def __init__(self, api):
        super().__init__([PROGRAM, api, "serve"])
        self.endpoint = self.lines.get(timeout=90)
        if self.endpoint is None:
            sys.exit(self.process.wait())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


class Node(Process):
    def __init__(self, language, number, api, endpoint, run_id, min_nodes, max_nodes, address):
        self.language, self.number = language, number
        program = [sys.executable, os.path.join(HERE, "node.py")] if language == "python" else [PROGRAM, api]
        super().__init__(program + [endpoint, run_id, str(min_nodes), str(max_nodes), address])

    def __str__(self):
        return f"{self.language} node {self.number}"


def ask_all(nodes, line):
    """Asks all at once. Each one's answer, as its words."""
    for node in nodes:
        node.ask(line)
    return [node.answer().split() for node in nodes]


def until(what, seconds=30):
    """Waits until `what` holds."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise AssertionError("it does not come true")
        time.sleep(0.1)
