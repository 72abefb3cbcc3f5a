"""What the calls of PyTorch's stores cost: EtcdStore and TCPStore, beside a raw loop over a socket, turn by turn.

    RDZV_ENDPOINT=host:port torch_peers.py FILE ROUNDS

RDZV_ENDPOINT is an etcd with the v2 API and nothing in it. FILE gets one line of JSON for each result, with the names
that rdzv_bench uses.
"""

import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from base64 import b64encode
from datetime import timedelta

import etcd
from torch.distributed import TCPStore
from torch.distributed.elastic.rendezvous.etcd_rendezvous_backend import EtcdRendezvousBackend
from torch.distributed.elastic.rendezvous.etcd_store import EtcdStore

PREFIX = "/torch/elastic/store"
VALUE = b"v" * 64
HOST, PORT = os.environ["RDZV_ENDPOINT"].rsplit(":", 1)
TIMEOUT = timedelta(seconds=60)


class Wire:
    """The floor: sends a request over a socket that is kept open, and reads the answer."""

    def __init__(self):
        self.socket = socket.create_connection((HOST, int(PORT)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, key):
        path = f"/v2/keys{PREFIX}/{b64encode(key.encode()).decode()}?quorum=true"
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nhost: {HOST}:{PORT}\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.socket.recv(65536)
        head, body = answer.split(b"\r\n\r\n", 1)
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self.socket.recv(65536)


def etcd_store():
    return EtcdStore(etcd.Client(host=HOST, port=int(PORT)), PREFIX, TIMEOUT)


class Tcp:
    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.server = self.connect(True)

    def connect(self, is_server=False):
        extra = {} if "use_libuv" not in (TCPStore.__init__.__doc__ or "") else {"use_libuv": False}
        return TCPStore("127.0.0.1", self.port, None, is_server, TIMEOUT, wait_for_workers=False, **extra)


class Ranks:
    """Processes, as ranks are: threads of Python that work wait for each other."""

    def __init__(self, count, body):
        fork = multiprocessing.get_context("fork")
        self.processes, self.pipes = [], []
        for _ in range(count):
            here, there = fork.Pipe()
            process = fork.Process(target=body, args=(there,), daemon=True)
            process.start()
            self.processes.append(process)
            self.pipes.append(here)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.join(60)

    def each(self):
        """What each of them tells next."""
        return [pipe.recv() for pipe in self.pipes]

    def go(self):
        for pipe in self.pipes:
            pipe.send(None)


def percentile(samples, q):
    return sorted(samples)[round(q * (len(samples) - 1))]


def interleave(rounds, calls):
    samples = [[] for _ in calls]
    for turn in range(rounds + rounds // 10 + 1):
        for which, call in enumerate(calls):
            start = time.perf_counter()
            call()
            if turn > rounds // 10:
                samples[which].append((time.perf_counter() - start) * 1e6)
    return samples


class Peers:
    def __init__(self, file, rounds):
        self.file, self.rounds = file, rounds
        self.wire, self.etcd, self.tcp = Wire(), etcd_store(), Tcp()

    def write(self, **members):
        print(json.dumps(members), file=self.file, flush=True)
        print("  " + ", ".join(f"{name} {value}" for name, value in members.items()), flush=True)

    def row(self, operation, in_etcd, in_tcp=None, rounds=None):
        calls = [lambda: self.wire.get("bench/read")] + [call for call in (in_etcd, in_tcp) if call]
        floor, *samples = interleave(rounds or self.rounds, calls)
        for peer, each in zip(("EtcdStore", "TCPStore"), samples):
            self.write(
                peer=peer,
                operation=operation,
                p50_us=round(percentile(each, 0.5), 1),
                p99_us=round(percentile(each, 0.99), 1),
                floor_p50_us=round(percentile(floor, 0.5), 1),
            )

    def single(self):
        tcp = self.tcp.connect()
        for store in (self.etcd, tcp):
            store.set("bench/read", VALUE)
            store.add("bench/sum", 1)
        self.row("get", lambda: self.etcd.get("bench/read"), lambda: tcp.get("bench/read"))
        pair = lambda store: (store.wait(["bench/read"]), store.get("bench/read"))
        self.row("wait + get", lambda: pair(self.etcd), lambda: pair(tcp))
        self.row("set", lambda: self.etcd.set("bench/set", VALUE), lambda: tcp.set("bench/set", VALUE))
        self.row("add, warm", lambda: self.etcd.add("bench/sum", 1), lambda: tcp.add("bench/sum", 1))
        backend = EtcdRendezvousBackend(etcd.Client(host=HOST, port=int(PORT)), "bench")
        self.row("get_state", backend.get_state)
        token = [backend.set_state(VALUE)[1]]

        def set_state():
            token[0] = backend.set_state(VALUE, token[0])[1]

        self.row("set_state", set_state)

    def release(self, connect, setter, key, count):
        """Seconds from a set until each of `count` threads that wait has its value."""
        ready, ends = threading.Barrier(count + 1), []

        def wait():
            store = connect()
            ready.wait()
            store.get(key)
            ends.append(time.perf_counter())

        threads = [threading.Thread(target=wait) for _ in range(count)]
        for thread in threads:
            thread.start()
        ready.wait()
        time.sleep(0.05 + 0.005 * count)
        start = time.perf_counter()
        setter.set(key, b"1")
        for thread in threads:
            thread.join()
        return [end - start for end in ends]

    def waiters(self):
        tcp = self.tcp.connect()
        for peer, connect, setter in (("EtcdStore", etcd_store, self.etcd), ("TCPStore", self.tcp.connect, tcp)):
            for count in (1, 4, 16, 64):
                runs = [self.release(connect, setter, f"wake/{count}/{i}", count) for i in range(9)]
                last = percentile([max(run) for run in runs], 0.5) * 1e6
                half = percentile([percentile(run, 0.5) for run in runs], 0.5) * 1e6
                self.write(peer=peer, operation="waiters", waiters=count, half_us=round(half), last_us=round(last))

    def contention(self):
        for peer, connect in (("EtcdStore", etcd_store), ("TCPStore", self.tcp.connect)):
            for count in (1, 8, 16):
                times, key = (20 if peer == "EtcdStore" else 500), f"contention/{count}"
                store = connect()
                store.add(key, 0)

                def add(told):
                    mine = connect()
                    mine.add(key, 0)
                    told.send(None)
                    told.recv()
                    for _ in range(times):
                        mine.add(key, 1)
                    told.send(None)

                with Ranks(count, add) as ranks:
                    ranks.each()
                    start = time.perf_counter()
                    ranks.go()
                    ranks.each()
                    rate = count * times / (time.perf_counter() - start)
                exact = store.add(key, 0) == count * times
                self.write(peer=peer, operation="contention", threads=count, adds_per_s=round(rate), exact=exact)

    def keys(self):
        """EtcdStore's get, which reads its whole directory."""
        client, filled = etcd.Client(host=HOST, port=int(PORT)), 1
        store = EtcdStore(client, PREFIX + "_keys", TIMEOUT)
        store.set("key", VALUE)
        for count in (10, 100, 1000):
            for i in range(filled, count):
                client.set(f"{PREFIX}_keys/fill{i:08}", "f" * 88)
            filled = count
            rounds = max(20, min(self.rounds, 20000 // count))
            (samples,) = interleave(rounds, [lambda: store.get("key")])
            self.write(peer="EtcdStore", operation="keys", keys=count, p50_us=round(percentile(samples, 0.5), 1))


def main():
    with open(sys.argv[1], "a", encoding="ascii") as file:
        peers = Peers(file, int(sys.argv[2]))
        peers.single()
        peers.contention()
        peers.waiters()
        peers.keys()


main()
